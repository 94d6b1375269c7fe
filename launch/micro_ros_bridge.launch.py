"""Starts micro_ros_bridge: `ros2 launch robot_ai micro_ros_bridge.launch.py --show-args` lists the arguments."""

from __future__ import annotations

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile

from launch import LaunchContext, LaunchDescription
from robot_ai.nodes.micro_ros_bridge_parameters import MicroRosBridgeParameters
from robot_ai.ros.parameter_spec import from_text, specs_of
from robot_ai.share import share_file

SPECS = specs_of(MicroRosBridgeParameters)
FROM_FILE = ""


def generate_launch_description() -> LaunchDescription:
    parameters = [
        DeclareLaunchArgument(
            name,
            default_value=FROM_FILE,
            description=f"{spec.description} [{spec.type_name}{', ' + spec.constraint if spec.constraint else ''}]; "
            f"empty: as params_file says, else {spec.default!r}",
        )
        for name, spec in SPECS.items()
    ]
    return LaunchDescription(
        [
            DeclareLaunchArgument("namespace", default_value="", description="ROS namespace of the node"),
            DeclareLaunchArgument("name", default_value="micro_ros_bridge", description="name of the node"),
            DeclareLaunchArgument("detections", default_value="detections", description="topic of the detections"),
            DeclareLaunchArgument("label_info", default_value="label_info", description="topic of their labels"),
            DeclareLaunchArgument(
                "camera_info", default_value="camera_info", description="calibration of the camera that sees them (2d)"
            ),
            DeclareLaunchArgument(
                "cmd_vel", default_value="cmd_vel", description="topic of the commands to be watched"
            ),
            DeclareLaunchArgument(
                "params_file",
                default_value=str(share_file("config/micro_ros_bridge.yaml")),
                description="YAML file of parameters; arguments given here win over it",
            ),
            DeclareLaunchArgument("use_sim_time", default_value="false", description="take time from /clock"),
            DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn, error or fatal"),
            *parameters,
            OpaqueFunction(function=_micro_ros_bridge),
        ]
    )


def _micro_ros_bridge(context: LaunchContext) -> list[Node]:
    """Only arguments that were given become parameters, so that they override the file and nothing else does."""

    def argument(name: str) -> str:
        return str(LaunchConfiguration(name).perform(context))

    given = {name: from_text(spec, argument(name)) for name, spec in SPECS.items() if argument(name) != FROM_FILE}
    return [
        Node(
            package="robot_ai",
            executable="micro_ros_bridge",
            name=argument("name"),
            namespace=argument("namespace"),
            parameters=[
                ParameterFile(argument("params_file"), allow_substs=True),
                {"use_sim_time": argument("use_sim_time").lower() in ("true", "1"), **given},
            ],
            remappings=[(name, argument(name)) for name in ("detections", "label_info", "camera_info", "cmd_vel")],
            arguments=["--ros-args", "--log-level", argument("log_level")],
            output="screen",
        )
    ]
