"""The demo with photos as a newcomer starts it: real processes, real frameworks, real photos."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from ros_harness import next_domain
from stub_card import write_stub_card


def demo(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "robot_ai.cli.main", "demo-photos", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "ROS_DOMAIN_ID": str(next_domain()), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"},
    )


@pytest.mark.parametrize("backend", ["pytorch", "tensorflow"])
def test_real_objects_are_found_in_real_photos(backend: str, tmp_path: Path) -> None:
    process = demo("--backend", backend, "--output", tmp_path)
    output, _ = process.communicate(timeout=150)
    assert process.returncode == 0, output
    found = dict(line.split(None, 1) for line in output.splitlines() if line.startswith("  ") and ".png" in line)
    assert "person" in found["astronaut.png"]
    assert "cup" in found["coffee.png"]
    assert "motorcycle" in found["motorcycle.png"]
    for line in ("forward", "received", "published", "lost before arrival"):
        assert line in output
    drawn = cv2.imread(str(tmp_path / "coffee_detections.png"))
    assert drawn.shape == cv2.imread(str(tmp_path / "photos" / "coffee.png")).shape
    assert (tmp_path / "overview.png").is_file()


def test_nothing_detected_is_a_failure(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    cv2.imwrite(str(photos / "black.png"), np.zeros((48, 64, 3), np.uint8))
    process = demo("--backend", "stub", "--model", write_stub_card(tmp_path), "--photos", photos, "--output", tmp_path)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    assert "nothing" in output


def test_a_backend_that_is_not_there_is_told(tmp_path: Path) -> None:
    process = demo("--backend", "nonsense", "--output", tmp_path)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "no backend is named 'nonsense'" in output
    assert "Traceback" not in output


def test_ctrl_c_stops_everything(tmp_path: Path) -> None:
    process = demo("--backend", "stub", "--model", write_stub_card(tmp_path, delay=0.5), "--output", tmp_path)
    parent = psutil.Process(process.pid)
    deadline = time.monotonic() + 30
    while len(children := parent.children(recursive=True)) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(children) >= 2
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
