"""Faults of worlds, their models and what draws them. Each names the file and the element."""

from robot_ai.errors import RobotAIError


class SimulationError(RobotAIError):
    """A simulation that cannot be set up."""


class WorldError(SimulationError):
    """A world that cannot be used."""


class WorldFileError(WorldError):
    """A file that is missing or holds no SDF."""


class SdfElementError(WorldError):
    """An element that SDF does not know, or that is missing where it must be."""


class SdfValueError(WorldError):
    """An element whose text is not what belongs there."""


class SdfFrameError(WorldError):
    """A pose relative to a frame that does not exist, or frames in a circle."""


class UnsupportedJointError(WorldError):
    """A joint of a type, or in a place, that this simulator cannot move."""


class UnsupportedElementError(WorldError):
    """An element that is good SDF, but that this simulator cannot simulate."""


class ResourceError(WorldError):
    """A model or a mesh that is in none of the places searched."""


class MeshError(WorldError):
    """A mesh file that cannot be read, or with a part that has no area."""


class ModelBuildError(WorldError):
    """A world that the physics engine refuses."""


class RendererError(SimulationError):
    """A way of drawing images that does not work on this machine."""


class SimulatorMissingError(SimulationError):
    """The physics engine is not installed."""
