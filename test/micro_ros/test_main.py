"""The agent without ROS, as a process."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from robot_ai.micro_ros.client import XrceClient
from robot_ai.micro_ros.client_link import ClientRunner, PtyLink

COMMAND = [sys.executable, "-m", "robot_ai.micro_ros"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--udp", "99999"], "port 99999"),
        (["--udp", "0", "--host", "localhost"], "numeric addresses"),
        (["--udp", "0", "--input-history", "0"], "input_history is 0"),
        (["--udp", "0", "--references", "absent.xml"], "absent.xml"),
        ([], "give --udp"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(arguments: list[str], reason: str) -> None:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and reason in done.stderr and "Traceback" not in done.stderr


def test_it_serves_until_it_is_terminated(tmp_path: Path) -> None:
    port = tmp_path / "serial"
    with (
        ClientRunner(XrceClient(b"\x01\x02\x03\x04"), PtyLink(port)) as runner,
        subprocess.Popen([*COMMAND, "--serial", str(port)], stderr=subprocess.PIPE, text=True) as process,
    ):
        assert runner.login(30)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "client 01020304" in said and "removed" in said
