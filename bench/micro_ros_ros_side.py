"""The ROS side of bench.micro_ros_bridge, a process of its own: an rclpy node that echoes, counts and publishes.

Reads a command per line of its input and answers with a line of JSON:
`state` tells what is matched and counted; `down RATE COUNT` begins to publish; `quit` ends it.
"""

from __future__ import annotations

import json
import struct
import sys
import threading
import time

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import UInt32

ENCAPSULATION = b"\x00\x01\x00\x00"
# What waits for this process must not be what is lost.
_DEEP = QoSProfile(depth=20_000)


class RosSide(Node):
    """`ping` goes back as `pong`; `load` is counted; `down` is published while it is asked for."""

    def __init__(self) -> None:
        super().__init__("ros_side", use_global_arguments=False)
        self.loads = 0
        self.first = self.last = 0.0
        self._pong = self.create_publisher(UInt32, "pong", 10)
        self._down = self.create_publisher(UInt32, "down", 100)
        self.create_subscription(UInt32, "ping", self._pong.publish, 10)
        self._load = self.create_subscription(UInt32, "load", self._count, _DEEP, raw=True)

    def _count(self, _cdr: bytes) -> None:
        self.last = time.monotonic()
        if not self.loads:
            self.first = self.last
        self.loads += 1

    def state(self) -> dict[str, float]:
        """What is matched and what was counted; `first` and `last` are the monotonic times of counted samples."""
        return {
            "load_writers": self.count_publishers("load"),
            "down_readers": self._down.get_subscription_count(),
            "pong_readers": self._pong.get_subscription_count(),
            "ping_writers": self.count_publishers("ping"),
            "loads": self.loads,
            "first": self.first,
            "last": self.last,
        }

    def down(self, rate: float, count: int) -> None:
        """Publishes `count` samples at `rate` per second, each with its number, from a thread."""
        threading.Thread(target=self._publish, args=(rate, count), daemon=True).start()

    def _publish(self, rate: float, count: int) -> None:
        began = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            self._down.publish(ENCAPSULATION + struct.pack("<I", number))


def serve(node: RosSide) -> None:
    """Answers commands until the input ends or says `quit`."""
    for line in sys.stdin:
        word, *arguments = line.split()
        if word == "quit":
            return
        if word == "down":
            node.down(float(arguments[0]), int(arguments[1]))
        print(json.dumps(node.state()), flush=True)


def main() -> int:
    """Runs until `quit`. With `--default-executor` as `rclpy.spin` does it, otherwise with the EventsExecutor."""
    rclpy.init()
    node = RosSide()
    executor = SingleThreadedExecutor() if "--default-executor" in sys.argv else EventsExecutor()
    executor.add_node(node)

    def spin() -> None:
        try:
            while rclpy.ok():
                executor.spin_once(timeout_sec=0.2)
        except ExternalShutdownException:
            pass

    spinning = threading.Thread(target=spin, daemon=True)
    spinning.start()
    serve(node)
    rclpy.try_shutdown()
    spinning.join(2.0)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
