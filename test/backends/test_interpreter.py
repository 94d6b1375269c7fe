"""Loads beside frames: what they change in the interpreter, and that it comes back."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib import util

import pytest

from robot_ai.backends import interpreter
from robot_ai.backends.interpreter import NEVER, SWITCH_INTERVAL, beside_frames


@pytest.fixture(autouse=True)
def unfrozen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a process of its own: what other tests left open or frozen is not seen."""
    monkeypatch.setattr(interpreter, "_state", interpreter._State())
    gc.unfreeze()
    yield
    gc.unfreeze()


def settings() -> tuple[float, tuple[int, int, int]]:
    return sys.getswitchinterval(), gc.get_threshold()


def test_a_load_yields_and_collects_nothing_large() -> None:
    before = settings()
    with beside_frames():
        interval, thresholds = settings()
        assert interval == pytest.approx(SWITCH_INTERVAL)
        assert thresholds == (*before[1][:2], NEVER)
    assert settings() == before


def test_of_loads_at_the_same_time_the_last_one_restores() -> None:
    before, first, second = settings(), threading.Event(), threading.Event()

    def load() -> None:
        with beside_frames():
            first.set()
            second.wait(10)

    thread = threading.Thread(target=load)
    with beside_frames():
        thread.start()
        assert first.wait(10)
    assert settings() != before
    second.set()
    thread.join(10)
    assert settings() == before


def test_what_fails_restores_too() -> None:
    before = settings()
    with pytest.raises(OSError, match=r"no file"), beside_frames():
        raise OSError("no file")
    assert settings() == before


def test_imported_modules_leave_the_reach_of_the_collector_beside_frames_only() -> None:
    interpreter.imported()
    assert gc.get_freeze_count() == 0
    with beside_frames():
        interpreter.imported()
    assert gc.get_freeze_count() > 1000


def test_a_model_that_the_collector_must_free_is_not_taken_from_it() -> None:
    interpreter.opened_cyclic()
    with beside_frames():
        interpreter.imported()
        assert gc.get_freeze_count() == 0
    interpreter.closed_cyclic()
    assert gc.get_freeze_count() > 1000


LINK = """
import sys
from pathlib import Path
from robot_ai.backends.interpreter import preload
preload(sys.argv[1])
assert sys.argv[1] not in sys.modules
print(sys.argv[2] in Path("/proc/self/maps").read_text())
__import__(sys.argv[1])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells what is linked in /proc")
@pytest.mark.parametrize(
    ("module", "library"),
    [
        ("torch", "libtorch_cpu.so"),
        ("tensorflow", "libtensorflow_cc.so"),
        ("openvino", "libopenvino.so"),
        ("openvino", "libopenvino_intel_cpu_plugin.so"),
    ],
)
def test_libraries_are_linked_before_they_are_imported(module: str, library: str) -> None:
    pytest.importorskip(module, exc_type=ImportError)
    run = subprocess.run(
        [sys.executable, "-c", LINK, module, library], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "True\n"


@pytest.mark.parametrize("module", ["robot_ai", "no_such_module", "json"])
def test_whatever_has_no_libraries_is_left_to_import(module: str) -> None:
    interpreter.preload(module)
    assert module != "no_such_module" or module not in sys.modules


def test_memory_is_given_back_where_the_c_library_can(monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter.give_back_memory()
    monkeypatch.setattr(interpreter, "_c_library", lambda: None)
    interpreter.give_back_memory()
    interpreter.preload("torch")


TOGETHER = """
import tensorflow
from robot_ai.backends.support import import_framework
import_framework("torch", "pytorch")
import triton, torch._dynamo
"""


def test_pytorchs_compiler_lives_beside_tensorflows() -> None:
    for module in ("tensorflow", "torch"):
        pytest.importorskip(module)
    if util.find_spec("triton") is None:
        pytest.skip("triton is not installed: only PyTorch's CUDA builds bring it")
    done = subprocess.run([sys.executable, "-c", TOGETHER], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
