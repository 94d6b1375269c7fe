"""Faults of what goes to a microcontroller."""

from robot_ai.errors import RobotAIError


class CompactDetectionsError(RobotAIError):
    """Numbers that are no compact detections."""
