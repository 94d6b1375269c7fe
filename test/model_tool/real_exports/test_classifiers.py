"""Classifiers of torchvision, timm and Keras, exported by their frameworks: our scores beside the library's own.

Weights are random (none can be downloaded here), spread so that scores differ; photos are real.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from real_networks import Imported, Photos, Record, example, import_file, liven, spread

from robot_ai.models.specs import ImageInput
from robot_ai.perception.preprocess import ImagePreprocessor

CLASSES, SIDE, TOP = 10, 96, 5
MOST_DIFFERENCE = 1e-4
FED = ImageInput("image", SIDE, SIDE, "NHWC", "float32", "rgb", (127.5,) * 3, (127.5,) * 3, "stretch", 0)


def hold_to(imported: Imported, photos: Photos, scores: dict[str, NDArray[Any]], record: Record) -> None:
    """The same classes in the same order, each over the whole photo, with the library's scores (CLASSES,)."""
    assert imported.card.decoder.type == "classification"
    for name, photo in photos.items():
        ranked = np.argsort(-scores[name])[:TOP]
        found = imported.detect(photo, 0.0)
        assert found[:, 5].astype(int).tolist() == ranked.tolist(), name
        apart = float(np.abs(found[:, 4] - scores[name][ranked]).max())
        record(name, f"{TOP} of {CLASSES} classes, best {scores[name].max():.3f}, score difference <= {apart:.2e}")
        assert apart <= MOST_DIFFERENCE
        height, width = photo.shape[:2]
        np.testing.assert_array_equal(found[:, :4], [[0, 0, width, height]] * TOP)
    imported.detector.close()


def pytorch_network(torch: Any, library: str, photos: Photos) -> Any:
    torch.manual_seed(1)
    if library == "torchvision":
        import torchvision

        network, last = torchvision.models.resnet18(weights=None, num_classes=CLASSES), "fc"
    else:
        timm = pytest.importorskip("timm", reason="timm is not installed: docs/import.md says how to run this")
        network, last = timm.create_model("mobilenetv3_small_050", pretrained=False, num_classes=CLASSES), "classifier"
    liven(torch, network, photos)

    def run() -> None:
        for photo in photos.values():
            network(example(torch, {"china": photo}, SIDE))

    spread(torch, [getattr(network, last)], run, 0.4)
    return network.eval()


@pytest.mark.parametrize("kind", ["onnx", "pt2", "torchscript"])
@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_pytorch_classifiers(
    *,
    torch: Any,
    torchvision: Any,
    tmp_path: Path,
    library: str,
    kind: str,
    photos: Photos,
    record_property: Record,
) -> None:
    network = pytorch_network(torch, library, photos)
    image, file = torch.rand(1, 3, SIDE, SIDE), tmp_path / f"net.{kind}"
    if kind == "onnx":
        torch.onnx.export(network, (image,), str(file), dynamo=False, opset_version=17)
    elif kind == "pt2":
        torch.export.save(torch.export.export(network, (image,)), file)
    else:
        torch.jit.trace(network, image).save(str(file))
    told = ["--size", f"{SIDE}x{SIDE}"] if kind == "torchscript" else []
    imported = import_file(file, tmp_path / "card", photos["china"], *told)
    scores = {}
    for name, photo in photos.items():
        with torch.inference_mode():
            scores[name] = network(torch.from_numpy(imported.batch(photo))).softmax(1)[0].numpy()
    hold_to(imported, photos, scores, record_property)


@pytest.mark.parametrize("kind", ["keras", "saved_model", "tflite"])
def test_keras_classifiers(tmp_path: Path, kind: str, photos: Photos, record_property: Record) -> None:
    tf = pytest.importorskip("tensorflow", reason="needs the extra tensorflow")
    pytest.importorskip("ai_edge_litert", reason="needs the extra litert")
    from tensorflow.keras.applications import mobilenet_v2

    tf.keras.utils.set_random_seed(1)
    network = mobilenet_v2.MobileNetV2((SIDE, SIDE, 3), alpha=0.35, weights=None, classes=CLASSES)
    batch = np.concatenate([ImagePreprocessor(FED)([photo])[0].copy() for photo in photos.values()])
    for layer in network.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            layer.momentum = 0.0  # its statistics are those of the next pass
    network(batch, training=True)
    *_, before, last = network.layers
    logits = tf.keras.Model(network.inputs, before.output)(batch) @ last.kernel
    last.kernel.assign(last.kernel * (2 / np.std(logits)))
    file = tmp_path / f"net.{kind}"
    if kind == "keras":
        network.save(file)
    else:
        network.export(tmp_path / "saved", verbose=False)
        file = tmp_path / "saved"
    if kind == "tflite":
        file = tmp_path / "net.tflite"
        file.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved")).convert())
    told = ["--mean", "127.5", "--std", "127.5", "--option", "activation=none"]
    imported = import_file(file, tmp_path / "card", photos["china"], *told)
    scores = {}
    for name, photo in photos.items():
        batch = imported.batch(photo)
        pixels = np.rint(batch * 127.5 + 127.5)
        np.testing.assert_allclose(mobilenet_v2.preprocess_input(pixels), batch, atol=1e-5)
        scores[name] = network(batch, training=False)[0].numpy()
    hold_to(imported, photos, scores, record_property)
