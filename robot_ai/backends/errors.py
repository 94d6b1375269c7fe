"""Faults of backends."""

from __future__ import annotations

import re

from robot_ai.errors import RobotAIError

# As PyTorch on the CPU and CUDA, TensorFlow, ONNX Runtime's arena and C++ itself say it. A server's RESOURCE_EXHAUSTED
# is not among them: it also says that a message is too long.
_NO_MEMORY = re.compile(
    r"out of memory|\bOOM\b|can(no|')t allocate memory|failed to allocate memory|available memory of \d+ is smaller"
    r"|bad_alloc|bad allocation",
    re.IGNORECASE,
)


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


class PassUnderWayError(BackendError):
    """A forward pass that did not return, so that its model cannot take another."""


class PrecisionError(BackendError):
    """A precision in which the backend cannot run the artifact."""


class BackendOptionError(BackendError):
    """A backend option that cannot be read, or that the backend does not know."""


class VerificationError(BackendError):
    """A loaded model whose outputs are not those that its card and its golden sample promise."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from, says that memory ran out."""
    while error is not None:
        if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
            return True
        error = error.__cause__
    return False
