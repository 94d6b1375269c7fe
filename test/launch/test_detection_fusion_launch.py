"""detection_fusion.launch.py: what a lidar_detector of the same launch finds, fused while no camera says anything."""

from __future__ import annotations

import launch_rig

launch_rig.needs_launch()

import launch_testing
from vision_msgs.msg import Detection3DArray

from launch import LaunchDescription


@launch_rig.launch_test
def generate_test_description() -> LaunchDescription:
    points = "/lidar/points"
    detector = launch_rig.include("lidar_detector.launch.py", {"namespace": "top", "points": points})
    fusion = launch_rig.include(
        "detection_fusion.launch.py",
        {
            "detections_3d": "/top/detections",
            "detections_2d": "/camera/detections",
            "camera_info": "/camera/camera_info",
            "points": points,
            "timeout": "0.05",
            "lifecycle": "launch",
        },
    )
    return launch_rig.description(detector, fusion)


class TestRunning(launch_rig.RunningCase):
    def setUp(self) -> None:
        super().setUp()
        self.sensors = launch_rig.Sensors(self.peer)

    def fused(self) -> list[str]:
        found = self.flows(Detection3DArray, "/detections_fused")[-1].detections
        return [d.results[0].hypothesis.class_id for d in found]

    def test_a_detections_flow(self) -> None:
        self.assertIn("person", self.fused())
        self.assertEqual(self.peer.state("/detection_fusion"), "active")
        self.assertEqual(self.peer.get("/detection_fusion", "timeout"), 0.05)

    def test_b_killed_it_comes_back(self) -> None:
        launch_rig.kill_and_wait("detection_fusion")
        self.assertIn("person", self.fused())
        self.assertEqual(self.peer.state("/detection_fusion"), "active")


@launch_testing.post_shutdown_test()
class TestAfterShutdown(launch_rig.EndedCase):
    executables = ("lidar_detector", "detection_fusion")
