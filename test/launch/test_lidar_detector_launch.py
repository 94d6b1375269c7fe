"""lidar_detector.launch.py, in simulated time, left to a lifecycle manager."""

from __future__ import annotations

import launch_rig

launch_rig.needs_launch()

import launch_testing
from vision_msgs.msg import Detection3DArray

from launch import LaunchDescription


@launch_rig.launch_test
def generate_test_description() -> LaunchDescription:
    detector = launch_rig.include(
        "lidar_detector.launch.py",
        {
            "points": "/lidar/points",
            "lifecycle": "manual",
            "use_sim_time": "True",
            "min_points": "6",
            "shared_memory": "false",
        },
    )
    return launch_rig.description(detector)


class TestRunning(launch_rig.RunningCase):
    def setUp(self) -> None:
        super().setUp()
        self.sensors = launch_rig.Sensors(self.peer)

    def bring_up(self) -> None:
        self.assertTrue(self.peer.change("/lidar_detector", "configure"))
        self.assertTrue(self.peer.change("/lidar_detector", "activate"))
        answers = self.peer.listen(Detection3DArray, "/detections")
        self.peer.wait(lambda: len(answers) >= 5)
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
        self.peer.wait(lambda: answers and not answers[-1].detections)

    def test_c_killed_it_waits_again(self) -> None:
        launch_rig.kill_and_wait("lidar_detector")
        self.assertEqual(self.peer.state("/lidar_detector"), "unconfigured")


@launch_testing.post_shutdown_test()
class TestAfterShutdown(launch_rig.EndedCase):
    executables = ("lidar_detector",)

    def test_the_environment_was_left_alone(self, proc_info) -> None:
        for info in proc_info:
            process = next(p for p in proc_info.processes() if p.process_details["pid"] == info.pid)
            self.assertNotIn("MALLOC_TOP_PAD_", process.process_details["env"])
