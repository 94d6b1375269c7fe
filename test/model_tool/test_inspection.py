"""Looking into real files of every format, and into what is none."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from robot_ai.model_tool.inspection.errors import (
    CheckpointError,
    InspectionError,
    OutsidePathError,
    SignatureError,
    UnknownFileError,
    UnreadableModelError,
)
from robot_ai.model_tool.inspection.formats import inspect_model
from robot_ai.model_tool.inspection.types import TensorInfo


class Trap:
    """A pickle of this would make a file when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_an_exported_program(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten())
    file = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(model.eval(), (torch.zeros(1, 3, 16, 16),)), file)
    found = inspect_model(file)
    assert (found.backend, found.parameters) == ("pytorch", 8 * 3 * 9 + 8)
    assert [(t.shape, t.dtype) for t in found.inputs or ()] == [((1, 3, 16, 16), "float32")]
    assert [(t.name, t.shape) for t in found.outputs or ()] == [("0", (1, 8 * 14 * 14))]


def test_an_exported_program_that_gives_a_dictionary_with_a_free_batch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Net(torch.nn.Module):  # type: ignore[name-defined]
        def forward(self, x: Any) -> dict[str, Any]:
            return {"mean": x.mean(dim=(2, 3)), "image": x + 1}

    file = tmp_path / "net.pt2"
    batch = {"x": {0: torch.export.Dim("batch")}}
    torch.export.save(torch.export.export(Net(), (torch.zeros(2, 3, 8, 8),), dynamic_shapes=batch), file)
    outputs = inspect_model(file).outputs
    assert outputs == (
        TensorInfo("mean", (None, 3), "float32"),
        TensorInfo("image", (None, 3, 8, 8), "float32"),
    )


def test_torchscript_tells_no_shapes_but_its_metadata(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    file = tmp_path / "net.torchscript"
    script = torch.jit.trace(torch.nn.Conv2d(3, 8, 3).eval(), torch.zeros(1, 3, 16, 16))
    told = {"names": {"0": "cat", "1": "dog"}, "imgsz": [16, 16]}
    script.save(str(file), _extra_files={"config.txt": json.dumps(told)})
    found = inspect_model(file)
    assert (found.format, found.inputs, found.outputs) == ("TorchScript", None, None)
    assert found.labels == ("cat", "dog")
    assert found.metadata["imgsz"] == "[16, 16]"


def test_a_state_dict_is_told_from_pickled_objects(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    weights, trap = tmp_path / "weights.pt", tmp_path / "trap.pt"
    torch.save(torch.nn.Linear(2, 2).state_dict(), weights)
    with pytest.raises(CheckpointError, match=r"weights only \(a state_dict\).*torch.onnx.export"):
        inspect_model(weights)
    mark = tmp_path / "opened"
    torch.save({"model": Trap(mark)}, trap)
    with pytest.raises(CheckpointError, match=r"pickle of Python objects \(.*was not opened"):
        inspect_model(trap)
    assert not mark.exists()


def test_an_ultralytics_checkpoint_says_how_it_is_exported(tmp_path: Path) -> None:
    """Its pickle is written by hand: the instructions that name a class of ultralytics, and an empty tuple."""
    file = tmp_path / "best.pt"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("best/data.pkl", b"\x80\x02cultralytics.nn.tasks\nDetectionModel\n)\x81.")
    with pytest.raises(CheckpointError, match=r"yolo export model=best.pt format=onnx; then import best.onnx"):
        inspect_model(file)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_bare_pickle_is_read_in_every_protocol_and_not_opened(tmp_path: Path, protocol: int) -> None:
    mark, file = tmp_path / "opened", tmp_path / "old.pth"
    file.write_bytes(pickle.dumps(Trap(mark), protocol))
    with pytest.raises(CheckpointError, match="pickle of Python objects"):
        inspect_model(file)
    assert not mark.exists()


def onnx_file(path: Path, metadata: dict[str, str] | None = None, last: str = "Identity") -> Path:
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["images"], ["flat"]), helper.make_node(last, ["flat"], ["output0"])],
        "net",
        [helper.make_tensor_value_info("images", kind, ["batch", 3, 4, 4])],
        [helper.make_tensor_value_info("output0", kind, ["batch", 48])],
    )
    model = helper.make_model(graph, producer_name="tests", opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, metadata or {})
    onnx.save(model, path)
    return path


def test_an_onnx_file(tmp_path: Path) -> None:
    found = inspect_model(onnx_file(tmp_path / "net.onnx", {"names": "{0: 'cat', 1: 'dog'}"}, "Softmax"))
    assert found.inputs == (TensorInfo("images", (None, 3, 4, 4), "float32"),)
    assert found.outputs == (TensorInfo("output0", (None, 48), "float32"),)
    assert (found.labels, found.precision, found.parameters) == (("cat", "dog"), "float32", 0)
    assert found.metadata["last_operation"] == "Softmax"
    assert found.metadata["producer"] == "tests"


def test_names_in_the_metadata_are_never_evaluated(tmp_path: Path) -> None:
    mark = tmp_path / "evaluated"
    names = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    assert inspect_model(onnx_file(tmp_path / "net.onnx", {"names": names})).labels == ()
    assert not mark.exists()


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "a/../../b"])
def test_onnx_weights_outside_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(onnx_file(tmp_path / "net.onnx")))
    tensor = model.graph.initializer.add(name="w", dims=[4], data_type=onnx.TensorProto.FLOAT)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(OutsidePathError, match="does not lie in its folder"):
        inspect_model(tmp_path / "net.onnx")


def test_a_saved_model_a_keras_file_and_a_tflite_file(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    image = tf.keras.Input((16, 16, 3), name="photo")
    pooled = tf.keras.layers.GlobalAveragePooling2D()(tf.keras.layers.Conv2D(8, 3)(image))
    model = tf.keras.Model(image, tf.keras.layers.Dense(5, activation="softmax", name="chances")(pooled))
    model.save(tmp_path / "net.keras")
    model.export(tmp_path / "saved", verbose=False)
    trained = 8 * 27 + 8 + 8 * 5 + 5

    keras = inspect_model(tmp_path / "net.keras")
    assert [t.shape for t in (*(keras.inputs or ()), *(keras.outputs or ()))] == [(None, 16, 16, 3), (None, 5)]
    assert (keras.parameters, keras.metadata["last_operation"]) == (trained, "softmax")

    saved = inspect_model(tmp_path / "saved")
    assert [t.shape for t in (*(saved.inputs or ()), *(saved.outputs or ()))] == [(None, 16, 16, 3), (None, 5)]
    assert saved.backend == "tensorflow"
    with pytest.raises(SignatureError, match=r"has the signatures serve.*serving_default; expected other"):
        inspect_model(tmp_path / "saved", "other")

    pytest.importorskip("ai_edge_litert", reason="needs the extra litert")
    file = tmp_path / "net.tflite"
    file.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved")).convert())
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("metadata.json", json.dumps({"author": "tests", "names": {"0": "cat"}}))
        archive.writestr("labelmap.txt", "cat\ndog\n")
    lite = inspect_model(file)
    assert [t.shape[1:] for t in (*(lite.inputs or ()), *(lite.outputs or ()))] == [(16, 16, 3), (5,)]
    assert (lite.backend, lite.labels, lite.metadata["author"]) == ("litert", ("cat", "dog"), "tests")


def test_a_keras_file_that_names_foreign_code_or_files_is_not_opened(tmp_path: Path) -> None:
    """As the backend refuses it: Keras' safe mode would import what a layer's module names."""
    tf = pytest.importorskip("tensorflow", exc_type=ImportError)
    h5py = pytest.importorskip("h5py")
    image = tf.keras.Input((16, 16, 3))
    tf.keras.Model(image, tf.keras.layers.Conv2D(8, 3)(image)).save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as good, zipfile.ZipFile(tmp_path / "bad.keras", "w") as bad:
        for name in good.namelist():
            bad.writestr(name, good.read(name).replace(b'"module": "keras.layers"', b'"module": "os.path"'))
    with pytest.raises(UnreadableModelError, match=r"a layer of the module 'os\.path'"):
        inspect_model(tmp_path / "bad.keras")
    tf.keras.models.load_model(tmp_path / "good.keras").save(tmp_path / "bad.h5")
    with h5py.File(tmp_path / "bad.h5", "a") as file:
        file["outside"] = h5py.ExternalLink("/etc/secret.h5", "/weights")
    with pytest.raises(UnreadableModelError, match=r"'outside', a link to /etc/secret\.h5"):
        inspect_model(tmp_path / "bad.h5")


@pytest.mark.parametrize("suffix", [".onnx", ".tflite", ".keras", ".h5", ".pt2", ".pt", ".pth"])
@pytest.mark.parametrize("content", [b"", b"not a model at all, but a line of text\n", b"PK\x03\x04" + b"\0" * 200])
def test_what_is_no_model_is_refused_with_its_name(tmp_path: Path, suffix: str, content: bytes) -> None:
    if suffix == ".onnx" and not content:
        pytest.skip("no bytes are an empty ONNX message; the importer refuses it for want of an input")
    file = tmp_path / f"net{suffix}"
    file.write_bytes(content)
    with pytest.raises(InspectionError, match=r"net\."):
        inspect_model(file)


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(UnknownFileError, match="does not exist"):
        inspect_model(tmp_path / "net.onnx")
    with pytest.raises(UnknownFileError, match=r"without saved_model.pb"):
        inspect_model(tmp_path)
    (tmp_path / "net.bin").write_bytes(b"1")
    with pytest.raises(UnknownFileError, match=r"ends in '.bin'; expected .*\.onnx"):
        inspect_model(tmp_path / "net.bin")
    (tmp_path / "saved_model.pb").write_bytes(b"nothing")
    pytest.importorskip("tensorflow")
    with pytest.raises(UnreadableModelError, match="is no SavedModel that can be read"):
        inspect_model(tmp_path)
