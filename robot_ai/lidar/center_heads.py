"""From a network's class scores and boxes per cell to boxes on the ground: centers are peaks, as in CenterPoint.

Formats: `robot_ai.models.networks.pillarnet_plan`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.lidar.detections import LABELS, Detections3D
from robot_ai.lidar.errors import CenterHeadsError
from robot_ai.lidar.pillars import PillarGrid, Pillars

Floats = NDArray[np.float32]

COLUMNS = 8
"""offset x, y; height above the ground; log length, width, height; sin and cos of twice the heading."""

# A center this near, in meters, to a better one is the same thing: by the better one's class.
_APART = {"person": 0.4, "cyclist": 0.7, "vehicle": 1.5}
_NEIGHBORS = tuple((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right)
# What no size can exceed, in meters: a network that has gone wild must not overflow.
_LARGEST = 30.0
# Something must stand as near to the middle of a box as this, in meters, or as half its diagonal.
_LEAST_REACH = 0.5


@dataclass(frozen=True)
class CenterHeads:
    """Reads `scores` (B, N, classes) and `boxes` (B, N, 8) of N cells in row-major order, `stride` pillars wide.

    classes: the network's, among LABELS. Raises CenterHeadsError for a class that is none of these.
    """

    grid: PillarGrid
    stride: int
    classes: tuple[str, ...]
    max_detections: int = 300

    def __post_init__(self) -> None:
        unknown = [name for name in self.classes if name not in _APART]
        if unknown:
            raise CenterHeadsError(f"the network's class '{unknown[0]}' is unknown; expected {', '.join(_APART)}")

    @property
    def cells(self) -> int:
        """Cells per side."""
        return self.grid.side // self.stride

    def decode(
        self, outputs: Mapping[str, NDArray[Any]], item: int, confidence: float, pillars: Pillars
    ) -> Detections3D:
        """The boxes of one batch item that score `confidence` or more and stand where there are points.

        Raises CenterHeadsError when the outputs hold NaN or infinity.
        """
        scores, boxes = (np.asarray(outputs[name][item], np.float32) for name in ("scores", "boxes"))
        if not (np.isfinite(scores).all() and np.isfinite(boxes).all()):
            raise CenterHeadsError("the network's outputs hold NaN or infinity; expected finite numbers")
        rows, columns, classes, values = _peaks(scores.reshape(self.cells, self.cells, -1), max(confidence, 1e-6))
        if not len(values):
            return Detections3D.empty()
        best = np.argsort(-values, kind="stable")[: self.max_detections]
        rows, columns, classes, values = rows[best], columns[best], classes[best], values[best]
        found = self._boxes(boxes[rows * self.cells + columns], rows, columns, classes, np.clip(values, 0, 1))
        return _on_the_ground(found.take(self._distinct(found)), pillars)

    def _boxes(
        self, raw: Floats, rows: NDArray[Any], columns: NDArray[Any], classes: NDArray[Any], scores: Floats
    ) -> Detections3D:
        """Boxes whose z is above the ground."""
        edge = self.grid.cell * self.stride
        cells = np.stack([columns, rows], axis=1) + np.float32(0.5)
        places = (cells + raw[:, :2]) * edge - self.grid.reach
        sizes = np.exp(np.minimum(raw[:, 3:6], np.log(_LARGEST)))
        yaws = np.arctan2(raw[:, 6], raw[:, 7]) / 2
        labels = np.array([LABELS.index(name) for name in self.classes], np.int64)[classes]
        centers = np.column_stack([places, raw[:, 2]])
        return Detections3D(
            centers.astype(np.float32), sizes.astype(np.float32), yaws.astype(np.float32), scores, labels
        )

    def _distinct(self, found: Detections3D) -> NDArray[np.intp]:
        """Which boxes, given best first, are not the same thing as a better one."""
        reach = np.array([_APART.get(name, 0.0) for name in LABELS])[found.class_indices]
        gaps = np.linalg.norm(found.centers[:, None, :2] - found.centers[None, :, :2], axis=-1)
        same = gaps < reach[:, None]
        kept = np.ones(len(found), np.bool_)
        for index in range(len(found)):
            if kept[index]:
                kept[index + 1 :] &= ~same[index, index + 1 :]
        return np.flatnonzero(kept)


def _peaks(planes: Floats, least: float) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], Floats]:
    """Rows, columns, classes and scores of the cells of (h, w, C) that score `least` and that no neighbor exceeds."""
    rows, columns, classes = np.nonzero(planes >= least)
    values = planes[rows, columns, classes]
    # Few cells score at all: their neighbors are looked up instead of filtering the whole plane.
    framed = np.pad(planes, ((1, 1), (1, 1), (0, 0)))
    highest = np.ones(len(values), np.bool_)
    for down, right in _NEIGHBORS:
        highest &= framed[rows + 1 + down, columns + 1 + right, classes] <= values
    return rows[highest], columns[highest], classes[highest], values[highest]


def targets_of(boxes: Detections3D, heights: Floats, grid: PillarGrid, stride: int, cells: NDArray[Any]) -> Floats:
    """What a network should give at `cells` (N, 2), row and column, for boxes (N), whose middles are `heights` (N,)
    meters above the ground: (N, 8). The inverse of decoding.
    """
    edge = grid.cell * stride
    offsets = (boxes.centers[:, :2] + grid.reach) / edge - cells[:, ::-1] - 0.5
    twice = 2 * boxes.yaws
    return np.column_stack([offsets, heights, np.log(boxes.sizes), np.sin(twice), np.cos(twice)]).astype(np.float32)


def ground_below(boxes: Detections3D, pillars: Pillars) -> tuple[Floats, NDArray[np.bool_]]:
    """z of the ground of the pillar nearest to each box (N,), and whether something stands within the box's reach."""
    if not len(boxes) or not len(pillars.places):
        return np.zeros(len(boxes), np.float32), np.zeros(len(boxes), np.bool_)
    # Of thousands of pillars: coordinate by coordinate, and squared, is a third of the time.
    x, y = (boxes.centers[:, axis, None] - pillars.places[:, axis] for axis in (0, 1))
    gaps = x * x + y * y
    reach = np.maximum(_LEAST_REACH, np.linalg.norm(boxes.sizes[:, :2], axis=1) / 2)
    stands: NDArray[np.bool_] = (gaps[:, pillars.counts > 0] <= (reach * reach)[:, None]).any(axis=1)
    return pillars.ground[gaps.argmin(axis=1)], stands


def _on_the_ground(found: Detections3D, pillars: Pillars) -> Detections3D:
    """Sets the boxes onto the ground; those in whose reach nothing stands are left out."""
    ground, stands = ground_below(found, pillars)
    moved = found.centers.copy()
    moved[:, 2] += ground
    return Detections3D(moved, found.sizes, found.yaws, found.scores, found.class_indices).take(stands)
