"""From a choice of model and backend to a backend that is loaded, warm and proven to run that model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from numpy.typing import NDArray

from robot_ai.backends.errors import BackendOptionError, VerificationError
from robot_ai.backends.interpreter import beside_frames
from robot_ai.backends.protocol import Backend
from robot_ai.backends.registry import create
from robot_ai.backends.support import check_outputs, zeros_for
from robot_ai.models.artifacts import backend_of
from robot_ai.models.card import ModelCard
from robot_ai.models.comparison import differences
from robot_ai.models.find import find_model
from robot_ai.models.golden import GoldenSample, tolerance_of

if TYPE_CHECKING:  # Python 3.10 has no typing.Self
    from typing_extensions import Self

# Frameworks compile, pick kernels and allocate in their first passes.
WARM_UP_PASSES = 2


@dataclass(frozen=True)
class BackendChoice:
    """Everything that decides how a model is run.

    model: a card's name or path. backend: a backend's name, or `backend/variant` for one artifact of several. device:
    `auto`, `cpu` or `cuda:N`. precision: `auto` or one of PRECISIONS. threads: CPU threads, 0 for the framework's
    default. options: `key=value` texts, values in YAML, that go before the options of the card's artifact.
    """

    model: str = "nanodet_g"
    backend: str = "pytorch"
    device: str = "auto"
    precision: str = "auto"
    threads: int = 0
    options: tuple[str, ...] = ()

    def in_backend(self, backend: str) -> BackendChoice:
        """The same model in another backend, for which this one's options and precision were not chosen."""
        return self if backend == self.backend else replace(self, backend=backend, precision="auto", options=())


class LoadedModel:
    """A model card and its loaded backend. Used from one thread at a time."""

    def __init__(self, card: ModelCard, backend_name: str, backend: Backend) -> None:
        """`backend_name` is the backend's, or `backend/variant`; the card has an artifact under the backend's name."""
        self.card = card
        self.backend_name = backend_name
        self._backend = backend

    @classmethod
    def load(cls, choice: BackendChoice) -> Self:
        """Loads the model, warms it up and verifies it.

        Raises a ModelError, ModelCardError, GoldenSampleError or BackendError, or what the constructor raises, that
        says what is wrong and what to do; then nothing stays loaded.
        """
        card, backend = load_backend(choice)
        try:
            return cls(card, choice.backend, backend)
        except BaseException:
            backend.close()
            raise

    @property
    def device(self) -> str:
        """The device that the backend really uses."""
        return self._backend.device

    @property
    def title(self) -> str:
        """The model, its backend and its device, for people."""
        return f"{self.card.name} in {self.backend_name} on {self.device}"

    def close(self) -> None:
        """Releases the backend."""
        self._backend.close()


def load_backend(choice: BackendChoice) -> tuple[ModelCard, Backend]:
    """Finds the card, loads its artifact, warms it up and verifies it.

    The card returned holds the chosen artifact alone. Raises a ModelError, ModelCardError, GoldenSampleError or
    BackendError that says what is wrong and what to do; then nothing stays loaded. Another model may serve meanwhile.
    """
    with beside_frames():
        return _load(choice)


def _load(choice: BackendChoice) -> tuple[ModelCard, Backend]:
    backend = create(backend_of(choice.backend))
    card = ModelCard.load(find_model(choice.model), backends=[choice.backend])
    card = card.select(choice.backend, choice.precision, parse_options(choice.options))
    golden = GoldenSample.load(card)
    backend.load(card, choice.device, choice.threads, choice.precision)
    try:
        for _ in range(WARM_UP_PASSES):
            outputs = backend.infer(zeros_for(backend.inputs))
        where = f"{card.name}, backend '{choice.backend}'"
        check_outputs(card.outputs, outputs, where)
        if golden is None:
            _check_finite(where, outputs, "an input of zeros")
        else:
            _compare_with(golden, card, choice, backend, where)
    except Exception:
        backend.close()
        raise
    return card, backend


def parse_options(texts: Sequence[str]) -> dict[str, Any]:
    """Reads `key=value` texts. Raises BackendOptionError."""
    options = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (equals and key.strip()):
            raise BackendOptionError(
                f"backend option '{text}' is no key=value, such as providers=[CPUExecutionProvider]"
            )
        try:
            options[key.strip()] = yaml.safe_load(value)
        except Exception as error:  # of any kind: PyYAML reads 2026-13-45 as a date
            raise BackendOptionError(f"the value of backend option '{text}' is no YAML value: {error}") from error
    return options


def _check_finite(where: str, outputs: Mapping[str, NDArray[Any]], given: str) -> None:
    wild = [name for name, array in outputs.items() if not np.isfinite(array).all()]
    if wild:
        raise VerificationError(
            f"{where}: {', '.join(wild)} holds NaN or infinity for {given}; expected finite numbers. "
            "Export the model again"
        )


def _compare_with(golden: GoldenSample, card: ModelCard, choice: BackendChoice, backend: Backend, where: str) -> None:
    name = backend_of(choice.backend)
    outputs = backend.infer(golden.inputs_for(card, name))
    _check_finite(where, outputs, "the golden sample")
    tolerance = tolerance_of(card.artifact_for(name), choice.precision)
    for output, difference in differences(card, golden.outputs, outputs, tolerance).items():
        # NaN compares as beyond any tolerance.
        if not difference.relative <= tolerance:
            allowed = tolerance * max(1.0, difference.magnitude)
            raise VerificationError(
                f"{where}: output '{output}' differs from the golden sample by {difference.largest:.3g} at most and "
                f"{difference.mean:.3g} on average; expected at most {allowed:.3g}. It is "
                "another model, or the export or the precision damaged it: run `robot_ai model verify`"
            )
