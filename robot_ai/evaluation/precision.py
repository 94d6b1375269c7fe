"""Matching of detections with the truth of one frame, and average precision over many, as COCO counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

IOUS = np.linspace(0.5, 0.95, 10)
"""The overlaps that COCO averages over."""
_RECALLS = np.linspace(0.0, 1.0, 101)


def match(likeness: Floats, scores: Floats, least: float, counted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N,): the truth that each detection is, -1 for none. The best score chooses first, the likest truth that is free.

    likeness: (N, M), larger is liker. A truth that is not `counted` (M,) is taken only where no counted one fits, and
    by as many detections as like.
    """
    partners = np.full(len(likeness), -1, np.int64)
    free = np.ones(likeness.shape[1], bool)
    for row in np.argsort(-scores, kind="stable"):
        for group in (counted, ~counted):
            fits = np.where(free & group & (likeness[row] >= least), likeness[row], -np.inf)
            if fits.size and fits.max() > -np.inf:
                partners[row] = int(np.argmax(fits))
                free[partners[row]] = not counted[partners[row]]
                break
    return partners


def average_precision(scores: Sequence[float], hits: Sequence[bool], truths: int) -> float:
    """Area under the curve of precision over recall, interpolated at COCO's 101 recalls; NaN without any truth."""
    if not truths:
        return float("nan")
    order = np.argsort(-np.asarray(scores, float), kind="stable")
    hit = np.asarray(hits, bool)[order]
    found, wrong = np.cumsum(hit), np.cumsum(~hit)
    recall, precision = found / truths, found / np.maximum(found + wrong, 1)
    # A precision holds for all lower recalls, too.
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, _RECALLS, side="left")
    return float(np.append(precision, 0.0)[places].mean())


@dataclass
class Tally:
    """Detections and truths of one class, summed over frames. `hits`: for each overlap, (score, whether it hit)."""

    truths: int = 0
    found: int = 0
    wrong: int = 0
    scores: list[list[float]] = field(default_factory=lambda: [[] for _ in IOUS])
    hits: list[list[bool]] = field(default_factory=lambda: [[] for _ in IOUS])

    @property
    def precision(self) -> float:
        """Share of the detections that are right; NaN without any."""
        said = self.found + self.wrong
        return self.found / said if said else float("nan")

    @property
    def recall(self) -> float:
        """Share of the truths that were found; NaN without any."""
        return self.found / self.truths if self.truths else float("nan")

    @property
    def ap50(self) -> float:
        """Average precision at an overlap of 0.5."""
        return average_precision(self.scores[0], self.hits[0], self.truths)

    @property
    def ap(self) -> float:
        """Mean of the average precision over COCO's overlaps."""
        values = [average_precision(s, h, self.truths) for s, h in zip(self.scores, self.hits, strict=True)]
        return float(np.mean(values))


class Identities:
    """Counts how often a thing that was found under one track is found under another."""

    def __init__(self) -> None:
        self.switches = 0
        self._tracks: dict[str, str] = {}

    def see(self, thing: str, track: str) -> None:
        """A thing was found as a track; without a name or a number nothing is known."""
        if not (thing and track):
            return
        self.switches += self._tracks.get(thing, track) != track
        self._tracks[thing] = track
