"""Streams of one session: numbering, windows, what is missing and what must be sent again.

Sequence numbers are 16 bits and wrap: a comes before b when (b - a) mod 65536 is 1 to 32767.
"""

from __future__ import annotations

from collections import deque

WINDOW = 16
"""Messages a reliable stream may be ahead of the first one that is missing, each way: the bits of an ACKNACK."""

_MODULO = 0xFFFF
_HALF = 0x8000
_SMOOTHING = 0.125  # of the round trip, as TCP does it (RFC 6298)


class BestEffortInput:
    """Takes what is newer than the last one taken."""

    __slots__ = ("_next", "missed", "stale")

    def __init__(self) -> None:
        self._next = 0
        self.missed = 0
        self.stale = 0

    def take(self, sequence: int) -> bool:
        """Whether message `sequence` is newer than all before."""
        ahead = (sequence - self._next) & _MODULO
        # Half the circle from the last one taken is neither newer nor older: RFC 1982, section 3.2.
        if ahead >= _HALF - 1:
            self.stale += 1
            return False
        self.missed += ahead
        self._next = (sequence + 1) & _MODULO
        return True


class ReliableInput:
    """Puts messages in order, holds early ones, and knows what to ask for."""

    __slots__ = ("_announced", "_asked", "_held", "_window", "broken", "duplicates", "expected", "fragments", "missed")

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self.expected = 0
        self._announced = _MODULO
        self._asked: int | None = None
        self._held: dict[int, bytes] = {}
        self.fragments: bytearray | None = None
        """The pieces so far of a submessage that came in FRAGMENTs."""
        self.broken = False
        """Whether pieces are to be thrown away up to the last one: those before them are lost for good."""
        self.missed = 0
        self.duplicates = 0

    def receive(self, sequence: int, message: bytes) -> list[bytes]:
        """Takes a message; returns those whose turn it is, in order."""
        ahead = (sequence - self.expected) & _MODULO
        if ahead == 0:
            self.expected = (sequence + 1) & _MODULO
            return [message, *self._release()] if self._held else [message]
        if ahead < self._window:
            if sequence in self._held:
                self.duplicates += 1
            else:
                self._held[sequence] = message
                self._announce(sequence)
        elif ahead >= _HALF:
            self.duplicates += 1
        return []

    def heartbeat(self, first: int, last: int) -> list[bytes]:
        """The sender's oldest and newest message: gives up what it no longer has. Returns what is next then."""
        self._announce(last)
        skipped = (first - self.expected) & _MODULO
        if not 0 < skipped < _HALF:
            return []
        self.missed += sum((self.expected + i) & _MODULO not in self._held for i in range(min(skipped, WINDOW)))
        self.missed += max(0, skipped - WINDOW)
        # What the sender calls acknowledged was never ours to acknowledge; early messages before it are out of turn.
        self._held = {s: m for s, m in self._held.items() if (s - first) & _MODULO < _HALF}
        self.expected = first
        self.fragments = None
        self.broken = True
        return self._release()

    def missing(self, repeat: bool) -> int:
        """The bits for an ACKNACK: i says that `expected` + i was announced and has not come.

        Without `repeat`, nothing is asked for twice: the real client answers any bit by sending everything again, so
        that one lost message would be asked for, and all after it sent, once per message that follows it.
        """
        behind = (self._announced - self.expected) & _MODULO
        if behind >= _HALF:
            # Kept close behind, or it would look like the future once the numbers have gone half way round.
            self._announced = (self.expected - 1) & _MODULO
            self._asked = None
            return 0
        bits = 0
        for i in range(min(behind + 1, WINDOW)):
            if (self.expected + i) & _MODULO not in self._held:
                bits |= 1 << i
        if not bits:
            return 0
        newest = (self.expected + bits.bit_length() - 1) & _MODULO
        known = self._asked is not None and (newest - self._asked - 1) & _MODULO >= _HALF
        if known and not repeat:
            return 0
        self._asked = newest
        return bits

    def _announce(self, sequence: int) -> None:
        if (sequence - self._announced - 1) & _MODULO < _HALF:
            self._announced = sequence

    def _release(self) -> list[bytes]:
        ready: list[bytes] = []
        while (message := self._held.pop(self.expected, None)) is not None:
            ready.append(message)
            self.expected = (self.expected + 1) & _MODULO
        return ready


class ReliableOutput:
    """Numbers messages and keeps each until it is acknowledged; what finds the window full waits its turn."""

    __slots__ = ("_next", "_sent_at", "_unacked", "_window", "probed_at", "resent", "round_trip", "waiting")

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._next = 0
        self._unacked: dict[int, bytes] = {}
        self._sent_at: dict[int, float] = {}
        self.waiting: deque[bytes] = deque()
        self.resent = 0
        self.probed_at: float | None = None
        """When a HEARTBEAT was sent only to be answered."""
        self.round_trip: float | None = None

    def room(self, count: int) -> bool:
        """Whether `count` messages may be sent now, nothing else waiting.

        More than a whole window goes out when nothing is on its way: the pieces of one sample are sent together.
        """
        return not self._unacked or len(self._unacked) + count <= self._window

    def number(self) -> int:
        """The next message's sequence number."""
        return self._next

    def sent(self, message: bytes, now: float) -> None:
        """Keeps a message that goes out under `number()` at monotonic time `now`."""
        self._unacked[self._next] = message
        self._sent_at[self._next] = now
        self._next = (self._next + 1) & _MODULO

    def acknowledge(self, first_unacked: int, missing: int, now: float) -> list[bytes]:
        """Takes the client's ACKNACK; returns what to send again. One that acknowledges the future is ignored."""
        oldest = (self._next - len(self._unacked)) & _MODULO
        done = (first_unacked - oldest) & _MODULO
        if done >= _HALF:
            done = 0  # an old one, overtaken by a newer
        elif done > len(self._unacked):
            return []
        again = []
        for i in range(missing.bit_length()):
            if missing >> i & 1:
                sequence = (first_unacked + i) & _MODULO
                message = self._unacked.get(sequence)
                if message is not None:
                    again.append(message)
                    self._sent_at.pop(sequence, None)
        self.resent += len(again)
        if self.probed_at is not None:
            if not self._unacked:
                self._measure(now - self.probed_at)
            self.probed_at = None
        for i in range(done):
            sequence = (oldest + i) & _MODULO
            del self._unacked[sequence]
            sent_at = self._sent_at.pop(sequence, None)
            # A message sent twice tells nothing: which of the two is acknowledged? (Karn)
            if sent_at is not None and i == done - 1:
                self._measure(now - sent_at)
        return again

    def heartbeat(self) -> tuple[int, int] | None:
        """The oldest and newest message on their way, or None."""
        if not self._unacked:
            return None
        return (self._next - len(self._unacked)) & _MODULO, (self._next - 1) & _MODULO

    def on_the_way(self) -> int:
        """How many messages are not acknowledged."""
        return len(self._unacked)

    def _measure(self, seconds: float) -> None:
        old = self.round_trip
        self.round_trip = seconds if old is None else old + _SMOOTHING * (seconds - old)
