"""3D detections of one cloud as a validated set of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from robot_ai.lidar.errors import Detections3DError

OBSTACLE = "obstacle"
"""What is known to be there and no more."""
LABELS = ("person", "cyclist", "vehicle", OBSTACLE)
"""The classes of every lidar detector here, in this order."""

_CORNERS = np.array([(sx, sy, sz) for sz in (-0.5, 0.5) for sx, sy in ((1, 1), (-1, 1), (-1, -1), (1, -1))]) * (
    0.5,
    0.5,
    1.0,
)


@dataclass(frozen=True)
class Detections3D:
    """What was found in one cloud, in a frame whose z axis points up.

    centers: (N, 3) float32, meters, the middle of each box.
    sizes: (N, 3) float32, meters, along the box's own x (length), y (width) and z (height), none negative. A planar
        scan knows no height and says 0.
    yaws: (N,) float32, radians, from the frame's x axis to the box's, counterclockwise seen from above.
    scores: (N,) float32 in 0-1.
    class_indices: (N,) int64, into `labels`.
    labels: the detector's label list.

    Raises Detections3DError when the arrays disagree in length, are not finite or leave their range.
    """

    centers: NDArray[np.float32]
    sizes: NDArray[np.float32]
    yaws: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_indices: NDArray[np.int64]
    labels: tuple[str, ...] = LABELS

    def __post_init__(self) -> None:
        count = self.scores.size
        shapes = [a.shape for a in (self.centers, self.sizes, self.yaws, self.scores, self.class_indices)]
        if shapes != [(count, 3), (count, 3), (count,), (count,), (count,)]:
            raise Detections3DError(
                f"3D detections disagree in shape: {shapes}; expected (N, 3), (N, 3), (N,), (N,), (N,) with one N"
            )
        if not count:
            return
        if not all(np.isfinite(a).all() for a in (self.centers, self.sizes, self.yaws, self.scores)):
            raise Detections3DError("3D detections hold NaN or infinity; expected finite boxes and scores")
        if self.sizes.min() < 0:
            raise Detections3DError(f"a box has a negative size: {self.sizes.min():g} m")
        if self.scores.min() < 0 or self.scores.max() > 1:
            raise Detections3DError(f"a score lies outside 0-1: {self.scores.min():g} to {self.scores.max():g}")
        if self.class_indices.min() < 0 or self.class_indices.max() >= len(self.labels):
            raise Detections3DError(
                f"a class index lies outside the {len(self.labels)} labels: "
                f"{self.class_indices.min()} to {self.class_indices.max()}"
            )

    @classmethod
    def empty(cls, labels: tuple[str, ...] = LABELS) -> Detections3D:
        """Nothing found."""
        none, vectors = np.empty(0, np.float32), np.empty((0, 3), np.float32)
        return cls(vectors, vectors, none, none, np.empty(0, np.int64), labels)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def names(self) -> list[str]:
        """The label of each detection."""
        return [self.labels[index] for index in self.class_indices.tolist()]

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """All arrays, in the order of the fields."""
        return self.centers, self.sizes, self.yaws, self.scores, self.class_indices

    def take(self, which: NDArray[np.generic]) -> Detections3D:
        """The detections that a mask (N,) or an array of indices picks."""
        centers, sizes, yaws, scores, classes = (array[which] for array in self.arrays)
        return Detections3D(centers, sizes, yaws, scores, classes, self.labels)

    def joined(self, other: Detections3D) -> Detections3D:
        """These detections, then another set's of the same labels."""
        centers, sizes, yaws, scores, classes = (
            np.concatenate(pair) for pair in zip(self.arrays, other.arrays, strict=True)
        )
        return Detections3D(centers, sizes, yaws, scores, classes, self.labels)

    def moved(self, offset: NDArray[np.floating]) -> Detections3D:
        """The same boxes, `offset` (3,) meters further on."""
        centers = (self.centers + offset).astype(np.float32)
        return Detections3D(centers, self.sizes, self.yaws, self.scores, self.class_indices, self.labels)

    def corners(self) -> NDArray[np.float32]:
        """(N, 8, 3): the lower face counterclockwise from front left, then the upper face."""
        local = _CORNERS * self.sizes[:, None, :]
        cos, sin = np.cos(self.yaws)[:, None], np.sin(self.yaws)[:, None]
        x, y = local[..., 0] * cos - local[..., 1] * sin, local[..., 0] * sin + local[..., 1] * cos
        return (np.stack([x, y, local[..., 2]], axis=-1) + self.centers[:, None, :]).astype(np.float32)

    def contains(self, points: NDArray[np.floating], margin: float = 0.0) -> NDArray[np.bool_]:
        """(N, M): whether each of M points (M, 3) lies within each box, grown by `margin` meters on all sides."""
        offsets = points[None, :, :] - self.centers[:, None, :]
        cos, sin = np.cos(self.yaws)[:, None], np.sin(self.yaws)[:, None]
        along = np.abs(offsets[..., 0] * cos + offsets[..., 1] * sin)
        across = np.abs(offsets[..., 1] * cos - offsets[..., 0] * sin)
        half = self.sizes[:, None, :] / 2 + margin
        inside: NDArray[np.bool_] = (
            (along <= half[..., 0]) & (across <= half[..., 1]) & (np.abs(offsets[..., 2]) <= half[..., 2])
        )
        return inside


def ground_plan_iou(first: Detections3D, second: Detections3D) -> NDArray[np.float32]:
    """(N, M): intersection over union of the boxes seen from above."""
    iou = np.zeros((len(first), len(second)), np.float32)
    distances = np.linalg.norm(first.centers[:, None, :2] - second.centers[None, :, :2], axis=-1)
    reach = np.linalg.norm(first.sizes[:, :2], axis=1)[:, None] + np.linalg.norm(second.sizes[:, :2], axis=1)[None, :]
    for i, j in np.argwhere(distances < reach / 2):
        kind, corners = cv2.rotatedRectangleIntersection(_rectangle(first, i), _rectangle(second, j))
        if kind == cv2.INTERSECT_NONE or corners is None:
            continue
        shared = cv2.contourArea(cv2.convexHull(corners))
        union = first.sizes[i, 0] * first.sizes[i, 1] + second.sizes[j, 0] * second.sizes[j, 1] - shared
        iou[i, j] = shared / union if union > 0 else 0.0
    return iou


def _rectangle(boxes: Detections3D, index: int) -> tuple[tuple[float, float], tuple[float, float], float]:
    (x, y), (length, width) = boxes.centers[index, :2].tolist(), boxes.sizes[index, :2].tolist()
    return (x, y), (length, width), float(np.degrees(boxes.yaws[index]))
