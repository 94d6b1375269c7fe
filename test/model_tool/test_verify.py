"""A card whose artifacts are one model, and cards where one is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_model
import yaml

from robot_ai.cli.main import main
from robot_ai.model_tool.photos import load_photos
from robot_ai.model_tool.trials import PhotoTrial
from robot_ai.model_tool.verify import NothingToVerifyError, Verifier, why_not
from robot_ai.models.artifacts import checksum
from robot_ai.models.errors import NoArtifactError

KEYS = ("pytorch", "onnx")


@pytest.fixture(autouse=True, scope="module")
def needed() -> None:
    for module in ("torch", "onnxruntime", "onnx", "skimage"):
        pytest.importorskip(module, reason="in the extras pytorch, onnx, test and demo", exc_type=ImportError)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    return tiny_model.write_tiny_card(tmp_path / "tiny", KEYS)


def change(card: Path, key: str, **entries: object) -> None:
    file = card / "model.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content["artifacts"].setdefault(key, {}).update(entries)
    file.write_text(yaml.safe_dump(content), encoding="utf-8")


def damage(card: Path) -> None:
    """Another bias in the ONNX file, with the card's checksum corrected and no golden sample to notice it."""
    import onnx
    from onnx import numpy_helper

    path = card / yaml.safe_load((card / "model.yaml").read_text(encoding="utf-8"))["artifacts"]["onnx"]["path"]
    model = onnx.load(str(path))
    for tensor in model.graph.initializer:
        if tensor.name == "head.bias":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + np.float32(0.5), tensor.name))
    onnx.save(model, str(path))
    change(card, "onnx", sha256=checksum(path))


def forget_golden(card: Path) -> None:
    file = card / "model.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    del content["golden"]
    file.write_text(yaml.safe_dump(content), encoding="utf-8")


def verify(card: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    code = main(["model", "verify", str(card), *more])
    said = capsys.readouterr()
    return code, said.out + said.err


def test_one_model_passes(card: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = verify(card, capsys)
    assert code == 0, said
    assert "all 2 artifacts that ran are the same model" in said


@pytest.mark.parametrize("golden", [True, False])
def test_a_damaged_artifact_is_found(card: Path, capsys: pytest.CaptureFixture[str], golden: bool) -> None:
    damage(card)
    if not golden:
        forget_golden(card)
    code, said = verify(card, capsys)
    assert code == 1
    assert "1 of 2 artifacts beyond tolerance" in said
    assert ("golden sample" if golden else "a tensor differs by") in said


def test_a_wrong_checksum_is_a_fault_of_that_artifact_alone(card: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(card, "onnx", sha256="0" * 64)
    code, said = verify(card, capsys)
    assert code == 1
    assert "onnx: " in said
    assert "sha256" in said


def test_what_cannot_be_run_is_said_and_no_fault(card: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (card / "a_tfjs").mkdir()
    (card / "a_tfjs" / "model.json").write_text("{}", encoding="utf-8")
    change(card, "tfjs", path="a_tfjs", sha256=checksum(card / "a_tfjs"))
    code, said = verify(card, capsys)
    assert code == 0, said
    assert "tfjs: not run: no backend" in said


def test_a_missing_client_of_servers_names_the_extra_that_there_is() -> None:
    from robot_ai.backends.registry import BackendInfo

    for name in ("kserve", "tf_serving"):
        assert "pip install -e '.[serving]'" in why_not(name, {name: BackendInfo(name, False, "grpc", "")})


def test_a_missing_framework_names_its_extra(card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from robot_ai.backends.registry import BackendInfo, available
    from robot_ai.model_tool import verify as module

    there = [BackendInfo(i.name, i.installed and i.name != "onnx", i.framework, i.reference) for i in available()]
    monkeypatch.setattr(module, "available", lambda: there)
    report = Verifier(str(card), PhotoTrial(load_photos(None)[:1]), 1, lambda _: None).run()
    (row,) = [row for row in report.rows if row.key == "onnx"]
    assert "pip install -e '.[onnx]'" in row.not_run
    assert not report.failed


def test_only_the_artifacts_asked_for_run_beside_the_reference_asked_for(card: Path) -> None:
    verifier = Verifier(str(card), PhotoTrial(load_photos(None)[:2]), 1, lambda _: None)
    report = verifier.run(["pytorch"], reference="onnx")
    assert [row.key for row in report.rows] == ["onnx", "pytorch"]
    assert report.reference == "onnx"
    with pytest.raises(NoArtifactError, match="litert"):
        verifier.run(["litert"])


def test_a_card_without_a_runnable_artifact_is_an_error(card: Path) -> None:
    change(card, "pytorch", sha256="0" * 64)
    with pytest.raises(NothingToVerifyError, match="sha256"):
        Verifier(str(card), PhotoTrial(load_photos(None)[:1]), 1, lambda _: None).run(["pytorch"])


def test_the_default_model_is_one_model(capsys: pytest.CaptureFixture[str], shared_data: Path) -> None:
    """The committed artifacts, with the bars on average precision: float 0.32, int8 0.30 and within 0.02."""
    for module in ("tensorflow", "ai_edge_litert", "openvino", "pycocotools"):
        pytest.importorskip(module, exc_type=ImportError)
    code = main(["model", "verify", "nanodet_g", "--coco", str(shared_data / "data" / "coco27"), "--threads", "2"])
    said = capsys.readouterr().out
    assert code == 0, said
    rows = [line.strip("|").split("|") for line in said.splitlines() if line.startswith("|")][2:]
    found = {row[0].strip(): float(row[7]) for row in rows}
    assert found.keys() == {"pytorch", "tensorflow", "onnx", "openvino", "litert", "litert/int8"}
    assert all(ap >= (0.30 if key == "litert/int8" else 0.32) for key, ap in found.items())
