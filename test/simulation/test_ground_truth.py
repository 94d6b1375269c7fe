"""Boxes of things in images and in space, against what geometry says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sdf_worlds import (
    CAMERA,
    box,
    renderer_of,
    scene_of,
    sensor_model,
    sensor_named,
    settled,
    shape_model,
    working_renderers,
)

from robot_ai.geometry.transforms import RigidTransform
from robot_ai.simulation.ground_truth import Observer, Present, Seen, present_around
from robot_ai.simulation.scene import body_pose
from robot_ai.simulation.sdf_element import from_euler
from robot_ai.simulation.sdf_types import CameraSpec
from robot_ai.simulation.simulation import OPTICAL

LABELS = tuple(f"class{index}" for index in range(10))
KIND = working_renderers()[0]
# 320 pixels over 1.2 rad.
FOCAL = 160 / np.tan(0.6)


def look(things: str, folder: Path, pose: str = "0 0 1 0 0 0", pixels: int = 1, visible: float = 0.0) -> Seen:
    scene = scene_of(things + sensor_model(CAMERA.format(more=""), pose), folder)
    mounted, data = sensor_named(scene, "camera"), settled(scene)
    spec = mounted.sensor.spec
    assert isinstance(spec, CameraSpec)
    observer = Observer(scene, LABELS)
    with renderer_of(scene, KIND) as renderer:
        image = renderer.segment(data, mounted.camera, spec.width, spec.height, observer.numbers)
    optical = body_pose(data, mounted.body) @ mounted.pose @ OPTICAL
    return observer.seen(data, image, spec, optical, min_pixels=pixels, min_visibility=visible)


def test_a_thing_in_full_view(tmp_path: Path) -> None:
    seen = look(shape_model("a", "4 0.5 1.2 0 0 0", box(0.2, 0.6, 1.0), label=3), tmp_path)
    assert (seen.names, seen.detections.names) == (("a",), ["class3"])
    # Its front face is at 3.9 m; pixel edges, so half a pixel more than pixel centers.
    left, right = 160.5 - FOCAL * 0.8 / 3.9, 160.5 - FOCAL * 0.2 / 3.9
    top, bottom = 120.5 - FOCAL * 0.7 / 3.9, 120.5 + FOCAL * 0.3 / 3.9
    np.testing.assert_allclose(seen.detections.xyxy[0], [left, top, right, bottom], atol=1.0)
    assert seen.occlusion[0] == pytest.approx(0, abs=0.02)
    assert seen.truncation[0] == 0
    np.testing.assert_allclose(seen.centers[0], [-0.5, -0.2, 4.0], atol=1e-5)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_occlusion_is_the_share_that_another_thing_hides(share: float, tmp_path: Path) -> None:
    """Two thin plates; the near one covers the left part of the far one, seen from the camera."""
    far = shape_model("far", "4 0 1 0 0 0", box(0.001, 1.0, 1.0), label=1)
    edge = 0.5 - share  # of the cover's right edge on the far plate, left is +y
    near = shape_model("near", f"2 {edge / 2 + 0.5} 1 0 0 0", box(0.001, 1.0, 2.0))
    seen = look(far + near, tmp_path)
    assert seen.occlusion[0] == pytest.approx(share, abs=0.06)
    assert seen.truncation[0] == 0
    width = seen.detections.xyxy[0, 2] - seen.detections.xyxy[0, 0]
    assert width == pytest.approx((1 - share) * FOCAL / 4, abs=1.5)
    assert seen.detections.scores[0] == pytest.approx(1 - seen.occlusion[0], abs=1e-6)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_truncation_is_the_share_beyond_the_images_edge(share: float, tmp_path: Path) -> None:
    edge = np.tan(0.6) * 4  # where the image ends at 4 m
    middle = edge - 0.5 + share
    seen = look(shape_model("a", f"4 {middle} 1 0 0 0", box(0.001, 1.0, 1.0), label=1), tmp_path)
    assert seen.truncation[0] == pytest.approx(share, abs=0.02)
    assert seen.occlusion[0] == pytest.approx(0, abs=0.06)
    assert seen.detections.xyxy[0, 0] == 0


def test_what_is_hidden_behind_or_small_is_left_out(tmp_path: Path) -> None:
    things = (
        shape_model("hidden", "6 0 1 0 0 0", box(0.1, 0.5, 0.5), label=1)
        + shape_model("cover", "3 0 1 0 0 0", box(0.1, 1, 1), label=2)
        + shape_model("behind", "-4 0 1 0 0 0", box(1, 1, 1), label=3)
        + shape_model("tiny", "5 1.5 1 0 0 0", box(0.02, 0.02, 0.02), label=4)
        + shape_model("unknown", "5 -1.5 1 0 0 0", box(0.3, 0.3, 0.3), label=99)
        + shape_model("unlabelled", "5 -2.5 1 0 0 0", box(0.3, 0.3, 0.3))
    )
    assert look(things, tmp_path, pixels=10).names == ("cover",)
    assert set(look(things, tmp_path).names) == {"cover", "tiny"}


def test_a_thing_around_the_camera_does_no_harm(tmp_path: Path) -> None:
    """A table that reaches past the camera: partly beside and behind it."""
    seen = look(shape_model("table", "0.5 0 0.7 0 0 0", box(2.0, 3.0, 0.1), label=1), tmp_path)
    assert seen.names == ("table",)
    assert 0.3 < seen.truncation[0] < 1
    assert np.isfinite(seen.detections.xyxy).all()


def test_least_visibility_counts_both(tmp_path: Path) -> None:
    edge = np.tan(0.6) * 4
    thing = shape_model("a", f"4 {edge} 1 0 0 0", box(0.001, 1.0, 1.0), label=1)
    assert look(thing, tmp_path, visible=0.4).names == ("a",)
    assert look(thing, tmp_path, visible=0.6).names == ()


def around(things: str, folder: Path, frame: RigidTransform, reach: float = 50.0) -> Present:
    scene = scene_of(things, folder)
    return present_around(scene, settled(scene), frame, LABELS, reach=reach)


@pytest.mark.parametrize("yaw", [0.0, 0.6, -2.5])
def test_boxes_in_space_turn_with_their_models(yaw: float, tmp_path: Path) -> None:
    thing = shape_model("a", f"4 2 0.5 0 0 {yaw}", box(1.0, 0.4, 0.9), label=2)
    frame = from_euler((1.0, -1.0, 0.3), (0.0, 0.0, 0.4))
    present = around(thing, tmp_path, frame)
    assert present.names == ("a",)
    boxes = present.detections
    np.testing.assert_allclose(boxes.sizes[0], [1.0, 0.4, 0.9], atol=1e-5)
    assert np.cos(boxes.yaws[0] - (yaw - 0.4)) == pytest.approx(1, abs=1e-6)
    expected = frame.inverse.apply(np.array([[4.0, 2.0, 0.5]]))[0]
    np.testing.assert_allclose(boxes.centers[0], expected, atol=1e-5)


def test_a_lying_things_box_stands_upright(tmp_path: Path) -> None:
    lying = shape_model("a", "3 0 0.2 0 1.5707963 0", "<cylinder><radius>0.2</radius><length>2</length></cylinder>", 1)
    boxes = around(lying, tmp_path, RigidTransform.identity()).detections
    np.testing.assert_allclose(boxes.sizes[0], [2.0, 0.4, 0.4], atol=0.01)
    np.testing.assert_allclose(boxes.centers[0], [3, 0, 0.2], atol=0.01)


def test_what_is_out_of_reach_is_left_out(tmp_path: Path) -> None:
    things = shape_model("a", "4 0 0 0 0 0", box(1, 1, 1), 1) + shape_model("b", "20 0 0 0 0 0", box(1, 1, 1), 1)
    assert around(things, tmp_path, RigidTransform.identity(), reach=10).names == ("a",)
