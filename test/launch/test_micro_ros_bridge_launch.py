"""micro_ros_bridge.launch.py with a simulated microcontroller on a serial line."""

from __future__ import annotations

import os
import sys
import tempfile
import unittest
from pathlib import Path

import pytest
from launch_rig import assert_clean, kill, needs_launch, own_domain, wait_for_another

SHARE = needs_launch()

import launch_testing.actions
import launch_testing.markers
from launch.actions import ExecuteProcess, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from rclpy.qos import qos_profile_sensor_data
from ros_harness import Peer
from std_msgs.msg import Bool, UInt32

import launch

DOMAIN = own_domain()
PORT = Path(tempfile.mkdtemp(prefix="robot_ai_launch_")) / "serial"


@pytest.mark.launch_test
@launch_testing.markers.keep_alive
def generate_test_description() -> launch.LaunchDescription:
    os.environ["ROS_DOMAIN_ID"] = str(DOMAIN)
    bridge = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch" / "micro_ros_bridge.launch.py")),
        launch_arguments={
            "serial_ports": f"[{PORT}@921600]",
            "udp_port": "0",
            "detections_timeout": "0.0",
            "resume_after": "0.2",
        }.items(),
    )
    mcu = ExecuteProcess(cmd=[sys.executable, "-m", "robot_ai.cli.simulated_mcu", "--path", str(PORT)])
    return launch.LaunchDescription([mcu, bridge, launch_testing.actions.ReadyToTest()])


class TestRunning(unittest.TestCase):
    """While it runs; in the order of the names."""

    def setUp(self) -> None:
        self.peer = Peer(DOMAIN, "launch_test")

    def tearDown(self) -> None:
        self.peer.close()

    def test_a_the_microcontroller_is_on_the_graph(self) -> None:
        beats = self.peer.listen(UInt32, "/mcu/heartbeat", qos_profile_sensor_data)
        stops = self.peer.listen(Bool, "/mcu/stop")
        self.peer.wait(lambda: len(beats) >= 5 and stops and not stops[-1].data, 40)
        self.assertIn("mcu", self.peer.node.get_node_names())
        self.assertEqual(self.peer.get("/micro_ros_bridge", "serial_ports"), [f"{PORT}@921600"])

    def test_b_the_watchdog_takes_a_new_limit(self) -> None:
        result = self.peer.set("/micro_ros_bridge", detections_timeout=0.3)
        self.assertTrue(result.successful, result.reason)
        stops = self.peer.listen(Bool, "/mcu/stop")
        self.peer.wait(lambda: stops and stops[-1].data, 20)
        refused = self.peer.set("/micro_ros_bridge", stop_distance=1.0)
        self.assertFalse(refused.successful)
        self.assertIn("detections_type", refused.reason)

    def test_c_killed_it_comes_back_with_the_microcontroller(self) -> None:
        killed = kill("micro_ros_bridge", DOMAIN)
        wait_for_another("micro_ros_bridge", DOMAIN, killed)
        beats = self.peer.listen(UInt32, "/mcu/heartbeat", qos_profile_sensor_data)
        self.peer.wait(lambda: len(beats) >= 5, 40)


@launch_testing.post_shutdown_test()
class TestAfterShutdown(unittest.TestCase):
    """After launch has ended everything."""

    def test_exit_codes(self, proc_info) -> None:
        assert_clean([info.returncode for info in proc_info], killed=1)
