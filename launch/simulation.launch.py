"""Starts the embedded simulator with everything that the real robot runs: no Gazebo needed.

`ros2 launch robot_ai simulation.launch.py driver:=true camera.backend:=tensorflow`

With bridge:=true the motors obey only what the bridge's watchdog lets through, and a simulated microcontroller joins it
unless simulated_mcu:=false leaves the place to a real one.
"""

from __future__ import annotations

from launch import LaunchDescription
from robot_ai.bringup.launching import describe_members, simulated_microcontroller
from robot_ai.bringup.table import SIMULATION


def generate_launch_description() -> LaunchDescription:
    members = describe_members(SIMULATION, off=("bridge", "driver"), use_sim_time=True)
    return LaunchDescription([*members, *simulated_microcontroller()])
