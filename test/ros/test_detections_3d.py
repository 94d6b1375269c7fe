"""3D detections as messages and back."""

import numpy as np
import pytest
from std_msgs.msg import Header
from vision_msgs.msg import Detection3D, Detection3DArray
from visualization_msgs.msg import Marker

from robot_ai.lidar.detections import Detections3D
from robot_ai.ros.detections_3d import MarkerPainter, from_detection_3d_array, to_detection_3d_array

HEADER = Header(frame_id="lidar")


def detections(count=3):
    rng = np.random.default_rng(0)
    return Detections3D(
        rng.normal(0, 9, (count, 3)).astype(np.float32),
        rng.uniform(0, 4, (count, 3)).astype(np.float32),
        rng.uniform(-3, 3, count).astype(np.float32),
        rng.random(count).astype(np.float32),
        rng.integers(0, 4, count),
    )


def test_round_trip():
    first = detections()
    message = to_detection_3d_array(first, HEADER, ["4", "", "5"])
    assert [d.id for d in message.detections] == ["4", "", "5"]
    assert all(d.header == HEADER for d in message.detections)
    second = from_detection_3d_array(message)
    for one, other in zip(first.arrays, second.arrays, strict=True):
        assert other == pytest.approx(one, abs=1e-5)
    assert second.names == first.names


def test_foreign_labels_join_and_no_result_is_an_obstacle():
    message = to_detection_3d_array(detections(2), HEADER)
    message.detections[0].results[0].hypothesis.class_id = "dog"
    message.detections.append(Detection3D())
    read = from_detection_3d_array(message)
    assert (read.names[0], read.names[2]) == ("dog", "obstacle")
    assert len(from_detection_3d_array(Detection3DArray())) == 0


def test_markers_are_taken_away_when_nothing_follows():
    painter = MarkerPainter()
    painter.paint(detections(), HEADER)
    gone = painter.clear()
    assert all(m.action == Marker.DELETE for m in gone.markers)
    assert {(m.ns, m.id) for m in gone.markers} == {(n, i) for n in ("boxes", "labels") for i in range(3)}
    assert not painter.clear().markers


def test_markers_are_turned_thick_enough_and_taken_away():
    painter, shown = MarkerPainter(), detections()
    flat = Detections3D(shown.centers, shown.sizes * [1, 1, 0], shown.yaws, shown.scores, shown.class_indices)
    first = painter.paint(flat, HEADER, ["1", "2", "3"], np.ones((3, 3)))
    boxes = [marker for marker in first.markers if marker.ns == "boxes"]
    for marker, yaw in zip(boxes, shown.yaws, strict=True):
        assert 2 * np.arctan2(marker.pose.orientation.z, marker.pose.orientation.w) == pytest.approx(yaw, abs=1e-5)
        assert marker.scale.z > 0
    assert [m.text.split("#")[1] for m in first.markers if m.ns == "labels"] == ["1", "2", "3"]
    second = painter.paint(detections(1), HEADER)
    gone = {(m.ns, m.id) for m in second.markers if m.action == Marker.DELETE}
    assert gone == {(n, i) for n in ("boxes", "labels") for i in (1, 2)} | {("velocities", i) for i in (0, 1, 2)}
    assert not [m for m in painter.paint(detections(1), HEADER).markers if m.action == Marker.DELETE]
