"""One camera of a detector: its topics, its books, its gate."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo, VisionInfo

from robot_ai.models.card import ModelCard
from robot_ai.perception.detections import Detections
from robot_ai.perception.drawing import draw
from robot_ai.pipeline.latency import StageLatencies
from robot_ai.pipeline.ledger import DropCause, FrameLedger
from robot_ai.pipeline.rate import RateLimiter
from robot_ai.pipeline.worker import Frame, SourceAccount
from robot_ai.ros.detections import to_detection_array, to_label_info, to_vision_info
from robot_ai.ros.diagnostics import Status, add_frames, add_latencies, add_subscription
from robot_ai.ros.images import bgr_to_image
from robot_ai.ros.qos import MatchedSubscription

_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# A stamp further from our clock than this was made by another clock: the difference is no latency.
_COMPARABLE_SECONDS = 60.0


class CameraPort:
    """The publishers and the subscription of one camera, below its namespace or, for an empty name, the node's."""

    def __init__(self, node: Node, camera: str, transport: str) -> None:
        self._node = node
        self.camera = camera
        self._transport = transport
        self.account = SourceAccount(FrameLedger(), StageLatencies())
        self._limiter = RateLimiter()
        self._newest: Time | None = None
        self._subscription: MatchedSubscription | None = None
        prefix = f"{camera}/" if camera else ""
        self._base = f"{prefix}image"
        self._detections = node.create_publisher(Detection2DArray, f"{prefix}detections", 10)
        self._drawn = node.create_publisher(Image, f"{prefix}detections/image", 2)
        self._label_info = node.create_publisher(LabelInfo, f"{prefix}label_info", _LATCHED)
        self._vision_info = node.create_publisher(VisionInfo, f"{prefix}vision_info", _LATCHED)

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
                submit(self.camera, Frame(message, now, self._age(Time.from_msg(message.header.stamp))))

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

    def publish(self, message: Any, image: Any, detections: Detections) -> None:
        """Answers one source message; draws only for those who look."""
        self._detections.publish(to_detection_array(detections, message.header))
        self._newest = Time.from_msg(message.header.stamp, clock_type=self._node.get_clock().clock_type)
        if not self._drawn.get_subscription_count():
            return
        try:
            self._drawn.publish(bgr_to_image(draw(image, detections), message.header))
        # The frame is answered already: a picture that fails must not make it count as failed.
        except Exception as error:  # noqa: BLE001
            self._node.get_logger().warning(f"cannot draw the detections: {error}", throttle_duration_sec=5.0)

    def announce(self, card: ModelCard, backend: str, threshold: float, version: int) -> None:
        """Publishes, latched, which model speaks and what its labels are."""
        header = Header(stamp=self._node.get_clock().now().to_msg())
        self._label_info.publish(to_label_info(card, threshold, header))
        topic = self._label_info.topic_name
        self._vision_info.publish(to_vision_info(card, backend, topic, version, header))

    def describe(self, status: Status) -> None:
        """Adds this camera's books and latencies to a diagnostic status."""
        snapshot = self.account.ledger.snapshot(time.monotonic())
        add_frames(status, snapshot, None if self._newest is None else self._seconds_since(self._newest))
        add_latencies(status, self.account.latencies.percentiles())
        if self._subscription is not None:
            add_subscription(status, self._subscription.topic, self._subscription.state)

    def destroy(self) -> None:
        """Removes everything from the graph."""
        self.unsubscribe()
        for publisher in (self._detections, self._drawn, self._label_info, self._vision_info):
            self._node.destroy_publisher(publisher)

    def _topic(self) -> tuple[str, type]:
        """The image topic. As image_transport does, the compressed one follows a remapping of its base topic."""
        if self._transport == "raw":
            return self._base, Image
        compressed = f"{self._base}/compressed"
        resolved = self._node.resolve_topic_name(compressed)
        remapped_itself = resolved != self._node.resolve_topic_name(compressed, only_expand=True)
        base = self._node.resolve_topic_name(self._base)
        return (resolved if remapped_itself else f"{base}/compressed"), CompressedImage

    def _age(self, stamp: Time) -> float | None:
        seconds = self._seconds_since(stamp)
        return seconds if 0 <= seconds < _COMPARABLE_SECONDS else None

    def _seconds_since(self, stamp: Time) -> float:
        return (self._node.get_clock().now().nanoseconds - stamp.nanoseconds) / 1e9
