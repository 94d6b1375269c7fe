"""The drive: limits, odometry on arcs, and a robot in the yard that goes where it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sdf_worlds import YARD, yard

from robot_ai.geometry.transforms import RigidTransform
from robot_ai.simulation.diff_drive import DiffDrive, DriveSettings, Limits, drive_settings
from robot_ai.simulation.errors import SdfElementError, SdfValueError
from robot_ai.simulation.placing import place_world
from robot_ai.simulation.scene import body_pose
from robot_ai.simulation.sdf_reader import SdfReader
from robot_ai.simulation.simulation import Settings, Simulation

PLAIN = DriveSettings("m", ("l",), ("r",), 0.4, 0.1, 50.0, "odom", "base_link", Limits(), Limits())


@given(linear=st.floats(-2, 2), angular=st.floats(-3, 3), seconds=st.floats(0.1, 2.0), steps=st.integers(1, 40))
def test_odometry_is_exact_on_arcs_in_any_number_of_steps(
    linear: float, angular: float, seconds: float, steps: int
) -> None:
    drive = DiffDrive(PLAIN)
    left, right = (linear - angular * 0.2) / 0.1, (linear + angular * 0.2) / 0.1
    drive.measure(0.0, 0.0, 0.1)
    for step in range(1, steps + 1):
        time = seconds * step / steps
        found = drive.measure(left * time, right * time, seconds / steps)
    turn = angular * seconds
    if abs(angular) > 1e-6:
        x, y = linear / angular * math.sin(turn), linear / angular * (1 - math.cos(turn))
    else:
        x, y = linear * seconds, 0.0
    assert (found.x, found.y) == pytest.approx((x, y), abs=1e-6)
    assert math.remainder(found.yaw - turn, 2 * math.pi) == pytest.approx(0, abs=1e-6)
    assert (found.linear, found.angular) == pytest.approx((linear, angular), abs=1e-6)


@given(
    wanted=st.floats(-10, 10), current=st.floats(-1, 1), seconds=st.floats(0.001, 0.1),
)  # fmt: skip
def test_limits_hold_for_speed_and_its_change(wanted: float, current: float, seconds: float) -> None:
    given_ = Limits(-1.0, 1.0, -3.0, 1.5).step(wanted, current, seconds)
    assert -1 - 1e-9 <= given_ <= 1 + 1e-9
    assert -3 * seconds - 1e-9 <= given_ - current <= 1.5 * seconds + 1e-9
    if abs(wanted) <= 1 and -3 * seconds <= wanted - current <= 1.5 * seconds:
        assert given_ == wanted


def drive(linear: float, angular: float, seconds: float) -> tuple[Simulation, RigidTransform]:
    """The yard after a command has held for some seconds, and where the robot's base is, seen from its start."""
    scene = yard()
    simulation = Simulation(scene, Settings())
    base = scene.bodies["robot", "base_link"]
    start = body_pose(simulation.data, base)
    assert simulation.drive is not None
    simulation.drive.command(linear, angular)
    for _ in simulation.advance(seconds, wanted=lambda _: False):
        pass
    return simulation, start.inverse @ body_pose(simulation.data, base)


@pytest.mark.parametrize(("linear", "angular"), [(0.3, 0.0), (-0.3, 0.0), (0.0, 0.8), (0.3, 0.5), (0.2, -0.4)])
def test_the_robot_goes_where_it_is_told_and_where_it_says(linear: float, angular: float) -> None:
    seconds = 3.0
    simulation, moved = drive(linear, angular, seconds)
    turn = angular * seconds
    radius = linear / angular if angular else 0.0
    expected = (radius * math.sin(turn), radius * (1 - math.cos(turn))) if angular else (linear * seconds, 0.0)
    # It takes 0.2 s to be up to speed.
    np.testing.assert_allclose(moved.translation[:2], expected, atol=0.06)
    yaw = math.atan2(moved.rotation[1, 0], moved.rotation[0, 0])
    assert math.remainder(yaw - turn, 2 * math.pi) == pytest.approx(0, abs=0.06)
    assert simulation.drive is not None
    odometry = simulation.drive.odometry
    np.testing.assert_allclose(moved.translation[:2], (odometry.x, odometry.y), atol=0.02)
    assert math.remainder(yaw - odometry.yaw, 2 * math.pi) == pytest.approx(0, abs=0.02)
    assert odometry.linear == pytest.approx(linear, abs=0.01)
    assert odometry.angular == pytest.approx(angular, abs=0.02)
    assert moved.translation[2] == pytest.approx(0, abs=0.003)


def test_without_a_command_it_stands_still() -> None:
    _, moved = drive(0.0, 0.0, 3.0)
    np.testing.assert_allclose(moved.translation, 0, atol=0.002)


def test_a_wall_stops_it_while_its_wheels_slip() -> None:
    """The box of a person is 2.8 m ahead; the robot's front 0.2 m."""
    simulation, moved = drive(1.0, 0.0, 5.0)
    assert 2.4 < moved.translation[0] < 2.65
    assert simulation.drive is not None
    assert simulation.drive.odometry.x > 3.5


@pytest.mark.parametrize(
    ("old", "new", "error", "detail"),
    [
        ("<left_joint>left_wheel_joint", "<left_joint>no_joint", SdfValueError, "'no_joint'.*left_wheel_joint"),
        ("<left_joint>left_wheel_joint", "<left_joint>camera_joint", SdfValueError, "no joint that turns"),
        ("<right_joint>right_wheel_joint</right_joint>", "", SdfElementError, "<right_joint>"),
        ("<wheel_radius>0.1", "<wheel_radius>0", SdfValueError, "wheel_radius"),
    ],
)
def test_a_bad_drive_is_refused_by_name(
    old: str, new: str, error: type[Exception], detail: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = (YARD.parent / "models" / "test_robot" / "model.sdf").read_text()
    assert old in text
    file = tmp_path_factory.mktemp("drive") / "world.sdf"
    body = text[text.index("<model") : text.index("</sdf>")].replace(old, new)
    file.write_text(f'<sdf version="1.9"><world name="w">{body}</world></sdf>')
    with pytest.raises(error, match=rf"world\.sdf: .*{detail}"):
        drive_settings(place_world(SdfReader().world(file))[0])
