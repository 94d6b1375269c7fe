"""One lidar of a detector: its topics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import LaserScan, PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray, LabelInfo
from visualization_msgs.msg import MarkerArray

from robot_ai.lidar.detections import Detections3D
from robot_ai.ros.detections_3d import MarkerPainter, to_detection_3d_array, to_lidar_label_info
from robot_ai.ros.source_port import SourcePort

_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
KINDS = {"points": PointCloud2, "scan": LaserScan}


class LidarPort(SourcePort):
    """The publishers and the subscription of a lidar; `kind` is points or scan, which is also the topic's name."""

    def __init__(self, node: Node, kind: str) -> None:
        super().__init__(node, "")
        self._kind = kind
        self._painter = MarkerPainter()
        self._detections = node.create_publisher(Detection3DArray, "detections", 10)
        self._markers = node.create_publisher(MarkerArray, "detections/markers", 10)
        self._label_info = node.create_publisher(LabelInfo, "label_info", _LATCHED)

    def publish(
        self,
        header: Header,
        frame: str,
        detections: Detections3D,
        ids: Sequence[str] = (),
        velocities: NDArray[np.floating] | None = None,
    ) -> None:
        """Answers a source message under its stamp, in `frame`; paints only for those who look."""
        answer = Header(stamp=header.stamp, frame_id=frame)
        self._detections.publish(to_detection_3d_array(detections, answer, ids))
        self._answered(header)
        if not self._markers.get_subscription_count():
            return
        try:
            self._markers.publish(self._painter.paint(detections, answer, ids, velocities))
        # The cloud is answered already: markers that fail must not make it count as failed.
        except Exception as error:  # noqa: BLE001
            self._node.get_logger().warning(f"cannot paint the detections: {error}", throttle_duration_sec=5.0)

    def clear(self) -> None:
        """Takes the boxes away from those who look: no answer follows for now."""
        markers = self._painter.clear()
        if markers.markers:
            self._markers.publish(markers)

    def announce(self, labels: Sequence[str], threshold: float) -> None:
        """Publishes, latched, what the labels are."""
        header = Header(stamp=self._node.get_clock().now().to_msg())
        self._label_info.publish(to_lidar_label_info(labels, threshold, header))

    def destroy(self) -> None:
        """Removes everything from the graph."""
        self.unsubscribe()
        for publisher in (self._detections, self._markers, self._label_info):
            self._node.destroy_publisher(publisher)

    def _topic(self) -> tuple[str, type]:
        return self._kind, KINDS[self._kind]
