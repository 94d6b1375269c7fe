"""Faults of a node's set-up."""

from robot_ai.errors import RobotAIError


class ParameterError(RobotAIError):
    """A parameter value that is refused."""


class QosOverrideError(RobotAIError):
    """A `qos_overrides` parameter that names no known policy value."""


class WorkerStuckError(RobotAIError):
    """A worker thread that does not end: a native call in it hangs."""
