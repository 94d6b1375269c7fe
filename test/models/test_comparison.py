"""Outputs side by side: lists of boxes in any order, tables in two parts, everything else element by element."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from stub_card import write_stub_card

from robot_ai.models.card import ModelCard
from robot_ai.models.comparison import differences, lists_something

PLACES, TOLERANCE = 60, 1e-3
Outputs = dict[str, NDArray[Any]]
SHAPES: dict[str, dict[str, list[object]]] = {
    "yolo26": {"detections": ["batch", PLACES, 6]},
    "torchvision": {"boxes": ["batch", PLACES, 4], "labels": ["batch", PLACES], "scores": ["batch", PLACES]},
    "ssd": {
        "boxes": ["batch", PLACES, 4],
        "classes": ["batch", PLACES],
        "scores": ["batch", PLACES],
        "count": ["batch"],
    },
    "yolov8": {"predictions": ["batch", 7, PLACES]},
    "yolov5": {"predictions": ["batch", PLACES, 8]},
}
LISTS = ("yolo26", "torchvision", "ssd")


def card_of(folder: Path, decoder: str) -> ModelCard:
    file = write_stub_card(folder) / "model.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content["labels"] = ["bolt", "nut", "washer"]
    content["decoder"] = {"type": decoder}
    content["outputs"] = [
        {"name": name, "shape": shape, "dtype": "int64" if name == "labels" else "float32"}
        for name, shape in SHAPES[decoder].items()
    ]
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return ModelCard.load(file.parent)


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelCard]:
    return {decoder: card_of(tmp_path_factory.mktemp(decoder), decoder) for decoder in SHAPES}


def rows(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Left, top, right, bottom in parts, score, class: best first."""
    generator = np.random.default_rng(seed)
    corners = np.sort(generator.random((count, 2, 2)), axis=1).reshape(count, 4)
    scores = -np.sort(-generator.uniform(0.1, 0.95, (count, 1)), axis=0)
    return np.hstack([corners, scores, generator.integers(1, 4, (count, 1))]).astype(np.float32)


def listed(decoder: str, table: NDArray[np.float32], rubbish: float = 0.0) -> Outputs:
    """The rows as a model of that decoder gives them, in PLACES places; `rubbish` is in the boxes of the empty ones."""
    full = np.zeros((1, PLACES, 6), np.float32)
    full[0, :, :4] = full[0, :, 5] = rubbish if decoder != "ssd" else 0.0
    if decoder == "ssd":
        full[0] = rubbish  # nothing beyond its count means anything
    full[0, : len(table)] = table
    if decoder == "yolo26":
        return {"detections": full}
    classes = {"torchvision": ("labels", np.int64), "ssd": ("classes", np.float32)}[decoder]
    outputs = {"boxes": full[..., :4], "scores": full[..., 4], classes[0]: full[..., 5].astype(classes[1])}
    return outputs | ({"count": np.array([len(table)], np.float32)} if decoder == "ssd" else {})


def worst(card: ModelCard, expected: Outputs, given: Outputs) -> float:
    return max(difference.relative for difference in differences(card, expected, given, TOLERANCE).values())


@pytest.mark.parametrize("decoder", LISTS)
@settings(max_examples=30)
@given(count=st.integers(1, PLACES - 1), seed=st.integers(0, 1000), rubbish=st.sampled_from([0.0, 0.5]))
def test_the_order_of_a_list_and_its_empty_places_are_of_no_account(
    *, decoder: str, cards: dict[str, ModelCard], count: int, seed: int, rubbish: float
) -> None:
    table = rows(count, seed)
    shuffled = np.random.default_rng(seed).permutation(table)
    assert worst(cards[decoder], listed(decoder, table), listed(decoder, shuffled, rubbish)) == 0


@pytest.mark.parametrize("decoder", LISTS)
@pytest.mark.parametrize("what", ["box", "score", "class", "missing", "surplus", "another model"])
def test_what_is_wrong_in_a_list_is_found(decoder: str, what: str, cards: dict[str, ModelCard]) -> None:
    table = rows(12)
    other = table.copy()
    if what == "box":
        other[3, 2] += 0.01
    elif what == "score":
        other[3, 4] -= 0.01
    elif what == "class":
        other[3, 5] = other[3, 5] % 3 + 1
    elif what == "missing":
        other = np.delete(other, 3, axis=0)
    elif what == "surplus":
        other = np.vstack([other, rows(1, 9)])
    else:
        other = rows(12, 5)
    assert worst(cards[decoder], listed(decoder, table), listed(decoder, other)) > TOLERANCE


@pytest.mark.parametrize("decoder", LISTS)
def test_one_of_twenty_may_have_been_suppressed(decoder: str, cards: dict[str, ModelCard]) -> None:
    table = rows(45)
    for missing, fits in ((2, True), (3, False)):
        other = np.delete(table, [7, 20, 31][:missing], axis=0)
        assert (worst(cards[decoder], listed(decoder, table), listed(decoder, other)) <= TOLERANCE) is fits


@pytest.mark.parametrize("decoder", ["yolo26", "torchvision"])
def test_boxes_at_the_end_of_a_full_list_take_turns(decoder: str, cards: dict[str, ModelCard]) -> None:
    table = rows(PLACES)
    table[-10:, 4] = 0.05
    other = table.copy()
    other[-10:, :4] = rows(10, 77)[:, :4]
    assert worst(cards[decoder], listed(decoder, table), listed(decoder, other)) <= TOLERANCE
    other[:10, :4] = rows(10, 78)[:, :4]
    assert worst(cards[decoder], listed(decoder, table), listed(decoder, other)) > TOLERANCE


@pytest.mark.parametrize("decoder", LISTS)
def test_nan_in_a_list_is_beyond_any_tolerance(decoder: str, cards: dict[str, ModelCard]) -> None:
    outputs = listed(decoder, rows(5))
    damaged = {name: array.copy() for name, array in outputs.items()}
    first = damaged["detections" if decoder == "yolo26" else "boxes"]
    first[0, 2, 1] = np.nan
    assert worst(cards[decoder], outputs, damaged) == float("inf")


def test_an_empty_list_tells_nothing(cards: dict[str, ModelCard]) -> None:
    for decoder in LISTS:
        assert not lists_something(cards[decoder], listed(decoder, rows(0), rubbish=0.5 if decoder == "ssd" else 0))
        assert lists_something(cards[decoder], listed(decoder, rows(1)))
    assert lists_something(cards["yolov8"], {"predictions": np.zeros((1, 7, PLACES), np.float32)})


@pytest.mark.parametrize("decoder", ["yolov8", "yolov5"])
def test_pixels_do_not_hide_wrong_scores(decoder: str, cards: dict[str, ModelCard]) -> None:
    columns = 7 if decoder == "yolov8" else 8
    table = np.random.default_rng(0).random((1, PLACES, columns)).astype(np.float32)
    table[..., :4] *= 640
    other = table.copy()
    other[..., 4:] += 0.3  # within a thousandth of 640
    if decoder == "yolov8":
        table, other = table.transpose(0, 2, 1), other.transpose(0, 2, 1)
    found = differences(cards[decoder], {"predictions": table}, {"predictions": other}, TOLERANCE)
    assert found["predictions, boxes"].relative == 0
    assert found["predictions, scores"].relative == pytest.approx(0.3, abs=1e-3)
