"""The command itself; its verbs have tests of their own."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from interrupting import interrupt


@pytest.mark.parametrize("words", [["model", "list"], ["evaluate"]], ids=" ".join)
def test_ctrl_c_while_a_verb_imports_is_exit_code_130_and_no_traceback(words: list[str]) -> None:
    code, said = interrupt([sys.executable, "-m", "robot_ai.cli.main", *words], signal.SIGINT)
    assert code == 130, said
    assert said == ""


def test_the_script_model_is_the_verb_model() -> None:
    code = "import sys; from robot_ai.cli.main import model; sys.argv[1:] = ['info', 'nowhere']; sys.exit(model())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("robot_ai model: ")
    assert "nowhere" in done.stderr
