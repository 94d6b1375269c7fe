"""What can go wrong with recordings."""

from robot_ai.errors import RobotAIError, pip_install


class BagError(RobotAIError):
    """A recording that cannot be read or written."""


class BagLibraryMissingError(RobotAIError):
    """rosbags is not installed."""

    def __init__(self) -> None:
        super().__init__(f"recordings need rosbags, which is not installed: {pip_install('bags')}")


class MessageDefinitionError(RobotAIError):
    """The definition of a message type is nowhere on this computer."""
