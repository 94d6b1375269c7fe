"""Stamps of messages."""

from __future__ import annotations

from typing import Any

from rclpy.time import Time


def stamp_of(message: Any) -> int:
    """The stamp of a message, or of anything else with a header, in nanoseconds."""
    return int(Time.from_msg(message.header.stamp).nanoseconds)
