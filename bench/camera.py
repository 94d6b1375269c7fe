"""A camera in a process of its own: frames of one size at a fixed rate."""

from __future__ import annotations

import cv2
import skimage.data
from std_msgs.msg import Header

from bench.source import publish, source_arguments
from robot_ai.ros.images import bgr_to_image


def main() -> None:
    """Publishes a photo."""
    parser = source_arguments(rate=30.0)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    arguments = parser.parse_args()
    photo = cv2.resize(skimage.data.astronaut()[:, :, ::-1], (arguments.width, arguments.height))
    publish("image", [bgr_to_image(photo, Header(frame_id="camera"))], arguments)


if __name__ == "__main__":
    main()
