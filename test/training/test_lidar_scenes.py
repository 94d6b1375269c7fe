"""Simulated scans against distances worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from robot_ai.training.lidar_scenes import BEAMS, Beams, Ground, Scene, cast, random_scene
from robot_ai.training.lidar_shapes import Shape, Thing
from robot_ai.training.lidar_vehicles import any_vehicle

EXACT = Beams(np.radians([0.0, -10.0]), columns=360, noise=0.0, dropout=0.0)


def one(shape, ground=1.0, at=(0.0, 0.0, 0.0)):
    return cast(Scene(Ground.level(ground), (Thing("obstacle", (shape,)),), (at,)), EXACT, np.random.default_rng(0))


def ranges_ahead(scan):
    """Of both rows, in the column that looks along x."""
    return np.linalg.norm(scan.points.reshape(2, 360, 3)[:, 180], axis=1)


@pytest.mark.parametrize(
    ("shape", "distance"),
    [
        (Shape("box", (10, 0, 1), (2, 1, 1)), 8.0),
        (Shape("box", (10, 0, 1), (1, 3, 1), np.pi / 2), 7.0),
        (Shape("cylinder", (10, 0, 1), (2, 1, 1)), 8.0),
        (Shape("ellipsoid", (10, 0, 1), (2, 1, 1)), 8.0),
        (Shape("ellipsoid", (10, 0, 1), (2, 1, 1), np.pi / 2), 9.0),
        # Without its near quarter; without what is above the diagonal that rises away from the lidar.
        (Shape("box", (10, 0, 1), (2, 1, 1), cuts=((-1, 0, 0, 0.5),)), 9.0),
        (Shape("box", (10, 0, 1), (2, 1, 1), cuts=((-1, 0, 1, 0),)), 10.0),
        # Turned about, its near half is the one that is cut.
        (Shape("box", (10, 0, 1), (2, 1, 1), np.pi, cuts=((1, 0, 0, 0),)), 10.0),
    ],
)
def test_a_ray_ends_at_the_nearest_side(shape, distance):
    scan = one(shape)
    assert ranges_ahead(scan)[0] == pytest.approx(distance, abs=1e-4)
    assert scan.things.reshape(2, 360)[0, 180] == 0
    # The lower beam meets the floor first.
    assert ranges_ahead(scan)[1] == pytest.approx(1 / np.sin(np.radians(10)), abs=1e-4)
    # Nobody stands behind the lidar.
    assert scan.things.reshape(2, 360)[0, 0] == -2


def test_a_cut_along_the_ray_leaves_all_or_nothing():
    whole, nothing = (Shape("box", (10, 0, 1), (2, 1, 1), cuts=((0, 0, 1, limit),)) for limit in (0.1, -0.1))
    assert ranges_ahead(one(whole))[0] == pytest.approx(8.0, abs=1e-4)
    assert one(nothing).things.reshape(2, 360)[0, 180] == -2


def test_a_part_of_the_turn_is_seen():
    quarter = replace(EXACT, view=(np.pi / 2, np.pi / 2))
    scan = cast(Scene(Ground.level(1.0), (), ()), quarter, np.random.default_rng(0))
    headings = np.degrees(np.arctan2(scan.measured[:, 1], scan.measured[:, 0]))
    assert (headings.min(), headings.max()) == pytest.approx((45, 135), abs=1.01)
    assert len(headings) == pytest.approx(90, abs=1)


def test_what_stands_in_front_hides_what_is_behind():
    near, far = Shape("box", (5, 0, 1), (0.5, 3, 1)), Shape("box", (9, 0, 1), (0.5, 3, 1))
    things = (Thing("obstacle", (far,)), Thing("obstacle", (near,)))
    scan = cast(Scene(Ground.level(1.0), things, ((0, 0, 0),) * 2), EXACT, np.random.default_rng(0))
    assert set(scan.things) == {-2, -1, 1}


def test_a_ramp_rises_out_of_the_floor():
    ground = Ground(np.array([[0, 0, -1.0], [0.5, 0, -6.0]]))
    assert (ground.height(9.9, 0), ground.height(14, 0)) == pytest.approx((-1, 1))
    scan = cast(Scene(ground, (), ()), EXACT, np.random.default_rng(0))
    assert ranges_ahead(scan)[0] == pytest.approx(12.0, abs=1e-4)


def test_noise_and_dropouts_are_as_asked_and_repeatable():
    beams = Beams(np.radians([-10.0, -20.0]), columns=4000, noise=0.05, dropout=0.2)
    scans = [cast(Scene(Ground.level(1.0), (), ()), beams, np.random.default_rng(5)) for _ in range(2)]
    assert np.array_equal(scans[0].points, scans[1].points, equal_nan=True)
    assert (scans[0].things == -2).mean() == pytest.approx(0.2, abs=0.03)
    ranges = np.linalg.norm(scans[0].points[:4000], axis=1)
    assert np.nanstd(ranges) == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize("rows", BEAMS)
def test_hits_lie_in_the_true_boxes(rows):
    rng = np.random.default_rng(rows)
    scene = random_scene(rng)
    scan = cast(scene, BEAMS[rows], rng)
    labeled = [i for i, thing in enumerate(scene.things) if thing.label]
    assert len(labeled) == len(scene.truth)
    hits = 0
    for box, index in enumerate(labeled):
        points = scan.points[scan.things == index]
        hits += len(points)
        if len(points):
            inside = scene.truth.take(np.array([box])).contains(points, margin=0.1)
            assert inside.mean() > 0.99
    assert hits > 100


def test_things_stand_apart():
    scene = random_scene(np.random.default_rng(0), counts={"person": 20})
    centers = scene.truth.centers[:, :2]
    gaps = np.linalg.norm(centers[:, None] - centers[None], axis=-1) + np.eye(len(centers)) * 99
    assert gaps.min() > 1.0


def test_vehicles_fill_their_boxes_but_for_the_corners():
    """Bumpers are bent: seen from above, the corners of a box stay empty."""
    rng = np.random.default_rng(8)
    beams = Beams(np.radians(np.linspace(2, -30, 64)), columns=720, noise=0.0, dropout=0.0)
    lengths = []
    for _ in range(40):
        thing = any_vehicle(rng)
        scene = Scene(Ground.level(1.8), (thing,), ((9.0, 0.0, rng.uniform(-np.pi, np.pi)),))
        scan = cast(scene, beams, rng)
        points, box = scan.points[scan.things == 0], scene.truth
        assert box.contains(points, margin=0.01).all()
        lengths.append(float(box.sizes[0, 0]))
        cos, sin = np.cos(box.yaws[0]), np.sin(box.yaws[0])
        own = (points[:, :2] - box.centers[0, :2]) @ np.array([[cos, -sin], [sin, cos]])
        front = box.sizes[0, :2] / 2 - np.abs(own)
        assert not ((front < 0.05).all(axis=1) & (own[:, 0] > 0)).any()
    assert min(lengths) < 3.5
    assert max(lengths) > 5.5
