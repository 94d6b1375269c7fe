"""Artifacts and golden samples enter a card's text, and nothing else in it changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from robot_ai.model_tool.card_edit import set_artifact, set_golden
from robot_ai.models.errors import CardValueError

CARD = """\
# A card with comments.
name: tiny  # short

artifacts:
  # the network itself
  pytorch:
    path: a.safetensors
    layout: NHWC  # channels last

  # a flow mapping
  stub: {options: {delay: 1}}

# what follows
thresholds: {confidence: 0.3}
"""
NEW = {"path": "a.onnx", "sha256": "0" * 64}


@pytest.fixture
def card(tmp_path: Path) -> Path:
    (tmp_path / "model.yaml").write_text(CARD, encoding="utf-8")
    return tmp_path


def read(card: Path) -> str:
    return (card / "model.yaml").read_text(encoding="utf-8")


def test_a_new_artifact_is_added_behind_the_others_and_all_lines_stay(card: Path) -> None:
    set_artifact(card, "onnx", NEW)
    content = yaml.safe_load(read(card))
    assert list(content["artifacts"]) == ["pytorch", "stub", "onnx"]
    assert content["artifacts"]["onnx"] == NEW
    lines = read(card).splitlines()
    assert [line for line in lines if line in CARD.splitlines()] == CARD.splitlines()
    assert len(lines) == len(CARD.splitlines()) + 3


@pytest.mark.parametrize(("key", "others"), [("pytorch", ["stub"]), ("stub", ["pytorch"])])
def test_an_artifact_of_the_same_key_is_replaced(card: Path, key: str, others: list[str]) -> None:
    before = yaml.safe_load(CARD)
    set_artifact(card, key, NEW)
    content = yaml.safe_load(read(card))
    assert content["artifacts"][key] == NEW
    assert {name: content["artifacts"][name] for name in others} == {n: before["artifacts"][n] for n in others}
    assert content["thresholds"] == before["thresholds"]
    assert "# what follows" in read(card)
    assert "# a flow mapping" in read(card)


def test_the_golden_sample_is_added_once(card: Path) -> None:
    set_golden(card, "golden.safetensors", "1" * 64)
    set_golden(card, "golden.safetensors", "2" * 64)
    assert yaml.safe_load(read(card))["golden"] == {"path": "golden.safetensors", "sha256": "2" * 64}
    assert read(card).startswith(CARD)


def test_artifacts_written_in_braces_stay_whole(card: Path) -> None:
    (card / "model.yaml").write_text("artifacts: {stub: {}}\nname: a\n", encoding="utf-8")
    set_artifact(card, "litert/int8", NEW)
    assert yaml.safe_load(read(card)) == {"artifacts": {"stub": {}, "litert/int8": NEW}, "name": "a"}


def test_a_card_without_artifacts_is_refused(card: Path) -> None:
    (card / "model.yaml").write_text("name: a\n", encoding="utf-8")
    with pytest.raises(CardValueError, match="artifacts"):
        set_artifact(card, "onnx", NEW)
