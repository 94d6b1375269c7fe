"""What every framework's backend refuses, and how it says so."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from robot_ai.backends.errors import ArtifactLoadError, DeviceError, InferenceError
from robot_ai.backends.loading import BackendChoice
from robot_ai.backends.protocol import Backend
from robot_ai.backends.registry import create
from robot_ai.models.card import ModelCard
from robot_ai.models.errors import ArtifactChecksumError, NoArtifactError
from robot_ai.models.find import find_model
from robot_ai.perception.decoders.errors import NonFiniteOutputError
from robot_ai.pipeline.image_detector import DetectionSettings, ImageDetector

FRAMEWORKS = {"pytorch": "torch", "tensorflow": "tensorflow"}
WEIGHTS = find_model("nanodet_g") / "nanodet_g.safetensors"
IMAGE = np.zeros((1, 416, 416, 3), np.float32)


@pytest.fixture(scope="module", params=FRAMEWORKS)
def card(request: pytest.FixtureRequest) -> ModelCard:
    """The default model's card with the artifact of one framework only."""
    name: str = request.param
    pytest.importorskip(FRAMEWORKS[name], exc_type=ImportError)
    card = ModelCard.load(find_model("nanodet_g"), backends=[name])
    return replace(card, artifacts={name: card.artifacts[name]})


def name_of(card: ModelCard) -> str:
    return next(iter(card.artifacts))


@pytest.fixture(scope="module")
def backend(card: ModelCard) -> Iterator[Backend]:
    loaded = create(name_of(card))
    loaded.load(card, "cpu", 2)
    yield loaded
    loaded.close()


def changed(card: ModelCard, **changes: Any) -> ModelCard:
    """The card with another artifact; the files were checked when the card was read."""
    return replace(card, artifacts={name_of(card): replace(card.artifact_for(name_of(card)), **changes)})


def refusal(card: ModelCard, **changes: Any) -> str:
    with pytest.raises(ArtifactLoadError) as caught:
        create(name_of(card)).load(changed(card, **changes), "cpu", 2)
    return str(caught.value)


def test_it_tells_its_tensors_and_device(backend: Backend, card: ModelCard) -> None:
    assert [str(spec) for spec in backend.inputs] == ["image (batch, 416, 416, 3) float32"]
    assert backend.outputs == card.outputs
    assert backend.device == "cpu"


def test_auto_is_a_device_there_is(card: ModelCard) -> None:
    loaded = create(name_of(card))
    loaded.load(card)
    assert loaded.device == "cpu" or loaded.device.startswith("cuda:")
    loaded.close()


def test_the_inputs_may_be_reused_and_the_outputs_kept(backend: Backend) -> None:
    image = np.random.default_rng(0).normal(size=IMAGE.shape).astype(np.float32)
    outputs = backend.infer({"image": image})
    kept = {name: array.copy() for name, array in outputs.items()}
    image[:] = 0
    backend.infer({"image": image})
    for name, array in kept.items():
        np.testing.assert_array_equal(outputs[name], array)


@pytest.mark.parametrize("device", ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU", "cpu:0", "cuda:0\n"])
def test_a_device_that_is_none_is_refused(card: ModelCard, device: str) -> None:
    with pytest.raises(DeviceError, match=r"expected auto, cpu or cuda:N"):
        create(name_of(card)).load(card, device)


def test_a_gpu_that_is_not_there_is_refused(card: ModelCard) -> None:
    with pytest.raises(DeviceError, match=r"device is 'cuda:99', which .* cannot use: it sees .*Choose cpu or auto"):
        create(name_of(card)).load(card, "cuda:99")


def test_negative_threads_are_refused(card: ModelCard) -> None:
    with pytest.raises(DeviceError, match=r"threads is -1; expected 0"):
        create(name_of(card)).load(card, "cpu", -1)


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"picture": IMAGE},
        {"image": IMAGE, "more": IMAGE},
        {"image": IMAGE.astype(np.float64)},
        {"image": IMAGE.astype(np.uint8)},
        {"image": IMAGE.transpose(0, 3, 1, 2)},
        {"image": IMAGE[:, :-1]},
        {"image": IMAGE[:0]},
        {"image": IMAGE[0]},
        {"image": IMAGE.tolist()},
    ],
    ids=lambda tensors: str({name: np.shape(value) for name, value in tensors.items()}),
)
def test_inputs_that_do_not_fit_are_shown(backend: Backend, tensors: Any) -> None:
    with pytest.raises(InferenceError, match=r"expected image \(batch, 416, 416, 3\) float32"):
        backend.infer(tensors)
    backend.infer({"image": IMAGE})  # and it goes on


def test_after_close_and_before_load_it_says_so(card: ModelCard) -> None:
    loaded = create(name_of(card))
    loaded.load(card, "cpu", 2)
    loaded.close()
    with pytest.raises(InferenceError, match=r"holds no model; expected `load` before `infer`"):
        loaded.infer({"image": IMAGE})
    loaded.close()
    create(name_of(card)).close()
    with pytest.raises(InferenceError):
        create(name_of(card)).infer({"image": IMAGE})


def test_outputs_that_are_not_finite_are_refused(card: ModelCard, backend: Backend) -> None:
    class Broken:
        device = "cpu"

        def infer(self, tensors: Any) -> Any:
            outputs = {name: array.copy() for name, array in backend.infer(tensors).items()}
            outputs["scores_16"][0, 0, 0] = np.nan
            return outputs

    detector = ImageDetector(card, name_of(card), Broken())  # type: ignore[arg-type]
    with pytest.raises(NonFiniteOutputError, match=r"output 'scores_16' holds 1 NaN"):
        detector.detect([np.zeros((48, 64, 3), np.uint8)], DetectionSettings())


def test_weights_that_are_not_finite_are_refused(card: ModelCard, tmp_path: Path) -> None:
    tensors = load_file(WEIGHTS)
    tensors["head.predictions.0.bias"] = np.full_like(tensors["head.predictions.0.bias"], np.nan)
    save_file(tensors, tmp_path / "w.safetensors")
    broken = changed(card, path=tmp_path / "w.safetensors")
    loaded = create(name_of(card))
    loaded.load(broken, "cpu", 2)
    detector = ImageDetector(broken, name_of(card), loaded)
    with pytest.raises(NonFiniteOutputError, match=r"output '\w+_8' holds .*The weights are damaged"):
        detector.detect([np.zeros((48, 64, 3), np.uint8)], DetectionSettings())


def lacking(tensors: dict[str, Any]) -> None:
    del tensors["backbone.stem.bias"]


def surplus(tensors: dict[str, Any]) -> None:
    tensors["extra.weight"] = np.zeros(3, np.float16)


def misshapen(tensors: dict[str, Any]) -> None:
    tensors["backbone.stem.bias"] = np.zeros(31, np.float16)


@pytest.mark.parametrize(
    ("damage", "named"), [(lacking, "backbone.stem.bias"), (surplus, "extra.weight"), (misshapen, "stem")]
)
def test_weights_that_do_not_fit_are_named(
    card: ModelCard, tmp_path: Path, damage: Callable[[dict[str, Any]], None], named: str
) -> None:
    tensors = load_file(WEIGHTS)
    damage(tensors)
    path = tmp_path / "w.safetensors"
    save_file(tensors, path)
    message = refusal(card, path=path)
    assert message.startswith(
        f"{path} does not fit network 'robot_ai.models.networks.nanodet_{FRAMEWORKS[name_of(card)]}:NanoDetG'"
    )
    assert named in message


@pytest.mark.parametrize("length", [0, 4, 8, 1000, 100_000, -1])
def test_truncated_weights_are_refused(card: ModelCard, tmp_path: Path, length: int) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(WEIGHTS.read_bytes()[:length])
    assert refusal(card, path=path).startswith(f"{path} is not a readable safetensors file")
    assert "Restore it" in refusal(card, path=tmp_path / "gone.safetensors")


def test_truncated_weights_are_refused_by_their_checksum_first(card: ModelCard, tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_bytes((find_model("nanodet_g") / "model.yaml").read_bytes())
    (tmp_path / WEIGHTS.name).write_bytes(WEIGHTS.read_bytes()[:-1])
    with pytest.raises(ArtifactChecksumError):
        ImageDetector.load(BackendChoice(str(tmp_path), name_of(card)))


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


def test_a_pickle_is_refused_without_executing_it(card: ModelCard, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    content = pickle.dumps(Trap(sprung))
    for suffix in (".safetensors", ".pt", ".pkl"):
        path = (tmp_path / "weights").with_suffix(suffix)
        path.write_bytes(content)
        refusal(card, path=path, sha256=hashlib.sha256(content).hexdigest())
    assert not sprung.exists()
    pickle.loads(content)
    assert sprung.exists()  # the trap works


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (None, "has weights but no 'network'"),
        ("no.such.module:Net", "cannot be imported"),
        ("robot_ai.models.card:NoNet", "cannot be imported"),
        ("robot_ai.models.card:ModelCard", "expected a subclass of"),
        ("robot_ai.models.card:CARD_FILE", "expected a subclass of"),
    ],
)
def test_a_network_that_is_none_is_refused(card: ModelCard, network: str | None, said: str) -> None:
    message = refusal(card, network=network)
    assert message.startswith(f"artifact '{name_of(card)}'")
    assert said in message


def test_an_artifact_without_a_file_is_refused(card: ModelCard) -> None:
    assert "names no file; this backend loads .safetensors" in refusal(card, path=None, sha256=None)


def test_a_card_without_our_artifact_is_refused(card: ModelCard) -> None:
    with pytest.raises(NoArtifactError, match=rf"no artifact for backend '{name_of(card)}'"):
        create(name_of(card)).load(replace(card, artifacts={"other": card.artifact_for(name_of(card))}))


def test_outputs_other_than_the_cards_are_shown(card: ModelCard) -> None:
    other = replace(card, outputs=(replace(card.outputs[0], shape=(None, 2704, 81)), *card.outputs[1:]))
    with pytest.raises(ArtifactLoadError) as caught:
        create(name_of(card)).load(other, "cpu", 2)
    assert "scores_8 (1, 2704, 80) float32" in str(caught.value)
    assert "scores_8 (batch, 2704, 81) float32" in str(caught.value)
    assert "Correct 'outputs'" in str(caught.value)
