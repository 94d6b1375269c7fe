"""One source of frames of a detector: its subscription, its books, its gate. Cameras and lidars are kinds of it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from robot_ai.pipeline.latency import StageLatencies
from robot_ai.pipeline.ledger import DropCause, FrameLedger
from robot_ai.pipeline.rate import RateLimiter
from robot_ai.pipeline.worker import Frame, SourceAccount
from robot_ai.ros.diagnostics import Status, add_frames, add_latencies, add_subscription
from robot_ai.ros.qos import MatchedSubscription
from robot_ai.ros.stamps import nanoseconds_of, stamp_of

# A stamp further from our clock than this was made by another clock: the difference is no latency.
_COMPARABLE_SECONDS = 60.0


class SourcePort(ABC):
    """Enters each message of one topic in the books and hands it to a worker. `name` is the source's, empty for the
    only one.
    """

    def __init__(self, node: Node, name: str) -> None:
        self._node = node
        self._name = name
        self.account = SourceAccount(FrameLedger(), StageLatencies())
        self._limiter = RateLimiter()
        self._newest: int | None = None
        self._subscription: MatchedSubscription | None = None

    @abstractmethod
    def _topic(self) -> tuple[str, type]:
        """The topic to listen to and the type of its messages, which have a header."""

    def subscribe(self, submit: Callable[[str, Frame], None], gate: Callable[[], tuple[bool, float]]) -> None:
        """Starts listening. `gate` tells whether detection is enabled and the highest rate in Hz (0: none)."""

        def receive(message: Any) -> None:
            now = time.monotonic()
            ledger = self.account.ledger
            ledger.receive(now)
            enabled, max_rate = gate()
            if not enabled:
                ledger.drop(DropCause.DISABLED)
            elif not self._limiter.allow(now, max_rate):
                ledger.drop(DropCause.RATE)
            else:
                submit(self._name, Frame(message, now, self._age(stamp_of(message))))

        topic, kind = self._topic()
        self._subscription = MatchedSubscription(self._node, kind, topic, receive)

    def unsubscribe(self) -> None:
        """Stops listening."""
        if self._subscription is not None:
            self._subscription.destroy()
            self._subscription = None

    def check(self) -> None:
        """Looks after the subscription's QoS; call it a few times a second."""
        if self._subscription is not None:
            self._subscription.check()

    def describe(self, status: Status) -> None:
        """Adds this source's books and latencies to a diagnostic status."""
        snapshot = self.account.ledger.snapshot(time.monotonic())
        add_frames(status, snapshot, None if self._newest is None else self._seconds_since(self._newest))
        add_latencies(status, self.account.latencies.percentiles())
        if self._subscription is not None:
            add_subscription(status, self._subscription.topic, self._subscription.state)

    def _answered(self, header: Any) -> None:
        """Notes the stamp of the newest message that was answered."""
        self._newest = nanoseconds_of(header.stamp)

    def _age(self, stamp: int) -> float | None:
        seconds = self._seconds_since(stamp)
        return seconds if 0 <= seconds < _COMPARABLE_SECONDS else None

    def _seconds_since(self, stamp: int) -> float:
        return (self._node.get_clock().now().nanoseconds - stamp) / 1e9
