"""YOLOX, exported as its project does: our boxes beside the project's own.

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
    compare,
    corners,
    example,
    import_file,
    letterboxed,
    liven,
    overlap_threshold,
    spread,
    threshold,
)


def limits(table: Any) -> tuple[float, float]:
    """Thresholds for a table (N, 5 + classes)."""
    scores = table[:, 4:5] * table[:, 5:]
    confidence = threshold(scores.max(axis=1), 100)
    kept = scores.max(axis=1) > confidence
    return confidence, overlap_threshold(corners(table[kept, :4]), scores[kept].argmax(axis=1), 0.3, 0.95)


@pytest.mark.parametrize("decoded", [False, True])
@pytest.mark.parametrize("name", ["yolox-nano", "yolox-s"])
def test_yolox(
    *, torch: Any, torchvision: Any, tmp_path: Path, name: str, decoded: bool, photos: Photos, record_property: Record
) -> None:
    pytest.importorskip("yolox", reason="yolox is not installed: docs/import.md says how to run this")
    from yolox.exp import get_exp
    from yolox.utils import postprocess

    torch.manual_seed(1)
    network = get_exp(exp_name=name).get_model()
    liven(torch, network, photos)
    head, run = network.head, lambda: network(example(torch, photos) * 255)
    spread(torch, [*head.cls_preds, *head.obj_preds], run, 2.0, -1.0)
    spread(torch, list(head.reg_preds), run, 0.5, 0.5)
    network.eval()
    network.head.decode_in_inference = decoded
    file = tmp_path / f"{name}.onnx"
    names = {"input_names": ["images"], "output_names": ["output"]}
    torch.onnx.export(network, (torch.rand(1, 3, SIZE, SIZE),), str(file), dynamo=False, opset_version=17, **names)
    # Rows of 85 may also be YOLOv8's: the number of labels decides.
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"thing {number}" for number in range(80)))
    told = ["--labels", str(labels), "--confidence", "0.02", *(["--option", "decoded=true"] if decoded else [])]
    imported = import_file(file, tmp_path / "card", photos["china"], *told)
    assert imported.card.decoder.type == "yolox"
    for photo, image in photos.items():
        batch = imported.batch(image)
        network.head.decode_in_inference = True
        with torch.inference_mode():
            raw = network(torch.from_numpy(batch))
        confidence, iou = limits(raw[0].numpy())
        found = postprocess(raw.clone(), 80, confidence, iou)[0].numpy()
        reference = np.column_stack([found[:, :4], found[:, 4] * found[:, 5], found[:, 6]]).astype(np.float32)[:300]
        compare(imported.decode(imported.run(batch), confidence, iou), reference, record_property, f"{photo}, onnx")
        whole = letterboxed(reference, image)
        compare(imported.detect(image, confidence, iou), whole, record_property, f"{photo}, whole")
