"""A backend that is its own pip package: built, installed apart, found by its entry point and used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from stub_card import write_stub_card

PACKAGE = '''
"""A backend of somebody else's: it answers that the first quarter of every image is an object."""

import numpy as np

from robot_ai.backends.support import check_inputs


class QuarterBackend:
    framework = None

    def load(self, card, device="auto", threads=0, precision="auto"):
        self.inputs, self.outputs, self.device = (card.input_for("quarter").tensor,), card.outputs, "cpu"
        self._confidence = card.artifact_for("quarter").options["confidence"]

    def infer(self, tensors):
        count = check_inputs(self.inputs, tensors)
        boxes, scores = np.zeros((count, 4, 4), np.float32), np.zeros((count, 4, 2), np.float32)
        boxes[:, 0] = 0, 0, 208, 208
        scores[:, 0, 1] = self._confidence
        return {"boxes": boxes, "scores": scores}

    def close(self):
        pass
'''
SETUP = """
from setuptools import setup

setup(
    name="robot-ai-quarter",
    version="1.0",
    py_modules=["quarter_backend"],
    entry_points={"robot_ai.backends": ["quarter = quarter_backend:QuarterBackend"]},
)
"""
USE = """
import sys
import numpy as np
from robot_ai.backends.loading import BackendChoice
from robot_ai.backends.registry import available
from robot_ai.pipeline.image_detector import DetectionSettings, ImageDetector

assert [info.installed for info in available() if info.name == "quarter"] == [True]
detector = ImageDetector.load(BackendChoice(sys.argv[1], "quarter", options=("confidence=0.75",)))
found = detector.detect([np.zeros((100, 200, 3), np.uint8)], DetectionSettings()).detections[0]
print(found.names, found.xyxy.tolist(), found.scores.tolist())
"""


def test_a_backend_of_another_package_is_found_and_used(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    (source / "quarter_backend.py").write_text(PACKAGE, encoding="utf-8")
    (source / "setup.py").write_text(SETUP, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index", "--no-deps"]
    command = [*pip, "--no-build-isolation", "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    folder = write_stub_card(tmp_path)
    card = folder / "model.yaml"
    card.write_text(card.read_text(encoding="utf-8").replace("stub:", "quarter:"), encoding="utf-8")
    paths = [str(target), *filter(None, [os.environ.get("PYTHONPATH")])]
    used = subprocess.run(
        [sys.executable, "-c", USE, str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert used.returncode == 0, used.stderr
    assert used.stdout == "['other'] [[0.0, 0.0, 100.0, 50.0]] [0.75]\n"
