"""Messages of several sources that belong to one moment, and an account of those that found no partner."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Nanoseconds = int

_NANOSECONDS = 1e9
# Sources far faster than their partner do not grow a buffer without bound.
_KEPT = 50
# A stamp this far before the last one, in seconds, is not late: time began again, as when a bag is played in a loop.
_REWIND = 1.0


@dataclass(frozen=True)
class Matched:
    """One moment. `partner` is None when nothing of the other source came near it in time; `message`, of the leading
    source, when that is silent.
    """

    message: Any | None
    partner: Any | None


@dataclass
class _Waiting:
    stamp: Nanoseconds
    arrived: float
    message: Any


class PairSynchronizer:
    """Pairs each message of the leading source with the partner nearest in stamp, at most `slop` seconds away.

    A leader waits at most `timeout` seconds for a better partner than those it has; then it goes with the best there
    is, or alone, which counts as a miss. A partner that no leader took counts as unused. Not thread-safe; `now` is a
    monotonic time in seconds, stamps are nanoseconds of one clock.
    """

    def __init__(self, slop: float, timeout: float) -> None:
        self._slop = round(slop * _NANOSECONDS)
        self._timeout = timeout
        self._leaders: deque[_Waiting] = deque()
        self._partners: deque[_Waiting] = deque()
        self._used: set[Nanoseconds] = set()
        self.paired = 0
        self.missed = 0
        self.unused = 0
        self.overflowed = 0
        self.unled = 0
        self._led: float | None = None

    def add_leader(self, stamp: Nanoseconds, message: Any, now: float) -> bool:
        """A message that must be answered. Returns False when the oldest that waits gave way for it."""
        self._led = now
        room = len(self._leaders) < _KEPT
        if not room:
            self._leaders.popleft()
            self.overflowed += 1
        self._leaders.append(_Waiting(stamp, now, message))
        return room

    def add_partner(self, stamp: Nanoseconds, message: Any, now: float) -> None:
        """A message that may complete a leader."""
        if self._partners and stamp < self._partners[-1].stamp - self._slop - _REWIND * _NANOSECONDS:
            self._discard(lambda partner: True)
        if len(self._partners) == _KEPT:
            oldest = self._partners[0]
            self._discard(lambda partner: partner is oldest)
        self._partners.append(_Waiting(stamp, now, message))

    def ready(self, now: float) -> list[Matched]:
        """The leaders that need not wait any longer, in the order they came."""
        done: list[Matched] = []
        while self._leaders:
            leader = self._leaders[0]
            best = min(self._partners, key=lambda p: abs(p.stamp - leader.stamp), default=None)
            if best is not None and abs(best.stamp - leader.stamp) > self._slop:
                best = None
            # Only a partner as late as the leader, or later, shows that no better one is on its way.
            final = any(partner.stamp >= leader.stamp for partner in self._partners) and best is not None
            if not final and now - leader.arrived < self._timeout:
                break
            self._leaders.popleft()
            if best is None:
                self.missed += 1
            else:
                self.paired += 1
                self._used.add(best.stamp)
            done.append(Matched(leader.message, None if best is None else best.message))
            self._forget(leader.stamp)
        return done

    def without_leader(self, silence: float, now: float) -> list[Matched]:
        """Partners that waited for `timeout` while the leading source was silent for `silence` seconds, each alone.

        The silence counts from the first call at the earliest. 0 or less: never any.
        """
        if self._led is None:
            self._led = now
        if silence <= 0 or self._leaders or now - self._led < silence:
            return []
        alone = []
        while self._partners and now - self._partners[0].arrived >= self._timeout:
            partner = self._partners.popleft()
            if partner.stamp in self._used:
                self._used.discard(partner.stamp)
                continue
            self.unled += 1
            alone.append(Matched(None, partner.message))
        return alone

    def clear(self) -> int:
        """Forgets everything; returns how many leaders waited."""
        waiting = len(self._leaders)
        self._leaders.clear()
        self._partners.clear()
        self._used.clear()
        self._led = None
        return waiting

    def _forget(self, stamp: Nanoseconds) -> None:
        """Partners too old for any leader after this one."""
        self._discard(lambda partner: partner.stamp < stamp - self._slop)

    def _discard(self, which: Callable[[_Waiting], bool]) -> None:
        gone = [partner for partner in self._partners if which(partner)]
        self._partners = deque(partner for partner in self._partners if not which(partner))
        for partner in gone:
            if partner.stamp in self._used:
                self._used.discard(partner.stamp)
            else:
                self.unused += 1
