"""simulation.launch.py: a simulated robot that sees, and drives through watchdog and microcontroller."""

from __future__ import annotations

import os
import socket
import unittest

import pytest
from launch_rig import assert_clean, kill, needs_launch, own_domain, pids_of, wait_for_another

SHARE = needs_launch()
pytest.importorskip("mujoco", reason="the simulator needs MuJoCo: pip install 'robot_ai[simulation]'")

import launch_testing.actions
import launch_testing.markers
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from nav_msgs.msg import Odometry
from ros_harness import Peer
from rosgraph_msgs.msg import Clock
from vision_msgs.msg import Detection2DArray, Detection3DArray

import launch

DOMAIN = own_domain()


def free_port() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.launch_test
@pytest.mark.timeout(400)
@launch_testing.markers.keep_alive
def generate_test_description() -> launch.LaunchDescription:
    os.environ["ROS_DOMAIN_ID"] = str(DOMAIN)
    simulation = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch" / "simulation.launch.py")),
        launch_arguments={
            "bridge": "true",
            "driver": "true",
            "bridge.udp_port": free_port(),
            # A machine that runs other tests draws and infers late.
            "bridge.detections_timeout": "5.0",
            "bridge.command_timeout": "2.0",
            "driver.scan_timeout": "3.0",
            "simulator.camera_rate": "2.0",
        }.items(),
    )
    return launch.LaunchDescription([simulation, launch_testing.actions.ReadyToTest()])


class TestRunning(unittest.TestCase):
    """While everything runs; in the order of the names."""

    def setUp(self) -> None:
        self.peer = Peer(DOMAIN, "launch_test")

    def tearDown(self) -> None:
        self.peer.close()

    def flows(self, kind: type, topic: str) -> list:
        answers = self.peer.listen(kind, topic)
        self.peer.wait(lambda: len(answers) >= 3, 60)
        return answers

    def test_a_everything_is_detected_in_simulated_time(self) -> None:
        clock = self.flows(Clock, "/clock")
        seen = self.flows(Detection2DArray, "/camera/detections")[-1]
        self.assertLess(abs(seen.header.stamp.sec - clock[-1].clock.sec), 30)
        self.flows(Detection3DArray, "/lidar/detections")
        self.flows(Detection3DArray, "/detections_fused")
        self.assertTrue(self.peer.get("/camera_detector", "use_sim_time"))

    def test_b_the_robot_moves(self) -> None:
        odometry = self.peer.listen(Odometry, "/odom")

        def moved() -> bool:
            if not odometry:
                return False
            first, last = (o.pose.pose for o in (odometry[0], odometry[-1]))
            away = abs(last.position.x - first.position.x) + abs(last.position.y - first.position.y)
            return away + abs(last.orientation.z - first.orientation.z) > 0.05

        self.peer.wait(moved, 60)

    def test_c_a_killed_detector_comes_back(self) -> None:
        killed = kill("lidar_detector", DOMAIN)
        wait_for_another("lidar_detector", DOMAIN, killed)
        self.flows(Detection3DArray, "/lidar/detections")


@launch_testing.post_shutdown_test()
class TestAfterShutdown(unittest.TestCase):
    """After launch has ended everything."""

    def test_exit_codes(self, proc_info) -> None:
        assert_clean([info.returncode for info in proc_info], killed=1)

    def test_nothing_is_left(self) -> None:
        for executable in ("simulator", "camera_detector", "lidar_detector", "micro_ros_bridge", "follow_and_avoid"):
            self.assertEqual(pids_of(executable, DOMAIN), [])
