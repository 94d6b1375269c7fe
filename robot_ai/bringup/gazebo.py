"""What launch/gazebo.launch.py must know of SDF: where the robot's frames are, and a robot for a namespace.

Knows neither rclpy nor launch.
"""

from __future__ import annotations

import re
from collections.abc import Container
from pathlib import Path
from xml.etree.ElementTree import Element, tostring

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException

from robot_ai.errors import RobotAIError
from robot_ai.geometry.transforms import RigidTransform
from robot_ai.share import share_directories
from robot_ai.simulation.placing import place_model
from robot_ai.simulation.scene import StaticFrame
from robot_ai.simulation.scene import static_frames as frames_of_model
from robot_ai.simulation.sdf_reader import SdfReader

BASE_FRAME = "base_link"
REQUIRED = ("ros_gz_sim", "ros_gz_bridge", "tf2_ros")
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


class MissingGazeboError(RobotAIError):
    """Packages that gazebo.launch.py starts nodes of are not installed."""


def check_installed(packages: Container[str]) -> None:
    """Raises MissingGazeboError, which says what to install, where one of REQUIRED is not among `packages`."""
    missing = [package for package in REQUIRED if package not in packages]
    if missing:
        raise MissingGazeboError(
            f"Gazebo's part of ROS is not installed, {', '.join(missing)} missing: sudo apt install ros-jazzy-ros-gz "
            "ros-jazzy-tf2-ros, and source its setup.bash. simulation.launch.py needs no Gazebo"
        )


def models_directory() -> Path | None:
    """The installed worlds/models, or None: Gazebo needs it in GZ_SIM_RESOURCE_PATH."""
    return next((place for share in share_directories() if (place := share / "worlds" / "models").is_dir()), None)


def static_frames(robot: Path) -> list[StaticFrame]:
    """The frames that fixed joints hold to the base_link of a robot's SDF file.

    Gazebo's drive publishes odom -> base_link, and no one what is mounted on it. Raises RobotFileError, or a WorldError
    that names file and element.
    """
    placed = place_model(SdfReader().model(robot), RigidTransform.identity())
    if all(link.name != BASE_FRAME for link in placed.links):
        links = ", ".join(link.name for link in placed.links)
        raise RobotFileError(f"{robot} has no link '{BASE_FRAME}', which odometry leads to; its links are {links}")
    return frames_of_model(placed, BASE_FRAME)


def transform_arguments(frame: StaticFrame) -> list[str]:
    """The command line of tf2_ros's static_transform_publisher."""
    values = (*frame.pose.translation.tolist(), *frame.pose.quaternion.tolist())
    names = ("x", "y", "z", "qx", "qy", "qz", "qw")
    words = [word for name, value in zip(names, values, strict=True) for word in (f"--{name}", f"{value:.9g}")]
    return [*words, "--frame-id", frame.parent, "--child-frame-id", frame.child]


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
        root: Element = defusedxml.ElementTree.fromstring(file.read_bytes())
        return root
    except (OSError, defusedxml.ElementTree.ParseError, DefusedXmlException, ValueError) as error:
        raise RobotFileError(f"{file} cannot be read as SDF: {error}") from error
