"""`method: pillars`: people, cyclists and vehicles by a learned network, and what else stands as obstacles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.loading import LoadedModel
from robot_ai.backends.protocol import Backend
from robot_ai.lidar.center_heads import COLUMNS, CenterHeads
from robot_ai.lidar.cluster_detector import (
    CloudResult,
    ClusterSettings,
    Watch,
    crop,
    describe,
    ground_of,
    group,
    stands,
)
from robot_ai.lidar.detections import LABELS, OBSTACLE, Detections3D
from robot_ai.lidar.errors import CenterHeadsError, PillarModelError
from robot_ai.lidar.filters import Points
from robot_ai.lidar.order import picked
from robot_ai.lidar.pillars import CHANNELS, PillarGrid, Pillars, encode
from robot_ai.models.artifacts import backend_of
from robot_ai.models.card import ModelCard

_OBSTACLE_INDEX = LABELS.index(OBSTACLE)
_OBSTACLE_SCORE = 0.5
# A learned box explains the points inside it and, in meters, this close to it.
_MARGIN = 0.3


@dataclass(frozen=True)
class _Heads:
    """What a card says about its outputs."""

    heads: CenterHeads
    input: str
    layout: str


class PillarDetector(LoadedModel):
    """A loaded model of task detection_3d, ready to detect in clouds."""

    labels = LABELS

    def __init__(self, card: ModelCard, backend_name: str, backend: Backend) -> None:
        """Raises PillarModelError or CardTaskError when the card's model is not one of pillars and center heads."""
        super().__init__(card, backend_name, backend)
        self._heads = _heads_of(card, backend_of(backend_name))

    @property
    def default_score(self) -> float:
        """The lowest score where the settings say none: the card's."""
        return self.card.thresholds.confidence

    @property
    def grid(self) -> PillarGrid:
        """The square of pillars that the network sees."""
        return self._heads.heads.grid

    def infer(self, pillars: Pillars) -> Mapping[str, NDArray[Any]]:
        """The network's outputs, with a batch of one; valid until the next call. Raises InferenceError."""
        return self._backend.infer({self._heads.input: pillars.batch(self._heads.layout)})

    def decode(self, outputs: Mapping[str, NDArray[Any]], pillars: Pillars, score: float | None = None) -> Detections3D:
        """What the network says of the pillars, by `score` or the card's own. Raises CenterHeadsError for NaN."""
        least = self.default_score if score is None else score
        return self._heads.heads.decode(outputs, 0, least, pillars)

    def detect(
        self, points: Points, settings: ClusterSettings, origin: NDArray[np.floating] | None = None
    ) -> CloudResult:
        """As `ClusterDetector.detect`. The network sees the square around the sensor that its card says; what is
        farther away is found as obstacles only.

        Raises InferenceError when the backend fails, CenterHeadsError when it gives NaN or infinity.
        """
        watch = Watch()
        local = crop(points, settings, origin)
        watch.lap("crop")
        above = ground_of(local, settings)
        watch.lap("ground")
        pillars = encode(local, above, self.grid)
        watch.lap("encode")
        outputs = self.infer(pillars)
        watch.lap("forward")
        learned = self.decode(outputs, pillars, settings.score)
        watch.lap("decode")
        obstacles = self._obstacles(local, above, learned, settings)
        watch.lap("obstacles")
        found = _wanted(learned, settings).joined(obstacles)
        return CloudResult(found if origin is None else found.moved(np.asarray(origin)), watch.laps)

    def _obstacles(
        self, points: Points, above: NDArray[np.float32], learned: Detections3D, settings: ClusterSettings
    ) -> Detections3D:
        """What stands outside of every learned box, by whatever name its size would give it."""
        if settings.classes and OBSTACLE not in settings.classes:
            return Detections3D.empty()
        standing = stands(above, settings)
        points, above = picked(points, standing), above[standing]
        unexplained = ~_explained(points, learned)
        anything = describe(group(picked(points, unexplained), above[unexplained], settings), settings, classes=())
        count = len(anything)
        return Detections3D(
            anything.centers,
            anything.sizes,
            anything.yaws,
            np.full(count, _OBSTACLE_SCORE, np.float32),
            np.full(count, _OBSTACLE_INDEX, np.int64),
        ).take(np.full(count, settings.score is None or settings.score <= _OBSTACLE_SCORE))


def check_card(card: ModelCard) -> None:
    """Raises PillarModelError or CardTaskError when the card's model is not one of pillars and center heads."""
    _heads_of(card, backend_of(next(iter(card.artifacts))))


def _heads_of(card: ModelCard, backend: str) -> _Heads:
    pillars = card.pillars_for(backend)
    where = f"model card {card.name}"
    if pillars.channels != CHANNELS:
        raise PillarModelError(f"{where}: {pillars.channels} channels per pillar; expected {CHANNELS}")
    options = dict(card.decoder.options)
    stride = options.pop("stride", 0)
    if card.decoder.type != "center_heads" or options or not (type(stride) is int and 0 < stride <= pillars.side):
        raise PillarModelError(
            f"{where}: decoder {card.decoder}; expected type center_heads and stride, a whole number"
        )
    try:
        heads = CenterHeads(PillarGrid(pillars.side, pillars.cell), stride, card.labels, card.thresholds.max_detections)
    except CenterHeadsError as error:
        raise PillarModelError(f"{where}: {error}") from error
    cells = heads.cells * heads.cells
    wanted = {"scores": (None, cells, len(card.labels)), "boxes": (None, cells, COLUMNS)}
    given = {spec.name: spec.shape for spec in card.outputs}
    if given != wanted:
        raise PillarModelError(
            f"{where}: outputs {given}; expected {wanted} for {pillars.side} pillars, stride {stride}"
        )
    return _Heads(heads, pillars.name, pillars.layout)


def _explained(points: Points, boxes: Detections3D) -> NDArray[np.bool_]:
    """(N,): whether points lie in a box or close beside it, at any height."""
    inside = np.zeros(len(points), np.bool_)
    # By their x, so that a box is compared with the points in its band alone.
    order = np.argsort(points[:, 0])
    x, y = points[order, 0], points[order, 1]
    for center, size, yaw in zip(boxes.centers, boxes.sizes, boxes.yaws.tolist(), strict=True):
        half = size[:2] / 2 + np.float32(_MARGIN)
        band = slice(*np.searchsorted(x, (center[0] - half.sum(), center[0] + half.sum())))
        ahead, aside = x[band] - center[0], y[band] - center[1]
        cos, sin = np.float32(np.cos(yaw)), np.float32(np.sin(yaw))
        along, across = ahead * cos + aside * sin, aside * cos - ahead * sin
        inside[order[band][(np.abs(along) <= half[0]) & (np.abs(across) <= half[1])]] = True
    return inside


def _wanted(found: Detections3D, settings: ClusterSettings) -> Detections3D:
    if not settings.classes:
        return found
    return found.take(np.isin(found.class_indices, [LABELS.index(name) for name in settings.classes]))
