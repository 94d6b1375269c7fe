"""NanoDet-g's plan, its weights and the network in each framework."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from robot_ai.backends.support import read_safetensors
from robot_ai.models.card import ModelCard
from robot_ai.models.find import find_model
from robot_ai.models.networks import nanodet_plan as plan
from robot_ai.models.networks import pillarnet_plan


@pytest.fixture(scope="module")
def tensors() -> dict[str, Any]:
    return read_safetensors(find_model("nanodet_g") / "nanodet_g.safetensors")


def test_the_plan_names_the_weights_with_their_shapes(tensors: dict[str, Any]) -> None:
    expected = {}
    for conv in plan.convolutions():
        expected[f"{conv.name}.weight"] = (conv.out_channels, conv.in_channels, conv.kernel, conv.kernel)
        expected[f"{conv.name}.bias"] = (conv.out_channels,)
    assert {name: tensor.shape for name, tensor in tensors.items()} == expected


def test_the_plan_names_the_outputs_of_the_card() -> None:
    card = ModelCard.load(find_model("nanodet_g"), backends=[])
    assert sorted(plan.output_names()) == sorted(spec.name for spec in card.outputs)
    assert len(card.labels) == plan.NUM_CLASSES


def test_pytorch_takes_the_weights_by_name(tensors: dict[str, Any]) -> None:
    pytest.importorskip("torch", exc_type=ImportError)
    from robot_ai.models.networks.nanodet_torch import NanoDetG

    network = NanoDetG()
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == {
        name: tensor.shape for name, tensor in tensors.items()
    }


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 160)])
def test_pytorch_gives_a_cell_per_stride(height: int, width: int) -> None:
    torch = pytest.importorskip("torch", exc_type=ImportError)
    from robot_ai.models.networks.nanodet_torch import NanoDetG

    with torch.inference_mode():
        outputs = NanoDetG()(torch.zeros(2, 3, height, width))
    check_shapes({name: tuple(value.shape) for name, value in outputs.items()}, height, width)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 160)])
def test_tensorflow_gives_a_cell_per_stride(height: int, width: int) -> None:
    pytest.importorskip("tensorflow", exc_type=ImportError)
    from robot_ai.models.networks.nanodet_tensorflow import NanoDetG

    outputs = NanoDetG()(np.zeros((2, height, width, 3), np.float32), training=False)
    check_shapes({name: tuple(value.shape) for name, value in outputs.items()}, height, width)


def check_shapes(shapes: dict[str, tuple[int, ...]], height: int, width: int) -> None:
    expected = {}
    for stride in plan.STRIDES:
        cells = (height // stride) * (width // stride)
        expected[f"scores_{stride}"] = (2, cells, 80)
        expected[f"distances_{stride}"] = (2, cells, 44)
    assert shapes == expected


def test_tensorflow_names_what_the_weights_lack_or_have_too_much(tensors: dict[str, Any]) -> None:
    pytest.importorskip("tensorflow", exc_type=ImportError)
    from robot_ai.models.networks.nanodet_tensorflow import NanoDetG

    wrong = {**tensors, "extra.weight": np.zeros(1)}
    del wrong["backbone.stem.bias"]
    with pytest.raises(
        ValueError, match=r"missing tensors: \['backbone.stem.bias'\]; surplus tensors: \['extra.weight'"
    ):
        NanoDetG().load_tensors(wrong)


def test_pillarnet_is_the_same_network_in_both_frameworks() -> None:
    """On the golden sample's cloud, from the weights in the repository."""
    pytest.importorskip("torch", exc_type=ImportError)
    pytest.importorskip("tensorflow", exc_type=ImportError)
    from robot_ai.backends.loading import BackendChoice, load_backend
    from robot_ai.models.golden import GoldenSample

    outputs = {}
    for name in ("pytorch", "tensorflow"):
        card, backend = load_backend(BackendChoice("pillarnet", name, "cpu", threads=1))
        golden = GoldenSample.load(card)
        assert golden is not None
        outputs[name] = {key: np.array(array) for key, array in backend.infer(golden.inputs_for(card, name)).items()}
        backend.close()
    for key, array in outputs["pytorch"].items():
        assert np.abs(array).max() > 0.5, "a network that says nothing would agree with anything"
        np.testing.assert_allclose(outputs["tensorflow"][key], array, atol=1e-3, rtol=1e-3)


def test_pillarnets_plan_names_its_weights_and_the_cards_outputs() -> None:
    card = ModelCard.load(find_model("pillarnet"))
    expected = {}
    for conv in pillarnet_plan.convolutions():
        expected[f"{conv.name}.weight"] = (conv.out_channels, conv.in_channels, conv.kernel, conv.kernel)
        expected[f"{conv.name}.bias"] = (conv.out_channels,)
    weights = card.artifacts["pytorch"].path
    assert weights is not None and weights.stat().st_size < 8_000_000
    assert {name: tensor.shape for name, tensor in read_safetensors(weights).items()} == expected
    cells = (pillarnet_plan.SIDE // pillarnet_plan.STRIDE) ** 2
    assert {spec.name: spec.shape for spec in card.outputs} == {
        "scores": (None, cells, pillarnet_plan.CLASSES),
        "boxes": (None, cells, pillarnet_plan.BOX),
    }
