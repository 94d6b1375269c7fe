"""YOLOv5 with anchors and an objectness, exported as its project does: our boxes beside the project's own.

Weights are random (none can be downloaded here), spread so that scores differ; photos are real.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

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
    prove_export,
    spread,
    threshold,
)

MISSING = "the package yolov5 cannot be imported: docs/import.md says how to run this"


@pytest.fixture
def yolov5(torch: Any, torchvision: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("YOLOv5_AUTOINSTALL", "0")
    monkeypatch.chdir(tmp_path)
    package = pytest.importorskip("yolov5", reason=MISSING)
    pytest.importorskip("yolov5.export", reason=MISSING)
    # Its exporter is of before PyTorch had two.
    monkeypatch.setattr(torch.onnx, "export", functools.partial(torch.onnx.export, dynamo=False))
    return package


def limits(table: Any) -> tuple[float, float]:
    """Thresholds for a table (N, 5 + classes)."""
    scores = table[:, 4:5] * table[:, 5:]
    confidence = threshold(scores.max(axis=1), 100)
    kept = scores.max(axis=1) > confidence
    return confidence, overlap_threshold(corners(table[kept, :4]), scores[kept].argmax(axis=1), 0.3, 0.95)


@pytest.mark.parametrize("dynamic", [False, True])
def test_yolov5(
    *, yolov5: Any, torch: Any, tmp_path: Path, dynamic: bool, photos: Photos, record_property: Record
) -> None:
    from yolov5.export import export_onnx
    from yolov5.models.yolo import DetectionModel
    from yolov5.utils.general import non_max_suppression

    torch.manual_seed(1)
    network = DetectionModel(str(Path(yolov5.__path__[0]) / "models" / "yolov5n.yaml"))
    network.names = {number: f"thing {number}" for number in range(80)}
    liven(torch, network, photos)
    head = network.model[-1]
    spread(torch, list(head.m), lambda: network(example(torch, photos)), 0.5)
    for layer in head.m:
        # A size is the square of a sigmoid: weights that are not trained give boxes without area, which only we drop.
        layer.weight.data.view(head.na, head.no, -1)[:, 2:4] *= 0.4
        layer.bias.data.view(head.na, head.no)[:, 4:] = -2.0
    head.inplace, head.dynamic, head.export = False, dynamic, True
    image = torch.zeros(1, 3, SIZE, SIZE)
    network(image)
    file, _ = export_onnx(network, image, tmp_path / "yolov5n.pt", 17, dynamic, simplify=False)
    told = ["--confidence", "0.02", *(["--size", f"{SIZE}x{SIZE}"] if dynamic else [])]
    imported = import_file(Path(file), tmp_path / "card", photos["china"], *told)
    assert imported.card.decoder.type == "yolov5"
    assert imported.card.labels[79] == "thing 79"
    for photo, picture in photos.items():
        batch = imported.batch(picture)
        with torch.inference_mode():
            raw = network(torch.from_numpy(batch))[0]
        confidence, iou = limits(raw[0].numpy())
        reference = non_max_suppression(raw.clone(), confidence, iou, max_det=300)[0].numpy()
        same = imported.decode({"predictions": raw.numpy()}, confidence, iou)
        compare(same, reference, record_property, f"{photo}, the same tensors")
        compare(imported.decode(imported.run(batch), confidence, iou), reference, record_property, f"{photo}, onnx")
        whole = letterboxed(reference, picture)
        compare(imported.detect(picture, confidence, iou), whole, record_property, f"{photo}, whole")
    if not dynamic:
        prove_export(imported.card, tmp_path / "exported")
