"""The recording for Rerun's viewer, read back with Rerun's own command."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rerun", reason="rerun-sdk needs Python 3.11")

from robot_ai.geometry.transforms import RigidTransform
from robot_ai.lidar.detections import LABELS, Detections3D
from robot_ai.perception.detections import Detections
from robot_ai.viewing.errors import ViewerError
from robot_ai.viewing.rerun_log import RerunLog


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fill(log: RerunLog) -> None:
    found = Detections(
        np.array([[1, 2, 30, 40]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64), ("person",)
    )
    placed = Detections3D(
        np.ones((1, 3), np.float32), np.ones((1, 3), np.float32), np.ones(1, np.float32), np.ones(1, np.float32),
        np.zeros(1, np.int64), LABELS,
    )  # fmt: skip
    for step in range(5):
        log.at(step / 10)
        log.image(np.full((48, 64, 3), 50 * step, np.uint8))
        log.cloud(np.random.default_rng(step).normal(size=(100, 3)).astype(np.float32))
        for truth in (False, True):
            log.boxes(found, truth)
            log.boxes_3d(placed, truth)
        log.boxes(Detections.empty(("person",)))
        log.pose(RigidTransform(np.eye(3), np.array([step / 5, 0.0, 0.0])))
        log.number("latency/camera_detector/forward", 12.0)
        log.text("log/mcu", "STOP", warning=True)


def printed(file: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "rerun", "rrd", "print", "-v", str(file)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_recording_holds_all_of_it(tmp_path: Path) -> None:
    log = RerunLog(tmp_path / "drive.rrd", None)
    fill(log)
    log.close()
    text = printed(tmp_path / "drive.rrd")
    for entity in (
        "/camera", "/camera/detections", "/camera/truth", "/world/robot", "/world/robot/points",
        "/world/robot/detections", "/world/robot/obstacles", "/world/robot/truth",
        "/world/path", "/latency/camera_detector/forward", "/log/mcu",
    ):  # fmt: skip
        assert entity in text


def test_a_browser_gets_a_page_while_it_is_recorded_too(tmp_path: Path) -> None:
    web, grpc = free_port(), free_port()
    log = RerunLog(tmp_path / "drive.rrd", web, grpc)
    assert log.served is not None
    with urllib.request.urlopen(f"http://localhost:{web}/", timeout=10) as page:
        assert b"<html" in page.read().lower()
    assert f"localhost:{web}" in log.served.address
    live = tmp_path / "live.rrd"
    command = [sys.executable, "-m", "rerun", f"rerun+http://127.0.0.1:{grpc}/proxy", "--save", str(live)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as client:
        try:
            fill(log)
            last = time.monotonic() + 20
            while time.monotonic() < last and not (live.is_file() and live.stat().st_size > 20_000):
                time.sleep(0.1)
        finally:
            log.close()
            client.send_signal(signal.SIGINT)
    for file in (live, tmp_path / "drive.rrd"):
        assert "/world/robot/points" in printed(file)


@pytest.mark.parametrize("taken", ["web", "grpc"])
def test_a_port_that_is_taken_is_said(taken: str) -> None:
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        ports = {"web": free_port(), "grpc": free_port(), taken: other.getsockname()[1]}
        with pytest.raises(ViewerError, match=str(ports[taken])):
            RerunLog(None, ports["web"], ports["grpc"])
