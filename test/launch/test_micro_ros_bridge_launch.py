"""micro_ros_bridge.launch.py with a simulated microcontroller on a serial line."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import launch_rig

launch_rig.needs_launch()

import launch_testing
from launch.actions import ExecuteProcess
from rclpy.qos import qos_profile_sensor_data
from std_msgs.msg import Bool, UInt32

from launch import LaunchDescription

PORT = Path(tempfile.mkdtemp(prefix="robot_ai_launch_")) / "serial"


@launch_rig.launch_test
def generate_test_description() -> LaunchDescription:
    bridge = launch_rig.include(
        "micro_ros_bridge.launch.py",
        {
            "serial_ports": f"[{PORT}@921600]",
            "udp_port": "0",
            "detections_timeout": "0.0",
            "resume_after": "0.2",
        },
    )
    mcu = ExecuteProcess(cmd=[sys.executable, "-m", "robot_ai.cli.simulated_mcu", "--path", str(PORT)])
    return launch_rig.description(mcu, bridge)


class TestRunning(launch_rig.RunningCase):
    def test_a_the_microcontroller_is_on_the_graph(self) -> None:
        beats = self.peer.listen(UInt32, "/mcu/heartbeat", qos_profile_sensor_data)
        stops = self.peer.listen(Bool, "/mcu/stop")
        self.peer.wait(lambda: len(beats) >= 5 and stops and not stops[-1].data)
        self.assertIn("mcu", self.peer.node.get_node_names())
        self.assertEqual(self.peer.get("/micro_ros_bridge", "serial_ports"), [f"{PORT}@921600"])

    def test_b_the_watchdog_takes_a_new_limit(self) -> None:
        result = self.peer.set("/micro_ros_bridge", detections_timeout=0.3)
        self.assertTrue(result.successful, result.reason)
        stops = self.peer.listen(Bool, "/mcu/stop")
        self.peer.wait(lambda: stops and stops[-1].data)
        refused = self.peer.set("/micro_ros_bridge", stop_distance=1.0)
        self.assertFalse(refused.successful)
        self.assertIn("detections_type", refused.reason)

    def test_c_killed_it_comes_back_with_the_microcontroller(self) -> None:
        launch_rig.kill_and_wait("micro_ros_bridge")
        beats = self.peer.listen(UInt32, "/mcu/heartbeat", qos_profile_sensor_data)
        self.peer.wait(lambda: len(beats) >= 5)


@launch_testing.post_shutdown_test()
class TestAfterShutdown(launch_rig.EndedCase):
    executables = ("micro_ros_bridge",)
