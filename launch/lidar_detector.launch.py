"""Starts lidar_detector: `ros2 launch robot_ai lidar_detector.launch.py --show-args` lists the arguments."""

from __future__ import annotations

from launch import LaunchDescription
from robot_ai.bringup.launching import describe_node
from robot_ai.bringup.table import EXECUTABLES


def generate_launch_description() -> LaunchDescription:
    return describe_node(EXECUTABLES["lidar_detector"])
