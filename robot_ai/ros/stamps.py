"""Stamps of messages."""

from __future__ import annotations

from typing import Any


def nanoseconds_of(stamp: Any) -> int:
    """A builtin_interfaces/Time in nanoseconds. Any: rclpy's own Time raises for one before 1970, as a driver writes it
    whose clock is not set.
    """
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def stamp_of(message: Any) -> int:
    """The stamp of a message, or of anything else with a header, in nanoseconds."""
    return nanoseconds_of(message.header.stamp)
