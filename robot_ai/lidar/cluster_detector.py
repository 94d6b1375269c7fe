"""`method: cluster`: objects as what stands out of the ground, without a model."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from robot_ai.lidar.boxes import Groups, OrientedBoxes, fit_boxes
from robot_ai.lidar.classes import classify
from robot_ai.lidar.clusters import cluster, shrink
from robot_ai.lidar.detections import LABELS, Detections3D
from robot_ai.lidar.filters import Points, Region, Voxels, voxelize, within_range
from robot_ai.lidar.ground import GroundSettings, height_above_ground
from robot_ai.lidar.order import picked


@dataclass(frozen=True)
class ClusterSettings:
    """What may change between two clouds. Lengths in meters.

    min_range, max_range: points nearer to or farther from the sensor's vertical axis are not looked at.
    region: only points inside are looked at. robot: points inside are the robot's own. Both in the frame of detection,
        relative to its origin.
    max_height: points higher above the ground are not looked at: branches, bridges, ceilings.
    ground_clearance: points lower above the ground belong to it.
    voxel: edge of the cubes that the cloud is thinned by, at the sensor; it grows as the tolerance does.
    tolerance, tolerance_growth: largest step within an object, at the sensor and more per meter of distance.
    min_points: smallest cluster, in measured points. max_size: longest side of what is published.
    score, classes: lowest score, None for the method's own, and labels published; no labels: all.
    """

    min_range: float = 0.5
    max_range: float = 60.0
    region: Region = field(default_factory=Region)
    robot: Region | None = None
    ground: GroundSettings = field(default_factory=GroundSettings)
    max_height: float = 2.8
    ground_clearance: float = 0.2
    voxel: float = 0.12
    tolerance: float = 0.22
    tolerance_growth: float = 0.01
    min_points: int = 10
    max_size: float = 15.0
    score: float | None = None
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CloudResult:
    """What was found in one cloud and the seconds that each stage took."""

    detections: Detections3D
    durations: dict[str, float] = field(default_factory=dict)


class ClusterDetector:
    """Stateless but for its labels; the same cloud and settings always give the same boxes."""

    labels = LABELS
    default_score = 0.3

    def detect(
        self, points: Points, settings: ClusterSettings, origin: NDArray[np.floating] | None = None
    ) -> CloudResult:
        """Detects in finite points (N, 3) float32 of a frame whose z axis points up.

        `origin` (3,) is where the sensor is in that frame; by default the frame's own origin. Boxes are in the frame of
        the points.
        """
        watch = Watch()
        points = crop(points, settings, origin)
        watch.lap("crop")
        above = ground_of(points, settings)
        standing = stands(above, settings)
        points, above = picked(points, standing), above[standing]
        watch.lap("ground")
        groups = group(points, above, settings)
        watch.lap("cluster")
        detections = describe(groups, settings, settings.classes)
        watch.lap("boxes")
        return CloudResult(detections if origin is None else detections.moved(np.asarray(origin)), watch.laps)


class Watch:
    """Seconds from one lap to the next, by the name of what was done."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Ends a stage."""
        now = time.perf_counter()
        self.laps[stage] = now - self._last
        self._last = now


def crop(points: Points, settings: ClusterSettings, origin: NDArray[np.floating] | None) -> Points:
    """The points to look at, relative to the sensor."""
    local = points if origin is None else (points - np.asarray(origin, np.float32))
    kept = within_range(local, settings.min_range, settings.max_range)
    wanted = within_regions(points, settings)
    return picked(local, kept if wanted is None else kept & wanted)


def within_regions(points: Points, settings: ClusterSettings) -> NDArray[np.bool_] | None:
    """(N,): which points lie in the region and not in the robot's own; None where neither is set."""
    if settings.robot is None:
        return None if settings.region == Region() else settings.region.contains(points)
    return settings.region.contains(points) & ~settings.robot.contains(points)


def ground_of(points: Points, settings: ClusterSettings) -> NDArray[np.float32]:
    """(N,): how high points (N, 3) around the sensor lie above the ground, in meters."""
    above = height_above_ground(points, settings.ground)
    if above is None:
        # No ground in sight, as for a lidar that looks up: everything is an object, measured from the lowest point.
        above = points[:, 2] - (points[:, 2].min() if len(points) else 0) + np.float32(settings.ground_clearance)
    return above


def stands(above: NDArray[np.float32], settings: ClusterSettings) -> NDArray[np.bool_]:
    """(N,): which of points that high above the ground, in meters, belong to things that stand on it."""
    return (above > settings.ground_clearance) & (above < settings.max_height)


def thinned(points: Points, settings: ClusterSettings) -> Voxels:
    """One point per cube, in the space that is shrunk with the distance: what is clustered."""
    return voxelize(shrink(points, settings.tolerance_growth / settings.tolerance), settings.voxel)


def group(points: Points, above: NDArray[np.float32], settings: ClusterSettings) -> Groups:
    """Clusters of points (N, 4): coordinates and height above the ground."""
    heights = np.column_stack([points, above])
    if not len(points):
        return Groups.of(heights, np.empty(0, np.int32))
    voxels = thinned(points, settings)
    labels = cluster(voxels.points, settings.tolerance)[voxels.of_point]
    # Dropped before the sort: most of a thinned-out cloud is single leaves and specks.
    large = np.bincount(labels)[labels] >= settings.min_points
    return Groups.of(picked(heights, large), labels[large])


def describe(groups: Groups, settings: ClusterSettings, classes: tuple[str, ...]) -> Detections3D:
    """Boxes, classes and scores of groups, of the classes that are asked for (none: of all)."""
    if len(groups):
        spread = groups.maximum(groups.points[:, :2]) - groups.minimum(groups.points[:, :2])
        # A box of the largest size allowed, seen across its corners, spans no more than this.
        groups = groups.take(np.hypot(spread[:, 0], spread[:, 1]) <= settings.max_size * 1.5)
    if not len(groups):
        return Detections3D.empty()
    above = groups.points[:, 3]
    bottoms, tops = groups.minimum(above), groups.maximum(above)
    boxes = fit_boxes(Groups(groups.points[:, :3], groups.starts, groups.counts))
    indices, scores = classify(boxes.sizes, tops, bottoms, boxes.edge_gaps)
    boxes = _down_to_the_ground(boxes, bottoms, settings)
    kept = (boxes.sizes[:, 0] <= settings.max_size) & (
        scores >= (ClusterDetector.default_score if settings.score is None else settings.score)
    )
    if classes:
        kept &= np.isin(indices, [LABELS.index(name) for name in classes])
    return Detections3D(boxes.centers, boxes.sizes, boxes.yaws, scores, indices).take(kept)


def _down_to_the_ground(boxes: OrientedBoxes, bottoms: NDArray[np.float32], settings: ClusterSettings) -> OrientedBoxes:
    """What stands on the ground reaches down to it: its lowest points were taken for ground."""
    drop = np.where(bottoms < 2 * settings.ground_clearance, bottoms, 0).astype(np.float32)
    sizes, centers = boxes.sizes.copy(), boxes.centers.copy()
    sizes[:, 2] += drop
    centers[:, 2] -= drop / 2
    return OrientedBoxes(centers, sizes, boxes.yaws, boxes.edge_gaps)
