"""Folders of photos, single photos and videos as sources of images."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from robot_ai.perception.sources import PhotoSource, SourceError, VideoSource, open_source

COLORS = [(0, 0, 250), (0, 250, 0), (250, 0, 0), (250, 250, 250), (10, 10, 10)]


@pytest.fixture
def folder(tmp_path, photos):
    """Photos under names whose order is neither that of writing nor that of the suffixes."""
    for name, photo in zip(
        ["c.png", "a.PNG", "b.png"], [photos["coffee"], photos["chelsea"], photos["china"]], strict=True
    ):
        (tmp_path / name).write_bytes(cv2.imencode(".png", photo)[1].tobytes())
    (tmp_path / "notes.txt").write_text("not a photo", encoding="utf-8")
    return tmp_path


@pytest.fixture
def video(tmp_path):
    """Five plain frames as motion JPEG, which every build of OpenCV can write and read."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    assert writer.isOpened()
    for color in COLORS:
        writer.write(np.full((48, 64, 3), color, np.uint8))
    writer.release()
    return path


def test_folder_is_played_in_the_order_of_names(folder, photos):
    source = open_source(str(folder))
    assert isinstance(source, PhotoSource)
    for _ in range(2):  # a loop begins again
        played = list(source)
        assert [name for name, _ in played] == ["a.PNG", "b.png", "c.png"]
        for (_, image), name in zip(played, ("chelsea", "china", "coffee"), strict=True):
            np.testing.assert_array_equal(image, photos[name])
    source.close()


def test_one_photo_is_a_source(folder, photos):
    ((name, image),) = open_source(str(folder / "c.png"))
    assert name == "c.png"
    np.testing.assert_array_equal(image, photos["coffee"])


def test_grey_photos_come_as_bgr(tmp_path, photos):
    grey = cv2.cvtColor(photos["coffee"], cv2.COLOR_BGR2GRAY)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    ((_, image),) = open_source(str(tmp_path))
    assert image.shape == (*grey.shape, 3)


@pytest.mark.parametrize("content", [b"", b"no photo at all", b"\xff\xd8\xff\xe0\0\x10JFIF"])
def test_unreadable_photo_is_named(folder, content):
    (folder / "bad.jpg").write_bytes(content)
    source = iter(open_source(str(folder)))
    assert [next(source)[0], next(source)[0]] == ["a.PNG", "b.png"]
    with pytest.raises(SourceError, match=r"bad\.jpg is not a photo that OpenCV can read"):
        next(source)


def test_photo_that_vanished_is_named(folder):
    source = open_source(str(folder))
    (folder / "a.PNG").unlink()
    with pytest.raises(SourceError, match=r"a\.PNG cannot be read: No such file"):
        next(iter(source))


def test_folder_named_like_a_photo_is_named(folder):
    (folder / "aa.png").mkdir()
    source = iter(open_source(str(folder)))
    next(source)
    with pytest.raises(SourceError, match=r"aa\.png cannot be read: Is a directory"):
        next(source)


def test_empty_folder_says_what_it_looked_for(tmp_path):
    (tmp_path / "notes.txt").write_text("not a photo", encoding="utf-8")
    with pytest.raises(SourceError, match=r"holds no photo; expected files ending \.bmp, \.jpeg, \.jpg, \.png"):
        open_source(str(tmp_path))


def test_video_is_played_and_looped(video):
    source = open_source(str(video))
    assert isinstance(source, VideoSource)
    for _ in range(3):
        frames = list(source)
        assert [name for name, _ in frames] == [f"{video} frame {index}" for index in range(5)]
        for (_, image), color in zip(frames, COLORS, strict=True):
            assert image.shape == (48, 64, 3)
            assert np.abs(image.astype(int) - color).max() <= 8  # what JPEG changes in a plain color
    source.close()


def test_video_can_be_left_and_begun_again(video):
    source = open_source(str(video))
    frames = iter(source)
    next(frames)
    next(frames)
    name, image = next(iter(source))
    assert name.endswith("frame 0")
    assert np.abs(image.astype(int) - COLORS[0]).max() <= 8


def test_a_closed_video_gives_no_frame(video):
    source = open_source(str(video))
    source.close()
    with pytest.raises(SourceError, match="gives no frame"):
        next(iter(source))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "parameter source is empty"),
        ("/nonexistent/photos", "/nonexistent/photos does not exist"),
        ("97", "cannot open camera 97"),
    ],
)
def test_what_cannot_be_opened_is_named(source, message):
    with pytest.raises(SourceError, match=message):
        open_source(source)


def test_a_file_that_is_no_video_is_named(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    with pytest.raises(SourceError, match=r"cannot open .*clip\.mp4"):
        open_source(str(tmp_path / "clip.mp4"))
