"""perception.launch.py: camera, lidar and fusion; and once more for a second robot, brought up by lifecycle events."""

from __future__ import annotations

import os
import tempfile
import unittest
from pathlib import Path

import pytest
from launch_rig import Sensors, assert_clean, kill, needs_launch, own_domain, pids_of, wait_for_another

SHARE = needs_launch()

import launch_testing.actions
import launch_testing.markers
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.parameter import Parameter
from ros_harness import Peer
from stub_card import write_stub_card
from vision_msgs.msg import Detection2DArray, Detection3DArray

import launch

DOMAIN = own_domain()
FOLDER = Path(tempfile.mkdtemp(prefix="robot_ai_launch_"))
CARD = write_stub_card(FOLDER)
# By a node's name, as a robot's own file would: the namespace is not its business.
OVERLAY = FOLDER / "robot.yaml"
OVERLAY.write_text(
    "/**/lidar_detector:\n  ros__parameters:\n    max_range: 30.0\n    min_points: 6\n"
    "/**/detection_fusion:\n  ros__parameters:\n    slop: 0.08\n"
)


def perception(**arguments: str) -> GroupAction:
    # In a scope of its own, or the first robot's arguments would be the second one's defaults.
    return GroupAction(
        [
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(SHARE / "launch" / "perception.launch.py")),
                launch_arguments={name.replace("__", "."): value for name, value in arguments.items()}.items(),
            )
        ]
    )


@pytest.mark.launch_test
@launch_testing.markers.keep_alive
def generate_test_description() -> launch.LaunchDescription:
    os.environ["ROS_DOMAIN_ID"] = str(DOMAIN)
    first = perception(camera__backend="stub", camera__model=str(CARD), params_file=str(OVERLAY), lidar__min_points="7")
    second = perception(namespace="robot2", camera="false", fusion="false", lifecycle="launch", own_tf="true")
    return launch.LaunchDescription([first, second, launch_testing.actions.ReadyToTest()])


class TestRunning(unittest.TestCase):
    """While everything runs; in the order of the names."""

    def setUp(self) -> None:
        self.peer = Peer(DOMAIN, "launch_test")
        self.sensors = [Sensors(self.peer), Sensors(self.peer, "robot2/", tf=False)]

    def tearDown(self) -> None:
        self.peer.close()

    def flows(self, kind: type, topic: str, count: int = 5) -> list:
        answers = self.peer.listen(kind, topic)
        self.peer.wait(lambda: len(answers) >= count, 30)
        return answers

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
        self.assertEqual(len(pids_of("camera_detector", DOMAIN)), 1)
        self.assertEqual(len(pids_of("detection_fusion", DOMAIN)), 1)

    def test_d_the_backend_is_swapped_through_the_parameter_service(self) -> None:
        for backend, model in (("pytorch", "nanodet_g"), ("tensorflow", "nanodet_g"), ("stub", str(CARD))):
            values = [Parameter("backend", value=backend), Parameter("model", value=model)]
            request = SetParametersAtomically.Request(parameters=[value.to_parameter_msg() for value in values])
            # Loading TensorFlow takes its time on a busy machine.
            service = "/camera_detector/set_parameters_atomically"
            result = self.peer.call(SetParametersAtomically, service, request, timeout=60).result
            self.assertTrue(result.successful, result.reason)
            self.assertEqual(self.peer.get("/camera_detector", "backend"), backend)
            self.flows(Detection2DArray, "/camera/detections")

    def test_e_killed_nodes_come_back(self) -> None:
        killed = kill("camera_detector", DOMAIN)
        wait_for_another("camera_detector", DOMAIN, killed)
        self.flows(Detection2DArray, "/camera/detections")
        # What launch has brought up by events is brought up again.
        both = pids_of("lidar_detector", DOMAIN)
        second = next(pid for pid in both if b"__ns:=/robot2" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(second, 9)
        self.peer.wait(lambda: set(pids_of("lidar_detector", DOMAIN)) - set(both), 20)
        self.flows(Detection3DArray, "/robot2/lidar/detections")
        self.assertEqual(self.peer.state("/robot2/lidar_detector"), "active")


@launch_testing.post_shutdown_test()
class TestAfterShutdown(unittest.TestCase):
    """After launch has ended everything."""

    def test_exit_codes(self, proc_info) -> None:
        assert_clean([info.returncode for info in proc_info], killed=2)

    def test_nothing_is_left(self) -> None:
        for executable in ("camera_detector", "lidar_detector", "detection_fusion"):
            self.assertEqual(pids_of(executable, DOMAIN), [])
