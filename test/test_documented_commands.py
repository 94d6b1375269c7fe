"""The commands that the pages show: files, arguments, parameters, verbs and options must be those of the code."""

from __future__ import annotations

import contextlib
import io
import itertools
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from documented_commands import Command, commands_of, docstring_of
from launch_arguments import Argument, arguments_of

from robot_ai.bringup.table import EXECUTABLES
from robot_ai.cli.main import VERBS, build_parser
from robot_ai.errors import RobotAIError

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "firmware" / "README.md"]
LAUNCH = {file.name: file for file in sorted((ROOT / "launch").glob("*.launch.py"))}
SCRIPTS = re.findall(r'^ +"(\w+) = robot_ai\.[\w.]+:\w+",$', (ROOT / "setup.py").read_text("utf-8"), re.MULTILINE)
TRANSITIONS = ("configure", "activate", "deactivate", "cleanup", "shutdown")
ANY = ("…", "<node>")


class WrongCommandError(Exception):
    """A command that the code does not know."""


def known(kind: str, name: str, there: Mapping[str, Argument]) -> Argument:
    if name not in there:
        raise WrongCommandError(f"no {kind} is called {name}; there are {', '.join(sorted(there))}")
    return there[name]


def parameters_of(node: str) -> dict[str, Argument]:
    """The parameters of a node by its name, which is its executable's, in whatever namespace."""
    executables = {name: Argument() for name in EXECUTABLES}
    known("node", name := node.rpartition("/")[2], executables)
    return {parameter: Argument(spec) for parameter, spec in EXECUTABLES[name].specs.items()}


def check_launch(words: list[str], command: Command) -> None:
    """`ros2 launch robot_ai FILE name:=value …`"""
    file, *rest = words
    known("launch file", file, dict.fromkeys(LAUNCH, Argument()))
    arguments = arguments_of(LAUNCH[file])
    for name, value in command.assignments:
        known(f"argument of {file}", name, arguments).check(value)
    if others := [word for word in rest if ":=" not in word and word != "--show-args"]:
        raise WrongCommandError(f"{' '.join(others)}: neither an argument nor --show-args")


def check_run(words: list[str], command: Command) -> None:
    """`ros2 run robot_ai EXECUTABLE …`"""
    script, *rest = words
    known("executable of setup.py", script, dict.fromkeys(SCRIPTS, Argument()))
    if script in EXECUTABLES:
        check_node(words, command)
    elif rest:
        check_verb(["model", *rest] if script == "model" else rest, command)


def check_node(words: list[str], command: Command) -> None:
    """`EXECUTABLE --ros-args -p name:=value …`"""
    parameters = parameters_of(words[0])
    for name, value in command.assignments:
        known(f"parameter of {words[0]}", name, parameters).check(value)


def check_param(words: list[str], command: Command) -> None:
    """`ros2 param set NODE PARAMETER VALUE`, `get NODE PARAMETER`; in prose also the action alone."""
    action, *rest = words
    if rest and rest[0] not in ANY:
        argument = known(f"parameter of {rest[0]}", rest[1], parameters_of(rest[0]))
        if action == "set":
            argument.check(rest[2])


def check_lifecycle(words: list[str], command: Command) -> None:
    """`ros2 lifecycle set NODE TRANSITION`"""
    action, node, *rest = words
    if node not in ANY:
        parameters_of(node)
    if action == "set":
        known("transition", rest[0], dict.fromkeys(TRANSITIONS, Argument()))


def check_verb(words: list[str], command: Command) -> None:
    """`robot_ai VERB …`: a line that can be typed as a whole, any other for its verbs and options."""
    known("verb of robot_ai", words[0], dict.fromkeys(VERBS, Argument()))
    if command.whole and not command.is_synopsis:
        told(words)
        return
    verbs = list(itertools.takewhile(lambda word: re.fullmatch("[a-z][a-z0-9-]*", word), words))
    shown = re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", told([*verbs, "--help"]))
    for option in command.options:
        known(f"option of robot_ai {' '.join(verbs)}", option, dict.fromkeys(shown, Argument()))


def told(words: list[str]) -> str:
    """What argparse prints when it reads the words. Raises WrongCommandError where it refuses them."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            build_parser(words).parse_args(words)
        except SystemExit as end:
            if end.code:
                raise WrongCommandError(said.getvalue()) from None
    return said.getvalue()


def check_argument(words: list[str], command: Command) -> None:
    """`name:=value` in prose, where the page says of which file; it must be right in one."""
    ((name, value),) = command.assignments
    places = [arguments[name] for file in LAUNCH.values() if name in (arguments := arguments_of(file))]
    if not places:
        raise WrongCommandError(f"no launch file has an argument {name}")
    if value not in ANY and not any(accepts(argument, value) for argument in places):
        raise WrongCommandError(f"no launch file takes {value} for {name}")


def accepts(argument: Argument, value: str) -> bool:
    try:
        argument.check(value)
    except (RobotAIError, ValueError):
        return False
    return True


CHECKS: dict[tuple[str, ...], Callable[[list[str], Command], None]] = {
    ("ros2", "launch", "robot_ai"): check_launch,
    ("ros2", "run", "robot_ai"): check_run,
    ("ros2", "param"): check_param,
    ("ros2", "lifecycle"): check_lifecycle,
    ("robot_ai",): check_verb,
}


def checker(command: Command) -> Callable[[], None] | None:
    """How a command is checked; None for one that is not ours, and for a mere beginning of one, as prose has it."""
    words = list(command.words)
    if words[0] in EXECUTABLES and "--ros-args" in words:
        return lambda: check_node(words, command)
    if len(words) == 1 and re.fullmatch(r"[\w.]+:=\S+", words[0]):
        return lambda: check_argument(words, command)
    for start, check in CHECKS.items():
        # Not only at the line's begin: `nice robot_ai …`.
        for place in range(len(words) - len(start)):
            if tuple(words[place : place + len(start)]) == start:
                rest = words[place + len(start) :]
                return lambda check=check, rest=rest: check(rest, command)
    return None


def all_commands() -> list[Command]:
    texts = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
    texts |= {f"launch/{name}": docstring_of(file) for name, file in LAUNCH.items()}
    found = [command for page, text in texts.items() for command in commands_of(text, page)]
    return [command for command in found if checker(command) is not None]


COMMANDS = all_commands()


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_is_as_the_code_has_it(command: Command) -> None:
    check = checker(command)
    assert check is not None
    check()


def test_commands_of_every_kind_are_found() -> None:
    for start in CHECKS:
        assert any(command.words[: len(start)] == start for command in COMMANDS), start
    assert any(not command.whole for command in COMMANDS)
    assert any(command.place.startswith("launch/") for command in COMMANDS)
    assert any(command.words == ("lifecycle:=launch",) for command in COMMANDS)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("ros2 launch robot_ai camera.launch.py", "camera.launch.py"),
        ("ros2 launch robot_ai camera_detector.launch.py imag:=/x", "imag"),
        ("ros2 launch robot_ai camera_detector.launch.py max_rate:=fast", "max_rate"),
        ("ros2 launch robot_ai robot.launch.py lidar:=off", "off"),
        ("ros2 launch robot_ai robot.launch.py lidar.metod:=cluster", "lidar.metod"),
        ("ros2 launch robot_ai lidar_detector.launch.py method:=pilars", "pilars"),
        ("ros2 launch robot_ai gazebo.launch.py headless:=yes", "yes"),
        ("ros2 launch robot_ai gazebo.launch.py --dry-run", "--dry-run"),
        ("ros2 run robot_ai detector", "detector"),
        ("ros2 run robot_ai camera_detector --ros-args -p backends:=onnx", "backends"),
        ("ros2 run robot_ai model exprt nanodet_g --to all", "exprt"),
        ("ros2 param set /camera_detector bakend litert", "bakend"),
        ("ros2 param set /camera_detector max_rate fast", "fast"),
        ("ros2 param set /camera backend litert", "camera"),
        ("ros2 lifecycle set /camera_detector start", "start"),
        ("robot_ai scores --live", "scores"),
        ("robot_ai evaluate --live --durations 60", "--durations"),
        ("robot_ai replay DIR [--speed 2]", "--speed"),
        ("nice robot_ai train lidar --stepps 3", "--stepps"),
    ],
)
def test_a_wrong_command_is_refused_with_the_word_that_is_wrong(line: str, word: str) -> None:
    (command,) = commands_of(f"Text before.\n\n```\n{line}   # why\n```\n", "page.md")
    check = checker(command)
    assert check is not None
    with pytest.raises((WrongCommandError, RobotAIError, ValueError), match=re.escape(word)):
        check()


@pytest.mark.parametrize("code", ["lidars:=false", "lidar:=maybe", "robot_ai model exports nanodet_g"])
def test_a_wrong_command_in_prose_is_refused(code: str) -> None:
    (command,) = commands_of(f"Take `{code}` for it.\n", "page.md")
    check = checker(command)
    assert check is not None
    with pytest.raises(WrongCommandError):
        check()


def test_a_line_that_goes_on_is_one_command_with_its_place() -> None:
    commands = list(commands_of("one\n\n```\ncd x && make \\\n  all\nmake b # no\n```\n`make\nc`\n", "page.md"))
    assert [str(command) for command in commands] == [
        "page.md:4: cd x",
        "page.md:4: make all",
        "page.md:6: make b",
        "page.md:8: make c",
    ]
