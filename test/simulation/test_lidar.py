"""Lidars against scenes whose distances are known by formula."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sdf_worlds import LIDAR, box, scene_of, sensor_model, sensor_named, settled, shape_model

from robot_ai.simulation.lidar import Lidar, RayCaster, Sweep, beam_directions
from robot_ai.simulation.scene import Scene
from robot_ai.simulation.sdf_types import LidarSpec

HEIGHT = 1.0


def lidar_xml(more: str = "", rings: int = 5, near: float = 0.3, far: float = 30.0, columns: int = 121) -> str:
    return LIDAR.format(columns=columns, rings=rings, near=near, far=far, more=more)


def sweep_of(scene: Scene, noise: float = 1.0, drop: float = 0.0, seed: int = 0) -> Sweep:
    lidar = Lidar(scene, sensor_named(scene, "lidar"), RayCaster(scene))
    return lidar.sweep(settled(scene), np.random.default_rng(seed), noise, drop)


def directions(scene: Scene) -> np.ndarray:
    spec = sensor_named(scene, "lidar").sensor.spec
    assert isinstance(spec, LidarSpec)
    return beam_directions(spec)


def test_the_ground_is_as_far_as_the_beams_slope_says(tmp_path: Path) -> None:
    ground = shape_model("ground", "0 0 0 0 0 0", "<plane><size>100 100</size></plane>")
    scene = scene_of(ground + sensor_model(lidar_xml()), tmp_path)
    sweep, beams = sweep_of(scene), directions(scene)
    down = beams[..., 2] < -1e-9
    np.testing.assert_allclose(sweep.ranges[down], -HEIGHT / beams[down][:, 2], rtol=1e-5)
    assert np.isposinf(sweep.ranges[~down]).all()
    assert np.isposinf(sweep.points[~down]).all()
    np.testing.assert_allclose(sweep.points[down][:, 2], -HEIGHT, atol=1e-5)


def test_a_ball_is_hit_where_the_quadratic_says(tmp_path: Path) -> None:
    ball = shape_model("ball", "4 1 1.2 0 0 0", "<sphere><radius>0.8</radius></sphere>", label=3)
    scene = scene_of(ball + sensor_model(lidar_xml(rings=9, columns=301)), tmp_path)
    sweep, beams = sweep_of(scene), directions(scene)
    center = np.array([4, 1, 0.2])
    along = beams @ center
    root = along**2 - center @ center + 0.8**2
    hit = (root > 1e-9) & (along > 0)
    missed = (root < -1e-9) | (along < 0)
    np.testing.assert_allclose(sweep.ranges[hit], (along - np.sqrt(np.maximum(root, 0)))[hit], rtol=1e-5)
    assert np.isposinf(sweep.ranges[missed]).all()
    assert hit.sum() > 20
    assert (sweep.things[hit] == 0).all() and (sweep.things[missed] == -1).all()


@pytest.mark.parametrize("yaw", [0.0, 0.7, -2.0])
def test_a_turned_lidar_sees_a_wall_in_its_own_frame(yaw: float, tmp_path: Path) -> None:
    wall = shape_model("wall", "5.1 0 2 0 0 0", box(0.2, 80, 40))
    scene = scene_of(wall + sensor_model(lidar_xml(far=12.0), pose=f"0 0 1 0 0 {yaw}"), tmp_path)
    sweep, beams = sweep_of(scene), directions(scene)
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    world = beams @ turn.T
    with np.errstate(divide="ignore"):
        expected = np.where(world[..., 0] > 0, 5.0 / world[..., 0], np.inf)
    seen = expected < 11.9
    np.testing.assert_allclose(sweep.ranges[seen], expected[seen], rtol=1e-5)
    assert np.isposinf(sweep.ranges[expected > 12.1]).all(), "farther than max range is nothing"
    np.testing.assert_allclose((sweep.points[seen] @ turn.T)[:, 0], 5.0, atol=1e-4)


def test_the_nearest_thing_wins_and_brings_its_brightness(tmp_path: Path) -> None:
    dark = shape_model("dark", "3 0 1 0 0 0", box(0.2, 1, 1), label=1, color="0.1 0.1 0.1")
    bright = shape_model("bright", "5 0 1 0 0 0", box(0.2, 20, 20), label=2, color="0.9 0.9 0.9")
    scene = scene_of(dark + bright + sensor_model(lidar_xml()), tmp_path)
    sweep = sweep_of(scene)
    ahead, beside = (2, 60), (2, 75)
    assert scene.things[sweep.things[ahead]].name == "dark"
    assert scene.things[sweep.things[beside]].name == "bright"
    assert sweep.ranges[ahead] == pytest.approx(2.9, abs=1e-4)
    assert sweep.intensities[ahead] == pytest.approx(0.1, abs=1e-3)
    assert sweep.intensities[beside] == pytest.approx(0.9, abs=1e-3)


def test_its_own_housing_and_what_is_too_near_are_looked_through(tmp_path: Path) -> None:
    housing = (
        '<visual name="h"><geometry><cylinder><radius>0.1</radius><length>0.2</length></cylinder></geometry></visual>'
    )
    pole = shape_model("pole", "0.2 0 1 0 0 0", box(0.02, 0.02, 2))
    wall = shape_model("wall", "2 0 1 0 0 0", box(0.2, 10, 10))
    scene = scene_of(pole + wall + sensor_model(lidar_xml(), body=housing), tmp_path)
    # Through the pole, 0.19 m ahead, which the near limit of 0.3 m makes invisible.
    assert sweep_of(scene).ranges[2, 60] == pytest.approx(1.9, abs=1e-3)


def test_noise_has_the_deviation_that_the_file_gives(tmp_path: Path) -> None:
    noise = "<noise><type>gaussian</type><mean>0</mean><stddev>0.03</stddev></noise>"
    wall = shape_model("wall", "5 0 1 0 0 0", "<sphere><radius>2</radius></sphere>")
    scene = scene_of(wall + sensor_model(lidar_xml(noise, rings=32, columns=600)), tmp_path)
    clean = sweep_of(scene, noise=0.0).ranges
    hit = np.isfinite(clean)
    for scale in (1.0, 2.0):
        errors = sweep_of(scene, noise=scale).ranges[hit] - clean[hit]
        assert errors.std() == pytest.approx(0.03 * scale, rel=0.1)
        assert abs(errors.mean()) < 0.004 * scale
    assert (sweep_of(scene, seed=4).ranges[hit] == sweep_of(scene, seed=4).ranges[hit]).all()
    assert (sweep_of(scene, seed=4).ranges[hit] != sweep_of(scene, seed=5).ranges[hit]).any()


def test_lost_beams_are_nan_and_as_many_as_asked_for(tmp_path: Path) -> None:
    around = shape_model("ball", "0 0 1 0 0 0", "<sphere><radius>9</radius></sphere>")
    scene = scene_of(around + sensor_model(lidar_xml(rings=32, columns=600)), tmp_path)
    sweep = sweep_of(scene, drop=0.25)
    lost = np.isnan(sweep.ranges)
    assert lost.mean() == pytest.approx(0.25, abs=0.02)
    assert np.isnan(sweep.points[lost]).all()
    assert np.isfinite(sweep.points[~lost]).all()
    assert (sweep.intensities[lost] == 0).all()


def test_a_mesh_is_hit_where_its_triangles_are(tmp_path: Path) -> None:
    """A pyramid's slope, x from 4 at the bottom to 5 at the top, scaled by 2 in width."""
    (tmp_path / "ramp.obj").write_text(
        "v 4 -1 0\nv 4 1 0\nv 5 1 2\nv 5 -1 2\nv 6 -1 0\nv 6 1 0\nf 1 3 2\nf 1 4 3\nf 5 6 3\nf 5 3 4\n"
    )
    mesh = shape_model("ramp", "0 0 0 0 0 0", "<mesh><uri>ramp.obj</uri><scale>1 2 1</scale></mesh>")
    scene = scene_of(mesh + sensor_model(lidar_xml(columns=241)), tmp_path)
    sweep = sweep_of(scene)
    hit = np.isfinite(sweep.ranges)
    x, y, z = sweep.points[hit].T
    np.testing.assert_allclose(x, 4 + (z + HEIGHT) / 2, atol=1e-4)
    assert np.abs(y).max() == pytest.approx(2.0, abs=0.13)
