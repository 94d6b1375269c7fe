"""Faults of model cards and of the files they name."""

from robot_ai.errors import RobotAIError


class ModelCardError(RobotAIError):
    """A model card that cannot be used; the classes below say why."""


class CardUnreadableError(ModelCardError):
    """No `model.yaml`, or one that is not valid YAML text."""


class CardKeyError(ModelCardError):
    """A key that is unknown, missing or given twice."""


class CardValueError(ModelCardError):
    """A value of the wrong type, outside its range, or in contradiction to another."""


class CardTaskError(ModelCardError):
    """A model for another kind of data than it is asked to be used on."""


class ArtifactPathError(ModelCardError):
    """An artifact path that leaves the card's directory."""


class ArtifactMissingError(ModelCardError):
    """An artifact file that does not exist."""


class ArtifactChecksumError(ModelCardError):
    """An artifact file whose content is not what the card was written for."""


class NoArtifactError(ModelCardError):
    """A card without an artifact for the backend that was chosen."""


class ModelNotFoundError(RobotAIError):
    """A model name or path that leads to no `model.yaml`."""


class GoldenSampleError(RobotAIError):
    """A golden sample that cannot be read or does not fit its card."""
