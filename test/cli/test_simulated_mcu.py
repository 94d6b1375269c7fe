"""How the simulated microcontroller's process ends; what it does on a robot: test/nodes and test/launch."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PATIENCE = 60.0


def start(port: Path) -> subprocess.Popen[str]:
    """The process, at work: it calls for an agent on the port that it offers."""
    command = [sys.executable, "-m", "robot_ai.cli.simulated_mcu", "--path", str(port)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    deadline = time.monotonic() + PATIENCE
    while not port.is_symlink():
        assert process.poll() is None and time.monotonic() < deadline, "it offers no port"
        time.sleep(0.01)
    with port.open("rb", buffering=0) as line:
        assert line.read(1) == b"\x7e"
    return process


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("more", [signal.SIGINT, signal.SIGTERM])
def test_signals_that_follow_the_first_do_not_disturb_its_end(
    tmp_path: Path, first: signal.Signals, more: signal.Signals
) -> None:
    port = tmp_path / "serial"
    with start(port) as process:
        process.send_signal(first)
        deadline = time.monotonic() + PATIENCE
        # As fast as this process can: one of them finds the interpreter with its handlers taken away already.
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(more)
        said, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (0, "")
    assert not port.is_symlink()


@pytest.mark.parametrize("word", ["quit\n", "unplug\nquit\n", "unplug\nplug\nquit\n", ""])
def test_it_takes_its_port_away_when_its_input_ends_it(tmp_path: Path, word: str) -> None:
    port = tmp_path / "serial"
    with start(port) as process:
        said, _ = process.communicate(word, timeout=PATIENCE)
    assert (process.returncode, said) == (0, "")
    assert not port.is_symlink()
