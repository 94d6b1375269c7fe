"""Heads of the YOLO family whose rows are a box and its scores: yolov8 (also yolo11), yolov5, and yolox.

Formats: Ultralytics' exports (https://docs.ultralytics.com/modes/export) and YOLOX (Ge et al., 2021, arXiv:2107.08430,
and its deployment code): a row is center x, center y, width, height, then, except in yolov8, an objectness, then a
score per class, after the sigmoid.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.perception.decoders.checks import column_axis, finite_item, require_outputs
from robot_ai.perception.decoders.grid import cell_corners, cell_count
from robot_ai.perception.decoders.options import DecoderOptions
from robot_ai.perception.decoders.postprocess import (
    all_above,
    best_mask,
    best_per_row,
    candidates,
    probabilities,
    xyxy_from_center,
)
from robot_ai.perception.decoders.protocol import Candidates, DecoderContext, Outputs

OUTPUT = "predictions"
# The family suppresses overlaps before it clips boxes to the image; clipped ones would overlap more. The bound keeps a
# box of a damaged model from costing its neighbors their precision.
REACH = 4
COMMON_OPTIONS = {
    "multi_label": "whether a box can be a candidate of several classes (false when not given)",
    "max_candidates": "most boxes passed on to non-maximum suppression (1000 when not given)",
}
NORMALIZED = {"normalized": "whether boxes are parts of the input's sides instead of pixels (false when not given)"}


class _RowDecoder(ABC):
    """What the three share: rows above the threshold, their boxes, the best of them."""

    def __init__(self, name: str, read: DecoderOptions, context: DecoderContext, objectness: bool) -> None:
        self._name = name
        self._context = context
        self._objectness = objectness
        self._select = all_above if read.flag("multi_label", False) else best_per_row
        self._max_candidates = read.count("max_candidates", 1000)
        # yolov8 gives its rows as columns, the others as rows; either way round is read.
        columns = context.num_classes + (5 if objectness else 4)
        self._columns_first = column_axis(name, context, OUTPUT, columns, 2 if objectness else 1) == 1

    def decode(self, outputs: Outputs, item: int, confidence: float) -> Candidates:
        """Decodes one batch item; of more than `max_candidates` the best are kept.

        Raises NonFiniteOutputError, or ScoreRangeError for scores above 1.
        """
        table = finite_item(outputs, OUTPUT, item)
        table = table.T if self._columns_first else table
        rows, classes, scores = self._select(self._scores(table), confidence)
        kept = best_mask(scores, self._max_candidates)
        boxes = self._boxes(table, rows[kept])
        chances = probabilities(self._name, scores[kept])
        return candidates(self._name, boxes, chances, classes[kept], self._context, reach=REACH)

    def _scores(self, table: NDArray[Any]) -> NDArray[Any]:
        """The rows' class scores, (N, C)."""
        return table[:, 5:] * table[:, 4:5] if self._objectness else table[:, 4:]

    @abstractmethod
    def _boxes(self, table: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The boxes of `rows`, xyxy in network pixels."""


class _PlainBoxes(_RowDecoder):
    """Boxes that are center, width and height already."""

    def __init__(self, name: str, options: Mapping[str, Any], context: DecoderContext, objectness: bool) -> None:
        read = DecoderOptions(name, options, COMMON_OPTIONS | NORMALIZED)
        super().__init__(name, read, context, objectness)
        sides = (context.width, context.height) if read.flag("normalized", False) else (1, 1)
        self._scale = np.array(sides * 2, np.float32)

    def _boxes(self, table: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return xyxy_from_center(table[rows, :4].astype(np.float32) * self._scale)


class YoloV8Decoder(_PlainBoxes):
    """Reads `predictions` (B, 4 + classes, N), or the same transposed: YOLOv8, YOLO11, YOLOv9, exported without NMS."""

    def __init__(self, options: Mapping[str, Any], context: DecoderContext) -> None:
        super().__init__("yolov8", options, context, objectness=False)


class YoloV5Decoder(_PlainBoxes):
    """Reads `predictions` (B, N, 5 + classes), or the same transposed: YOLOv5, YOLOv7. Score: objectness x class."""

    def __init__(self, options: Mapping[str, Any], context: DecoderContext) -> None:
        super().__init__("yolov5", options, context, objectness=True)


class YoloXDecoder(_RowDecoder):
    """Reads `predictions` (B, N, 5 + classes), N being the cells of all strides, or the same transposed: YOLOX.

    A box's center is an offset from its cell's corner and its size a logarithm, both in units of the stride; with the
    option `decoded` they are network pixels already. Score: objectness x class.
    """

    def __init__(self, options: Mapping[str, Any], context: DecoderContext) -> None:
        known = {
            "strides": "list of the strides in pixels ([8, 16, 32] when not given)",
            "decoded": "whether the export has decoded the boxes (false when not given)",
            **COMMON_OPTIONS,
        }
        read = DecoderOptions("yolox", options, known)
        super().__init__("yolox", read, context, objectness=True)
        self._decoded = read.flag("decoded", False)
        strides = read.strides([8, 16, 32])
        count = sum(cell_count("yolox", stride, context) for stride in strides)
        columns = context.num_classes + 5
        require_outputs(
            "yolox", context, {OUTPUT: (None, columns, count) if self._columns_first else (None, count, columns)}
        )
        self._corners = np.concatenate([cell_corners(stride, context) for stride in strides])
        self._strides = np.concatenate(
            [np.full((cell_count("yolox", stride, context), 1), stride, np.float32) for stride in strides]
        )

    def _boxes(self, table: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        boxes = table[rows, :4].astype(np.float32)
        if not self._decoded:
            # A side beyond e^80 strides is beyond any input; past e^88 it would be infinite.
            sizes = np.exp(np.minimum(boxes[:, 2:], 80))
            boxes = np.concatenate([boxes[:, :2] + self._corners[rows], sizes], axis=1) * self._strides[rows]
        return xyxy_from_center(boxes)
