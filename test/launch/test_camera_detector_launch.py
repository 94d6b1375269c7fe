"""camera_detector.launch.py with the real launch and launch_testing, on the package as colcon installed it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import launch_rig

launch_rig.needs_launch()

import launch_testing
from launch_ros.actions import Node
from ros_harness import Diagnostics, ledger
from stub_card import write_stub_card
from vision_msgs.msg import Detection2DArray

from launch import LaunchDescription

FOLDER = Path(tempfile.mkdtemp(prefix="robot_ai_launch_"))
CARD = write_stub_card(FOLDER)


@launch_rig.launch_test
def generate_test_description() -> LaunchDescription:
    photos = write_photos(FOLDER / "photos")
    detector = launch_rig.include(
        "camera_detector.launch.py",
        {
            "namespace": "robot1",
            "name": "eyes",
            "image": "/cam/image_raw",
            "backend": "stub",
            "model": str(CARD),
            "confidence_threshold": "0.25",
            "class_filter": "[bright]",
        },
    )
    source = Node(
        package="robot_ai",
        executable="image_source",
        namespace="cam",
        parameters=[{"source": str(photos), "rate": 20.0}],
        remappings=[("image", "image_raw")],
    )
    return launch_rig.description(source, detector)


def write_photos(folder: Path) -> Path:
    import cv2
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    picture = np.zeros((240, 320, 3), np.uint8)
    picture[60:160, 50:150] = 255
    cv2.imwrite(str(folder / "bright.png"), picture)
    return folder


class TestRunning(launch_rig.RunningCase):
    def test_detections_flow_in_the_namespace(self) -> None:
        answers = self.peer.listen(Detection2DArray, "/robot1/detections")
        self.peer.wait(lambda: len(answers) >= 10)
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
        self.peer.wait(lambda: len(answers) >= seen + 5)
        back = self.peer.set("/robot1/eyes", backend="stub", model=str(CARD), class_filter=["bright"])
        self.assertTrue(back.successful, back.reason)

    def test_z_a_node_that_was_killed_comes_back(self) -> None:
        launch_rig.kill_and_wait("camera_detector")
        answers = self.peer.listen(Detection2DArray, "/robot1/detections")
        self.peer.wait(lambda: len(answers) >= 5)
        self.assertEqual(self.peer.get("/robot1/eyes", "backend"), "stub")


@launch_testing.post_shutdown_test()
class TestAfterShutdown(launch_rig.EndedCase):
    executables = ("camera_detector", "image_source")

    def test_no_error_was_logged(self, proc_output) -> None:
        texts = [output.text.decode() for name in proc_output.process_names() for output in proc_output[name]]
        self.assertFalse([text for text in texts if "Traceback" in text or "ERROR" in text])
