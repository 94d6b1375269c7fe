"""Detections on their way to a microcontroller: topics in, `mcu/detections` and the labels out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Float32MultiArray
from vision_msgs.msg import Detection2DArray, Detection3DArray, LabelInfo

from robot_ai.mcu.errors import CompactDetectionsError
from robot_ai.mcu.label_memory import LabelMemory
from robot_ai.mcu.polar import PolarDetections
from robot_ai.pipeline.rate import RateLimiter
from robot_ai.ros.compact_detections import is_labeled, is_larger, polar_from_2d, polar_from_3d, to_compact_message
from robot_ai.ros.diagnostics import Status
from robot_ai.ros.stamps import nanoseconds_of

_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_ANY = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
# Longer than this, in meters, is no single thing that has lost its label for a moment.
_LARGE = 2.5
# A stamp further from our clock than this was made by another clock: the difference is no age.
_COMPARABLE_SECONDS = 60.0


class McuPort:
    """Makes compact detections of each message that the rate allows, and tells `seen` of every message.

    `seen(age, nearest)` gets the age of the scene in seconds, from the header's stamp, and the distance of the nearest
    object within +-`half_angle` in meters. `settings` gives rows, rate in Hz, whether the nearest come first, the half
    angle in radians and the labels that count as obstacles (empty: all); it is asked for each message.
    """

    def __init__(
        self,
        node: Node,
        solid: bool,
        seen: Callable[[float, float], None],
        settings: Callable[[], tuple[int, float, bool, float, tuple[str, ...]]],
    ) -> None:
        self._node = node
        self._seen = seen
        self._settings = settings
        self._solid = solid
        self._limiter = RateLimiter()
        self._memory = LabelMemory()
        self._labels: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._focal = self._middle = 0.0
        self._counts = {"received": 0, "sent": 0, "left out by rate": 0, "malformed": 0}
        self._publisher = node.create_publisher(Float32MultiArray, "mcu/detections", QoSProfile(depth=1))
        kind = Detection3DArray if solid else Detection2DArray
        self._subscriptions = [
            node.create_subscription(kind, "detections", self._on_detections, _ANY),
            node.create_subscription(LabelInfo, "label_info", self._on_labels, _LATCHED),
        ]
        if not solid:
            self._subscriptions.append(node.create_subscription(CameraInfo, "camera_info", self._on_camera, _ANY))
        self._service = node.create_service(GetParameters, "mcu/label_info", self._on_label_request)

    def describe(self, status: Status) -> None:
        """Adds the counts to a diagnostic status."""
        status.values |= {f"detections {name}": str(count) for name, count in self._counts.items()}
        status.values["labels known"] = str(len(self._labels))
        if not self._solid:
            status.values["camera calibration"] = "known" if self._focal > 0 else "unknown: bearings are NaN"

    def destroy(self) -> None:
        """Removes everything from the graph."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._node.destroy_publisher(self._publisher)
        self._node.destroy_service(self._service)

    def _on_detections(self, message: Any) -> None:
        self._counts["received"] += 1
        rows, rate, nearest_first, half_angle, obstacles = self._settings()
        try:
            polar = self._polar(message)
        except CompactDetectionsError as error:
            self._counts["malformed"] += 1
            self._node.get_logger().warning(f"detections dropped: {error}", throttle_duration_sec=5.0)
            return
        age = self._age(message.header.stamp)
        # A stamp that cannot be compared says nothing: then what arrives counts as seen now.
        watched = polar
        if obstacles:
            labeled, large = is_labeled(message, obstacles), is_larger(message, _LARGE)
            watched = self._memory.watched(time.monotonic(), polar, labeled, large)
        self._seen(0.0 if math.isnan(age) else age, watched.nearest_within(half_angle))
        if not self._limiter.allow(time.monotonic(), rate):
            self._counts["left out by rate"] += 1
            return
        self._publisher.publish(to_compact_message(polar.first(rows, nearest_first), rows, age))
        self._counts["sent"] += 1

    def _polar(self, message: Any) -> PolarDetections:
        if self._solid:
            return polar_from_3d(message, self._labels)
        return polar_from_2d(message, self._labels, self._focal, self._middle)

    def _age(self, stamp: Any) -> float:
        """Seconds since the stamp, by the node's clock; NaN when it was made by another clock."""
        age = (self._node.get_clock().now().nanoseconds - nanoseconds_of(stamp)) / 1e9
        return max(age, 0.0) if abs(age) < _COMPARABLE_SECONDS else math.nan

    def _on_labels(self, message: LabelInfo) -> None:
        self._names = {entry.class_id: entry.class_name for entry in message.class_map}
        self._labels = {name: index for index, name in self._names.items()}

    def _on_camera(self, message: CameraInfo) -> None:
        self._focal, self._middle = float(message.k[0]), float(message.k[2])

    def _on_label_request(
        self, request: GetParameters.Request, response: GetParameters.Response
    ) -> GetParameters.Response:
        """The names are class indices in decimal; an index without a label gives a value that is not set."""
        response.values = [self._label(name) for name in request.names]
        return response

    def _label(self, index: str) -> ParameterValue:
        label = self._names.get(int(index)) if index.isascii() and index.isdigit() else None
        if label is None:
            return ParameterValue(type=ParameterType.PARAMETER_NOT_SET)
        return ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=label)
