"""Evaluation of recordings whose scores are known beforehand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from rclpy.serialization import serialize_message
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from robot_ai.bags.files import BagWriter, Recorded, Topic
from robot_ai.lidar.detections import LABELS, Detections3D
from robot_ai.perception.detections import Detections
from robot_ai.ros.detections import to_detection_array
from robot_ai.ros.detections_3d import to_detection_3d_array

FOUND_2D = Topic("/camera/detections", "vision_msgs/msg/Detection2DArray")
TRUTH_2D = Topic("/ground_truth/detections_2d", "vision_msgs/msg/Detection2DArray")
FOUND_3D = Topic("/detections_fused", "vision_msgs/msg/Detection3DArray")
TRUTH_3D = Topic("/ground_truth/detections_3d", "vision_msgs/msg/Detection3DArray")
TF = Topic("/tf_static", "tf2_msgs/msg/TFMessage", latched=True)


def boxes(left: float, score: float) -> Detections:
    box = np.array([[left, 10, left + 40, 90]], np.float32)
    return Detections(box, np.full(1, score, np.float32), np.zeros(1, np.int64), ("person",))


def placed(x: float) -> Detections3D:
    center = np.array([[x, 0, 0]], np.float32)
    ones = np.ones(1, np.float32)
    return Detections3D(center, np.ones((1, 3), np.float32), ones * 0, ones, np.zeros(1, np.int64), LABELS)


def write(path: Path, frames: int = 10, tf: bool = True) -> None:
    """Every second box in the image is wrong; boxes in space are 0.2 m too far, in a frame half a meter ahead."""
    way = TransformStamped(header=Header(frame_id="base_link"), child_frame_id="lidar")
    way.transform.translation.x = 0.5
    with BagWriter(path) as bag:
        for topic in (FOUND_2D, TRUTH_2D, FOUND_3D, TRUTH_3D, TF):
            bag.add_topic(topic)
        if tf:
            bag.write(Recorded(TF, 0, bytes(serialize_message(TFMessage(transforms=[way])))))
        for index in range(frames):
            header = Header(frame_id="base_link", stamp=Time(sec=index))
            lidar = Header(frame_id="lidar", stamp=Time(sec=index))
            truth = to_detection_array(boxes(100, 1.0), header)
            truth.detections[0].id = "anna"
            for topic, message in (
                (TRUTH_2D, truth),
                (FOUND_2D, to_detection_array(boxes(100 if index % 2 else 300, 0.8), header)),
                (TRUTH_3D, to_detection_3d_array(placed(2.0), lidar, ["anna"])),
                (FOUND_3D, to_detection_3d_array(placed(2.7), header, [str(index // 5)])),
            ):
                bag.write(Recorded(topic, index, bytes(serialize_message(message))))


def evaluate(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "robot_ai.cli.main", "evaluate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_recording_gets_the_scores_it_deserves(tmp_path: Path) -> None:
    write(tmp_path / "bag")
    done = evaluate("--bag", tmp_path / "bag", "--json", tmp_path / "scores.json")
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "scores.json").read_text())
    camera, fused = scores["camera, as recorded"], scores["fused, as recorded"]
    assert camera["classes"]["person"]["precision"] == camera["classes"]["person"]["recall"] == 0.5
    person = fused["classes"]["person"]
    assert person["recall"] == 1
    assert abs(person["range error p50 (m)"] - 0.2) < 1e-3
    assert fused["id switches"] == 1
    assert "person" in done.stdout


def test_nothing_to_compare_is_told(tmp_path: Path) -> None:
    write(tmp_path / "bag", frames=0)
    done = evaluate("--bag", tmp_path / "bag")
    assert (done.returncode, "nothing to compare" in done.stderr) == (1, True)


def test_a_frame_that_nobody_knows_is_told(tmp_path: Path) -> None:
    write(tmp_path / "bag", tf=False)
    done = evaluate("--bag", tmp_path / "bag")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "base_link" in done.stderr
