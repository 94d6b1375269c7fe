"""Tracks of 3D boxes in a frame that stands still, or moves little between two clouds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robot_ai.lidar.detections import Detections3D
from robot_ai.tracking.tracker import Floats, Track, Tracker, TrackerSettings

# A center may be this far, in meters, from where its track expects it; and as far when its velocity is not known yet,
# which lets it be 30 m/s at 10 Hz.
_GATE, _WIDEST = 1.5, 3.0
# A class is a guess by size that changes from scan to scan: another one counts against a pairing, but not out.
_OTHER_CLASS = 0.1
_NANOSECONDS = 1e9


@dataclass(frozen=True)
class TrackedBatch:
    """Detections with a track's number each, empty where there is none yet, and velocities (N, 3) in m/s."""

    detections: Detections3D
    ids: list[str]
    velocities: NDArray[np.float64]


class Tracker3D(Tracker):
    """Follows the centers of boxes. A change of the frame ends all tracks."""

    dimensions = 3

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        super().__init__(settings or TrackerSettings())
        self._frame = ""

    def update(self, found: Detections3D, stamp: int, frame: str = "") -> TrackedBatch:
        """Numbers the detections of one cloud, made at `stamp` nanoseconds, in their order."""
        if frame != self._frame:
            self.reset()
            self._frame = frame
        numbers, velocities = self.follow(
            found.centers.astype(float), found.scores.astype(float), found.class_indices, stamp / _NANOSECONDS
        )
        return TrackedBatch(found, [str(number) if number else "" for number in numbers], velocities)

    def _costs(self, tracks: list[Track], positions: Floats, labels: NDArray[np.int64]) -> Floats:
        expected = np.array([track.mean[:2] for track in tracks])
        deviations = np.sqrt([track.covariance[0, 0] for track in tracks])
        gates = np.clip(2 * deviations, _GATE, _WIDEST)[:, None]
        gaps = np.linalg.norm(expected[:, None] - positions[None, :, :2], axis=-1)
        other = np.array([track.label for track in tracks])[:, None] != labels[None]
        costs = (gaps / _WIDEST + _OTHER_CLASS * other) / (1 + _OTHER_CLASS)
        return np.where(gaps < gates, costs, 1.0)
