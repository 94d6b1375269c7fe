"""robot.launch.py in a namespace, drivers' topics by name, and a simulated microcontroller on its UDP port."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import unittest
from pathlib import Path

import pytest
from launch_rig import Sensors, assert_clean, kill, needs_launch, own_domain, pids_of, wait_for_another

SHARE = needs_launch()

import launch_testing.actions
import launch_testing.markers
from geometry_msgs.msg import Twist
from launch.actions import ExecuteProcess, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from rclpy.qos import qos_profile_sensor_data
from ros_harness import Peer
from std_msgs.msg import Bool, UInt32
from stub_card import write_stub_card
from vision_msgs.msg import Detection3DArray

import launch

DOMAIN = own_domain()
CARD = write_stub_card(Path(tempfile.mkdtemp(prefix="robot_ai_launch_")))


def free_port() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.launch_test
@launch_testing.markers.keep_alive
def generate_test_description() -> launch.LaunchDescription:
    os.environ["ROS_DOMAIN_ID"] = str(DOMAIN)
    port = free_port()
    robot = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch" / "robot.launch.py")),
        launch_arguments={
            "namespace": "robot1",
            "image": "/drivers/camera/image_raw",
            "camera_info": "/drivers/camera/camera_info",
            "points": "/drivers/lidar/points",
            "camera.backend": "stub",
            "camera.model": str(CARD),
            "bridge.udp_port": port,
            # The street's person stands at 6 m.
            "bridge.stop_distance": "3.0",
            "bridge.resume_after": "0.2",
        }.items(),
    )
    mcu = ExecuteProcess(
        cmd=[sys.executable, "-m", "robot_ai.cli.simulated_mcu", "--udp", port, "--namespace", "robot1"],
        output="screen",
    )
    return launch.LaunchDescription([robot, mcu, launch_testing.actions.ReadyToTest()])


class TestRunning(unittest.TestCase):
    """While everything runs; in the order of the names."""

    def setUp(self) -> None:
        self.peer = Peer(DOMAIN, "launch_test")
        self.sensors = Sensors(self.peer, "/drivers/")

    def tearDown(self) -> None:
        self.peer.close()

    def drives(self) -> None:
        """A command goes through watchdog and microcontroller to the motors."""
        command = self.peer.node.create_publisher(Twist, "/robot1/cmd_vel", 1)
        twist = Twist()
        twist.linear.x = 0.4
        timer = self.peer.node.create_timer(0.1, lambda: command.publish(twist))
        motors = self.peer.listen(Twist, "/robot1/mcu/motors", qos_profile_sensor_data)
        self.peer.wait(lambda: any(m.linear.x == 0.4 for m in motors), 40)
        self.peer.node.destroy_timer(timer)

    def test_a_detections_flow_to_the_microcontroller(self) -> None:
        fused = self.peer.listen(Detection3DArray, "/robot1/detections_fused")
        beats = self.peer.listen(UInt32, "/robot1/mcu/heartbeat", qos_profile_sensor_data)
        self.peer.wait(lambda: len(fused) >= 5 and len(beats) >= 5, 40)
        self.assertEqual(self.peer.get("/robot1/micro_ros_bridge", "detections_type"), "3d")
        self.assertFalse(self.peer.get("/robot1/camera_detector", "use_sim_time"))
        self.assertEqual(pids_of("follow_and_avoid", DOMAIN), [])

    def test_b_commands_reach_the_motors(self) -> None:
        self.drives()

    def test_c_too_near_stops_it_and_a_parameter_frees_it(self) -> None:
        stops = self.peer.listen(Bool, "/robot1/mcu/stop")
        self.assertTrue(self.peer.set("/robot1/micro_ros_bridge", stop_distance=8.0, slow_distance=9.0).successful)
        self.peer.wait(lambda: stops and stops[-1].data, 20)
        freed = self.peer.set("/robot1/micro_ros_bridge", stop_distance=3.0, slow_distance=4.0)
        self.assertTrue(freed.successful, freed.reason)
        self.drives()

    def test_d_a_killed_bridge_comes_back_and_the_microcontroller_with_it(self) -> None:
        killed = kill("micro_ros_bridge", DOMAIN)
        wait_for_another("micro_ros_bridge", DOMAIN, killed)
        self.drives()


@launch_testing.post_shutdown_test()
class TestAfterShutdown(unittest.TestCase):
    """After launch has ended everything."""

    def test_exit_codes(self, proc_info) -> None:
        assert_clean([info.returncode for info in proc_info], killed=1)

    def test_nothing_is_left(self) -> None:
        for executable in ("camera_detector", "lidar_detector", "detection_fusion", "micro_ros_bridge"):
            self.assertEqual(pids_of(executable, DOMAIN), [])
