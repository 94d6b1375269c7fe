"""Every launch file as `ros2 launch --show-args` reads it, without starting anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from launch_arguments import arguments_of
from launch_rig import needs_launch

SHARE = needs_launch()

from launch.launch_description_sources import PythonLaunchDescriptionSource

from launch import LaunchContext
from robot_ai.bringup.table import EXECUTABLES, PERCEPTION, ROBOT, SIMULATION

FILES = sorted(path.name for path in (SHARE / "launch").glob("*.launch.py"))
COMMON = {"namespace", "use_sim_time", "log_level", "lifecycle", "respawn", "shared_memory", "own_tf"}
STACKS = {
    "perception.launch.py": PERCEPTION,
    "robot.launch.py": ROBOT,
    "simulation.launch.py": SIMULATION,
    "gazebo.launch.py": ROBOT,
}


def arguments(file: str) -> dict[str, object]:
    source = PythonLaunchDescriptionSource(str(SHARE / "launch" / file))
    declared = source.get_launch_description(LaunchContext()).get_launch_arguments()
    return {argument.name: argument for argument in declared}


def test_all_files_are_known() -> None:
    single = {file.removesuffix(".launch.py") for file in FILES} - {file.removesuffix(".launch.py") for file in STACKS}
    assert single <= set(EXECUTABLES)
    assert set(STACKS) <= set(FILES)


@pytest.mark.parametrize("file", FILES)
def test_every_argument_is_shown_with_its_meaning(file: str) -> None:
    shown = arguments(file)
    assert set(shown) >= COMMON
    assert all(argument.description not in ("", "no description given") for argument in shown.values())
    assert all(argument.default_value is not None for argument in shown.values()), "one that must be given"


@pytest.mark.parametrize("file", FILES)
def test_the_pages_are_held_to_the_arguments_that_there_are(file: str) -> None:
    """test_documented_commands.py runs without launch, by what it reads in the sources."""
    read = arguments_of(SHARE / "launch" / file)
    shown = arguments(file)
    assert sorted(read) == sorted(shown)
    choices = {name: argument.choices for name, argument in shown.items() if argument.choices}
    assert {name: list(read[name].choices) for name in choices} == choices


@pytest.mark.parametrize("file", FILES)
def test_every_parameter_is_an_argument(file: str) -> None:
    places = (
        {f"{member.role}.": member.executable for member in STACKS[file]}
        if file in STACKS
        else {"": EXECUTABLES[file.removesuffix(".launch.py")]}
    )
    shown = arguments(file)
    for prefix, executable in places.items():
        assert set(shown) >= {f"{prefix}{name}" for name in executable.specs if name != "autostart"}
        assert set(shown) >= {f"{prefix}name", f"{prefix}params_file"}
        assert Path(shown[f"{prefix}params_file"].default_value[0].text).is_file()


@pytest.mark.parametrize(("file", "members"), STACKS.items())
def test_every_member_has_a_switch(file: str, members: tuple) -> None:
    shown = arguments(file)
    assert set(shown) >= {member.role for member in members}


def test_the_simulated_robot_has_its_settings_unless_others_are_given() -> None:
    (settings,) = arguments("simulation.launch.py")["params_file"].default_value
    assert Path(settings.text) == SHARE / "config" / "demo.yaml"
    assert Path(settings.text).is_file()
    assert not arguments("robot.launch.py")["params_file"].default_value[0].text
