"""Image messages to arrays and back."""

from __future__ import annotations

import array

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from robot_ai.perception.encodings import MAX_PIXELS
from robot_ai.perception.errors import (
    CompressedImageError,
    ImageError,
    ImageLengthError,
    ImageSizeError,
    ImageStepError,
    UnknownEncodingError,
)
from robot_ai.ros.images import bgr_to_image, image_to_bgr, to_byte_array

HEADER = Header(stamp=Time(sec=7, nanosec=8), frame_id="camera_optical")


def compressed(data: bytes, kind: str = "jpeg") -> CompressedImage:
    return CompressedImage(header=HEADER, format=kind, data=array.array("B", data))


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "china"])
def test_round_trip_over_the_wire(name, photo):
    image = photo(name)
    message = bgr_to_image(image, HEADER)
    assert (message.height, message.width) == image.shape[:2]
    assert (message.encoding, message.step, message.is_bigendian) == ("bgr8", image.shape[1] * 3, 0)
    assert message.header == HEADER
    arrived = deserialize_message(serialize_message(message), Image)
    np.testing.assert_array_equal(image_to_bgr(arrived, MAX_PIXELS), image)


def test_bgr_is_a_view_of_the_message(photo):
    message = bgr_to_image(photo("coffee"), HEADER)
    assert np.shares_memory(image_to_bgr(message, MAX_PIXELS), np.frombuffer(message.data, np.uint8))


def test_a_cropped_image_is_packed_whole(photo):
    crop = photo("coffee")[50:150, 30:230]
    message = bgr_to_image(crop, HEADER)
    assert len(message.data) == 100 * 200 * 3
    np.testing.assert_array_equal(image_to_bgr(message, MAX_PIXELS), crop)


def test_data_is_the_one_type_that_rclpy_takes_as_a_whole():
    # It walks over every element of anything else: 290 ms for a frame of 1080p.
    assert type(to_byte_array(np.zeros((4, 6), np.uint8))) is array.array
    assert type(bgr_to_image(np.zeros((2, 2, 3), np.uint8), HEADER).data) is array.array


def test_byte_order_and_step_are_read_from_the_message(photo):
    grey = cv2.cvtColor(photo("chelsea"), cv2.COLOR_BGR2GRAY)
    height, width = grey.shape
    rows = np.zeros((height, width * 2 + 6), np.uint8)
    rows[:, : width * 2] = (grey.astype(np.uint16) * 257).astype(">u2").view(np.uint8)
    message = Image(width=width, height=height, encoding="mono16", step=width * 2 + 6, is_bigendian=1)
    message.data = to_byte_array(rows)
    np.testing.assert_array_equal(image_to_bgr(message, MAX_PIXELS), cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_compressed_images_are_decoded(suffix, photo):
    data = cv2.imencode(suffix, np.array(photo("china")))[1]
    arrived = deserialize_message(serialize_message(compressed(data.tobytes())), CompressedImage)
    np.testing.assert_array_equal(image_to_bgr(arrived, MAX_PIXELS), cv2.imdecode(data, cv2.IMREAD_COLOR))


def test_the_bytes_decide_not_the_format_field(photo):
    data = cv2.imencode(".png", np.array(photo("china")))[1].tobytes()
    for kind in ("", "jpeg", "bgr8; png compressed bgr8"):
        np.testing.assert_array_equal(image_to_bgr(compressed(data, kind), MAX_PIXELS), photo("china"))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"width": 5}, ImageStepError),
        ({"step": 13}, ImageLengthError),
        ({"height": 5}, ImageLengthError),
        ({"height": 0}, ImageSizeError),
        ({"width": 2**32 - 1, "height": 2**32 - 1, "step": 2**32 - 1}, ImageSizeError),
        ({"data": array.array("B")}, ImageLengthError),
    ],
)
def test_malformed_messages_are_refused(changes, error):
    fields = {"width": 4, "height": 4, "encoding": "bgr8", "step": 12, "data": array.array("B", bytes(48))}
    assert image_to_bgr(Image(**fields), MAX_PIXELS).shape == (4, 4, 3)
    with pytest.raises(ImageError) as caught:
        image_to_bgr(Image(**(fields | changes)), MAX_PIXELS)
    assert type(caught.value) is error


def test_malformed_compressed_messages_are_refused(photo):
    data = cv2.imencode(".jpg", np.array(photo("china")))[1].tobytes()
    for broken in (b"", b"garbage", data[: len(data) // 2]):
        with pytest.raises(CompressedImageError):
            image_to_bgr(compressed(broken), MAX_PIXELS)


def test_the_limit_holds_for_both_kinds(photo):
    pixels = 640 * 427
    for message in (
        bgr_to_image(photo("china"), HEADER),
        compressed(cv2.imencode(".png", np.array(photo("china")))[1].tobytes()),
    ):
        assert image_to_bgr(message, pixels).shape == (427, 640, 3)
        with pytest.raises(ImageSizeError, match="max_image_pixels"):
            image_to_bgr(message, pixels - 1)


def test_an_unknown_encoding_names_the_known_ones_and_cv_bridge():
    message = Image(width=2, height=2, encoding="32FC1", step=8, data=array.array("B", bytes(16)))
    try:
        import cv_bridge  # noqa: F401
    except (ImportError, AttributeError):
        with pytest.raises(UnknownEncodingError, match=r"unknown encoding '32FC1'; known are bgr8.*cv_bridge"):
            image_to_bgr(message, MAX_PIXELS)
    else:
        with pytest.raises(ImageError, match="32FC1"):
            image_to_bgr(message, MAX_PIXELS)


@pytest.mark.parametrize("pixels", [np.arange(24, dtype=np.uint8).reshape(2, 4, 3), bytes(range(24))])
def test_bytes_are_copied_as_they_lie(pixels):
    data = to_byte_array(pixels)
    assert isinstance(data, array.array)
    assert data.typecode == "B"
    assert data.tobytes() == bytes(range(24))
