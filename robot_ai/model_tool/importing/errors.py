"""Faults of importing a model."""

from robot_ai.errors import RobotAIError


class ImportModelError(RobotAIError):
    """A model that cannot be imported; the classes below say why."""


class DecoderGuessError(ImportModelError):
    """Outputs that no decoder reads, that several could read, or that the chosen one does not."""


class InputGuessError(ImportModelError):
    """An input that is no image, or whose layout, size or preprocessing cannot be told."""


class LabelsError(ImportModelError):
    """Class names that cannot be read or do not fit the model."""


class OverrideError(ImportModelError):
    """A value given by the user that cannot be used."""


class DestinationError(ImportModelError):
    """A place to write to that cannot be used."""
