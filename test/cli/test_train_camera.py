"""`robot_ai train camera` as a user runs it: Ctrl-C while views are drawn and while it trains, then on to the end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

pytest.importorskip("torch", reason="the training is PyTorch's")
pytest.importorskip("mujoco", reason="views are drawn by the simulator, extra simulation")
pytest.importorskip("skimage", reason="the sample photos are of scikit-image, extra demo")
event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

STEPS = 80


@contextmanager
def training(output: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    small = {"views": 2, "held-out": 1, "photo-views": 1, "batch": 1, "photos-batch": 1, "steps": STEPS}
    sizes = [word for name, value in small.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "robot_ai.cli.main", "train", "camera", "--output", str(output), *sizes]
    with subprocess.Popen(
        [*command, "--renderer", "rays", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def stop_at(process: subprocess.Popen[str], shown: str) -> str:
    """Sends Ctrl-C's signal when a line, or a state of a progress bar, shows this; what is printed after it."""
    assert process.stdout is not None
    for line in process.stdout:
        if shown in line:
            process.send_signal(signal.SIGINT)
            break
    return process.stdout.read()


def test_a_training_ends_with_ctrl_c_and_goes_on(tmp_path: Path) -> None:
    output = tmp_path / "run"
    with training(output) as process:
        assert process.stdout is not None
        while "views" not in process.stdout.readline():
            pass
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        text = process.stdout.read()
        assert process.wait(30) == 130, text
        assert "Traceback" not in text
        assert "the same command" in text
        psutil.wait_procs(children, 10)
        assert not any(child.is_running() for child in children)

    with training(output) as process:
        text = stop_at(process, f"1/{STEPS} ")
        assert process.wait(60) == 130, text
    assert "Traceback" not in text
    assert "--resume goes on from here" in text
    told = re.search(r"step (\d+): the model is in", text)
    assert told, text
    reached = int(told[1])
    assert 0 < reached < STEPS

    with training(output, "--resume") as process:
        assert process.stdout is not None
        text = process.stdout.read()
        assert process.wait(60) == 0, text
    assert f"from step {reached};" in text
    assert f"step {STEPS}: the model is in" in text
    assert set(json.loads((output / "report.json").read_text())) == {"before", "after"}
    logged = event_accumulator.EventAccumulator(str(output / "logs")).Reload()
    assert [event.step for event in logged.Scalars("loss/total")] == [*range(1, STEPS + 1)]
