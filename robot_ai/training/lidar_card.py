"""From trained weights to a model's folder: card, weights and golden sample, ready for `method: pillars`."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch

from robot_ai.lidar.center_heads import COLUMNS
from robot_ai.lidar.pillars import CHANNELS, PillarGrid, encode
from robot_ai.models.artifacts import checksum
from robot_ai.models.card import CARD_FILE, ModelCard
from robot_ai.models.golden import GoldenSample
from robot_ai.models.networks import pillarnet_plan as plan
from robot_ai.models.networks.pillarnet_torch import PillarNet
from robot_ai.training.lidar_samples import Sample
from robot_ai.training.lidar_targets import CLASSES

NAME = "pillarnet"
_GOLDEN = "golden.safetensors"
_CARD = """\
# PillarNet: people, cyclists and vehicles in lidar clouds, 0.46 million parameters. docs/lidar.md says how good it is.
name: {name}
version: "{version}"
task: detection_3d
license: Apache-2.0
source: >-
  trained on simulated clouds alone: {command}

labels: [{labels}]

# The cloud from above, as robot_ai.lidar.pillars makes it.
inputs:
  - name: pillars
    side: {side}
    cell: {cell:g}
    channels: {channels}
    layout: NCHW
    dtype: float32

# Per cell of stride x stride pillars: class scores after the sigmoid; the box, as robot_ai.lidar.center_heads says.
outputs:
  - {{name: scores, shape: [batch, {cells}, {classes}], dtype: float32}}
  - {{name: boxes, shape: [batch, {cells}, {columns}], dtype: float32}}

decoder:
  type: center_heads
  stride: {stride}

thresholds:
  confidence: 0.4
  iou: 1.0  # boxes are told apart by the distance of their centers
  max_detections: 300

artifacts:
  pytorch:
    path: {weights}
    sha256: {weights_sum}
    network: robot_ai.models.networks.pillarnet_torch:PillarNet
    layout: NHWC  # as clouds are laid out; the network computes in channels-last memory
  tensorflow:
    path: {weights}
    sha256: {weights_sum}
    network: robot_ai.models.networks.pillarnet_tensorflow:PillarNet
    layout: NHWC

golden:
  path: {golden}
  sha256: {golden_sum}
"""


@dataclass(frozen=True)
class Origin:
    """Where weights come from: the command that made them, and a version that grows with their training."""

    command: str
    version: str


def write_model(weights: Path, folder: Path, grid: PillarGrid, sample: Sample, origin: Origin) -> ModelCard:
    """Writes the folder of a model; the golden sample is made of `sample`. Returns the card, read and checked."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{NAME}.safetensors"
    if weights.resolve() != kept.resolve():
        shutil.copyfile(weights, kept)
    network = PillarNet()
    network.load_state_dict({name: t.float() for name, t in safetensors.torch.load_file(kept).items()})
    network.eval()
    features = encode(sample.points, sample.above, grid).features[None]
    with torch.inference_mode():
        outputs = {name: tensor.numpy() for name, tensor in network(torch.from_numpy(features)).items()}
    GoldenSample({"pillars": features}, outputs).save(folder / _GOLDEN)
    for file in (kept, folder / _GOLDEN):
        file.chmod(0o644)  # safetensors writes files that only their owner reads; a node may run as another user
    cells = (grid.side // plan.STRIDE) ** 2
    text = _CARD.format(
        name=NAME,
        version=origin.version,
        command=origin.command,
        labels=", ".join(CLASSES),
        side=grid.side,
        cell=grid.cell,
        channels=CHANNELS,
        cells=cells,
        classes=plan.CLASSES,
        columns=COLUMNS,
        stride=plan.STRIDE,
        weights=kept.name,
        weights_sum=checksum(kept),
        golden=_GOLDEN,
        golden_sum=checksum(folder / _GOLDEN),
    )
    (folder / CARD_FILE).write_text(text, encoding="utf-8")
    return ModelCard.load(folder)
