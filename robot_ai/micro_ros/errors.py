"""Faults of the agent and of what reaches it."""

from robot_ai.errors import RobotAIError


class AgentSettingError(RobotAIError):
    """A setting of the agent or of a transport that cannot be used."""


class MessageError(RobotAIError):
    """Bytes that are no XRCE message: too short, a length that lies, a value that is not defined."""


class EntityXmlError(RobotAIError):
    """XML that describes no entity."""


class TransportError(RobotAIError):
    """A port or address that cannot be opened."""
