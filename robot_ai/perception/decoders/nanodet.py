"""NanoDet's head: class scores and, per side of the box, a distribution over distances.

Formula: Generalized Focal Loss (Li et al., 2020, arXiv:2006.04388), section 3: the distance from a cell's center to a
side is the expectation of a discrete distribution over 0 ... bins - 1, in units of the stride.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.perception.decoders.checks import finite, finite_item, require_outputs
from robot_ai.perception.decoders.grid import cell_corners, cell_count
from robot_ai.perception.decoders.options import DecoderOptions
from robot_ai.perception.decoders.postprocess import best_mask
from robot_ai.perception.decoders.protocol import Candidates, DecoderContext, Outputs

OPTIONS = {
    "strides": "list of the strides in pixels, such as [8, 16, 32]",
    "bins": "number of bins per side, such as 11",
    "max_candidates": "most boxes passed on to non-maximum suppression (1000 when not given)",
}


@dataclass(frozen=True)
class _Level:
    """One stride: the names of its outputs and the centers of its cells, (N, 2) float32 xy in network pixels."""

    scores: str
    distances: str
    stride: int
    centers: NDArray[np.float32]


class NanoDetDecoder:
    """Reads `scores_S` (B, N, classes), already sigmoid, and `distances_S` (B, N, 4 * bins), logits, for each stride S.

    The cells are in row-major order, N = (height / S) * (width / S); the sides are left, top, right, bottom. A cell can
    be a candidate of several classes, which is how the model was evaluated upstream. Boxes are clipped to the input.
    """

    def __init__(self, options: Mapping[str, Any], context: DecoderContext) -> None:
        read = DecoderOptions("nanodet", options, OPTIONS)
        strides = read.strides()
        self._bins = read.count("bins")
        self._max_candidates = read.count("max_candidates", 1000)
        expected: dict[str, tuple[int | None, ...]] = {}
        for stride in strides:
            count = cell_count("nanodet", stride, context)
            expected[f"scores_{stride}"] = (None, count, context.num_classes)
            expected[f"distances_{stride}"] = (None, count, 4 * self._bins)
        # Before any array is made: a slip in the card must not ask for terabytes.
        require_outputs("nanodet", context, expected)
        self._steps = np.arange(self._bins, dtype=np.float32)
        self._limits = np.array([context.width, context.height] * 2, np.float32)
        self._levels = [_level(stride, context) for stride in strides]

    def decode(self, outputs: Outputs, item: int, confidence: float) -> Candidates:
        """Decodes one batch item; of more than `max_candidates` the best are kept.

        Distances are read, and must be finite, where there is a candidate. Raises NonFiniteOutputError.
        """
        found = [self._above(level, outputs, item, confidence) for level in self._levels]
        all_scores = np.concatenate([scores for _, _, scores in found])
        kept = best_mask(all_scores, self._max_candidates)
        splits = np.cumsum([len(scores) for _, _, scores in found])[:-1]
        logits, centers, strides = [], [], []
        for level, (above, _, _), chosen in zip(self._levels, found, np.split(kept, splits), strict=True):
            cells = above[chosen]
            logits.append(finite(outputs[level.distances][item][cells], level.distances))
            centers.append(level.centers[cells])
            strides += [level.stride] * len(cells)
        boxes = self._boxes(np.concatenate(logits), np.concatenate(centers), np.array(strides, np.float32))
        return Candidates(boxes, all_scores[kept], np.concatenate([classes for _, classes, _ in found])[kept])

    @staticmethod
    def _above(
        level: _Level, outputs: Outputs, item: int, confidence: float
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """The cells, classes and scores at or above the threshold."""
        scores = finite_item(outputs, level.scores, item)
        flat = scores.reshape(-1)
        kept = np.flatnonzero(flat >= confidence)
        cells, classes = np.divmod(kept, scores.shape[1])
        return cells, classes, flat[kept].astype(np.float32, copy=False)

    def _boxes(
        self, logits: NDArray[Any], centers: NDArray[np.float32], strides: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Softmax, expectation and stride of logits (N, 4 * bins), from centers (N, 2); (N, 4) float32."""
        bins = logits.astype(np.float32, copy=False).reshape(len(logits), 4, self._bins)
        weights = np.exp(bins - bins.max(axis=2, keepdims=True))
        distances = (weights @ self._steps) / weights.sum(axis=2) * strides[:, np.newaxis]
        boxes = np.concatenate([centers - distances[:, :2], centers + distances[:, 2:]], axis=1)
        clipped: NDArray[np.float32] = np.clip(boxes, 0, self._limits)
        return clipped


def _level(stride: int, context: DecoderContext) -> _Level:
    centers = (cell_corners(stride, context) + 0.5) * stride
    return _Level(f"scores_{stride}", f"distances_{stride}", stride, centers.astype(np.float32))
