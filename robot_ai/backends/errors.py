"""Faults of backends."""

from robot_ai.errors import RobotAIError


class BackendError(RobotAIError):
    """A backend that cannot be found, loaded or run; the classes below say why."""


class UnknownBackendError(BackendError):
    """A backend name that no installed package provides."""


class BackendImportError(BackendError):
    """A backend whose entry point leads to nothing that can be imported, or to more than one thing."""


class MissingFrameworkError(BackendError):
    """A backend whose framework is not installed."""


class DeviceError(BackendError):
    """A device that does not exist on this machine, or is not written as expected."""


class ArtifactLoadError(BackendError):
    """An artifact that the framework cannot turn into the card's network."""


class InferenceError(BackendError):
    """Input tensors that do not fit the network, or a framework that failed in a forward pass."""


class PrecisionError(BackendError):
    """A precision in which the backend cannot run the artifact."""


class BackendOptionError(BackendError):
    """A backend option that cannot be read, or that the backend does not know."""


class VerificationError(BackendError):
    """A loaded model whose outputs are not those that its card and its golden sample promise."""
