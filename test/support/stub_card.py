"""A model card for the stub backend, which boxes bright pixels: real code from end to end without a framework."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def write_stub_card(
    folder: Path, *, size: int = 416, layout: str = "NHWC", resize: str = "stretch", **options: Any
) -> Path:
    """Writes `folder`/bright/model.yaml; `options` are those of the stub backend. Returns the card's directory."""
    card = {
        "name": "bright",
        "version": "1",
        "task": "detection",
        "license": "Apache-2.0",
        "source": "made by the tests",
        "labels": ["bright", "other"],
        "inputs": [
            {
                "name": "image",
                "height": size,
                "width": size,
                "layout": layout,
                "dtype": "uint8",
                "color": "bgr",
                "mean": [0, 0, 0],
                "std": [1, 1, 1],
                "resize": resize,
            }
        ],
        "outputs": [
            {"name": "boxes", "shape": ["batch", 4, 4], "dtype": "float32"},
            {"name": "scores", "shape": ["batch", 4, 2], "dtype": "float32"},
        ],
        "decoder": {"type": "boxes"},
        "thresholds": {"confidence": 0.3, "iou": 0.6, "max_detections": 10},
        "artifacts": {"stub": {"options": options} if options else {}},
    }
    directory = folder / "bright"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "model.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    return directory
