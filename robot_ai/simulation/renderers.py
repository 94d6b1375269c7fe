"""Which way of drawing works on this machine."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from robot_ai.simulation.errors import RendererError
from robot_ai.simulation.gl_renderer import GlRenderer
from robot_ai.simulation.ray_renderer import RayRenderer
from robot_ai.simulation.scene import Scene

AUTO, RAYS = "auto", "rays"
GL_KINDS = ("egl", "osmesa")
KINDS = (AUTO, *GL_KINDS, RAYS)
# Debian's and Ubuntu's packages that bring each.
PACKAGES = {"egl": "libegl1 libgl1-mesa-dri", "osmesa": "libosmesa6"}
# Seconds that a probe may take: a driver may hang as well as die.
PROBE_LIMIT = 30.0


class Renderer(Protocol):
    """Draws the cameras of a scene, from the thread that made it."""

    kind: str

    def render(self, data: Any, camera: int, width: int, height: int) -> NDArray[np.uint8]:
        """(height, width, 3) uint8 RGB."""

    def segment(
        self, data: Any, camera: int, width: int, height: int, values: NDArray[np.uint16]
    ) -> NDArray[np.uint16]:
        """(height, width) uint16: in each pixel the value of the geom that it shows. values: (ngeom + 1,), the last one
        for the sky."""

    def close(self) -> None:
        """Frees it, in that thread."""


def choose(kind: str, limit: float = PROBE_LIMIT) -> tuple[str, list[str]]:
    """The way of drawing to take, and what was tried in vain, each for `limit` seconds at most. `auto` takes EGL, else
    OSMesa, else rays.

    Raises RendererError when the one that is asked for does not work.
    """
    if kind == RAYS:
        return RAYS, []
    failures: list[str] = []
    for candidate in GL_KINDS if kind == AUTO else (kind,):
        problem = probe(candidate, limit)
        if not problem:
            return candidate, failures
        failures.append(f"{candidate}: {problem} (Debian and Ubuntu: apt install {PACKAGES[candidate]})")
    if kind != AUTO:
        raise RendererError(f"images cannot be drawn with {failures[0]}. Take renderer:=auto, which falls back")
    return RAYS, failures


def probe(kind: str, limit: float = PROBE_LIMIT) -> str:
    """Why a kind of OpenGL does not work, empty when it does. Tried in a process of its own, which is ended after
    `limit` seconds: a broken driver kills the process that asks it, or keeps it."""
    command = [sys.executable, "-m", "robot_ai.simulation.renderer_probe", kind]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return f"no image within {limit:g} s"
    if result.returncode == 0:
        return ""
    last = (result.stdout + result.stderr).strip().splitlines()[-1:]
    return last[0] if last else f"the process ended with {result.returncode}"


def open_renderer(scene: Scene, kind: str) -> Renderer:
    """A renderer of a kind that `choose` gave. Raises RendererError."""
    if kind != RAYS and "tensorflow" in sys.modules:
        raise RendererError(
            f"images cannot be drawn with {kind} in a process that TensorFlow is loaded in: its LLVM and that of "
            "Mesa's software renderer end the process. Draw in a process of its own, as the simulator node does, or "
            "take renderer:=rays"
        )
    return RayRenderer(scene) if kind == RAYS else GlRenderer(scene, kind)
