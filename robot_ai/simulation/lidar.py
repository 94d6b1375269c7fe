"""Lidars by ray casting against what is seen (visuals), as Gazebo's gpu_lidar sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from robot_ai.simulation.scene import VISUAL_GROUP, MountedSensor, Scene, body_pose
from robot_ai.simulation.sdf_types import LidarSpec

# A surface that a ray leaves backwards, such as the lidar's own housing, is passed by going on this far behind it.
_SKIP = 1e-4
_MOST_SKIPS = 4


@dataclass(frozen=True)
class Sweep:
    """One sweep of a lidar, rings from the lowest up, columns from the first angle on.

    ranges: (rings, columns) float32 meters, inf for nothing in reach, -inf for something too near, NaN where the beam
    was lost. points: (rings, columns, 3) float32 in the sensor's frame, inf or NaN where there is no range.
    intensities: (rings, columns) float32. things: (rings, columns) int32, indices of Scene.things, -1 for none.
    """

    ranges: NDArray[np.float32]
    points: NDArray[np.float32]
    intensities: NDArray[np.float32]
    things: NDArray[np.int32]


class RayCaster:
    """Casts rays from a point against the visible geoms of a scene; keeps its buffers."""

    def __init__(self, scene: Scene) -> None:
        self._model = scene.model
        groups = np.zeros(6, np.uint8)
        groups[VISUAL_GROUP] = 1
        self._groups = groups

    def cast(
        self,
        data: Any,
        origin: NDArray[np.float64],
        rays: NDArray[np.float64],
        *,
        near: float,
        far: float,
        body: int = -1,
    ) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Distances (N,), inf for a miss, and geoms (N,), -1 for a miss, along unit directions (N, 3) in the world.

        What is nearer than `near` is looked through, as a camera's near plane does, and so is `body`.
        """
        distances, geoms = self._shoot(data, origin, rays, far, body)
        for _ in range(_MOST_SKIPS):
            close = np.flatnonzero((geoms >= 0) & (distances < near))
            if not close.size:
                break
            # Those are few, and each begins elsewhere.
            for index in close:
                start = distances[index] + _SKIP
                on, geom = self._shoot(data, origin + rays[index] * start, rays[index : index + 1], far, body)
                distances[index], geoms[index] = start + on[0], geom[0]
        return distances, geoms

    def _shoot(
        self, data: Any, origin: NDArray[np.float64], rays: NDArray[np.float64], far: float, body: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        count = len(rays)
        distances, geoms = np.empty(count), np.empty(count, np.int32)
        mujoco.mj_multiRay(
            self._model, data, origin, rays.ravel(), self._groups, 1, body, geoms, distances, None, count, far
        )
        distances[geoms < 0] = np.inf
        return distances, geoms


class Lidar:
    """One lidar."""

    def __init__(self, scene: Scene, mounted: MountedSensor, caster: RayCaster) -> None:
        spec = mounted.sensor.spec
        assert isinstance(spec, LidarSpec), "only lidars are cast"
        self.spec = spec
        self.mounted = mounted
        self._scene = scene
        self._caster = caster
        self.directions = beam_directions(spec)

    def sweep(self, data: Any, rng: np.random.Generator, noise: float, drop: float) -> Sweep:
        """What it sees now; `noise` scales the deviation of the ranges, `drop` is the share of beams that are lost."""
        spec, shape = self.spec, (self.spec.rings, self.spec.columns)
        pose = body_pose(data, self.mounted.body) @ self.mounted.pose
        rays = self.directions.reshape(-1, 3) @ pose.rotation.T
        far = spec.max_range + 6 * spec.noise
        distances, geoms = self._caster.cast(
            data, pose.translation, np.ascontiguousarray(rays), near=spec.min_range, far=far, body=self.mounted.body
        )
        deviation = spec.noise * noise
        if deviation:
            distances += rng.normal(0.0, deviation, len(distances))
        distances[distances > spec.max_range] = np.inf
        distances[distances < spec.min_range] = -np.inf
        if drop:
            distances[rng.random(len(distances)) < drop] = np.nan
        hit = np.isfinite(distances)
        things = np.where(hit, self._scene.things_of_geoms[geoms], -1).astype(np.int32)
        intensities = np.where(hit, self._scene.reflectance[geoms], 0.0).astype(np.float32)
        # Infinity times zero would be NaN, so what has no range is put in afterwards.
        points = self.directions.reshape(-1, 3) * np.where(hit, distances, 0.0)[:, None]
        points[~hit] = distances[~hit, None]
        return Sweep(
            distances.astype(np.float32).reshape(shape),
            points.astype(np.float32).reshape(*shape, 3),
            intensities.reshape(shape),
            things.reshape(shape),
        )


def beam_directions(spec: LidarSpec) -> NDArray[np.float64]:
    """(rings, columns, 3): unit directions in the sensor's frame, x ahead, z up."""
    azimuths = np.linspace(spec.min_angle, spec.max_angle, spec.columns)
    elevations = np.linspace(spec.min_elevation, spec.max_elevation, spec.rings)
    flat = np.cos(elevations)[:, None]
    up = np.broadcast_to(np.sin(elevations)[:, None], (spec.rings, spec.columns))
    return np.stack([flat * np.cos(azimuths), flat * np.sin(azimuths), up], axis=-1)
