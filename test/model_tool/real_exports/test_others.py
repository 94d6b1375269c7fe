"""YOLOv5 with its anchors, YOLOX and CenterNet, exported as their projects do: our boxes beside the projects' own.

Weights are random (none can be downloaded here), spread so that scores differ; photos are real.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_networks import (
    SIZE,
    Image,
    Photos,
    Record,
    Rows,
    compare,
    corners,
    example,
    import_file,
    liven,
    overlap_threshold,
    spread,
    threshold,
    within,
)


def in_photo(found: Rows, photo: Image) -> Rows:
    """Boxes in the network's letterbox as boxes in the photo."""
    height, width = photo.shape[:2]
    gain = SIZE / max(height, width)
    inner = np.array([round(width * gain), round(height * gain)])
    moved = found.copy()
    moved[:, :4] = (moved[:, :4] - np.tile((SIZE - inner) // 2, 2)) / np.tile(inner / (width, height), 2)
    return within(moved, width, height)


def limits(table: Any) -> tuple[float, float]:
    """Thresholds for a table (N, 5 + classes)."""
    scores = table[:, 4:5] * table[:, 5:]
    confidence = threshold(scores.max(axis=1), 100)
    kept = scores.max(axis=1) > confidence
    return confidence, overlap_threshold(corners(table[kept, :4]), scores[kept].argmax(axis=1), 0.3, 0.95)


def checkout(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a checkout importable that is in no registry; several of them call their packages `models` and `utils`."""
    place = os.environ.get(variable)
    if place is None:
        pytest.skip(f"no checkout is named by {variable}: docs/import.md says how to run this")
    monkeypatch.syspath_prepend(place)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("models", "utils")]:
        monkeypatch.delitem(sys.modules, name)


def test_yolov5(
    *,
    torch: Any,
    ultralytics: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    photos: Photos,
    record_property: Record,
) -> None:
    checkout("YOLOV5", monkeypatch)
    from models.yolo import DetectionModel
    from utils.general import non_max_suppression

    torch.manual_seed(1)
    network = DetectionModel(str(Path(os.environ["YOLOV5"]) / "models" / "yolov5n.yaml"), ch=3, nc=80)
    liven(torch, network, photos)
    spread(torch, list(network.model[-1].m), lambda: network(example(torch, photos)), 0.7, -1.0)
    head = network.model[-1]
    network.eval()
    head.export, head.dynamic, head.inplace = True, False, False
    file = tmp_path / "yolov5n.onnx"
    names = {"input_names": ["images"], "output_names": ["output0"]}
    torch.onnx.export(network, (torch.rand(1, 3, SIZE, SIZE),), str(file), dynamo=False, opset_version=17, **names)
    imported = import_file(file, tmp_path / "card", photos["china"], "--confidence", "0.02")
    assert imported.card.decoder.type == "yolov5"
    for photo, image in photos.items():
        batch = imported.batch(image)
        with torch.inference_mode():
            raw = network(torch.from_numpy(batch))[0]
        confidence, iou = limits(raw[0].numpy())
        reference = non_max_suppression(raw.clone(), confidence, iou, max_det=300)[0].numpy()
        same = imported.decode({"predictions": raw.numpy()}, confidence, iou)
        compare(same, reference, record_property, f"{photo}, the same tensors")
        compare(imported.decode(imported.run(batch), confidence, iou), reference, record_property, f"{photo}, onnx")
        whole = in_photo(reference, image)
        compare(imported.detect(image, confidence, iou), whole, record_property, f"{photo}, whole")


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
        whole = in_photo(reference, image)
        compare(imported.detect(image, confidence, iou), whole, record_property, f"{photo}, whole")


def test_centernet(
    *, torch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photos: Photos, record_property: Record
) -> None:
    checkout("CENTERNET", monkeypatch)
    from models.decode import ctdet_decode
    from models.networks.msra_resnet import PoseResNet, resnet_spec

    torch.manual_seed(1)
    block, layers = resnet_spec[18]
    network = PoseResNet(block, layers, {"hm": 80, "wh": 2, "reg": 2}, head_conv=64)
    liven(torch, network, photos)
    # As it is fed; a sigmoid that is 1 in whole regions would have a peak in each of their cells.
    run = functools.partial(network, (example(torch, photos) * 255 - 110) / 72)
    spread(torch, [network.hm[-1]], run, 1.0, -3.0)
    spread(torch, [network.wh[-1]], run, 3.0, 15.0)
    spread(torch, [network.reg[-1]], run, 0.2, 0.5)
    network.eval()

    class Bare(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: Any) -> Any:
            found = self.network(image)[-1]
            return found["hm"], found["wh"], found["reg"]

    file = tmp_path / "centernet.onnx"
    names = {"input_names": ["image"], "output_names": ["hm", "wh", "reg"]}
    torch.onnx.export(Bare(), (torch.rand(1, 3, SIZE, SIZE),), str(file), dynamo=False, opset_version=17, **names)
    imported = import_file(file, tmp_path / "card", photos["china"], "--confidence", "0.02")
    assert imported.card.decoder.type == "centernet"
    assert imported.card.decoder.options == {"stride": 4, "layout": "NCHW"}
    for photo, image in photos.items():
        batch = imported.batch(image)
        with torch.inference_mode():
            found = network(torch.from_numpy(batch))[-1]
            listed = ctdet_decode(found["hm"].sigmoid(), found["wh"], found["reg"], K=100)[0].numpy()
        confidence = threshold(listed[:, 4], 99)
        listed = listed[listed[:, 4] > confidence]
        listed[:, :4] *= 4  # cells of 4 pixels
        compare(imported.detect(image, confidence), in_photo(listed, image), record_property, photo)
