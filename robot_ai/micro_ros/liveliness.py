"""Whether a client still lives: when it is asked, when it counts as silent, when it is removed."""

from __future__ import annotations

from robot_ai.micro_ros import wire
from robot_ai.micro_ros.config import AgentSettings

# A client with hard liveliness is asked this often, a tick apart, before it is removed: the stock agent's number.
_HARD_PROBES = 3
_SECONDS_BETWEEN_PROBES = 1.0
_MASK_CONFIGURATION = 1


class Liveliness:
    """One client's signs of life; times are monotonic seconds.

    `hard` is the time, in seconds, that a client built with hard liveliness asks for (`uxr_hl`), or None.
    """

    __slots__ = ("_asked", "_asked_at", "_settings", "hard", "heard_at", "silent")

    def __init__(self, settings: AgentSettings, hard: float | None, now: float) -> None:
        self._settings = settings
        self.hard = hard
        self.heard_at = now
        self.silent = False
        self._asked = 0
        self._asked_at = now

    @staticmethod
    def hard_timeout(properties: dict[str, str]) -> float | None:
        """The time in seconds that a login asks for; None without one or when it is no positive number."""
        text = properties.get("uxr_hl", "")
        return int(text) / 1000 if text.isascii() and text.isdigit() and int(text) > 0 else None

    def dead(self, now: float) -> bool:
        """Whether the client was silent for so long that nothing more is sent to it but questions."""
        return now - self.heard_at >= (self.hard or self._settings.liveliness)

    def question(self, now: float) -> bytes | None:
        """The submessage that asks a client with hard liveliness for a sign of life, when it is time for one."""
        if self.hard is None or not self.dead(now):
            self._asked = 0
            return None
        self._asked += 1
        return wire.get_info(0, wire.OBJECT_CLIENT, _MASK_CONFIGURATION)

    def probe_due(self, now: float) -> bool:
        """Whether it is time to ask a client without hard liveliness, and notes that it is asked."""
        silence = now - self.heard_at
        if self.hard is not None:
            return False
        if self.dead(now):
            period = _SECONDS_BETWEEN_PROBES if self._settings.remove_after else 0.0
        else:
            period = self._settings.probe_period
        if not period or silence < period or now - self._asked_at < period:
            return False
        self._asked_at = now
        return True

    def expired(self, now: float) -> str | None:
        """Why the client is to be removed, or None."""
        silence = now - self.heard_at
        if self.hard is not None:
            if self._asked < _HARD_PROBES or not self.dead(now):
                return None
            return f"nothing was heard for {silence:.1f} s, its own limit is {self.hard:g} s"
        limit = self._settings.remove_after
        if not limit or silence < max(limit, self._settings.liveliness):
            return None
        return f"nothing was heard for {silence:.1f} s"
