"""Images by OpenGL without a window: EGL or OSMesa."""

from __future__ import annotations

import os
from typing import Any

import cv2
import mujoco
import numpy as np
from numpy.typing import NDArray

from robot_ai.simulation.errors import RendererError
from robot_ai.simulation.scene import VISUAL_GROUP, Scene

_SPARE_GEOMS = 64
_RGB = 3
_TWO_BYTES = 1 << 16
_HIDDEN_GROUP = 4
# Meters beside the image in which things are drawn for their shadows' sake.
_SHADOW_MARGIN = 1.5


class GlRenderer:
    """Draws a scene's cameras. Everything, `close` included, is called from the thread that made it: an OpenGL context
    belongs to one thread."""

    def __init__(self, scene: Scene, kind: str) -> None:
        """kind: egl or osmesa. Raises RendererError."""
        self.kind = kind
        self._model = scene.model
        buffers = scene.model.vis.global_
        self._context = _open_context(kind, int(buffers.offwidth), int(buffers.offheight))
        self._context.make_current()
        self._scene = mujoco.MjvScene(scene.model, maxgeom=scene.model.ngeom + _SPARE_GEOMS)
        self._gl = mujoco.MjrContext(scene.model, mujoco.mjtFontScale.mjFONTSCALE_50)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._gl)
        self._options = mujoco.MjvOption()
        self._options.geomgroup[:] = 0
        self._options.geomgroup[VISUAL_GROUP] = 1
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        shadows = bool(scene.model.vis.quality.shadowsize > 1)
        self._margin = _SHADOW_MARGIN if shadows else 0.0
        flags = self._scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SHADOW] = shadows
        flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        flags[mujoco.mjtRndFlag.mjRND_HAZE] = False
        self._pixels = np.empty(0, np.uint8)

    def render(self, data: Any, camera: int, width: int, height: int) -> NDArray[np.uint8]:
        """As Renderer."""
        self._update(data, camera)
        return self._draw(width, height).copy()

    def segment(
        self, data: Any, camera: int, width: int, height: int, values: NDArray[np.uint16]
    ) -> NDArray[np.uint16]:
        """As Renderer."""
        self._update(data, camera)
        flags = self._scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = True
        try:
            colors = self._draw(width, height)
        finally:
            flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = False
        # Colors count the drawn geoms from 1 on, 0 is the sky.
        table = np.full(_TWO_BYTES, values[-1], np.uint16)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.objtype == mujoco.mjtObj.mjOBJ_GEOM and 0 <= geom.segid < _TWO_BYTES - 1:
                table[geom.segid + 1] = values[geom.objid]
        if self._scene.ngeom < 255:
            return np.asarray(cv2.LUT(np.ascontiguousarray(colors[..., 0]), table[:256]), np.uint16)
        return table[colors[..., 0].astype(np.uint16) | (colors[..., 1].astype(np.uint16) << 8)]

    def close(self) -> None:
        """Frees the context; without it the process may crash at its end."""
        self._gl.free()
        self._context.free()

    def _update(self, data: Any, camera: int) -> None:
        self._camera.fixedcamid = camera
        groups = self._model.geom_group.copy()
        outside = (groups == VISUAL_GROUP) & ~may_be_seen(self._model, data, camera, self._margin)
        self._model.geom_group[outside] = _HIDDEN_GROUP
        try:
            mujoco.mjv_updateScene(
                self._model, data, self._options, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene
            )
        finally:
            self._model.geom_group[:] = groups

    def _draw(self, width: int, height: int) -> NDArray[np.uint8]:
        if self._pixels.size != width * height * _RGB:
            self._pixels = np.empty(width * height * _RGB, np.uint8)
        area = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(area, self._scene, self._gl)
        mujoco.mjr_readPixels(self._pixels, None, area, self._gl)
        # OpenGL's rows go up.
        return self._pixels.reshape(height, width, _RGB)[::-1]


def may_be_seen(model: Any, data: Any, camera: int, margin: float) -> NDArray[np.bool_]:
    """(ngeom,): whether the sphere around each geom, grown by `margin` meters, reaches into what a camera looks at.

    The engine draws all there is, and without a GPU that is most of an image's cost.
    """
    local = (data.geom_xpos - data.cam_xpos[camera]) @ data.cam_xmat[camera].reshape(3, 3)
    radius = model.geom_rbound + margin
    depth = -local[:, 2]
    seen: NDArray[np.bool_] = depth > -radius
    sensor, intrinsic = model.cam_sensorsize[camera], model.cam_intrinsic[camera]
    for axis in range(2):
        # The image's half, and how far its middle is off the axis.
        tangent = (sensor[axis] / 2 + abs(intrinsic[2 + axis])) / intrinsic[axis]
        seen &= (np.abs(local[:, axis]) - depth * tangent) / np.hypot(1.0, tangent) <= radius
    # Planes have no sphere.
    return seen | (model.geom_rbound == 0)


def _open_context(kind: str, width: int, height: int) -> Any:
    # Both modules choose PyOpenGL's platform as they are imported, once in a process.
    os.environ["PYOPENGL_PLATFORM"] = kind
    # Mesa's llvmpipe in the calling thread: on a busy machine an image waits for each of its threads in turn, for three
    # times as long as it computes.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    try:
        if kind == "egl":
            from mujoco.egl import GLContext
        else:
            from mujoco.osmesa import GLContext
        return GLContext(width, height)
    # PyOpenGL answers a missing library with an AttributeError of None, among others.
    except Exception as error:
        raise RendererError(f"{kind} does not work here: {type(error).__name__}: {error}") from error
