"""The contract between robot_ai and an inference framework: named tensors in, named tensors out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from robot_ai.models.card import ModelCard
from robot_ai.models.specs import TensorSpec

__all__ = ["Backend", "TensorSpec", "Tensors"]

Tensors = Mapping[str, NDArray[np.generic]]


@runtime_checkable
class Backend(Protocol):
    """One loaded model in one framework.

    The holder constructs it without arguments, calls `load` once, then `infer` from one thread at a time, then `close`.
    A backend is found by its name in the entry-point group `robot_ai.backends`. Its module must not import the
    framework at module level: a missing framework is a `MissingFrameworkError` from `load`.
    """

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The tensors `infer` expects. Defined after `load`."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The tensors `infer` returns. Defined after `load`."""

    @property
    def device(self) -> str:
        """The device that is really used, such as `cpu` or `cuda:0`. Defined after `load`."""

    def load(self, card: ModelCard, device: str = "auto", threads: int = 0, precision: str = "auto") -> None:
        """Reads the card's artifact for this backend into memory.

        `device` is `auto`, `cpu` or `cuda:N`; `threads` bounds the CPU threads of one forward pass, 0 leaves the
        framework's own default. `precision` is `auto`, the artifact's own, or one of PRECISIONS in which to compute
        instead; inputs and outputs keep the card's dtypes. Raises a `BackendError` that names what is missing or wrong.
        """

    def infer(self, tensors: Tensors) -> dict[str, NDArray[np.generic]]:
        """Runs one forward pass over a batch. Input arrays may be reused by the caller after it returns.

        Raises `InferenceError` when an input does not fit `inputs` or the framework fails.
        """

    def close(self) -> None:
        """Releases the model's memory. `infer` must not be called afterwards."""
