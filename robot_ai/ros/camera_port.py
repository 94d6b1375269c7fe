"""One camera of a detector: its topics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo, VisionInfo

from robot_ai.models.card import ModelCard
from robot_ai.perception.detections import Detections
from robot_ai.perception.drawing import draw
from robot_ai.ros.detections import to_detection_array, to_label_info, to_vision_info
from robot_ai.ros.detections_cdr import encode_detection_array, matches_installed_messages
from robot_ai.ros.images import bgr_to_image
from robot_ai.ros.source_port import SourcePort
from robot_ai.ros.stamps import stamp_of
from robot_ai.tracking.tracker_2d import Tracker2D

_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class CameraPort(SourcePort):
    """The publishers and the subscription of one camera, below its namespace or, for an empty name, the node's."""

    def __init__(self, node: Node, camera: str, transport: str) -> None:
        super().__init__(node, camera)
        self._transport = transport
        prefix = f"{camera}/" if camera else ""
        self._base = f"{prefix}image"
        self._encode = encode_detection_array if matches_installed_messages() else to_detection_array
        self._tracker = Tracker2D()
        self._detections = node.create_publisher(Detection2DArray, f"{prefix}detections", 10)
        self._drawn = node.create_publisher(Image, f"{prefix}detections/image", 2)
        self._label_info = node.create_publisher(LabelInfo, f"{prefix}label_info", _LATCHED)
        self._vision_info = node.create_publisher(VisionInfo, f"{prefix}vision_info", _LATCHED)

    def publish(self, message: Any, image: Any, detections: Detections, tracking: bool = False) -> None:
        """Answers one source message, with the numbers of tracks if these are wanted; draws only for those who look."""
        ids: Sequence[str] = ()
        if tracking:
            ids = self._tracker.update(detections, stamp_of(message))
        else:
            self._tracker.reset()
        self._detections.publish(self._encode(detections, message.header, ids))
        self._answered(message.header)
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
