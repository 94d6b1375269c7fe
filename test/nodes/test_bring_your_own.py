"""docs/import.md in a row: a bare file of a real network becomes a card, is verified, and answers a node's frames.

The file is the default model's ONNX, taken without its card. test_real_exports.py has the networks of other libraries.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from ros_harness import Diagnostics, node_and_peer
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from robot_ai.models.find import find_model

pytest.importorskip("onnx", reason="needs the extra import")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")


def run(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "robot_ai.cli.main", *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_from_a_bare_file_to_a_node_that_answers(
    tmp_path: Path, photos: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, pixels = next(iter(photos.items()))
    bare, picture = tmp_path / "best.onnx", tmp_path / "photo.png"
    shutil.copyfile(find_model("nanodet_g") / "nanodet_g.onnx", bare)
    cv2.imwrite(str(picture), pixels)
    monkeypatch.setenv("ROBOT_AI_MODELS", str(tmp_path / "models"))
    output = str(tmp_path / "models" / "parts")
    said = run("model", "import", str(bare), "--output", output, "--labels", "nanodet_g", "--check", str(picture))
    found = int(said.split(" detections of at least")[0].splitlines()[-1])
    assert found >= 1, f"{photo}: {said}"
    assert "are the same model" in run("model", "verify", output)
    assert "Pick onnx" in run("model", "benchmark", output, "--threads", "1")
    with node_and_peer("camera_detector", ["-p", "model:=parts", "-p", "backend:=onnx"], tmp_path / "log") as (_, peer):
        answers = peer.listen(Detection2DArray, "detections")
        camera = peer.node.create_publisher(Image, "image", 10)
        peer.wait(camera.get_subscription_count)
        height, width = pixels.shape[:2]
        message = Image(width=width, height=height, encoding="bgr8", step=width * 3)
        message.data.frombytes(pixels.tobytes())
        peer.node.create_timer(0.1, lambda: camera.publish(message))
        peer.wait(lambda: len(answers) >= 5, 30)
        assert {len(answer.detections) for answer in answers} == {found}
        assert "parts in onnx" in Diagnostics(peer).next("swap")[2]["serving"]
