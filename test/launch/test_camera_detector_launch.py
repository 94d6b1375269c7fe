"""camera_detector.launch.py with the real launch and launch_testing, on the package as colcon installed it."""

from __future__ import annotations

import os
import tempfile
import unittest
from pathlib import Path

import pytest
from launch_rig import assert_clean, kill, needs_launch, own_domain, wait_for_another

SHARE = needs_launch()

import launch_testing.actions
import launch_testing.markers
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node
from ros_harness import Diagnostics, Peer, ledger
from stub_card import write_stub_card
from vision_msgs.msg import Detection2DArray

import launch

DOMAIN = own_domain()
FOLDER = Path(tempfile.mkdtemp(prefix="robot_ai_launch_"))
CARD = write_stub_card(FOLDER)


@pytest.mark.launch_test
@launch_testing.markers.keep_alive
def generate_test_description() -> launch.LaunchDescription:
    os.environ["ROS_DOMAIN_ID"] = str(DOMAIN)  # another module's may be there by now
    photos = write_photos(FOLDER / "photos")
    detector = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch" / "camera_detector.launch.py")),
        launch_arguments={
            "namespace": "robot1",
            "name": "eyes",
            "image": "/cam/image_raw",
            "backend": "stub",
            "model": str(CARD),
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

    def test_the_model_is_swapped_while_it_runs(self) -> None:
        answers = self.peer.listen(Detection2DArray, "/robot1/detections")
        result = self.peer.set("/robot1/eyes", backend="pytorch", model="nanodet_g", class_filter=["person"])
        self.assertTrue(result.successful, result.reason)
        self.assertEqual(self.peer.get("/robot1/eyes", "backend"), "pytorch")
        seen = len(answers)
        self.peer.wait(lambda: len(answers) >= seen + 5, 30)
        back = self.peer.set("/robot1/eyes", backend="stub", model=str(CARD), class_filter=["bright"])
        self.assertTrue(back.successful, back.reason)

    def test_z_a_node_that_was_killed_comes_back(self) -> None:
        killed = kill("camera_detector", DOMAIN)
        wait_for_another("camera_detector", DOMAIN, killed)
        answers = self.peer.listen(Detection2DArray, "/robot1/detections")
        self.peer.wait(lambda: len(answers) >= 5, 30)
        self.assertEqual(self.peer.get("/robot1/eyes", "backend"), "stub")


@launch_testing.post_shutdown_test()
class TestAfterShutdown(unittest.TestCase):
    """After launch has ended everything."""

    def test_exit_codes(self, proc_info) -> None:
        assert_clean([info.returncode for info in proc_info], killed=1)

    def test_no_error_was_logged(self, proc_output) -> None:
        texts = [output.text.decode() for name in proc_output.process_names() for output in proc_output[name]]
        self.assertFalse([text for text in texts if "Traceback" in text or "ERROR" in text])
