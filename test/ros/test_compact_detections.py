"""Compact detections from vision_msgs, and their size on the wire."""

from __future__ import annotations

import math

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Float32MultiArray
from vision_msgs.msg import Detection2D, Detection2DArray, Detection3D, Detection3DArray, ObjectHypothesisWithPose

from robot_ai.mcu.compact import MAX_ROWS, serialized_size, unpack
from robot_ai.mcu.errors import CompactDetectionsError
from robot_ai.ros.compact_detections import is_larger, polar_from_2d, polar_from_3d, to_compact_message

LABELS = {"person": 0, "dog": 16}


def hypothesis(name: str, score: float) -> ObjectHypothesisWithPose:
    result = ObjectHypothesisWithPose()
    result.hypothesis.class_id, result.hypothesis.score = name, score
    return result


def flat(name: str, x: float, width: float) -> Detection2D:
    detection = Detection2D(results=[hypothesis(name, 0.7)])
    detection.bbox.center.position.x, detection.bbox.size_x = x, width
    return detection


def solid(name: str, x: float, y: float) -> Detection3D:
    detection = Detection3D(results=[hypothesis("cat", 0.2), hypothesis(name, 0.9)])
    detection.bbox.center.position.x, detection.bbox.center.position.y = x, y
    detection.bbox.size.x = detection.bbox.size.y = detection.bbox.size.z = 1.0
    return detection


def test_what_is_larger_along_the_floor() -> None:
    wall, pole = solid("obstacle", 1.0, 0.0), solid("obstacle", 2.0, 0.0)
    wall.bbox.size.y, pole.bbox.size.z = 6.0, 6.0
    message = Detection3DArray(detections=[Detection3D(), wall, pole])
    assert is_larger(message, 2.5).tolist() == [True, False], "what has no hypothesis has no row"
    assert is_larger(Detection2DArray(detections=[flat("dog", 0.0, 900.0)]), 2.5).tolist() == [False]


def test_2d_detections() -> None:
    message = Detection2DArray(detections=[flat("dog", 320.0, 64.0), flat("unheard of", 0.0, 10.0), Detection2D()])
    polar = polar_from_2d(message, LABELS, 320.0, 320.0)
    assert polar.class_indices.tolist() == [16, -1]
    assert polar.bearings.tolist() == pytest.approx([0, math.pi / 4])
    assert np.isnan(polar.ranges).all()


def test_3d_detections_take_the_best_hypothesis() -> None:
    polar = polar_from_3d(Detection3DArray(detections=[solid("person", 3.0, 0.0)]), LABELS)
    assert (polar.class_indices[0], polar.scores[0], polar.ranges[0]) == (0, 0.9, 2.5)


def test_the_frame_name_tells_an_optical_frame() -> None:
    message = Detection3DArray(detections=[solid("person", 0.0, 0.0)])
    message.detections[0].bbox.center.position.z = 3.0
    assert polar_from_3d(message, LABELS).ranges[0] == 0
    message.header.frame_id = "front_camera_optical_frame"
    assert polar_from_3d(message, LABELS).ranges[0] == 2.5


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_box_that_is_nowhere_is_refused(value: float) -> None:
    with pytest.raises(CompactDetectionsError, match="finite"):
        polar_from_3d(Detection3DArray(detections=[solid("person", value, 0.0)]), LABELS)
    with pytest.raises(CompactDetectionsError, match="finite"):
        polar_from_2d(Detection2DArray(detections=[flat("person", value, 0.0)]), LABELS, 320.0, 320.0)


@pytest.mark.parametrize("count", [0, 3, 40])
@pytest.mark.parametrize("rows", [1, 16, MAX_ROWS])
def test_size_on_the_wire_is_fixed(rows: int, count: int) -> None:
    polar = polar_from_3d(Detection3DArray(detections=[solid("dog", 3.0 + n, 0.0) for n in range(count)]), LABELS)
    cdr = serialize_message(to_compact_message(polar, rows, 0.25))
    assert len(cdr) == 4 + serialized_size(rows)
    back, age = unpack(np.array(deserialize_message(cdr, Float32MultiArray).data, np.float32))
    assert (len(back), age) == (min(rows, count), 0.25)
    assert back.ranges.tolist() == pytest.approx([2.5 + n for n in range(min(rows, count))])
