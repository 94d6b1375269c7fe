"""CenterNet's own network, and our boxes beside those of its own decoding.

Weights are random (none can be downloaded here), spread so that scores differ; photos are real. The project is no
package: CENTERNET names a clone of https://github.com/xingyizhou/CenterNet.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_networks import (
    SIZE,
    Photos,
    Record,
    compare,
    example,
    import_file,
    letterboxed,
    liven,
    spread,
    threshold,
    within,
)

CLASSES, STRIDE = 20, 4
HEADS = {"hm": CLASSES, "wh": 2, "reg": 2}


@pytest.fixture
def centernet(torch: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Its modules for networks and decoding."""
    folder = os.environ.get("CENTERNET")
    if folder is None:
        pytest.skip("CENTERNET names no clone of the project: docs/import.md says how to run this")
    monkeypatch.syspath_prepend(str(Path(folder) / "src" / "lib"))
    return importlib.import_module("models.networks.msra_resnet"), importlib.import_module("models.decode")


def build(torch: Any, networks: Any, photos: Photos) -> Any:
    torch.manual_seed(1)
    block, layers = networks.resnet_spec[18]
    network = networks.PoseResNet(block, layers, HEADS, head_conv=64).eval()
    liven(torch, network, photos)
    last = {name: getattr(network, name)[-1] for name in HEADS}

    def run() -> None:
        for photo in photos.values():
            network(example(torch, {"china": photo}))

    for name, deviation, bias in (("hm", 0.2, -3.0), ("wh", 0.5, 12.0), ("reg", 0.05, 0.5)):
        spread(torch, [last[name]], run, deviation, bias)
    return network


@pytest.mark.parametrize("kind", ["onnx", "pt2"])
def test_centernet(
    *, centernet: Any, torch: Any, tmp_path: Path, kind: str, photos: Photos, record_property: Record
) -> None:
    networks, decode = centernet
    network = build(torch, networks, photos)

    class Maps(torch.nn.Module):  # type: ignore[misc]
        """What an exporter takes: tensors, not a list of dictionaries."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: Any) -> Any:
            return self.network(image)[-1]

    file, image = tmp_path / f"centernet.{kind}", (torch.rand(1, 3, SIZE, SIZE),)
    if kind == "onnx":
        named = {"input_names": ["image"], "output_names": list(HEADS)}
        torch.onnx.export(Maps().eval(), image, str(file), dynamo=False, opset_version=17, **named)
    else:
        torch.export.save(torch.export.export(Maps().eval(), image), file)
    imported = import_file(file, tmp_path / "card", photos["china"], "--confidence", "0.02")
    assert imported.card.decoder.type == "centernet"
    assert imported.card.decoder.options == {"stride": STRIDE, "layout": "NCHW"}
    assert len(imported.card.labels) == CLASSES
    for name, photo in photos.items():
        batch = imported.batch(photo)
        with torch.inference_mode():
            maps = network(torch.from_numpy(batch))[-1]
            found = decode.ctdet_decode(maps["hm"].sigmoid(), maps["wh"], reg=maps["reg"], K=100)[0].numpy()
        confidence = threshold(found[:, 4], 80)
        reference = found[found[:, 4] >= confidence].astype(np.float32)
        reference[:, :4] *= STRIDE
        tensors = {"heatmap": maps["hm"].numpy(), "size": maps["wh"].numpy(), "offset": maps["reg"].numpy()}
        clipped = within(reference, SIZE, SIZE)
        compare(imported.decode(tensors, confidence), clipped, record_property, f"{name}, the same tensors")
        compare(imported.decode(imported.run(batch), confidence), clipped, record_property, f"{name}, {kind}")
        whole = letterboxed(clipped, photo)
        compare(imported.detect(photo, confidence), whole, record_property, f"{name}, whole")
    imported.detector.close()
