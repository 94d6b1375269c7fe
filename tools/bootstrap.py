"""Builds .venv and runs commands in it, with nothing but Python's standard library.

python3 tools/bootstrap.py ensure ros demo pytorch    installs what these extras of setup.py need, if it is missing
python3 tools/bootstrap.py run -- robot_ai demo       runs a command in the environment of .venv
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import environment
import preflight
import stamp
from progress import Progress, StepFailedError

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOG = ROOT / "out" / "setup.log"
# The official messages of model servers, against which ours are tested. Their packages ask for a second TensorFlow and
# for an older ml-dtypes than TensorFlow's, of which the messages need neither.
WITHOUT_DEPENDENCIES = {"test": ("tensorflow-serving-api==2.21.0", "tritonclient==2.73.0")}
EXTRAS = (
    "ros", "demo", "test", "pytorch", "tensorflow", "litert", "onnx", "openvino", "serving", "convert", "benchmark",
    "simulation", "view", "bags",
)  # fmt: skip


class NotBuiltError(Exception):
    """A command was to run in an environment that is not there, or not whole."""


class Plan:
    """What has to be done to an environment so that it holds the wanted extras."""

    def __init__(self, wanted: Iterable[str], current: stamp.Stamp | None, python: str | None) -> None:
        if current is not None and python not in (None, current.python):
            current = None
        self.fresh = current is None
        self.target = stamp.Stamp(
            venv=str(VENV),
            python=current.python if current else python or _this_python(),
            setup=stamp.setup_digest(ROOT),
            # What is installed stays installed: alternating `make demo` and `make test` must not take turns.
            extras=sorted({*wanted, *(current.extras if current else [])}),
        )
        self.new_pip = self.fresh and preflight.has_old_pip()
        self.package = current is None or (current.setup, current.extras) != (self.target.setup, self.target.extras)
        self.bare = [
            name for extra in self.target.extras for name in WITHOUT_DEPENDENCIES.get(extra, ()) if self.package
        ]
        if "ros" in self.target.extras:
            self.target.interfaces = stamp.interface_digests(ROOT)
        built = current.interfaces if current else {}
        self.interfaces = [name for name, digest in self.target.interfaces.items() if built.get(name) != digest]

    @property
    def steps(self) -> int:
        """How many steps there are; none when the environment is as it should be."""
        work = [self.fresh, self.new_pip, self.package, self.bare, *self.interfaces]
        return sum(map(bool, work)) + 1 if any(work) else 0


def _this_python() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _check(plan: Plan) -> None:
    if plan.fresh:
        preflight.check_machine()
        preflight.check_venv_module()
    if plan.interfaces:
        preflight.check_build_tools(ROOT / "interfaces")
    if plan.package:
        preflight.check_disk(ROOT, plan.target.extras)
    distribution = environment.sourced_distribution(os.environ)
    if distribution:
        print(f"ROS {distribution} is sourced in this shell; .venv has a ROS of its own and ignores it.")


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    """Keeps two set-ups of one checkout apart; the kernel drops the lock when its holder dies."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another set-up of this checkout is running; waiting for it.", flush=True)
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _install(plan: Plan) -> None:
    environ, progress = environment.build(VENV, os.environ), Progress(plan.steps, LOG)
    python = str(VENV / "bin" / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    if plan.fresh:
        # An environment whose making was cut short may hold packages that pip takes for whole. Downloads are cached.
        shutil.rmtree(VENV, ignore_errors=True)
        progress.step("Creating .venv", [sys.executable, "-m", "venv", str(VENV)], environment.clean(os.environ))
    stamp.remove(VENV)
    if plan.new_pip:
        progress.step("Updating pip", [*pip, "pip>=23.1,<26"], environ)
    if plan.package:
        extras = ",".join(plan.target.extras)
        index = preflight.torch_index() if "pytorch" in plan.target.extras else []
        progress.step(f"Installing robot_ai[{extras}]", [*pip, *index, "-e", f"{ROOT}[{extras}]"], environ)
    if plan.bare:
        progress.step("Installing the model servers' messages", [*pip, "--no-deps", *plan.bare], environ)
    for name in plan.interfaces:
        # Against the very wheels just installed, which spares a second copy of them in a build environment.
        options = ["--no-build-isolation", "--no-deps", "--force-reinstall"]
        progress.step(f"Compiling {name}", [*pip, *options, str(ROOT / "interfaces" / name)], environ)
    modules = ["robot_ai", *(["rclpy"] if "ros" in plan.target.extras else [])]
    imports = ", ".join([*modules, *(f"{name}" for name in plan.target.interfaces)])
    progress.step("Checking that it imports", [python, "-c", f"import {imports}"], environment.run(VENV, os.environ))
    stamp.write(VENV, plan.target)


def ensure(extras: list[str], python: str | None) -> None:
    """Brings .venv up to the wanted extras and the present sources; returns at once when it is."""
    if not Plan(extras, stamp.read(VENV), python).steps:
        return
    with _lock():
        # Read again: whoever held the lock may have done the work.
        plan = Plan(extras, stamp.read(VENV), python)
        if not plan.steps:
            return
        if plan.fresh:
            preflight.check_python()
        _check(plan)
        print(f"Setting up .venv (Python {plan.target.python}); details in {LOG.relative_to(ROOT)}", flush=True)
        _install(plan)


def run(command: list[str]) -> None:
    """Replaces this process by `command` in the environment of .venv, so that signals reach it directly."""
    if stamp.read(VENV) is None:
        raise NotBuiltError(f"{VENV} is not there or not whole: build it first with `make demo` or `make test`")
    environ = environment.run(VENV, os.environ)
    os.execvpe(command[0], command, environ)


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bootstrap.py", description=(__doc__ or "").partition("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    ensuring = verbs.add_parser("ensure", help="install what is missing in .venv")
    ensuring.add_argument("extras", nargs="*", choices=[*EXTRAS, []], help=f"of {', '.join(EXTRAS)}")
    ensuring.add_argument(
        "--this-python", action="store_true", help="rebuild .venv when it was made by another version of Python"
    )
    running = verbs.add_parser("run", help="run a command in .venv")
    running.add_argument("command", nargs=argparse.REMAINDER, help="the command and its arguments, after --")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs one verb; returns the exit code."""
    arguments = _arguments(sys.argv[1:] if argv is None else argv)
    try:
        if arguments.verb == "ensure":
            ensure(arguments.extras, _this_python() if arguments.this_python else None)
        else:
            run([part for index, part in enumerate(arguments.command) if index or part != "--"])
    except KeyboardInterrupt:
        print("\nInterrupted. The same command starts over; what was downloaded is kept by pip.", file=sys.stderr)
        return 130
    except (preflight.PreflightError, StepFailedError, NotBuiltError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
