"""What the backends of this package do alike: the order of loading, and the checks around a forward pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends import interpreter
from robot_ai.backends.errors import BackendError, InferenceError
from robot_ai.backends.options import Options
from robot_ai.backends.protocol import Tensors, TensorSpec
from robot_ai.backends.support import check_inputs, check_outputs, check_threads, in_chunks, like_the_card, zeros_for
from robot_ai.models.card import Artifact, ModelCard


@dataclass(frozen=True)
class LoadRequest:
    """What `load` was asked for, with the options read."""

    card: ModelCard
    artifact: Artifact
    options: Options
    device: str
    threads: int
    precision: str


class FrameworkBackend(ABC):
    """A backend but for its framework: a subclass opens an artifact, runs one forward pass, and lets go.

    name: the backend's, by which the card's artifact is found. title: the framework's, as messages call it. known: each
    option's meaning. framework: the module that must be installed, or several of which one suffices.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    known: ClassVar[Mapping[str, str]] = {}
    framework: ClassVar[str | tuple[str, ...] | None] = None

    def __init__(self) -> None:
        self._inputs: tuple[TensorSpec, ...] = ()
        self._outputs: tuple[TensorSpec, ...] = ()
        self._device = ""
        # The batch that the artifact is fixed to; None when it takes any.
        self._batch: int | None = None
        self._is_open = False
        # Whether the model's objects refer to one another, so that letting go of it frees nothing by itself.
        self._is_cyclic = False

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The image input, in the artifact's layout."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The card's outputs."""
        return self._outputs

    @property
    def device(self) -> str:
        """The device that is really used, such as `cpu` or `cuda:0`."""
        return self._device

    def load(self, card: ModelCard, device: str = "auto", threads: int = 0, precision: str = "auto") -> None:
        """Opens the artifact and runs it once, to compare its outputs with the card's.

        Raises NoArtifactError or the BackendError that says what is missing or wrong; then nothing stays loaded.
        """
        check_threads(threads)
        artifact = card.artifact_for(self.name)
        options = Options(artifact.options, self.known, self.name)
        self._inputs, self._outputs = (card.input_for(self.name).tensor,), card.outputs
        try:
            self._open(LoadRequest(card, artifact, options, device, threads, precision))
            self._is_open = True
            outputs = self.infer(zeros_for(self._inputs))
            check_outputs(self._outputs, outputs, f"{card.name}, backend '{self.name}'")
        except BaseException:
            self.close()
            raise

    def infer(self, tensors: Tensors) -> dict[str, NDArray[np.generic]]:
        """Runs a batch, in pieces when the artifact's batch is fixed. Raises InferenceError."""
        if not self._is_open:
            raise InferenceError(
                f"the {self.title} backend holds no model; expected `load` before `infer`, and no `close`"
            )
        check_inputs(self._inputs, tensors)
        try:
            outputs = in_chunks(self._forward, tensors, self._batch)
        except BackendError:
            raise
        except Exception as error:
            raise InferenceError(f"{self.title} failed in a forward pass on {self._device}: {error}") from error
        return like_the_card(self._outputs, outputs)

    def close(self) -> None:
        """Lets go of the model; may be called again, and before `load`."""
        was_open, self._is_open = self._is_open, False
        self._release()
        if self._is_cyclic:
            self._is_cyclic = False
            interpreter.closed_cyclic()
        if was_open:
            interpreter.give_back_memory()

    def _opens_cyclic(self) -> None:
        """To be called by `_open`, after the framework was imported and before its objects are made."""
        if not self._is_cyclic:
            self._is_cyclic = True
            interpreter.opened_cyclic()

    @abstractmethod
    def _open(self, request: LoadRequest) -> None:
        """Makes `_forward` work, and sets `_device` and, where the artifact has one, `_batch`. Raises BackendError."""

    @abstractmethod
    def _forward(self, tensors: Tensors) -> Mapping[str, NDArray[np.generic]]:
        """One forward pass over a batch that the artifact takes: arrays of its own, by the card's output names."""

    @abstractmethod
    def _release(self) -> None:
        """Drops the model, if there is one."""
