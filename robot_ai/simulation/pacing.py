"""Simulated time beside that of the clock on the wall."""

from __future__ import annotations

import time
from collections import deque

# What was missed beyond this many seconds is not caught up with.
_PATIENCE = 0.25
# Later than this, in seconds, is more than the turn of a costly sensor, and caught up with so much faster than it was
# to run: no camera sends three images at once, of which whoever is still at the first would drop the second.
_HICCUP = 0.1
_CATCH_UP = 1.25
# The real-time factor is that of so many seconds.
_WINDOW = 5.0


class Pace:
    """Holds simulated time to `factor` times real time; 0 lets it run free."""

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._offset: float | None = None
        self._due = 0.0
        # Seconds that are still to be caught up with.
        self._debt = 0.0
        self._marks: deque[tuple[float, float]] = deque()
        self.lost = 0.0
        """Seconds of real time by which it fell behind for good."""

    def delay(self, simulated: float, now: float) -> float:
        """How long to sleep, in seconds, at `simulated` seconds; now: a monotonic clock's."""
        self._marks.append((now, simulated))
        while now - self._marks[0][0] > _WINDOW:
            self._marks.popleft()
        if not self._factor:
            return 0.0
        due = simulated / self._factor
        if self._offset is None:
            self._offset = now - due
        else:
            caught_up = min(self._debt, (1 - 1 / _CATCH_UP) * (due - self._due))
            self._debt -= caught_up
            self._offset -= caught_up
        self._due = due
        ahead = due + self._offset - now
        if ahead < -_HICCUP:
            self._offset -= ahead
            self._debt -= ahead
            self.lost += max(0.0, self._debt - _PATIENCE)
            self._debt = min(self._debt, _PATIENCE)
            return 0.0
        return max(0.0, ahead)

    def wait(self, simulated: float) -> None:
        """Sleeps until real time is where it should be."""
        seconds = self.delay(simulated, time.monotonic())
        if seconds:
            time.sleep(seconds)

    @property
    def factor(self) -> float:
        """Simulated over real time, of the last five seconds; 0 before anything is known."""
        if len(self._marks) < 2:
            return 0.0
        (begin, first), (end, last) = self._marks[0], self._marks[-1]
        return (last - first) / (end - begin) if end > begin else 0.0
