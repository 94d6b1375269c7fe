"""Starts Gazebo Harmonic with everything that the real robot runs.

`ros2 launch robot_ai gazebo.launch.py headless:=true camera.backend:=tensorflow`

A second robot joins a running Gazebo: `gz:=false namespace:=robot2 own_tf:=true y:=1.5`. Needs ros_gz_sim,
ros_gz_bridge and tf2_ros. With bridge:=true the motors obey only what the bridge's watchdog lets through. More in
docs/gazebo.md.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from ament_index_python.packages import get_packages_with_prefixes
from launch.actions import AppendEnvironmentVariable, DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import Action, LaunchContext, LaunchDescription
from robot_ai.bringup.gazebo import (
    BRIDGES,
    check_installed,
    has_model,
    models_directory,
    robot_text,
    static_frames,
    transform_arguments,
)
from robot_ai.bringup.launching import describe_members, simulated_microcontroller
from robot_ai.bringup.table import BRIDGE, GUARDED, OWN_TF, ROBOT, TOPICS
from robot_ai.share import share_file
from robot_ai.simulation.resources import find_world

_SERVER_ONLY = "-s --headless-rendering"
_TRUE = ("true", "1")


def generate_launch_description() -> LaunchDescription:
    models = models_directory()
    return LaunchDescription(
        [
            *_arguments(),
            OpaqueFunction(function=lambda _: check_installed(get_packages_with_prefixes())),
            *([AppendEnvironmentVariable("GZ_SIM_RESOURCE_PATH", str(models))] if models else []),
            *describe_members(ROBOT, off=("bridge", "driver"), use_sim_time=True),
            *simulated_microcontroller(),
            OpaqueFunction(function=_simulator),
            OpaqueFunction(function=_robot),
        ]
    )


def _arguments() -> list[Action]:
    def argument(name: str, default: str, meaning: str, *choices: str) -> DeclareLaunchArgument:
        more = {"choices": list(choices)} if choices else {}
        return DeclareLaunchArgument(name, default_value=default, description=meaning, **more)

    return [
        argument("gz", "true", "start Gazebo; false: join one that runs, with another robot", "true", "false"),
        argument("world", "room", "a world of this package (room, street) or an SDF file"),
        argument("headless", "false", "no window: the server alone, rendering by EGL", "true", "false"),
        argument("gz_args", "", "more arguments for gz sim, such as '-v 4'"),
        argument("robot", str(share_file("worlds/models/robot/model.sdf")), "SDF file of the robot"),
        argument("robot_name", "robot", "the robot's name in the world; with a namespace, that"),
        argument(
            "spawn",
            "auto",
            "put the robot into the world; auto: unless the world's file has a model of its name",
            "auto",
            "true",
            "false",
        ),
        argument("x", "0.0", "where the robot is spawned, m"),
        argument("y", "0.0", "where the robot is spawned, m"),
        argument("z", "0.0", "where the robot is spawned, m"),
        argument("yaw", "0.0", "where the spawned robot looks, rad"),
        argument(
            "motors",
            "",
            f"what the motors obey; empty: {TOPICS['motors'].default}, or {GUARDED['motors']} with bridge:=true",
        ),
    ]


def _simulator(context: LaunchContext) -> list[Action]:
    """Gazebo, and the bridge of its clock."""
    given = context.launch_configurations
    if given["gz"] != "true":
        return []
    options = [_SERVER_ONLY] if given["headless"] == "true" else []
    words = ["-r", *options, given["gz_args"], shlex.quote(str(find_world(given["world"])))]
    file = PathJoinSubstitution([FindPackageShare("ros_gz_sim"), "launch", "gz_sim.launch.py"])
    gazebo = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(file),
        launch_arguments={"gz_args": " ".join(filter(None, words)), "on_exit_shutdown": "true"}.items(),
    )
    return [gazebo, _bridge("clock")]


def _robot(context: LaunchContext) -> list[Action]:
    """The robot: put into the world where it is not there yet, its bridges, and the frames mounted on it."""
    given = context.launch_configurations
    namespace, own_tf = given["namespace"].strip("/"), given["own_tf"].lower() in _TRUE
    spawned = _is_spawned(given)
    motors = given["motors"] or (GUARDED if given[BRIDGE.role].lower() in _TRUE else {}).get("motors", "")
    remappings = [("cmd_vel", motors or TOPICS["motors"].default), *([] if own_tf else [("tf", "/tf")])]
    frames = static_frames(Path(given["robot"]))
    return [
        *([_spawner(given, namespace)] if spawned else []),
        *(_bridge(name, namespace, bool(spawned and namespace), remappings) for name in BRIDGES if name != "clock"),
        *(
            Node(
                package="tf2_ros",
                executable="static_transform_publisher",
                name=f"{frame.child}_tf",
                namespace=namespace,
                arguments=transform_arguments(frame),
                remappings=list(OWN_TF) if own_tf else [],
            )
            for frame in frames
        ),
    ]


def _is_spawned(given: dict[str, str]) -> bool:
    if given["spawn"] != "auto":
        return given["spawn"] == "true"
    return given["gz"] != "true" or not has_model(find_world(given["world"]), given["robot_name"])


def _spawner(given: dict[str, str], namespace: str) -> Node:
    places = [
        word for name, key in (("x", "x"), ("y", "y"), ("z", "z"), ("Y", "yaw")) for word in (f"-{name}", given[key])
    ]
    return Node(
        package="ros_gz_sim",
        executable="create",
        name="spawner",
        namespace=namespace,
        arguments=[
            *("-string", robot_text(Path(given["robot"]), namespace)),
            *("-name", namespace or given["robot_name"]),
            *places,
        ],
        output="screen",
    )


def _bridge(
    name: str, namespace: str = "", expand: bool = False, remappings: list[tuple[str, str]] | None = None
) -> Node:
    """A ros_gz_bridge; with `expand` its topics in Gazebo lie in the namespace too."""
    return Node(
        package="ros_gz_bridge",
        executable="parameter_bridge",
        name=f"gazebo_bridge_{name}",
        namespace=namespace,
        parameters=[{"config_file": str(share_file(BRIDGES[name])), "expand_gz_topic_names": expand}],
        remappings=remappings,
        output="screen",
    )
