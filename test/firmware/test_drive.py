"""The firmware's pure parts, compiled for this computer."""

from __future__ import annotations

import ctypes
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from robot_ai.mcu.compact import pack
from robot_ai.mcu.polar import PolarDetections

SOURCES = Path(__file__).resolve().parents[2] / "firmware" / "src"


class Config(ctypes.Structure):
    _fields_ = (
        ("separation", ctypes.c_float),
        ("fastest", ctypes.c_float),
        ("host_timeout", ctypes.c_uint32),
        ("command_timeout", ctypes.c_uint32),
    )


@pytest.fixture(scope="module")
def firmware(tmp_path_factory) -> ctypes.CDLL:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    library = tmp_path_factory.mktemp("firmware") / "pure.so"
    sources = [str(SOURCES / name) for name in ("drive.c", "compact_detections.c")]
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-lm"]
    subprocess.run([compiler, *flags, *sources, "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


class Drive:
    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._state = ctypes.create_string_buffer(128)
        self.call("init", ctypes.byref(Config(0.5, 1.0, 300, 500)))

    def call(self, name: str, *arguments: object) -> None:
        getattr(self._library, f"drive_{name}")(self._state, *arguments)

    def command(self, now: int, linear: float, angular: float) -> None:
        self.call("command", ctypes.c_uint32(now), ctypes.c_double(linear), ctypes.c_double(angular))

    def wheels(self, now: int) -> tuple[float, float]:
        left, right = ctypes.c_float(9), ctypes.c_float(9)
        self.call("wheels", ctypes.c_uint32(now), ctypes.byref(left), ctypes.byref(right))
        return left.value, right.value


def released(library: ctypes.CDLL, now: int = 1000) -> Drive:
    drive = Drive(library)
    drive.call("heartbeat", ctypes.c_uint32(now))
    drive.call("stop", ctypes.c_bool(False))
    drive.command(now, 0.4, 0.4)
    return drive


def test_nothing_moves_before_heartbeat_release_and_command(firmware) -> None:
    drive = Drive(firmware)
    drive.command(0, 0.4, 0.0)
    assert drive.wheels(0) == (0, 0)
    drive.call("stop", ctypes.c_bool(False))
    drive.command(0, 0.4, 0.0)
    assert drive.wheels(0) == (0, 0)


@pytest.mark.parametrize("start", [1000, 2**32 - 100])
def test_the_heartbeat_ceases_and_the_wheels_stop(firmware, start: int) -> None:
    drive = released(firmware, start)
    assert drive.wheels((start + 300) % 2**32) == pytest.approx((0.3, 0.5))
    assert drive.wheels((start + 301) % 2**32) == (0, 0)


def test_old_commands_are_forgotten(firmware) -> None:
    drive = released(firmware)
    drive.call("heartbeat", ctypes.c_uint32(1501))
    assert drive.wheels(1501) == (0, 0)


def test_a_command_from_before_a_stop_does_not_run_after_it(firmware) -> None:
    drive = released(firmware)
    drive.call("stop", ctypes.c_bool(True))
    assert drive.wheels(1000) == (0, 0)
    drive.call("stop", ctypes.c_bool(False))
    assert drive.wheels(1000) == (0, 0)


@pytest.mark.parametrize("nonsense", [math.nan, math.inf])
def test_nonsense_is_a_stop(firmware, nonsense: float) -> None:
    drive = released(firmware)
    drive.command(1000, nonsense, 0.0)
    assert drive.wheels(1000) == (0, 0)


def test_the_limit_keeps_the_curve(firmware) -> None:
    drive = released(firmware)
    drive.command(1000, 2.0, 4.0)
    assert drive.wheels(1000) == pytest.approx((1 / 3, 1.0))


def test_it_reads_what_the_bridge_packs(firmware) -> None:
    polar = PolarDetections(np.array([16]), *np.array([[0.75], [0.5], [2.0], [0.25]]))
    data = pack(polar, 4, 0.1)
    pointer = data.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    firmware.compact_count.restype = ctypes.c_size_t
    assert firmware.compact_count(pointer, ctypes.c_size_t(data.size)) == 1
    assert firmware.compact_count(pointer, ctypes.c_size_t(data.size - 1)) == 0
    data[0] = np.nan
    assert firmware.compact_count(pointer, ctypes.c_size_t(data.size)) == 0
