"""Ctrl-C while a node's process still imports: the real processes, as `python -m`, launch and ros2 run start them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ros_harness import next_domain

from robot_ai.bringup.table import EXECUTABLES

# Native parts of what every node imports, well before its own main runs.
EARLY = ("_multiarray_umath", "_rclpy_pybind11")
MODULES = [executable.module for executable in EXECUTABLES.values()]


def as_module(module: str) -> list[str]:
    return [sys.executable, "-m", module]


def as_script(name: str) -> list[str]:
    """What the console script does; where pip or colcon put that is their affair."""
    return [sys.executable, "-c", f"import sys; from robot_ai.nodes.starting import {name}; sys.exit({name}())"]


def wait_for_imports(process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    maps = Path(f"/proc/{process.pid}/maps")
    while time.monotonic() < deadline:
        assert process.poll() is None, "it ended by itself"
        if any(name in maps.read_text() for name in EARLY):
            return
        time.sleep(0.005)
    raise AssertionError("it imported nothing")


def interrupt(command: list[str], how: signal.Signals) -> tuple[int, str]:
    """The exit code and the output of a process that got the signal during its imports."""
    environment = {**os.environ, "ROS_DOMAIN_ID": str(next_domain()), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        try:
            wait_for_imports(process)
            process.send_signal(how)
            said, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, said


@pytest.mark.parametrize("module", [*MODULES, "robot_ai.cli.simulated_mcu"])
def test_a_module_that_is_interrupted_while_it_imports_ends_quietly(module: str) -> None:
    extra = ["--udp", "8888"] if module.endswith("simulated_mcu") else []
    code, said = interrupt([*as_module(module), *extra], signal.SIGINT)
    assert code == 0, said
    assert "Traceback" not in said


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_script_that_is_interrupted_while_it_imports_ends_quietly(how: signal.Signals) -> None:
    code, said = interrupt(as_script("camera_detector"), how)
    assert code == 0, said
    assert "Traceback" not in said


def test_importing_a_node_leaves_the_signals_of_its_importer_alone() -> None:
    code = (
        "import signal, robot_ai.nodes.simulator_parameters, robot_ai.cli.simulated_mcu;"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
