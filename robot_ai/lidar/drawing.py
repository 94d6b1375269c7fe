"""Clouds and 3D boxes drawn, for people to look at: from above, and into a camera's image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from robot_ai.geometry.camera import CameraModel
from robot_ai.geometry.transforms import RigidTransform
from robot_ai.lidar.detections import OBSTACLE, Detections3D
from robot_ai.perception.drawing import class_color

Image = NDArray[np.uint8]

_BACKGROUND = 24
_RING = 10.0
# Of obstacles: a wall's box must not hide those that have a name.
_OBSTACLE_COLOR = (120, 110, 100)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
# Corners as Detections3D.corners gives them: the lower face, the upper one, the posts between.
_EDGES = [(i + f, (i + 1) % 4 + f) for f in (0, 4) for i in range(4)] + [(i, i + 4) for i in range(4)]


def draw_top_view(
    points: NDArray[np.floating], detections: Detections3D, reach: float = 40.0, side: int = 1000, dot: int = 1
) -> Image:
    """A BGR image (side, side, 3) of `reach` meters around the origin: x up, y to the left, rings every 10 m.

    Points (N, 3) are squares of `dot` pixels, the brighter the higher they lie; boxes have a line from their middle to
    their front, and those of mere obstacles are thin and grey.
    """
    canvas = np.full((side, side, 3), _BACKGROUND, np.uint8)
    scale = side / (2 * reach)
    near = (np.abs(points[:, :2]) < reach).all(axis=1)
    shown = points[near]
    order = np.argsort(shown[:, 2])
    pixels = _to_pixels(shown[order], scale, side)
    low, high = np.percentile(shown[:, 2], (2, 98)) if len(shown) else (0.0, 1.0)
    bright = np.clip((shown[order, 2] - low) / max(high - low, 1e-3), 0, 1)
    for across in range(dot):
        for down in range(dot):
            rows, columns = np.minimum(pixels[:, 1] + down, side - 1), np.minimum(pixels[:, 0] + across, side - 1)
            canvas[rows, columns] = (70 + 140 * bright)[:, None].astype(np.uint8)
    middle = (side // 2, side // 2)
    for ring in range(1, int(reach / _RING) + 1):
        radius = round(ring * _RING * scale)
        cv2.circle(canvas, middle, radius, (80, 60, 50), 1, cv2.LINE_AA)
        place = (middle[0] + 4, middle[1] - radius - 3)
        cv2.putText(canvas, f"{ring * _RING:.0f} m", place, _FONT, 0.4, (130, 110, 100), 1)
    names = detections.names
    corners_of = detections.corners()
    for index in sorted(range(len(names)), key=lambda i: names[i] != OBSTACLE):
        corners, named = corners_of[index], names[index] != OBSTACLE
        color = class_color(names[index]) if named else _OBSTACLE_COLOR
        outline = _to_pixels(corners[:4], scale, side, clip=False)
        cv2.polylines(canvas, [outline], True, color, 2 if named else 1, cv2.LINE_AA)
        if not named:
            continue
        front = _to_pixels(corners[[0, 3]].mean(axis=0, keepdims=True), scale, side, clip=False)[0]
        center = _to_pixels(detections.centers[index : index + 1], scale, side, clip=False)[0]
        cv2.line(canvas, center.tolist(), front.tolist(), color, 1, cv2.LINE_AA)
        cv2.putText(canvas, names[index], (outline.max(axis=0) + 3).tolist(), _FONT, 0.45, color, 1, cv2.LINE_AA)
    return canvas


def draw_projected(image: Image, detections: Detections3D, camera: CameraModel, to_camera: RigidTransform) -> Image:
    """Draws the edges of the boxes that are ahead into a copy of a BGR image (H, W, 3)."""
    canvas = np.array(image, order="C")
    corners = to_camera.apply(detections.corners().astype(float).reshape(-1, 3))
    pixels, valid = camera.project(corners)
    pixels, whole = pixels.reshape(-1, 8, 2), valid.reshape(-1, 8).all(axis=1)
    for index in np.flatnonzero(whole).tolist():
        if not camera.inside(pixels[index]).any():
            continue
        color = class_color(detections.names[index])
        ends = np.round(np.clip(pixels[index], -30_000, 30_000)).astype(int)
        for first, second in _EDGES:
            cv2.line(canvas, ends[first].tolist(), ends[second].tolist(), color, 1, cv2.LINE_AA)
        corner = (int(ends[:, 0].min()), int(ends[:, 1].min()) - 3)
        cv2.putText(canvas, detections.names[index], corner, _FONT, 0.45, color, 1, cv2.LINE_AA)
    return canvas


def _to_pixels(points: NDArray[np.floating], scale: float, side: int, clip: bool = True) -> NDArray[np.int32]:
    pixels = np.column_stack([side / 2 - points[:, 1] * scale, side / 2 - points[:, 0] * scale]).astype(np.int32)
    return np.clip(pixels, 0, side - 1) if clip else pixels
