"""The compilers, and the check that they are there, before minutes are spent."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .errors import CompilationError, MissingCompilerError, MissingPythonHeadersError

_MESSAGE_LINES = 40


def _command(variable: str, default: str) -> list[str]:
    command = shlex.split(os.environ.get(variable, default))
    if not command or shutil.which(command[0]) is None:
        raise MissingCompilerError(
            f"the compiler {' '.join(command) or '(empty)'} was not found: message packages contain C and C++; "
            f"install it with `sudo apt install build-essential`, or name another one in {variable}"
        )
    return command


def python_include() -> Path:
    """Returns the folder of Python.h for the running interpreter."""
    include = Path(sysconfig.get_paths()["include"])
    if not (include / "Python.h").is_file():
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise MissingPythonHeadersError(
            f"{include}/Python.h was not found: message packages contain a Python extension module; install it with "
            f"`sudo apt install python3-dev` (python{version}-dev for a Python that is not the system's)"
        )
    return include


@dataclass(frozen=True)
class Toolchain:
    """A C and a C++ compiler with the flags that all generated code needs."""

    cc: list[str]
    cxx: list[str]
    includes: tuple[Path, ...]
    libraries: tuple[Path, ...]

    @classmethod
    def find(cls, includes: Iterable[Path] = (), libraries: Iterable[Path] = ()) -> Toolchain:
        """Finds the compilers that CC and CXX name, gcc and g++ by default; the folders are where they will look."""
        return cls(_command("CC", "gcc"), _command("CXX", "g++"), tuple(includes), tuple(libraries))

    def _compile(self, source: Path, build: Path) -> Path:
        target = build / source.with_suffix(source.suffix + ".o").name
        compiler, standard, extra = (
            (self.cxx, "-std=c++17", "CXXFLAGS") if source.suffix == ".cpp" else (self.cc, "-std=gnu11", "CFLAGS")
        )
        includes = [f"-I{include}" for include in self.includes]
        flags = ["-O2", "-DNDEBUG", "-fPIC", "-w", *shlex.split(os.environ.get(extra, ""))]
        _run([*compiler, standard, *flags, *includes, "-c", str(source), "-o", str(target)])
        return target

    def library(self, sources: Iterable[Path], target: Path, build: Path, links: Iterable[str]) -> None:
        """Compiles `sources` into the shared library `target`, linked with the libraries named `links`."""
        objects_folder = build / target.name
        objects_folder.mkdir(parents=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(lambda source: self._compile(source, objects_folder), sources))
        # Libraries lie in <prefix>/lib, extension modules in <prefix>/lib/pythonX.Y/site-packages/<package>.
        rpath = "-Wl,-rpath,$ORIGIN:$ORIGIN/../../.."
        folders = [f"-L{folder}" for folder in self.libraries]
        libraries = [f"-l{name}" for name in links]
        _run([*self.cxx, "-shared", "-s", rpath, *map(str, objects), *folders, *libraries, "-o", str(target)])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join(done.stderr.strip().splitlines()[:_MESSAGE_LINES])
        raise CompilationError(
            f"generated code was refused with exit code {done.returncode}: {shlex.join(command)}\n{tail}\n"
            "If a header or a library is missing, the ROS wheels are not those of interfaces/rosidl_wheel/pins.py."
        )
