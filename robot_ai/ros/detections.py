"""Detections and model cards to vision_msgs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from std_msgs.msg import Header
from vision_msgs.msg import (
    Detection2D,
    Detection2DArray,
    LabelInfo,
    ObjectHypothesisWithPose,
    VisionClass,
    VisionInfo,
)

from robot_ai.models.card import ModelCard
from robot_ai.perception.detections import Detections


def to_detection_array(detections: Detections, header: Header, ids: Sequence[str] = ()) -> Detection2DArray:
    """Converts detections into a message under the source's header; class_id is the label's name, ids the tracks'."""
    message = Detection2DArray(header=header)
    names = detections.names
    scores = detections.scores.tolist()
    boxes = detections.xyxy.tolist()
    for name, score, (left, top, right, bottom), identity in zip(
        names, scores, boxes, ids or [""] * len(names), strict=True
    ):
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id = name
        hypothesis.hypothesis.score = score
        detection = Detection2D(header=header, results=[hypothesis], id=identity)
        detection.bbox.center.position.x = (left + right) / 2
        detection.bbox.center.position.y = (top + bottom) / 2
        detection.bbox.size_x = right - left
        detection.bbox.size_y = bottom - top
        message.detections.append(detection)
    return message


def from_detection_array(message: Detection2DArray) -> Detections:
    """The boxes of a message, with the likeliest class of each. Raises DetectionsError."""
    labels: list[str] = []
    rows, scores, classes = [], [], []
    for detection in message.detections:
        best = max((result.hypothesis for result in detection.results), key=lambda h: h.score, default=None)
        if best is None:
            continue
        if best.class_id not in labels:
            labels.append(best.class_id)
        center, half_x, half_y = detection.bbox.center.position, detection.bbox.size_x / 2, detection.bbox.size_y / 2
        rows.append([center.x - half_x, center.y - half_y, center.x + half_x, center.y + half_y])
        scores.append(best.score)
        classes.append(labels.index(best.class_id))
    boxes = np.array(rows, np.float32).reshape(-1, 4)
    return Detections(boxes, np.array(scores, np.float32), np.array(classes, np.int64), tuple(labels))


def to_label_info(card: ModelCard, threshold: float, header: Header) -> LabelInfo:
    """The model's classes, by index, and the confidence threshold in force."""
    classes = [VisionClass(class_id=index, class_name=label) for index, label in enumerate(card.labels)]
    return LabelInfo(header=header, class_map=classes, threshold=threshold)


def to_vision_info(card: ModelCard, backend: str, label_info_topic: str, version: int, header: Header) -> VisionInfo:
    """Which model speaks; `version` grows with every change, `database_location` is the topic of the labels."""
    return VisionInfo(
        header=header,
        method=f"{card.name} {card.version} ({backend})",
        database_location=label_info_topic,
        database_version=version,
    )
