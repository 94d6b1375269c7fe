"""How long to wait before a node that has died is started again."""

from __future__ import annotations

FIRST = 1.0
LONGEST = 60.0
# A node that has run this long, in seconds, had started well: its next death is a first one.
SETTLED = 60.0


class Backoff:
    """Seconds to wait: 1, then twice as long after each death, up to a minute."""

    def __init__(self) -> None:
        self._next = FIRST

    def delay(self, ran: float) -> float:
        """The wait after a node that has died having run for `ran` seconds."""
        if ran >= SETTLED:
            self._next = FIRST
        delay, self._next = self._next, min(2 * self._next, LONGEST)
        return delay
