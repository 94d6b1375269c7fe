"""Faults of decoders, of candidates and of class filters."""

from robot_ai.errors import RobotAIError


class DecoderError(RobotAIError):
    """Outputs that cannot be decoded; the classes below say why."""


class UnknownDecoderError(DecoderError):
    """A decoder name that nobody registered."""


class DecoderOptionError(DecoderError):
    """A decoder option that is unknown, missing or of the wrong kind."""


class OutputMismatchError(DecoderError):
    """Outputs that are not those the decoder reads."""


class NonFiniteOutputError(DecoderError):
    """An output that holds NaN or infinity."""


class ScoreRangeError(DecoderError):
    """Scores that are no probabilities."""


class ClassIndexError(DecoderError):
    """A class index for which the card has no label."""


class UnknownLabelError(RobotAIError):
    """A class name that the model does not know."""
