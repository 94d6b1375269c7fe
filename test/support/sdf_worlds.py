"""Small SDF worlds for tests, and the yard, whose geometry the tests know."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mujoco
import pytest

from robot_ai.simulation.builder import build
from robot_ai.simulation.errors import RendererError
from robot_ai.simulation.opening import open_scene
from robot_ai.simulation.quality import Quality
from robot_ai.simulation.renderers import GL_KINDS, Renderer, open_renderer, probe
from robot_ai.simulation.scene import MountedSensor, Scene
from robot_ai.simulation.sdf_reader import SdfReader

YARD = Path(__file__).resolve().parents[1] / "simulation" / "data" / "yard.sdf"
PLAIN = Quality(shadow_size=0, antialiasing=0, detail=0.0)

CAMERA = """
<sensor name="camera" type="camera"><update_rate>10</update_rate>
  <camera><horizontal_fov>1.2</horizontal_fov>{more}
    <image><width>320</width><height>240</height></image><clip><near>0.05</near><far>50</far></clip></camera>
</sensor>"""
LIDAR = """
<sensor name="lidar" type="gpu_lidar"><update_rate>10</update_rate>
  <lidar><scan>
    <horizontal><samples>{columns}</samples><min_angle>-3.0</min_angle><max_angle>3.0</max_angle></horizontal>
    <vertical><samples>{rings}</samples><min_angle>-0.3</min_angle><max_angle>0.3</max_angle></vertical>
  </scan><range><min>{near}</min><max>{far}</max></range>{more}</lidar>
</sensor>"""


def world_xml(content: str) -> str:
    return f'<sdf version="1.9"><world name="test">{content}</world></sdf>'


def sensor_model(sensor: str, pose: str = "0 0 1 0 0 0", body: str = "") -> str:
    """A fixed post with a sensor at `pose`."""
    return f'<model name="post"><static>true</static><pose>{pose}</pose><link name="mast">{body}{sensor}</link></model>'


def shape_model(name: str, pose: str, geometry: str, label: int | None = None, color: str = "0.5 0.5 0.5") -> str:
    """A fixed thing."""
    plugin = (
        ""
        if label is None
        else f'<plugin filename="gz-sim-label-system" name="gz::sim::systems::Label"><label>{label}</label></plugin>'
    )
    return (
        f'<model name="{name}"><static>true</static><pose>{pose}</pose><link name="link"><visual name="v">'
        f"<geometry>{geometry}</geometry><material><diffuse>{color}</diffuse></material></visual></link>{plugin}</model>"
    )


def box(x: float, y: float, z: float) -> str:
    return f"<box><size>{x} {y} {z}</size></box>"


def scene_of(content: str, folder: Path, quality: Quality = PLAIN) -> Scene:
    """A scene of the elements of a world, which is written to `folder`."""
    file = folder / "world.sdf"
    file.write_text(world_xml(content))
    return build(SdfReader().world(file), quality)


def yard() -> Scene:
    """The yard with the robot in it."""
    return open_scene(str(YARD), "", None, PLAIN)


def settled(scene: Scene) -> mujoco.MjData:
    """The state at the start."""
    data = mujoco.MjData(scene.model)
    mujoco.mj_forward(scene.model, data)
    return data


def sensor_named(scene: Scene, name: str) -> MountedSensor:
    return next(mounted for mounted in scene.sensors if mounted.sensor.name == name)


def working_renderers() -> list[str]:
    """The first OpenGL that works, since PyOpenGL takes one for good in a process, and rays, which always do.

    $ROBOT_AI_TEST_RENDERER names another OpenGL.
    """
    wanted = os.environ.get("ROBOT_AI_TEST_RENDERER")
    kinds = [kind for kind in ([wanted] if wanted else GL_KINDS) if not probe(kind)]
    return [*kinds[:1], "rays"]


@contextmanager
def renderer_of(scene: Scene, kind: str) -> Iterator[Renderer]:
    try:
        renderer = open_renderer(scene, kind)
    except RendererError as error:
        if "TensorFlow" in str(error):
            pytest.skip(f"run test/simulation by itself, as make test does: {error}")
        raise
    try:
        yield renderer
    finally:
        renderer.close()
