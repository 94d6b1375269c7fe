"""sensor_msgs images to BGR arrays and back."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from robot_ai.perception.encodings import RawImage, decode_compressed, decode_raw
from robot_ai.perception.errors import ImageError, UnknownEncodingError


def image_to_bgr(message: Image | CompressedImage, max_pixels: int) -> NDArray[np.uint8]:
    """Decodes either kind of image message into BGR (H, W, 3) uint8, as a view of the message where it can.

    An encoding that robot_ai does not know goes through cv_bridge where that is installed.
    Raises an ImageError that names the fault.
    """
    if isinstance(message, CompressedImage):
        return decode_compressed(message.data.tobytes(), max_pixels)
    raw = RawImage(
        message.width, message.height, message.encoding, message.step, message.data, bool(message.is_bigendian)
    )
    try:
        return decode_raw(raw, max_pixels)
    except UnknownEncodingError as unknown:
        return _through_cv_bridge(message, unknown)


def _through_cv_bridge(message: Image, unknown: UnknownEncodingError) -> NDArray[np.uint8]:
    try:
        from cv_bridge import CvBridge, CvBridgeError
    # cv_bridge built for NumPy 1 fails in several ways beside NumPy 2, all of them at import.
    except (ImportError, AttributeError) as missing:
        raise UnknownEncodingError(f"{unknown}, and cv_bridge, which may know more, is not usable: {missing}") from None
    try:
        converted: Any = CvBridge().imgmsg_to_cv2(message, desired_encoding="bgr8")
    # cv_bridge lets NumPy's and OpenCV's own errors through as ValueError and cv2.error (an Exception subclass).
    except (CvBridgeError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise ImageError(f"cv_bridge cannot convert encoding '{message.encoding}': {error}") from error
    return np.asarray(converted, np.uint8)


def bgr_to_image(image: NDArray[np.uint8], header: Header) -> Image:
    """Packs a BGR array (H, W, 3) uint8 into a bgr8 message with the given header."""
    height, width = image.shape[:2]
    message = Image(header=header, height=height, width=width, encoding="bgr8", step=width * 3)
    message.data = to_byte_array(image)
    return message


def to_byte_array(pixels: NDArray[np.uint8] | bytes) -> array.array[int]:
    """Copies bytes into the one type that rclpy's setter takes without walking over every element."""
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(pixels).data.cast("B") if isinstance(pixels, np.ndarray) else pixels)
    return data
