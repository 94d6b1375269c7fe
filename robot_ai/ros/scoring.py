"""Messages of detections and of the truth, brought together by their stamps and scored."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from robot_ai.evaluation.scorer_2d import Scorer2D, Settings2D
from robot_ai.evaluation.scorer_3d import Scorer3D
from robot_ai.geometry.transforms import RigidTransform
from robot_ai.lidar.detections import Detections3D
from robot_ai.pipeline.cloud_detector import into_frame
from robot_ai.ros.detections import from_detection_array
from robot_ai.ros.detections_3d import from_detection_3d_array
from robot_ai.ros.stamps import stamp_of
from robot_ai.ros.truth import truth_from_2d

# So many stamps wait for their partner; at 10 Hz that is four seconds.
_KEPT = 40


class StampedScores:
    """Scores what has the very same stamp. `to_base` gives the transform from a message's frame into the robot's.

    A detector's truth is counted under its name, in the order of `use`: a swap of backends begins another score.
    """

    def __init__(self, to_base: Callable[[Any], RigidTransform], settings: Settings2D | None = None) -> None:
        self.by_detector: dict[str, Scorer2D] = {}
        self.space = Scorer3D()
        self._to_base = to_base
        self._settings = settings
        self._detector = ""
        self._seen: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._placed: OrderedDict[int, dict[str, Any]] = OrderedDict()

    def use(self, detector: str) -> None:
        """What is seen from now on is this detector's."""
        self._detector = detector

    @property
    def image(self) -> Scorer2D:
        """The score of the detector in use."""
        return self.by_detector.setdefault(self._detector, Scorer2D(self._settings))

    def seen(self, kind: str, message: Any) -> None:
        """A Detection2DArray that is "found" or "truth". Raises DetectionsError."""
        entry = _entry(self._seen, message)
        entry[kind] = from_detection_array(message) if kind == "found" else truth_from_2d(message)
        if len(entry) == 2:
            self.image.add(entry["found"], entry["truth"], stamp_of(message))

    def placed(self, kind: str, message: Any) -> Detections3D:
        """A Detection3DArray that is "found" or "truth"; its boxes in the robot's frame.

        Raises Detections3DError and TransformError.
        """
        boxes = into_frame(from_detection_3d_array(message), self._to_base(message))
        entry = _entry(self._placed, message)
        entry[kind] = (boxes, [detection.id for detection in message.detections])
        if len(entry) == 2:
            (found, tracks), (truth, names) = entry["found"], entry["truth"]
            self.space.add(found, truth, names, tracks)
        return boxes


def _entry(kept: OrderedDict[int, dict[str, Any]], message: Any) -> dict[str, Any]:
    entry = kept.setdefault(stamp_of(message), {})
    while len(kept) > _KEPT:
        kept.popitem(last=False)
    return entry
