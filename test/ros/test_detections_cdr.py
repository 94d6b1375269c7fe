"""The bytes of a detection array against rclpy's own serialization."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from robot_ai.perception.detections import Detections
from robot_ai.ros.detections import to_detection_array
from robot_ai.ros.detections_cdr import encode_detection_array, matches_installed_messages

# A NUL ends a CDR string, and surrogates are no UTF-8.
names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
headers = st.builds(
    Header,
    stamp=st.builds(Time, sec=st.integers(-(2**31), 2**31 - 1), nanosec=st.integers(0, 2**32 - 1)),
    frame_id=names,
)


@st.composite
def detections(draw: st.DrawFn) -> Detections:
    labels = tuple(draw(st.lists(names, min_size=1, max_size=5)))
    count = draw(st.integers(0, 8))
    number = st.floats(0, 4096, width=32)
    corners = np.array(draw(st.lists(st.tuples(*[number] * 4), min_size=count, max_size=count)), np.float32)
    corners = corners.reshape(count, 4)
    low, high = np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(corners[:, :2], corners[:, 2:])
    scores = draw(st.lists(st.floats(0, 1, width=32), min_size=count, max_size=count))
    classes = draw(st.lists(st.integers(0, len(labels) - 1), min_size=count, max_size=count))
    return Detections(
        np.concatenate([low, high], axis=1), np.array(scores, np.float32), np.array(classes, np.int64), labels
    )


@given(detections(), headers, st.booleans(), names)
def test_rclpy_reads_the_bytes_as_the_same_message(found: Detections, header: Header, tracked: bool, name: str):
    ids = [f"{name}{index}" for index in range(len(found))] if tracked else []
    expected = to_detection_array(found, header, ids)
    encoded = encode_detection_array(found, header, ids)
    assert deserialize_message(encoded, Detection2DArray) == expected
    assert len(encoded) == len(serialize_message(expected))


def test_the_installed_messages_have_this_layout():
    assert matches_installed_messages()
