"""The cells of a head's levels: one level per stride, its cells in row-major order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robot_ai.perception.decoders.errors import DecoderOptionError
from robot_ai.perception.decoders.protocol import DecoderContext


def cell_count(decoder: str, stride: int, context: DecoderContext) -> int:
    """The number of cells of a stride. Raises DecoderOptionError when the stride does not divide the input."""
    if context.height % stride or context.width % stride:
        raise DecoderOptionError(
            f"decoder '{decoder}': stride {stride} does not divide the input of {context.width}x{context.height} "
            "pixels; expected an input whose sides are multiples of every stride"
        )
    return (context.height // stride) * (context.width // stride)


def cell_corners(stride: int, context: DecoderContext) -> NDArray[np.float32]:
    """The left upper corner of each cell, (N, 2) float32 xy, in units of the stride."""
    ys, xs = np.mgrid[: context.height // stride, : context.width // stride]
    return np.stack([xs.ravel(), ys.ravel()], axis=1).astype(np.float32)
