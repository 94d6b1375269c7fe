"""What one client sent, got and lost, counted."""

from __future__ import annotations

from collections import Counter

DROPPED_UNKNOWN_OBJECT = "written to an unknown object"
DROPPED_FORMAT = "written in a format other than DATA"
DROPPED_UNUSABLE = "written to an object that could not be made in ROS"
DROPPED_NO_REQUEST = "answers no request that is waiting"
DROPPED_NOT_CDR = "from ROS in an encoding other than little-endian CDR"
DROPPED_OVERWRITTEN = "from ROS, overwritten before the client took it"
DROPPED_TOO_LARGE = "from the client, larger than max_sample"
DROPPED_MALFORMED = "malformed messages"
DROPPED_RATE = "messages above max_message_rate"
DROPPED_ANSWER = "answers not sent, too many unacknowledged"


class Books:
    """Counters of one session; plain attributes, because the hot path adds to them."""

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "clock_offset",
        "dropped",
        "messages_in",
        "messages_out",
        "samples_in",
        "samples_out",
    )

    def __init__(self) -> None:
        self.messages_in = 0
        self.messages_out = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.samples_in = 0
        self.samples_out = 0
        self.clock_offset: float | None = None
        self.dropped: Counter[str] = Counter()
