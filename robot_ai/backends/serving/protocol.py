"""What the backends ask of a server, in whichever protocol it speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from robot_ai.models.specs import TensorSpec

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Described:
    """A model as its server describes it: tensors by name, with a free axis as None.

    A tensor whose rank or dtype the server leaves open has no shape (None) or no dtype (""). None instead of the
    tensors: the server does not say.
    """

    inputs: Mapping[str, DescribedTensor] | None
    outputs: Mapping[str, DescribedTensor] | None


@dataclass(frozen=True)
class DescribedTensor:
    """A tensor as its server describes it."""

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str

    def __str__(self) -> str:
        return f"{self.name} (any shape) {self.dtype}" if self.shape is None else str(self.spec)

    @property
    def spec(self) -> TensorSpec:
        """The same as a card has it; only where the shape is known."""
        return TensorSpec(self.name, self.shape or (), self.dtype)


class ModelClient(Protocol):
    """One model on one server. Tensors bear the server's names. Every method raises a fault of `serving.errors`."""

    def describe(self, timeout: float) -> Described:
        """Asks for the model's tensors. Raises ModelNotReadyError while the server loads the model."""

    def predict(self, inputs: Arrays, outputs: Sequence[str], timeout: float) -> dict[str, NDArray[Any]]:
        """One forward pass on the server within `timeout` seconds: at least the outputs asked for."""

    def close(self) -> None:
        """Closes the connection; a request under way ends with an error."""
