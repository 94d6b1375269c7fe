"""CenterNet: a heat map of object centers per class, and for each cell the box's size and the center's offset.

Formula: Zhou et al., 2019, arXiv:1904.07850, section 4: a center is a cell of the heat map that none of its eight
neighbors exceeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.perception.decoders.checks import Shape, finite_item, require_outputs
from robot_ai.perception.decoders.errors import DecoderOptionError
from robot_ai.perception.decoders.options import DecoderOptions
from robot_ai.perception.decoders.postprocess import ACTIVATIONS, best_mask, candidates, probabilities, sigmoid
from robot_ai.perception.decoders.protocol import Candidates, DecoderContext, Outputs

OPTIONS = {
    "activation": "sigmoid for a heat map of logits, none for one of probabilities (sigmoid when not given)",
    "layout": "NCHW or NHWC, of the three outputs (NCHW when not given)",
    "stride": "pixels per cell (4 when not given)",
    "size_unit": "cells or pixels, of the size (cells when not given)",
    "max_candidates": "most boxes passed on (100 when not given)",
}


class CenterNetDecoder:
    """Reads `heatmap` (B, classes, h, w), `size` (B, 2, h, w) and `offset` (B, 2, h, w), h = height / stride.

    `size` is width, height; `offset` is x, y from the cell's left upper corner, in cells.
    """

    def __init__(self, options: Mapping[str, Any], context: DecoderContext) -> None:
        read = DecoderOptions("centernet", options, OPTIONS)
        self._sigmoid = read.choice("activation", ACTIVATIONS, "sigmoid") == "sigmoid"
        self._channels_first = read.choice("layout", ("NCHW", "NHWC"), "NCHW") == "NCHW"
        self._stride = read.count("stride", 4)
        self._size_scale = self._stride if read.choice("size_unit", ("cells", "pixels"), "cells") == "cells" else 1
        self._max_candidates = read.count("max_candidates", 100)
        if context.height % self._stride or context.width % self._stride:
            raise DecoderOptionError(
                f"decoder 'centernet': stride {self._stride} does not divide the input of "
                f"{context.width}x{context.height} pixels; expected one that does"
            )
        channels = {"heatmap": context.num_classes, "size": 2, "offset": 2}
        require_outputs("centernet", context, {name: self._shape(context, count) for name, count in channels.items()})
        self._context = context

    def decode(self, outputs: Outputs, item: int, confidence: float) -> Candidates:
        """Decodes one batch item; of more than `max_candidates` the best are kept.

        Raises NonFiniteOutputError, or ScoreRangeError for scores above 1.
        """
        heatmap, size, offset = (self._planes(outputs, name, item) for name in ("heatmap", "size", "offset"))
        classes, ys, xs = np.nonzero(_is_peak(heatmap))
        scores = heatmap[classes, ys, xs]
        scores = sigmoid(scores) if self._sigmoid else probabilities("centernet", scores)
        above = np.flatnonzero(scores >= confidence)
        above = above[best_mask(scores[above], self._max_candidates)]
        classes, ys, xs = classes[above], ys[above], xs[above]
        centers = (np.stack([xs, ys], axis=1) + offset[:, ys, xs].T.astype(np.float32)) * self._stride
        half = size[:, ys, xs].T.astype(np.float32) * (self._size_scale / 2)
        boxes = np.concatenate([centers - half, centers + half], axis=1)
        return candidates("centernet", boxes, scores[above], classes, self._context)

    def _shape(self, context: DecoderContext, channels: int) -> Shape:
        rows, columns = context.height // self._stride, context.width // self._stride
        return (None, channels, rows, columns) if self._channels_first else (None, rows, columns, channels)

    def _planes(self, outputs: Outputs, name: str, item: int) -> NDArray[Any]:
        array = finite_item(outputs, name, item)
        return array if self._channels_first else array.transpose(2, 0, 1)


def _is_peak(heatmap: NDArray[Any]) -> NDArray[np.bool_]:
    """Which cells of (C, h, w) none of their eight neighbors exceeds."""
    highest = heatmap
    for axis in (1, 2):
        line = np.moveaxis(highest, axis, -1)
        wider = line.copy()
        np.maximum(wider[..., 1:], line[..., :-1], out=wider[..., 1:])
        np.maximum(wider[..., :-1], line[..., 1:], out=wider[..., :-1])
        highest = np.moveaxis(wider, -1, axis)
    return np.asarray(heatmap >= highest, np.bool_)
