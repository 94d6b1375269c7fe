"""`python -m robot_ai.simulation.renderer_probe egl`: draws one image; exit code 0 when it shows what it must."""

from __future__ import annotations

import sys
from pathlib import Path

import mujoco
import numpy as np

from robot_ai.geometry.transforms import RigidTransform
from robot_ai.simulation.builder import build
from robot_ai.simulation.gl_renderer import GlRenderer
from robot_ai.simulation.sdf_element import RawPose
from robot_ai.simulation.sdf_types import (
    CameraSpec,
    Geometry,
    Inertial,
    Link,
    Material,
    Model,
    Sensor,
    Shape,
    World,
)

_SIZE = 64


def main(argv: list[str] | None = None) -> int:
    """Draws a red wall with an OpenGL of that kind."""
    kind = (sys.argv[1:] if argv is None else argv)[0]
    scene = build(_world(), shadow_size=0)
    data = mujoco.MjData(scene.model)
    mujoco.mj_forward(scene.model, data)
    renderer = GlRenderer(scene, kind)
    image = renderer.render(data, 0, _SIZE, _SIZE)
    geoms = renderer.segment(data, 0, _SIZE, _SIZE)
    renderer.close()
    red, green, blue = image[_SIZE // 2, _SIZE // 2].astype(int)
    if geoms[_SIZE // 2, _SIZE // 2] != 0 or red < 50 or max(green, blue) > red // 2:
        print(f"the image shows {red}, {green}, {blue} where a red wall is")  # noqa: T201 - read by renderers.probe
        return 1
    return 0


def _world() -> World:
    here, red = RawPose.identity(), Material((1.0, 0.0, 0.0, 1.0), 0.0, 0.0)
    ahead = RawPose(RigidTransform(np.eye(3), np.array([2.0, 0.0, 0.0])))
    wall = Shape("wall", ahead, Geometry("box", (0.1, 1.0, 1.0), "probe"), red)
    spec = CameraSpec(_SIZE, _SIZE, (_SIZE, _SIZE), (_SIZE / 2, _SIZE / 2), 0.1, 10.0, 0.0, "")
    camera = Sensor("camera", here, "", 1.0, "", spec, "probe")
    link = Link("link", here, Inertial(here, 1.0, (1.0, 1.0, 1.0, 0.0, 0.0, 0.0)), (wall,), (), (camera,), (), "probe")
    model = Model("model", here, True, (link,), (), (), (), (), "", None, "probe")
    white = (1.0, 1.0, 1.0, 1.0)
    return World("probe", Path("probe"), (0.0, 0.0, -9.8), 0.001, white, white, False, (model,), (), ())


if __name__ == "__main__":
    raise SystemExit(main())
