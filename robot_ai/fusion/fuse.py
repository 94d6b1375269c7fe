"""What the camera says a thing is, where the lidar says it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from robot_ai.geometry.camera import CameraModel
from robot_ai.geometry.transforms import RigidTransform
from robot_ai.lidar.detections import LABELS, Detections3D
from robot_ai.perception.boxes import intersection_over_union
from robot_ai.perception.detections import Detections

Floats = NDArray[np.float64]

# Width of the bins, in meters, in which the range of what a box shows is looked for.
_BIN = 0.5
_FEWEST_POINTS = 3
# The share of a box's points that its sides cut off: what they show is mostly background.
_INNER = 0.8
# More points than these tell no better whose they are.
_MASK_POINTS = 8000
# Depth of things that only the camera knows, in meters: what is behind their face is not seen.
_UNSEEN_DEPTH = 0.5


@dataclass(frozen=True)
class FusionSettings:
    """iou: least overlap of a box in the image with a projected one, by area or by the lidar's points.
    camera_only, lidar_only: whether those stay.
    """

    iou: float = 0.2
    camera_only: bool = True
    lidar_only: bool = True


@dataclass(frozen=True)
class View:
    """Where a camera looks: its geometry, and the way from the lidar's frame into its optical frame."""

    camera: CameraModel
    to_camera: RigidTransform


@dataclass(frozen=True)
class FusionResult:
    """The fused set in the lidar's frame, and how many of each kind are in it.

    placed: (N,) int64, which of the lidar's boxes each one is; -1 for what only the camera sees.
    unplaced: detections of the camera with no point of the lidar inside, which are left out.
    """

    detections: Detections3D
    placed: NDArray[np.int64]
    both: int
    camera_only: int
    lidar_only: int
    unplaced: int


def project_boxes(boxes: Detections3D, view: View) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Rectangles (N, 4) left, top, right, bottom around the boxes' corners in the image, cut at its edges, and which of
    them (N,) are in sight. A box needs all its corners ahead of the camera.
    """
    camera = view.camera
    corners = view.to_camera.apply(boxes.corners().astype(float).reshape(-1, 3))
    pixels, valid = camera.project(corners)
    pixels, whole = pixels.reshape(-1, 8, 2), valid.reshape(-1, 8).all(axis=1)
    limit = np.array([camera.width, camera.height], float)
    low = np.clip(pixels.min(axis=1, initial=np.inf) + 0.5, 0, limit)
    high = np.clip(pixels.max(axis=1, initial=-np.inf) + 0.5, 0, limit)
    visible: NDArray[np.bool_] = whole & (high > low).all(axis=1)
    return np.concatenate([low, high], axis=1), visible


def fuse(
    seen: Detections,
    placed: Detections3D,
    points: NDArray[np.floating],
    view: View,
    settings: FusionSettings,
) -> FusionResult:
    """Joins detections of one moment.

    seen: in the camera's image. placed and points (N, 3): in the lidar's frame; points may be empty. Labels
    of the result are the lidar's, then those the camera adds.
    """
    rectangles, visible = project_boxes(placed, view)
    sight = _Sight.of(points, view)
    boxes = np.where(visible[None], intersection_over_union(seen.xyxy, rectangles), 0.0)
    overlap = np.maximum(boxes, _shared_points(seen, placed, sight))
    pairs = _associate(overlap, settings.iou)
    labels = list(LABELS) + [name for name in seen.labels if name not in LABELS]
    labels += [name for name in placed.labels if name not in labels]
    classes = np.array([labels.index(name) for name in placed.names], np.int64)
    scores = placed.scores.astype(float).copy()
    for image, box in pairs.items():
        classes[box] = labels.index(seen.names[image])
        # Two sensors that agree are wrong together less often than either.
        scores[box] = 1 - (1 - scores[box]) * (1 - float(seen.scores[image]))
    kept = np.isin(np.arange(len(placed)), list(pairs.values())) | settings.lidar_only
    rows = np.column_stack([placed.centers, placed.sizes, placed.yaws, scores, classes])[kept]
    alone = [index for index in range(len(seen)) if index not in pairs] if settings.camera_only else []
    extra = _place(seen, alone, sight, view, labels)
    table = np.concatenate([rows, extra.reshape(-1, 9)])
    detections = Detections3D(
        table[:, :3].astype(np.float32),
        table[:, 3:6].astype(np.float32),
        table[:, 6].astype(np.float32),
        table[:, 7].astype(np.float32),
        table[:, 8].astype(np.int64),
        tuple(labels),
    )
    which = np.concatenate([np.flatnonzero(kept), np.full(len(extra), -1)])
    return FusionResult(detections, which, len(pairs), len(extra), len(rows) - len(pairs), len(alone) - len(extra))


def robust_range(depths: Floats) -> float | None:
    """The distance of what a box shows: the nearest group of depths (N,) that is among the largest; None for too few.

    Not the mean, which lies between the thing and the wall behind it, where nothing is.
    """
    if len(depths) < _FEWEST_POINTS:
        return None
    bins = np.floor(depths / _BIN).astype(np.int64)
    first = bins.min()
    counts = np.bincount(bins - first)
    # A thing may stand across the border of two bins.
    windows = counts + np.append(counts[1:], 0)
    mode = int(np.flatnonzero(windows >= 0.7 * windows.max())[0])
    inside = (bins - first == mode) | (bins - first == mode + 1)
    return float(np.median(depths[inside]))


@dataclass(frozen=True)
class _Sight:
    """The points (N, 3) in front of the camera, where they are in the image (N, 2) and how deep (N,)."""

    points: NDArray[np.floating]
    pixels: Floats
    depths: Floats

    @classmethod
    def of(cls, points: NDArray[np.floating], view: View) -> _Sight:
        ahead = view.to_camera.apply(points.astype(float)) if len(points) else np.empty((0, 3))
        pixels, valid = view.camera.project(ahead)
        return cls(points.reshape(-1, 3)[valid], pixels[valid] + 0.5, ahead[valid, 2])

    def within(self, box: Floats) -> NDArray[np.bool_]:
        """(N,): which points show inside a box left, top, right, bottom, away from its sides."""
        middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
        near = np.abs(self.pixels - middle) <= half * _INNER
        inside: NDArray[np.bool_] = near[:, 0] & near[:, 1]
        return inside


def _shared_points(seen: Detections, placed: Detections3D, sight: _Sight) -> Floats:
    """(S, P): of the points of the lidar's boxes that show in a camera's box or lie in a lidar's, the part that does
    both. It tells a thing that is partly hidden, whose rectangle is too large, from what stands before it.
    """
    none = np.zeros((len(seen), len(placed)))
    if not none.size or not len(sight.points):
        return none
    thinned = slice(None, None, -(-len(sight.points) // _MASK_POINTS))
    lying = placed.contains(sight.points[thinned], margin=0.05)
    claimed = lying.any(axis=0)
    if not claimed.any():
        return none
    lying = lying[:, claimed]
    showing = np.stack([sight.within(box)[thinned][claimed] for box in seen.xyxy.astype(float)])
    shared = showing.astype(float) @ lying.T.astype(float)
    either = showing.sum(axis=1)[:, None] + lying.sum(axis=1)[None] - shared
    return np.where(shared >= _FEWEST_POINTS, shared / np.maximum(either, 1), 0.0)


def _associate(overlap: Floats, least: float) -> dict[int, int]:
    """Pairs (index in the image, index of the lidar) of the largest total overlap."""
    rows, columns = linear_sum_assignment(np.where(overlap >= least, -overlap, 0.0))
    return {int(r): int(c) for r, c in zip(rows, columns, strict=True) if overlap[r, c] >= least}


def _place(
    seen: Detections,
    which: list[int],
    sight: _Sight,
    view: View,
    labels: list[str],
) -> Floats:
    """Rows of center, size, yaw, score, class for the detections of the camera that have points of the lidar inside."""
    rows = []
    camera, back = view.camera, view.to_camera.inverse
    for index in which:
        left, top, right, bottom = seen.xyxy[index].astype(float).tolist()
        middle = np.array([(left + right) / 2, (top + bottom) / 2])
        distance = robust_range(sight.depths[sight.within(seen.xyxy[index].astype(float))])
        if distance is None:
            continue
        edges = camera.rays(
            np.array([[left, middle[1]], [right, middle[1]], [middle[0], top], [middle[0], bottom]]) - 0.5
        )
        ray = camera.rays((middle - 0.5)[None])[0]
        width = distance * float(np.linalg.norm(edges[1] - edges[0]))
        height = distance * float(np.linalg.norm(edges[3] - edges[2]))
        center = back.apply(ray * (distance + _UNSEEN_DEPTH / 2) / max(float(ray[2]), 1e-6))
        look = back.rotation @ ray
        yaw = float(np.arctan2(look[1], look[0]))
        label = labels.index(seen.names[index])
        rows.append([*center, _UNSEEN_DEPTH, width, height, yaw, float(seen.scores[index]), label])
    return np.array(rows, float).reshape(-1, 9)
