"""Faults of model files that are looked into."""

from robot_ai.errors import RobotAIError


class InspectionError(RobotAIError):
    """A model file that cannot be looked into; the classes below say why."""


class UnknownFileError(InspectionError):
    """A file or directory of no known format."""


class UnreadableModelError(InspectionError):
    """A file that is damaged, or not of the format that its name says."""


class MissingReaderError(InspectionError):
    """A format whose reader is not installed."""


class CheckpointError(InspectionError):
    """A pickle: weights, or Python objects, without a graph that could be run."""


class OutsidePathError(InspectionError):
    """A model that refers to files outside its own folder."""


class SignatureError(InspectionError):
    """A SavedModel signature that is not there."""
