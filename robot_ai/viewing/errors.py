"""What can go wrong with viewing."""

from robot_ai.errors import RobotAIError, pip_install


class VideoError(RobotAIError):
    """A video that cannot be written."""


class ViewerMissingError(RobotAIError):
    """rerun-sdk is not installed."""

    def __init__(self) -> None:
        super().__init__(f"the viewer needs rerun-sdk, which is not installed: {pip_install('view')}")


class ViewerError(RobotAIError):
    """The viewer cannot be served, or its recording not written."""
