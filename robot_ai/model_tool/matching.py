"""Boxes of one model beside those of another, pair by pair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from robot_ai.lidar.detections import Detections3D, ground_plan_iou
from robot_ai.models.specs import Thresholds
from robot_ai.perception.boxes import intersection_over_union
from robot_ai.perception.detections import Detections

Found = TypeVar("Found", Detections, Detections3D)
Overlaps = Callable[[Found, Found], NDArray[np.floating]]


# Boxes that overlap less are two things, not one seen twice; COCO's own least overlap for a match.
SAME_THING = 0.5
# A list is cut to `max_detections` before boxes that lie outside the photo, in a letterbox's border, leave it.
FULL = 0.9


def overlaps_in_image(one: Detections, other: Detections) -> NDArray[np.floating]:
    """(N, M): IoU of boxes in an image."""
    return intersection_over_union(one.xyxy, other.xyxy)


def overlaps_from_above(one: Detections3D, other: Detections3D) -> NDArray[np.floating]:
    """(N, M): IoU of boxes in a cloud, seen from above."""
    return ground_plan_iou(one, other)


@dataclass(frozen=True)
class Agreement:
    """How the detections of two models over the same photos agree.

    pairs: boxes of one class that both found. exact: pairs with an IoU of at least 0.99. alone: boxes that only one
    found, although the other would have had to list their score, too. smallest_overlap: the lowest IoU
    of a pair, 1 without pairs. largest_score_difference: over the pairs.
    """

    pairs: int
    exact: int
    alone: int
    smallest_overlap: float
    largest_score_difference: float

    @property
    def paired(self) -> float:
        """The part of the boxes that have a partner, 0-1; 1 where nothing was found by either."""
        total = 2 * self.pairs + self.alone
        return 2 * self.pairs / total if total else 1.0


def match(
    expected: Sequence[Found],
    given: Sequence[Found],
    thresholds: Thresholds,
    near_threshold: float,
    overlaps_of: Overlaps[Found],
) -> Agreement:
    """Pairs the boxes of each photo or cloud within a class, best overlap first. `overlaps_of` gives IoUs (N, M).

    A box whose score is less than `near_threshold` above the least that the other model lists may lack a partner: its
    score there may lie just below. That is the threshold of detection, or where a list is full, its last score.
    """
    overlaps: list[float] = []
    scores: list[float] = []
    alone = 0
    for one, other in zip(expected, given, strict=True):
        pairs = _pairs(one, other, overlaps_of)
        overlaps += [overlap for _, _, overlap in pairs]
        scores += [abs(float(one.scores[first] - other.scores[second])) for first, second, _ in pairs]
        for detections, taken, there in (
            (one, {pair[0] for pair in pairs}, other),
            (other, {pair[1] for pair in pairs}, one),
        ):
            least = _least_listed(there, thresholds) + near_threshold
            alone += sum(float(score) >= least for i, score in enumerate(detections.scores) if i not in taken)
    exact = sum(overlap >= 0.99 for overlap in overlaps)
    return Agreement(len(overlaps), exact, alone, min(overlaps, default=1.0), max(scores, default=0.0))


def _least_listed(found: Detections | Detections3D, thresholds: Thresholds) -> float:
    """The score below which a model lists nothing."""
    is_full = len(found) >= FULL * thresholds.max_detections
    return float(found.scores.min()) if is_full else thresholds.confidence


def _pairs(one: Found, other: Found, overlaps_of: Overlaps[Found]) -> list[tuple[int, int, float]]:
    overlaps = overlaps_of(one, other)
    overlaps[one.class_indices[:, np.newaxis] != other.class_indices] = 0
    pairs = []
    while overlaps.size and overlaps.max() >= SAME_THING:
        first, second = np.unravel_index(int(overlaps.argmax()), overlaps.shape)
        pairs.append((int(first), int(second), float(overlaps[first, second])))
        overlaps[first, :] = overlaps[:, second] = 0
    return pairs
