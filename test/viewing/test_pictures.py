"""Pictures and films: what is drawn is there, what is written can be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from robot_ai.lidar.detections import LABELS, Detections3D
from robot_ai.perception.detections import Detections
from robot_ai.viewing.errors import VideoError
from robot_ai.viewing.pictures import Film, Moment, compose, contact_sheet


def moment(x: float = 2.0, caption: str = "hello") -> Moment:
    found = Detections(
        np.array([[100, 50, 200, 200]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64), ("person",)
    )
    placed = Detections3D(
        np.array([[x, 0, 1]], np.float32), np.ones((1, 3), np.float32), np.zeros(1, np.float32),
        np.ones(1, np.float32), np.zeros(1, np.int64), LABELS,
    )  # fmt: skip
    path = np.column_stack([np.linspace(-3, 0, 20), np.zeros(20)])
    return Moment(np.zeros((240, 320, 3), np.uint8), found, np.zeros((0, 3), np.float32), placed, path, caption)


def test_camera_top_view_and_caption_lie_side_by_side() -> None:
    picture = compose(moment())
    assert picture.shape == (268, 560, 3)
    assert picture[100:110, 95:105].any(), "the box's left side"
    assert picture[240:].any(), "the caption"
    # The path comes from behind, which is below the middle of the top view.
    assert picture[121:239, 438:442].max() > 150


def test_an_alarm_is_red() -> None:
    *_, red = compose(replace(moment(), alarm=True))[-1, -1].tolist()
    assert red > 150 and compose(moment())[-1, -1].max() == 0


def test_what_is_drawn_depends_on_where_things_are() -> None:
    assert (compose(moment(2.0)) != compose(moment(4.0))).any()


def test_a_film_is_read_back(tmp_path: Path) -> None:
    with Film(tmp_path / "drive.mp4", 5.0) as film:
        for step in range(10):
            film.add(compose(moment(step / 2)))
    video = cv2.VideoCapture(str(tmp_path / "drive.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 10
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(5.0)
    _, first = video.read()
    assert abs(first.astype(int) - compose(moment(0.0))).mean() < 12


def test_a_film_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with Film(tmp_path / "none" / "drive.mp4", 5.0) as film, pytest.raises(VideoError, match="is the folder there"):
        film.add(compose(moment()))


def test_a_contact_sheet_takes_pictures_of_any_size() -> None:
    sheet = contact_sheet([np.zeros((100, 200, 3), np.uint8), np.zeros((50, 50, 3), np.uint8)] * 2, 3, 60)
    assert sheet.shape == (120, 120 + 60 + 120, 3)
