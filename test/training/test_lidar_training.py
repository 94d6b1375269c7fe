"""Training the lidar detector, on a few small steps: what it is given, that it repeats, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", exc_type=ImportError)

import safetensors.numpy
import torch

from robot_ai.backends.loading import BackendChoice
from robot_ai.cli.main import main
from robot_ai.lidar.center_heads import CenterHeads
from robot_ai.lidar.pillar_detector import PillarDetector, check_card
from robot_ai.lidar.pillars import PillarGrid, encode
from robot_ai.models.card import ModelCard
from robot_ai.models.networks import pillarnet_plan as plan
from robot_ai.models.networks.pillarnet_torch import NormalizedPillarNet, PillarNet
from robot_ai.training.checkpoints import CHECKPOINT
from robot_ai.training.lidar_samples import Sample, SampleFolder, vary, within
from robot_ai.training.lidar_targets import CLASSES, Window, make_targets, make_window
from robot_ai.training.lidar_training import CURVE, WEIGHTS, Training, TrainingError, TrainingSettings

GRID = PillarGrid(96, 0.25)
TINY = TrainingSettings(
    steps=6, batch=2, scenes=3, validation_scenes=1, validate_every=6, window=64, grid=GRID, half=False
)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("scenes")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def train(
    folder: Path, scenes: Path, settings: TrainingSettings = TINY, stop_at: int = 0, resume: bool = False
) -> dict:
    """The weights after training, or after an interruption at a step."""
    training = Training(settings, folder, scenes, lambda text: None)
    if resume:
        training.resume()
    training.run(lambda: bool(stop_at) and training.step >= stop_at)
    return safetensors.numpy.load_file(folder / WEIGHTS)


def same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(first[name], second[name]) for name in first | second)


def test_it_repeats_and_goes_on_where_it_was_interrupted(tmp_path: Path, scenes: Path) -> None:
    whole = train(tmp_path / "whole", scenes)
    assert same(whole, train(tmp_path / "again", scenes))
    half = train(tmp_path / "half", scenes, stop_at=3)
    assert not same(whole, half)
    assert same(whole, train(tmp_path / "half", scenes, resume=True))
    assert not same(whole, train(tmp_path / "other", scenes, replace(TINY, seed=2)))
    rows = (tmp_path / "whole" / CURVE).read_text(encoding="utf-8").splitlines()
    assert rows[0].startswith("step,recall_person_0_20,precision_person_0_20")
    assert [row.split(",")[0] for row in rows[1:]] == ["6"]


def test_in_bfloat16_it_goes_on_where_it_was_interrupted_too(tmp_path: Path, scenes: Path) -> None:
    settings = replace(TINY, half=True)
    whole = train(tmp_path / "whole", scenes, settings)
    train(tmp_path / "half", scenes, settings, stop_at=3)
    assert same(whole, train(tmp_path / "half", scenes, settings, resume=True))


def test_the_curve_is_that_of_the_run_alone(tmp_path: Path, scenes: Path) -> None:
    often = replace(TINY, validate_every=2)

    def steps() -> list[str]:
        return [row.partition(",")[0] for row in (tmp_path / CURVE).read_text(encoding="utf-8").splitlines()[1:]]

    train(tmp_path, scenes, often, stop_at=2)
    at_two = (tmp_path / CHECKPOINT).read_bytes()
    train(tmp_path, scenes, often, resume=True)
    assert steps() == ["2", "4", "6"]
    # As if it had been killed: the curve is ahead of the checkpoint.
    (tmp_path / CHECKPOINT).write_bytes(at_two)
    train(tmp_path, scenes, often, resume=True)
    assert steps() == ["2", "4", "6"]
    train(tmp_path, scenes, often, stop_at=4)
    assert steps() == ["2", "4"]


def test_a_checkpoint_of_another_run_or_none_is_refused(tmp_path: Path, scenes: Path) -> None:
    with pytest.raises(TrainingError, match="does not exist"):
        train(tmp_path, scenes, resume=True)
    train(tmp_path, scenes, stop_at=1)
    with pytest.raises(TrainingError, match="was made with"):
        train(tmp_path, scenes, replace(TINY, batch=1), resume=True)
    (tmp_path / CHECKPOINT).write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError, match="no checkpoint of this training"):
        train(tmp_path, scenes, resume=True)


def test_it_learns_one_scene(tmp_path: Path, scenes: Path) -> None:
    losses: list[float] = []
    settings = replace(TINY, steps=60, scenes=1, validate_every=1000)
    training = Training(settings, tmp_path, scenes, lambda text: None, lambda name, value, step: losses.append(value))
    training.run()
    peaks, boxes = losses[0::2], losses[1::2]
    assert peaks[-1] < peaks[0] / 2
    assert boxes[-1] < boxes[0]


def test_the_verb_leaves_a_model_that_the_detector_loads(tmp_path: Path) -> None:
    given = ["train", "lidar", "--output", str(tmp_path), "--threads", "1", "--steps", "1", "--batch", "1"]
    assert main([*given, "--scenes", "1", "--validation-scenes", "1", "--window", "64"]) == 0
    card = ModelCard.load(tmp_path / "model")
    check_card(card)
    assert "robot_ai train lidar --steps 1 --batch 1 --scenes 1 --window 64" in card.source
    assert "--threads 1" in card.source
    assert "from step" not in card.source
    assert list((tmp_path / "logs").glob("events.out.tfevents.*"))
    PillarDetector.load(BackendChoice(str(tmp_path / "model"), threads=1)).close()
    assert main([*given, "--resume", "--scenes", "2"]) == 1
    more = ["--scenes", "1", "--validation-scenes", "1", "--window", "64", "--rate", "0.001", "--resume"]
    assert main([*given, "--steps", "2", *more]) == 0
    told = ModelCard.load(tmp_path / "model").source
    assert "--steps 1 --batch 1" in told
    assert "; from step 1 on robot_ai train lidar --steps 2" in told


def test_folding_the_normalization_changes_nothing() -> None:
    torch.manual_seed(0)
    trained = NormalizedPillarNet()
    for _ in range(3):
        trained.predict_cells(torch.rand(2, plan.CHANNELS, 32, 32))
    trained.eval()
    plain = PillarNet()
    plain.load_state_dict(trained.folded())
    x = torch.rand(1, plan.CHANNELS, 32, 32)
    with torch.inference_mode():
        for name, expected in trained(x).items():
            torch.testing.assert_close(plain.eval()(x)[name], expected, atol=1e-5, rtol=1e-4)


@pytest.fixture(scope="module")
def sample(scenes: Path) -> Sample:
    return SampleFolder(5, GRID.reach, scenes)[0]


def test_samples_follow_from_their_number(scenes: Path, sample: Sample, tmp_path: Path) -> None:
    kept, made = SampleFolder(5, GRID.reach, scenes)[0], SampleFolder(5, GRID.reach)[0]
    np.testing.assert_array_equal(kept.points, sample.points)
    np.testing.assert_allclose(kept.points, made.points, atol=0.002)
    np.testing.assert_allclose(kept.boxes.centers, made.boxes.centers, atol=1e-5)
    np.testing.assert_array_equal(kept.seen, made.seen)
    assert len(SampleFolder(5, GRID.reach)[1].points) != len(made.points)


def test_varied_boxes_hold_the_points_that_they_held(sample: Sample) -> None:
    before = sample.boxes.contains(sample.points, 0.05).sum(axis=1)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        varied = vary(sample, rng)
        after = varied.boxes.contains(varied.points, 0.05).sum(axis=1)
        part = len(varied.points) / len(sample.points)
        many = before >= 50
        np.testing.assert_allclose(after[many], before[many] * part, rtol=0.35)


@pytest.mark.parametrize("window", [None, Window(16, 24, 64)])
def test_targets_decode_to_the_boxes_they_are_made_of(sample: Sample, window: Window | None) -> None:
    inside = within(sample, GRID)
    pillars = encode(inside.points, inside.above, GRID)
    targets = make_targets(inside, pillars, GRID, window)
    side = (window.side if window else GRID.side) // plan.STRIDE
    boxes = np.zeros((1, side * side, plan.BOX), np.float32)
    boxes[0, targets.cells] = targets.boxes
    scores = targets.heat.reshape(1, len(CLASSES), -1).transpose(0, 2, 1)
    grid = GRID if window is None else PillarGrid(window.side, GRID.cell)
    # The decoder takes a window for a square of its own, with the lidar in the middle.
    first = np.array([window.column, window.row] if window else [0, 0])
    shift = ((first + (grid.side - GRID.side) / 2) * GRID.cell).astype(np.float32)
    shifted = replace(pillars, places=pillars.places - shift)
    found = CenterHeads(grid, plan.STRIDE, CLASSES).decode({"scores": scores, "boxes": boxes}, 0, 0.99, shifted)
    found = found.moved(np.append(shift, np.float32(0)))
    assert len(found) >= 0.5 * targets.objects > 0
    gaps = np.linalg.norm(found.centers[:, None, :2] - inside.boxes.centers[None, :, :2], axis=-1)
    assert gaps.min(axis=1).max() < 0.01


def test_windows_lie_in_the_grid_and_hold_something(sample: Sample) -> None:
    inside = within(sample, GRID)
    pillars = encode(inside.points, inside.above, GRID)
    for seed in range(8):
        window = make_window(inside, GRID, 64, np.random.default_rng(seed))
        assert 0 <= window.row <= 32 and 0 <= window.column <= 32
        assert window.row % 8 == window.column % 8 == 0
        assert make_targets(inside, pillars, GRID, window).objects > 0
        held = inside.points[window.holds(inside.points, GRID)]
        np.testing.assert_array_equal(
            window.cut(encode(inside.points, inside.above, GRID).features)[:10],
            window.cut(encode(held, inside.above[window.holds(inside.points, GRID)], GRID).features)[:10],
        )
