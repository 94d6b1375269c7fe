"""Exports by real converters with a tiny network, and what cannot be exported."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tiny_model
from safetensors.numpy import load_file, save_file

from robot_ai.backends.loading import BackendChoice, load_backend
from robot_ai.cli.main import main
from robot_ai.model_tool.export.errors import ConverterMissingError, ExportDamagedError, NoRouteError, OutputError
from robot_ai.model_tool.export.exporter import ExportRequest, export_model
from robot_ai.model_tool.export.formats import FORMATS, parse_formats
from robot_ai.models.artifacts import backend_of, checksum
from robot_ai.models.card import ModelCard
from robot_ai.models.golden import GoldenSample

TORCH, TENSORFLOW = ("pt2", "torchscript", "onnx"), ("saved_model", "keras", "tflite", "tflite-int8", "onnx")


CONVERTERS = ("torch", "tensorflow", "onnxscript", "tf2onnx", "onnx2torch", "onnxruntime", "ai_edge_litert", "skimage")


@pytest.fixture(autouse=True, scope="module")
def converters() -> None:
    missing = [module for module in CONVERTERS if find_spec(module) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: the converters are in the extra convert, photos in demo")


def export(model: Path, formats: str, output: Path, source: str | None = None) -> ModelCard:
    said: list[str] = []
    request = ExportRequest(str(model), parse_formats(formats), output, source, calibration_views=8)
    assert export_model(request, said.append) == output
    assert any(line.startswith("[1/") for line in said)
    return ModelCard.load(output)


def outputs(card: ModelCard, key: str, count: int = 3) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What the artifact gives for a batch that it never saw, and what the network in NumPy gives."""
    chosen, backend = load_backend(BackendChoice(str(card.directory), key, "cpu", threads=1))
    layout = chosen.input_for(backend_of(key)).layout
    given = backend.infer({"image": tiny_model.images(count, layout, seed=9)})
    result = {name: np.array(array) for name, array in given.items()}
    backend.close()
    return result, tiny_model.expected(tiny_model.images(count, seed=9))


def test_pytorch_goes_to_every_format_of_its_world(tmp_path: Path) -> None:
    model = tiny_model.write_tiny_card(tmp_path / "tiny", ["pytorch"])
    card = export(model, ",".join(TORCH), tmp_path / "out")
    for name in TORCH:
        given, expected = outputs(card, FORMATS[name].key)
        for tensor, array in expected.items():
            np.testing.assert_allclose(given[tensor], array, atol=1e-4, err_msg=f"{name} {tensor}")
    assert ModelCard.load(model).artifacts.keys() == {"pytorch"}, "the source stays as it was"


def test_tensorflow_goes_to_every_format_of_its_world(tmp_path: Path) -> None:
    model = tiny_model.write_tiny_card(tmp_path / "tiny", ["tensorflow/keras"])
    card = export(model, ",".join(TENSORFLOW), tmp_path / "out")
    for name in TENSORFLOW:
        given, expected = outputs(card, FORMATS[name].key)
        for tensor, array in expected.items():
            if name == "tflite-int8":
                # Calibrated on photos, it clips where noise goes further: a few numbers are off, the many are not.
                assert 0 < np.abs(given[tensor] - array).mean() < 0.02
            else:
                np.testing.assert_allclose(given[tensor], array, atol=1e-4, err_msg=f"{name} {tensor}")
    assert card.artifacts["litert/int8"].precision == "int8"


@pytest.mark.parametrize("key", ["onnx", "tensorflow/saved_model", "litert"])
def test_the_other_world_reaches_torchscript(tmp_path: Path, key: str) -> None:
    model = tiny_model.write_tiny_card(tmp_path / "tiny", [key])
    card = export(model, "torchscript", tmp_path / "out")
    given, expected = outputs(card, "pytorch/torchscript", count=2)
    for tensor, array in expected.items():
        np.testing.assert_allclose(given[tensor], array, atol=1e-4, err_msg=tensor)


def test_weights_that_are_float16_numbers_are_stored_so(tmp_path: Path) -> None:
    import onnx

    model = tiny_model.write_tiny_card(tmp_path / "tiny", ["pytorch"])
    weights = {
        name: array.astype(np.float16).astype(np.float32)
        for name, array in load_file(model / "tiny.safetensors").items()
    }
    save_file(weights, model / "tiny.safetensors")
    text = (model / "model.yaml").read_text(encoding="utf-8")
    before = ModelCard.load(model, backends=()).artifacts["pytorch"].sha256 or ""
    (model / "model.yaml").write_text(text.replace(before, checksum(model / "tiny.safetensors")), encoding="utf-8")
    card = export(model, "onnx", tmp_path / "out")
    stored = onnx.load(str(card.artifacts["onnx"].path)).graph.initializer
    kinds = {tensor.data_type for tensor in stored if np.prod(tensor.dims) >= 256}
    assert kinds == {onnx.TensorProto.FLOAT16}
    given, _ = outputs(card, "onnx")
    assert all(array.dtype == np.float32 for array in given.values())


def test_tfjs_is_the_same_graph(tmp_path: Path) -> None:
    """Puts the shards' content back into the graph of model.json and runs that."""
    import tensorflow as tf
    from google.protobuf.json_format import ParseDict

    model = tiny_model.write_tiny_card(tmp_path / "tiny", ["tensorflow/keras"])
    card = export(model, "tfjs", tmp_path / "out")
    folder = card.artifacts["tfjs"].path
    assert folder is not None
    content = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert content["format"] == "graph-model"
    (group,) = content["weightsManifest"]
    data = b"".join((folder / name).read_bytes() for name in group["paths"])
    graph, start = ParseDict(content["modelTopology"], tf.compat.v1.GraphDef()), 0
    nodes = {node.name: node for node in graph.node}
    for entry in group["weights"]:
        stored = entry.get("quantization", entry)["dtype"]
        count = int(np.prod(entry["shape"]))
        array = np.frombuffer(data, stored, count, start).reshape(entry["shape"]).astype(entry["dtype"])
        start += count * np.dtype(stored).itemsize
        nodes[entry["name"]].attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array))
    assert start == len(data)
    signature = content["signature"]
    run = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), []).prune(
        signature["inputs"]["image"]["name"], {name: info["name"] for name, info in signature["outputs"].items()}
    )
    given = run(tf.constant(tiny_model.images(2, "NHWC", seed=9)))
    for tensor, array in tiny_model.expected(tiny_model.images(2, seed=9)).items():
        np.testing.assert_allclose(given[tensor].numpy(), array, atol=1e-4, err_msg=tensor)


def test_micro_is_a_c_array_whose_arena_was_measured(tmp_path: Path) -> None:
    model = tiny_model.write_tiny_card(tmp_path / "tiny", ["tensorflow/keras"])
    try:
        card = export(model, "tflite-int8,tflite-micro", tmp_path / "out")
    except ConverterMissingError as error:
        pytest.skip(f"PyPI cannot be reached for TensorFlow Lite Micro: {error}")
    folder, options = card.artifacts["tflite_micro"].path, card.artifacts["tflite_micro"].options
    assert folder is not None
    header, source = ((folder / f"tiny.{suffix}").read_text(encoding="utf-8") for suffix in ("h", "cc"))
    content = bytes(
        int(byte, 16)
        for byte in source.partition("{")[2].partition("}")[0].replace("\n", "").split(",")
        if byte.strip()
    )
    assert content == (folder / "tiny.tflite").read_bytes() == (tmp_path / "out" / "tiny_int8.tflite").read_bytes()
    assert f"g_tiny_arena_size = {options['arena_bytes']}" in header
    # The hidden activations alone, 8 channels of 8x8 in int8, beside the float image and outputs.
    assert 32 * 32 * 3 < options["arena_bytes"] < 1 << 20
    assert "CONV_2D" in options["operations"]
    assert "resolver.AddConv2D() == 0" in header
    assert f"g_tiny_operation_count = {len(options['operations'])};" in header


def test_a_golden_sample_is_made_where_there_is_none(tmp_path: Path) -> None:
    model = tiny_model.write_tiny_card(tmp_path / "tiny", ["pytorch"])
    text = (model / "model.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
    start = text.index("golden:\n")
    (model / "model.yaml").write_text("".join(text[:start] + text[start + 3 :]), encoding="utf-8")
    assert ModelCard.load(model).golden is None
    card = export(model, "torchscript", tmp_path / "out")
    sample = GoldenSample.load(card)
    assert sample is not None
    for name, array in tiny_model.expected(sample.inputs["image"]).items():
        np.testing.assert_allclose(sample.outputs[name], array, atol=1e-4)


def test_an_export_that_is_another_model_is_taken_back(tmp_path: Path) -> None:
    """The golden sample is of other weights, as if the converter had damaged them."""
    model = tiny_model.write_tiny_card(tmp_path / "tiny", ["pytorch"])
    before = ModelCard.load(model, backends=()).golden
    assert before is not None
    sample = tiny_model.images(1)
    wrong = {name: array + 1 for name, array in tiny_model.expected(sample).items()}
    GoldenSample({"image": sample}, wrong).save(before.path)
    text = (model / "model.yaml").read_text(encoding="utf-8")
    (model / "model.yaml").write_text(text.replace(before.sha256, checksum(before.path)), encoding="utf-8")
    with pytest.raises(ExportDamagedError, match="golden sample"):
        export(model, "torchscript", tmp_path / "out")
    card = ModelCard.load(tmp_path / "out")
    assert card.artifacts.keys() == {"pytorch"}
    assert not list((tmp_path / "out").glob("*torchscript*"))
    assert not list((tmp_path / "out").glob(".*"))


def test_a_stub_cannot_be_exported(stub_card, tmp_path: Path) -> None:
    with pytest.raises(NoRouteError, match="stub"):
        export(stub_card(), "onnx", tmp_path / "out")


def test_another_models_directory_is_not_written_to(tmp_path: Path, stub_card) -> None:
    model = tiny_model.write_tiny_card(tmp_path / "tiny", ["pytorch"])
    with pytest.raises(OutputError, match="bright"):
        export(model, "onnx", stub_card())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="not empty"):
        export(model, "onnx", tmp_path / "full")


def test_the_command_says_what_it_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tiny_model.write_tiny_card(tmp_path / "tiny", ["pytorch"])
    arguments = ["model", "export", str(model), "--output", str(tmp_path / "out")]
    assert main([*arguments, "--to", "torchscript"]) == 0
    assert "robot_ai model verify" in capsys.readouterr().out
    assert main([*arguments, "--to", "torchscirpt"]) == 1
    assert "did you mean torchscript?" in capsys.readouterr().err
