"""sensor_msgs/LaserScan as points.

Ranges follow REP-117: -Inf is too close, +Inf nothing in reach, NaN no measurement.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from robot_ai.lidar.errors import CloudNotFiniteError, CloudSizeError, ScanError

MAX_BEAMS = 200_000
"""Larger scans are refused."""


@dataclass(frozen=True)
class RawScan:
    """The fields of sensor_msgs/LaserScan that matter for decoding: angles in radians, ranges in meters."""

    angle_min: float
    angle_increment: float
    range_min: float
    range_max: float
    ranges: Sequence[float] | NDArray[np.float32]
    intensities: Sequence[float] | NDArray[np.float32] = ()


@dataclass(frozen=True)
class ScanPoints:
    """The measured points of a scan.

    points: (N, 3) float32 in the scan's frame, z = 0.
    beams: (N,) int64, the index of each point's beam in the message.
    ranges: (N,) float32, meters.
    intensities: (N,) float32, or None when the message has none.
    angle_increment: radians from beam to beam.
    """

    points: NDArray[np.float32]
    beams: NDArray[np.int64]
    ranges: NDArray[np.float32]
    intensities: NDArray[np.float32] | None
    angle_increment: float

    def take(self, which: NDArray[np.bool_]) -> ScanPoints:
        """The points that the mask (N,) picks; between them the scan has measured nothing."""
        bright = None if self.intensities is None else self.intensities[which]
        return replace(
            self, points=self.points[which], beams=self.beams[which], ranges=self.ranges[which], intensities=bright
        )


def scan_points(scan: RawScan) -> ScanPoints:
    """Takes the valid beams, those with range_min <= range <= range_max.

    Raises ScanError for contradictory fields, CloudSizeError for a scan that is too large, and CloudNotFiniteError when
    every beam is NaN; a scan that only sees nothing (+Inf) has no points and is no fault.
    """
    ranges = np.asarray(scan.ranges, np.float32)
    intensities = np.asarray(scan.intensities, np.float32)
    _check(scan, ranges, intensities)
    if len(ranges) and np.isnan(ranges).all():
        raise CloudNotFiniteError(f"all {len(ranges)} ranges of the scan are NaN")
    # NaN and both infinities compare as they must; range_max may itself be infinite.
    beams = np.flatnonzero((ranges >= scan.range_min) & (ranges <= scan.range_max) & (ranges < np.inf))
    taken = ranges[beams]
    angles = scan.angle_min + beams * scan.angle_increment
    points = np.zeros((len(beams), 3), np.float32)
    points[:, 0] = taken * np.cos(angles)
    points[:, 1] = taken * np.sin(angles)
    bright = intensities[beams] if len(intensities) else None
    return ScanPoints(points, beams, taken, bright, scan.angle_increment)


def _check(scan: RawScan, ranges: NDArray[np.float32], intensities: NDArray[np.float32]) -> None:
    if ranges.size > MAX_BEAMS:
        raise CloudSizeError(f"the scan has {ranges.size} ranges; expected at most {MAX_BEAMS}")
    if not (math.isfinite(scan.angle_min) and math.isfinite(scan.angle_increment)):
        raise ScanError(
            f"angle_min is {scan.angle_min} and angle_increment {scan.angle_increment}; expected finite radians"
        )
    if ranges.size > 1 and scan.angle_increment == 0:
        raise ScanError(f"angle_increment is 0 for {ranges.size} ranges; expected the angle between two beams")
    # NaN bounds compare false.
    if not scan.range_min <= scan.range_max:
        raise ScanError(f"range_min is {scan.range_min} and range_max {scan.range_max}; expected min <= max")
    if intensities.size not in (0, ranges.size):
        raise ScanError(f"{intensities.size} intensities for {ranges.size} ranges; expected none or as many")
