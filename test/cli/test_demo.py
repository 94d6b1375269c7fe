"""The demo with the simulated robot, as a newcomer starts it: real nodes, the real world, a real detector."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import psutil
import pytest
from ros_harness import next_domain

from robot_ai.bringup.table import SIMULATION
from robot_ai.cli.demo import member_processes, other_framework

pytest.importorskip("mujoco", reason="MuJoCo is of the extra simulation")


def demo(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "robot_ai.cli.main", "demo", "--headless", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "ROS_DOMAIN_ID": str(next_domain()), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"},
    )


def left_of(children: list[psutil.Process]) -> list[psutil.Process]:
    return [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.timeout(300)
def test_a_robot_sees_drives_swaps_and_is_scored(tmp_path: Path) -> None:
    process = demo(
        "--backend", "tensorflow", "--swap-to", "pytorch", "--duration", 40, "--output", tmp_path, "--record"
    )
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    summary = json.loads((tmp_path / "summary.json").read_text())
    person = summary["3d"]["person"]
    assert person["truths"] > 10
    assert person["range error p50 (m)"] < 0.25
    assert summary["2d"]["tensorflow"]["person"]["recall"] > 0.3
    assert summary["swap"]["lost"] is not None, output
    # The microcontroller has stopped the robot in front of a person, and told so.
    before = next(stop for stop in summary["stops"] if stop["person"])
    assert 0.4 <= before["gap"] <= 1.2
    assert f"s before {before['person']}, {before['gap']:.2f} m away" in output
    assert re.search(r"^ +[0-9.]+ s  STOP before", output, re.MULTILINE)
    assert summary["driven (m)"] > 0.5
    ledger = {key: int(value) for key, value in summary["ledger"].items()}
    dropped = sum(count for key, count in ledger.items() if key.startswith("frames dropped"))
    assert ledger["frames received"] == ledger["frames published"] + dropped + ledger["frames in flight"]
    picture = cv2.imread(str(tmp_path / "summary.png"))
    assert picture.shape[1] > 1000
    assert cv2.VideoCapture(str(tmp_path / "drive.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) > 3
    assert "Traceback" not in output

    # What was recorded is scored again, as it was recorded and with another backend over its images.
    def evaluate(*arguments: object) -> dict[str, dict[str, object]]:
        command = [sys.executable, "-m", "robot_ai.cli.main", "evaluate", "--bag", str(tmp_path / "bag")]
        file = tmp_path / "scores.json"
        done = subprocess.run(
            [*command, "--json", str(file), *map(str, arguments)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(file.read_text())

    recorded = evaluate()
    assert recorded["fused, as recorded"]["classes"]["person"]["range error p50 (m)"] < 0.25
    assert recorded["camera, as recorded"]["frames"] > 10
    once, twice = evaluate("--backend", "onnx"), evaluate("--backend", "onnx")
    assert once == twice
    assert once["nanodet_g in onnx"]["classes"]["person"]["AP50"] > 0.2


@pytest.mark.timeout(120)
def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    process = demo("--output", tmp_path, "--renderer", "rays")
    parent = psutil.Process(process.pid)
    deadline = time.monotonic() + 30
    while len(children := parent.children(recursive=True)) < len(SIMULATION) + 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(children) > len(SIMULATION)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert not left_of(children)


@pytest.mark.timeout(120)
def test_a_world_that_is_not_there_is_told(tmp_path: Path) -> None:
    process = demo("--output", tmp_path, "--world", "no_such_world")
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "no_such_world" in output
    assert "Traceback" not in output


def test_every_node_of_the_table_gets_what_launch_gives_it(tmp_path: Path) -> None:
    class Arguments:
        world, seed, renderer, backend, swap_to = "room", 1, "rays", "onnx", "litert"

    processes = member_processes(Arguments, tmp_path / "serial")  # type: ignore[arg-type]
    assert [process.member for process in processes] == list(SIMULATION)
    for process in processes:
        words = process.command
        assert any(word.endswith(f"config/{process.name}.yaml") for word in words)
        assert any(word.endswith("config/demo.yaml") for word in words)
        assert f"use_sim_time:={'false' if process.name == 'simulator' else 'true'}" in words
    (simulator,) = (process for process in processes if process.name == "simulator")
    assert "cmd_vel:=mcu/motors" in simulator.command
    (camera,) = (process for process in processes if process.name == "camera_detector")
    assert any(word.startswith("preload_backends:=") and "litert" in word for word in camera.command)


def test_the_other_framework_is_another_one_that_is_installed() -> None:
    assert other_framework("pytorch") != "pytorch"
