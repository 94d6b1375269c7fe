"""Groups of processes."""

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


class CtrlC(Sleeper):
    @property
    def command(self) -> list[str]:
        raise KeyboardInterrupt


def test_ctrl_c_while_a_group_starts_leaves_none_of_it(tmp_path: Path) -> None:
    group = ProcessGroup([Sleeper(), CtrlC("second")], tmp_path, {})
    with pytest.raises(KeyboardInterrupt), group:
        raise AssertionError("the group has not started")
    assert set(group.ended()) == {"sleeper"}


def test_the_end_of_the_block_ends_the_group(tmp_path: Path) -> None:
    with ProcessGroup([Sleeper()], tmp_path, {}) as group:
        time.sleep(0.2)
        assert not group.ended()
    assert set(group.ended()) == {"sleeper"}
