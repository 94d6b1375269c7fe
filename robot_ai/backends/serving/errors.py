"""Faults of model servers and of the way to them. While a model is loaded they are told as an ArtifactLoadError."""

from robot_ai.backends.errors import InferenceError


class ServerUnavailableError(InferenceError):
    """A server that cannot be reached, or that went away during a request."""


class DeadlineExceededError(InferenceError):
    """A server that did not answer in time."""


class ModelNotServedError(InferenceError):
    """A model, version or label that the server does not have."""


class ModelNotReadyError(ModelNotServedError):
    """A model that the server is still loading."""


class RequestRefusedError(InferenceError):
    """A request that the server refused or failed at."""


class AnswerError(InferenceError):
    """An answer that is not the protocol's, or does not fit the card."""
