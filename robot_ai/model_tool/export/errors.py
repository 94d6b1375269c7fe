"""Faults of exporting, verifying and measuring models."""

from robot_ai.errors import RobotAIError


class ModelToolError(RobotAIError):
    """A model that cannot be exported, verified or measured; the classes below say why."""


class PhotosError(ModelToolError):
    """No photos to calibrate, compare or measure with."""


class CloudsError(ModelToolError):
    """No clouds to calibrate or compare with, or photos where clouds belong."""


class UnknownFormatError(ModelToolError):
    """A format that export does not write."""


class NoRouteError(ModelToolError):
    """A format that cannot be reached from the artifacts that the card has."""


class ConverterMissingError(ModelToolError):
    """A converter that is not installed."""


class ConverterError(ModelToolError):
    """A converter that failed, with its own message."""


class ExportDamagedError(ModelToolError):
    """An exported artifact that does not give what its source gives."""


class OutputError(ModelToolError):
    """A place to write to that cannot be used."""
