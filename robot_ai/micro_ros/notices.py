"""Log lines about what clients do, as many as a reader can bear: a client must not be able to flood the log."""

from __future__ import annotations

import logging

from robot_ai.micro_ros.bucket import TokenBucket

LOGGER = logging.getLogger("robot_ai.micro_ros")
"""Everything the agent has to say to people; the bridge node hands it on to ROS."""

_PER_SECOND = 2.0
_AT_ONCE = 20.0


class Notices:
    """Warnings with a limit on their rate; what was left out is counted and said."""

    def __init__(self) -> None:
        self._bucket: TokenBucket | None = None
        self._left_out = 0

    def warn(self, now: float, message: str) -> None:
        """Logs `message` at monotonic time `now`, unless there were too many."""
        if self._bucket is None:
            self._bucket = TokenBucket(_PER_SECOND, _AT_ONCE, now)
        if self._bucket.take(1, now) > 0:
            self._left_out += 1
            return
        if self._left_out:
            message = f"{message} ({self._left_out} messages before this one were left out)"
            self._left_out = 0
        LOGGER.warning(message)
