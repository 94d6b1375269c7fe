"""Detections straight to the bytes of a vision_msgs/Detection2DArray.

rclpy builds some ten Python objects per detection and then reads each of their fields for the serialization, which for
a hundred detections takes longer than preprocessing an image (docs/benchmarks.md). The layout is plain little-endian
CDR (DDS-XTypes 1.3, 7.4.1, XCDR version 1) of vision_msgs 4.1; `matches_installed_messages` tells whether the installed
messages have that layout.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache

import numpy as np
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from robot_ai.micro_ros.cdr import CdrWriter
from robot_ai.perception.detections import Detections
from robot_ai.ros.detections import to_detection_array

_ENCAPSULATION = b"\x00\x01\x00\x00"  # CDR, little-endian, no options
_STAMP = struct.Struct("<iI")
# score; pose: position, orientation (w = 1), covariance; center: x, y, theta; size_x, size_y
_NUMBERS = struct.Struct("<49d")
_POSE = (0.0,) * 6 + (1.0,) + (0.0,) * 36
_ONE_RESULT = 1


def encode_detection_array(detections: Detections, header: Header, ids: Sequence[str] = ()) -> bytes:
    """The serialized form of the message that `to_detection_array` gives."""
    source = CdrWriter().raw(_STAMP.pack(header.stamp.sec, header.stamp.nanosec)).string(header.frame_id).bytes()
    # A header holds nothing wider than 4 bytes: with what follows it, it looks the same wherever it stands.
    before_class = CdrWriter().raw(source).u32(_ONE_RESULT).bytes()
    boxes = detections.xyxy.astype(np.float64)
    centers = ((boxes[:, :2] + boxes[:, 2:]) / 2).tolist()
    sizes = (boxes[:, 2:] - boxes[:, :2]).tolist()
    writer = CdrWriter().raw(source).u32(len(detections))
    for name, score, (x, y), (width, height), identity in zip(
        detections.names, detections.scores.tolist(), centers, sizes, ids or [""] * len(detections), strict=True
    ):
        writer.aligned(4, before_class).string(name)
        writer.aligned(8, _NUMBERS.pack(score, *_POSE, x, y, 0.0, width, height)).string(identity)
    # Alignment counts from the end of the encapsulation.
    return _ENCAPSULATION + writer.bytes()


@cache
def matches_installed_messages() -> bool:
    """Whether the installed vision_msgs are serialized as `encode_detection_array` does it."""
    boxes = np.array([[1, 2, 4, 8], [0.5, 0, 3, 9]], np.float32)
    sample = Detections(boxes, np.array([0.25, 0.5], np.float32), np.array([1, 0]), ("a", "bcd"))
    header = Header(frame_id="camera")
    header.stamp.sec, header.stamp.nanosec = 3, 5
    ids = ("7", "")
    message, encoded = to_detection_array(sample, header, ids), encode_detection_array(sample, header, ids)
    # rclpy leaves the bytes between fields as they were in memory, so that the bytes themselves cannot be compared.
    same_length = len(serialize_message(message)) == len(encoded)
    return same_length and bool(deserialize_message(encoded, Detection2DArray) == message)
