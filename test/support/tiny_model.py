"""A tiny detection network with fixed weights, as an artifact in every format, written by the frameworks themselves.

The image (B, 3, 32, 32) float32 goes through a convolution of 4x4 with stride 4 and one of 1x1; the 64 places are
answered with `boxes` (B, 64, 4) and `scores` (B, 64, 2) after a sigmoid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from safetensors.numpy import save_file

from robot_ai.models.artifacts import checksum
from robot_ai.models.card import ModelCard
from robot_ai.models.golden import GoldenSample

SIDE = 32
# Per artifact: the module that must be installed to run it, and the one that writes it.
NEEDS = {
    "pytorch": ("torch", "torch"),
    "pytorch/pt2": ("torch", "torch"),
    "pytorch/torchscript": ("torch", "torch"),
    "pytorch/half_pt2": ("torch", "torch"),
    "pytorch/half_script": ("torch", "torch"),
    "tensorflow": ("tensorflow", "tensorflow"),
    "tensorflow/saved_model": ("tensorflow", "tensorflow"),
    "tensorflow/keras": ("tensorflow", "tensorflow"),
    "tensorflow/h5": ("tensorflow", "tensorflow"),
    "litert": ("ai_edge_litert", "tensorflow"),
    "litert/float16": ("ai_edge_litert", "tensorflow"),
    "litert/int8": ("ai_edge_litert", "tensorflow"),
    "onnx": ("onnxruntime", "onnx"),
    "onnx/float16": ("onnxruntime", "onnx"),
    "onnx/fixed": ("onnxruntime", "onnx"),
    "openvino": ("openvino", "onnx"),
    "openvino/fixed": ("openvino", "onnx"),
    "openvino/ir": ("openvino", "openvino"),
}
Writer = Callable[[Path], dict[str, Any]]


def weights() -> dict[str, NDArray[np.float32]]:
    """By name, in PyTorch's order of axes: (out, in, height, width)."""
    generator = np.random.default_rng(7)
    shapes = {"stem.weight": (8, 3, 4, 4), "stem.bias": (8,), "head.weight": (6, 8, 1, 1), "head.bias": (6,)}
    return {name: generator.normal(0, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}


def images(count: int, layout: str = "NCHW", seed: int = 3) -> NDArray[np.float32]:
    """A batch with values from 0 to 1."""
    batch = np.random.default_rng(seed).random((count, 3, SIDE, SIDE), np.float32)
    return np.ascontiguousarray(batch.transpose(0, 2, 3, 1)) if layout == "NHWC" else batch


def expected(batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """The network in NumPy, over a batch in NCHW."""
    w = weights()
    count, cells = len(batch), SIDE // 4
    patches = batch.reshape(count, 3, cells, 4, cells, 4).transpose(0, 2, 4, 1, 3, 5).reshape(count, cells * cells, 48)
    hidden = np.maximum(patches @ w["stem.weight"].reshape(8, 48).T + w["stem.bias"], 0)
    out = hidden @ w["head.weight"].reshape(6, 8).T + w["head.bias"]
    return {"boxes": out[..., :4], "scores": 1 / (1 + np.exp(-out[..., 4:]))}


def write_tiny_card(folder: Path, keys: Iterable[str], **changes: Any) -> Path:
    """Writes the model with these artifacts into `folder`; returns it. `changes` are those of the card's keys."""
    folder.mkdir(parents=True, exist_ok=True)
    artifacts = {}
    for key in keys:
        entry = WRITERS[key](folder)
        if "path" in entry:
            entry["sha256"] = checksum(folder / entry["path"])
        artifacts[key] = entry
    card = {
        "name": "tiny",
        "version": "1",
        "task": "detection",
        "license": "Apache-2.0",
        "source": "made by the tests",
        "labels": ["first", "second"],
        "inputs": [
            {
                "name": "image",
                "height": SIDE,
                "width": SIDE,
                "layout": "NCHW",
                "dtype": "float32",
                "color": "bgr",
                "mean": [0, 0, 0],
                "std": [255, 255, 255],
                "resize": "stretch",
            }
        ],
        "outputs": [
            {"name": "boxes", "shape": ["batch", 64, 4], "dtype": "float32"},
            {"name": "scores", "shape": ["batch", 64, 2], "dtype": "float32"},
        ],
        "decoder": {"type": "boxes"},
        "thresholds": {"confidence": 0.3, "iou": 0.6, "max_detections": 10},
        "artifacts": artifacts,
        **changes,
    }
    file = folder / "model.yaml"
    file.write_text(yaml.safe_dump(card), encoding="utf-8")
    if "golden" not in changes:
        sample = images(1)
        GoldenSample({"image": sample}, expected(sample)).save(folder / "golden.safetensors")
        card["golden"] = {"path": "golden.safetensors", "sha256": checksum(folder / "golden.safetensors")}
        file.write_text(yaml.safe_dump(card), encoding="utf-8")
    ModelCard.load(file)
    return folder


def torch_network() -> Any:
    """The network in PyTorch with its weights."""
    import torch
    from tiny_networks import TinyTorch

    network = TinyTorch().eval()
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights().items()})
    return network


def keras_network(batch: int | None = None) -> Any:
    """The network in Keras, over NHWC, with its weights and named outputs."""
    import tensorflow as tf

    layers = tf.keras.layers
    image = tf.keras.Input((SIDE, SIDE, 3), batch_size=batch, name="image")
    stem = layers.Conv2D(8, 4, 4, activation="relu", name="stem")
    head = layers.Conv2D(6, 1, name="head")
    # Slicing would be an operation that the .h5 format does not know.
    out = layers.Permute((2, 1))(layers.Reshape((64, 6))(head(stem(image))))
    boxes = layers.Permute((2, 1))(layers.Cropping1D((0, 2))(out))
    scores = layers.Activation("sigmoid")(layers.Permute((2, 1))(layers.Cropping1D((4, 0))(out)))
    model = tf.keras.Model(image, {"boxes": boxes, "scores": scores}, name="tiny")
    w = weights()
    for layer in (stem, head):
        layer.set_weights([w[f"{layer.name}.weight"].transpose(2, 3, 1, 0), w[f"{layer.name}.bias"]])
    return model


def _safetensors(folder: Path, network: str, **more: Any) -> dict[str, Any]:
    save_file(weights(), folder / "tiny.safetensors")
    return {"path": "tiny.safetensors", "network": f"tiny_networks:{network}", **more}


def _pt2(dtype: str) -> Writer:
    def write(folder: Path) -> dict[str, Any]:
        import torch

        batch, kind = torch.export.Dim("batch", min=1), getattr(torch, dtype)
        sample, network = torch.from_numpy(images(2)).to(kind), torch_network().to(kind)
        path = folder / f"tiny_{dtype}.pt2"
        torch.export.save(torch.export.export(network, (sample,), dynamic_shapes=({0: batch},)), path)
        return {"path": path.name, "precision": dtype}

    return write


def _torchscript(dtype: str) -> Writer:
    def write(folder: Path) -> dict[str, Any]:
        import torch

        kind = getattr(torch, dtype)
        path = folder / f"tiny_{dtype}.pt"
        torch.jit.trace(torch_network().to(kind), torch.from_numpy(images(2)).to(kind), strict=False).save(path)
        return {"path": path.name, "layout": "NHWC", "precision": dtype}

    return write


def _saved_model(folder: Path) -> dict[str, Any]:
    import tensorflow as tf

    model = keras_network()
    signature = [tf.TensorSpec((None, SIDE, SIDE, 3), tf.float32, name="picture")]
    serve = tf.function(lambda picture: model(picture, training=False), input_signature=signature)
    tf.saved_model.save(model, folder / "saved_model", signatures={"detect": serve})
    return {
        "path": "saved_model",
        "layout": "NHWC",
        "tensors": {"image": "picture"},
        "options": {"signature": "detect"},
    }


def _keras(suffix: str) -> Writer:
    def write(folder: Path) -> dict[str, Any]:
        keras_network().save(folder / f"tiny{suffix}")
        return {"path": f"tiny{suffix}", "layout": "NHWC"}

    return write


def _tflite(kind: str) -> Writer:
    def write(folder: Path) -> dict[str, Any]:
        import tensorflow as tf

        converter = tf.lite.TFLiteConverter.from_keras_model(keras_network())
        if kind != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if kind == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if kind == "int8":
            converter.representative_dataset = lambda: ([image[None]] for image in images(16, "NHWC"))
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        path = folder / f"tiny_{kind}.tflite"
        path.write_bytes(converter.convert())
        return {"path": path.name, "layout": "NHWC", "precision": kind}

    return write


def onnx_model(batch: int | str = "batch", dtype: str = "float32", outside: str | None = None) -> Any:
    """The network as an ONNX model; `outside` names a file in which the first weight is said to lie."""
    from onnx import TensorProto, helper, numpy_helper

    kind = TensorProto.FLOAT if dtype == "float32" else TensorProto.FLOAT16
    arrays = {name: array.astype(dtype) for name, array in weights().items()}
    constants: dict[str, NDArray[Any]] = {
        "places": np.array([0, 6, 64], np.int64),
        "zero": np.array([0], np.int64),
        "four": np.array([4], np.int64),
        "six": np.array([6], np.int64),
        "last": np.array([2], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["image", "stem.weight", "stem.bias"], ["s"], strides=[4, 4]),
        helper.make_node("Relu", ["s"], ["r"]),
        helper.make_node("Conv", ["r", "head.weight", "head.bias"], ["h"]),
        helper.make_node("Reshape", ["h", "places"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["t"], perm=[0, 2, 1]),
        helper.make_node("Slice", ["t", "zero", "four", "last"], ["boxes"]),
        helper.make_node("Slice", ["t", "four", "six", "last"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["scores"]),
    ]
    initializers = [numpy_helper.from_array(array, name) for name, array in {**arrays, **constants}.items()]
    if outside is not None:
        first = initializers[0]
        first.ClearField("raw_data")
        first.data_location = TensorProto.EXTERNAL
        first.external_data.add(key="location", value=outside)
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", kind, [batch, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(name, kind, [batch, 64, n]) for name, n in (("boxes", 4), ("scores", 2))],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def _onnx(batch: int | str = "batch", dtype: str = "float32") -> Writer:
    def write(folder: Path) -> dict[str, Any]:
        path = folder / f"tiny_{batch}_{dtype}.onnx"
        path.write_bytes(onnx_model(batch, dtype).SerializeToString())
        return {"path": path.name, "precision": dtype}

    return write


def _ir(folder: Path) -> dict[str, Any]:
    import openvino as ov

    model = ov.Core().read_model(onnx_model().SerializeToString())
    ov.save_model(model, folder / "ir" / "tiny.xml", compress_to_fp16=False)
    return {"path": "ir"}


WRITERS: dict[str, Writer] = {
    "pytorch": lambda folder: _safetensors(folder, "TinyTorch"),
    "pytorch/pt2": _pt2("float32"),
    "pytorch/torchscript": _torchscript("float32"),
    "pytorch/half_pt2": _pt2("float16"),
    "pytorch/half_script": _torchscript("float16"),
    "tensorflow": lambda folder: _safetensors(folder, "TinyKeras", layout="NHWC"),
    "tensorflow/saved_model": _saved_model,
    "tensorflow/keras": _keras(".keras"),
    "tensorflow/h5": _keras(".h5"),
    "litert": _tflite("float32"),
    "litert/float16": _tflite("float16"),
    "litert/int8": _tflite("int8"),
    "onnx": _onnx(),
    "onnx/float16": _onnx(dtype="float16"),
    "onnx/fixed": _onnx(1),
    "openvino": _onnx(),
    "openvino/fixed": _onnx(1),
    "openvino/ir": _ir,
}
