"""Ground on floors, slopes and ramps."""

import numpy as np
import pytest

from robot_ai.lidar.ground import GroundSettings, height_above_ground
from robot_ai.training.lidar_scenes import BEAMS, Ground, Scene, cast
from robot_ai.training.lidar_shapes import Shape, Thing

SETTINGS = GroundSettings()
POST = Thing("obstacle", (Shape("box", (0, 0, 0.75), (0.2, 0.2, 0.75)),))
SPOTS = tuple(
    (distance * np.cos(a), distance * np.sin(a), 0.0) for distance, a in ((6, 0), (10, 2), (15, 4), (22, 5.5))
)


def look(planes, rows=64, seed=0):
    scene = Scene(Ground(np.array(planes)), (POST,) * len(SPOTS), SPOTS)
    scan = cast(scene, BEAMS[rows], np.random.default_rng(seed))
    seen = scan.things > -2
    points, owners = scan.points[seen], scan.things[seen]
    true = points[:, 2] - (points @ np.eye(3, 2) @ scene.ground.planes[:, :2].T + scene.ground.planes[:, 2]).max(axis=1)
    return points, owners, true


@pytest.mark.parametrize("rows", [16, 32, 64, 128])
@pytest.mark.parametrize(
    "planes",
    [
        [[0, 0, -1.8]],
        [[0.1, -0.05, -1.8]],
        [[0.2, 0.0, -0.6]],
        [[0, 0, -1.8], [0.25, 0, -1.8 - 0.25 * 8]],
        [[0, 0, -1.8], [0.2, 0.1, -4.0]],
    ],
    ids=["level", "tilted", "steep", "ramp", "oblique ramp"],
)
def test_heights_are_measured_from_the_ground_below(planes, rows):
    points, owners, true = look(planes, rows)
    above = height_above_ground(points, SETTINGS)
    near = np.hypot(points[:, 0], points[:, 1]) < 30
    floor, posts = near & (owners == -1), near & (owners >= 0)
    assert (above[floor] < 0.2).mean() > 0.97
    high = posts & (true > 0.5)
    assert (above[high] > 0.25).mean() > 0.97
    # The rings of 16 beams are so far apart that where a ramp begins is anybody's guess.
    assert np.median(np.abs(above[high] - true[high])) < (0.3 if rows == 16 else 0.12)


def test_turning_the_robot_changes_nothing_that_matters():
    points, _, true = look([[0, 0, -1.8], [0.25, 0, -3.8]])
    clear = (np.abs(true - 0.2) > 0.15) & (np.hypot(points[:, 0], points[:, 1]) < 30)
    for angle in (0.3, 1.7, 3.0):
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]], np.float32)
        above = height_above_ground(points @ turn.T, SETTINGS)
        assert ((above > 0.2) == (true > 0.2))[clear].mean() > 0.97


def test_the_order_of_points_changes_nothing():
    points, _, _ = look([[0.1, 0, -1.8]])
    order = np.random.default_rng(1).permutation(len(points))
    assert height_above_ground(points[order], SETTINGS) == pytest.approx(
        height_above_ground(points, SETTINGS)[order], abs=1e-4
    )


def test_reflections_below_the_floor_do_not_pull_it_down():
    points, owners, _ = look([[0, 0, -1.8]])
    ghosts = points[owners == -1][::400] * [1, 1, 2.2]
    above = height_above_ground(np.concatenate([points, ghosts]).astype(np.float32), SETTINGS)[: len(points)]
    near = np.hypot(points[:, 0], points[:, 1]) < 25
    assert (above[near & (owners == -1)] < 0.2).mean() > 0.95


def test_no_ground_in_sight():
    assert height_above_ground(np.empty((0, 3), np.float32), SETTINGS) is None
    wall = np.column_stack([np.full(900, 3.0), *np.mgrid[-1:1:30j, -1:1:30j].reshape(2, -1)]).astype(np.float32)
    assert height_above_ground(wall, SETTINGS) is None
