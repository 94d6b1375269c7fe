"""The launch file with the real launch, launch_ros and launch_testing, on the package as colcon installed it."""

from __future__ import annotations

import os
import tempfile
import unittest
from pathlib import Path

import pytest

pytest.importorskip("launch_testing", reason="launch_testing is on no package registry; needs ROS")
pytest.importorskip("launch_ros", reason="launch_ros is on no package registry; needs ROS")

import launch_testing.actions
import launch_testing.asserts
import launch_testing.markers
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node
from ros_harness import Diagnostics, Peer, ledger, next_domain
from stub_card import write_stub_card
from vision_msgs.msg import Detection2DArray

import launch

try:
    SHARE = Path(get_package_share_directory("robot_ai"))
except PackageNotFoundError:
    pytest.skip(
        "robot_ai is in no ament prefix: run colcon build and source install/setup.bash", allow_module_level=True
    )

DOMAIN = next_domain()


@pytest.mark.launch_test
@launch_testing.markers.keep_alive
def generate_test_description() -> launch.LaunchDescription:
    os.environ["ROS_DOMAIN_ID"] = str(DOMAIN)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    folder = Path(tempfile.mkdtemp(prefix="robot_ai_launch_"))
    card, photos = write_stub_card(folder), write_photos(folder / "photos")
    detector = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch" / "camera_detector.launch.py")),
        launch_arguments={
            "namespace": "robot1",
            "name": "eyes",
            "image": "/cam/image_raw",
            "backend": "stub",
            "model": str(card),
            "confidence_threshold": "0.25",
            "class_filter": "[bright]",
        }.items(),
    )
    source = Node(
        package="robot_ai",
        executable="image_source",
        namespace="cam",
        parameters=[{"source": str(photos), "rate": 20.0}],
        remappings=[("image", "image_raw")],
    )
    return launch.LaunchDescription([source, detector, launch_testing.actions.ReadyToTest()])


def write_photos(folder: Path) -> Path:
    import cv2
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    picture = np.zeros((240, 320, 3), np.uint8)
    picture[60:160, 50:150] = 255
    cv2.imwrite(str(folder / "bright.png"), picture)
    return folder


class TestRunning(unittest.TestCase):
    """While everything runs."""

    def setUp(self) -> None:
        self.peer = Peer(DOMAIN, "launch_test")

    def tearDown(self) -> None:
        self.peer.close()

    def test_detections_flow_in_the_namespace(self) -> None:
        answers = self.peer.listen(Detection2DArray, "/robot1/detections")
        self.peer.wait(lambda: len(answers) >= 10, 30)
        detection = answers[-1].detections[0]
        self.assertEqual(detection.results[0].hypothesis.class_id, "bright")
        self.assertAlmostEqual(detection.bbox.center.position.x, 100, delta=2)
        self.assertEqual(answers[-1].header.frame_id, "camera_optical_frame")

    def test_arguments_reach_the_node(self) -> None:
        self.assertEqual(self.peer.get("/robot1/eyes", "backend"), "stub")
        self.assertEqual(self.peer.get("/robot1/eyes", "confidence_threshold"), 0.25)
        self.assertEqual(self.peer.get("/robot1/eyes", "class_filter"), ["bright"])
        self.assertEqual(self.peer.get("/robot1/eyes", "device"), "auto")
        self.assertEqual(self.peer.state("/robot1/eyes"), "active")

    def test_the_ledger_balances(self) -> None:
        _, _, values = Diagnostics(self.peer).until("camera", lambda *s: int(s[2]["frames published"]) > 5)
        ledger(values)

    def test_shared_memory_environment_is_set(self, proc_info) -> None:
        detector = next(p for p in proc_info.processes() if "camera_detector" in p.process_details["cmd"][0])
        environment = detector.process_details["env"]
        self.assertEqual(environment["MALLOC_MMAP_THRESHOLD_"], "134217728")
        self.assertTrue(Path(environment["FASTRTPS_DEFAULT_PROFILES_FILE"]).is_file())


@launch_testing.post_shutdown_test()
class TestAfterShutdown(unittest.TestCase):
    """After launch has ended everything."""

    def test_exit_codes(self, proc_info) -> None:
        launch_testing.asserts.assertExitCodes(proc_info)

    def test_no_error_was_logged(self, proc_output) -> None:
        texts = [output.text.decode() for name in proc_output.process_names() for output in proc_output[name]]
        self.assertFalse([text for text in texts if "Traceback" in text or "ERROR" in text])
