"""What a decoder is given and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Outputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Candidates:
    """Boxes before non-maximum suppression.

    xyxy: (N, 4) float32, left, top, right, bottom in network pixels (edges, so 0 to width; some decoders
    leave what lies outside to be clipped after the suppression). scores: (N,) float32.
    class_indices: (N,) int64.
    """

    xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_indices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, index: NDArray[Any]) -> Candidates:
        """The candidates at `index`, an array of indices or a mask."""
        return Candidates(self.xyxy[index], self.scores[index], self.class_indices[index])


@dataclass(frozen=True)
class DecoderContext:
    """The network that a decoder is built for: input size in pixels, number of classes, shape of each output.

    None in a shape is an axis of any length (the batch).
    """

    height: int
    width: int
    num_classes: int
    outputs: Mapping[str, tuple[int | None, ...]]


class Decoder(Protocol):
    """Turns the output tensors of one image into candidates."""

    def decode(self, outputs: Outputs, item: int, confidence: float) -> Candidates:
        """Decodes batch item `item` of arrays (B, ...), keeping scores of at least `confidence`.

        Raises NonFiniteOutputError when the item holds NaN or infinity.
        """
