"""Starts detection_fusion: `ros2 launch robot_ai detection_fusion.launch.py --show-args` lists the arguments."""

from __future__ import annotations

from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile

from launch import LaunchContext, LaunchDescription
from robot_ai.nodes.detection_fusion_parameters import DetectionFusionParameters
from robot_ai.ros.environment import image_transport_environment
from robot_ai.ros.parameter_spec import from_text, specs_of
from robot_ai.share import share_file

SPECS = specs_of(DetectionFusionParameters)
FROM_FILE = ""
TOPICS = {
    "detections_3d": "the lidar's detections, such as /lidar_detector's detections",
    "detections_2d": "the camera's detections of the same place",
    "camera_info": "the camera's calibration",
    "points": "the cloud that the lidar's detections were made from; gives ranges to what only the camera sees",
}


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
            DeclareLaunchArgument("name", default_value="detection_fusion", description="name of the node"),
            *(
                DeclareLaunchArgument(topic, default_value=topic, description=meaning)
                for topic, meaning in TOPICS.items()
            ),
            DeclareLaunchArgument(
                "params_file",
                default_value=str(share_file("config/detection_fusion.yaml")),
                description="YAML file of parameters; arguments given here win over it",
            ),
            DeclareLaunchArgument("use_sim_time", default_value="false", description="take time from /clock"),
            DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn, error or fatal"),
            DeclareLaunchArgument(
                "shared_memory",
                default_value="true",
                description="set the Fast DDS profile and the malloc environment for large clouds (docs/speed.md)",
            ),
            *parameters,
            *(
                SetEnvironmentVariable(name, value, condition=IfCondition(LaunchConfiguration("shared_memory")))
                for name, value in image_transport_environment().items()
            ),
            OpaqueFunction(function=_detection_fusion),
        ]
    )


def _detection_fusion(context: LaunchContext) -> list[Node]:
    """Only arguments that were given become parameters, so that they override the file and nothing else does."""

    def argument(name: str) -> str:
        return str(LaunchConfiguration(name).perform(context))

    given = {name: from_text(spec, argument(name)) for name, spec in SPECS.items() if argument(name) != FROM_FILE}
    return [
        Node(
            package="robot_ai",
            executable="detection_fusion",
            name=argument("name"),
            namespace=argument("namespace"),
            parameters=[
                ParameterFile(argument("params_file"), allow_substs=True),
                {"use_sim_time": argument("use_sim_time").lower() in ("true", "1"), **given},
            ],
            remappings=[(topic, argument(topic)) for topic in TOPICS],
            arguments=["--ros-args", "--log-level", argument("log_level")],
            output="screen",
        )
    ]
