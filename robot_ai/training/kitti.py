"""KITTI's object data set: scans, images, calibration and true boxes, and how well a detector finds them.

Formats: the readme of the KITTI object development kit. Its data may not be used commercially: nothing here ships it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from robot_ai.errors import RobotAIError
from robot_ai.geometry.camera import CameraModel
from robot_ai.geometry.transforms import RigidTransform
from robot_ai.lidar.detections import LABELS, Detections3D
from robot_ai.lidar.files import read_points
from robot_ai.training.lidar_scoring import MIN_POINTS, BandScore, band_of, judge, no_scores

CLASSES = {
    "Pedestrian": "person",
    "Person_sitting": "person",
    "Cyclist": "cyclist",
    "Car": "vehicle",
    "Van": "vehicle",
    "Truck": "vehicle",
    "Tram": "vehicle",
}
"""Our label for each of KITTI's types; Misc and DontCare are neither asked for nor counted against a detector."""


class KittiError(RobotAIError):
    """A folder or a file that is not KITTI's."""


@dataclass(frozen=True)
class KittiFrame:
    """One moment. Boxes are in the lidar's frame; `ignored` are left, top, right, bottom (N, 4) in pixels of the image.

    objects: every labeled object, Misc as obstacle. camera: of the left color image; lidar_to_camera: into its frame.
    """

    name: str
    points: NDArray[np.float32]
    objects: Detections3D
    ignored: NDArray[np.float64]
    camera: CameraModel
    lidar_to_camera: RigidTransform
    image: Path


class KittiDataSet:
    """A folder with velodyne/, label_2/, calib/ and image_2/. Raises KittiError."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted((folder / "velodyne").glob("*.bin"))
        self._folder = folder
        if not self.files:
            raise KittiError(f"{folder} has no scans; expected velodyne/*.bin beside label_2/, calib/ and image_2/")

    def __iter__(self) -> Iterator[KittiFrame]:
        for file in self.files:
            yield self._read(file)

    def named(self, name: str) -> KittiFrame:
        """The frame of that name, such as 000000. Raises KittiError."""
        file = self._folder / "velodyne" / f"{name}.bin"
        if file not in self.files:
            raise KittiError(f"{self._folder} has no scan velodyne/{name}.bin")
        return self._read(file)

    def _read(self, file: Path) -> KittiFrame:
        calibration = _calibration(self._folder / "calib" / f"{file.stem}.txt")
        image = self._folder / "image_2" / f"{file.stem}.png"
        pixels = cv2.imread(str(image))
        if pixels is None:
            raise KittiError(f"{image} is no image")
        size = (pixels.shape[1], pixels.shape[0])
        camera = CameraModel.rectified(size, calibration["P2"].tolist())
        rectify = RigidTransform(calibration["R0_rect"].reshape(3, 3), np.zeros(3))
        given = calibration["Tr_velo_to_cam"].reshape(3, 4)
        transform = rectify @ RigidTransform(given[:, :3], given[:, 3])
        objects, ignored = _labels(self._folder / "label_2" / f"{file.stem}.txt", transform.inverse)
        return KittiFrame(file.stem, read_points(file), objects, ignored, camera, transform, image)


@dataclass
class KittiScore:
    """Scores by (class, band); `noticed` are objects that some box of any class stands for, of `objects`."""

    bands: dict[tuple[str, tuple[float, float]], BandScore]
    noticed: int = 0
    objects: int = 0


def evaluate(data: KittiDataSet, detect: Callable[[NDArray[np.float32]], Detections3D]) -> KittiScore:
    """Judges a detector within the image, where alone KITTI labels, on objects with MIN_POINTS points or more.

    A detection without a true object is wrong unless it lies on a DontCare region, on an object with fewer points or on
    one of another kind that is not asked for (Misc).
    """
    score = KittiScore(no_scores())
    for frame in data:
        _judge(frame, _in_image(frame, detect(frame.points)), score)
    return score


def _judge(frame: KittiFrame, found: Detections3D, score: KittiScore) -> None:
    objects = frame.objects
    points_inside = objects.contains(frame.points, margin=0.1)
    enough = points_inside.sum(axis=1) >= MIN_POINTS
    judge(objects, enough, found, score.bands, lambda index: _excused(frame, found, index))
    boxed = found.contains(frame.points, margin=0.1)
    for thing in np.flatnonzero(enough).tolist():
        if band_of(objects.centers[thing]) is not None:
            score.objects += 1
            score.noticed += bool((boxed[:, points_inside[thing]].mean(axis=1) >= 0.5).any())


def _excused(frame: KittiFrame, found: Detections3D, index: int) -> bool:
    misc = frame.objects.take(frame.objects.class_indices == LABELS.index("obstacle"))
    if (np.linalg.norm(misc.centers[:, :2] - found.centers[index, :2], axis=1) < 2.0).any():
        return True
    pixels, valid = frame.camera.project(frame.lidar_to_camera.apply(found.centers[index : index + 1].astype(float)))
    x, y = pixels[0]
    left, top, right, bottom = frame.ignored.T
    return bool(valid[0] and ((x >= left) & (x <= right) & (y >= top) & (y <= bottom)).any())


def _in_image(frame: KittiFrame, detections: Detections3D) -> Detections3D:
    pixels, valid = frame.camera.project(frame.lidar_to_camera.apply(detections.centers.astype(float)))
    return detections.take(valid & frame.camera.inside(pixels))


def _calibration(file: Path) -> dict[str, NDArray[np.float64]]:
    try:
        lines = [line.partition(":") for line in file.read_text(encoding="ascii").splitlines() if ":" in line]
        values = {name: np.array(numbers.split(), float) for name, _, numbers in lines}
    except (OSError, ValueError) as error:
        raise KittiError(f"{file} is no calibration of KITTI's: {error}") from error
    for name, count in (("P2", 12), ("R0_rect", 9), ("Tr_velo_to_cam", 12)):
        if values.get(name, np.empty(0)).size != count:
            raise KittiError(f"{file} has no {name} of {count} numbers")
    return values


def _labels(file: Path, to_lidar: RigidTransform) -> tuple[Detections3D, NDArray[np.float64]]:
    """Boxes: 3D from the camera's frame, where the position is the middle of the lower face and the heading runs
    clockwise around the axis down; 2D for DontCare.
    """
    boxes, ignored = [], []
    try:
        for line in file.read_text(encoding="ascii").splitlines():
            kind, *words = line.split()
            numbers = [float(word) for word in words]
            if kind == "DontCare":
                ignored.append(numbers[3:7])
                continue
            height, width, length, x, y, z, heading = numbers[7:14]
            center = to_lidar.apply(np.array([x, y - height / 2, z]))
            label = LABELS.index(CLASSES.get(kind, "obstacle"))
            boxes.append([*center, length, width, height, -heading - np.pi / 2, label])
    except (OSError, ValueError) as error:
        raise KittiError(f"{file} is no label file of KITTI's: {error}") from error
    rows = np.array(boxes, np.float32).reshape(-1, 8)
    ones = np.ones(len(rows), np.float32)
    objects = Detections3D(rows[:, :3], rows[:, 3:6], rows[:, 6], ones, rows[:, 7].astype(np.int64))
    return objects, np.array(ignored, float).reshape(-1, 4)
