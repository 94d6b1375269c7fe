"""Images by ray casting, for machines without OpenGL: coarse, without textures and shadows, true in geometry."""

from __future__ import annotations

from typing import Any

import cv2
import mujoco
import numpy as np
from numpy.typing import NDArray

from robot_ai.simulation.scene import VISUAL_GROUP, Scene

# One ray for a square of this many pixels.
STRIDE = 4
_SKY = -1


class RayRenderer:
    """Draws a scene's cameras at a quarter of their resolution."""

    kind = "rays"

    def __init__(self, scene: Scene) -> None:
        self._model = scene.model
        self._groups = np.zeros(6, np.uint8)
        self._groups[VISUAL_GROUP] = 1
        self._colors = _colors(scene.model)
        world = scene.world
        self._sky = np.array(world.background[:3])
        self._ambient = np.array(world.ambient[:3])

    def render(self, data: Any, camera: int, width: int, height: int) -> NDArray[np.uint8]:
        """As Renderer."""
        geoms, points, normals, rays = self._cast(data, camera, width, height)
        hit = geoms != _SKY
        # Surfaces are lit from both sides.
        normals = np.where((normals * rays).sum(axis=1, keepdims=True) > 0, -normals, normals)
        light = np.tile(self._ambient, (len(geoms), 1))
        for index in range(self._model.nlight):
            if not self._model.light_active[index]:
                continue
            towards = self._towards_light(data, index, points)
            share = np.clip((normals * towards).sum(axis=1), 0.0, 1.0)
            light += share[:, None] * self._model.light_diffuse[index]
        shades = np.where(hit[:, None], np.clip(self._colors[geoms] * light, 0, 1), self._sky)
        coarse = (shades * 255).astype(np.uint8).reshape((*_coarse(width, height)[::-1], 3))
        return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)

    def segment(
        self, data: Any, camera: int, width: int, height: int, values: NDArray[np.uint16]
    ) -> NDArray[np.uint16]:
        """As Renderer."""
        coarse = values[self._cast(data, camera, width, height)[0]].reshape(_coarse(width, height)[::-1])
        return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST), np.uint16)

    def close(self) -> None:
        """Nothing to free."""

    def _cast(
        self, data: Any, camera: int, width: int, height: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Geoms (N,), what was hit (N, 3), normals (N, 3), directions (N, 3), in the world."""
        local = pixel_rays(self._model, camera, width, height, _coarse(width, height))
        rays = local @ data.cam_xmat[camera].reshape(3, 3).T
        origin = data.cam_xpos[camera].copy()
        far = float(self._model.vis.map.zfar * self._model.stat.extent)
        count = len(rays)
        geoms, distances, normals = np.empty(count, np.int32), np.empty(count), np.empty(count * 3)
        body = int(self._model.cam_bodyid[camera])
        # The camera's own body surrounds it; OpenGL's near plane cuts that away.
        mujoco.mj_multiRay(
            self._model, data, origin, rays.ravel(), self._groups, 1, body, geoms, distances, normals, count, far
        )
        geoms[geoms < 0] = _SKY
        points = origin + rays * np.where(geoms == _SKY, far, distances)[:, None]
        return geoms, points, normals.reshape(-1, 3), rays

    def _towards_light(self, data: Any, index: int, points: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._model.light_type[index] == mujoco.mjtLightType.mjLIGHT_DIRECTIONAL:
            return np.broadcast_to(-data.light_xdir[index], points.shape)
        offsets = data.light_xpos[index] - points
        unit: NDArray[np.float64] = offsets / np.maximum(np.linalg.norm(offsets, axis=1, keepdims=True), 1e-6)
        return unit


def pixel_rays(model: Any, camera: int, width: int, height: int, grid: tuple[int, int]) -> NDArray[np.float64]:
    """(N, 3): unit directions in the engine's camera frame (x right, y up, z back), through the middles of a grid of
    columns by rows over the image."""
    sensor, intrinsic = model.cam_sensorsize[camera], model.cam_intrinsic[camera]
    focal = intrinsic[:2] / sensor * (width, height)
    middle = np.array([width, height]) / 2 - intrinsic[2:] / sensor * (width, height)
    x = (np.arange(grid[0]) + 0.5) * width / grid[0]
    y = (np.arange(grid[1]) + 0.5) * height / grid[1]
    right, down = np.meshgrid((x - middle[0]) / focal[0], (y - middle[1]) / focal[1])
    rays = np.stack([right, -down, -np.ones_like(right)], axis=-1).reshape(-1, 3)
    unit: NDArray[np.float64] = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    return unit


def _coarse(width: int, height: int) -> tuple[int, int]:
    return max(1, width // STRIDE), max(1, height // STRIDE)


def _colors(model: Any) -> NDArray[np.float64]:
    """(ngeom + 1, 3): each geom's color, by its texture's average where it has one; the last is for the sky."""
    colors = np.zeros((model.ngeom + 1, 3))
    for geom in range(model.ngeom):
        material = int(model.geom_matid[geom])
        colors[geom] = model.geom_rgba[geom, :3] if material < 0 else model.mat_rgba[material, :3]
        texture = -1 if material < 0 else int(model.mat_texid[material, mujoco.mjtTextureRole.mjTEXROLE_RGB])
        if texture >= 0:
            size = int(model.tex_height[texture] * model.tex_width[texture] * model.tex_nchannel[texture])
            start = int(model.tex_adr[texture])
            pixels = model.tex_data[start : start + size].reshape(-1, int(model.tex_nchannel[texture]))
            colors[geom] *= pixels[:, :3].mean(axis=0) / 255
    return colors
