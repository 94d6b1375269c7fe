"""Detections and model cards as vision_msgs, over a serialization as on the wire."""

from __future__ import annotations

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo, VisionInfo

from robot_ai.models.card import ModelCard
from robot_ai.perception.detections import Detections
from robot_ai.ros.detections import to_detection_array, to_label_info, to_vision_info

LABELS = ("person", "traffic light", "cup")
HEADER = Header(stamp=Time(sec=1_700_000_000, nanosec=123_456_789), frame_id="front_camera_optical")


def found(count: int = 3) -> Detections:
    xyxy = np.array([[0, 0, 640, 480], [10.5, 20, 30.25, 60], [7, 7, 7, 9]], np.float32)
    scores = np.array([0.9, 0.5, 0.25], np.float32)
    return Detections(xyxy[:count], scores[:count], np.array([2, 0, 1])[:count], LABELS)


def over_the_wire(message):
    return deserialize_message(serialize_message(message), type(message))


@pytest.fixture
def card(stub_card) -> ModelCard:
    return ModelCard.load(stub_card(), backends=["stub"])


def test_every_detection_carries_its_box_class_and_score():
    message = over_the_wire(to_detection_array(found(), HEADER))
    assert isinstance(message, Detection2DArray)
    boxes = [
        (d.bbox.center.position.x, d.bbox.center.position.y, d.bbox.size_x, d.bbox.size_y) for d in message.detections
    ]
    assert boxes == [(320, 240, 640, 480), (20.375, 40, 19.75, 40), (7, 8, 0, 2)]
    hypotheses = [[(r.hypothesis.class_id, r.hypothesis.score) for r in d.results] for d in message.detections]
    assert hypotheses == [[("cup", pytest.approx(0.9))], [("person", 0.5)], [("traffic light", 0.25)]]
    assert [d.bbox.center.theta for d in message.detections] == [0, 0, 0]
    assert [d.id for d in message.detections] == ["", "", ""]


def test_the_sources_header_is_on_the_array_and_on_every_detection():
    message = over_the_wire(to_detection_array(found(), HEADER))
    assert message.header == HEADER
    assert [detection.header for detection in message.detections] == [HEADER] * 3


def test_nothing_found_is_an_empty_array_under_the_sources_header():
    message = over_the_wire(to_detection_array(Detections.empty(LABELS), HEADER))
    assert list(message.detections) == []
    assert message.header == HEADER


def test_detections_share_no_part_that_a_change_to_one_would_change_in_another():
    message = to_detection_array(found(), HEADER)
    message.detections[0].bbox.center.position.x = -1.0
    message.detections[0].results[0].hypothesis.class_id = "changed"
    assert message.detections[1].bbox.center.position.x == 20.375
    assert message.detections[1].results[0].hypothesis.class_id == "person"


def test_pose_of_a_hypothesis_is_a_valid_orientation():
    message = over_the_wire(to_detection_array(found(1), HEADER))
    orientation = message.detections[0].results[0].pose.pose.orientation
    assert (orientation.x, orientation.y, orientation.z, orientation.w) == (0, 0, 0, 1)


def test_label_info_lists_the_cards_classes_by_index(card):
    message = over_the_wire(to_label_info(card, 0.25, HEADER))
    assert isinstance(message, LabelInfo)
    assert [(c.class_id, c.class_name) for c in message.class_map] == [(0, "bright"), (1, "other")]
    assert message.threshold == 0.25
    assert message.header == HEADER


def test_vision_info_names_model_backend_labels_and_version(card):
    message = over_the_wire(to_vision_info(card, "stub", "/front/label_info", 7, HEADER))
    assert isinstance(message, VisionInfo)
    assert message.method == "bright 1 (stub)"
    assert message.database_location == "/front/label_info"
    assert message.database_version == 7
    assert message.header == HEADER
