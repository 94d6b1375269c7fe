"""Groups of processes."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from robot_ai.cli.processes import ProcessGroup


@dataclass
class Sleeper:
    name: str = "sleeper"

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-c", "import time; time.sleep(60)"]


class Fault(Sleeper):
    @property
    def command(self) -> list[str]:
        raise OSError("no such program")


class CtrlC(Sleeper):
    """Interrupts just when it is started."""

    @property
    def command(self) -> list[str]:
        os.kill(os.getpid(), signal.SIGINT)
        return super().command


def test_ctrl_c_while_a_group_starts_leaves_none_of_it(tmp_path: Path) -> None:
    group = ProcessGroup([Sleeper(), CtrlC("second"), Sleeper("third")], tmp_path, {})
    with pytest.raises(KeyboardInterrupt), group:
        raise AssertionError("the group has not started")
    assert set(group.ended()) == {"sleeper", "second"}


def test_a_node_that_cannot_start_leaves_none_of_its_group(tmp_path: Path) -> None:
    group = ProcessGroup([Sleeper(), Fault("second")], tmp_path, {})
    with pytest.raises(OSError, match="no such program"), group:
        raise AssertionError("the group has not started")
    assert set(group.ended()) == {"sleeper"}


def test_the_end_of_the_block_ends_the_group(tmp_path: Path) -> None:
    with ProcessGroup([Sleeper()], tmp_path, {}) as group:
        time.sleep(0.2)
        assert not group.ended()
    assert set(group.ended()) == {"sleeper"}
