"""What NanoDet's frozen part makes of each image, kept on disk: its head is trained on that, at chosen cells only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from robot_ai.models.networks import nanodet_plan as plan
from robot_ai.models.networks.nanodet_torch import NanoDetG
from robot_ai.training.camera_loss import Cells

_REACH = 9  # cells that a 3x3 convolution sees
_FEATURES, _SURE = "features.npy", "sure.npy"


class FeatureFolder:
    """For each image: the neck's output around every cell, and how sure the original is of something there."""

    def __init__(self, folder: Path, side: int) -> None:
        self._folder, self._side = folder, side
        self._around = surroundings(side)
        self._features: Any = None
        self.sure: NDArray[np.float16] = np.empty((0, 0), np.float16)

    def fill(
        self,
        batches: Callable[[], Iterable[NDArray[np.float32]]],
        count: int,
        network: NanoDetG,
        say: Callable[[int], None],
    ) -> None:
        """Computes what is not there. batches: gives `count` preprocessed images (1, 3, side, side) in order."""
        files = self._folder / _FEATURES, self._folder / _SURE
        if not all(file.is_file() for file in files):
            self._folder.mkdir(parents=True, exist_ok=True)
            size = sum((self._side // stride + 2) ** 2 for stride in plan.STRIDES)
            unfinished = self._folder / f"unfinished_{_FEATURES}"
            kept = np.lib.format.open_memmap(unfinished, "w+", np.float16, (count, size, plan.NECK_CHANNELS))
            sure = []
            with torch.inference_mode():
                for number, batch in enumerate(batches()):
                    levels = network.neck(network.backbone(torch.from_numpy(batch)))
                    outputs = network.head(levels)
                    best = torch.cat([outputs[f"scores_{stride}"][0].amax(dim=1) for stride in plan.STRIDES])
                    sure.append(best.numpy().astype(np.float16))
                    padded = [functional.pad(x, (1, 1, 1, 1))[0].flatten(1).T for x in levels]
                    kept[number] = torch.cat(padded).numpy()
                    say(number)
            kept.flush()
            unfinished.rename(files[0])
            np.save(files[1], np.stack(sure))
        self._features, self.sure = np.load(files[0], mmap_mode="r"), np.load(files[1])

    def around(self, image: int, cells: NDArray[np.int64]) -> NDArray[np.float32]:
        """(K, 9 * channels): what the head's 3x3 convolution sees at cells of an image."""
        seen = self._features[image][self._around[cells]].astype(np.float32)
        return np.ascontiguousarray(seen.reshape(len(cells), -1))


def surroundings(side: int) -> NDArray[np.int64]:
    """(N, 9): for each cell, the rows around it of all levels with a border of one, one after the other."""
    found, first = [], 0
    for stride in plan.STRIDES:
        wide = side // stride + 2
        y, x = np.mgrid[1 : wide - 1, 1 : wide - 1]
        steps = np.array([dy * wide + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
        found.append((first + y * wide + x).reshape(-1, 1) + steps)
        first += wide * wide
    return np.concatenate(found)


def head_at(head: nn.Module, around: Tensor, levels: Tensor) -> Cells:
    """What a NanoDet head says at K cells: the same as over whole images. around: (K, 9 * channels); levels: (K,) the
    index of each cell's stride."""
    rows = torch.empty(len(around), plan.NUM_CLASSES + 4 * plan.BINS)
    features: Any = head.features
    predictions: Any = head.predictions
    for level in range(len(plan.STRIDES)):
        chosen = torch.nonzero(levels == level).squeeze(1)
        first, last = features[level], predictions[level]
        kernel = first.weight.permute(0, 2, 3, 1).reshape(first.out_channels, _REACH * first.in_channels)
        x = functional.leaky_relu(functional.linear(around[chosen], kernel, first.bias), plan.LEAKY_SLOPE)
        said = functional.linear(x, last.weight.flatten(1), last.bias)
        rows = rows.index_copy(0, chosen, said)
    return Cells(rows[:, : plan.NUM_CLASSES], rows[:, plan.NUM_CLASSES :].reshape(-1, 4, plan.BINS))
