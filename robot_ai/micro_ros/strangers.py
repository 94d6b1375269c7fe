"""What may come from addresses that have no session: so much per second, and no more is looked at."""

from __future__ import annotations

from collections.abc import Hashable

from robot_ai.micro_ros.bucket import TokenBucket

# An honest client asks for a session once a second, and pings up to ten times.
_BURST_SECONDS = 2.0
# Clients behind one host: a simulation of many, a router in between.
_PEERS_PER_HOST = 10
_MOST_KNOWN = 4096


class Strangers:
    """Counts per peer, and, ten times as much, per host, so that changing ports does not help. Bounded in memory.

    `rate` is in messages per second and peer; 0 lets everything pass.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._buckets: dict[Hashable, TokenBucket] = {}

    def admit(self, peer: Hashable, host: Hashable, now: float) -> bool:
        """Whether a message of `peer`, which is on `host`, is to be served at monotonic time `now`."""
        if not self._rate:
            return True
        return self._take(("peer", peer), self._rate, now) and self._take(("host", host), self._hosts_rate, now)

    @property
    def _hosts_rate(self) -> float:
        return self._rate * _PEERS_PER_HOST

    def _take(self, key: Hashable, rate: float, now: float) -> bool:
        # The one used last is the last to be forgotten: whoever keeps on flooding stays known.
        bucket = self._buckets.pop(key, None)
        if bucket is None:
            while len(self._buckets) >= _MOST_KNOWN:
                del self._buckets[next(iter(self._buckets))]
            bucket = TokenBucket(rate, max(1.0, rate * _BURST_SECONDS), now)
        self._buckets[key] = bucket
        return bucket.take(1, now) == 0
