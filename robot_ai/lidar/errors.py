"""Faults of clouds, scans and 3D detections."""

from robot_ai.errors import RobotAIError


class CloudError(RobotAIError):
    """A cloud that cannot be used. `fault` is a short, stable name of the kind of fault, for counting."""

    fault = "cloud"


class CloudFieldError(CloudError):
    """A field that does not fit into a point, has an unknown datatype or a name that another field has."""

    fault = "fields"


class CloudCoordinatesError(CloudError):
    """No field x, y or z, or one that holds more than one number."""

    fault = "coordinates"


class CloudSizeError(CloudError):
    """More points claimed than allowed."""

    fault = "size"


class CloudStepError(CloudError):
    """A row shorter than the points it must hold, or a point longer than any."""

    fault = "step"


class CloudLengthError(CloudError):
    """Fewer bytes than the points need."""

    fault = "length"


class CloudNotFiniteError(CloudError):
    """Points, but not one of them with finite coordinates."""

    fault = "not_finite"


class PointTimesError(RobotAIError):
    """Times of a cloud's points that cannot be those of one turn."""


class ScanError(CloudError):
    """A LaserScan whose angles, ranges or intensities contradict each other."""

    fault = "scan"


class CloudFileError(RobotAIError):
    """A file that is no cloud of the kind its name says, or that needs a library which is not installed."""


class Detections3DError(RobotAIError):
    """Arrays that do not form a valid set of 3D detections."""


class RegionError(RobotAIError):
    """A region or a box whose bounds are not numbers or out of order."""


class PillarModelError(RobotAIError):
    """A model card whose model is not one of pillars and center heads."""


class CenterHeadsError(RobotAIError):
    """A network's outputs, or its classes, that are no boxes on the ground."""
