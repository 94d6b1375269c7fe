"""The lidar's model in the model tool: exported, verified and measured on clouds."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("torch", exc_type=ImportError)

from safetensors.numpy import load_file, save_file

from robot_ai.cli.main import main
from robot_ai.lidar.pillars import PillarGrid
from robot_ai.model_tool.clouds import SIMULATED, cloud_views, encoded, load_clouds
from robot_ai.model_tool.export.errors import CloudsError
from robot_ai.model_tool.samples import representative
from robot_ai.models.artifacts import checksum
from robot_ai.models.card import ModelCard
from robot_ai.models.find import find_model
from robot_ai.models.golden import GoldenSample
from robot_ai.models.specs import PillarInput

GRID = PillarGrid(64, 0.5)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """Pillarnet with the artifact of one framework alone, and without a golden sample."""
    folder = tmp_path / "card"
    shutil.copytree(find_model("pillarnet"), folder)
    content = yaml.safe_load((folder / "model.yaml").read_text(encoding="utf-8"))
    content["artifacts"] = {"pytorch": content["artifacts"]["pytorch"]}
    del content["golden"]
    (folder / "model.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


@pytest.fixture
def clouds(tmp_path: Path) -> Path:
    """A folder with one small cloud of a floor and a few posts."""
    rng = np.random.default_rng(0)
    floor = np.column_stack([rng.uniform(-15, 15, (4000, 2)), np.full(4000, -1.5)])
    posts = np.column_stack([rng.normal((6, 2), 0.1, (400, 2)), rng.uniform(-1.5, 0.2, 400)])
    folder = tmp_path / "clouds"
    folder.mkdir()
    np.save(folder / "posts.npy", np.concatenate([floor, posts]).astype(np.float32))
    return folder


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["model", *words])
    said = capsys.readouterr()
    return code, said.out + said.err


def test_it_is_exported_with_a_golden_cloud_and_verified(
    card: Path, clouds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = [module for module in ("onnx", "onnxscript", "onnxruntime") if find_spec(module) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: in the extras convert and onnx")
    out = str(tmp_path / "out")
    given = ["--to", "torchscript,onnx", "--output", out, "--representative", str(clouds)]
    code, said = run(capsys, "export", str(card), *given)
    assert code == 0, said
    written = ModelCard.load(out)
    assert {"pytorch", "pytorch/torchscript", "onnx"} <= set(written.artifacts)
    sample = GoldenSample.load(written)
    assert sample is not None
    expected = encoded(np.load(clouds / "posts.npy"), PillarGrid(written.inputs[0].side, written.inputs[0].cell))  # type: ignore[union-attr]
    np.testing.assert_array_equal(sample.inputs["pillars"][0], expected.features)
    code, said = run(capsys, "verify", out, "--clouds", str(clouds), "--artifacts", "pytorch,pytorch/torchscript,onnx")
    assert code == 0, said
    assert "pillarnet, 1 clouds, beside pytorch" in said
    assert "all 3 artifacts that ran are the same model" in said


def test_a_damaged_artifact_is_found(card: Path, clouds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = load_file(card / "pillarnet.safetensors")
    weights["predict.bias"] = weights["predict.bias"] + np.float16(0.5)
    save_file(weights, card / "other.safetensors")
    content = yaml.safe_load((card / "model.yaml").read_text(encoding="utf-8"))
    other = content["artifacts"]["pytorch"] | {"path": "other.safetensors"}
    content["artifacts"]["pytorch/other"] = other | {"sha256": checksum(card / "other.safetensors")}
    (card / "model.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    code, said = run(capsys, "verify", str(card), "--clouds", str(clouds))
    assert code == 1
    assert "pytorch/other: a tensor differs by" in said


def test_photos_are_not_for_a_lidars_model(card: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, "verify", str(card), "--coco", str(tmp_path))
    assert code == 1
    assert "no --coco" in said
    with pytest.raises(CloudsError, match="holds no cloud"):
        load_clouds(tmp_path / "card")


def test_simulated_clouds_are_always_the_same() -> None:
    first, second = load_clouds(None), load_clouds(None)
    assert len(first) == SIMULATED
    for (name, points), (other, again) in zip(first, second, strict=True):
        assert name == other
        np.testing.assert_array_equal(points, again)
        assert len(points) > 1000


def test_views_are_the_clouds_and_then_turned_ones(clouds: Path) -> None:
    (cloud,) = load_clouds(clouds)
    plain, turned, _ = views = list(cloud_views([cloud], 3, GRID))
    np.testing.assert_array_equal(plain.features, encoded(cloud[1], GRID).features)
    assert plain.counts.sum() == pytest.approx(turned.counts.sum(), rel=0.05)
    places = [view.features[0].copy() for view in views]
    assert not np.array_equal(places[0], places[1]) and not np.array_equal(places[1], places[2])
    assert load_clouds(clouds)[0][1][0].tolist() == cloud[1][0].tolist(), "the cloud itself is not turned"


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_batches_have_the_layout_that_is_asked_for(clouds: Path, layout: str) -> None:
    given = PillarInput("pillars", GRID.side, GRID.cell, 15, layout)  # type: ignore[arg-type]
    made = representative(given, clouds, 2)
    batches = list(made.batches())
    assert made.title == "2 views of 1 clouds"
    assert [batch.shape for batch in batches] == [tuple(axis or 1 for axis in given.tensor.shape)] * 2
    assert all(batch.flags.c_contiguous for batch in batches)


def test_it_is_measured_on_a_cloud(
    card: Path, clouds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "measured.json"
    given = ["--seconds", "0.1", "--threads", "1", "--sample", str(clouds / "posts.npy"), "--json", str(file)]
    code, said = run(capsys, "benchmark", str(card), *given)
    assert code == 0, said
    (case,) = json.loads(file.read_text(encoding="utf-8"))["cases"]
    assert case["key"] == "pytorch" and case["precision"] == "float32"
    assert min(case["end_to_end_ms"]) > min(case["forward_ms"]) > 0


def test_an_empty_cloud_is_encoded() -> None:
    pillars = encoded(np.empty((0, 3), np.float32), GRID)
    assert not pillars.counts.size
    assert pillars.features.shape == (15, 64, 64)
