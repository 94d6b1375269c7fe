"""The parameters of every node that runs a model: which one, how, and what is done when it fails."""

from __future__ import annotations

import re
from dataclasses import dataclass

from robot_ai.backends.errors import BackendOptionError
from robot_ai.backends.loading import BackendChoice, parse_options
from robot_ai.models.artifacts import PRECISIONS
from robot_ai.ros.errors import ParameterError
from robot_ai.ros.parameter_spec import parameter

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


@dataclass(frozen=True)
class ModelParameters:
    """What `robot_ai.ros.model_swap` asks of a node's parameters."""

    backend: str = parameter(
        "pytorch", "what runs the model: a backend, or backend/variant such as litert/int8", swaps=True
    )
    model: str = parameter("nanodet_g", "model card: a directory with a model.yaml, or a name in models/", swaps=True)
    device: str = parameter("auto", "auto (a GPU where there is one), cpu or cuda:N", swaps=True)
    precision: str = parameter(
        "auto", "precision of the forward pass; auto: the artifact's own", choices=("auto", *PRECISIONS), swaps=True
    )
    threads: int = parameter(
        0, "CPU threads of a forward pass; 0: the framework's default", minimum=0, maximum=256, swaps=True
    )
    backend_options: tuple[str, ...] = parameter(
        (), "key=value options of the backend, such as compile=true; docs/backends.md lists them", swaps=True
    )
    fallback_backends: tuple[str, ...] = parameter(
        (), "backends that take over, in this order, when the chosen one fails; it is tried again after a back-off"
    )
    preload_backends: tuple[str, ...] = parameter(
        (),
        "backends in which the model is loaded while configuring and stands by while another serves, so that a swap to "
        "one loads nothing; costs the memory of framework and model, such as 600 MB for tensorflow (docs/backends.md)",
    )
    max_consecutive_failures: int = parameter(
        5,
        "failed forward passes in a row after which the next of fallback_backends is loaded",
        minimum=1,
        maximum=10_000,
    )
    inference_timeout: float = parameter(
        30.0,
        "seconds after which a forward pass that does not return is abandoned in its thread; 0: never",
        minimum=0.0,
        maximum=3600.0,
        while_running=True,
    )
    load_timeout: float = parameter(
        300.0,
        "seconds after which a swap or a fallback whose load does not end is refused, its thread abandoned; 0: never",
        minimum=0.0,
        maximum=86400.0,
        while_running=True,
    )
    fallback_retry_after: float = parameter(
        30.0,
        "seconds on a fallback before the chosen backend is tried again; doubles with each failed attempt",
        minimum=0.1,
        maximum=86400.0,
    )

    @property
    def choice(self) -> BackendChoice:
        """The part that decides what is loaded."""
        return BackendChoice(self.model, self.backend, self.device, self.precision, self.threads, self.backend_options)

    def check(self) -> None:
        """Raises ParameterError for values that no range can express."""
        if not _DEVICE.fullmatch(self.device):
            raise ParameterError(f"device is '{self.device}'; expected auto, cpu or cuda:N")
        try:
            parse_options(self.backend_options)
        except BackendOptionError as error:
            raise ParameterError(str(error)) from error
