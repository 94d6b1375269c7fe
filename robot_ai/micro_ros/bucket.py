"""A token bucket: how much may pass per second."""

from __future__ import annotations


class TokenBucket:
    """Passes `rate` units per second on average, `capacity` at once; begins full. Times are monotonic seconds."""

    __slots__ = ("_capacity", "_last", "_rate", "_tokens")

    def __init__(self, rate: float, capacity: float, now: float) -> None:
        self._rate = rate
        self._capacity = capacity
        self._tokens = capacity
        self._last = now

    def take(self, amount: float, now: float) -> float:
        """Takes `amount` and returns 0, or takes nothing and returns the seconds until there is enough.

        What is larger than the capacity passes when the bucket is full, and is paid for afterwards.
        """
        self._tokens = min(self._capacity, self._tokens + (now - self._last) * self._rate)
        self._last = now
        lacking = min(amount, self._capacity) - self._tokens
        # Rounding of the clock must not ask for another wait of nothing.
        if lacking > 1e-6 * self._capacity:
            return lacking / self._rate
        self._tokens -= amount
        return 0.0
