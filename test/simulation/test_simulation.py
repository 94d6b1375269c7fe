"""A running world: rates, seeds, drop-outs, the IMU, contacts, pace."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sdf_worlds import scene_of, sensor_named, settled, shape_model, yard

from robot_ai.simulation.imu import ImuReading
from robot_ai.simulation.noise import ImageNoise
from robot_ai.simulation.pacing import Pace
from robot_ai.simulation.placing import place_world
from robot_ai.simulation.ray_renderer import RayRenderer
from robot_ai.simulation.scene import Scene, static_frames
from robot_ai.simulation.sdf_reader import SdfReader
from robot_ai.simulation.simulation import ImageReading, Reading, Settings, Simulation, SweepReading, Truth

TRUTH = Truth(tuple(f"class{index}" for index in range(80)))


def readings(
    scene: Scene, seconds: float, settings: Settings, cameras: bool = True, speed: float = 0.3
) -> list[Reading]:
    simulation = Simulation(scene, settings)
    if cameras:
        simulation.renderer = RayRenderer(scene)
    if simulation.drive is not None:
        simulation.drive.command(speed, speed)
    return list(simulation.advance(seconds, lambda _: TRUTH))


def name_of(reading: Reading) -> str:
    return "odometry" if reading.sensor is None else reading.sensor.sensor.name


@pytest.fixture(scope="module")
def scene() -> Scene:
    return yard()


def test_everything_comes_at_its_rate_on_the_clock(scene: Scene) -> None:
    found = readings(scene, 2.0, Settings())
    assert Counter(map(name_of, found)) == {
        "imu": 200, "odometry": 100, "camera": 20, "lidar": 19, "scan": 19,
    }  # fmt: skip
    times = [reading.time for reading in found]
    assert times == sorted(times)
    for name, period in (("camera", 100), ("lidar", 100), ("imu", 10), ("odometry", 20)):
        stamps = [reading.time for reading in found if name_of(reading) == name]
        assert set(np.diff(stamps)) == {period * 1_000_000}, name


def test_costly_sensors_do_not_come_at_once(scene: Scene) -> None:
    found = readings(scene, 1.0, Settings())
    phases = {name: {r.time % 100_000_000 for r in found if name_of(r) == name} for name in ("camera", "lidar")}
    assert not phases["camera"] & phases["lidar"]


def test_rates_can_be_set_and_sensors_switched_off_by_nobody_wanting_them(scene: Scene) -> None:
    simulation = Simulation(scene, Settings(rates=(("lidar", 4.0),)))
    found = list(simulation.advance(2.0, wanted=lambda mounted: mounted.sensor.name == "lidar"))
    assert Counter(map(name_of, found)) == {"lidar": 7, "odometry": 100}


def summary(found: list[Reading]) -> list[bytes]:
    parts = []
    for reading in found:
        value = reading.value
        if isinstance(value, ImageReading):
            parts.append(value.pixels.tobytes())
        elif isinstance(value, SweepReading) and name_of(reading) == "lidar":  # the 2D lidar has no noise
            parts.append(value.sweep.ranges.tobytes())
        elif isinstance(value, ImuReading):
            parts.append(value.linear_acceleration.tobytes())
    return parts


def test_equal_seeds_give_equal_worlds_and_others_do_not(scene: Scene) -> None:
    first, again, other = (summary(readings(scene, 0.5, Settings(seed=seed))) for seed in (1, 1, 2))
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_a_sensors_noise_does_not_depend_on_who_else_is_listened_to(scene: Scene) -> None:
    def ranges(wanted: str) -> list[bytes]:
        simulation = Simulation(scene, Settings(seed=3))
        simulation.renderer = RayRenderer(scene)
        found = simulation.advance(0.6, wanted=lambda m: wanted in ("all", m.sensor.name))
        return [r.value.sweep.ranges.tobytes() for r in found if name_of(r) == "lidar"]  # type: ignore[union-attr]

    assert ranges("lidar") == ranges("all")


def test_drop_outs_are_as_many_as_asked_for_and_counted(scene: Scene) -> None:
    simulation = Simulation(scene, Settings(image_drop=1.0, sweep_drop=0.5, seed=1))
    simulation.renderer = RayRenderer(scene)
    found = Counter(map(name_of, simulation.advance(10.0)))
    assert found["camera"] == 0
    assert 35 < found["lidar"] < 65
    assert simulation.drops["robot/camera_link/camera"] == 100
    assert simulation.drops["robot/lidar_link/lidar"] + found["lidar"] == 99


def test_an_imu_at_rest_feels_gravity_and_a_turning_one_its_rate(scene: Scene) -> None:
    simulation = Simulation(scene, Settings(noise=0.0))
    assert simulation.drive is not None
    at_rest = [r.value for r in simulation.advance(1.0) if name_of(r) == "imu"][-1]
    assert isinstance(at_rest, ImuReading)
    np.testing.assert_allclose(at_rest.linear_acceleration, [0, 0, 9.8], atol=0.05)
    np.testing.assert_allclose(at_rest.angular_velocity, 0, atol=0.01)
    np.testing.assert_allclose(np.abs(at_rest.orientation), [0, 0, 0, 1], atol=0.01)
    simulation.drive.command(0.0, 1.0)
    turning = [r.value for r in simulation.advance(1.0) if name_of(r) == "imu"][-1]
    assert isinstance(turning, ImuReading)
    assert turning.angular_velocity[2] == pytest.approx(1.0, abs=0.03)
    yaw = 2 * np.arctan2(turning.orientation[2], turning.orientation[3])
    assert yaw == pytest.approx(1.0, abs=0.1)


def test_imu_noise_has_the_files_deviation(scene: Scene) -> None:
    found = readings(scene, 5.0, Settings(noise=1.0), cameras=False)
    quiet = readings(scene, 5.0, Settings(noise=0.0), cameras=False)
    errors = [
        a.value.linear_acceleration - b.value.linear_acceleration  # type: ignore[union-attr]
        for a, b in zip(found, quiet, strict=True)
        if name_of(a) == "imu"
    ]
    assert np.std(errors) == pytest.approx(0.017, rel=0.1)


def test_the_more_slippery_of_two_surfaces_decides(tmp_path: Path) -> None:
    """SDF's ODE takes the smaller friction; MuJoCo the larger one, unless priorities say otherwise."""
    surface = "<surface><friction><ode><mu>{}</mu><mu2>{}</mu2></ode></friction></surface>"

    def block(name: str, x: float, mu: float) -> str:
        return (
            f'<model name="{name}"><pose>{x} 0 0.049 0 0 0</pose><link name="l"><collision name="c"><geometry><box>'
            f"<size>0.1 0.1 0.1</size></box></geometry>{surface.format(mu, mu)}</collision></link></model>"
        )

    ground = shape_model("ground", "0 0 0 0 0 0", "<plane/>").replace(
        "<visual", f'<collision name="c"><geometry><plane/></geometry>{surface.format(0.7, 0.7)}</collision><visual'
    )
    scene = scene_of(ground + block("ice", 0, 0.05) + block("rubber", 1, 1.5), tmp_path)
    data = settled(scene)
    mujoco.mj_step(scene.model, data, 5)
    frictions = {
        scene.model.geom(max(contact.geom1, contact.geom2)).name: contact.friction[0] for contact in data.contact
    }
    assert frictions["collision:ice/l/c"] == pytest.approx(0.05)
    assert frictions["collision:rubber/l/c"] == pytest.approx(0.7)


def test_joints_move_along_their_axes_within_limits(tmp_path: Path) -> None:
    """A slide whose axis, along the turned child's x, points down: it falls to its limit."""
    model = (
        '<model name="m"><link name="base"/><link name="cart"><pose>0 0 2 0 1.5707963267948966 0</pose></link>'
        '<joint name="fix" type="fixed"><parent>world</parent><child>base</child></joint>'
        '<joint name="slide" type="prismatic"><parent>base</parent><child>cart</child><axis><xyz>1 0 0</xyz>'
        "<limit><lower>0</lower><upper>0.5</upper></limit></axis></joint></model>"
    )
    scene = scene_of(model, tmp_path)
    data = settled(scene)
    mujoco.mj_step(scene.model, data, 3000)
    np.testing.assert_allclose(data.xpos[scene.bodies["m", "cart"]], [0, 0, 1.5], atol=0.02)
    np.testing.assert_allclose(data.xpos[scene.bodies["m", "base"]], 0, atol=1e-9)


def test_fixed_frames_are_those_of_the_file(scene: Scene) -> None:
    frames = {frame.child: frame for frame in static_frames(scene.placed_model("robot"), "base_link")}
    assert set(frames) == {"camera_link", "camera_optical_frame", "lidar_link", "imu_link"}
    assert {frame.parent for frame in frames.values()} == {"base_link"}
    np.testing.assert_allclose(frames["lidar_link"].pose.translation, [0, 0, 0.5], atol=1e-9)
    # The optical frame's z looks ahead, its x to the right.
    np.testing.assert_allclose(frames["camera_optical_frame"].pose.rotation @ [0, 0, 1], [1, 0, 0], atol=1e-9)
    np.testing.assert_allclose(frames["camera_optical_frame"].pose.rotation @ [1, 0, 0], [0, -1, 0], atol=1e-9)


def test_ground_truth_comes_with_what_was_measured(scene: Scene) -> None:
    found = readings(scene, 0.4, Settings(), speed=0.0)
    seen = next(r.value.seen for r in found if isinstance(r.value, ImageReading))
    present = next(r.value.present for r in found if isinstance(r.value, SweepReading) and r.value.present)
    assert seen is not None and present is not None
    assert {"box_person", "far_chair"} <= set(seen.names)
    person = present.names.index("box_person")
    mounted = sensor_named(scene, "lidar")
    assert mounted.frame == "lidar_link"
    # 3 m ahead of the robot's start, its middle 0.25 m above the lidar at 0.6 m.
    np.testing.assert_allclose(present.detections.centers[person], [3.0, 0.0, 0.25], atol=0.05)


@settings(max_examples=15)
@given(deviation=st.floats(0.004, 0.1), seed=st.integers(0, 100))
def test_image_noise_has_its_deviation_and_stays_within_bytes(deviation: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = ImageNoise(deviation, rng)
    grey = np.full((120, 160, 3), 128, np.uint8)
    errors = noise.add(grey, rng).astype(float) - 128
    # Rounding to whole numbers adds a twelfth.
    assert errors.std() == pytest.approx(np.hypot(deviation * 255, np.sqrt(1 / 12)), rel=0.05)
    # Six standard errors: a search over seeds finds what three or four let through.
    assert abs(errors.mean()) < 6 * errors.std() / np.sqrt(errors.size)
    assert (noise.add(np.zeros((50, 50, 3), np.uint8), rng) < 128).all(), "black does not turn white"


def test_pace_sleeps_while_ahead_and_gives_up_what_is_lost() -> None:
    pace = Pace(2.0)
    assert pace.delay(0.0, 100.0) == 0
    assert pace.delay(1.0, 100.1) == pytest.approx(0.4)
    assert pace.delay(2.0, 101.05) == 0, "a twentieth of a second late is caught up with at once"
    assert pace.delay(3.0, 101.2) == pytest.approx(0.3)
    assert pace.delay(4.0, 105.0) == 0
    assert pace.lost == pytest.approx(2.75)
    assert pace.delay(5.0, 105.0) == pytest.approx(0.4), "the rest is caught up with, a fifth faster"
    for second in range(6, 20):
        pace.delay(float(second), 105.0 + (second - 5) / 2)
    assert pace.delay(20.0, 112.5) == pytest.approx(0.25), "until nothing but the lost is missing"


def test_no_images_come_in_a_burst_after_a_hiccup() -> None:
    """A step in 10 ms, an image in ten steps, on a clock that only sleeps and one hiccup move."""
    for hiccup in (0.15, 0.25, 1.0):
        pace, now, images = Pace(1.0), 50.0, []
        for step in range(1, 400):
            now += pace.delay(step / 100, now)
            if step == 95:
                now += hiccup
            if step % 10 == 0:
                images.append(now)
        intervals = np.diff(images)
        assert intervals.max() > 0.1 + hiccup - 0.03
        assert np.sort(intervals)[0] > 0.079
        assert images[-1] == pytest.approx(images[0] + 3.8 + max(0.0, hiccup - 0.25), abs=0.011)


def test_pace_runs_free_and_tells_its_factor() -> None:
    pace = Pace(0.0)
    for second in range(20):
        assert pace.delay(second * 3.0, float(second)) == 0
    assert pace.factor == pytest.approx(3.0)


def test_the_worlds_that_come_with_the_package_can_be_read() -> None:
    """Their meshes and all; compiling them is the node test's."""
    worlds = sorted((Path(__file__).resolve().parents[2] / "worlds").glob("*.sdf"))
    assert worlds
    for file in worlds:
        assert place_world(SdfReader().world(file))
