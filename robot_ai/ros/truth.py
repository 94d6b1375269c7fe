"""The simulator's ground truth from its messages."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from robot_ai.evaluation.scorer_2d import Truth2D
from robot_ai.ros.detections import from_detection_array


def truth_from_2d(message: Any) -> Truth2D:
    """A Detection2DArray whose scores are visible shares, whose ids are the things' names and whose poses are their
    middles in the camera's optical frame, as ground_truth/detections_2d has them. Raises DetectionsError.
    """
    detections = [detection for detection in message.detections if detection.results]
    middles = [d.results[0].pose.pose.position for d in detections]
    # A pose that nobody has filled in says nothing.
    distances = [math.hypot(m.x, m.y, m.z) or math.nan for m in middles]
    return Truth2D(from_detection_array(message), [d.id for d in detections], np.array(distances, float))
