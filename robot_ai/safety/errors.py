"""Faults of the safety limits."""

from robot_ai.errors import RobotAIError


class SafetyLimitsError(RobotAIError):
    """Limits that contradict each other."""
