"""3D detections to vision_msgs and to markers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import Point, Pose
from numpy.typing import NDArray
from std_msgs.msg import ColorRGBA, Header
from vision_msgs.msg import Detection3D, Detection3DArray, LabelInfo, ObjectHypothesisWithPose, VisionClass
from visualization_msgs.msg import Marker, MarkerArray

from robot_ai.lidar.detections import LABELS, Detections3D
from robot_ai.perception.drawing import class_color

# RViz draws nothing for a side of length 0, which boxes of planar scans have.
_THINNEST = 0.05
_TEXT_HEIGHT = 0.35
# Arrows show where an object will be in so many seconds.
_ARROW_SECONDS = 1.0


def to_detection_3d_array(detections: Detections3D, header: Header, ids: Sequence[str] = ()) -> Detection3DArray:
    """Converts detections into a message under the given header; class_id is the label's name. `ids` are tracks."""
    message = Detection3DArray(header=header)
    for index, name in enumerate(detections.names):
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id = name
        hypothesis.hypothesis.score = float(detections.scores[index])
        hypothesis.pose.pose = _pose(detections, index)
        detection = Detection3D(header=header, results=[hypothesis], id=ids[index] if ids else "")
        detection.bbox.center = _pose(detections, index)
        size = detection.bbox.size
        size.x, size.y, size.z = detections.sizes[index].tolist()
        message.detections.append(detection)
    return message


def from_detection_3d_array(message: Detection3DArray) -> Detections3D:
    """The boxes of a message, labels by the likeliest class; a label that is not among LABELS joins them behind.

    Raises Detections3DError. Of an orientation only the turn about the vertical axis is kept.
    """
    labels = list(LABELS)
    rows, scores, classes = [], [], []
    for detection in message.detections:
        best = max((r.hypothesis for r in detection.results), key=lambda h: h.score, default=None)
        name = best.class_id if best is not None else "obstacle"
        if name not in labels:
            labels.append(name)
        position, turn, size = detection.bbox.center.position, detection.bbox.center.orientation, detection.bbox.size
        yaw = math.atan2(2 * (turn.w * turn.z + turn.x * turn.y), 1 - 2 * (turn.y**2 + turn.z**2))
        rows.append([position.x, position.y, position.z, size.x, size.y, size.z, yaw])
        scores.append(best.score if best is not None else 0.0)
        classes.append(labels.index(name))
    table = np.array(rows, np.float32).reshape(-1, 7)
    return Detections3D(
        table[:, :3], table[:, 3:6], table[:, 6], np.array(scores, np.float32), np.array(classes, np.int64),
        tuple(labels),
    )  # fmt: skip


def to_lidar_label_info(labels: Sequence[str], threshold: float, header: Header) -> LabelInfo:
    """The detector's classes by index, and the lowest score that is published."""
    classes = [VisionClass(class_id=index, class_name=label) for index, label in enumerate(labels)]
    return LabelInfo(header=header, class_map=classes, threshold=threshold)


class MarkerPainter:
    """Boxes, labels and velocities as markers; takes away those of the message before that have no successor."""

    def __init__(self) -> None:
        self._shown: set[tuple[str, int]] = set()

    def paint(
        self,
        detections: Detections3D,
        header: Header,
        ids: Sequence[str] = (),
        velocities: NDArray[np.floating] | None = None,
    ) -> MarkerArray:
        """Markers of one message. velocities: (N, 3) in meters per second, drawn as arrows from the box's middle."""
        markers = []
        for index, name in enumerate(detections.names):
            blue, green, red = (channel / 255 for channel in class_color(name))
            color = ColorRGBA(r=red, g=green, b=blue, a=0.5)
            markers.append(self._box(detections, index, header, color))
            label = f"{name} {detections.scores[index]:.2f}" + (f" #{ids[index]}" if ids else "")
            markers.append(self._text(detections, index, header, label))
            if velocities is not None:
                markers.append(self._arrow(detections.centers[index], velocities[index], index, header))
        now = {(marker.ns, marker.id) for marker in markers}
        markers += self._without(now, header)
        return MarkerArray(markers=markers)

    def clear(self) -> MarkerArray:
        """Takes away all that is shown, for when no more follows."""
        return MarkerArray(markers=self._without(set(), Header()))

    def _without(self, now: set[tuple[str, int]], header: Header) -> list[Marker]:
        gone = sorted(self._shown - now)
        self._shown = now
        return [Marker(header=header, ns=space, id=number, action=Marker.DELETE) for space, number in gone]

    @staticmethod
    def _box(detections: Detections3D, index: int, header: Header, color: ColorRGBA) -> Marker:
        marker = Marker(header=header, ns="boxes", id=index, type=Marker.CUBE, action=Marker.ADD, color=color)
        marker.pose = _pose(detections, index)
        marker.scale.x, marker.scale.y, marker.scale.z = np.maximum(detections.sizes[index], _THINNEST).tolist()
        return marker

    @staticmethod
    def _text(detections: Detections3D, index: int, header: Header, label: str) -> Marker:
        marker = Marker(header=header, ns="labels", id=index, type=Marker.TEXT_VIEW_FACING, action=Marker.ADD)
        marker.text, marker.color = label, ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
        marker.pose = _pose(detections, index)
        marker.pose.position.z += float(detections.sizes[index, 2]) / 2 + _TEXT_HEIGHT
        marker.scale.z = _TEXT_HEIGHT
        return marker

    @staticmethod
    def _arrow(center: NDArray[np.floating], velocity: NDArray[np.floating], index: int, header: Header) -> Marker:
        marker = Marker(header=header, ns="velocities", id=index, type=Marker.ARROW, action=Marker.ADD)
        marker.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=0.9)
        marker.pose.orientation.w = 1.0
        ends = (center, center + velocity * _ARROW_SECONDS)
        marker.points = [Point(x=x, y=y, z=z) for x, y, z in (end.astype(float).tolist() for end in ends)]
        marker.scale.x, marker.scale.y, marker.scale.z = 0.05, 0.12, 0.15
        return marker


def _pose(detections: Detections3D, index: int) -> Pose:
    pose = Pose()
    pose.position.x, pose.position.y, pose.position.z = detections.centers[index].astype(float).tolist()
    half = float(detections.yaws[index]) / 2
    pose.orientation.z, pose.orientation.w = math.sin(half), math.cos(half)
    return pose
