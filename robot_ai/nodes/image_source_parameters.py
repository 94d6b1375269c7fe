"""The parameters of image_source. docs/parameters.md is generated from here."""

from __future__ import annotations

from dataclasses import dataclass

from robot_ai.ros.errors import ParameterError
from robot_ai.ros.parameter_spec import parameter

PATTERNS = ("bgr8", "rgb8", "mono8")


@dataclass(frozen=True)
class ImageSourceParameters:
    """A consistent set of values."""

    source: str = parameter("", "a folder of photos, one photo, a video file, or a camera: its number or /dev/video0")
    rate: float = parameter(
        10.0,
        "frames per second, in Hz; a camera gives at most its own rate",
        minimum=0.01,
        maximum=1000.0,
        while_running=True,
    )
    loop: bool = parameter(True, "begin again at the end of a folder or a video", while_running=True)
    wait_for_subscriber: bool = parameter(False, "publish the first frame only when someone listens")
    image_transport: str = parameter(
        "raw", "raw (image), compressed (image/compressed) or both", choices=("raw", "compressed", "both")
    )
    compressed_format: str = parameter("jpeg", "jpeg or png", choices=("jpeg", "png"))
    encoding: str = parameter("bgr8", "encoding of the raw images", choices=PATTERNS)
    width: int = parameter(0, "pixels to resize to; 0 keeps the source's", minimum=0, maximum=16_384)
    height: int = parameter(0, "pixels to resize to; 0 keeps the source's", minimum=0, maximum=16_384)
    step_padding: int = parameter(0, "bytes added to each row, as some drivers do", minimum=0, maximum=4096)
    reliability: str = parameter("reliable", "QoS offered", choices=("reliable", "best_effort"))
    frame_id: str = parameter("camera_optical_frame", "frame of the images' headers")
    horizontal_fov: float = parameter(
        1.047, "field of view, in radians, that camera_info is made from", minimum=0.01, maximum=3.1
    )
    autostart: bool = parameter(True, "configure and activate at start, without a lifecycle manager", read_only=True)

    def check(self) -> None:
        """Raises ParameterError for values that do not go together."""
        if bool(self.width) != bool(self.height):
            raise ParameterError(f"width {self.width} and height {self.height}: give both, or 0 for both")
