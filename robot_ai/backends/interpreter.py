"""What loading a model does to the rest of the process, and what keeps it from holding up the frames of another model.

Python runs one thread at a time, so a load in one thread stops a forward pass in another whenever the interpreter is
held. Measured on 2 cores in a thread that wants it every millisecond, while TensorFlow was imported and a model loaded:

- `import` links a framework's shared libraries with the interpreter held, for 0.6 s, and for 2.3 s on a busy machine.
  `preload` links them before, through a foreign function call, which lets go of it.
- A full garbage collection walks over every object of the process: 0.25 s with PyTorch and TensorFlow imported.
  `beside_frames` allows none, and takes the modules that were imported out of those to come.
- A thread that wants the interpreter gets it after 5 ms, and PyTorch wants it back after each of a network's 150
  operations. Beside a thread that never waits, a forward pass of NanoDet-g took 464 ms instead of 50 ms, with half a
  millisecond 112 ms, with the 50 us that `beside_frames` sets 68 ms; less gains nothing. The other thread lost nothing.

`python -m bench.hot_swap` measures what is left of it in a node.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import util
from pathlib import Path
from typing import Any

# The large libraries in which there is no code of Python's, by the module that brings them, in the order of linking.
LIBRARIES = {
    "torch": ("lib/libtorch_cpu.so",),
    "tensorflow": ("libtensorflow_framework.so.*", "libtensorflow_cc.so.*"),
    "openvino": (
        "libs/libopenvino.so.*",
        "libs/libopenvino_onnx_frontend.so.*",
        "libs/libopenvino_intel_cpu_plugin.so",
    ),
}
SWITCH_INTERVAL = 50e-6  # seconds
NEVER = 1_000_000_000
_lock = threading.Lock()


class _State:
    """loads: how many are under way beside frames. cyclic: models open that only the collector frees. loose: whether
    modules were imported that are not yet taken out of its reach. before: the settings to come back to."""

    def __init__(self) -> None:
        self.loads = self.cyclic = 0
        self.loose = False
        self.before: tuple[float, tuple[int, int, int]] = (0.005, (700, 10, 10))


_state = _State()


@contextmanager
def beside_frames() -> Iterator[None]:
    """While this is open, models are loaded in this process beside one that serves. Threads may nest it."""
    with _lock:
        _state.loads += 1
        if _state.loads == 1:
            _state.before = sys.getswitchinterval(), gc.get_threshold()
            sys.setswitchinterval(min(SWITCH_INTERVAL, _state.before[0]))
            gc.set_threshold(*_state.before[1][:2], NEVER)
    try:
        yield
    finally:
        with _lock:
            _state.loads -= 1
            if not _state.loads:
                sys.setswitchinterval(_state.before[0])
                gc.set_threshold(*_state.before[1])


def preload(module: str) -> None:
    """Links a framework's large libraries without holding the interpreter; what cannot be linked is left to import."""
    if {module, *sys.modules} >= {"torch", "tensorflow"}:
        part_compilers()
    if module not in sys.modules:
        _link(module, LIBRARIES.get(module, ()), os.RTLD_NOW | os.RTLD_LOCAL)


@cache
def part_compilers() -> None:
    """Links Triton, which PyTorch's CUDA builds bring, so that it looks for its symbols in itself first.

    It and TensorFlow each hold an LLVM of their own. `import triton` after `import tensorflow` ends the process by a
    segmentation fault (PyTorch 2.13, TensorFlow 2.21), and PyTorch imports it to export a program or to compile one.
    """
    _link("triton", ("_C/libtriton*.so",), os.RTLD_NOW | getattr(os, "RTLD_DEEPBIND", 0))


def _link(module: str, patterns: Sequence[str], flags: int) -> None:
    # ctypes' own way to link a library holds the interpreter, a call of the C library's does not.
    linker = getattr(_c_library(), "dlopen", None)
    if not patterns or linker is None:
        return
    try:
        spec = util.find_spec(module)
    except (ImportError, ValueError):
        return
    linker.restype, linker.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        for pattern in patterns:
            for library in sorted(Path(place).glob(pattern)):
                linker(os.fsencode(library), flags)


def imported() -> None:
    """To be called after a framework was imported: beside frames, no later collection walks over its objects.

    That holds for whatever exists now, so it waits while a model is open that only the collector frees.
    """
    with _lock:
        if _state.loads:
            _state.loose = True
            _freeze()


def opened_cyclic() -> None:
    """To be called when a model was opened that is freed by the collector only: `closed_cyclic` must follow."""
    with _lock:
        _state.cyclic += 1


def closed_cyclic() -> None:
    """Frees a model that was let go of: its objects refer to one another, and would stay until some later collection.

    SavedModels kept 140 MB each in this way.
    """
    gc.collect()
    with _lock:
        _state.cyclic -= 1
        _freeze()


def give_back_memory() -> None:
    """Returns to the system what was freed, of which glibc keeps most.

    Without it a node with 20 swaps among four backends had grown by 360 MB.
    """
    trim = getattr(_c_library(), "malloc_trim", None)  # glibc's; others have none
    if trim is not None:
        trim(0)


def _c_library() -> Any:
    """The process' own symbols, called without holding the interpreter; None where there are none to be had."""
    try:
        return ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    except OSError:
        return None


def _freeze() -> None:
    if _state.loose and not _state.cyclic:
        gc.freeze()
        _state.loose = False
