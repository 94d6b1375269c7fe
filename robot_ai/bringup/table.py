"""The table of nodes, from which the launch files, the runner of the demo and docs/parameters.md are made.

Two things are told here and nowhere else. `EXECUTABLES`: which nodes this package has, with their parameters, their
file in config/ and the topics that can be remapped. `PERCEPTION`, `BRIDGE` …: which of them make up a robot, under
which names their topics meet (`TOPICS`), and which parameters their place on the robot gives them.

Without launch, a member of the table is the process
`[sys.executable, "-m", member.executable.module, *member.ros_arguments(...)]` in the environment of
`robot_ai.ros.environment.image_transport_environment()`; with launch, `robot_ai.bringup.launching` makes an action of
it. Knows neither rclpy nor launch.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robot_ai.ros.parameter_spec import ParameterSpec, specs_of
from robot_ai.share import share_file


@dataclass(frozen=True)
class Executable:
    """A node of this package. `topics` are those that other nodes decide the names of, with their meaning."""

    name: str
    topics: Mapping[str, str] = field(default_factory=dict)

    @property
    def module(self) -> str:
        """The module whose `main` runs the node."""
        return f"robot_ai.nodes.{self.name}"

    @property
    def parameters(self) -> type:
        """The dataclass of its parameters; only that of a node that is used is imported."""
        module = importlib.import_module(f"{self.module}_parameters")
        return getattr(module, "".join(word.capitalize() for word in self.name.split("_")) + "Parameters")

    @property
    def specs(self) -> dict[str, ParameterSpec]:
        """The node's parameters by name."""
        return specs_of(self.parameters)

    @property
    def config(self) -> str:
        """The node's file of parameters, in the package's share directory."""
        return f"config/{self.name}.yaml"


EXECUTABLES = {
    executable.name: executable
    for executable in (
        Executable(
            "camera_detector",
            {"image": "image topic to listen to (one camera), such as /camera/image_raw"},
        ),
        Executable(
            "lidar_detector",
            {
                "points": "PointCloud2 topic to listen to, such as /velodyne_points",
                "scan": "LaserScan topic, for input:=scan",
                "twist": "TwistStamped topic of the lidar's motion, for deskew:=twist",
                "odom": "Odometry topic of the robot's motion, for deskew:=odom",
            },
        ),
        Executable(
            "detection_fusion",
            {
                "detections_3d": "the lidar's detections, such as /lidar_detector's detections",
                "detections_2d": "the camera's detections of the same place",
                "camera_info": "the camera's calibration",
                "points": "the cloud that the lidar's detections were made from; gives ranges to what only the camera "
                "sees",
            },
        ),
        Executable("image_source"),
        Executable("simulator", {"cmd_vel": "velocity commands to the simulated robot"}),
        Executable(
            "follow_and_avoid",
            {
                "detections": "3D detections, of which people are followed",
                "scan": "LaserScan of what is in the way",
                "odom": "how the robot really moves, which shows that something holds it",
                "cmd_vel": "topic of the velocity commands that it gives",
            },
        ),
        Executable(
            "micro_ros_bridge",
            {
                "detections": "topic of the detections",
                "label_info": "topic of their labels",
                "camera_info": "calibration of the camera that sees them (2d)",
                "cmd_vel": "topic of the commands to be watched",
            },
        ),
    )
}


@dataclass(frozen=True)
class Topic:
    """A topic where nodes of a robot meet: its name below the robot's namespace."""

    default: str
    meaning: str


TOPICS = {
    "image": Topic("camera/image_raw", "the camera's images"),
    "camera_info": Topic("camera/camera_info", "the camera's calibration"),
    "points": Topic("lidar/points", "the lidar's clouds"),
    "scan": Topic("scan", "a planar lidar's scans, for lidar.input:=scan"),
    "twist": Topic("twist", "the lidar's own motion, for lidar.deskew:=twist"),
    "odom": Topic("odom", "how the robot moves, from its wheels; also for lidar.deskew:=odom"),
    "cmd_vel": Topic("cmd_vel", "velocity commands from whoever drives"),
    "motors": Topic("cmd_vel", "what the simulated robot's motors obey"),
    "detections_2d": Topic("camera/detections", "where the camera's detections meet the lidar's"),
    "detections_3d": Topic("lidar/detections", "where the lidar's detections meet the camera's"),
    "detections_fused": Topic("detections_fused", "what both saw, in the lidar's frame"),
}


# With the bridge between driver and motors, the simulated robot obeys its simulated microcontroller alone.
GUARDED = {"motors": "mcu/motors"}
OWN_TF = (("/tf", "tf"), ("/tf_static", "tf_static"))


@dataclass(frozen=True)
class Member:
    """A node at its place on a robot.

    `role` is what launch arguments call it: `camera:=false`, `camera.backend:=tensorflow`. `topics` maps the node's own
    names to keys of TOPICS, or to names below the robot's namespace that no one needs to change. `parameters` come over
    those of the node's file.
    """

    role: str
    meaning: str
    executable: Executable
    topics: Mapping[str, str]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def remappings(self, names: Mapping[str, str], own_tf: bool = False) -> list[tuple[str, str]]:
        """The node's remappings, where `names` holds those of TOPICS that do not have their default name.

        With `own_tf` each namespace has its own tree of frames, on `tf` and `tf_static` below it.
        """
        topics = [(own, names.get(topic) or default_name(topic)) for own, topic in self.topics.items()]
        return [*topics, *(OWN_TF if own_tf else ())]

    def ros_arguments(
        self,
        *,
        namespace: str = "",
        names: Mapping[str, str] | None = None,
        own_tf: bool = False,
        parameters: Mapping[str, Any] | None = None,
        params_files: Sequence[Path] = (),
    ) -> list[str]:
        """The command line after the executable: what launch gives the node, given without launch.

        `names` and `own_tf` are as in `remappings`; `params_files` come over the node's own file, `parameters` over
        all. Raises ShareNotFoundError when the node's file is missing.
        """
        words = ["--ros-args", "-r", f"__node:={self.executable.name}"]
        if namespace:
            words += ["-r", f"__ns:=/{namespace.strip('/')}"]
        for own, topic in self.remappings(names or {}, own_tf):
            words += ["-r", f"{own}:={topic}"]
        for file in (share_file(self.executable.config), *params_files):
            words += ["--params-file", str(file)]
        for name, value in {**self.parameters, **(parameters or {})}.items():
            words += ["-p", f"{name}:={json.dumps(value, default=str)}"]
        return words


def default_name(topic: str) -> str:
    """The name of a key of TOPICS; any other name stands for itself."""
    return TOPICS[topic].default if topic in TOPICS else topic


CAMERA = Member(
    "camera",
    "find things in the camera's images",
    EXECUTABLES["camera_detector"],
    {
        "image": "image",
        "detections": "detections_2d",
        "detections/image": "camera/detections/image",
        "label_info": "camera/label_info",
        "vision_info": "camera/vision_info",
        "backend_status": "camera/backend_status",
    },
)
LIDAR = Member(
    "lidar",
    "find things in the lidar's clouds or scans",
    EXECUTABLES["lidar_detector"],
    {
        "points": "points",
        "scan": "scan",
        "twist": "twist",
        "odom": "odom",
        "detections": "detections_3d",
        "detections/markers": "lidar/detections/markers",
        "label_info": "lidar/label_info",
        "vision_info": "lidar/vision_info",
        "backend_status": "lidar/backend_status",
    },
)
FUSION = Member(
    "fusion",
    "join what camera and lidar have found",
    EXECUTABLES["detection_fusion"],
    {
        "detections_2d": "detections_2d",
        "detections_3d": "detections_3d",
        "camera_info": "camera_info",
        "points": "points",
        "detections_fused": "detections_fused",
    },
)
BRIDGE = Member(
    "bridge",
    "tie a microcontroller to the robot, with the watchdog over what drives it",
    EXECUTABLES["micro_ros_bridge"],
    {
        "detections": "detections_fused",
        "label_info": "camera/label_info",
        "camera_info": "camera_info",
        "cmd_vel": "cmd_vel",
    },
    {"detections_type": "3d"},
)

SIMULATOR = Member(
    "simulator",
    "the simulated robot and its world",
    EXECUTABLES["simulator"],
    {"cmd_vel": "motors"},
)
DRIVER = Member(
    "driver",
    "follow people and keep away from everything: the robot moves by itself",
    EXECUTABLES["follow_and_avoid"],
    {"detections": "detections_fused", "scan": "scan", "odom": "odom", "cmd_vel": "cmd_vel"},
)

PERCEPTION = (CAMERA, LIDAR, FUSION)
ROBOT = (*PERCEPTION, BRIDGE, DRIVER)
SIMULATION = (SIMULATOR, *PERCEPTION, BRIDGE, DRIVER)
