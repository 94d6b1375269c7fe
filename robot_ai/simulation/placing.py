"""SDF's frame semantics: where every link and joint of a model is, whatever its pose is relative to.

sdformat.org/tutorials: "Pose frame semantics" of SDF 1.7 and later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from robot_ai.geometry.transforms import Floats, RigidTransform
from robot_ai.simulation.errors import SdfFrameError
from robot_ai.simulation.sdf_element import RawPose
from robot_ai.simulation.sdf_types import Joint, Link, Model, Plugin, World

MODEL_FRAME, WORLD_FRAME = "__model__", "world"


@dataclass(frozen=True)
class PlacedLink:
    """A link with its pose in its top model's frame; `name` has the names of nested models before it, as a::b."""

    name: str
    link: Link
    pose: RigidTransform
    frames: FrameTree

    def locate(self, raw: RawPose) -> RigidTransform:
        """A pose that is written within the link, in the link's frame. Raises SdfFrameError."""
        if not raw.relative_to or raw.relative_to == self.link.name:
            return raw.transform
        here = self.frames.pose(self.link.name, self.link.where)
        return here.inverse @ self.frames.pose(raw.relative_to, self.link.where) @ raw.transform


@dataclass(frozen=True)
class PlacedJoint:
    """A joint between links by their scoped names; pose and axis (unit) are in the top model's frame."""

    joint: Joint
    parent: str
    child: str
    pose: RigidTransform
    axis: Floats


@dataclass(frozen=True)
class PlacedModel:
    """A top model with all that is nested in it; pose in the world."""

    name: str
    pose: RigidTransform
    static: bool
    links: tuple[PlacedLink, ...]
    joints: tuple[PlacedJoint, ...]
    plugins: tuple[Plugin, ...]
    label: int | None
    where: str


class FrameTree:
    """The frames of one scope, each relative to another."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._edges: dict[str, tuple[str, RigidTransform]] = {}

    def add(self, name: str, relative_to: str, transform: RigidTransform) -> None:
        """A frame and the transform that takes its points into `relative_to`."""
        self._edges[name] = (relative_to, transform)

    def pose(self, name: str, where: str) -> RigidTransform:
        """The transform of a frame into the scope's root. Raises SdfFrameError, with `where` for its message."""
        chain = RigidTransform.identity()
        seen: list[str] = []
        while name not in (self._root, ""):
            if name in seen:
                raise SdfFrameError(f"{where}: the frames {' -> '.join([*seen, name])} are relative to each other")
            if name not in self._edges:
                known = ", ".join(sorted(self._edges)) or "none"
                raise SdfFrameError(f"{where}: there is no frame '{name}' to be relative to; there are: {known}")
            seen.append(name)
            name, transform = self._edges[name]
            chain = transform @ chain
        return chain


def place_world(world: World) -> list[PlacedModel]:
    """The models of a world, placed. Raises SdfFrameError."""
    frames = FrameTree(WORLD_FRAME)
    for frame in world.frames:
        frames.add(frame.name, frame.pose.relative_to or frame.attached_to, frame.pose.transform)
    for model in world.models:
        frames.add(model.name, model.pose.relative_to, _model_pose(model))
    return [place_model(model, frames.pose(model.name, model.where)) for model in world.models]


def place_model(model: Model, pose: RigidTransform) -> PlacedModel:
    """A model whose frame is at `pose` in the world. Raises SdfFrameError."""
    links, joints = _flatten(model)
    plugins = [*model.plugins, *(plugin for nested in _nested(model) for plugin in nested.plugins)]
    label = next((m.label for m in (model, *_nested(model)) if m.label is not None), None)
    return PlacedModel(model.name, pose, model.static, tuple(links), tuple(joints), tuple(plugins), label, model.where)


def _nested(model: Model) -> Iterable[Model]:
    for inner in model.models:
        yield inner
        yield from _nested(inner)


def _model_pose(model: Model) -> RigidTransform:
    """The raw transform of a model's frame: its pose is given for its placement frame if it has one."""
    if not model.placement_frame:
        return model.pose.transform
    return model.pose.transform @ frames_of(model).pose(model.placement_frame, model.where).inverse


def frames_of(model: Model) -> FrameTree:
    """All the frames that poses in a model may be relative to. Raises SdfFrameError."""
    tree = FrameTree(MODEL_FRAME)
    for link in model.links:
        tree.add(link.name, link.pose.relative_to, link.pose.transform)
    for joint in model.joints:
        tree.add(joint.name, joint.pose.relative_to or joint.child, joint.pose.transform)
    for frame in model.frames:
        tree.add(frame.name, frame.pose.relative_to or frame.attached_to, frame.pose.transform)
    for nested in model.models:
        tree.add(nested.name, nested.pose.relative_to, _model_pose(nested))
        inner = frames_of(nested)
        for name in _names(nested):
            tree.add(f"{nested.name}::{name}", nested.name, inner.pose(name, nested.where))
    return tree


def _names(model: Model) -> list[str]:
    own = [item.name for group in (model.links, model.joints, model.frames, model.models) for item in group]
    return own + [f"{nested.name}::{name}" for nested in model.models for name in _names(nested)]


def _flatten(model: Model) -> tuple[list[PlacedLink], list[PlacedJoint]]:
    tree = frames_of(model)
    links = [PlacedLink(link.name, link, tree.pose(link.name, link.where), tree) for link in model.links]
    joints = [_place_joint(joint, model, tree) for joint in model.joints]
    for nested in model.models:
        base = tree.pose(nested.name, nested.where)
        inner_links, inner_joints = _flatten(nested)
        prefix = f"{nested.name}::"
        links += [PlacedLink(prefix + item.name, item.link, base @ item.pose, item.frames) for item in inner_links]
        joints += [
            PlacedJoint(
                item.joint,
                item.parent if item.parent == WORLD_FRAME else prefix + item.parent,
                prefix + item.child,
                base @ item.pose,
                base.rotation @ item.axis,
            )
            for item in inner_joints
        ]
    return links, joints


def _place_joint(joint: Joint, model: Model, tree: FrameTree) -> PlacedJoint:
    pose = tree.pose(joint.name, joint.where)
    axis = np.array(joint.axis) / np.linalg.norm(joint.axis)
    turned = pose if not joint.expressed_in else tree.pose(joint.expressed_in, joint.where)
    parent, child = (_link_of(name, model, joint.where) for name in (joint.parent, joint.child))
    return PlacedJoint(joint, parent, child, pose, turned.rotation @ axis)


def _link_of(name: str, model: Model, where: str) -> str:
    """The scoped name of the link that a joint's parent or child names: the link itself, what a frame is attached to,
    or the first link of a nested model. Raises SdfFrameError.
    """
    if name == WORLD_FRAME:
        return name
    head, _, rest = name.partition("::")
    for nested in model.models:
        if nested.name == head:
            return f"{head}::" + _link_of(rest or _first_link(nested), nested, where)
    if any(link.name == name for link in model.links):
        return name
    attached = {frame.name: frame.attached_to for frame in model.frames}
    attached |= {joint.name: joint.child for joint in model.joints}
    seen: list[str] = []
    while name in attached and name not in seen:
        seen.append(name)
        name = attached[name]
        if any(link.name == name for link in model.links):
            return name
    raise SdfFrameError(f"{where}: there is no link '{name}'; links are {', '.join(link.name for link in model.links)}")


def _first_link(model: Model) -> str:
    return model.links[0].name if model.links else f"{model.models[0].name}::{_first_link(model.models[0])}"
