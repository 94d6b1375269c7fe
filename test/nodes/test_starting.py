"""Ctrl-C while a node's process still imports: the real processes, as `python -m`, launch and ros2 run start them."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from interrupting import interrupt

from robot_ai.bringup.table import EXECUTABLES

MODULES = [executable.module for executable in EXECUTABLES.values()]


def as_module(module: str) -> list[str]:
    return [sys.executable, "-m", module]


def as_script(name: str) -> list[str]:
    """What the console script does; where pip or colcon put that is their affair."""
    return [sys.executable, "-c", f"import sys; from robot_ai.nodes.starting import {name}; sys.exit({name}())"]


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
