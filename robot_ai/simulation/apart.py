"""Worlds read and compiled in a process of its own, whose memory ends with it.

Reading meshes takes half as much again as a running simulation, and glibc keeps most of it for the process.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

from robot_ai.simulation.errors import ModelBuildError, SimulationError
from robot_ai.simulation.memory import return_memory
from robot_ai.simulation.quality import Quality
from robot_ai.simulation.scene import Scene

_TIMEOUT = 300.0


def open_scene_apart(name: str, robot: str, start: tuple[float, float, float] | None, quality: Quality) -> Scene:
    """As opening.open_scene, which another process runs. Raises a SimulationError."""
    with tempfile.TemporaryDirectory(prefix="robot_ai_") as folder:
        request, answer = Path(folder) / "request", Path(folder) / "answer"
        request.write_bytes(pickle.dumps((name, robot, start, quality)))
        command = [sys.executable, "-m", "robot_ai.simulation.apart", str(request), str(answer)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
        except subprocess.TimeoutExpired:
            raise ModelBuildError(f"the world '{name}' was not read within {_TIMEOUT:.0f} s") from None
        if done.returncode or not answer.is_file():
            last = done.stderr.strip().splitlines()[-1:] or [f"it ended with {done.returncode}"]
            raise ModelBuildError(f"the process that reads the world '{name}' failed: {last[0]}")
        # Written by the line below, in a folder that only this user can write to.
        result: Scene | SimulationError = pickle.loads(answer.read_bytes())
    return_memory()
    if isinstance(result, SimulationError):
        raise result
    return result


def main(argv: list[str] | None = None) -> int:
    """Reads the world that a file asks for, and writes the scene, or the error, to another."""
    from robot_ai.simulation.opening import open_scene

    request, answer = map(Path, sys.argv[1:] if argv is None else argv)
    result: Scene | SimulationError
    try:
        result = open_scene(*pickle.loads(request.read_bytes()))
    except SimulationError as error:
        result = error
    answer.write_bytes(pickle.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
