"""Which candidates become detections: class filter, non-maximum suppression, an upper bound."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from robot_ai.perception.decoders.errors import UnknownLabelError
from robot_ai.perception.decoders.protocol import Candidates


def class_mask(labels: Sequence[str], wanted: Collection[str]) -> NDArray[np.bool_] | None:
    """Which classes pass a filter: (C,) bool, or None when `wanted` is empty and all pass.

    Raises UnknownLabelError, which lists labels of similar spelling.
    """
    if not wanted:
        return None
    for label in wanted:
        if label not in labels:
            near = difflib.get_close_matches(label, labels, n=3)
            hint = (
                f"did you mean {' or '.join(repr(name) for name in near)}?" if near else f"labels: {', '.join(labels)}"
            )
            raise UnknownLabelError(f"the model knows no class '{label}' among its {len(labels)} labels; {hint}")
    return np.array([label in wanted for label in labels], np.bool_)


def suppress(
    candidates: Candidates, iou: float, max_detections: int, classes: NDArray[np.bool_] | None = None
) -> Candidates:
    """Drops, within each class, boxes that overlap a better one by more than `iou`; returns the best first.

    At most `max_detections` are kept. `classes` (C,) bool, from `class_mask`, drops other classes beforehand. Boxes
    without area and scores of nought are dropped.
    """
    extent = candidates.xyxy[:, 2:] - candidates.xyxy[:, :2]
    valid = (extent > 0).all(axis=1) & (candidates.scores > 0)
    if classes is not None:
        valid &= classes[candidates.class_indices]
    if not valid.all():
        candidates = candidates.take(valid)
    if not len(candidates):
        return candidates
    # Classes must not suppress each other. OpenCV's batched variant is missing before 4.7, so each class is moved to a
    # place of its own; double precision keeps the overlaps exact.
    boxes = candidates.xyxy.astype(np.float64)
    low = boxes.min()
    boxes += (candidates.class_indices * (boxes.max() - low + 1))[:, np.newaxis] - low
    boxes[:, 2:] -= boxes[:, :2]  # OpenCV takes x, y, width, height
    kept = cv2.dnn.NMSBoxes(cast(Any, boxes), cast(Any, candidates.scores), 0.0, iou)  # stubs know lists only
    return candidates.take(np.asarray(kept, np.int64).reshape(-1)[:max_detections])
