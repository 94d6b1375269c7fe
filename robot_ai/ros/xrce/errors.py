"""Faults of what a client asks to see on the ROS graph."""

from robot_ai.errors import RobotAIError


class NameRefusedError(RobotAIError):
    """A topic, service or type name that ROS has no place for."""


class TypeNotInstalledError(RobotAIError):
    """A message, service or action type that is not installed on this computer."""


class DomainRefusedError(RobotAIError):
    """A domain that DDS has no ports for."""
