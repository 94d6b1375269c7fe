"""What a world becomes: the compiled model with handles to all that moves, senses or is looked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.geometry.transforms import Floats, RigidTransform
from robot_ai.simulation.outlines import Outline
from robot_ai.simulation.placing import PlacedModel
from robot_ai.simulation.sdf_types import Sensor, World

VISUAL_GROUP, COLLISION_GROUP = 0, 3


@dataclass(frozen=True, eq=False)
class MountedSensor:
    """A sensor on a body; equal to itself only.

    pose is in the body's frame; frame is that of its messages; `camera` is a camera's id, `site` an IMU's, else -1.
    """

    sensor: Sensor
    model: str
    link: str
    body: int
    pose: RigidTransform
    frame: str
    camera: int = -1
    site: int = -1


@dataclass(frozen=True)
class Thing:
    """A labelled model. outline is in the frame of its first link's body, `body`; to_model takes points of that frame
    into the model's, along whose axes its box is measured."""

    name: str
    label: int
    body: int
    outline: Outline
    to_model: RigidTransform


@dataclass(frozen=True)
class StaticFrame:
    """A frame that is fixed in its parent's."""

    parent: str
    child: str
    pose: RigidTransform


@dataclass(frozen=True)
class Scene:
    """A world, ready to run. model: mujoco.MjModel. things_of_geoms: (ngeom,) int32, the index of the thing that each
    geom belongs to, -1 for none. reflectance: (ngeom,) float32, what a lidar shows as intensity, in 0-1 or by
    laser_retro."""

    world: World
    model: Any
    placed: tuple[PlacedModel, ...]
    bodies: dict[tuple[str, str], int]
    sensors: tuple[MountedSensor, ...]
    things: tuple[Thing, ...]
    things_of_geoms: NDArray[np.int32]
    reflectance: NDArray[np.float32]

    def placed_model(self, name: str) -> PlacedModel:
        """A model by its name."""
        return next(model for model in self.placed if model.name == name)


def static_frames(model: PlacedModel, base: str) -> list[StaticFrame]:
    """The links that no moving joint parts from the link `base`, each in the frame of `base`. Links are named without
    the nested models that they are in."""
    links = {link.name: link for link in model.links}
    if base not in links:
        return []
    fixed = [(joint.parent, joint.child) for joint in model.joints if joint.joint.kind == "fixed"]
    joined, reach = {base}, [base]
    while reach:
        here = reach.pop()
        beside = [b for a, b in fixed if a == here] + [a for a, b in fixed if b == here]
        reach += [name for name in beside if name in links and name not in joined]
        joined |= set(beside) & links.keys()
    root = links[base].pose.inverse
    return [
        StaticFrame(short(base), short(name), root @ links[name].pose)
        for name in links
        if name in joined and name != base
    ]


def short(name: str) -> str:
    """A link's name without the models that it is in: frames of ROS are named so."""
    return name.rpartition("::")[2]


def body_pose(data: Any, body: int) -> RigidTransform:
    """Where a body is in the world now; data: mujoco.MjData."""
    rotation: Floats = data.xmat[body].reshape(3, 3).copy()
    return RigidTransform(rotation, data.xpos[body].copy())
