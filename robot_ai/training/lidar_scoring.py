"""How many of the true objects a 3D detector finds, and how many of its boxes are true, by class and distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robot_ai.lidar.detections import LABELS, Detections3D

Band = tuple[float, float]
Scores = dict[tuple[str, Band], "BandScore"]

BANDS: tuple[Band, ...] = ((0.0, 20.0), (20.0, 40.0))
"""Distances, in meters, that are counted apart."""
MIN_POINTS = 20
"""Objects with fewer points are neither asked for nor held against a detector."""

# A center this near, in meters on the ground, is a hit: of a car only the near side is seen.
_NEAR_ENOUGH = {"person": 1.0, "cyclist": 1.0, "vehicle": 2.0}


@dataclass
class BandScore:
    """Counts for one class in one band of distances."""

    found: int = 0
    asked: int = 0
    right: int = 0
    said: int = 0

    @property
    def recall(self) -> float:
        """Part of the objects that were found under their class; NaN when there was none."""
        return self.found / self.asked if self.asked else float("nan")

    @property
    def precision(self) -> float:
        """Part of the detections that are such an object; NaN when there was none."""
        return self.right / self.said if self.said else float("nan")


def no_scores() -> Scores:
    """Nothing counted yet, for every class and band."""
    return {(label, band): BandScore() for label in _NEAR_ENOUGH for band in BANDS}


def judge(
    objects: Detections3D,
    enough: NDArray[np.bool_],
    found: Detections3D,
    scores: Scores,
    excused: Callable[[int], bool] = lambda index: False,
) -> None:
    """Adds one cloud to the scores.

    `enough` (N,): which of the true objects are asked for. A detection without a true object of its class is wrong
    unless it is `excused`, by its index.
    """
    for label, reach in _NEAR_ENOUGH.items():
        wanted = objects.class_indices == LABELS.index(label)
        said = np.flatnonzero(found.class_indices == LABELS.index(label)).tolist()
        hits = _match(objects.take(wanted).centers, found.centers, said, reach)
        for center, counts, hit in zip(objects.centers[wanted], enough[wanted], hits, strict=True):
            band = band_of(center)
            if counts and band is not None:
                scores[label, band].asked += 1
                scores[label, band].found += hit is not None
        for index in said:
            band = band_of(found.centers[index])
            if band is not None and (index in hits or not excused(index)):
                scores[label, band].said += 1
                scores[label, band].right += index in hits


def band_of(center: NDArray[np.float32]) -> Band | None:
    """The band that a center (3,) lies in, if any."""
    distance = float(np.hypot(center[0], center[1]))
    return next((band for band in BANDS if band[0] <= distance < band[1]), None)


def _match(
    wanted: NDArray[np.float32], found: NDArray[np.float32], candidates: list[int], reach: float
) -> list[int | None]:
    """The candidate nearest to each wanted center within `reach` meters on the ground, each at most once."""
    taken: list[int | None] = []
    for center in wanted:
        gaps = {i: float(np.hypot(*(found[i, :2] - center[:2]))) for i in candidates if i not in taken}
        nearest = min(gaps, key=lambda i: gaps[i], default=None)
        taken.append(nearest if nearest is not None and gaps[nearest] <= reach else None)
    return taken
