"""DETR and its relatives of Hugging Face's transformers: our boxes beside its own post-processing.

Weights are random (none can be downloaded here) and the networks small, spread so that scores differ; photos are real.
"""

from __future__ import annotations

import functools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from real_networks import SIZE, Photos, Record, compare, example, import_file, liven, spread, threshold, within

CLASSES = 7
SMALL = {
    "d_model": 64,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "num_queries": 60,
    "num_labels": CLASSES,
}
HYBRID = {"encoder_hidden_dim": 64, "decoder_in_channels": [64] * 3}
# By family: its classes' name, whether its scores are a softmax with "no object", and the configuration.
FAMILIES: dict[str, tuple[str, bool, dict[str, Any]]] = {
    "detr": ("Detr", True, SMALL),
    "yolos": (
        "Yolos",
        True,
        {
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "image_size": [SIZE, SIZE],
            "num_detection_tokens": 60,
            "num_labels": CLASSES,
        },
    ),
    "conditional_detr": ("ConditionalDetr", False, SMALL),
    "rt_detr": ("RTDetr", False, {**SMALL, **HYBRID}),
    "rt_detr_v2": ("RTDetrV2", False, {**SMALL, **HYBRID}),
}
# What the families that are fed plain parts of 255 must be told.
PLAIN = ["--mean", "0", "--std", "255"]


def build(transformers: Any, torch: Any, family: str, photos: Photos) -> Any:
    name, _, options = FAMILIES[family]
    torch.manual_seed(1)
    config = getattr(transformers, f"{name}Config")(**options)
    network = getattr(transformers, f"{name}ForObjectDetection")(config).eval()
    liven(torch, network, photos)
    if family == "yolos":  # its queries are all nought otherwise, and so alike
        network.vit.embeddings.detection_tokens.data.normal_(generator=torch.Generator().manual_seed(2))
    linear = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, torch.nn.Linear)]
    scores = [layer for _, layer in linear if layer.out_features in (CLASSES, CLASSES + 1)]
    boxes = [layer for name, layer in linear if layer.out_features == 4 and "bbox" in name]
    run = functools.partial(network, pixel_values=example(torch, photos))
    spread(torch, scores, run, 2.0)
    spread(torch, boxes, run, 1.0)
    return network


class Bare:
    """A network's two tensors as a module of PyTorch's, which is what is exported."""

    def __new__(cls, torch: Any, network: Any) -> Any:
        class Module(torch.nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.network = network

            def forward(self, pixel_values: Any) -> Any:
                found = self.network(pixel_values=pixel_values)
                return {"logits": found.logits, "pred_boxes": found.pred_boxes}

        return Module().eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_detr_and_its_relatives(
    *, transformers: Any, torch: Any, tmp_path: Path, family: str, photos: Photos, record_property: Record
) -> None:
    name, with_softmax, _ = FAMILIES[family]
    network = build(transformers, torch, family, photos)
    module, given = Bare(torch, network), torch.rand(1, 3, SIZE, SIZE)
    file = tmp_path / f"{family}.onnx"
    names = {"input_names": ["pixel_values"], "output_names": ["logits", "pred_boxes"]}
    torch.onnx.export(module, (given,), str(file), dynamo=False, opset_version=17, **names)
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"thing {number}" for number in range(CLASSES)))
    told = [
        "--labels",
        str(labels),
        "--confidence",
        "0.05",
        *(PLAIN if name in ("RTDetr", "RTDetrV2") else []),
    ]
    imported = import_file(file, tmp_path / "card", photos["china"], *told)
    assert imported.card.decoder.type == "detr"
    assert imported.card.decoder.options == {"activation": "softmax" if with_softmax else "sigmoid"}
    assert imported.card.inputs[0].std == ((255,) * 3 if "--std" in told else (58.395, 57.12, 57.375))
    # The same function for all; the fast processors of some need torchvision, those of PIL do not.
    processor = getattr(transformers, f"{name}ImageProcessor", None) or transformers.RTDetrImageProcessor
    for photo, image in photos.items():
        height, width = image.shape[:2]
        batch = torch.from_numpy(imported.batch(image))
        with torch.inference_mode():
            found = network(pixel_values=batch)
        result = SimpleNamespace(logits=found.logits, pred_boxes=found.pred_boxes)
        chances = found.logits.softmax(-1)[..., :-1].amax(-1) if with_softmax else found.logits.sigmoid()
        confidence = threshold(chances.numpy(), 50)
        theirs = processor().post_process_object_detection(result, confidence, target_sizes=[(height, width)])[0]
        columns = [theirs["boxes"].numpy(), theirs["scores"].numpy(), theirs["labels"].numpy()]
        reference = within(np.column_stack(columns).astype(np.float32), width, height)
        compare(imported.detect(image, confidence), reference, record_property, photo)
    imported.detector.close()
