"""Starts what makes a robot see: camera_detector, lidar_detector and detection_fusion, each with a switch.

`ros2 launch robot_ai perception.launch.py lidar:=false fusion:=false camera.backend:=tensorflow`
"""

from __future__ import annotations

from launch import LaunchDescription
from robot_ai.bringup.launching import describe_members
from robot_ai.bringup.table import PERCEPTION


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(describe_members(PERCEPTION))
