"""Labels that somebody drew over scans from above, in a YAML file, and how well a detector agrees with them.

    frames:
      - scan: street.osf        # below the folder of scans
        index: 0                # which scan of a recording
        reach: 20               # meters around the sensor, within which everything that can be told is labeled
        boxes:
          - [vehicle, 3.2, -6.1, 4.4, 1.8, 12]     # label, x, y, length, width in meters, heading in degrees
        unsure:
          - [1.0, 7.5, 1.2]     # x, y, radius: what could not be told; neither asked for nor held against a detector

Boxes are plans on the ground: what a view from above shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from robot_ai.errors import RobotAIError
from robot_ai.lidar.cluster_detector import ClusterSettings, ground_of, stands
from robot_ai.lidar.detections import LABELS, Detections3D
from robot_ai.lidar.files import read_points
from robot_ai.training.lidar_scoring import MIN_POINTS, Scores, judge, no_scores

Points = NDArray[np.float32]

# A point within this many meters beside a plan belongs to it: plans are drawn by hand.
_MARGIN = 0.2


class LabelFileError(RobotAIError):
    """A file that holds no labels of scans."""


@dataclass(frozen=True)
class LabeledScan:
    """points (N, 3); objects, whose sizes have no height; unsure (U, 3): x, y, radius; reach in meters."""

    name: str
    points: Points
    objects: Detections3D
    unsure: NDArray[np.float64]
    reach: float

    @property
    def counts(self) -> NDArray[np.int64]:
        """(objects,): how many points stand on each object's plan, above the ground and below `max_height`."""
        settings = ClusterSettings()
        above = ground_of(self.points, settings)
        standing = self.points[stands(above, settings)].copy()
        standing[:, 2] = 0
        counts: NDArray[np.int64] = self.objects.contains(standing, _MARGIN).sum(axis=1)
        return counts


class LabelFile:
    """The frames of a file, whose scans lie below a folder. Raises LabelFileError; reading a scan, CloudFileError."""

    def __init__(self, file: Path, scans: Path) -> None:
        self._file, self._scans = file, scans
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
            self._frames: list[Mapping[str, Any]] = list(content["frames"])
        except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as error:
            raise LabelFileError(f"{file} holds no labels of scans: {error}; expected a list 'frames'") from error

    def __iter__(self) -> Iterator[LabeledScan]:
        for number, frame in enumerate(self._frames):
            try:
                scan, index, reach = Path(str(frame["scan"])), int(frame.get("index", 0)), float(frame["reach"])
                objects = _objects(frame.get("boxes") or [])
                unsure = np.array(frame.get("unsure") or [], float).reshape(-1, 3)
            except (KeyError, ValueError, TypeError, AttributeError) as error:
                raise LabelFileError(
                    f"{self._file}: frame {number} is not as expected: {error!r}; expected scan, reach, and lists of "
                    "boxes [label, x, y, length, width, degrees] and unsure [x, y, radius]"
                ) from error
            points = read_points(self._scans / scan, index)
            yield LabeledScan(f"{scan.name} {index}", points, objects, unsure, reach)


def evaluate(labels: LabelFile, detect: Callable[[Points], Detections3D]) -> Scores:
    """Judges a detector on objects with MIN_POINTS points or more, within each frame's reach."""
    scores = no_scores()
    for scan in labels:
        found = detect(scan.points)
        found = found.take(np.linalg.norm(found.centers[:, :2], axis=1) < scan.reach)
        judge(scan.objects, scan.counts >= MIN_POINTS, found, scores, _excuse(scan, found))
    return scores


def _excuse(scan: LabeledScan, found: Detections3D) -> Callable[[int], bool]:
    gaps = np.linalg.norm(found.centers[:, None, :2] - scan.unsure[None, :, :2], axis=-1)
    excused = (gaps < scan.unsure[None, :, 2]).any(axis=1)
    return lambda index: bool(excused[index])


def _objects(rows: list[Any]) -> Detections3D:
    if not rows:
        return Detections3D.empty()
    labels = np.array([LABELS.index(row[0]) for row in rows], np.int64)
    numbers = np.array([row[1:] for row in rows], np.float32).reshape(len(rows), 5)
    flat = np.zeros((len(rows), 1), np.float32)
    return Detections3D(
        np.hstack([numbers[:, :2], flat]),
        np.hstack([numbers[:, 2:4], flat]),
        np.radians(numbers[:, 4]),
        np.ones(len(rows), np.float32),
        labels,
    )
