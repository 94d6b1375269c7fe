"""Faults of transforms and calibrations."""

from robot_ai.errors import RobotAIError


class TransformValueError(RobotAIError):
    """A rotation or a translation that is none: not finite, or a quaternion without a length."""


class TransformError(RobotAIError):
    """No transform between two frames at a time."""


class UnknownFrameError(TransformError):
    """A frame that nobody has told of."""


class UnconnectedFramesError(TransformError):
    """Two frames that no chain of transforms joins."""


class TransformTimeError(TransformError):
    """A time before the first or after the last transform that is kept; `past` tells which."""

    def __init__(self, message: str, past: bool = False) -> None:
        super().__init__(message)
        self.past = past


class FrameLoopError(TransformError):
    """A transform that would make a frame its own ancestor."""


class CalibrationError(RobotAIError):
    """A camera_info that says nothing usable: no focal length, an unknown distortion model, too few coefficients."""
