"""Clouds and scans through one method of detection, into the frame they are wanted in."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.errors import MissingFrameworkError
from robot_ai.backends.loading import BackendChoice
from robot_ai.backends.registry import available
from robot_ai.errors import pip_install
from robot_ai.geometry.transforms import RigidTransform
from robot_ai.lidar.cluster_detector import CloudResult, ClusterDetector, ClusterSettings, within_regions
from robot_ai.lidar.detections import LABELS, Detections3D
from robot_ai.lidar.pillar_detector import PillarDetector, check_card
from robot_ai.lidar.scan_detector import ScanDetector, ScanSettings
from robot_ai.lidar.scans import ScanPoints
from robot_ai.models.artifacts import backend_of
from robot_ai.models.card import ModelCard
from robot_ai.models.find import find_model
from robot_ai.tracking.tracker_3d import TrackedBatch, Tracker3D

CLUSTER, PILLARS = METHODS = ("cluster", "pillars")
"""Ways to detect in clouds: without a model, and by a learned one."""
AUTO = "auto"
"""As a backend: the quickest one that is installed and that the model's card has an artifact for."""

# By pillarnet's forward pass on a processor, quickest first (docs/benchmarks_lidar.md); and where a GPU or a precision
# is asked for, which runtimes of exported files may not have.
_QUICKEST = ("litert", "onnx", "openvino", "tensorflow", "pytorch")
_MOST_ABLE = ("pytorch", "onnx", "openvino", "tensorflow", "litert")

Lookup = Callable[[str, str, int], RigidTransform]
Find = Callable[[NDArray[np.float32], ClusterSettings, NDArray[np.floating] | None], CloudResult]


@dataclass(frozen=True)
class Sweep:
    """What a lidar sent: points (N, 3) float32 or a scan, in `frame` at `stamp` nanoseconds."""

    content: NDArray[np.float32] | ScanPoints
    frame: str
    stamp: int


@dataclass(frozen=True)
class SweepSettings:
    """What may change between two sweeps. An empty target frame leaves boxes in the sweep's own."""

    cluster: ClusterSettings
    scan: ScanSettings
    target_frame: str = ""
    tracking: bool = False


@dataclass(frozen=True)
class SweepDetections:
    """What was found, in which frame; `tracks` has an id and a velocity for each when tracking is on."""

    detections: Detections3D
    frame: str
    tracks: TrackedBatch | None = None


@dataclass(frozen=True)
class SweepResult:
    """One SweepDetections per sweep, and the seconds that each stage took."""

    detections: list[SweepDetections]
    durations: dict[str, float] = field(default_factory=dict)


class ClusterModel(ClusterDetector):
    """The method without a model, where a model that can be swapped is expected: it is loaded as `backend` cluster."""

    backend_name = CLUSTER
    title = "clusters, without a model"

    def close(self) -> None:
        """Nothing is held."""


CloudModel = ClusterModel | PillarDetector


def load_cloud_model(choice: BackendChoice) -> CloudModel:
    """The method `cluster` for the backend of that name, else the model that the choice says.

    Raises what `PillarDetector.load` and `settled` raise.
    """
    return ClusterModel() if choice.backend == CLUSTER else PillarDetector.load(settled(choice))


def settled(choice: BackendChoice) -> BackendChoice:
    """The choice with a backend in place of `auto`.

    Raises a ModelError or ModelCardError where there is no such model, MissingFrameworkError where nothing runs it.
    """
    if choice.backend != AUTO:
        return choice
    card = ModelCard.load(find_model(choice.model), backends=())
    installed = {info.name for info in available() if info.installed}
    usual = choice.device in (AUTO, "cpu") and choice.precision == AUTO
    made_for = [backend_of(key) for key in card.artifacts]
    wanted = [name for name in (_QUICKEST if usual else _MOST_ABLE) if name in made_for]
    for name in [*wanted, *made_for]:
        if name in installed:
            return replace(choice, backend=name)
    raise MissingFrameworkError(
        f"nothing is installed that runs {card.name}; expected one of {', '.join(dict.fromkeys(made_for))}: "
        f"{pip_install(made_for[0])}"
    )


def check_cloud_model(choice: BackendChoice) -> None:
    """Raises a RobotAIError for a choice that cannot be loaded, as far as can be told without loading."""
    if choice.backend != CLUSTER:
        choice = settled(choice)
        card = ModelCard.load(find_model(choice.model), backends=())
        check_card(card.select(choice.backend, choice.precision))


class CloudDetector:
    """Detects in sweeps of one lidar, in the order of their stamps. Used from one thread at a time.

    `lookup(target, source, stamp)` gives transforms; it is asked only when the target frame is another. `find` is the
    method for clouds: `detect` of a CloudModel.
    """

    labels = LABELS

    def __init__(self, lookup: Lookup, find: Find | None = None) -> None:
        self._lookup = lookup
        self._find = find or ClusterDetector().detect
        self._scans = ScanDetector()
        self._tracker = Tracker3D()

    def detect(self, sweeps: Sequence[Sweep], settings: SweepSettings) -> SweepResult:
        """Detects in each sweep. Raises TransformError when the way into the target frame is not known."""
        durations: dict[str, float] = {}
        return SweepResult([self._one(sweep, settings, durations) for sweep in sweeps], durations)

    def _one(self, sweep: Sweep, settings: SweepSettings, durations: dict[str, float]) -> SweepDetections:
        frame, transform = sweep.frame, None
        if settings.target_frame and settings.target_frame != frame:
            started = time.perf_counter()
            transform = self._lookup(settings.target_frame, frame, sweep.stamp)
            frame = settings.target_frame
            durations["tf"] = time.perf_counter() - started
        if isinstance(sweep.content, ScanPoints):
            result = self._scans.detect(_cropped(sweep.content, settings.cluster, transform), settings.scan)
            found = result.detections if transform is None else into_frame(result.detections, transform)
        elif transform is None:
            result = self._find(sweep.content, settings.cluster, None)
            found = result.detections
        else:
            points = transform.apply(sweep.content).astype(np.float32)
            result = self._find(points, settings.cluster, transform.translation)
            found = result.detections
        durations |= result.durations
        if not settings.tracking:
            self._tracker.reset()
            return SweepDetections(found, frame)
        started = time.perf_counter()
        tracks = self._tracker.update(found, sweep.stamp, frame)
        durations["track"] = time.perf_counter() - started
        return SweepDetections(tracks.detections, frame, tracks)


def _cropped(scan: ScanPoints, settings: ClusterSettings, transform: RigidTransform | None) -> ScanPoints:
    """What of a scan lies in the region and not in the robot's own, both in the frame of detection."""
    kept = within_regions(scan.points if transform is None else transform.apply(scan.points), settings)
    return scan if kept is None else scan.take(kept)


def into_frame(detections: Detections3D, transform: RigidTransform) -> Detections3D:
    """Boxes of a scan in another frame; their heading is what remains of it seen from above."""
    centers = transform.apply(detections.centers).astype(np.float32)
    heads = np.column_stack([np.cos(detections.yaws), np.sin(detections.yaws), np.zeros(len(detections))])
    turned = heads @ transform.rotation.T
    yaws = np.arctan2(turned[:, 1], turned[:, 0]).astype(np.float32)
    return Detections3D(centers, detections.sizes, yaws, detections.scores, detections.class_indices, detections.labels)
