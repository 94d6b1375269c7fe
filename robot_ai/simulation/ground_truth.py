"""What is really there: boxes in the image by segmentation, boxes in space by the models' outlines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from robot_ai.geometry.transforms import Floats, RigidTransform
from robot_ai.lidar.detections import Detections3D
from robot_ai.perception.detections import Detections
from robot_ai.simulation.scene import Scene, Thing, body_pose
from robot_ai.simulation.sdf_types import CameraSpec

_NEAREST = 1e-2
_WIDEST = np.radians(85.0)
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


class Observer:
    """Tells what is seen in images by the things in each pixel; keeps the outlines of a scene's things together."""

    def __init__(self, scene: Scene, labels: tuple[str, ...]) -> None:
        self._labels = labels
        self._things = [thing for thing in scene.things if thing.label < len(labels)]
        order = {id(thing): index for index, thing in enumerate(self._things)}
        numbers = [order.get(id(thing), -1) + 1 for thing in scene.things] + [0]
        self.numbers = np.array(numbers, np.uint16)[np.append(scene.things_of_geoms, -1)]
        """(ngeom + 1,): what stands for each geom in an image of things, the sky last; 0 for what is no thing."""
        self._bodies = np.array([thing.body for thing in self._things], np.int64)
        self._hulls = np.array([thing.outline.hull for thing in self._things]).reshape(len(self._things), -1, 3)
        self._surfaces = np.array([thing.outline.surface for thing in self._things]).reshape(len(self._things), -1, 3)
        self._middles = np.array([(t.outline.low + t.outline.high) / 2 for t in self._things]).reshape(-1, 1, 3)

    def seen(
        self,
        data: Any,
        image: NDArray[np.uint16],
        spec: CameraSpec,
        optical: RigidTransform,
        *,
        min_pixels: int,
        min_visibility: float,
    ) -> Seen:
        """Boxes around the visible pixels of things.

        image: (H, W) uint16, the number of the thing in each pixel. optical: takes points of the optical frame into the
        world. Things of fewer than `min_pixels` pixels, or less visible than `min_visibility`, are left out.
        """
        corners, truncations = self._rectangles(data, spec, optical)
        to_optical = optical.inverse
        found: list[tuple[int, list[int], float]] = []
        for index in np.flatnonzero(truncations < 1).tolist():
            left, top, right, bottom = corners[index].tolist()
            mask = (image[top:bottom, left:right] == index + 1).view(np.uint8)
            if not mask.size or cv2.countNonZero(mask) < min_pixels:
                continue
            x, y, width, height = cv2.boundingRect(mask)
            surface = (to_optical @ body_pose(data, int(self._bodies[index]))).apply(self._surfaces[index])
            hidden = self._occlusion(surface.astype(float), spec, mask, (left, top))
            if (1 - truncations[index]) * (1 - hidden) >= min_visibility:
                found.append((index, [left + x, top + y, left + x + width, top + y + height], hidden))
        kept = np.array([index for index, _, _ in found], np.int64)
        occlusion = np.array([share for _, _, share in found], np.float32)
        truncation = truncations[kept].astype(np.float32)
        things = [self._things[index] for index in kept.tolist()]
        detections = Detections(
            np.array([box for _, box, _ in found], np.float32).reshape(-1, 4),
            (1 - occlusion) * (1 - truncation),
            np.array([thing.label for thing in things], np.int64),
            self._labels,
        )
        middles = self._in_camera(data, optical, self._middles)[kept, 0].astype(np.float32)
        return Seen(detections, tuple(thing.name for thing in things), middles, occlusion, truncation)

    def _in_camera(self, data: Any, optical: RigidTransform, points: Floats) -> Floats:
        """(T, K, 3): points of each thing's body in the optical frame."""
        rotations = data.xmat[self._bodies].reshape(-1, 3, 3)
        offsets = data.xpos[self._bodies] - optical.translation
        turned: Floats = (points @ rotations.transpose(0, 2, 1) + offsets[:, None]) @ optical.rotation
        return turned

    def _rectangles(
        self, data: Any, spec: CameraSpec, optical: RigidTransform
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """For each whole thing, hidden or not, the pixels (T, 4) left, top, right, bottom (exclusive) of the image that
        it may show in, and the share (T,) of the rectangle around it that lies outside the image; 1 behind the camera.
        """
        points = self._in_camera(data, optical, self._hulls)
        depth = points[..., 2]
        ahead = depth > _NEAREST
        # What is beside or behind the camera projects to infinity; it is taken as seen at 85 degrees.
        widest = np.tan(_WIDEST)
        slopes = np.where(
            ahead[..., None],
            np.clip(points[..., :2] / np.where(ahead, depth, 1.0)[..., None], -widest, widest),
            np.sign(points[..., :2]) * widest,
        )
        pixels = slopes * spec.focal + spec.center
        low, high = pixels.min(axis=1), pixels.max(axis=1)
        edge = np.array([spec.width, spec.height]) - 0.5
        inside = np.maximum(np.minimum(high, edge) - np.maximum(low, -0.5), 0).prod(axis=1)
        whole = np.maximum((high - low).prod(axis=1), 1e-9)
        share = np.where(ahead.any(axis=1), np.clip(1 - inside / whole, 0, 1), 1.0)
        reach = np.concatenate([np.floor(low) - _SLACK, np.ceil(high) + _SLACK + 1], axis=1)
        limits = np.array([spec.width, spec.height] * 2)
        return np.clip(reach, 0, limits).astype(np.int64), share

    @staticmethod
    def _occlusion(points: Floats, spec: CameraSpec, mask: NDArray[np.uint8], corner: tuple[int, int]) -> float:
        """The share of a thing's surface points (K, 3), in the optical frame, within the image whose pixels show
        something else.

        mask: where the thing is seen, in a part of the image that begins at `corner` (x, y).
        """
        points = points[points[:, 2] > _NEAREST]
        spots = np.rint(points[:, :2] / points[:, 2:] * spec.focal + spec.center).astype(np.int64)
        x, y = spots[:, 0], spots[:, 1]
        inside = (x >= 0) & (y >= 0) & (x < spec.width) & (y < spec.height)
        if not inside.any():
            return 0.0
        grown = cv2.dilate(mask, np.ones((2 * _SLACK + 1, 2 * _SLACK + 1), np.uint8))
        x, y = x[inside] - corner[0], y[inside] - corner[1]
        near = (x >= 0) & (y >= 0) & (x < grown.shape[1]) & (y < grown.shape[0])
        return float(1 - grown[y[near], x[near]].sum() / len(x))


def present_around(
    scene: Scene,
    data: Any,
    frame: RigidTransform,
    labels: tuple[str, ...],
    *,
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
