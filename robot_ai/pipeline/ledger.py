"""The account of every frame: received = published + dropped (by cause) + in flight."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class DropCause(str, Enum):
    """Why a received frame gave no message."""

    STALE = "stale"
    """A newer frame of the same source came before the worker was free."""
    MALFORMED = "malformed"
    """The message could not be decoded."""
    FAILED = "failed"
    """The backend or a later stage raised."""
    DISABLED = "disabled"
    """Detection was switched off, or the node was deactivated, when the frame came or waited."""
    NO_TRANSFORM = "no_transform"
    """The transform into the target frame at the stamp was not there in time."""
    RATE = "rate"
    """The frame came sooner than `max_rate` allows."""


@dataclass(frozen=True)
class LedgerSnapshot:
    """The counts at one moment; `rates` are per second over the last `RATE_WINDOW` seconds."""

    received: int
    published: int
    dropped: Mapping[DropCause, int]
    in_flight: int
    input_rate: float
    output_rate: float

    @property
    def balanced(self) -> bool:
        """Whether every received frame is accounted for."""
        return self.received == self.published + sum(self.dropped.values()) + self.in_flight


RATE_WINDOW = 5.0


class RollingRate:
    """Events per second over a sliding window."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def add(self, now: float) -> None:
        """An event at a monotonic time, in seconds."""
        self._times.append(now)
        self._trim(now)

    def value(self, now: float) -> float:
        """The rate as of now, in Hz."""
        self._trim(now)
        # The span between the first and the last event holds one interval fewer than events.
        if len(self._times) < 2:
            return 0.0
        span = now - self._times[0]
        return (len(self._times) - 1) / span if span > 0 else 0.0

    def _trim(self, now: float) -> None:
        while self._times and now - self._times[0] > RATE_WINDOW:
            self._times.popleft()


class FrameLedger:
    """Counts frames of one source from arrival to their end. Thread-safe; `now` is a monotonic time in seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received = 0
        self._published = 0
        self._dropped = dict.fromkeys(DropCause, 0)
        self._in_flight = 0
        self._input = RollingRate()
        self._output = RollingRate()

    def receive(self, now: float) -> None:
        """A frame arrived; it is in flight until `publish` or `drop`."""
        with self._lock:
            self._received += 1
            self._in_flight += 1
            self._input.add(now)

    def publish(self, now: float) -> None:
        """A frame ended as a message."""
        with self._lock:
            self._in_flight -= 1
            self._published += 1
            self._output.add(now)

    def drop(self, cause: DropCause) -> int:
        """A frame ended without a message. Returns how many have ended by this cause."""
        with self._lock:
            self._in_flight -= 1
            self._dropped[cause] += 1
            return self._dropped[cause]

    def snapshot(self, now: float) -> LedgerSnapshot:
        """The counts as of now, consistent among themselves."""
        with self._lock:
            return LedgerSnapshot(
                self._received,
                self._published,
                dict(self._dropped),
                self._in_flight,
                self._input.value(now),
                self._output.value(now),
            )
