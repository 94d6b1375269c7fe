"""Tracking by association in two stages: confident detections first, then doubtful ones for the tracks left over.

After ByteTrack (Zhang et al., ECCV 2022), with a Kalman filter of constant velocity in whatever space is tracked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TrackerSettings:
    """confident: score from which a detection takes part in the first stage and may begin a track. max_age: seconds
    that a track lives without a detection. confirm: detections until a track has a number that is told.
    measurement, acceleration: standard deviations, in units of the space and per second squared.
    """

    confident: float = 0.5
    max_age: float = 1.0
    confirm: int = 2
    measurement: float = 0.2
    acceleration: float = 3.0


@dataclass
class Track:
    """Position and velocity of one object, and what was last seen of it."""

    number: int
    mean: Floats
    covariance: Floats
    label: int
    hits: int = 1
    seen: float = 0.0


class Tracker(ABC):
    """Follows positions (N, D); subclasses say how far a detection is from a track. Not thread-safe."""

    dimensions: int

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self._tracks: list[Track] = []
        self._next = 1
        self._now: float | None = None

    @abstractmethod
    def _costs(self, tracks: list[Track], positions: Floats, labels: NDArray[np.int64]) -> Floats:
        """(T, N) cost of each pairing from 0 to below 1; 1 or more for one that cannot be."""

    def reset(self) -> None:
        """Forgets all tracks; numbers are not used again."""
        self._tracks.clear()
        self._now = None

    def follow(
        self, positions: Floats, scores: Floats, labels: NDArray[np.int64], now: float
    ) -> tuple[list[int], Floats]:
        """The track of each detection (0: none, or not yet confirmed) and its velocity (N, D) per second.

        positions: (N, D); now: seconds. A time that goes back, as with a bag that begins again, or jumps ahead by more
        than `max_age` ends all tracks; one that goes back by less counts as no time.
        """
        before = now if self._now is None else self._now
        if abs(now - before) > self._settings.max_age:
            self.reset()
            before = now
        # Stamps of two sensors on one topic, or of a clock that was set right, are out of order by little.
        now = max(now, before)
        elapsed = now - before
        self._now = now
        for track in self._tracks:
            self._predict(track, elapsed)
        owners: list[Track | None] = [None] * len(scores)
        confident = scores >= self._settings.confident
        free = list(self._tracks)
        for stage in (np.flatnonzero(confident), np.flatnonzero(~confident)):
            if free and len(stage):
                costs = self._costs(free, positions[stage], labels[stage])
                free = self._associate(free, costs, positions[stage], stage, owners)
        for index in np.flatnonzero(confident).tolist():
            if owners[index] is None:
                owners[index] = self._begin(positions[index], int(labels[index]))
        for index, owner in enumerate(owners):
            if owner is not None:
                owner.seen, owner.label = now, int(labels[index])
        self._tracks = [t for t in self._tracks if now - t.seen <= self._settings.max_age]
        velocities = [np.zeros(self.dimensions) if t is None else t.mean[self.dimensions :] for t in owners]
        numbers = [t.number if t is not None and t.hits >= self._settings.confirm else 0 for t in owners]
        return numbers, np.array(velocities, float).reshape(-1, self.dimensions)

    def _associate(
        self, tracks: list[Track], costs: Floats, positions: Floats, which: NDArray[np.intp], owners: list[Track | None]
    ) -> list[Track]:
        """Pairs tracks with the detections `which` at the least total cost; returns the tracks left over."""
        # Pairings that cannot be cost more than all others together, so that none displaces one that can.
        rows, columns = linear_sum_assignment(np.where(costs < 1, costs, 1e3))
        taken = set()
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            if costs[row, column] < 1:
                owners[int(which[column])] = tracks[row]
                taken.add(tracks[row].number)
                tracks[row].hits += 1
                self._correct(tracks[row], positions[column])
        return [track for track in tracks if track.number not in taken]

    def _begin(self, position: Floats, label: int) -> Track:
        d, settings = self.dimensions, self._settings
        spread = np.diag([settings.measurement**2] * d + [(5 * settings.acceleration) ** 2] * d)
        track = Track(self._next, np.concatenate([position, np.zeros(d)]), spread, label)
        self._next += 1
        self._tracks.append(track)
        return track

    def _predict(self, track: Track, elapsed: float) -> None:
        d = self.dimensions
        step = np.eye(2 * d)
        step[:d, d:] = np.eye(d) * elapsed
        # Noise of an acceleration that is constant within a step.
        push = np.vstack([np.eye(d) * elapsed**2 / 2, np.eye(d) * elapsed])
        track.mean = step @ track.mean
        track.covariance = step @ track.covariance @ step.T + push @ push.T * self._settings.acceleration**2

    def _correct(self, track: Track, position: Floats) -> None:
        d = self.dimensions
        innovation = track.covariance[:d, :d] + np.eye(d) * self._settings.measurement**2
        gain = np.linalg.solve(innovation, track.covariance[:d]).T
        track.mean = track.mean + gain @ (position - track.mean[:d])
        track.covariance = track.covariance - gain @ track.covariance[:d]
