"""Pictures have what they are for where it belongs."""

import numpy as np

from robot_ai.geometry.camera import CameraModel
from robot_ai.geometry.transforms import RigidTransform
from robot_ai.lidar.detections import Detections3D
from robot_ai.lidar.drawing import draw_projected, draw_top_view
from robot_ai.perception.drawing import label_color


def a_box(x, y):
    return Detections3D(
        np.array([[x, y, 0]], np.float32), np.array([[4, 2, 2]], np.float32), np.zeros(1, np.float32),
        np.ones(1, np.float32), np.zeros(1, np.int64),
    )  # fmt: skip


def colored(image):
    return np.argwhere((np.abs(image.astype(int) - label_color("person")) < 12).all(axis=-1))


def test_top_view_has_x_up_and_y_left():
    image = draw_top_view(np.array([[0.0, 0, 0]]), a_box(10, 5), reach=20, side=400)
    rows, columns = colored(image).T
    # 10 pixels to the meter: the box spans rows 80 to 120 and columns 140 to 160; its label stands to the right below.
    assert (rows.min(), columns.min()) == (80, 140) or abs(rows.min() - 80) + abs(columns.min() - 140) <= 4
    assert (image[200, 200] > 60).all()


def test_what_lies_outside_is_no_error():
    assert draw_top_view(np.empty((0, 3)), a_box(1000, 0)).shape == (1000, 1000, 3)
    assert draw_top_view(np.full((3, 3), 99.0), Detections3D.empty()).shape == (1000, 1000, 3)


def test_boxes_ahead_are_drawn_into_the_image_and_the_original_stays():
    camera = CameraModel.raw((640, 480), (500.0, 0, 320, 0, 500, 240, 0, 0, 1), (), "plumb_bob")
    ahead = RigidTransform(np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]]), np.zeros(3))
    blank = np.zeros((480, 640, 3), np.uint8)
    drawn = draw_projected(blank, a_box(12, 0), camera, ahead)
    assert not blank.any()
    # The near face, 2 m wide at 10 m, is 100 pixels wide around the middle.
    rows, columns = colored(drawn).T
    assert abs(columns.min() - 270) <= 2
    assert abs(rows.max() - 290) <= 2
    assert not draw_projected(blank, a_box(-12, 0), camera, ahead).any()
