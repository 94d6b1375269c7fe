"""Detections as a robot meets them: in which direction, how far, how wide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from robot_ai.mcu.errors import CompactDetectionsError

Floats = NDArray[np.float64]

# From a camera's optical frame (z forward, x right, y down) to x forward, y left, z up (REP-103).
_FROM_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
_CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])


@dataclass(frozen=True)
class PolarDetections:
    """N detections seen from the sensor, in a frame with x forward and y left.

    class_indices: (N,) int64, -1 when the label has no known index. scores: (N,) in 0-1. bearings: (N,) radians,
    0 ahead, positive to the left. ranges: (N,) horizontal distance to the nearest point in meters, NaN when unknown.
    sizes: (N,) the angle in radians that the object covers horizontally, NaN when unknown.

    Raises CompactDetectionsError when the arrays disagree in length.
    """

    class_indices: NDArray[np.int64]
    scores: Floats
    bearings: Floats
    ranges: Floats
    sizes: Floats

    def __post_init__(self) -> None:
        lengths = {name: np.shape(value) for name, value in vars(self).items()}
        if set(lengths.values()) != {(len(self),)}:
            raise CompactDetectionsError(f"arrays disagree in shape: {lengths}; expected one (N,) for all")

    def __len__(self) -> int:
        return len(self.scores)

    def nearest_within(self, half_angle: float) -> float:
        """The smallest known range, in meters, within +-`half_angle` radians of ahead; infinite when there is none.

        An object counts when any part of it lies within, not just its middle.
        """
        reach = np.abs(self.bearings) - np.nan_to_num(self.sizes) / 2
        ahead = self.ranges[(reach <= half_angle) & ~np.isnan(self.ranges)]
        return float(ahead.min()) if ahead.size else float("inf")

    def first(self, count: int, nearest: bool) -> PolarDetections:
        """The `count` nearest, those of unknown range last and by score, or the `count` best."""
        order = np.lexsort((-self.scores, self.ranges)) if nearest else np.argsort(-self.scores, kind="stable")
        return self.take(order[:count])

    def take(self, which: NDArray[np.generic]) -> PolarDetections:
        """The detections that a mask (N,) or an array of indices picks."""
        return PolarDetections(*(values[which] for values in vars(self).values()))


def from_image_boxes(
    class_indices: NDArray[np.int64], scores: Floats, centers: Floats, widths: Floats, *, focal: float, middle: float
) -> PolarDetections:
    """Boxes in an image; centers and widths are (N,) along x in pixels, `focal` and `middle` are fx and cx of K.

    A pinhole camera is assumed: with lens distortion the bearings near the edge are off. The range stays unknown, and
    so do bearing and size when `focal` is not positive (an uncalibrated camera).
    """
    unknown = np.full(len(scores), np.nan)
    if not focal > 0:
        return PolarDetections(class_indices, scores, unknown, unknown, unknown)
    right = np.arctan((centers + widths / 2 - middle) / focal)
    left = np.arctan((centers - widths / 2 - middle) / focal)
    bearings = -np.arctan((centers - middle) / focal)
    return PolarDetections(class_indices, scores, bearings, unknown, right - left)


def from_boxes(
    class_indices: NDArray[np.int64],
    scores: Floats,
    centers: Floats,
    sizes: Floats,
    quaternions: Floats,
    *,
    optical: bool = False,
) -> PolarDetections:
    """Oriented boxes; centers and sizes are (N, 3) meters, quaternions (N, 4) as x, y, z, w.

    `optical` says that the frame has z forward, x right and y down. A sensor inside a box is at range 0 from it.
    """
    rotations = _rotations(quaternions)
    if optical:
        centers, rotations = centers @ _FROM_OPTICAL.T, _FROM_OPTICAL @ rotations
    # The sensor as the box sees it, at the height of its middle: what counts is the distance along the floor.
    level = np.column_stack([centers[:, :2], np.zeros(len(centers))])
    seen = -np.einsum("nji,nj->ni", rotations, level)
    outside = np.abs(seen) - sizes / 2
    ranges = np.linalg.norm(np.maximum(outside, 0), axis=1)
    bearings = np.arctan2(centers[:, 1], centers[:, 0])
    return PolarDetections(
        class_indices, scores, bearings, ranges, _widths(centers, rotations, sizes, bearings, ranges)
    )


def _widths(centers: Floats, rotations: Floats, sizes: Floats, bearings: Floats, ranges: Floats) -> Floats:
    """(N,) the angle between the outermost corners."""
    corners = centers[:, None] + np.einsum("nij,nkj->nki", rotations, _CORNERS * sizes[:, None])
    angles = np.arctan2(corners[..., 1], corners[..., 0]) - bearings[:, None]
    angles = (angles + np.pi) % (2 * np.pi) - np.pi
    widths: Floats = np.where(ranges > 0, np.ptp(angles, axis=1) if len(angles) else ranges, 2 * np.pi)
    return widths


def _rotations(quaternions: Floats) -> Floats:
    """(N, 3, 3) rotation matrices; a quaternion of length 0, which many publishers leave, means no rotation."""
    if not len(quaternions):
        return np.empty((0, 3, 3))
    missing = np.linalg.norm(quaternions, axis=1, keepdims=True) == 0
    matrices: Floats = Rotation.from_quat(np.where(missing, [0.0, 0.0, 0.0, 1.0], quaternions)).as_matrix()
    return matrices
