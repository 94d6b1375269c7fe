"""Pixel encodings of ROS images to 8-bit BGR, without cv_bridge.

Names follow sensor_msgs/image_encodings. Bytes are read in place: where the encoding already is BGR the result is a view
of the message, whatever its row padding.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

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


def _identity(image: NDArray[np.generic]) -> BgrImage:
    return image  # type: ignore[return-value]


def _convert(code: int) -> Callable[[NDArray[np.generic]], BgrImage]:
    return lambda image: cv2.cvtColor(image, code)  # type: ignore[call-overload, no-any-return]


def _mono16(image: NDArray[np.generic]) -> BgrImage:
    grey = cv2.convertScaleAbs(image.astype(np.uint16, copy=False), alpha=255.0 / 65535.0)  # type: ignore[call-overload]
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)  # type: ignore[return-value]


_BGR = _Encoding(3, _identity)
_BGRA = _Encoding(4, _convert(cv2.COLOR_BGRA2BGR))
_GREY = _Encoding(1, _convert(cv2.COLOR_GRAY2BGR))
_UYVY = _Encoding(2, _convert(cv2.COLOR_YUV2BGR_UYVY), even_width=True)
_YUYV = _Encoding(2, _convert(cv2.COLOR_YUV2BGR_YUY2), even_width=True)


def _bayer(code: int) -> _Encoding:
    return _Encoding(1, _convert(code), even_width=True, even_height=True)


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
    return encoding.to_bgr(_rows(image, encoding))


def _rows(image: RawImage, encoding: _Encoding) -> NDArray[np.generic]:
    """Views the bytes as an array without the row padding."""
    pixel = encoding.channels * encoding.itemsize
    if image.step < image.width * pixel:
        raise ImageStepError(
            f"step is {image.step} bytes, but a row of {image.width} {image.encoding} pixels needs {image.width * pixel}"
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
    _check_whole(data)
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as header:
            width, height = header.size
    # PIL reports a broken header by any of these, and a bomb by its own class.
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise CompressedImageError(f"the compressed image has no readable header: {error}") from error
    except Image.DecompressionBombError as error:
        raise ImageSizeError(f"the compressed image is too large: {error}") from error
    check_size(width, height, max_pixels)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise CompressedImageError(f"OpenCV cannot decode the {width}x{height} compressed image: its data is corrupt")
    return image  # type: ignore[return-value]


_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8\xff", b"\xff\xda", b"\xff\xd9"
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


def _check_whole(data: bytes) -> None:
    """Refuses truncated files: OpenCV before 4.11 fills what is missing with grey and says nothing."""
    if data.startswith(_JPEG_START):
        # Entropy-coded data holds no marker, so a whole file's last end marker follows its last scan; the end marker
        # of an embedded thumbnail does not.
        whole = data.rfind(_JPEG_END) > data.rfind(_JPEG_SCAN) > 0
    elif data.startswith(_PNG_START):
        whole = _PNG_END in data[-64:]
    else:
        raise CompressedImageError(
            f"the compressed image starts with {data[:8].hex(' ') or 'nothing'}; expected a JPEG or PNG"
        )
    if not whole:
        raise CompressedImageError(f"the compressed image is truncated after {len(data)} bytes")
