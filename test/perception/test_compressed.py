"""JPEG and PNG: whole files as OpenCV reads them; truncated, corrupt and monstrous ones refused by name."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_ai.perception.encodings import decode_compressed
from robot_ai.perception.errors import CompressedImageError, ImageError, ImageSizeError

JPEG_KINDS = {
    "baseline": [],
    "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    "restart markers": [cv2.IMWRITE_JPEG_RST_INTERVAL, 1],
    "optimized": [cv2.IMWRITE_JPEG_OPTIMIZE, 1],
    "worst quality": [cv2.IMWRITE_JPEG_QUALITY, 1],
}


def jpeg(image, options=()) -> bytes:
    return cv2.imencode(".jpg", image, list(options))[1].tobytes()


def png(image) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def with_exif(data: bytes, thumbnail: bytes = b"", orientation: int = 1) -> bytes:
    """Puts an EXIF segment with an orientation and a JPEG thumbnail behind the start marker, as cameras do."""
    entry = struct.pack("<HHII", 0x0112, 3, 1, orientation)
    tiff = b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0) + thumbnail
    content = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + data[2:]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def grey_png(width: int, height: int, bits: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def bomb() -> bytes:
    """100 megapixels of black in a few kilobytes."""
    return grey_png(10_000, 10_000, 1, bytes(10_000 * (1 + 1250)))


@pytest.fixture(scope="module")
def small(photo):
    return cv2.resize(np.array(photo("astronaut")), (40, 30), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("kind", JPEG_KINDS)
@pytest.mark.parametrize("name", ["astronaut", "chelsea", "flower"])
def test_whole_jpeg_is_decoded_as_opencv_does(name, kind, photo):
    data = jpeg(photo(name), JPEG_KINDS[kind])
    np.testing.assert_array_equal(
        decode_compressed(data), cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    )


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "flower"])
def test_png_comes_back_exactly(name, photo):
    np.testing.assert_array_equal(decode_compressed(png(photo(name))), photo(name))


def test_grey_alpha_and_16_bit_become_bgr(photo):
    bgr = photo("chelsea")
    grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    as_bgr = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    np.testing.assert_array_equal(decode_compressed(png(grey)), as_bgr)
    np.testing.assert_array_equal(decode_compressed(png(grey.astype(np.uint16) * 257)), as_bgr)
    np.testing.assert_array_equal(decode_compressed(png(np.dstack([bgr, grey]))), bgr)
    assert np.abs(decode_compressed(jpeg(grey)).astype(int) - as_bgr).mean() < 2


def test_exif_rotation_is_not_applied(small):
    data = with_exif(jpeg(small), orientation=6)
    # OpenCV would turn it: the segment is read as the EXIF it is.
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (40, 30, 3)
    np.testing.assert_array_equal(decode_compressed(data), decode_compressed(jpeg(small)))


def test_thumbnail_does_not_pass_for_the_image(small):
    thumbnail = jpeg(cv2.resize(small, (16, 12)))
    data = with_exif(jpeg(small), thumbnail)
    assert decode_compressed(data).shape == small.shape
    with pytest.raises(CompressedImageError, match=f"truncated after {len(data) - 2} bytes"):
        decode_compressed(data[:-2])


@pytest.mark.parametrize("tail", [b"\0", b"\0" * 4096, b"\xff" * 16, b"camera trailer"])
def test_padding_after_the_end_is_accepted(tail, small):
    # Drivers hand over buffers of fixed size; what follows the end marker is no fault.
    np.testing.assert_array_equal(decode_compressed(jpeg(small) + tail), decode_compressed(jpeg(small)))
    np.testing.assert_array_equal(decode_compressed(png(small) + tail), small)


def test_fill_bytes_before_markers_are_accepted(small):
    data = jpeg(small)
    filled = data[:2] + b"\xff\xff\xff" + data[2:]
    np.testing.assert_array_equal(decode_compressed(filled), decode_compressed(data))


def refused_cuts(data: bytes) -> list[str]:
    """Cuts the file after every byte and returns the faults; a cut that is decoded fails the test."""
    messages = []
    for length in range(len(data)):
        with pytest.raises(CompressedImageError) as caught:
            decode_compressed(data[:length])
            pytest.fail(f"a file of {len(data)} bytes was decoded when cut to {length}")
        messages.append(str(caught.value))
    return messages


@pytest.mark.parametrize("kind", JPEG_KINDS)
def test_jpeg_cut_anywhere_is_refused(kind, small):
    messages = refused_cuts(jpeg(small, JPEG_KINDS[kind]))
    assert messages[0] == "the compressed image starts with nothing; expected a JPEG or PNG"
    for length, message in enumerate(messages[3:], 3):
        assert message == f"the compressed image is truncated after {length} bytes"


@pytest.mark.parametrize("kind", ["baseline", "progressive"])
def test_jpeg_with_thumbnail_cut_anywhere_is_refused(kind, small):
    thumbnail = jpeg(cv2.resize(small, (16, 12)))
    messages = refused_cuts(with_exif(jpeg(small, JPEG_KINDS[kind]), thumbnail))
    for length, message in enumerate(messages[3:], 3):
        assert message == f"the compressed image is truncated after {length} bytes"


def test_png_cut_anywhere_is_refused(small):
    messages = refused_cuts(png(small))
    for length, message in enumerate(messages[8:], 8):
        assert message == f"the compressed image is truncated after {length} bytes"


def test_large_jpeg_cut_in_its_pixels_is_refused(photo):
    # OpenCV 4.6, which Ubuntu 24.04 ships, decodes these to half an image and grey.
    data = jpeg(photo("astronaut"))
    for part in (0.1, 0.5, 0.9, 0.999):
        with pytest.raises(CompressedImageError, match="truncated"):
            decode_compressed(data[: int(len(data) * part)])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "starts with nothing"),
        (b"\0" * 100, "starts with 00 00 00 00 00 00 00 00; expected a JPEG or PNG"),
        (b"GIF89a" + b"\0" * 100, "expected a JPEG or PNG"),
        (b"\xff\xd8\xff\xd9", "ends before any pixels"),
        (b"\xff\xd8\xff\xd9" + b"\0" * 20, "ends before any pixels"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", b"no header first") + chunk(b"IEND", b""), "not IHDR"),
    ],
)
def test_what_is_no_image_is_refused(data, message):
    with pytest.raises(CompressedImageError, match=message):
        decode_compressed(data)


def test_whole_file_with_corrupt_pixels_is_refused():
    assert decode_compressed(grey_png(10, 10, 8, bytes(110))).shape == (10, 10, 3)
    with pytest.raises(CompressedImageError, match="OpenCV cannot decode the 10x10 compressed image"):
        decode_compressed(grey_png(10, 10, 8, bytes(55)))


def frame_header(data: bytes) -> int:
    """Where the height, and then the width, of a baseline JPEG stand."""
    return data.index(b"\xff\xc0") + 5


@pytest.mark.parametrize(("width", "height"), [(65_500, 65_500), (8000, 8000)])
def test_jpeg_that_claims_gigapixels_is_refused(width, height, small):
    data = bytearray(jpeg(small))
    struct.pack_into(">HH", data, frame_header(data), height, width)
    with pytest.raises(ImageSizeError, match=f"{width}x{height}, .* megapixels; at most 50"):
        decode_compressed(bytes(data))


def test_empty_jpeg_and_png_are_refused(small):
    data = bytearray(jpeg(small))
    struct.pack_into(">HH", data, frame_header(data), 0, 40)
    with pytest.raises(ImageSizeError, match="40x0; expected at least one pixel"):
        decode_compressed(bytes(data))
    with pytest.raises(ImageSizeError, match="0x5; expected at least one pixel"):
        decode_compressed(grey_png(0, 5, 8, b""))


def test_limit_is_the_callers(small):
    assert decode_compressed(jpeg(small), max_pixels=1200).shape == (30, 40, 3)
    with pytest.raises(ImageSizeError, match="30"):
        decode_compressed(jpeg(small), max_pixels=1199)


BOMB_PROBE = """
import sys
from robot_ai.perception.encodings import decode_compressed
from robot_ai.perception.errors import ImageSizeError

def peak():
    # Not ru_maxrss: that one starts at the peak of the process that started us.
    with open('/proc/self/status') as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith('VmHWM'))

data = sys.stdin.buffer.read()
before = peak()
try:
    decode_compressed(data)
except ImageSizeError as error:
    print(peak() - before, error, sep="|")
decode_compressed(data, max_pixels=100_000_000)
print(peak() - before)
"""


def test_bomb_is_refused_before_it_takes_memory():
    data = bomb()
    assert len(data) < 20_000
    # In a process of its own, which has no earlier peak to hide behind; a Python warning would be an error there.
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BOMB_PROBE], input=data, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    refused, allowed = done.stdout.decode().splitlines()
    megabytes, message = refused.split("|")
    assert "10000x10000, 100 megapixels; at most 50 are accepted" in message
    assert int(megabytes) < 10
    assert int(allowed) > 250, "the bomb is a dud: decoding it must take its 300 MB, or this test shows nothing"


@given(data=st.binary(max_size=300), start=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]))
def test_random_bytes_raise_nothing_but_image_errors(data, start):
    # A few random bytes form no image.
    with pytest.raises(ImageError):
        decode_compressed(start + data, max_pixels=1_000_000)


@pytest.mark.parametrize("make", [jpeg, png])
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8))
def test_damaged_files_raise_nothing_but_image_errors(make, changes):
    gradient = np.add.outer(np.arange(24), np.arange(32))[..., np.newaxis].astype(np.uint8) * (1, 2, 3)
    data = bytearray(make(gradient.astype(np.uint8)))
    for place, value in changes:
        data[int(place * len(data))] = value
    try:
        image = decode_compressed(bytes(data), max_pixels=1_000_000)
    except ImageError as error:
        assert str(error)
    else:
        assert image.ndim == 3
        assert image.dtype == np.uint8
