"""The benchmark over the stub, each case in a real process; the pick, the table and the files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from robot_ai.cli.main import main
from robot_ai.model_tool.benchmark import BenchmarkError, BenchmarkRequest, choose, parse_threads, run_benchmark
from robot_ai.model_tool.benchmark_case import LEAST_PASSES, Measurement
from robot_ai.model_tool.benchmark_page import table
from robot_ai.models.errors import NoArtifactError


def case(key: str, milliseconds: float, cpu: float, precision: str = "float32", threads: int = 1) -> Measurement:
    times = tuple([milliseconds] * 20)
    return Measurement(key, threads, precision, "cpu", 1.0, times, times, cpu, 10.0, 20.0)


def test_the_fastest_is_picked() -> None:
    pick = choose([case("slow", 20, 20), case("fast", 10, 20)])
    assert (pick.key, pick.threads) == ("fast", 1)
    assert "10.0 ms" in pick.reason


def test_of_two_as_fast_the_one_with_less_processor_time_is_picked() -> None:
    pick = choose([case("two", 10, 20, threads=2), case("one", 10.5, 10)])
    assert (pick.key, pick.threads) == ("one", 1)
    assert "less processor time" in pick.reason


def test_a_quantized_pick_says_what_to_look_at() -> None:
    assert "verify" in choose([case("litert/int8", 5, 5, "int8"), case("litert", 9, 9)]).reason


def test_failed_cases_are_never_picked() -> None:
    assert choose([Measurement("a", 1, fault="broken"), case("b", 9, 9)]).key == "b"
    with pytest.raises(BenchmarkError):
        choose([Measurement("a", 1, fault="broken")])


def test_thread_counts_are_read() -> None:
    assert parse_threads("1,2,1") == [1, 2]
    for text in ("", "one", "-1"):
        with pytest.raises(BenchmarkError, match="--threads"):
            parse_threads(text)


def test_the_stub_is_measured_in_a_process_of_its_own(stub_card, tmp_path: Path, capsys) -> None:
    card = stub_card(delay=0.01)
    out = tmp_path / "out" / "b.json"
    arguments = ["model", "benchmark", str(card), "--threads", "1,2", "--seconds", "0.1", "--json", str(out)]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "Pick stub" in said
    content = json.loads(out.read_text(encoding="utf-8"))
    assert [(c["key"], c["threads"]) for c in content["cases"]] == [("stub", 1), ("stub", 2)]
    for measured in content["cases"]:
        assert len(measured["forward_ms"]) == len(measured["end_to_end_ms"]) >= LEAST_PASSES
        # The stub sleeps that long in its forward pass; nothing is faster than that.
        assert min(measured["forward_ms"]) >= 10
        assert all(whole >= part for whole, part in zip(measured["end_to_end_ms"], measured["forward_ms"], strict=True))
        assert measured["summary"]["images_per_second"] <= 100
        assert measured["load_seconds"] > 0
    assert content["machine"]["cores"] >= 1


def test_a_broken_artifact_is_a_fault_and_the_others_are_measured(stub_card) -> None:
    card = stub_card()
    file = card / "model.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content["artifacts"] |= {"stub/broken": {"options": {"fail_load": True}}, "tfjs": {}}
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    report = run_benchmark(BenchmarkRequest(str(card), seconds=0.05), lambda _: None)
    good, broken = report.cases
    assert not good.fault
    assert "fail_load" in broken.fault
    assert "no backend" in report.not_run["tfjs"]
    lines = table(report).splitlines()
    assert len(lines) == 3
    assert len({len(line) for line in lines}) == 1
    with pytest.raises(NoArtifactError):
        run_benchmark(BenchmarkRequest(str(card), ["litert"]), lambda _: None)


def test_a_plot_and_scalars_that_tensorboard_reads(stub_card, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="in the extra benchmark")
    pytest.importorskip("tensorboard", reason="in the extra benchmark")
    import cv2
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    plot, scalars = tmp_path / "plot.png", tmp_path / "tb"
    arguments = ["model", "benchmark", str(stub_card()), "--threads", "1", "--seconds", "0.05"]
    assert main([*arguments, "--plot", str(plot), "--tensorboard", str(scalars)]) == 0
    image = cv2.imread(str(plot))
    assert image is not None
    assert image.std() > 5
    events = EventAccumulator(str(scalars / "stub-threads-1"))
    events.Reload()
    tags = events.Tags()
    assert "passes/forward_ms" in tags["tensors"] + tags["scalars"]
