"""Projections against numbers worked out by hand from the formulas of the ROS and OpenCV documentation."""

import math

import numpy as np
import pytest

from robot_ai.geometry.camera import CameraModel
from robot_ai.geometry.errors import CalibrationError

K = (500.0, 0, 320.0, 0, 400.0, 240.0, 0, 0, 1)


def test_without_distortion():
    model = CameraModel.raw((640, 480), K, (), "plumb_bob")
    pixels, valid = model.project(np.array([[0.2, -0.1, 2.0], [0, 0, 1], [0, 0, -1], [0, 0, 0]]))
    assert valid.tolist() == [True, True, False, False]
    assert pixels[0] == pytest.approx([320 + 500 * 0.1, 240 - 400 * 0.05])
    assert pixels[1] == pytest.approx([320, 240])


def test_plumb_bob_by_hand():
    k1, k2, p1, p2, k3 = -0.3, 0.1, 0.001, -0.002, -0.01
    model = CameraModel.raw((640, 480), K, (k1, k2, p1, p2, k3), "plumb_bob")
    x, y = 0.3, -0.2
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    xd = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    yd = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    pixels, valid = model.project(np.array([[3 * x, 3 * y, 3.0]]))
    assert valid.all()
    assert pixels[0] == pytest.approx([320 + 500 * xd, 240 + 400 * yd], abs=1e-9)


def test_rational_polynomial_by_hand():
    d = (0.1, 0.02, 0.0, 0.0, 0.003, 0.2, 0.01, 0.001)
    model = CameraModel.raw((640, 480), K, d, "rational_polynomial")
    r2 = 0.25
    factor = (1 + d[0] * r2 + d[1] * r2**2 + d[4] * r2**3) / (1 + d[5] * r2 + d[6] * r2**2 + d[7] * r2**3)
    pixels, _ = model.project(np.array([[0.5, 0.0, 1.0]]))
    assert pixels[0] == pytest.approx([320 + 500 * 0.5 * factor, 240])


def test_equidistant_by_hand():
    d = (0.02, -0.01, 0.003, 0.0)
    model = CameraModel.raw((640, 480), K, d, "equidistant")
    theta = math.atan(1.5)
    distorted = theta * (1 + d[0] * theta**2 + d[1] * theta**4 + d[2] * theta**6)
    pixels, valid = model.project(np.array([[0.0, 1.5, 1.0]]))
    assert valid.all()
    assert pixels[0] == pytest.approx([320, 240 + 400 * distorted])


def test_rectified_takes_p_and_the_baseline():
    p = (500.0, 0, 320, -50.0, 0, 400, 240, 0, 0, 0, 1, 0)
    pixels, _ = CameraModel.rectified((640, 480), p).project(np.array([[0.2, 0.1, 2.0]]))
    assert pixels[0] == pytest.approx([(500 * 0.2 + 320 * 2 - 50) / 2, 240 + 400 * 0.05])


def test_a_strong_distortion_does_not_fold_the_side_into_the_image():
    model = CameraModel.raw((640, 480), K, (-0.4, 0.0, 0.0, 0.0), "plumb_bob")
    # r (1 - 0.4 r^2) is greatest at r = 0.913; at r = 1.5 it is 0.15, near the image's middle.
    points = np.array([[1.5, 0, 1], [0.9, 0, 1]])
    assert model.project(points)[1].tolist() == [False, True]


@pytest.mark.parametrize(
    ("d", "model"), [((-0.3, 0.1, 0.001, -0.002, 0.0), "plumb_bob"), ((0.02, -0.01, 0.003, 0.0), "equidistant")]
)
def test_rays_undo_projection(d, model):
    camera = CameraModel.raw((640, 480), K, d, model)
    points = np.array([[0.3, -0.2, 1.0], [-0.1, 0.25, 1.0]])
    assert camera.rays(camera.project(points)[0]) == pytest.approx(points, abs=1e-4)


def test_a_part_of_the_sensor_and_binned_pixels():
    """What camera_info says is in whole pixels of the whole sensor; its image begins at (100, 40), two by four
    pixels to one.
    """
    p = (500.0, 0, 320.0, -50.0, 0, 400.0, 240.0, 0, 0, 0, 1, 0)
    bent = CameraModel.raw((640, 480), K, (-0.2, 0.05, 0, 0), "plumb_bob")
    for whole in (bent, CameraModel.rectified((640, 480), p)):
        part = whole.cut((100, 40, 400, 200), (2, 4))
        assert (part.width, part.height) == (200, 50)
        points = np.array([[0.1, -0.05, 2.0], [-0.3, 0.2, 1.5]])
        assert part.project(points)[0] == pytest.approx((whole.project(points)[0] - [100, 40]) / [2, 4])
        binned = whole.cut((0, 0, 0, 0), (2, 0))
        assert (binned.width, binned.height) == (320, 480)
        assert binned.project(points)[0] == pytest.approx(whole.project(points)[0] / [2, 1])
        assert whole.cut((0, 0, 640, 480), (1, 1)) is whole


def test_inside_counts_whole_pixels():
    model = CameraModel.raw((640, 480), K, (), "plumb_bob")
    pixels = np.array([[-0.5, 0], [-0.6, 0], [639.4, 479.4], [639.5, 0]])
    assert model.inside(pixels).tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("k", "d", "model", "reason"),
    [
        ((0.0,) * 9, (), "plumb_bob", "not calibrated"),
        ((np.nan, *K[1:]), (), "plumb_bob", "not calibrated"),
        (K, (0.1,), "plumb_bob", "1 coefficients"),
        (K, (0.1, 0, 0, 0, 0), "equidistant", "5 coefficients"),
        (K, (np.nan, 0, 0, 0), "plumb_bob", "not finite"),
        (K, (), "thin_prism", "unknown"),
    ],
)
def test_useless_calibrations_are_refused(k, d, model, reason):
    with pytest.raises(CalibrationError, match=reason):
        CameraModel.raw((640, 480), k, d, model)


def test_an_image_of_no_size_is_refused():
    with pytest.raises(CalibrationError, match="0 x 480"):
        CameraModel.raw((0, 480), K, (), "plumb_bob")


def test_an_uncalibrated_p_is_refused():
    with pytest.raises(CalibrationError):
        CameraModel.rectified((640, 480), (0.0,) * 12)
