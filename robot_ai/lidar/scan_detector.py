"""Obstacles and people in a planar scan: segments between jumps of the range, boxes around them, pairs of legs.

The geometry of legs follows Xavier et al., Fast line, arc/circle and leg detection from laser scan data in a Player
driver (ICRA 2005): a leg is a narrow arc that bulges towards the sensor, before something farther away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robot_ai.lidar.boxes import Groups, fit_boxes
from robot_ai.lidar.cluster_detector import CloudResult, Watch
from robot_ai.lidar.detections import LABELS, Detections3D
from robot_ai.lidar.scans import ScanPoints

Floats = NDArray[np.float64]

PERSON, OBSTACLE = LABELS.index("person"), LABELS.index("obstacle")
_OBSTACLE_SCORE = 0.5
# A body around two legs, from above.
_PERSON_SIZE = (0.5, 0.5)
_LEG_BULGE = (0.06, 0.7)
_IN_FRONT = 0.15
_LOST_BEAMS = 3


@dataclass(frozen=True)
class ScanSettings:
    """What may change between two scans. Lengths in meters.

    jump: two neighboring beams whose points are farther apart than this, plus what `jump_growth` times the spacing of
        the beams at that distance allows, end a segment.
    leg_width, leg_distance: least and most.
    """

    min_range: float = 0.1
    max_range: float = 30.0
    jump: float = 0.1
    jump_growth: float = 2.0
    min_points: int = 3
    max_size: float = 8.0
    leg_width: tuple[float, float] = (0.05, 0.25)
    leg_distance: tuple[float, float] = (0.1, 0.6)
    score: float = 0.3
    classes: tuple[str, ...] = ()


class ScanDetector:
    """Stateless; boxes lie in the scan's frame at z = 0 and have no height, which a planar scan does not know."""

    labels = LABELS

    def detect(self, scan: ScanPoints, settings: ScanSettings) -> CloudResult:
        """Detects in one scan. What is longer than the largest size, such as a wall, is no object."""
        watch = Watch()
        segments = _segments(scan, settings)
        watch.lap("segment")
        legs = _legs(segments, settings)
        people, used = _pairs(segments, legs, settings)
        watch.lap("legs")
        obstacles = _obstacles(segments, ~used, settings)
        watch.lap("boxes")
        found = people.joined(obstacles)
        kept = found.scores >= settings.score
        if settings.classes:
            kept &= np.isin(found.class_indices, [LABELS.index(name) for name in settings.classes])
        return CloudResult(found.take(kept), watch.laps)


@dataclass(frozen=True)
class _Segments:
    """Groups of points (N, 3), and per segment whether what the beams beside it hit is farther away, or nothing."""

    groups: Groups
    in_front: NDArray[np.bool_]


def _segments(scan: ScanPoints, settings: ScanSettings) -> _Segments:
    near = (scan.ranges >= settings.min_range) & (scan.ranges <= settings.max_range)
    points, beams, ranges = scan.points[near], scan.beams[near], scan.ranges[near].astype(float)
    if not len(points):
        return _Segments(Groups.of(points, np.empty(0, np.int32)), np.empty(0, np.bool_))
    following = np.roll(np.arange(len(points)), -1)
    gaps = np.linalg.norm(points[following] - points, axis=1)
    spacing = np.minimum(ranges, ranges[following]) * abs(scan.angle_increment)
    steps = _steps(beams, scan.angle_increment)
    # A lost beam or two do not cut a thing in two; where many saw past it, there is a gap.
    allowed = settings.jump + settings.jump_growth * spacing
    ends = (gaps > allowed) | ((steps > _LOST_BEAMS) & (gaps > settings.jump / 2))
    first = np.roll(ends, 1)
    start = int(np.argmax(first)) if first.any() else 0
    order = np.roll(np.arange(len(points)), -start)
    labels = np.cumsum(first[order]) - first[order][0]
    groups = Groups.of(points[order], labels.astype(np.int64))
    last = groups.starts + groups.counts - 1
    ordered, gone = ranges[order], steps[order] != 1
    before, after = np.roll(ordered, 1)[groups.starts], np.roll(ordered, -1)[last]
    in_front = ((before > ordered[groups.starts] + _IN_FRONT) | np.roll(gone, 1)[groups.starts]) & (
        (after > ordered[last] + _IN_FRONT) | gone[last]
    )
    enough = groups.counts >= settings.min_points
    return _Segments(groups.take(enough), in_front[enough])


def _steps(beams: NDArray[np.int64], increment: float) -> NDArray[np.int64]:
    """(N,), N > 0: how many beams further the next measured one is; after the last comes the first, over the gap that
    is left of a full turn, which has no end.
    """
    turn = round(2 * np.pi / abs(increment)) if increment else 0
    # A full turn may hold its first angle twice, at either end.
    return np.append(np.diff(beams), max(turn - int(beams[-1] - beams[0]), 1))


def _legs(segments: _Segments, settings: ScanSettings) -> NDArray[np.bool_]:
    """(S,): which segments may be legs."""
    groups = segments.groups
    if not len(groups):
        return np.empty(0, np.bool_)
    first, last = groups.points[groups.starts], groups.points[groups.starts + groups.counts - 1]
    chord = (last - first)[:, :2].astype(float)
    width = np.hypot(chord[:, 0], chord[:, 1])
    each = np.repeat(np.arange(len(groups)), groups.counts)
    across = np.stack([-chord[:, 1], chord[:, 0]], axis=1) / np.maximum(width, 1e-9)[:, None]
    # Away from the sensor is positive, so an arc that bulges towards it has its deepest point below the chord.
    across *= np.sign((across * first[:, :2]).sum(axis=1))[:, None]
    depth = ((groups.points[:, :2] - first[each, :2]) * across[each]).sum(axis=1)
    bulge = -np.minimum.reduceat(depth, groups.starts) / np.maximum(width, 1e-9)
    narrow = (width >= settings.leg_width[0]) & (width <= settings.leg_width[1])
    round_ = (bulge >= _LEG_BULGE[0]) & (bulge <= _LEG_BULGE[1])
    legs: NDArray[np.bool_] = narrow & round_ & segments.in_front
    return legs


def _middles(groups: Groups) -> Floats:
    sums = np.add.reduceat(groups.points[:, :2].astype(float), groups.starts, axis=0)
    return sums / groups.counts[:, None]


def _pairs(
    segments: _Segments, legs: NDArray[np.bool_], settings: ScanSettings
) -> tuple[Detections3D, NDArray[np.bool_]]:
    """People, nearest pairs first, and which segments (S,) they took."""
    used = np.zeros(len(legs), np.bool_)
    if legs.sum() < 2:
        return Detections3D.empty(), used
    which = np.flatnonzero(legs)
    middles = _middles(segments.groups)[which]
    gaps = np.linalg.norm(middles[:, None] - middles[None], axis=-1)
    low, high = settings.leg_distance
    rows, columns = np.nonzero(np.triu((gaps >= low) & (gaps <= high), 1))
    rows_of = []
    for pair in np.argsort(gaps[rows, columns]):
        one, other = rows[pair], columns[pair]
        if used[which[one]] or used[which[other]]:
            continue
        used[which[[one, other]]] = True
        step = middles[other] - middles[one]
        center = middles[one] + step / 2
        # The usual stance is a hand's breadth to two.
        score = 0.8 - 0.4 * max(0.0, (gaps[one, other] - 0.35) / 0.25)
        # A person faces across the line between the legs, standing, or along it, walking: the scan does not tell.
        rows_of.append([*center, np.arctan2(step[1], step[0]) + np.pi / 2, np.clip(score, 0.4, 0.8)])
    table = np.array(rows_of, np.float32).reshape(-1, 4)
    flat = np.zeros((len(table), 1), np.float32)
    sizes = np.tile(np.array([*_PERSON_SIZE, 0.0], np.float32), (len(table), 1))
    centers = np.concatenate([table[:, :2], flat], axis=1)
    return Detections3D(centers, sizes, table[:, 2], table[:, 3], np.full(len(table), PERSON, np.int64)), used


def _obstacles(segments: _Segments, which: NDArray[np.bool_], settings: ScanSettings) -> Detections3D:
    groups = segments.groups.take(which)
    boxes = fit_boxes(groups)
    count = len(boxes.yaws)
    found = Detections3D(
        boxes.centers,
        boxes.sizes,
        boxes.yaws,
        np.full(count, _OBSTACLE_SCORE, np.float32),
        np.full(count, OBSTACLE, np.int64),
    )
    return found.take(boxes.sizes[:, 0] <= settings.max_size)
