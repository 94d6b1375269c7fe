"""The tree of frames over the last seconds, with tf2's meaning: parent and child, interpolation, nothing invented."""

from __future__ import annotations

import bisect
import threading
import time

from robot_ai.geometry.errors import (
    FrameLoopError,
    TransformError,
    TransformTimeError,
    UnconnectedFramesError,
    UnknownFrameError,
)
from robot_ai.geometry.transforms import RigidTransform, interpolate

Nanoseconds = int

HORIZON = 10.0
"""Seconds of transforms that are kept, as tf2 keeps them."""

LATEST: Nanoseconds = 0
"""Asks for the newest transform, as a zero stamp does in tf2."""

_SECOND = 1_000_000_000
# A tree deeper than this is a loop that two publishers closed between them.
_DEPTH = 100


class _Edge:
    """A child's transforms into its parent's frame, in the order of their stamps."""

    def __init__(self, parent: str) -> None:
        self.parent = parent
        self.static: RigidTransform | None = None
        self._stamps: list[Nanoseconds] = []
        self._transforms: list[RigidTransform] = []

    @property
    def newest(self) -> Nanoseconds | None:
        return self._stamps[-1] if self._stamps else None

    def add(self, stamp: Nanoseconds, transform: RigidTransform, horizon: Nanoseconds) -> None:
        self.static = None
        if self._stamps and stamp < self._stamps[-1] - horizon:
            # Simulated time began again, or a bag did: what was known is of another time.
            self._stamps.clear()
            self._transforms.clear()
        place = bisect.bisect_left(self._stamps, stamp)
        if place < len(self._stamps) and self._stamps[place] == stamp:
            self._transforms[place] = transform
            return
        self._stamps.insert(place, stamp)
        self._transforms.insert(place, transform)
        old = bisect.bisect_left(self._stamps, self._stamps[-1] - horizon)
        del self._stamps[:old], self._transforms[:old]

    def at(self, stamp: Nanoseconds, child: str) -> RigidTransform:
        if self.static is not None:
            return self.static
        place = bisect.bisect_left(self._stamps, stamp)
        if place < len(self._stamps) and self._stamps[place] == stamp:
            return self._transforms[place]
        if place in (0, len(self._stamps)):
            first, last = self._stamps[0], self._stamps[-1]
            gap = (first - stamp) if place == 0 else (stamp - last)
            side = "before the oldest" if place == 0 else "after the newest"
            raise TransformTimeError(
                f"the transform of '{child}' in '{self.parent}' is asked for {gap / _SECOND:.3f} s {side} one that is "
                f"known ({len(self._stamps)} of the last {(last - first) / _SECOND:.1f} s); is its publisher running "
                f"and its clock right?",
                past=place == 0,
            )
        before, after = self._stamps[place - 1], self._stamps[place]
        fraction = (stamp - before) / (after - before)
        return interpolate(self._transforms[place - 1], self._transforms[place], fraction)


class TransformBuffer:
    """Transforms of the last `horizon` seconds. Thread-safe; stamps are nanoseconds of one clock."""

    def __init__(self, horizon: float = HORIZON) -> None:
        self._horizon = round(horizon * _SECOND)
        self._edges: dict[str, _Edge] = {}
        self._changed = threading.Condition()

    def add(self, parent: str, child: str, stamp: Nanoseconds, transform: RigidTransform, static: bool = False) -> None:
        """Notes where `child` is in `parent`. A new parent replaces the old one.

        Raises FrameLoopError when `parent` hangs below `child`.
        """
        with self._changed:
            if child in self._ancestors(parent):
                raise FrameLoopError(
                    f"'{parent}' as the parent of '{child}' would close a loop: {' in '.join(self._ancestors(parent))}"
                )
            edge = self._edges.get(child)
            if edge is None or edge.parent != parent:
                edge = self._edges[child] = _Edge(parent)
            if static:
                edge.static = transform
            else:
                edge.add(stamp, transform, self._horizon)
            self._changed.notify_all()

    def clear(self) -> None:
        """Forgets what moves, as for a time that begins again; static transforms stay."""
        with self._changed:
            self._edges = {child: edge for child, edge in self._edges.items() if edge.static is not None}

    def lookup(self, target: str, source: str, stamp: Nanoseconds = LATEST, timeout: float = 0.0) -> RigidTransform:
        """The transform that takes points of `source` into `target` at `stamp`, waiting at most `timeout` seconds of
        wall-clock time for it.

        Raises UnknownFrameError, UnconnectedFramesError or TransformTimeError, which name the frame.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                try:
                    return self._lookup(target, source, stamp)
                except TransformError as error:
                    # What lies before the oldest transform will not come any more.
                    left = deadline - time.monotonic()
                    if left <= 0 or (isinstance(error, TransformTimeError) and error.past):
                        raise
                    self._changed.wait(left)

    @property
    def frames(self) -> list[str]:
        """All frames heard of, sorted."""
        with self._changed:
            return sorted({*self._edges, *(edge.parent for edge in self._edges.values())})

    def _lookup(self, target: str, source: str, stamp: Nanoseconds) -> RigidTransform:
        if target == source:
            return RigidTransform.identity()
        known = {*self._edges, *(edge.parent for edge in self._edges.values())}
        for frame in (target, source):
            if frame not in known:
                heard = ", ".join(sorted(known)) or "none"
                raise UnknownFrameError(f"no transform names the frame '{frame}'; frames heard of: {heard}")
        up, down = self._ancestors(source), self._ancestors(target)
        common = next((frame for frame in up if frame in down), None)
        if common is None:
            raise UnconnectedFramesError(
                f"no chain of transforms joins '{source}' (its tree ends at '{up[-1]}') and '{target}' (its tree ends "
                f"at '{down[-1]}')"
            )
        rising, falling = up[: up.index(common)], down[: down.index(common)]
        if stamp == LATEST:
            stamp = self._latest([*rising, *falling])
        return self._climb(falling, stamp).inverse @ self._climb(rising, stamp)

    def _climb(self, frames: list[str], stamp: Nanoseconds) -> RigidTransform:
        total = RigidTransform.identity()
        for frame in frames:
            total = self._edges[frame].at(stamp, frame) @ total
        return total

    def _latest(self, frames: list[str]) -> Nanoseconds:
        """The newest time at which all of these are known."""
        return min((e.newest for f in frames if (e := self._edges[f]).static is None and e.newest), default=LATEST)

    def _ancestors(self, frame: str) -> list[str]:
        """The frame, its parent, and so on to the root."""
        chain = [frame]
        while (edge := self._edges.get(chain[-1])) is not None and len(chain) < _DEPTH:
            chain.append(edge.parent)
        return chain
