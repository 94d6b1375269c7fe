"""Images by OpenGL without a window: EGL or OSMesa."""

from __future__ import annotations

import os
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from robot_ai.simulation.errors import RendererError
from robot_ai.simulation.scene import VISUAL_GROUP, Scene

_SPARE_GEOMS = 64
_RGB = 3


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
        flags = self._scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SHADOW] = scene.model.vis.quality.shadowsize > 1
        flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        flags[mujoco.mjtRndFlag.mjRND_HAZE] = False
        # Furniture is drawn from both sides: its triangles face anywhere.
        flags[mujoco.mjtRndFlag.mjRND_CULL_FACE] = False
        self._pixels = np.empty(0, np.uint8)

    def render(self, data: Any, camera: int, width: int, height: int) -> NDArray[np.uint8]:
        """(height, width, 3) uint8 RGB, the caller's own."""
        self._update(data, camera)
        return self._draw(width, height).copy()

    def segment(self, data: Any, camera: int, width: int, height: int) -> NDArray[np.int32]:
        """(height, width) int32: the geom in each pixel, -1 for the sky. Draws what `render` drew, if it was called
        with the same state."""
        self._update(data, camera)
        flags = self._scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = True
        try:
            colors = self._draw(width, height)
        finally:
            flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = False
        # Colors count the drawn geoms from 1 on, 0 is the sky.
        numbers = colors[..., 0].astype(np.int32)
        if self._scene.ngeom > 254:
            numbers |= colors[..., 1].astype(np.int32) << 8
        table = np.full(max(self._scene.ngeom + 2, 256), -1, np.int32)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.objtype == mujoco.mjtObj.mjOBJ_GEOM and 0 <= geom.segid < len(table) - 1:
                table[geom.segid + 1] = geom.objid
        return table[np.minimum(numbers, len(table) - 1)]

    def close(self) -> None:
        """Frees the context; without it the process may crash at its end."""
        self._gl.free()
        self._context.free()

    def _update(self, data: Any, camera: int) -> None:
        self._camera.fixedcamid = camera
        mujoco.mjv_updateScene(
            self._model, data, self._options, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene
        )

    def _draw(self, width: int, height: int) -> NDArray[np.uint8]:
        if self._pixels.size != width * height * _RGB:
            self._pixels = np.empty(width * height * _RGB, np.uint8)
        area = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(area, self._scene, self._gl)
        mujoco.mjr_readPixels(self._pixels, None, area, self._gl)
        # OpenGL's rows go up.
        return self._pixels.reshape(height, width, _RGB)[::-1]


def _open_context(kind: str, width: int, height: int) -> Any:
    # Both modules choose PyOpenGL's platform as they are imported, once in a process.
    os.environ["PYOPENGL_PLATFORM"] = kind
    try:
        if kind == "egl":
            from mujoco.egl import GLContext
        else:
            from mujoco.osmesa import GLContext
        return GLContext(width, height)
    # PyOpenGL answers a missing library with an AttributeError of None, among others.
    except Exception as error:  # noqa: BLE001
        raise RendererError(f"{kind} does not work here: {type(error).__name__}: {error}") from error
