"""People that walk their waypoints."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from sdf_worlds import scene_of

from robot_ai.geometry.transforms import RigidTransform
from robot_ai.simulation.errors import SdfElementError, SdfValueError
from robot_ai.simulation.placing import PlacedModel, place_world
from robot_ai.simulation.scene import body_pose
from robot_ai.simulation.sdf_element import from_euler
from robot_ai.simulation.sdf_reader import SdfReader
from robot_ai.simulation.simulation import Settings, Simulation
from robot_ai.simulation.walkers import Route, Walker, route_of

PLUGIN = '<plugin filename="f" name="gz::sim::systems::TrajectoryFollower">{}</plugin>'
MODEL = (
    '<model name="walker"><pose>{pose}</pose><link name="link"><pose>0 0 0.9 0 0 0</pose><visual name="v"><geometry>'
    "<box><size>0.3 0.5 1.8</size></box></geometry></visual></link>{plugin}</model>"
)
WAYPOINTS = "<loop>{loop}</loop><waypoints><waypoint>3 0</waypoint><waypoint>3 2</waypoint></waypoints>"


def placed(plugin: str, folder: Path, pose: str = "0 0 0 0 0 0") -> PlacedModel:
    file = folder / "world.sdf"
    model = MODEL.format(pose=pose, plugin=PLUGIN.format(plugin))
    file.write_text(f'<sdf version="1.9"><world name="w">{model}</world></sdf>')
    return place_world(SdfReader().world(file))[0]


def walk(walker: Walker, seconds: float, step: float = 0.01) -> None:
    for _ in range(round(seconds / step)):
        walker.step(step)


@pytest.mark.parametrize("step", [0.001, 0.01, 0.1, 5.0])
def test_it_walks_at_its_speed_and_turns_at_corners(step: float) -> None:
    walker = Walker(RigidTransform.identity(), Route(((3.0, 0.0), (3.0, 2.0)), False), 1.0)
    # 3 m ahead, a quarter turn at 2 rad/s, then 1 m of the next leg.
    total = 3.0 + math.pi / 4 + 1.0
    for _ in range(int(total / step)):
        walker.step(step)
    walker.step(total - int(total / step) * step)
    np.testing.assert_allclose(walker.pose.translation, [3, 1, 0], atol=1e-6)
    np.testing.assert_allclose(walker.pose.rotation @ [1, 0, 0], [0, 1, 0], atol=1e-6)


def test_without_a_loop_it_stays_at_the_last_waypoint() -> None:
    walker = Walker(RigidTransform.identity(), Route(((1.0, 0.0),), False), 1.0)
    walk(walker, 5.0)
    assert walker.pose.translation[0] == pytest.approx(1.0)
    assert walker.velocity == (0.0, 0.0)


def test_with_a_loop_it_comes_back() -> None:
    walker = Walker(RigidTransform.identity(), Route(((2.0, 0.0), (0.0, 0.0)), True), 1.0)
    seen = []
    for _ in range(4):
        walk(walker, 2.0 + math.pi / 2)
        seen.append(round(float(walker.pose.translation[0])))
    assert max(seen) == 2 and min(seen) == 0


def test_one_waypoint_in_a_loop_ends_each_step() -> None:
    walker = Walker(RigidTransform.identity(), Route(((0.0, 0.0),), True), 1.0)
    walk(walker, 1.0)
    assert walker.pose.translation.tolist() == [0, 0, 0]


def test_routes_are_read_in_all_their_forms(tmp_path: Path) -> None:
    turned = "1 2 0 0 0 1.5707963267948966"
    assert route_of(placed(WAYPOINTS.format(loop="true"), tmp_path)) == Route(((3.0, 0.0), (3.0, 2.0)), True)
    line = route_of(placed("<line><direction>0</direction><length>4</length></line>", tmp_path, turned))
    assert line is not None and not line.loop
    np.testing.assert_allclose(line.waypoints, [(1, 2), (1, 6)], atol=1e-9)
    circle = route_of(placed("<loop>true</loop><circle><radius>2</radius></circle>", tmp_path, turned))
    assert circle is not None
    np.testing.assert_allclose(np.hypot(*(np.array(circle.waypoints) - (-1, 2)).T), 2)
    np.testing.assert_allclose(circle.waypoints[0], (1, 2), atol=1e-9)


@pytest.mark.parametrize(
    ("plugin", "error"),
    [
        ("", SdfElementError),
        ("<waypoints/>", SdfValueError),
        ("<waypoints><waypoint>1 two</waypoint></waypoints>", SdfValueError),
        ("<waypoints><waypoint>1 inf</waypoint></waypoints>", SdfValueError),
    ],
)
def test_a_bad_route_is_refused_by_name(plugin: str, error: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(error, match=r"world\.sdf: .*walker.*plugin"):
        route_of(placed(plugin, tmp_path))


def test_a_walker_pushes_what_is_in_its_way(tmp_path: Path) -> None:
    """It is kinematic: a ball on its path is rolled ahead of it, and it does not slow down."""
    ground = (
        '<model name="ground"><static>true</static><link name="l"><collision name="c"><geometry><plane/></geometry>'
        "</collision></link></model>"
    )
    ball = (
        '<model name="ball"><pose>1 0 0.2 0 0 0</pose><link name="l"><inertial><mass>0.5</mass><inertia><ixx>0.01</ixx>'
        '<iyy>0.01</iyy><izz>0.01</izz></inertia></inertial><collision name="c"><geometry><sphere><radius>0.2</radius>'
        "</sphere></geometry></collision></link></model>"
    )
    walker = MODEL.replace(
        "<visual", '<collision name="c"><geometry><box><size>0.3 0.5 1.8</size></box></geometry></collision><visual'
    ).format(pose="0 0 0 0 0 0", plugin=PLUGIN.format(WAYPOINTS.format(loop="false")))
    scene = scene_of(ground + ball + walker, tmp_path)
    simulation = Simulation(scene, Settings(walking_speed=1.0))
    list(simulation.advance(2.0))
    assert body_pose(simulation.data, scene.bodies["walker", "link"]).translation[0] == pytest.approx(2.0, abs=0.02)
    assert body_pose(simulation.data, scene.bodies["ball", "l"]).translation[0] > 2.2


def test_where_it_starts_is_where_it_is_put(tmp_path: Path) -> None:
    scene = scene_of(MODEL.format(pose="1 -2 0 0 0 0.5", plugin=PLUGIN.format(WAYPOINTS.format(loop="true"))), tmp_path)
    simulation = Simulation(scene, Settings())
    pose = body_pose(simulation.data, scene.bodies["walker", "link"])
    expected = from_euler((1, -2, 0.9), (0, 0, 0.5))
    np.testing.assert_allclose(pose.translation, expected.translation, atol=1e-9)
    np.testing.assert_allclose(pose.rotation, expected.rotation, atol=1e-9)
