"""Raw images: every encoding against OpenCV's own conversion, and every malformed message against its own fault."""

from __future__ import annotations

import array
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from robot_ai.perception.encodings import ENCODINGS, MAX_PIXELS, RawImage, check_size, decode_raw
from robot_ai.perception.errors import (
    ImageError,
    ImageLengthError,
    ImageSizeError,
    ImageStepError,
    UnknownEncodingError,
)

Array = NDArray[Any]

PADDINGS = (0, 1, 2, 3, 64)


def pack(rows: Array, encoding: str, height: int, padding: int = 0, big_endian: bool = False) -> RawImage:
    """A message of rows (R, W) or (R, W, C), `padding` bytes of rubbish after each row."""
    stored = rows.astype(rows.dtype.newbyteorder(">" if big_endian else "<"))
    pixels = np.ascontiguousarray(stored).reshape(len(rows), -1).view(np.uint8)
    padded = np.full((len(rows), pixels.shape[1] + padding), 0xA5, np.uint8)
    padded[:, : pixels.shape[1]] = pixels
    return RawImage(rows.shape[1], height, encoding, padded.shape[1], padded.tobytes(), big_endian)


def grey_of(bgr: Array) -> Array:
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)


def with_alpha(bgr: Array) -> Array:
    return np.dstack([bgr, np.arange(bgr[..., 0].size, dtype=np.uint32).reshape(bgr.shape[:2]).astype(np.uint8)])


def grey16_of(bgr: Array) -> Array:
    """Samples that use all 16 bits, so that swapped bytes cannot go unseen."""
    noise = np.random.default_rng(1).integers(0, 256, bgr.shape[:2], np.uint16)
    return grey_of(bgr).astype(np.uint16) * 256 + noise


def yuv_of(bgr: Array) -> tuple[Array, Array, Array]:
    """Y at every pixel, U and V halved across, by BT.601's own formula (studio range)."""
    blue, green, red = (bgr[..., channel].astype(np.float64) for channel in range(3))
    luma = 16 + (65.738 * red + 129.057 * green + 25.064 * blue) / 256
    u = 128 + (-37.945 * red - 74.494 * green + 112.439 * blue) / 256
    v = 128 + (112.439 * red - 94.154 * green - 18.285 * blue) / 256
    u, v = ((plane[:, ::2] + plane[:, 1::2]) / 2 for plane in (u, v))
    return tuple(np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in (luma, u, v))  # type: ignore[return-value]


def packed_422(bgr: Array, order: str) -> Array:
    """Two bytes per pixel in an order such as UYVY."""
    luma, u, v = yuv_of(bgr)
    macropixel = {"u": u, "v": v}
    lumas = iter((luma[:, ::2], luma[:, 1::2]))
    columns = [next(lumas) if letter == "y" else macropixel[letter] for letter in order]
    return np.stack(columns, axis=-1).reshape(len(bgr), -1, 2)


def semi_planar(bgr: Array, first: str) -> Array:
    """A luma plane and, below it, interleaved chroma rows halved both ways."""
    luma, u, v = yuv_of(bgr)
    u, v = (((plane[::2].astype(int) + plane[1::2]) // 2).astype(np.uint8) for plane in (u, v))
    chroma = np.stack([u, v] if first == "u" else [v, u], axis=-1).reshape(len(bgr) // 2, -1)
    return np.vstack([luma, chroma])


def mosaic(bgr: Array, pattern: str) -> Array:
    """What a sensor behind a color filter sees; ROS names the filter by its upper left 2x2 cell, row by row."""
    raw = np.empty(bgr.shape[:2], np.uint8)
    for place, color in enumerate(pattern):
        y, x = divmod(place, 2)
        raw[y::2, x::2] = bgr[y::2, x::2, "bgr".index(color)]
    return raw


# encoding: how the tests make its samples from a BGR photo, and OpenCV's own way back.
EXACT: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "bgr8": (lambda bgr: bgr, lambda raw: raw),
    "8UC3": (lambda bgr: bgr, lambda raw: raw),
    "rgb8": (lambda bgr: bgr[..., ::-1], lambda raw: cv2.cvtColor(np.ascontiguousarray(raw), cv2.COLOR_RGB2BGR)),
    "bgra8": (with_alpha, lambda raw: cv2.cvtColor(raw, cv2.COLOR_BGRA2BGR)),
    "8UC4": (with_alpha, lambda raw: cv2.cvtColor(raw, cv2.COLOR_BGRA2BGR)),
    "rgba8": (lambda bgr: with_alpha(bgr[..., ::-1]), lambda raw: cv2.cvtColor(raw, cv2.COLOR_RGBA2BGR)),
    "mono8": (grey_of, lambda raw: cv2.cvtColor(raw, cv2.COLOR_GRAY2BGR)),
    "8UC1": (grey_of, lambda raw: cv2.cvtColor(raw, cv2.COLOR_GRAY2BGR)),
    "mono16": (
        grey16_of,
        lambda raw: cv2.cvtColor(cv2.convertScaleAbs(raw, alpha=255 / 65535), cv2.COLOR_GRAY2BGR),
    ),
    "yuv422": (lambda bgr: packed_422(bgr, "uyvy"), lambda raw: cv2.cvtColor(raw, cv2.COLOR_YUV2BGR_UYVY)),
    "uyvy": (lambda bgr: packed_422(bgr, "uyvy"), lambda raw: cv2.cvtColor(raw, cv2.COLOR_YUV2BGR_UYVY)),
    "yuv422_yuy2": (lambda bgr: packed_422(bgr, "yuyv"), lambda raw: cv2.cvtColor(raw, cv2.COLOR_YUV2BGR_YUY2)),
    "yuyv": (lambda bgr: packed_422(bgr, "yuyv"), lambda raw: cv2.cvtColor(raw, cv2.COLOR_YUV2BGR_YUY2)),
    "nv12": (lambda bgr: semi_planar(bgr, "u"), lambda raw: cv2.cvtColor(raw, cv2.COLOR_YUV2BGR_NV12)),
    "nv21": (lambda bgr: semi_planar(bgr, "v"), lambda raw: cv2.cvtColor(raw, cv2.COLOR_YUV2BGR_NV21)),
}
BAYER = {f"bayer_{pattern}8": pattern for pattern in ("rggb", "bggr", "gbrg", "grbg")}


def even(image: Array) -> Array:
    return image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]


def test_every_encoding_is_tested_here():
    assert set(ENCODINGS) == {*EXACT, *BAYER}


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "china"])
@pytest.mark.parametrize("encoding", EXACT)
def test_encoding_is_converted_as_opencv_does(encoding, name, photo):
    bgr = even(photo(name))
    make, opencv = EXACT[encoding]
    raw = make(bgr)
    for padding in PADDINGS:
        decoded = decode_raw(pack(raw, encoding, len(bgr), padding))
        assert decoded.dtype == np.uint8
        np.testing.assert_array_equal(decoded, opencv(raw), err_msg=f"{padding} bytes of padding")


@pytest.mark.parametrize("encoding", [e for e in EXACT if e.startswith(("yuv", "yuyv", "uyvy", "nv"))])
def test_yuv_gives_the_photos_colors_back(encoding, photo):
    # The samples were made by the standard's formula, so swapped U and V or luma in the wrong byte would show.
    bgr = cv2.GaussianBlur(even(photo("coffee")), (0, 0), 2)
    decoded = decode_raw(pack(EXACT[encoding][0](bgr), encoding, len(bgr), 10))
    assert np.abs(decoded.astype(int) - bgr).mean() < 2


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("padding", PADDINGS)
def test_mono16_honors_byte_order(big_endian, padding, photo):
    raw = grey16_of(photo("coffee"))
    decoded = decode_raw(pack(raw, "mono16", len(raw), padding, big_endian))
    expected = raw.astype(np.float64) * 255 / 65535
    assert np.abs(decoded - expected[..., np.newaxis]).max() <= 0.51


def test_byte_order_means_nothing_to_single_bytes(photo):
    bgr = photo("chelsea")
    np.testing.assert_array_equal(decode_raw(pack(bgr, "bgr8", len(bgr), 5, big_endian=True)), bgr)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("color", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (10, 100, 200), (0, 0, 0)])
@pytest.mark.parametrize("encoding", BAYER)
def test_bayer_gives_a_plain_color_back(encoding, color, padding):
    plain = np.full((6, 8, 3), color, np.uint8)
    decoded = decode_raw(pack(mosaic(plain, BAYER[encoding]), encoding, 6, padding))
    np.testing.assert_array_equal(decoded, plain)


@pytest.mark.parametrize("encoding", BAYER)
def test_bayer_gives_a_photos_colors_back(encoding, photo):
    bgr = cv2.GaussianBlur(even(photo("coffee")), (0, 0), 2)
    decoded = decode_raw(pack(mosaic(bgr, BAYER[encoding]), encoding, len(bgr)))
    inner = np.s_[2:-2, 2:-2]
    assert np.abs(decoded[inner].astype(int) - bgr[inner]).mean(axis=(0, 1)).max() < 1


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: array.array("B", data)])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("encoding", ["bgr8", "8UC3"])
def test_bgr_is_a_view_of_the_message(encoding, padding, kind, photo):
    packed = pack(photo("chelsea"), encoding, 300, padding)
    data = kind(packed.data)
    decoded = decode_raw(RawImage(packed.width, packed.height, encoding, packed.step, data))
    assert np.shares_memory(decoded, np.frombuffer(data, np.uint8))
    np.testing.assert_array_equal(decoded, photo("chelsea"))


def test_a_view_works_in_opencv_as_it_is(photo):
    packed = pack(photo("chelsea"), "bgr8", 300, 7)
    np.testing.assert_array_equal(
        cv2.resize(decode_raw(packed), (100, 100)), cv2.resize(np.array(photo("chelsea")), (100, 100))
    )


def raw(**changes: Any) -> RawImage:
    fields = {"width": 4, "height": 4, "encoding": "bgr8", "step": 12, "data": bytes(48)} | changes
    return RawImage(**fields)


MALFORMED = [
    ({"data": bytes(47)}, ImageLengthError, "data holds 47 bytes; 4 rows of step 12 .* make 48"),
    ({"data": bytes(49)}, ImageLengthError, "data holds 49 bytes"),
    ({"data": b""}, ImageLengthError, "data holds 0 bytes"),
    ({"step": 16}, ImageLengthError, "4 rows of step 16 .* make 64"),
    ({"step": 11}, ImageStepError, "step is 11 bytes; a row of 4 bgr8 pixels needs 12"),
    ({"step": 0}, ImageStepError, "step is 0 bytes"),
    ({"encoding": "mono16", "step": 7}, ImageStepError, "a row of 4 mono16 pixels needs 8"),
    ({"encoding": "bgra8"}, ImageStepError, "a row of 4 bgra8 pixels needs 16"),
    ({"encoding": "nv12", "step": 4, "data": bytes(16)}, ImageLengthError, "6 rows of step 4"),
    ({"width": 0}, ImageSizeError, "0x4; expected at least one pixel"),
    ({"height": 0}, ImageSizeError, "4x0; expected at least one pixel"),
    ({"width": 0, "height": 0, "step": 0, "data": b""}, ImageSizeError, "0x0"),
    ({"width": 10_000, "height": 10_000}, ImageSizeError, "100 megapixels; at most 50 .*max_image_pixels"),
    ({"width": 2**32 - 1, "height": 2**32 - 1}, ImageSizeError, "4294967295x4294967295"),
    ({"encoding": ""}, UnknownEncodingError, "unknown encoding ''; known are bgr8"),
    ({"encoding": "BGR8"}, UnknownEncodingError, "unknown encoding 'BGR8'"),
    ({"encoding": "32FC1"}, UnknownEncodingError, "unknown encoding '32FC1'"),
    ({"encoding": "uyvy", "width": 3}, ImageSizeError, "uyvy image of 3x4 is incomplete: its width must be even"),
    ({"encoding": "yuv422_yuy2", "width": 5}, ImageSizeError, "its width must be even"),
    ({"encoding": "nv12", "height": 3}, ImageSizeError, "nv12 image of 4x3 is incomplete: its sides must be even"),
    ({"encoding": "nv21", "width": 3}, ImageSizeError, "its sides must be even"),
    ({"encoding": "bayer_rggb8", "width": 3}, ImageSizeError, "its sides must be even"),
    ({"encoding": "bayer_grbg8", "height": 3}, ImageSizeError, "its sides must be even"),
    ({"encoding": "bayer_rggb8", "width": 2}, ImageSizeError, "2x4 is too small to interpolate its colors"),
]


@pytest.mark.parametrize(("changes", "error", "message"), MALFORMED)
def test_malformed_message_is_refused_by_its_fault(changes, error, message):
    with pytest.raises(ImageError, match=message) as caught:
        decode_raw(raw(**changes))
    assert type(caught.value) is error


def test_faults_have_names_of_their_own():
    errors = [error for _, error, _ in MALFORMED]
    assert len({error.fault for error in errors}) == len(set(errors)) == 4


def test_odd_heights_are_whole_in_4_2_2(photo):
    bgr = even(photo("chelsea"))[:101]
    decoded = decode_raw(pack(packed_422(bgr, "uyvy"), "uyvy", 101, 3))
    assert decoded.shape == (101, bgr.shape[1], 3)


def test_size_limit_is_inclusive_and_settable():
    check_size(5000, 10_000)
    assert MAX_PIXELS == 5000 * 10_000
    with pytest.raises(ImageSizeError):
        check_size(5001, 10_000)
    with pytest.raises(ImageSizeError):
        decode_raw(raw(), max_pixels=15)
    assert decode_raw(raw(), max_pixels=16).shape == (4, 4, 3)


@given(
    width=st.integers(0, 9) | st.integers(0, 2**32 - 1),
    height=st.integers(0, 9) | st.integers(0, 2**32 - 1),
    encoding=st.sampled_from(ENCODINGS) | st.text(max_size=12),
    step=st.integers(0, 40) | st.integers(0, 2**32 - 1),
    data=st.binary(max_size=400),
    big_endian=st.booleans(),
)
def test_random_fields_raise_nothing_but_image_errors(*, width, height, encoding, step, data, big_endian):
    try:
        image = decode_raw(RawImage(width, height, encoding, step, data, big_endian))
    except ImageError as error:
        assert str(error)
    else:
        assert image.shape == (height, width, 3)


@given(
    width=st.integers(1, 9),
    height=st.integers(1, 9),
    encoding=st.sampled_from(ENCODINGS),
    padding=st.integers(0, 5),
    big_endian=st.booleans(),
    data=st.data(),
)
def test_any_well_formed_message_is_decoded(*, width, height, encoding, padding, big_endian, data):
    bytes_per_pixel = {"bgr8": 3, "rgb8": 3, "8UC3": 3, "bgra8": 4, "rgba8": 4, "8UC4": 4, "mono16": 2}
    pixel = bytes_per_pixel.get(encoding, 2 if encoding.startswith(("yuv", "yuyv", "uyvy")) else 1)
    if encoding.startswith("bayer"):
        width, height = width * 2 + 2, height * 2 + 2
    elif encoding in EXACT and encoding.startswith(("yuv", "yuyv", "uyvy", "nv")):
        width, height = width * 2, height * 2
    rows = height * 3 // 2 if encoding.startswith("nv") else height
    step = width * pixel + padding
    content = data.draw(st.binary(min_size=step * rows, max_size=step * rows))
    image = decode_raw(RawImage(width, height, encoding, step, content, big_endian))
    assert image.shape == (height, width, 3)
    assert image.dtype == np.uint8
