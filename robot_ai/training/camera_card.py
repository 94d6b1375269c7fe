"""From a fine-tuned head to a model's folder: the base model's card with other weights and another golden sample."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
import yaml
from numpy.typing import NDArray

from robot_ai.models.artifacts import checksum
from robot_ai.models.card import CARD_FILE, ModelCard
from robot_ai.models.golden import GoldenSample
from robot_ai.models.networks.nanodet_torch import NanoDetG
from robot_ai.training.lidar_card import Origin

_GOLDEN = "golden.safetensors"


def write_model(
    base: ModelCard, folder: Path, network: NanoDetG, image: NDArray[np.float32], origin: Origin
) -> ModelCard:
    """Writes card, weights at half precision and golden sample, made of a preprocessed `image` (1, 3, H, W).

    Both frameworks take these weights; other formats are made by the model tool. Returns the card, read and checked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights, golden = folder / f"{folder.name}.safetensors", folder / _GOLDEN
    tensors = {name: tensor.detach().numpy().astype(np.float16) for name, tensor in network.state_dict().items()}
    safetensors.numpy.save_file(tensors, weights)
    stored = NanoDetG()
    stored.load_state_dict({name: torch.from_numpy(array).float() for name, array in tensors.items()})
    stored.eval()
    with torch.inference_mode():
        outputs = {name: tensor.numpy() for name, tensor in stored(torch.from_numpy(image)).items()}
    GoldenSample({base.inputs[0].name: image}, outputs).save(golden)
    for file in (weights, golden):
        file.chmod(0o644)  # safetensors writes files that only their owner reads; a node may run as another user
    content: dict[str, Any] = yaml.safe_load((base.directory / CARD_FILE).read_text(encoding="utf-8"))
    content |= {"name": folder.name, "version": origin.version}
    content["source"] = (
        f"head of {base.name} {base.version} fine-tuned on simulated views: {origin.command}. {content['source']}"
    )
    kept = {key: entry for key, entry in content["artifacts"].items() if key in ("pytorch", "tensorflow")}
    content["artifacts"] = {
        key: entry | {"path": weights.name, "sha256": checksum(weights)} for key, entry in kept.items()
    }
    content["golden"] = {"path": _GOLDEN, "sha256": checksum(golden)}
    text = yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True)
    (folder / CARD_FILE).write_text(f"# Written by robot_ai train camera.\n{text}", encoding="utf-8")
    notice = base.directory / "LICENSE"
    if notice.is_file():
        shutil.copyfile(notice, folder / notice.name)
    return ModelCard.load(folder)
