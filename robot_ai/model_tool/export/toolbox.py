"""Converters that cannot live beside our frameworks: each in an environment of its own, made when first needed.

The environments are kept in $ROBOT_AI_TOOLS, or in robot_ai/tools of the user's cache directory, and can be deleted at
any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from robot_ai.model_tool.export.errors import ConverterError, ConverterMissingError

ENVIRONMENT_VARIABLE = "ROBOT_AI_TOOLS"
_WHOLE = "whole"  # a file that says that the environment was finished
RUN_TIMEOUT = 1800.0


def tools_directory() -> Path:
    """Where the environments are kept."""
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "robot_ai" / "tools"


def python_with(name: str, requirements: Sequence[str], say: Callable[[str], None]) -> Path:
    """The Python of an environment that holds these packages; makes it when it is not there.

    Raises ConverterMissingError with pip's own words when the packages cannot be installed.
    """
    wanted = "\n".join([sys.version, *requirements])
    folder = tools_directory() / f"{name}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two exports at once make it once
        if not (folder / _WHOLE).is_file():
            say(f"installing {name} from PyPI into {folder}, once")
            shutil.rmtree(folder, ignore_errors=True)
            try:
                _install(folder, python, requirements, say)
            except ConverterMissingError:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            (folder / _WHOLE).write_text("\n".join(requirements), encoding="utf-8")
    return python


def run(python: Path, program: str, arguments: Sequence[str], name: str) -> str:
    """Runs a program's text with that Python; its stdout. Raises ConverterError with its last words."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
    try:
        done = subprocess.run(
            [str(python), "-c", program, *arguments],
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired as error:
        raise ConverterError(f"{name} did not end within {RUN_TIMEOUT / 60:.0f} minutes") from error
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        raise ConverterError(f"{name} cannot convert this model: {' '.join(words[-4:])[-800:]}")
    return done.stdout


def _install(folder: Path, python: Path, requirements: Sequence[str], say: Callable[[str], None]) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise ConverterMissingError(f"{folder} cannot be made: {error.stderr or error.stdout}") from error
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", *requirements]
    last, spoken = [""] * 5, 0.0
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if not line.strip() or line.startswith("WARNING: Location"):
                continue
            last = [*last[1:], line.strip()]
            if line.startswith(("Collecting", "Installing")) and time.monotonic() - spoken > 2:
                spoken = time.monotonic()
                say(f"pip: {line.strip()[:100]}")
    if process.returncode:
        raise ConverterMissingError(f"pip cannot install {', '.join(requirements)}: {' '.join(last)}")
