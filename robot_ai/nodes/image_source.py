"""image_source: photos, a video or a webcam as a camera driver would publish them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.timer import Timer
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from robot_ai.nodes.image_source_parameters import ImageSourceParameters
from robot_ai.perception.sources import NamedImage, PhotoSource, SourceError, VideoSource, open_source
from robot_ai.ros.images import to_byte_array
from robot_ai.ros.lifecycle import SafeLifecycleNode, run
from robot_ai.ros.parameters import NodeParameters

_FROM_BGR = {"rgb8": cv2.COLOR_BGR2RGB, "mono8": cv2.COLOR_BGR2GRAY}
_DEPTH = 5


class ImageSource(SafeLifecycleNode):
    """Plays a source at a rate, on `image`, `image/compressed` and `camera_info`.

    `image_name` tells where each image comes from: its stamp, and in `frame_id` the name of the file. Header is the
    only standard message that holds just a stamp and a string.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("image_source", **kwargs)
        self._source: PhotoSource | VideoSource | None = None
        self._frames: Iterator[NamedImage] = iter(())
        self._cameras: dict[str, Publisher] = {}
        self._timer: Timer | None = None
        self._sent = 0
        self._settings = NodeParameters(
            self,
            ImageSourceParameters,
            is_configured=lambda: self.is_configured,
            validate=ImageSourceParameters.check,
            changed=self._reset_timer,
        )

    def configure(self) -> None:
        """Opens the source and creates the publishers."""
        values = self._settings.values
        self._source = open_source(values.source)
        self._frames = iter(self._source)
        qos = QoSProfile(depth=_DEPTH, reliability=ReliabilityPolicy[values.reliability.upper()])
        if values.image_transport != "compressed":
            self._cameras["image"] = self.create_publisher(Image, "image", qos)
        if values.image_transport != "raw":
            self._cameras["compressed"] = self.create_publisher(CompressedImage, "image/compressed", qos)
        self._cameras["info"] = self.create_publisher(CameraInfo, "camera_info", qos)
        self._cameras["name"] = self.create_publisher(Header, "image_name", qos)

    def activate(self) -> None:
        """Starts to play."""
        self._timer = self.create_timer(1.0 / self._settings.values.rate, self._tick)

    def deactivate(self) -> None:
        """Pauses; activation goes on with the next frame."""
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None

    def release(self) -> None:
        """Closes the source."""
        self.deactivate()
        cameras = [*self._cameras.values()]
        self._cameras.clear()
        self.destroy_all(*cameras)
        if self._source is not None:
            self._source.close()
            self._source = None

    def _reset_timer(self) -> None:
        if self._timer is not None:
            self.deactivate()
            self.activate()

    def _tick(self) -> None:
        values = self._settings.values
        if values.wait_for_subscriber and not self._sent and not self._listened_to():
            return
        try:
            frame = self._next(values.loop)
        except SourceError as error:
            self.get_logger().error(f"the source stopped: {error}")
            self.last_error = str(error)
            frame = None
        if frame is None:
            self.deactivate()
            return
        self._publish(*frame, values)
        self._sent += 1

    def _next(self, loop: bool) -> NamedImage | None:
        frame = next(self._frames, None)
        if frame is None and loop and self._source is not None:
            self._frames = iter(self._source)
            frame = next(self._frames, None)
        if frame is None:
            self.get_logger().info(f"the source has ended after {self._sent} frames")
        return frame

    def _listened_to(self) -> bool:
        return any(
            self._cameras[kind].get_subscription_count() for kind in ("image", "compressed") if kind in self._cameras
        )

    def _publish(self, name: str, image: NDArray[np.uint8], values: ImageSourceParameters) -> None:
        if values.width:
            image = cv2.resize(image, (values.width, values.height), interpolation=cv2.INTER_AREA)
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=values.frame_id)
        self._cameras["name"].publish(Header(stamp=header.stamp, frame_id=name))
        self._cameras["info"].publish(camera_info(image.shape[1], image.shape[0], values.horizontal_fov, header))
        if "compressed" in self._cameras:
            self._cameras["compressed"].publish(compress(image, values.compressed_format, header))
        if "image" in self._cameras:
            self._cameras["image"].publish(pack(image, values.encoding, values.step_padding, header))


def pack(image: NDArray[np.uint8], encoding: str, step_padding: int, header: Header) -> Image:
    """Packs a BGR image (H, W, 3) uint8 as bgr8, rgb8 or mono8, with `step_padding` unused bytes after each row."""
    pixels = image if encoding == "bgr8" else cv2.cvtColor(image, _FROM_BGR[encoding])
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    if step_padding:
        rows = np.pad(rows, ((0, 0), (0, step_padding)))
    message = Image(header=header, height=height, width=width, encoding=encoding, step=rows.shape[1])
    message.data = to_byte_array(rows)
    return message


def compress(image: NDArray[np.uint8], image_format: str, header: Header) -> CompressedImage:
    """Packs a BGR image (H, W, 3) uint8 as JPEG or PNG, with the format string that image_transport writes."""
    _, encoded = cv2.imencode(".jpg" if image_format == "jpeg" else ".png", image)
    message = CompressedImage(header=header, format=f"bgr8; {image_format} compressed bgr8")
    message.data = to_byte_array(encoded)
    return message


def camera_info(width: int, height: int, horizontal_fov: float, header: Header) -> CameraInfo:
    """An ideal pinhole camera without distortion: f = w / 2 / tan(fov / 2), the principal point in the middle."""
    focal = width / 2 / math.tan(horizontal_fov / 2)
    center_x, center_y = width / 2, height / 2
    return CameraInfo(
        header=header,
        width=width,
        height=height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=[focal, 0.0, center_x, 0.0, focal, center_y, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[focal, 0.0, center_x, 0.0, 0.0, focal, center_y, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def main(args: list[str] | None = None) -> int:
    """Runs the node."""
    return run(ImageSource, args)


if __name__ == "__main__":
    raise SystemExit(main())
