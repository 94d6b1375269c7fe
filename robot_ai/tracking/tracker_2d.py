"""Tracks of boxes in images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robot_ai.perception.boxes import intersection_over_union
from robot_ai.perception.detections import Detections
from robot_ai.tracking.tracker import Floats, Track, Tracker, TrackerSettings

# Overlap of a box with where its track expects it, below which they are not the same.
_LEAST_IOU = 0.2
# Pixels, and pixels per second squared, at video sizes.
_SETTINGS = TrackerSettings(measurement=5.0, acceleration=300.0)
_NANOSECONDS = 1e9


class Tracker2D(Tracker):
    """Follows centers and sizes of boxes; a track keeps its class."""

    dimensions = 4

    def __init__(self, settings: TrackerSettings = _SETTINGS) -> None:
        super().__init__(settings)

    def update(self, found: Detections, stamp: int) -> list[str]:
        """The track's number of each detection of an image, made at `stamp` nanoseconds; empty where there is none."""
        low, high = found.xyxy[:, :2].astype(float), found.xyxy[:, 2:].astype(float)
        positions = np.concatenate([(low + high) / 2, high - low], axis=1)
        numbers, _ = self.follow(positions, found.scores.astype(float), found.class_indices, stamp / _NANOSECONDS)
        return [str(number) if number else "" for number in numbers]

    def _costs(self, tracks: list[Track], positions: Floats, labels: NDArray[np.int64]) -> Floats:
        expected = np.array([track.mean[:4] for track in tracks])
        iou = intersection_over_union(_edges(expected), _edges(positions))
        same = np.array([track.label for track in tracks])[:, None] == labels[None]
        costs: Floats = np.where(same & (iou >= _LEAST_IOU), 1 - iou, 1.0)
        return costs


def _edges(boxes: Floats) -> Floats:
    """Boxes (N, 4) of center and size as left, top, right, bottom."""
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
