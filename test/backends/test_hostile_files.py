"""Files made to execute code, to write files or to read others: refused, and nothing of them happens."""

from __future__ import annotations

import importlib.util
import io
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_model import SIDE, images, keras_network, onnx_model, torch_network, write_tiny_card

from robot_ai.backends.errors import ArtifactLoadError
from robot_ai.backends.registry import create
from robot_ai.models.card import Artifact, ModelCard


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


@pytest.fixture
def refuse(tmp_path: Path) -> Callable[[str, Path, str], None]:
    """`refuse(backend, path, said)`: loading fails, says so, and leaves no `tmp_path/sprung` behind."""

    def check(backend: str, path: Path, said: str) -> None:
        folder = tmp_path / "card"
        if not folder.exists():
            write_tiny_card(folder, ["pytorch"])
        card = ModelCard.load(folder)
        layout = "NHWC" if backend == "tensorflow" else None
        bad = replace(card, artifacts={backend: Artifact(path=path, layout=layout)})
        with pytest.raises(ArtifactLoadError, match=said):
            loaded = create(backend)
            loaded.load(bad, "cpu", 1)
            loaded.infer({"image": images(1)})  # should it load, it must not get this far
        assert not (tmp_path / "sprung").exists()

    return check


Refuse = Callable[[str, Path, str], None]


def rewrite(source: Path, target: Path, change: Callable[[str, bytes], bytes | None], **extra: bytes) -> Path:
    """Copies a zip archive, changing or dropping members; `extra` are added below the same folder."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
        root = old.namelist()[0].partition("/")[0]
        for name, content in extra.items():
            new.writestr(name.replace("ROOT", root), content)
    return target


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch", exc_type=ImportError)


@pytest.fixture(scope="module")
def archives(torch: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("archives")
    sample = torch.zeros(1, 3, SIDE, SIDE)
    torch.export.save(torch.export.export(torch_network(), (sample,)), folder / "good.pt2")
    torch.jit.trace(torch_network(), sample, strict=False).save(folder / "good.pt")
    return {"pt2": folder / "good.pt2", "pt": folder / "good.pt"}


def test_a_pickled_checkpoint_is_never_opened(torch: Any, refuse: Refuse, tmp_path: Path) -> None:
    torch.save({"model": Trap(tmp_path / "sprung")}, tmp_path / "checkpoint.pt")
    refuse("pytorch", tmp_path / "checkpoint.pt", "is a pickled checkpoint.*never opened")


@pytest.mark.parametrize("suffix", ["pt", "pt2"])
def test_an_archive_with_a_path_outside_is_refused(
    archives: dict[str, Path], refuse: Refuse, tmp_path: Path, suffix: str
) -> None:
    for name in ("ROOT/../../sprung", "/sprung", "..\\sprung"):
        path = rewrite(archives[suffix], tmp_path / f"bad.{suffix}", lambda _, c: c, **{name: b"x"})
        refuse("pytorch", path, "which lies outside the archive's folder; nothing of it was executed")


def test_a_torchscript_pickle_with_code_is_refused(archives: dict[str, Path], refuse: Refuse, tmp_path: Path) -> None:
    trap = pickle.dumps(Trap(tmp_path / "sprung"), protocol=2)
    for member in ("data.pkl", "constants.pkl"):
        path = rewrite(
            archives["pt"], tmp_path / "bad.pt", lambda n, c, member=member: trap if n.endswith(f"/{member}") else c
        )
        refuse("pytorch", path, "a pickle with code in it")


def test_torchscript_that_writes_a_file_is_refused(torch: Any, refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "writer.py").write_text(
        "import torch\n"
        "class Writer(torch.nn.Module):\n"
        "    def forward(self, x: torch.Tensor):\n"
        f"        torch.save(x, '{tmp_path / 'sprung'}')\n"
        "        return x\n",
        encoding="utf-8",
    )
    spec = importlib.util.spec_from_file_location("writer", tmp_path / "writer.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.jit.script(module.Writer()).save(tmp_path / "bad.pt")
    refuse("pytorch", tmp_path / "bad.pt", "which calls 'save', an operator on files")


def program(change: Callable[[Any], None]) -> Callable[[str, bytes], bytes]:
    """Changes the program of a .pt2 archive."""

    def apply(name: str, content: bytes) -> bytes:
        if not name.endswith("models/model.json"):
            return content
        model = json.loads(content)
        change(model)
        return json.dumps(model).encode()

    return apply


def test_pt2_with_code_is_refused(archives: dict[str, Path], torch: Any, refuse: Refuse, tmp_path: Path) -> None:
    sprung = str(tmp_path / "sprung")

    def operator(model: Any) -> None:
        node = model["graph_module"]["graph"]["nodes"][0]
        node["target"] = "torch.os.system"
        node["inputs"] = [{"name": "", "arg": {"as_string": f"touch {sprung}"}, "kind": 1}]

    def size(model: Any) -> None:
        values = model["graph_module"]["graph"]["tensor_values"]
        code = f"__import__('pathlib').Path('{sprung}').touch()"
        values["image"]["sizes"][0] = {"as_expr": {"expr_str": code, "hint": {"as_int": 1}}}

    def limited(model: Any) -> None:
        model["range_constraints"][f"__import__('pathlib').Path('{sprung}').touch()"] = {"min_val": 1, "max_val": 2}

    def name(model: Any) -> None:
        model["graph_module"]["graph"]["inputs"][-1]["as_tensor"]["name"] = f"x=open('{sprung}','w')"

    sizes = ((size, "the size"), (limited, "the size"))
    for change, said in ((operator, "the operator 'torch.os.system'"), *sizes, (name, "the name")):
        refuse("pytorch", rewrite(archives["pt2"], tmp_path / "bad.pt2", program(change)), said)
    buffer = io.BytesIO()
    torch.save(((Trap(tmp_path / "sprung"),), {}), buffer)
    samples = rewrite(
        archives["pt2"], tmp_path / "bad.pt2", lambda n, c: buffer.getvalue() if "sample_inputs/" in n else c
    )
    refuse("pytorch", samples, "sample inputs with code in them")
    library = {"ROOT/data/aotinductor/model/x.so": b"\x7fELF"}
    refuse("pytorch", rewrite(archives["pt2"], tmp_path / "bad.pt2", lambda _, c: c, **library), "aotinductor")


def test_the_trap_in_pt2_would_spring(archives: dict[str, Path], torch: Any, tmp_path: Path) -> None:
    """PyTorch itself opens the pickle, so that the check above is no vain one."""
    buffer = io.BytesIO()
    torch.save(((Trap(tmp_path / "sprung"),), {}), buffer)
    bad = rewrite(archives["pt2"], tmp_path / "bad.pt2", lambda n, c: buffer.getvalue() if "sample_inputs/" in n else c)
    with suppress(Exception):  # what it says of the rest does not matter
        torch.export.load(str(bad))
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
@pytest.mark.parametrize("outside", ["../secret", "/etc/hostname", "weights.bin"])
def test_onnx_weights_outside_are_refused(backend: str, outside: str, refuse: Refuse, tmp_path: Path) -> None:
    for module in ("onnx", {"onnx": "onnxruntime"}.get(backend, backend)):
        pytest.importorskip(module, exc_type=ImportError)
    path = tmp_path / "bad.onnx"
    path.write_bytes(onnx_model(outside=outside).SerializeToString())
    refuse(backend, path, f"keeps weights in '{outside}', outside the artifact")


@pytest.fixture
def saved_model(tmp_path: Path) -> Path:
    tf = pytest.importorskip("tensorflow", exc_type=ImportError)
    model = keras_network()
    spec = [tf.TensorSpec((None, SIDE, SIDE, 3), tf.float32, name="image")]
    tf.saved_model.save(model, tmp_path / "saved", signatures=tf.function(model, spec))
    return tmp_path / "saved"


def test_a_saved_model_with_a_path_outside_is_refused(saved_model: Path, refuse: Refuse) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    file = saved_model / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    model.meta_graphs[0].asset_file_def.add(filename="../../sprung").tensor_info.name = "x:0"
    file.write_bytes(model.SerializeToString())
    refuse("tensorflow", saved_model, "the asset '../../sprung', which lies outside")


def test_a_saved_model_that_writes_a_file_is_refused(refuse: Refuse, tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow", exc_type=ImportError)

    class Writer(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((None, SIDE, SIDE, 3), tf.float32, name="image")])
        def __call__(self, image: Any) -> Any:
            tf.io.write_file(str(tmp_path / "sprung"), "x")
            return {"boxes": image}

    tf.saved_model.save(Writer(), tmp_path / "writer")
    refuse("tensorflow", tmp_path / "writer", "the operation 'WriteFile', which does more than compute")


def test_keras_files_with_code_are_refused(refuse: Refuse, tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow", exc_type=ImportError)
    image = tf.keras.Input((SIDE, SIDE, 3))
    model = tf.keras.Model(image, tf.keras.layers.Lambda(lambda x: x)(image))
    for suffix in (".keras", ".h5"):
        model.save(tmp_path / f"lambda{suffix}")
        refuse("tensorflow", tmp_path / f"lambda{suffix}", r"a layer with code in it \(Lambda\)")
    keras_network().save(tmp_path / "good.keras")

    def module(name: str, content: bytes) -> bytes:
        return (
            content.replace(b'"module": "keras.layers"', b'"module": "os.path"') if name == "config.json" else content
        )

    refuse("tensorflow", rewrite(tmp_path / "good.keras", tmp_path / "bad.keras", module), "a layer of the module 'os")


def test_an_h5_file_that_links_to_another_is_refused(refuse: Refuse, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    pytest.importorskip("tensorflow", exc_type=ImportError)
    keras_network().save(tmp_path / "good.h5")
    shutil.copy(tmp_path / "good.h5", tmp_path / "bad.h5")
    with h5py.File(tmp_path / "bad.h5", "a") as file:
        file["outside"] = h5py.ExternalLink("/etc/secret.h5", "/weights")
    refuse("tensorflow", tmp_path / "bad.h5", "'outside', a link to /etc/secret.h5")
