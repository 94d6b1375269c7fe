"""vision_msgs to the compact detections of a microcontroller."""

from __future__ import annotations

import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Float32MultiArray, MultiArrayDimension, MultiArrayLayout

from robot_ai.mcu.compact import FIELDS, FIELDS_LABEL, OFFSET, ROWS_LABEL, pack
from robot_ai.mcu.errors import CompactDetectionsError
from robot_ai.mcu.polar import PolarDetections, from_boxes, from_image_boxes

_OPTICAL = ("_optical", "_optical_frame")


def polar_from_2d(message: Any, labels: Mapping[str, int], focal: float, middle: float) -> PolarDetections:
    """A Detection2DArray; `labels` gives each class_id its index, `focal` and `middle` are fx and cx in pixels.

    Raises CompactDetectionsError when a box is not finite.
    """
    detections = [d for d in message.detections if d.results]
    boxes = np.array([(d.bbox.center.position.x, d.bbox.size_x) for d in detections], np.float64).reshape(-1, 2)
    _check_finite(boxes)
    return from_image_boxes(*_classes(detections, labels), boxes[:, 0], boxes[:, 1], focal=focal, middle=middle)


def polar_from_3d(message: Any, labels: Mapping[str, int]) -> PolarDetections:
    """A Detection3DArray, seen from the origin of its frame. Raises CompactDetectionsError when a box is not finite."""
    detections = [d for d in message.detections if d.results]
    rows = []
    for detection in detections:
        pose, size = detection.bbox.center, detection.bbox.size
        p, q = pose.position, pose.orientation
        rows.append((p.x, p.y, p.z, size.x, size.y, size.z, q.x, q.y, q.z, q.w))
    boxes = np.array(rows, np.float64).reshape(-1, 10)
    _check_finite(boxes)
    optical = message.header.frame_id.endswith(_OPTICAL)
    return from_boxes(*_classes(detections, labels), boxes[:, :3], boxes[:, 3:6], boxes[:, 6:], optical=optical)


def is_labeled(message: Any, names: Sequence[str]) -> NDArray[np.bool_]:
    """(N,): whether the best hypothesis of each detection has one of these names; rows as in polar_from_2d and _3d."""
    best = [_best(detection) for detection in message.detections if detection.results]
    return np.array([hypothesis.class_id in names for hypothesis in best], bool)


def is_larger(message: Any, limit: float) -> NDArray[np.bool_]:
    """(N,): whether a box is longer than `limit` meters along the floor; False for 2D; rows as in is_labeled."""
    sizes = [getattr(detection.bbox, "size", None) for detection in message.detections if detection.results]
    return np.array([size is not None and max(size.x, size.y) > limit for size in sizes], bool)


def to_compact_message(detections: PolarDetections, rows: int, age: float) -> Float32MultiArray:
    """The message of `rows` rows; robot_ai/mcu/compact.py has its format."""
    count = len(FIELDS)
    layout = MultiArrayLayout(
        dim=[
            MultiArrayDimension(label=ROWS_LABEL, size=rows, stride=rows * count),
            MultiArrayDimension(label=FIELDS_LABEL, size=count, stride=count),
        ],
        data_offset=OFFSET,
    )
    return Float32MultiArray(layout=layout, data=array.array("f", pack(detections, rows, age).tobytes()))


def _check_finite(boxes: NDArray[np.float64]) -> None:
    # A box that is nowhere could be anywhere: it must not pass for a free way.
    if not np.isfinite(boxes).all():
        raise CompactDetectionsError("a box holds NaN or infinity; expected finite positions and sizes")


def _classes(detections: Sequence[Any], labels: Mapping[str, int]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Class index and score of each detection's best hypothesis."""
    best = [_best(detection) for detection in detections]
    indices = np.array([labels.get(h.class_id, -1) for h in best], np.int64)
    return indices, np.array([h.score for h in best], np.float64)


def _best(detection: Any) -> Any:
    return max(detection.results, key=lambda result: result.hypothesis.score).hypothesis
