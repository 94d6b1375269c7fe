"""Starts everything on a real robot: perception on the drivers' topics, and the bridge to the microcontroller.

`ros2 launch robot_ai robot.launch.py image:=/camera/image_raw camera_info:=/camera/camera_info points:=/velodyne_points
bridge.serial_ports:=[/dev/ttyACM0@921600]`

The drivers of camera and lidar are the robot's own; the robot moves by itself only with driver:=true.
"""

from __future__ import annotations

from launch import LaunchDescription
from robot_ai.bringup.launching import describe_members
from robot_ai.bringup.table import ROBOT


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(describe_members(ROBOT, off=("driver",)))
