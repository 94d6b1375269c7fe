"""Fine-tunes NanoDet's head on views of a simulated world: deterministic, resumable, on the CPU.

Backbone and neck stay as they are, so each image passes them once. The finished weights lie between the original ones
and those that were reached: that keeps what the model could before (Wortsman et al., 2022, arXiv:2109.01903).
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray

from robot_ai.errors import RobotAIError
from robot_ai.models.card import ImageInput, ModelCard
from robot_ai.models.networks import nanodet_plan as plan
from robot_ai.models.networks.nanodet_torch import NanoDetG
from robot_ai.perception.preprocess import ImagePreprocessor
from robot_ai.perception.resize import place
from robot_ai.training.camera_card import write_model
from robot_ai.training.camera_features import FeatureFolder, head_at
from robot_ai.training.camera_loss import CellTargets, loss_of
from robot_ai.training.camera_targets import BACKGROUND, Targets, assign, cells
from robot_ai.training.checkpoints import load_checkpoint, save_checkpoint
from robot_ai.training.coco import ANNOTATIONS, CocoDataSet
from robot_ai.training.lidar_card import Origin

_NETWORK = "robot_ai.models.networks.nanodet_torch:NanoDetG"
_WARM_UP, _CLIP = 20, 10.0
# Of an image's background: cells of which the original is surer than this, at most so many; and so many others.
_SURE, _HARD, _OTHERS = 0.03, 150, 80


class CameraTrainingError(RobotAIError):
    """A training that cannot begin or go on."""


@dataclass(frozen=True)
class CameraSettings:
    """steps of `batch` views and `photos_batch` photos. rate: the highest learning rate. distill: weight of staying
    with the original where nothing is labeled. blend: how far the finished weights go from the original to the reached.
    """

    steps: int = 400
    batch: int = 6
    photos_batch: int = 3
    rate: float = 5e-4
    distill: float = 1.0
    blend: float = 0.7
    seed: int = 1


class CameraTraining:
    """One run in a folder: features, checkpoint and the head so far."""

    def __init__(
        self,
        settings: CameraSettings,
        base: ModelCard,
        views: Path,
        photos: Sequence[NDArray[np.uint8]],
        folder: Path,
        *,
        say: Callable[[int], None] = lambda _: None,
    ) -> None:
        """base: a card of NanoDet-g. views: what `make_views` wrote. photos: (H, W, 3) uint8 BGR images without labels.
        say: told the number of each image that passed the backbone. Raises CameraTrainingError or DataSetError.
        """
        self._settings, self._base, self._folder = settings, base, folder
        self._input = cast("ImageInput", base.inputs[0])
        artifact = base.artifacts.get("pytorch")
        if artifact is None or artifact.network != _NETWORK or artifact.path is None:
            raise CameraTrainingError(
                f"{base.name} is no NanoDet-g; expected a card whose artifact pytorch is {_NETWORK}"
            )
        self._network = NanoDetG()
        stored = safetensors.torch.load_file(artifact.path)
        self._network.load_state_dict({name: tensor.float() for name, tensor in stored.items()})
        self._network.eval().requires_grad_(requires_grad=False)
        self._original = copy.deepcopy(self._network.head)
        self._head = self._network.head.requires_grad_(requires_grad=True)
        torch.manual_seed(settings.seed)
        self._optimizer = torch.optim.AdamW(self._head.parameters(), lr=settings.rate, weight_decay=0.0)
        self._prepare = ImagePreprocessor(self._input)
        self._data = CocoDataSet(views)
        self._photos = photos
        self._centers, self._strides = cells(self._input.width)
        self._levels = np.searchsorted(plan.STRIDES, self._strides)
        self._targets = _read_targets(views, self._input.width, self._centers, self._strides)
        self._taught = np.zeros(plan.NUM_CLASSES, bool)
        for targets in self._targets:
            self._taught[targets.labels[targets.labels >= 0]] = True
        self._features = FeatureFolder(folder / "features", self._input.width)
        self._features.fill(self._images, len(self._targets) + len(photos), self._network, say)
        if len(self._features.sure) != len(self._targets) + len(photos):
            raise CameraTrainingError(f"{folder / 'features'} is of other images; remove it, or name another folder")
        self.step = 0

    def _images(self) -> Iterator[NDArray[np.float32]]:
        for _, image in self._data:
            yield self.prepare(image)
        for image in self._photos:
            yield self.prepare(image)

    def prepare(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The network's input (1, 3, H, W) of a BGR image."""
        return np.array(self._prepare([image])[0], np.float32)

    def resume(self) -> None:
        """Goes on from the folder's checkpoint. Raises CameraTrainingError."""
        load_checkpoint(self._folder, asdict(self._settings), self._take, CameraTrainingError)

    def _take(self, state: dict[str, Any]) -> None:
        self._head.load_state_dict(state["head"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def describe(self) -> str:
        """The settings in one line."""
        return ", ".join(f"{name} {value}" for name, value in asdict(self._settings).items())

    def save(self) -> None:
        """Writes the checkpoint."""
        state = {
            "head": self._head.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self.step,
        }
        save_checkpoint(self._folder, asdict(self._settings), state)

    def write_model(self, folder: Path, command: str) -> ModelCard:
        """Writes the weights, blended with the original's, as a model's folder."""
        finished = copy.deepcopy(self._network)
        before, blend = self._original.state_dict(), self._settings.blend
        with torch.no_grad():
            for name, tensor in finished.head.state_dict().items():
                tensor.copy_(torch.lerp(before[name], tensor, blend))
        _, image = next(iter(self._data))
        return write_model(self._base, folder, finished, self.prepare(image), Origin(command, f"1.{self.step}"))

    def run(
        self,
        tell: Callable[[int, dict[str, float]], None],
        stop: Callable[[], bool] = lambda: False,
        checkpoint_every: int = 100,
    ) -> None:
        """Trains to the last step, or until `stop()`; saves then and every `checkpoint_every` steps.

        tell: given each step's number and the parts of its loss.
        """
        while self.step < self._settings.steps and not stop():
            parts = self._train()
            self.step += 1
            tell(self.step, parts)
            if self.step % checkpoint_every == 0:
                self.save()
        self.save()

    def _train(self) -> dict[str, float]:
        settings = self._settings
        around, levels, targets = self._batch()
        for group in self._optimizer.param_groups:
            group["lr"] = settings.rate * schedule(self.step, settings.steps)
        with torch.no_grad():
            original = head_at(self._original, around, levels)
        parts = loss_of(head_at(self._head, around, levels), original, targets, settings.distill)
        total = torch.stack(list(parts.values())).sum()
        if not math.isfinite(float(total.detach())):
            raise CameraTrainingError(f"the loss is not finite at step {self.step}; expected a lower rate (--rate)")
        self._optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self._head.parameters(), _CLIP)
        self._optimizer.step()
        return {"total": float(total.detach())} | {name: float(part.detach()) for name, part in parts.items()}

    def _batch(self) -> tuple[torch.Tensor, torch.Tensor, CellTargets]:
        """What the present step is trained on: chosen cells of some views and photos."""
        settings, views = self._settings, len(self._targets)
        chosen = [_shuffled(settings.seed, 1, self.step * settings.batch + n, views) for n in range(settings.batch)]
        if self._photos:
            first = self.step * settings.photos_batch
            chosen += [
                views + _shuffled(settings.seed, 2, first + n, len(self._photos)) for n in range(settings.photos_batch)
            ]
        around, rows = [], []
        for place_in_batch, image in enumerate(chosen):
            targets = self._targets[image] if image < views else None
            rng = np.random.default_rng((settings.seed, 3, self.step, place_in_batch))
            kept, weights = _choose(targets, self._features.sure[image], rng)
            around.append(self._features.around(image, kept))
            labels = np.full(len(kept), BACKGROUND) if targets is None else targets.labels[kept]
            boxes = np.zeros((len(kept), 4), np.float32) if targets is None else targets.boxes[kept]
            rows.append((labels, boxes, kept, weights, np.full(len(kept), targets is not None)))
        labels, boxes, kept, weights, labeled = (
            torch.from_numpy(np.concatenate(column)) for column in zip(*rows, strict=True)
        )
        places = kept.numpy()
        given = CellTargets(
            labels,
            boxes,
            torch.from_numpy(self._centers[places]),
            torch.from_numpy(self._strides[places]),
            weights,
            labeled,
            torch.from_numpy(self._taught),
        )
        return torch.from_numpy(np.concatenate(around)), torch.from_numpy(self._levels[places]), given


def _choose(
    targets: Targets | None, sure: NDArray[np.float16], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Cells of an image, and how many each stands for: all that find something, the background where the original is
    surest of something, and some of the rest."""
    labels = np.full(len(sure), BACKGROUND) if targets is None else targets.labels
    positive = np.flatnonzero(labels >= 0)
    background = np.flatnonzero(labels == BACKGROUND)
    order = background[np.argsort(-sure[background], kind="stable")]
    hard = order[:_HARD][sure[order[:_HARD]] > _SURE]
    rest = order[len(hard) :]
    others = rng.choice(rest, min(_OTHERS, len(rest)), replace=False)
    weights = np.ones(len(positive) + len(hard) + len(others), np.float32)
    weights[len(positive) + len(hard) :] = len(rest) / max(len(others), 1)
    return np.concatenate([positive, hard, others]), weights


def _shuffled(seed: int, kind: int, place_in_all: int, count: int) -> int:
    """Which of `count` images comes at a place in an endless row of shuffled turns."""
    turn, number = divmod(place_in_all, count)
    return int(np.random.default_rng((seed, kind, turn)).permutation(count)[number])


def _read_targets(views: Path, side: int, centers: NDArray[np.float32], strides: NDArray[np.float32]) -> list[Targets]:
    content = json.loads((views / ANNOTATIONS).read_bytes())
    by_image: dict[int, list[Any]] = {entry["id"]: [] for entry in content["images"]}
    for annotation in content["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    found = []
    for entry in sorted(content["images"], key=lambda each: each["id"]):
        given = by_image[entry["id"]]
        boxes: NDArray[np.float32] = np.array([a["bbox"] for a in given], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        boxes = place(entry["width"], entry["height"], side, side, "stretch").to_network(boxes)
        labels = np.array([a["category_id"] - 1 for a in given], np.int64)
        crowd = np.array([a["iscrowd"] for a in given], bool)
        found.append(assign(boxes[~crowd], labels[~crowd], boxes[crowd], centers, strides))
    return found


def schedule(step: int, steps: int) -> float:
    """The part of the highest learning rate: rises, then falls along a half cosine."""
    return min(1.0, (step + 1) / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))
