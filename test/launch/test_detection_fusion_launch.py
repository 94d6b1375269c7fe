"""detection_fusion.launch.py: what a lidar_detector of the same launch finds, fused while no camera says anything."""

from __future__ import annotations

import os
import unittest

import pytest
from launch_rig import Sensors, assert_clean, kill, needs_launch, own_domain, wait_for_another

SHARE = needs_launch()

import launch_testing.actions
import launch_testing.markers
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from ros_harness import Peer
from vision_msgs.msg import Detection3DArray

import launch

DOMAIN = own_domain()


def include(file: str, **arguments: str) -> GroupAction:
    source = PythonLaunchDescriptionSource(str(SHARE / "launch" / file))
    return GroupAction([IncludeLaunchDescription(source, launch_arguments=arguments.items())])


@pytest.mark.launch_test
@launch_testing.markers.keep_alive
def generate_test_description() -> launch.LaunchDescription:
    os.environ["ROS_DOMAIN_ID"] = str(DOMAIN)
    points = "/lidar/points"
    detector = include("lidar_detector.launch.py", namespace="top", points=points)
    fusion = include(
        "detection_fusion.launch.py",
        detections_3d="/top/detections",
        detections_2d="/camera/detections",
        camera_info="/camera/camera_info",
        points=points,
        timeout="0.05",
        lifecycle="launch",
    )
    return launch.LaunchDescription([detector, fusion, launch_testing.actions.ReadyToTest()])


class TestRunning(unittest.TestCase):
    """While it runs; in the order of the names."""

    def setUp(self) -> None:
        self.peer = Peer(DOMAIN, "launch_test")
        self.sensors = Sensors(self.peer)

    def tearDown(self) -> None:
        self.peer.close()

    def fused(self) -> list[str]:
        answers = self.peer.listen(Detection3DArray, "/detections_fused")
        self.peer.wait(lambda: len(answers) >= 5, 30)
        return [d.results[0].hypothesis.class_id for d in answers[-1].detections]

    def test_a_detections_flow(self) -> None:
        self.assertIn("person", self.fused())
        self.assertEqual(self.peer.state("/detection_fusion"), "active")
        self.assertEqual(self.peer.get("/detection_fusion", "timeout"), 0.05)

    def test_b_killed_it_comes_back(self) -> None:
        killed = kill("detection_fusion", DOMAIN)
        wait_for_another("detection_fusion", DOMAIN, killed)
        self.assertIn("person", self.fused())
        self.assertEqual(self.peer.state("/detection_fusion"), "active")


@launch_testing.post_shutdown_test()
class TestAfterShutdown(unittest.TestCase):
    """After launch has ended everything."""

    def test_exit_codes(self, proc_info) -> None:
        assert_clean([info.returncode for info in proc_info], killed=1)
