"""Boxes in images against the truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robot_ai.evaluation.precision import IOUS, Identities, Tally, match
from robot_ai.perception.boxes import intersection_over_union
from robot_ai.perception.detections import Detections
from robot_ai.tracking.tracker_2d import Tracker2D


@dataclass(frozen=True)
class Truth2D:
    """What an image shows. boxes: scores are the visible shares, 0-1. names: (N,) of the things, one each.
    distances: (N,) meters from the camera, NaN when unknown.
    """

    boxes: Detections
    names: Sequence[str]
    distances: NDArray[np.float64]


@dataclass(frozen=True)
class Settings2D:
    """What counts. visible: least visible share of a truth that must be found; less visible ones may be.

    clear, near: a thing of which so much is visible, nearer than this in meters, is an easy one, counted apart.
    score: detections below it count for average precision only.
    """

    visible: float = 0.3
    clear: float = 0.9
    near: float = 6.0
    score: float = 0.0


class Scorer2D:
    """Adds up frame by frame. Tracks are made here of what comes, for detectors that number nothing."""

    def __init__(self, settings: Settings2D | None = None) -> None:
        self.settings = settings or Settings2D()
        self.frames = 0
        self.classes: defaultdict[str, Tally] = defaultdict(Tally)
        self.clear: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        self.identities = Identities()
        self._tracker = Tracker2D()

    def add(self, found: Detections, truth: Truth2D, stamp: int) -> None:
        """One image, made at `stamp` nanoseconds. What is right has the class and an overlap of at least 0.5."""
        self.frames += 1
        tracks = self._tracker.update(found, stamp)
        mine, theirs = np.array(found.names, str), np.array(truth.boxes.names, str)
        for name in {*mine.tolist(), *theirs.tolist()}:
            said, real = np.flatnonzero(mine == name), np.flatnonzero(theirs == name)
            hits = self._add_class(self.classes[name], found, said, truth, real)
            for detection, thing in hits.items():
                self.identities.see(truth.names[thing], tracks[detection])
            for index in real.tolist():
                if truth.boxes.scores[index] >= self.settings.clear and truth.distances[index] <= self.settings.near:
                    self.clear[name][0] += index in hits.values()
                    self.clear[name][1] += 1

    def clear_recall(self, name: str) -> float:
        """Share of the easy things of a class that were found; NaN without any."""
        found, there = self.clear[name]
        return found / there if there else float("nan")

    def _add_class(
        self, tally: Tally, found: Detections, said: NDArray[np.int64], truth: Truth2D, real: NDArray[np.int64]
    ) -> dict[int, int]:
        """Counts one class, of which `said` and `real` are the indices; the thing that each right detection is."""
        must = truth.boxes.scores[real] >= self.settings.visible
        ious, scores = (
            intersection_over_union(found.xyxy[said], truth.boxes.xyxy[real]),
            found.scores[said].astype(float),
        )
        tally.truths += int(must.sum())
        for place, least in enumerate(IOUS):
            partners = match(ious, scores, least, must)
            # What is hardly visible need not be found, and is no mistake when it is.
            scored = np.array([p < 0 or bool(must[p]) for p in partners], bool)
            tally.scores[place] += scores[scored].tolist()
            tally.hits[place] += (partners[scored] >= 0).tolist()
        taken = scores >= self.settings.score
        partners = match(ious[taken], scores[taken], IOUS[0], must)
        hits = {int(d): int(real[p]) for d, p in zip(said[taken], partners, strict=True) if p >= 0}
        tally.found += len({p for p in partners.tolist() if p >= 0 and must[p]})
        tally.wrong += int((partners < 0).sum())
        return hits
