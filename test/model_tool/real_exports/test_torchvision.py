"""torchvision's networks, exported by PyTorch and imported by us: our boxes beside torchvision's own.

Weights are random (none can be downloaded here), spread so that scores differ; photos are real.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_networks import (
    SIZE,
    Photos,
    Record,
    Rows,
    compare,
    example,
    import_file,
    liven,
    prove_export,
    spread,
    threshold,
    within,
)

# The detectors, and the first class of each: RetinaNet has none for the background, and a sigmoid.
DETECTORS = {
    "ssdlite320_mobilenet_v3_large": 1,
    "ssd300_vgg16": 1,
    "fasterrcnn_mobilenet_v3_large_320_fpn": 1,
    "retinanet_resnet50_fpn": 0,
}
CLASSES = 91


def build(torchvision: Any, torch: Any, name: str, photos: Photos) -> Any:
    torch.manual_seed(1)
    # No resizing of its own: the input has the network's size.
    sizes = {} if "320" in name or "300" in name else {"min_size": SIZE, "max_size": SIZE}
    network = getattr(torchvision.models.detection, name)(weights=None, weights_backbone=None, **sizes).eval()
    liven(torch, network, photos)
    # The layers that give the scores.
    layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)]
    last = [layer for layer in layers if layer.weight.shape[0] % CLASSES == 0]
    deviation, bias = (3.0, 0.0) if DETECTORS[name] else (1.0, -4.0)
    spread(torch, last, lambda: network([example(torch, photos)[0]]), deviation, bias)
    return network


def rows(result: dict[str, Any], first: int, confidence: float) -> Rows:
    kept = result["scores"] >= confidence
    columns = [result["boxes"][kept].numpy(), result["scores"][kept].numpy(), result["labels"][kept].numpy() - first]
    return np.column_stack(columns).astype(np.float32)


@pytest.mark.parametrize("name", DETECTORS)
def test_detectors(
    *, torchvision: Any, torch: Any, tmp_path: Path, name: str, photos: Photos, record_property: Record
) -> None:
    network, first = build(torchvision, torch, name, photos), DETECTORS[name]
    file = tmp_path / f"{name}.onnx"
    size = 300 if "300" in name else SIZE
    torch.onnx.export(network, ([torch.rand(3, size, size)],), str(file), dynamo=False, opset_version=17)
    labels = tmp_path / "labels.txt"
    named = [f"thing {number}" for number in range(first, CLASSES)]
    labels.write_text("\n".join(["__background__", *named] if first else named))
    told = ["--labels", str(labels), "--confidence", "0.02", *([] if first else ["--option", "first_class=0"])]
    imported = import_file(file, tmp_path / "card", photos["china"], *told)
    assert imported.card.decoder.type == "torchvision"
    for photo, image in photos.items():
        batch = imported.batch(image)
        with torch.inference_mode():
            result = network([torch.from_numpy(batch[0])])[0]
        confidence = threshold(result["scores"].numpy(), min(60, len(result["scores"]) - 1))
        reference = rows(result, first, confidence)
        outputs = {key: result[key].numpy()[np.newaxis] for key in ("boxes", "labels", "scores")}
        compare(imported.decode(outputs, confidence), reference, record_property, f"{photo}, the same tensors")
        compare(imported.decode(imported.run(batch), confidence), reference, record_property, f"{photo}, onnx")
        height, width = image.shape[:2]
        reference[:, :4] *= np.array([width / size, height / size] * 2, np.float32)
        whole = within(reference, width, height)
        compare(imported.detect(image, confidence), whole, record_property, f"{photo}, whole")
    if "mobilenet" in name:
        prove_export(imported.card, tmp_path / "exported")
