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

from robot_ai.perception.detections import Detections
from robot_ai.ros.detections import to_detection_array

_ENCAPSULATION = b"\x00\x01\x00\x00"  # CDR, little-endian, no options
_UINT32 = struct.Struct("<I")
_STAMP = struct.Struct("<iI")
# score; pose: position, orientation (w = 1), covariance; center: x, y, theta; size_x, size_y
_NUMBERS = struct.Struct("<49d")
_POSE = (0.0,) * 6 + (1.0,) + (0.0,) * 36
_ONE_RESULT = _UINT32.pack(1)


def encode_detection_array(detections: Detections, header: Header, ids: Sequence[str] = ()) -> bytes:
    """The serialized form of the message that `to_detection_array` gives."""
    # Alignment counts from the end of the encapsulation, which is put before the rest at the end.
    data = bytearray()
    source = _STAMP.pack(header.stamp.sec, header.stamp.nanosec) + _string(header.frame_id)
    prefix = source + bytes(-len(source) % 4) + _ONE_RESULT
    data += source
    data += bytes(-len(data) % 4)
    data += _UINT32.pack(len(detections))
    boxes = detections.xyxy.astype(np.float64)
    centers = ((boxes[:, :2] + boxes[:, 2:]) / 2).tolist()
    sizes = (boxes[:, 2:] - boxes[:, :2]).tolist()
    for name, score, (x, y), (width, height), identity in zip(
        detections.names, detections.scores.tolist(), centers, sizes, ids or [""] * len(detections), strict=True
    ):
        data += bytes(-len(data) % 4)
        data += prefix
        data += _string(name)
        data += bytes(-len(data) % 8)
        data += _NUMBERS.pack(score, *_POSE, x, y, 0.0, width, height)
        data += _string(identity)
    return _ENCAPSULATION + bytes(data)


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


def _string(text: str) -> bytes:
    encoded = text.encode() + b"\0"
    return _UINT32.pack(len(encoded)) + encoded
