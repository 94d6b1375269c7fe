"""perception.launch.py: camera, lidar and fusion; and once more for a second robot, brought up by lifecycle events."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import launch_rig

launch_rig.needs_launch()

import launch_testing
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.parameter import Parameter
from stub_card import write_stub_card
from vision_msgs.msg import Detection2DArray, Detection3DArray

from launch import Action, LaunchDescription

FOLDER = Path(tempfile.mkdtemp(prefix="robot_ai_launch_"))
CARD = write_stub_card(FOLDER)
# By a node's name, as a robot's own file would: the namespace is not its business.
OVERLAY = FOLDER / "robot.yaml"
OVERLAY.write_text(
    "/**/lidar_detector:\n  ros__parameters:\n    max_range: 30.0\n    min_points: 6\n"
    "/**/detection_fusion:\n  ros__parameters:\n    slop: 0.08\n"
)


def perception(**arguments: str) -> Action:
    return launch_rig.include(
        "perception.launch.py", {name.replace("__", "."): value for name, value in arguments.items()}
    )


@launch_rig.launch_test
def generate_test_description() -> LaunchDescription:
    first = perception(camera__backend="stub", camera__model=str(CARD), params_file=str(OVERLAY), lidar__min_points="7")
    second = perception(namespace="robot2", camera="false", fusion="false", lifecycle="launch", own_tf="true")
    return launch_rig.description(first, second)


class TestRunning(launch_rig.RunningCase):
    def setUp(self) -> None:
        super().setUp()
        self.sensors = [launch_rig.Sensors(self.peer), launch_rig.Sensors(self.peer, "robot2/", tf=False)]

    def test_a_detections_flow(self) -> None:
        seen = self.flows(Detection2DArray, "/camera/detections")[-1]
        self.assertEqual([d.results[0].hypothesis.class_id for d in seen.detections], ["bright"])
        found = self.flows(Detection3DArray, "/lidar/detections")[-1]
        self.assertIn("person", [d.results[0].hypothesis.class_id for d in found.detections])
        self.assertEqual(found.header.frame_id, "lidar")
        fused = self.flows(Detection3DArray, "/detections_fused")[-1]
        self.assertGreaterEqual(len(fused.detections), len(found.detections))

    def test_b_files_and_arguments(self) -> None:
        self.assertEqual(self.peer.get("/lidar_detector", "max_range"), 30.0)
        self.assertEqual(self.peer.get("/lidar_detector", "min_points"), 7)
        self.assertEqual(self.peer.get("/detection_fusion", "slop"), 0.08)
        self.assertFalse(self.peer.get("/camera_detector", "use_sim_time"))

    def test_c_the_second_robot_has_what_was_switched_on(self) -> None:
        found = self.flows(Detection3DArray, "/robot2/lidar/detections")[-1]
        self.assertIn("person", [d.results[0].hypothesis.class_id for d in found.detections])
        self.assertFalse(self.peer.get("/robot2/lidar_detector", "autostart"))  # it was brought up by events
        self.assertEqual(self.peer.state("/robot2/lidar_detector"), "active")
        self.assertEqual(len(launch_rig.pids_of("camera_detector")), 1)
        self.assertEqual(len(launch_rig.pids_of("detection_fusion")), 1)

    def test_d_the_backend_is_swapped_through_the_parameter_service(self) -> None:
        for backend, model in (("pytorch", "nanodet_g"), ("tensorflow", "nanodet_g"), ("stub", str(CARD))):
            values = [Parameter("backend", value=backend), Parameter("model", value=model)]
            request = SetParametersAtomically.Request(parameters=[value.to_parameter_msg() for value in values])
            service = "/camera_detector/set_parameters_atomically"
            result = self.peer.call(SetParametersAtomically, service, request).result
            self.assertTrue(result.successful, result.reason)
            self.assertEqual(self.peer.get("/camera_detector", "backend"), backend)
            self.flows(Detection2DArray, "/camera/detections")

    def test_e_killed_nodes_come_back(self) -> None:
        launch_rig.kill_and_wait("camera_detector")
        self.flows(Detection2DArray, "/camera/detections")
        # What launch has brought up by events is brought up again.
        both = launch_rig.pids_of("lidar_detector")
        second = next(pid for pid in both if b"__ns:=/robot2" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(second, 9)
        self.peer.wait(lambda: set(launch_rig.pids_of("lidar_detector")) - set(both))
        self.flows(Detection3DArray, "/robot2/lidar/detections")
        self.assertEqual(self.peer.state("/robot2/lidar_detector"), "active")


@launch_testing.post_shutdown_test()
class TestAfterShutdown(launch_rig.EndedCase):
    killed = 2
    executables = ("camera_detector", "lidar_detector", "detection_fusion")
