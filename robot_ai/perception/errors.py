"""Faults of images and detections."""

from robot_ai.errors import RobotAIError


class DetectionsError(RobotAIError):
    """Arrays that do not form a valid set of detections."""


class ImageError(RobotAIError):
    """An image that cannot be used. `fault` is a short, stable name of the kind of fault, for counting."""

    fault = "image"


class ImageSizeError(ImageError):
    """Zero width or height, or more pixels than allowed."""

    fault = "size"


class ImageStepError(ImageError):
    """A row shorter than the pixels it must hold."""

    fault = "step"


class ImageLengthError(ImageError):
    """Fewer or more bytes than step and height say."""

    fault = "length"


class UnknownEncodingError(ImageError):
    """A pixel encoding nobody here can read."""

    fault = "encoding"


class CompressedImageError(ImageError):
    """A JPEG or PNG that is truncated or is none."""

    fault = "compressed"
