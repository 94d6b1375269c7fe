"""What is really there: boxes in the image by segmentation, boxes in space by the models' outlines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from robot_ai.geometry.transforms import Floats, RigidTransform
from robot_ai.lidar.detections import Detections3D
from robot_ai.perception.detections import Detections
from robot_ai.simulation.scene import Scene, Thing, body_pose
from robot_ai.simulation.sdf_types import CameraSpec

_NEAREST = 1e-2
# What is seen of a thing is looked for this many pixels around where its surface projects to: drawing rounds.
_SLACK = 1


@dataclass(frozen=True)
class Seen:
    """What a camera sees of things.

    detections: the boxes of the visible pixels; score is the share of the whole thing that is visible,
        (1 - occlusion) * (1 - truncation).
    names: of the models. centers: (N, 3) float32, the middles of the things in the optical frame, in meters.
    occlusion: (N,) float32, the share hidden by others of what lies within the image. truncation: (N,) float32, the
        share of the thing's rectangle that lies outside the image.
    """

    detections: Detections
    names: tuple[str, ...]
    centers: NDArray[np.float32]
    occlusion: NDArray[np.float32]
    truncation: NDArray[np.float32]


@dataclass(frozen=True)
class Present:
    """Where things are in some frame whose z points up, and the names of their models."""

    detections: Detections3D
    names: tuple[str, ...]


def seen_in_image(
    scene: Scene,
    data: Any,
    geoms: NDArray[np.int32],
    spec: CameraSpec,
    optical: RigidTransform,
    labels: tuple[str, ...],
    min_pixels: int,
    min_visibility: float,
) -> Seen:
    """Boxes around the visible pixels of things.

    geoms: (H, W) int32, the geom in each pixel, -1 for none. optical: takes points of the optical frame into the world.
    Things of fewer than `min_pixels` pixels, or less visible than `min_visibility`, are left out.
    """
    # One more entry, for -1.
    owners = np.append(scene.things_of_geoms, -1)[geoms] + 1
    boxes = ndimage.find_objects(owners, max_label=len(scene.things))
    to_optical = optical.inverse
    rows: list[tuple[float, float, float, float]] = []
    kept: list[int] = []
    shares: list[tuple[float, float]] = []
    centers: list[Floats] = []
    for index, (thing, box) in enumerate(zip(scene.things, boxes, strict=True)):
        if box is None or thing.label >= len(labels):
            continue
        mask = owners[box] == index + 1
        if mask.sum() < min_pixels:
            continue
        to_camera = to_optical @ body_pose(data, thing.body)
        truncation = _truncation(thing, to_camera, spec)
        occlusion = _occlusion(thing, to_camera, spec, mask, (box[1].start, box[0].start))
        if (1 - truncation) * (1 - occlusion) < min_visibility:
            continue
        rows.append((box[1].start, box[0].start, box[1].stop, box[0].stop))
        kept.append(index)
        shares.append((occlusion, truncation))
        centers.append(to_camera.apply(((thing.outline.low + thing.outline.high) / 2)[None])[0])
    hidden = np.array(shares, np.float32).reshape(-1, 2)
    things = [scene.things[index] for index in kept]
    detections = Detections(
        np.array(rows, np.float32).reshape(-1, 4),
        np.clip((1 - hidden[:, 0]) * (1 - hidden[:, 1]), 0, 1).astype(np.float32),
        np.array([thing.label for thing in things], np.int64),
        labels,
    )
    middles = np.array(centers, np.float32).reshape(-1, 3)
    return Seen(detections, tuple(thing.name for thing in things), middles, hidden[:, 0], hidden[:, 1])


def project(points: Floats, spec: CameraSpec) -> tuple[Floats, NDArray[np.bool_]]:
    """Pixels (N, 2) of points (N, 3) in the optical frame, and which of them (N,) lie ahead."""
    ahead = points[:, 2] > _NEAREST
    depth = np.where(ahead, points[:, 2], 1.0)
    return points[:, :2] / depth[:, None] * spec.focal + spec.center, ahead


def _truncation(thing: Thing, to_camera: RigidTransform, spec: CameraSpec) -> float:
    """The share of the rectangle around the whole thing that lies outside the image; a thing partly behind the camera
    is cut off where that begins."""
    points = to_camera.apply(thing.outline.hull)
    pixels, ahead = project(points, spec)
    if not ahead.any():
        return 1.0
    if not ahead.all():
        # What is beside or behind the camera projects to infinity: as far as makes the share right at 85 degrees.
        angles = np.clip(np.arctan2(points[:, :2], np.maximum(points[:, 2:], 1e-9)), -1.48, 1.48)
        pixels = np.where(ahead[:, None], pixels, np.tan(angles) * spec.focal + spec.center)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    edges = np.array([-0.5, -0.5]), np.array([spec.width - 0.5, spec.height - 0.5])
    inside = np.maximum(np.minimum(high, edges[1]) - np.maximum(low, edges[0]), 0)
    whole = float(np.prod(high - low))
    return float(np.clip(1 - np.prod(inside) / whole, 0, 1)) if whole > 0 else 0.0


def _occlusion(
    thing: Thing, to_camera: RigidTransform, spec: CameraSpec, mask: NDArray[np.bool_], corner: tuple[int, int]
) -> float:
    """The share of the thing's surface points within the image whose pixels show something else.

    mask: where the thing is seen, in a part of the image that begins at `corner` (x, y).
    """
    pixels, ahead = project(to_camera.apply(thing.outline.surface), spec)
    spots = np.rint(pixels[ahead]).astype(np.int64)
    inside = (spots >= 0).all(axis=1) & (spots < (spec.width, spec.height)).all(axis=1)
    spots = spots[inside] - corner
    if not len(spots):
        return 0.0
    grown = cv2.dilate(np.pad(mask, _SLACK).astype(np.uint8), np.ones((2 * _SLACK + 1,) * 2, np.uint8))
    spots += _SLACK
    near = (spots >= 0).all(axis=1) & (spots < (grown.shape[1], grown.shape[0])).all(axis=1)
    hits = grown[spots[near, 1], spots[near, 0]].sum()
    return float(1 - hits / len(spots))


def present_around(
    scene: Scene,
    data: Any,
    frame: RigidTransform,
    labels: tuple[str, ...],
    reach: float,
    things: Sequence[int] | None = None,
) -> Present:
    """Boxes of things within `reach` meters of a frame's origin; `frame` takes its points into the world.

    A box stands upright and turns with its model. things: only these, as indices of Scene.things.
    """
    inverse = frame.inverse
    rows: list[list[float]] = []
    kept: list[Thing] = []
    for index in range(len(scene.things)) if things is None else things:
        thing = scene.things[index]
        if thing.label >= len(labels):
            continue
        pose = inverse @ body_pose(data, thing.body)
        low, high = _upright(thing, pose)
        yaw = _yaw(pose.rotation @ thing.to_model.rotation.T)
        middle = _turn(yaw) @ ((low + high) / 2) + pose.translation
        if np.linalg.norm(middle[:2]) > reach:
            continue
        rows.append([*middle, *(high - low), yaw])
        kept.append(thing)
    table = np.array(rows, np.float32).reshape(-1, 7)
    detections = Detections3D(
        table[:, :3],
        table[:, 3:6],
        table[:, 6],
        np.ones(len(kept), np.float32),
        np.array([thing.label for thing in kept], np.int64),
        labels,
    )
    return Present(detections, tuple(thing.name for thing in kept))


def _upright(thing: Thing, pose: RigidTransform) -> tuple[Floats, Floats]:
    """The corners of the box around the thing along axes that are turned by its yaw only, from the body's origin."""
    model = pose.rotation @ thing.to_model.rotation.T
    turned = thing.outline.hull @ (_turn(-_yaw(model)) @ pose.rotation).T
    return turned.min(axis=0), turned.max(axis=0)


def _yaw(rotation: Floats) -> float:
    return math.atan2(rotation[1, 0], rotation[0, 0])


def _turn(yaw: float) -> Floats:
    cos, sin = math.cos(yaw), math.sin(yaw)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
