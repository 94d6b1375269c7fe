"""A camera's frames through a node, each known by its number, and what the node says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_harness import Diagnostics, Peer, bright_image, ledger
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
BOX = (50, 60, 150, 160)


class Stream:
    """A camera at 30 Hz whose frames are numbered by their stamps, and the answers to them."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.publisher = peer.node.create_publisher(Image, "image", 50)
        self.sent: list[int] = []
        self.answers: list[int] = []
        peer.node.create_subscription(Detection2DArray, "detections", self._on_answer, 200)
        self._timer: Any = None

    def start(self) -> Stream:
        self.peer.wait(self.publisher.get_subscription_count)
        self.peer.wait(lambda: self.peer.node.count_publishers("detections"))
        self.peer.spin(0.6)  # for the QoS check that may replace the subscription
        self._timer = self.peer.node.create_timer(1 / 30, self._send)
        return self

    def stop(self) -> None:
        self.peer.node.destroy_timer(self._timer)
        self.peer.spin(1.0)

    def burst(self, count: int) -> list[int]:
        """Sends so many frames at once; their numbers."""
        for _ in range(count):
            self._send()
        return self.sent[-count:]

    def more(self, count: int, timeout: float = 20.0) -> None:
        """Waits for so many further answers."""
        target = len(self.answers) + count
        self.peer.wait(lambda: len(self.answers) >= target, timeout)

    def _send(self) -> None:
        self.sent.append(len(self.sent) + 1)
        self.publisher.publish(bright_image(320, 240, BOX, self.sent[-1] * 1_000_000))

    def _on_answer(self, message: Detection2DArray) -> None:
        self.answers.append((message.header.stamp.sec * 10**9 + message.header.stamp.nanosec) // 1_000_000)


def arguments(card: Path, **values: object) -> list[str]:
    given = {"backend": "stub", "model": str(card), **values}
    return [word for name, value in given.items() for word in ("-p", f"{name}:={value}")]


def books(peer: Peer, stream: Stream) -> tuple[int, int, dict[str, int], int]:
    counted = ledger(Diagnostics(peer).next("camera")[2])
    assert len(set(stream.answers)) == len(stream.answers), "a frame was answered twice"
    assert counted[1] == len(stream.answers)
    return counted
