"""What launch/gazebo.launch.py must know of SDF: where the robot's frames are, and a robot for a namespace.

Knows neither rclpy nor launch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, tostring

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException

from robot_ai.errors import RobotAIError
from robot_ai.geometry.transforms import RigidTransform
from robot_ai.share import share_directories
from robot_ai.simulation.placing import MODEL_FRAME, PlacedJoint, frames_of, place_model
from robot_ai.simulation.sdf_reader import SdfReader

BASE_FRAME = "base_link"
# One bridge per file: a camera must not starve the clock.
BRIDGES = {
    "clock": "config/gazebo_bridge_clock.yaml",
    "sensors": "config/gazebo_bridge.yaml",
    "camera": "config/gazebo_bridge_camera.yaml",
}
# What a plugin names as its topics; sensors have <topic>.
_TOPIC_TAGS = ("topic", "odom_topic", "tf_topic", "camera_info_topic")


class RobotFileError(RobotAIError):
    """A robot's or a world's SDF file that cannot be read, or has no base_link."""


@dataclass(frozen=True)
class StaticFrame:
    """A frame that does not move in its parent: translation x, y, z in meters, rotation as a quaternion x, y, z, w."""

    parent: str
    child: str
    translation: tuple[float, float, float]
    rotation: tuple[float, float, float, float]

    def arguments(self) -> list[str]:
        """The command line of tf2_ros's static_transform_publisher."""
        values = zip(("x", "y", "z", "qx", "qy", "qz", "qw"), (*self.translation, *self.rotation), strict=True)
        words = [word for name, value in values for word in (f"--{name}", f"{value:.9g}")]
        return [*words, "--frame-id", self.parent, "--child-frame-id", self.child]


def models_directory() -> Path | None:
    """The installed worlds/models, or None: Gazebo needs it in GZ_SIM_RESOURCE_PATH."""
    return next((place for share in share_directories() if (place := share / "worlds" / "models").is_dir()), None)


def static_frames(robot: Path) -> list[StaticFrame]:
    """The frames of a robot's SDF file that fixed joints hold to its base_link, and the named frames on those links.

    Gazebo's drive publishes odom -> base_link, and no one what is mounted on it. Links come relative to base_link, named
    frames to the link that they are attached to. Raises RobotFileError, or a WorldError that names file and element.
    """
    model = SdfReader().model(robot)
    placed = place_model(model, RigidTransform.identity())
    poses = {link.name: link.pose for link in placed.links}
    if BASE_FRAME not in poses:
        raise RobotFileError(f"{robot} has no link '{BASE_FRAME}'; its links are {', '.join(poses)}")
    fixed = _held(BASE_FRAME, placed.joints)
    base = poses[BASE_FRAME].inverse
    frames = [_static_frame(BASE_FRAME, name, base @ poses[name]) for name in fixed]
    tree = frames_of(model)
    for frame in model.frames:
        parent = frame.attached_to or BASE_FRAME
        if parent in (*fixed, BASE_FRAME, MODEL_FRAME):
            parent = BASE_FRAME if parent == MODEL_FRAME else parent
            way = poses[parent].inverse @ tree.pose(frame.name, str(robot))
            frames.append(_static_frame(parent, frame.name, way))
    return frames


def _held(base: str, joints: Sequence[PlacedJoint]) -> list[str]:
    """The links that fixed joints hold to `base`, itself left out, in the order of the file."""
    held = {base}
    fixed = [joint for joint in joints if joint.joint.kind == "fixed"]
    for _ in fixed:
        held |= {joint.child for joint in fixed if joint.parent in held}
    return [joint.child for joint in fixed if joint.child in held]


def _static_frame(parent: str, child: str, way: RigidTransform) -> StaticFrame:
    x, y, z = way.translation.tolist()
    qx, qy, qz, qw = way.quaternion.tolist()
    return StaticFrame(parent, child, (x, y, z), (qx, qy, qz, qw))


def has_model(world: Path, name: str) -> bool:
    """Whether a world's file holds or includes a model of this name. Raises RobotFileError."""
    root = _parse(world)
    named = [model.get("name") for model in root.iter("model")]
    for include in root.iter("include"):
        named.append(include.findtext("name") or (include.findtext("uri") or "").rstrip("/").rpartition("/")[2])
    return name in (text.strip() for text in named if text)


def robot_text(robot: Path, namespace: str) -> str:
    """A robot's SDF in which every topic of its sensors and plugins lies below `namespace`. Raises RobotFileError."""
    root = _parse(robot)
    prefix = namespace.strip("/")
    for tag in _TOPIC_TAGS if prefix else ():
        for topic in root.iter(tag):
            topic.text = f"/{prefix}/{(topic.text or '').strip().lstrip('/')}"
    return re.sub(r">\s+<", "><", tostring(root, encoding="unicode"))


def _parse(file: Path) -> Element:
    try:
        return defusedxml.ElementTree.parse(file).getroot()
    except (OSError, defusedxml.ElementTree.ParseError, DefusedXmlException, ValueError) as error:
        raise RobotFileError(f"{file} cannot be read as SDF: {error}") from error
