"""Starts the embedded simulator with everything that the real robot runs: no Gazebo needed.

`ros2 launch robot_ai simulation.launch.py driver:=true camera.backend:=tensorflow`

config/demo.yaml fits the nodes to the simulated robot; params_file:=FILE takes another file instead, and arguments win
over both.

With bridge:=true the motors obey only what the bridge's watchdog lets through, and a simulated microcontroller joins it
unless simulated_mcu:=false leaves the place to a real one.
"""

from __future__ import annotations

from launch import LaunchDescription
from robot_ai.bringup.launching import describe_members, simulated_microcontroller
from robot_ai.bringup.table import SIMULATION
from robot_ai.share import share_file


def generate_launch_description() -> LaunchDescription:
    settings = str(share_file("config/demo.yaml"))
    members = describe_members(SIMULATION, off=("bridge", "driver"), use_sim_time=True, settings=settings)
    return LaunchDescription([*members, *simulated_microcontroller()])
