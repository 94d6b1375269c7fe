"""How a lidar moves: its twist at a cloud's stamp, from TwistStamped or Odometry."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import numpy as np
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node

from robot_ai.lidar.deskew import Twist
from robot_ai.ros.diagnostics import Status, add_subscription
from robot_ai.ros.qos import MatchedSubscription
from robot_ai.ros.stamps import stamp_of

KINDS = {"twist": TwistStamped, "odom": Odometry}
_KEPT = 400
# A stamp this far before the last one, in nanoseconds, is not late: time began again, as with a bag in a loop.
_REWIND = 1_000_000_000


class MotionPort:
    """Subscribes to the topic of its kind, `twist` or `odom`, and keeps the newest messages. Thread-safe.

    A twist is in the frame of its header, an odometry's in `child_frame_id`.
    """

    def __init__(self, node: Node, kind: str) -> None:
        self._lock = threading.Lock()
        self._kept: deque[tuple[int, Twist, str]] = deque(maxlen=_KEPT)
        self._subscription = MatchedSubscription(node, KINDS[kind], kind, self._receive)

    def at(self, stamp: int, within: float) -> tuple[Twist, str] | None:
        """The twist nearest to `stamp` nanoseconds and its frame; None when none is within so many seconds of it."""
        with self._lock:
            nearest = min(self._kept, key=lambda kept: abs(kept[0] - stamp), default=None)
        if nearest is None or abs(nearest[0] - stamp) > within * 1e9:
            return None
        return nearest[1], nearest[2]

    def check(self) -> None:
        """Looks after the subscription's QoS; call it a few times a second."""
        self._subscription.check()

    def describe(self, status: Status) -> None:
        """Adds the subscription's state."""
        add_subscription(status, self._subscription.topic, self._subscription.state)

    def destroy(self) -> None:
        """Stops listening."""
        self._subscription.destroy()

    def _receive(self, message: Any) -> None:
        is_odometry = isinstance(message, Odometry)
        frame = (message.child_frame_id if is_odometry else message.header.frame_id).lstrip("/")
        given = message.twist.twist if is_odometry else message.twist
        linear, angular = (np.array([v.x, v.y, v.z], float) for v in (given.linear, given.angular))
        if not (np.isfinite(linear).all() and np.isfinite(angular).all()):
            return
        stamp = stamp_of(message)
        with self._lock:
            if self._kept and stamp < self._kept[-1][0] - _REWIND:
                self._kept.clear()
            self._kept.append((stamp, Twist(linear, angular), frame))
