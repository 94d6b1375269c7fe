"""Pixel encodings of ROS images to 8-bit BGR, without cv_bridge.

Names follow sensor_msgs/image_encodings. Bytes are read in place: where the encoding already is BGR the result is a
view of the message, whatever its row padding.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from robot_ai.perception.errors import (
    CompressedImageError,
    ImageLengthError,
    ImageSizeError,
    ImageStepError,
    UnknownEncodingError,
)

BgrImage = NDArray[np.uint8]
Buffer = bytes | bytearray | memoryview

MAX_PIXELS = 50_000_000
"""Larger images are refused before any memory is spent on them: a few hundred bytes can claim gigapixels."""


@dataclass(frozen=True)
class RawImage:
    """The fields of sensor_msgs/Image that matter for decoding. `step` is bytes per row, padding included."""

    width: int
    height: int
    encoding: str
    step: int
    data: Buffer
    is_bigendian: bool = False


@dataclass(frozen=True)
class _Encoding:
    """How the bytes of an encoding lie in memory and become BGR."""

    channels: int
    to_bgr: Callable[[NDArray[np.generic]], BgrImage]
    itemsize: int = 1
    # 4:2:0 encodings carry half as many chroma rows below the luma rows.
    chroma_rows: bool = False
    # Sub-sampled and mosaic encodings are only defined on whole cells.
    even_width: bool = False
    even_height: bool = False
    min_side: int = 1


def _identity(image: NDArray[np.generic]) -> BgrImage:
    return image  # type: ignore[return-value]


def _convert(code: int) -> Callable[[NDArray[np.generic]], BgrImage]:
    return lambda image: cv2.cvtColor(image, code)


def _mono16(image: NDArray[np.generic]) -> BgrImage:
    # OpenCV 4.6 refuses rows that do not begin on a whole sample, as a padding of odd length leaves them.
    samples = np.require(image, np.uint16, ["C", "A"])
    grey = cv2.convertScaleAbs(samples, alpha=255.0 / 65535.0)
    bgr: BgrImage = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    return bgr


_BGR = _Encoding(3, _identity)
_BGRA = _Encoding(4, _convert(cv2.COLOR_BGRA2BGR))
_GREY = _Encoding(1, _convert(cv2.COLOR_GRAY2BGR))
_UYVY = _Encoding(2, _convert(cv2.COLOR_YUV2BGR_UYVY), even_width=True)
_YUYV = _Encoding(2, _convert(cv2.COLOR_YUV2BGR_YUY2), even_width=True)


def _bayer(code: int) -> _Encoding:
    # OpenCV interpolates from the neighbors of a cell: one without any comes out black.
    return _Encoding(1, _convert(code), even_width=True, even_height=True, min_side=4)


def _semi_planar(code: int) -> _Encoding:
    return _Encoding(1, _convert(code), chroma_rows=True, even_width=True, even_height=True)


_ENCODINGS: dict[str, _Encoding] = {
    "bgr8": _BGR,
    "8UC3": _BGR,
    "rgb8": _Encoding(3, _convert(cv2.COLOR_RGB2BGR)),
    "bgra8": _BGRA,
    "8UC4": _BGRA,
    "rgba8": _Encoding(4, _convert(cv2.COLOR_RGBA2BGR)),
    "mono8": _GREY,
    "8UC1": _GREY,
    "mono16": _Encoding(1, _mono16, itemsize=2),
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    "nv12": _semi_planar(cv2.COLOR_YUV2BGR_NV12),
    "nv21": _semi_planar(cv2.COLOR_YUV2BGR_NV21),
    # OpenCV names a Bayer pattern after its second row, ROS after its first: these are the matching pairs.
    "bayer_rggb8": _bayer(cv2.COLOR_BayerBG2BGR),
    "bayer_bggr8": _bayer(cv2.COLOR_BayerRG2BGR),
    "bayer_gbrg8": _bayer(cv2.COLOR_BayerGR2BGR),
    "bayer_grbg8": _bayer(cv2.COLOR_BayerGB2BGR),
}

ENCODINGS: tuple[str, ...] = tuple(_ENCODINGS)


def check_size(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    """Raises ImageSizeError for an empty image or one of more than `max_pixels`."""
    if width <= 0 or height <= 0:
        raise ImageSizeError(f"the image is {width}x{height}; expected at least one pixel each way")
    if width * height > max_pixels:
        raise ImageSizeError(
            f"the image is {width}x{height}, {width * height / 1e6:.0f} megapixels; at most "
            f"{max_pixels / 1e6:.0f} are accepted (parameter max_image_pixels)"
        )


def decode_raw(image: RawImage, max_pixels: int = MAX_PIXELS) -> BgrImage:
    """Turns the bytes of a sensor_msgs/Image into BGR, (H, W, 3) uint8; a view of `image.data` for bgr8 and 8UC3.

    Raises ImageSizeError, ImageStepError, ImageLengthError or UnknownEncodingError.
    """
    encoding = _ENCODINGS.get(image.encoding)
    if encoding is None:
        raise UnknownEncodingError(f"unknown encoding '{image.encoding}'; known are {', '.join(ENCODINGS)}")
    check_size(image.width, image.height, max_pixels)
    if (encoding.even_width and image.width % 2) or (encoding.even_height and image.height % 2):
        raise ImageSizeError(
            f"a {image.encoding} image of {image.width}x{image.height} is incomplete: "
            f"its {'sides' if encoding.even_height else 'width'} must be even"
        )
    if min(image.width, image.height) < encoding.min_side:
        raise ImageSizeError(
            f"a {image.encoding} image of {image.width}x{image.height} is too small to interpolate its colors: "
            f"expected at least {encoding.min_side} pixels each way"
        )
    return encoding.to_bgr(_rows(image, encoding))


def _rows(image: RawImage, encoding: _Encoding) -> NDArray[np.generic]:
    """Views the bytes as an array without the row padding."""
    pixel = encoding.channels * encoding.itemsize
    if image.step < image.width * pixel:
        raise ImageStepError(
            f"step is {image.step} bytes; a row of {image.width} {image.encoding} pixels needs {image.width * pixel}"
        )
    rows = image.height * 3 // 2 if encoding.chroma_rows else image.height
    length = memoryview(image.data).nbytes
    if length != image.step * rows:
        raise ImageLengthError(
            f"data holds {length} bytes; {rows} rows of step {image.step} for a {image.width}x{image.height} "
            f"{image.encoding} image make {image.step * rows}"
        )
    dtype = np.dtype(f"{'>' if image.is_bigendian else '<'}u{encoding.itemsize}")
    view: NDArray[np.generic] = np.ndarray(
        (rows, image.width, encoding.channels), dtype, image.data, strides=(image.step, pixel, encoding.itemsize)
    )
    return view[:, :, 0] if encoding.channels == 1 else view


def decode_compressed(data: bytes, max_pixels: int = MAX_PIXELS) -> BgrImage:
    """Decodes a JPEG or PNG into BGR, (H, W, 3) uint8, pixels as stored (an EXIF rotation is not applied).

    Raises CompressedImageError when it is neither, or not whole, and ImageSizeError, before decoding, when its header
    claims more than `max_pixels`.
    """
    width, height = _whole_size(data)
    check_size(width, height, max_pixels)
    image: BgrImage | None = cv2.imdecode(
        np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    )
    if image is None:
        raise CompressedImageError(f"OpenCV cannot decode the {width}x{height} compressed image: its data is corrupt")
    return image


_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8\xff", b"\xff\xda", b"\xff\xd9"
_PNG_START = b"\x89PNG\r\n\x1a\n"


def _whole_size(data: bytes) -> tuple[int, int]:
    """Width and height as the file's header gives them, once the file is seen to reach its end marker.

    OpenCV before 4.11 fills what a truncated file lacks with grey and says nothing, so its skeleton is walked here.
    """
    if data.startswith(_JPEG_START):
        size = _jpeg_size(data)
    elif data.startswith(_PNG_START):
        size = _png_size(data)
    else:
        raise CompressedImageError(
            f"the compressed image starts with {data[:8].hex(' ') or 'nothing'}; expected a JPEG or PNG"
        )
    if size is None:
        raise CompressedImageError(f"the compressed image is truncated after {len(data)} bytes")
    return size


# Frame headers: C0 to CF, but for the Huffman table, the reserved code and the arithmetic conditioning among them.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Restart markers, start of image and TEM stand alone; all others are followed by their length. 00 and FF are no codes.
_JPEG_BARE = frozenset({0x00, 0x01, 0xFF, *range(0xD0, 0xD9)})


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """The size in the frame header of a JPEG, None when the file ends before its image does."""
    size = (0, 0)
    position = 2
    while True:
        # Segment by segment, so that the markers of a thumbnail inside one are not taken for the image's own.
        position = data.find(b"\xff", position)
        if position < 0 or position + 2 > len(data):
            return None
        code = data[position + 1]
        if code in _JPEG_BARE:
            position += 1
            continue
        if code == _JPEG_SCAN[1]:
            break
        if code == _JPEG_END[1]:
            raise CompressedImageError("the compressed image is a JPEG that ends before any pixels")
        if position + 4 > len(data):
            return None
        if code in _JPEG_FRAMES and position + 9 <= len(data):
            height, width = struct.unpack_from(">HH", data, position + 5)
            size = (width, height)
        position += 2 + max(2, int(struct.unpack_from(">H", data, position + 2)[0]))
    # Pixel data holds no marker, so the end marker of a whole file follows the last of its scans.
    return size if data.rfind(_JPEG_END) > data.rfind(_JPEG_SCAN) else None


def _png_size(data: bytes) -> tuple[int, int] | None:
    """The size in the header chunk of a PNG, None when the file ends before its end chunk does."""
    if len(data) >= 16 and data[12:16] != b"IHDR":
        raise CompressedImageError(f"the compressed image is a PNG that starts with chunk {data[12:16]!r}, not IHDR")
    position = len(_PNG_START)
    while position + 12 <= len(data):  # length, type and checksum
        length, kind = struct.unpack_from(">I4s", data, position)
        position += 12 + length
        if kind == b"IEND" and position <= len(data):
            width, height = struct.unpack_from(">II", data, 16)
            return width, height
    return None
