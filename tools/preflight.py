"""What must be true of a machine before .venv is built: checked at once, so that nothing fails after minutes."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import shutil
import sys
import urllib.request
from collections.abc import Iterable
from pathlib import Path

OLDEST, NEWEST = (3, 10), (3, 13)
_GLIBC = (2, 28)
# Gigabytes that each extra takes in .venv, together with what pip unpacks on the way.
_GIGABYTES = {
    "ros": 0.7, "demo": 0.7, "test": 0.7,
    "pytorch": 1.5, "tensorflow": 2.5, "litert": 0.2, "onnx": 0.3, "openvino": 0.5, "serving": 0.1,
    "convert": 0.3, "benchmark": 0.2, "simulation": 0.3, "view": 0.5, "bags": 0.1,
}  # fmt: skip
# What PyTorch's CUDA build takes more than its CPU build.
_CUDA_GIGABYTES = 5.0
# The first pip that goes from a conflict straight back to what caused it. Before, it tries every version of every
# package chosen since: with PyTorch's CUDA build it was still trying after 15 minutes.
_PIP = (23, 1)
_DISTRIBUTION = "install ROS 2 Jazzy's distribution and build with colcon instead: see README.md"
_TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"


class PreflightError(Exception):
    """The root of the refusals: the machine lacks something, and the message says how to get it."""


class UnsupportedPythonError(PreflightError):
    """The ROS wheels exist for other versions of Python only."""


class UnsupportedMachineError(PreflightError):
    """The ROS wheels exist for other machines only."""


class MissingVenvModuleError(PreflightError):
    """This Python came without the means to make a virtual environment."""


class MissingBuildToolError(PreflightError):
    """A compiler or Python's headers are missing."""


class DiskSpaceError(PreflightError):
    """The environment would not fit on the disk."""


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> None:
    """Refuses a Python for which there are no ROS wheels."""
    if OLDEST <= version <= NEWEST:
        return
    names = [f"python3.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    found = next((name for name in names if shutil.which(name)), None)
    remedy = (
        f"{found} is installed: add PYTHON={found} to the make command"
        if found
        else "`sudo apt install python3.12 python3.12-venv python3.12-dev`, then add PYTHON=python3.12"
    )
    expected = f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
    raise UnsupportedPythonError(f"Python {version[0]}.{version[1]} is not supported: expected {expected}; {remedy}")


def check_machine(system: str = sys.platform, machine: str | None = None, libc: tuple[str, str] | None = None) -> None:
    """Refuses a machine for which there are no ROS wheels."""
    machine = platform.machine() if machine is None else machine
    if system != "linux" or machine not in ("x86_64", "AMD64"):
        raise UnsupportedMachineError(
            f"{system} on {machine} has no ROS wheels on PyPI: expected linux on x86_64; {_DISTRIBUTION}"
        )
    name, version = platform.libc_ver() if libc is None else libc
    if name != "glibc" or tuple(int(part) for part in version.split(".")[:2]) < _GLIBC:
        raise UnsupportedMachineError(
            f"the C library {name or 'of this system'} {version} has no ROS wheels on PyPI: expected glibc "
            f"{_GLIBC[0]}.{_GLIBC[1]} or newer, as in Debian 10 and Ubuntu 20.04; upgrade, or {_DISTRIBUTION}"
        )


def check_venv_module() -> None:
    """Refuses a Python without venv and ensurepip, which Debian packages apart."""
    if any(importlib.util.find_spec(module) is None for module in ("venv", "ensurepip")):
        package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        raise MissingVenvModuleError(
            f"{sys.executable} cannot make a virtual environment: expected its modules venv and ensurepip; "
            f"`sudo apt install python3-venv` ({package} for a Python that is not the system's)"
        )


def check_build_tools(interfaces: Path) -> None:
    """Refuses a machine on which the message packages cannot be compiled; their builder itself says what is missing."""
    sys.path.insert(0, str(interfaces))
    try:
        from rosidl_wheel.errors import InterfaceBuildError
        from rosidl_wheel.toolchain import Toolchain, python_include
    finally:
        sys.path.remove(str(interfaces))
    try:
        Toolchain.find()
        python_include()
    except InterfaceBuildError as error:
        raise MissingBuildToolError(str(error)) from error


def check_disk(folder: Path, extras: Iterable[str], free: int | None = None, gpu: bool | None = None) -> None:
    """Refuses a disk on which the environment would not fit; with a GPU, PyTorch is its CUDA build."""
    free = shutil.disk_usage(folder).free if free is None else free
    gpu = has_nvidia_gpu() if gpu is None else gpu
    needed = sum(_GIGABYTES.get(extra, 0.0) for extra in extras) + 0.3
    if gpu and "pytorch" in extras:
        needed += _CUDA_GIGABYTES
    if free < needed * 1e9:
        raise DiskSpaceError(
            f"{folder} has {free / 1e9:.1f} GB of free space: expected about {needed:.1f} GB for "
            f"{', '.join(sorted(extras))}; free some, or ask for less (`make demo` needs one framework)"
        )


def has_old_pip(version: str | None = None) -> bool:
    """Tells whether the pip that this Python puts into a virtual environment resolves conflicts too slowly."""
    if version is None:
        version = importlib.import_module("ensurepip").version()
    return tuple(int(part) for part in version.split(".")[:2]) < _PIP


def has_nvidia_gpu() -> bool:
    """Tells whether an NVIDIA driver is loaded."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def torch_index(timeout: float = 2.0) -> list[str]:
    """Returns the pip options that prefer PyTorch's CPU build where there is no GPU: PyPI's brings gigabytes of CUDA.

    Where the index is out of reach, pip's own configuration decides. TORCH_INDEX names another index, or none if empty.
    """
    index = os.environ.get("TORCH_INDEX", "" if has_nvidia_gpu() else _TORCH_CPU_INDEX)
    if not index:
        return []
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{index}/torch/", method="HEAD"), timeout=timeout):
            return ["--extra-index-url", index]
    except (OSError, ValueError):
        return []
