"""The demo of the microcontroller, as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ros_harness import next_domain


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ROS_DOMAIN_ID": str(next_domain()), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    return subprocess.run(
        [sys.executable, "-m", "robot_ai.cli.main", "demo-mcu", "--output", str(folder), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )


def test_link_obstacle_perception_cable_and_recovery(tmp_path: Path) -> None:
    done = demo(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = ["connected", "driving at 0.40", "motors off: mcu/stop", "motors off: the host's heartbeat ceased"]
    places = [done.stdout.index(step) for step in steps]
    assert places == sorted(places)
    assert done.stdout.count("driving at 0.40") == 4
    assert "Every step happened." in done.stdout


def test_a_step_that_does_not_happen_is_exit_code_1(tmp_path: Path) -> None:
    done = demo(tmp_path, "--timeout", "0.01")
    assert done.returncode == 1
    assert "the MCU did not say 'connected'" in done.stderr
