"""What can be wrong with the settings of driving."""

from robot_ai.errors import RobotAIError


class DriveSettingsError(RobotAIError):
    """Settings that contradict each other, or that no robot can keep."""
