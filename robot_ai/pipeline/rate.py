"""An upper bound on how many frames per second are looked at."""

from __future__ import annotations

# A frame of credit beside the one at hand: it absorbs the jitter of a camera that runs at just the allowed rate, and
# with less a camera slightly faster than the rate would lose, at each frame dropped, part of the next one's share.
_CAPACITY = 2.0


class RateLimiter:
    """A token bucket: passes `rate` events per second on average; not thread-safe."""

    def __init__(self) -> None:
        self._tokens = _CAPACITY
        self._last: float | None = None

    def allow(self, now: float, rate: float) -> bool:
        """Whether an event at monotonic time `now`, in seconds, may pass; a rate of 0 lets all pass."""
        if rate <= 0:
            return True
        if self._last is not None:
            self._tokens = min(_CAPACITY, self._tokens + (now - self._last) * rate)
        self._last = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
