"""Every format of every local backend: the same tiny network, written by the frameworks, gives the same numbers."""

from __future__ import annotations

import gc
import re
import shutil
import sysconfig
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_model import NEEDS, expected, images, write_tiny_card

from robot_ai.backends.errors import (
    ArtifactLoadError,
    BackendOptionError,
    DeviceError,
    InferenceError,
    PrecisionError,
    VerificationError,
)
from robot_ai.backends.loading import BackendChoice, load_backend
from robot_ai.backends.protocol import Backend
from robot_ai.backends.registry import create
from robot_ai.models.artifacts import TOLERANCES, backend_of, checksum
from robot_ai.models.card import ModelCard
from robot_ai.models.errors import ArtifactChecksumError

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """`write(key)` gives the directory of a tiny model with that artifact alone, made once."""
    made: dict[str, Path] = {}

    def once(key: str) -> Path:
        for module in NEEDS[key]:
            pytest.importorskip(module, exc_type=ImportError)
        if key not in made:
            made[key] = write_tiny_card(tmp_path_factory.mktemp(key.replace("/", "_")), [key])
        return made[key]

    return once


@pytest.fixture(scope="module", params=NEEDS)
def key(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def load(folder: Path, key: str, **choice: Any) -> tuple[ModelCard, Backend]:
    return load_backend(BackendChoice(str(folder), key, **{"device": "cpu", "threads": 1, **choice}))


@pytest.mark.parametrize("count", [1, 3])
def test_it_gives_what_the_network_gives(write: Write, key: str, count: int) -> None:
    card, backend = load(write(key), key)
    image = card.input_for(backend_of(key))
    outputs = backend.infer({"image": images(count, image.layout)})
    wanted = expected(images(count))
    tolerance = TOLERANCES[card.artifact_for(backend_of(key)).precision]
    assert outputs.keys() == wanted.keys()
    for name, array in wanted.items():
        assert outputs[name].dtype == np.float32
        np.testing.assert_allclose(outputs[name], array, rtol=0, atol=tolerance * max(1, abs(array).max()))
    backend.close()


def test_what_it_gave_stays_and_wrong_inputs_do_not_end_it(write: Write, key: str) -> None:
    card, backend = load(write(key), key)
    image = images(1, card.input_for(backend_of(key)).layout)
    outputs = backend.infer({"image": image})
    kept = {name: array.copy() for name, array in outputs.items()}
    for wrong in ({}, {"image": image[:, :-1]}, {"image": image.astype(np.float64)}, {"other": image}):
        with pytest.raises(InferenceError, match=r"expected image \(batch, "):
            backend.infer(wrong)
    backend.infer({"image": np.zeros_like(image)})
    for name, array in kept.items():
        np.testing.assert_array_equal(outputs[name], array)
    backend.close()
    backend.close()
    with pytest.raises(InferenceError, match=r"holds no model"):
        backend.infer({"image": image})


def test_another_thread_may_infer(write: Write, key: str) -> None:
    card, backend = load(write(key), key)
    image = images(1, card.input_for(backend_of(key)).layout)
    seen: list[Any] = []
    worker = threading.Thread(target=lambda: seen.append(backend.infer({"image": image})))
    worker.start()
    worker.join(60)
    np.testing.assert_array_equal(seen[0]["boxes"], backend.infer({"image": image})["boxes"])
    backend.close()


def test_what_it_cannot_do_is_refused(write: Write, key: str) -> None:
    folder = write(key)
    with pytest.raises(PrecisionError, match=r"precision is 'int4'.*Choose one of these"):
        load(folder, key, precision="int4")
    with pytest.raises(BackendOptionError, match=r"has no option speed.*Remove it"):
        load(folder, key, options=("speed=9",))
    with pytest.raises(DeviceError, match=r"device is 'cuda:99'.*cannot use"):
        load(folder, key, device="cuda:99")


def test_a_file_that_was_changed_is_refused(write: Write, key: str, tmp_path: Path) -> None:
    """First by its checksum; with a checksum that fits, by the framework."""
    folder = write(key)
    card = ModelCard.load(folder)
    path = card.artifacts[key].path
    assert path is not None
    victim = max((file for file in path.rglob("*") if file.is_file()), key=lambda f: f.stat().st_size, default=path)
    victim = path / "saved_model.pb" if (path / "saved_model.pb").exists() else victim
    original = victim.read_bytes()
    victim.write_bytes(original[: len(original) // 2])
    try:
        with pytest.raises(ArtifactChecksumError):
            load(folder, key)
        damaged = replace(card, artifacts={key: replace(card.artifacts[key], sha256=checksum(path))}).select(key)
        with pytest.raises(ArtifactLoadError, match=str(folder)):
            create(backend_of(key)).load(damaged, "cpu", 1)
    finally:
        victim.write_bytes(original)


@pytest.mark.parametrize("key", ["litert", "onnx", "openvino", "pytorch", "pytorch/torchscript", "tensorflow"])
def test_a_model_that_gives_nan_is_refused(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tiny_model

    for module in NEEDS[key]:
        pytest.importorskip(module, exc_type=ImportError)
    sound = tiny_model.weights()
    broken = {**sound, "head.bias": np.full_like(sound["head.bias"], np.nan)}
    zeros = {"boxes": np.zeros((1, 64, 4), np.float32), "scores": np.zeros((1, 64, 2), np.float32)}
    with monkeypatch.context() as patch:
        patch.setattr(tiny_model, "weights", lambda: broken)
        patch.setattr(tiny_model, "expected", lambda batch: zeros)
        write_tiny_card(tmp_path, [key])
    with pytest.raises(VerificationError, match=r"holds NaN or infinity for the golden sample"):
        load(tmp_path, key)


@pytest.mark.parametrize("key", ["pytorch", "tensorflow", "pytorch/pt2", "pytorch/torchscript"])
def test_bfloat16_computes_in_bfloat16(write: Write, key: str) -> None:
    card, backend = load(write(key), key, precision="bfloat16")
    outputs = backend.infer({"image": images(2, card.input_for(backend_of(key)).layout)})
    wanted = expected(images(2))
    apart = abs(outputs["boxes"] - wanted["boxes"]).max()
    assert 1e-5 < apart < 0.1  # neither float32 nor wrong
    backend.close()


@pytest.mark.parametrize("key", ["pytorch/half_pt2", "pytorch/half_script"])
def test_a_graph_keeps_the_precision_that_it_was_exported_in(write: Write, key: str) -> None:
    with pytest.raises(PrecisionError, match=r"precision is 'float32'.*expected one of auto, float16\."):
        load(write(key), key, precision="float32")


def test_float16_on_a_cpu_without_it_is_refused(write: Write) -> None:
    torch = pytest.importorskip("torch", exc_type=ImportError)
    if torch.ops.mkldnn._is_mkldnn_fp16_supported():
        pytest.skip("this CPU computes in float16")
    with pytest.raises(PrecisionError, match=r"PyTorch on cpu cannot run this artifact"):
        load(write("pytorch"), "pytorch", precision="float16")


def test_openvino_computes_in_what_the_processor_can(write: Write) -> None:
    openvino = pytest.importorskip("openvino", exc_type=ImportError)
    wanted = expected(images(2))
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(PrecisionError, match=r"OpenVINO on CPU cannot run this artifact"):
            load(write("openvino"), "openvino", precision="bfloat16")
        return
    _, backend = load(write("openvino"), "openvino", precision="bfloat16")
    assert abs(backend.infer({"image": images(2)})["boxes"] - wanted["boxes"]).max() < 0.1
    backend.close()


def test_openvino_keeps_compiled_models(write: Write, tmp_path: Path) -> None:
    for _ in range(2):
        _, backend = load(write("openvino"), "openvino", options=(f"cache_dir={tmp_path}",))
        np.testing.assert_allclose(
            backend.infer({"image": images(1)})["boxes"], expected(images(1))["boxes"], atol=1e-4
        )
        backend.close()
    assert [file.suffix for file in tmp_path.iterdir()] == [".blob"]


@pytest.mark.parametrize("key", ["pytorch", "pytorch/pt2", "pytorch/torchscript"])
@pytest.mark.parametrize("channels_last", [True, False])
def test_the_memory_format_changes_no_result(write: Write, key: str, *, channels_last: bool) -> None:
    card, backend = load(write(key), key, options=(f"channels_last={str(channels_last).lower()}",))
    found = backend.infer({"image": images(2, card.input_for("pytorch").layout)})
    np.testing.assert_allclose(found["boxes"], expected(images(2))["boxes"], atol=1e-4)
    backend.close()


@pytest.mark.parametrize("key", ["pytorch", "pytorch/pt2"])
def test_torch_compile_is_an_option(write: Write, key: str) -> None:
    """What it compiles with must be there; without it the error says what to install."""
    try:
        card, backend = load(write(key), key, options=("compile=true",))
    except ArtifactLoadError as error:
        assert re.search(r"torch\.compile failed.*Install a C\+\+ compiler", str(error), re.DOTALL)
        assert shutil.which("g++") is None or not has_python_headers(), error
        return
    outputs = backend.infer({"image": images(2, card.input_for("pytorch").layout)})
    np.testing.assert_allclose(outputs["boxes"], expected(images(2))["boxes"], atol=1e-4)
    backend.close()


def has_python_headers() -> bool:
    return (Path(sysconfig.get_path("include")) / "Python.h").is_file()


def test_torch_compile_is_not_for_torchscript(write: Write) -> None:
    with pytest.raises(BackendOptionError, match=r"'compile' .* is for \.pt2 and \.safetensors; remove it"):
        load(write("pytorch/torchscript"), "pytorch/torchscript", options=("compile=true",))


@pytest.mark.parametrize("key", ["tensorflow", "tensorflow/saved_model", "tensorflow/keras"])
def test_xla_is_an_option(write: Write, key: str) -> None:
    _, backend = load(write(key), key, options=("xla=true",))
    wanted = expected(images(2))["boxes"]
    np.testing.assert_allclose(backend.infer({"image": images(2, "NHWC")})["boxes"], wanted, atol=1e-4)
    backend.close()


def test_a_torchscript_of_a_fixed_batch_is_run_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", exc_type=ImportError)
    import tiny_model

    class Fixed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = tiny_model.torch_network()

        def forward(self, image: Any) -> Any:
            return self.network(image.reshape(2, 3, 32, 32))

    def script(folder: Path) -> dict[str, Any]:
        torch.jit.trace(Fixed(), torch.from_numpy(images(2)), strict=False).save(folder / "tiny.pt")
        return {"path": "tiny.pt", "options": {"batch": 2}}

    monkeypatch.setitem(tiny_model.WRITERS, "pytorch/torchscript", script)
    _, backend = load(write_tiny_card(tmp_path, ["pytorch/torchscript"]), "pytorch/torchscript")
    for count in (1, 2, 5):
        found = backend.infer({"image": images(count)})
        np.testing.assert_allclose(found["boxes"], expected(images(count))["boxes"], atol=1e-4)
    backend.close()


@pytest.mark.parametrize("key", ["tensorflow", "tensorflow/saved_model", "tensorflow/keras", "pytorch/pt2"])
def test_a_closed_model_is_freed_at_once(write: Write, key: str) -> None:
    """Their objects refer to one another: without a collection SavedModels kept 140 MB each."""
    gc.disable()
    try:
        _, backend = load(write(key), key)
        held: Any = backend
        model = weakref.ref(held._owner if key.startswith("tensorflow") else held._module)
        assert model() is not None
        backend.close()
        assert model() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("options", [("xnnpack=false",), ("xnnpack=true",)])
def test_xnnpack_is_an_option(write: Write, options: tuple[str, ...]) -> None:
    _, backend = load(write("litert"), "litert", options=options)
    wanted = expected(images(1))["boxes"]
    np.testing.assert_allclose(backend.infer({"image": images(1, "NHWC")})["boxes"], wanted, atol=1e-4)
    backend.close()


def test_a_delegate_that_is_not_there_says_so(write: Write) -> None:
    with pytest.raises(DeviceError, match=r"delegate libnone\.so cannot be loaded.*Install it"):
        load(write("litert"), "litert", options=("delegate=libnone.so",))


def test_a_delegate_that_came_with_the_model_is_refused(write: Write) -> None:
    folder = write("litert")
    for library in (str(folder / "evil.so"), "./evil.so"):
        with pytest.raises(BackendOptionError, match=r"a model must not bring code"):
            load(folder, "litert", options=(f"delegate={library}",))


@pytest.mark.parametrize("path", ["{folder}/evil.so", "./evil.so"])
def test_a_library_in_the_options_that_came_with_the_model_is_refused(write: Write, path: str) -> None:
    """QNN's `backend_path`, TensorRT's plugins, a delegate's own backend: native code that the runtime opens."""
    for backend, option in (
        ("onnx", "provider_options={{CPUExecutionProvider: {{backend_path: {path}}}}}"),
        ("litert", "delegate_options={{backends: [{path}]}}"),
    ):
        folder = write(backend)
        given = option.format(path=path.format(folder=folder))
        options = (given, "delegate=libm.so.6") if backend == "litert" else (given,)
        with pytest.raises(BackendOptionError, match=r"a model must not bring code"):
            load(folder, backend, options=options)


def test_a_provider_that_is_not_there_is_refused(write: Write) -> None:
    with pytest.raises(BackendOptionError, match=r"names MagicProvider; this ONNX Runtime has .*CPUExecutionProvider"):
        load(write("onnx"), "onnx", options=("providers=[MagicProvider]",))
    with pytest.raises(BackendOptionError, match=r"provider_options.*the providers used are CPUExecutionProvider"):
        load(write("onnx"), "onnx", options=("provider_options={Other: {}}",))


def test_a_signature_that_is_not_there_is_refused(write: Write) -> None:
    with pytest.raises(BackendOptionError, match=r"option 'signature' .* is 'none'; .* has detect"):
        load(write("tensorflow/saved_model"), "tensorflow/saved_model", options=("signature=none",))
