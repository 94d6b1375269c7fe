"""lidar_detector.launch.py, in simulated time, left to a lifecycle manager."""

from __future__ import annotations

import os
import unittest

import pytest
from launch_rig import Sensors, assert_clean, kill, needs_launch, own_domain, wait_for_another

SHARE = needs_launch()

import launch_testing.actions
import launch_testing.markers
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from ros_harness import Peer
from vision_msgs.msg import Detection3DArray

import launch

DOMAIN = own_domain()


@pytest.mark.launch_test
@launch_testing.markers.keep_alive
def generate_test_description() -> launch.LaunchDescription:
    os.environ["ROS_DOMAIN_ID"] = str(DOMAIN)
    detector = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch" / "lidar_detector.launch.py")),
        launch_arguments={
            "points": "/lidar/points",
            "lifecycle": "manual",
            "use_sim_time": "True",
            "min_points": "6",
            "shared_memory": "false",
        }.items(),
    )
    return launch.LaunchDescription([detector, launch_testing.actions.ReadyToTest()])


class TestRunning(unittest.TestCase):
    """While it runs; in the order of the names."""

    def setUp(self) -> None:
        self.peer = Peer(DOMAIN, "launch_test")
        self.sensors = Sensors(self.peer)

    def tearDown(self) -> None:
        self.peer.close()

    def bring_up(self) -> None:
        self.assertTrue(self.peer.change("/lidar_detector", "configure"))
        self.assertTrue(self.peer.change("/lidar_detector", "activate"))
        answers = self.peer.listen(Detection3DArray, "/detections")
        self.peer.wait(lambda: len(answers) >= 5, 30)
        self.assertIn("person", [d.results[0].hypothesis.class_id for d in answers[-1].detections])

    def test_a_it_waits_for_its_manager(self) -> None:
        self.assertEqual(self.peer.state("/lidar_detector"), "unconfigured")
        self.assertTrue(self.peer.get("/lidar_detector", "use_sim_time"))
        self.assertEqual(self.peer.get("/lidar_detector", "min_points"), 6)
        self.bring_up()

    def test_b_its_method_is_changed_through_the_parameter_service(self) -> None:
        result = self.peer.set("/lidar_detector", max_range=5.0)
        self.assertTrue(result.successful, result.reason)
        answers = self.peer.listen(Detection3DArray, "/detections")
        self.peer.wait(lambda: answers and not answers[-1].detections, 30)

    def test_c_killed_it_waits_again(self) -> None:
        killed = kill("lidar_detector", DOMAIN)
        wait_for_another("lidar_detector", DOMAIN, killed)
        self.assertEqual(self.peer.state("/lidar_detector"), "unconfigured")


@launch_testing.post_shutdown_test()
class TestAfterShutdown(unittest.TestCase):
    """After launch has ended everything."""

    def test_exit_codes(self, proc_info) -> None:
        assert_clean([info.returncode for info in proc_info], killed=1)

    def test_the_environment_was_left_alone(self, proc_info) -> None:
        for info in proc_info:
            process = next(p for p in proc_info.processes() if p.process_details["pid"] == info.pid)
            self.assertNotIn("MALLOC_TOP_PAD_", process.process_details["env"])
