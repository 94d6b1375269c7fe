"""Where models are found, in which order, and what is said when there is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from robot_ai.models import find
from robot_ai.models.errors import ModelNotFoundError


def make_model(place: Path, name: str) -> Path:
    directory = place / name
    directory.mkdir(parents=True)
    (directory / "model.yaml").write_text("name: x\n", encoding="utf-8")
    return directory


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, Path]:
    """Two places named by the environment, then the installed one."""
    monkeypatch.setenv(find.ENVIRONMENT_VARIABLE, os.pathsep.join([str(tmp_path / "a"), "", str(tmp_path / "b")]))
    monkeypatch.setattr(find, "share_directories", lambda: [tmp_path / "share"])
    return tmp_path / "a", tmp_path / "b", tmp_path / "share" / "models"


def test_places_are_searched_in_order(places: tuple[Path, Path, Path]) -> None:
    assert find.model_directories() == list(places)
    for place in reversed(places):
        directory = make_model(place, "tiny")
        assert find.find_model("tiny") == directory
        assert find.list_models() == {"tiny": directory}


def test_a_place_given_twice_is_searched_once(places: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(find.ENVIRONMENT_VARIABLE, f"{places[0]}{os.pathsep}{places[0]}")
    assert find.model_directories() == [places[0], places[2]]


def test_the_home_directory_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(find.ENVIRONMENT_VARIABLE, "~/models")
    directory = make_model(tmp_path / "models", "tiny")
    assert find.find_model("tiny") == directory
    assert find.find_model("~/models/tiny") == directory


def test_a_path_is_a_directory_or_its_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = make_model(tmp_path, "tiny")
    monkeypatch.chdir(tmp_path)
    assert find.find_model(str(directory)) == directory
    assert find.find_model(directory / "model.yaml") == directory
    assert find.find_model("./tiny") == directory
    assert find.find_model(Path("tiny")) == directory


def test_a_name_does_not_mean_a_directory_that_happens_to_be_there(
    places: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(tmp_path, "tiny")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFoundError):
        find.find_model("tiny")


@pytest.mark.parametrize(
    "name",
    ["gone", "", ".", "..", "/nowhere/at/all", "nul\0", "/nul\0", "a" * 5000, "/" + "a" * 5000, "~no_such_user_/x"],
    ids=lambda name: repr(name[:20]),
)
def test_what_is_not_there_lists_places_and_models(places: tuple[Path, Path, Path], name: str) -> None:
    make_model(places[1], "tiny")
    make_model(places[2], "large")
    with pytest.raises(ModelNotFoundError) as caught:
        find.find_model(name)
    message = str(caught.value)
    assert "Models found: large, tiny" in message
    assert f"Searched: {', '.join(map(str, places))}" in message
    assert "$ROBOT_AI_MODELS" in message


def test_no_models_at_all_is_said(places: tuple[Path, Path, Path]) -> None:
    with pytest.raises(ModelNotFoundError, match="Models found: none"):
        find.find_model("tiny")


def test_the_default_model_is_found() -> None:
    assert "nanodet_g" in find.list_models()
    assert (find.find_model("nanodet_g") / "nanodet_g.safetensors").is_file()
