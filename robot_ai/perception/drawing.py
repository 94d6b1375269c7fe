"""Detections drawn into an image, for people to look at."""

from __future__ import annotations

import colorsys
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

from robot_ai.perception.detections import Detections

_GOLDEN_RATIO = 0.618033988749895


def class_color(index: int) -> tuple[int, int, int]:
    """A BGR color for a class, the same in every run; neighbors in the label list get hues far apart."""
    red, green, blue = colorsys.hsv_to_rgb((index * _GOLDEN_RATIO) % 1.0, 0.75, 0.95)
    return round(blue * 255), round(green * 255), round(red * 255)


def label_color(name: str) -> tuple[int, int, int]:
    """A BGR color for a label, for detections whose classes have no fixed indices: those of messages are counted anew
    in each."""
    return class_color(zlib.crc32(name.encode()) % 1000)


def draw(image: NDArray[np.uint8], detections: Detections) -> NDArray[np.uint8]:
    """Draws boxes, labels and scores into a copy of a BGR image (H, W, 3) uint8; sizes follow the image's size."""
    canvas = np.array(image, order="C")
    height, width = canvas.shape[:2]
    thickness = max(1, round(min(height, width) / 240))
    scale = max(0.35, min(height, width) / 900)
    names = detections.names
    # The best detection is drawn last, on top.
    for i in np.argsort(detections.scores):
        left, top, right, bottom = (round(v) for v in detections.xyxy[i].tolist())
        color = label_color(names[i])
        # Boxes end at the outer edge of their last pixels; OpenCV names the pixels.
        cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), color, thickness)
        text = f"{names[i]} {detections.scores[i]:.2f}"
        _draw_tag(canvas, text, (left, top), color, scale)
    return canvas


def _draw_tag(
    canvas: NDArray[np.uint8], text: str, corner: tuple[int, int], color: tuple[int, int, int], scale: float
) -> None:
    """Writes text on a filled tag above the box, or inside it at the image's upper edge."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    thickness = max(1, round(scale * 2))
    left, top = corner
    (width, height), baseline = cv2.getTextSize(text, font, scale, thickness)
    bottom = top if top >= height + baseline else top + height + baseline
    left = max(0, min(left, canvas.shape[1] - width))
    cv2.rectangle(canvas, (left, bottom - height - baseline), (left + width, bottom), color, cv2.FILLED)
    dark = sum(color) > 380
    ink = (0, 0, 0) if dark else (255, 255, 255)
    cv2.putText(canvas, text, (left, bottom - baseline // 2 - 1), font, scale, ink, thickness, cv2.LINE_AA)
