"""Who was a person a moment ago still is one: labels get lost where a sensor sees only part of a thing, near by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robot_ai.mcu.polar import PolarDetections

# What swallowed somebody begins no further behind where he stood than this, in meters, as long as he is there.
_BEHIND = 0.2


@dataclass
class _Known:
    place: NDArray[np.float64]
    range: float
    heard: float


class LabelMemory:
    """Keeps a watched label at its place from message to message, for as long as anything is seen there.

    reach: how far, in meters, the nearest point of a thing moves between two messages at most. keep: seconds after
    which a thing of which nothing is seen any more is forgotten; until then it is where it was. doubt: seconds after
    which one is forgotten that a large thing has swallowed, when that begins so far behind that he seems to have left.
    """

    def __init__(self, reach: float = 0.5, keep: float = 1.0, doubt: float = 5.0) -> None:
        self._reach = reach
        self._keep = keep
        self._doubt = doubt
        self._known: list[_Known] = []

    def watched(
        self, now: float, seen: PolarDetections, labeled: NDArray[np.bool_], large: NDArray[np.bool_]
    ) -> PolarDetections:
        """Of what is seen, what has a watched label (N,) or has had it; and what is not seen, but is not forgotten.

        `large` (N,) tells what is too large to be somebody who has lost his label: a wall, whose box reaches far beyond
        it, around the robot even. Where he stands before one and is seen as a part of it, he stays where he was: for as
        long as the box around both begins there.
        `now` is a monotonic time in seconds. Things of unknown range have no place to be remembered by.
        """
        places = np.column_stack([seen.ranges * np.cos(seen.bearings), seen.ranges * np.sin(seen.bearings)])
        counted = np.array(labeled, bool)
        unseen = []
        for known in sorted(self._known, key=lambda each: each.range):
            gaps = np.linalg.norm(places - known.place, axis=1)
            near = np.flatnonzero(np.nan_to_num(gaps, nan=np.inf) <= self._reach)
            patience = self._keep
            if len(near):
                # One that still has the label is it; else the nearest one takes it over.
                heirs, small = near[counted[near]], near[~large[near]]
                if len(heirs) or len(small):
                    counted[heirs if len(heirs) else small[[np.argmin(gaps[small])]]] = True
                    continue
                outside = seen.ranges[near][seen.ranges[near] > 0]
                if (outside <= known.range + _BEHIND).any():
                    known.heard = now
                elif len(outside):
                    patience = self._doubt
            if now - known.heard <= patience:
                unseen.append(known)
        taken = np.flatnonzero(counted)
        self._known = unseen + [
            _Known(places[i], float(seen.ranges[i]), now) for i in taken if np.isfinite(seen.ranges[i])
        ]
        return _joined(seen.take(taken), unseen)


def _joined(seen: PolarDetections, unseen: list[_Known]) -> PolarDetections:
    ranges = np.array([known.range for known in unseen])
    bearings = np.array([np.arctan2(known.place[1], known.place[0]) for known in unseen])
    nothing = np.zeros(len(unseen))
    return PolarDetections(
        np.concatenate([seen.class_indices, np.full(len(unseen), -1, np.int64)]),
        np.concatenate([seen.scores, nothing]),
        np.concatenate([seen.bearings, bearings]),
        np.concatenate([seen.ranges, ranges]),
        np.concatenate([seen.sizes, nothing]),
    )
