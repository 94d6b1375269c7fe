"""A world, read, given a robot where it has none, and compiled."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from robot_ai.geometry.transforms import RigidTransform
from robot_ai.simulation.builder import build
from robot_ai.simulation.diff_drive import PLUGINS
from robot_ai.simulation.quality import Quality
from robot_ai.simulation.resources import find_world, model_file
from robot_ai.simulation.scene import Scene
from robot_ai.simulation.sdf_element import RawPose, from_euler
from robot_ai.simulation.sdf_reader import SdfReader
from robot_ai.simulation.sdf_types import Model, World


def open_world(name: str, robot: str, start: tuple[float, float, float] | None) -> World:
    """Reads a world. robot: the URI of a model for a world without one, empty for none; start: x, y, yaw of the robot.

    Raises a WorldError that names file and element.
    """
    file = find_world(name)
    reader = SdfReader()
    world = reader.world(file)
    own = next((model for model in world.models if is_robot(model)), None)
    if own is None and robot:
        path = Path(robot).expanduser()
        path = path if path.is_file() else model_file(robot, file, "the parameter robot")
        own = reader.model(path)
        world = dataclasses.replace(world, models=(*world.models, own), notes=tuple(reader.notes))
    if own is None or start is None:
        return world
    moved = dataclasses.replace(own, pose=_at(own.pose, start))
    return dataclasses.replace(world, models=tuple(moved if model is own else model for model in world.models))


def is_robot(model: Model) -> bool:
    """Whether it drives, itself or something nested in it."""
    return any(plugin.name in PLUGINS for plugin in model.plugins) or any(is_robot(inner) for inner in model.models)


def open_scene(name: str, robot: str, start: tuple[float, float, float] | None, quality: Quality) -> Scene:
    """Reads and compiles a world. Raises a WorldError that names file and element."""
    return build(open_world(name, robot, start), quality)


def _at(pose: RawPose, start: tuple[float, float, float]) -> RawPose:
    """The height of a pose, at another place and heading."""
    x, y, yaw = start
    height = float(pose.transform.translation[2])
    turned = from_euler((x, y, height), (0.0, 0.0, yaw))
    return RawPose(RigidTransform(turned.rotation, np.asarray(turned.translation)))
