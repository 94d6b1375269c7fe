"""Boxes in space against the truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from robot_ai.evaluation.precision import Identities, match
from robot_ai.lidar.detections import Detections3D

_ANY = ("obstacle", "vehicle", "cyclist")


@dataclass
class Distances:
    """Of one class: how many there were, were found, were said wrongly; and of those found, by how much the distance
    from the sensor is off, and how far apart the middles are, in meters.
    """

    truths: int = 0
    found: int = 0
    wrong: int = 0
    range_errors: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """Share of the truths that were found; NaN without any."""
        return self.found / self.truths if self.truths else float("nan")

    @property
    def precision(self) -> float:
        """Share of the detections that are right; NaN without any."""
        said = self.found + self.wrong
        return self.found / said if said else float("nan")

    @property
    def median_range_error(self) -> float:
        """Median of the absolute errors of the distance, in meters; NaN when nothing was found."""
        return float(np.median(self.range_errors)) if self.range_errors else float("nan")


class Scorer3D:
    """Adds up scan by scan. What is right has the class and a middle at most `reach` meters from the truth's, seen from
    above; only what is within `near` meters counts. A lidar's own rough classes (obstacle) claim nothing, so are never
    wrong.
    """

    def __init__(self, reach: float = 1.0, near: float = 6.0) -> None:
        self.frames = 0
        self.classes: defaultdict[str, Distances] = defaultdict(Distances)
        self.identities = Identities()
        self._reach = reach
        self._near = near

    def add(self, found: Detections3D, truth: Detections3D, names: Sequence[str], ids: Sequence[str] = ()) -> None:
        """One moment; both in one frame with the sensor at its origin. `names` (N,) of the true things; `ids` are the
        tracks of what was found.
        """
        self.frames += 1
        mine, theirs = np.array(found.names, str), np.array(truth.names, str)
        mine_far, theirs_far = (np.linalg.norm(d.centers[:, :2], axis=1) for d in (found, truth))
        gaps = np.linalg.norm(found.centers[:, None, :2] - truth.centers[None, :, :2], axis=-1)
        for name in ({*mine.tolist()} - {*_ANY}) | {*theirs.tolist()}:
            said, real = np.flatnonzero(mine == name), np.flatnonzero(theirs == name)
            counted = theirs_far[real] <= self._near
            partners = match(
                -gaps[np.ix_(said, real)].astype(float), found.scores[said].astype(float), -self._reach, counted
            )
            tally = self.classes[name]
            tally.truths += int(counted.sum())
            for detection, partner in zip(said.tolist(), partners.tolist(), strict=True):
                if partner < 0:
                    tally.wrong += bool(mine_far[detection] <= self._near)
                elif counted[partner]:
                    thing = real[partner]
                    tally.found += 1
                    tally.range_errors.append(float(abs(mine_far[detection] - theirs_far[thing])))
                    tally.gaps.append(float(gaps[detection, thing]))
                    self.identities.see(names[thing], ids[detection] if ids else "")
