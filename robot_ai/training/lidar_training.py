"""Trains PillarNet on simulated clouds: deterministic, resumable, on the CPU.

Everything follows from the settings, the number of threads and the step: the same ones on the same machine give the
same weights, interrupted or not. The checkpoint keeps the commands that a run was begun and gone on with, and the
model's card names them all.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import nn

from robot_ai.errors import RobotAIError
from robot_ai.lidar.center_heads import CenterHeads
from robot_ai.lidar.pillars import PillarGrid, encode
from robot_ai.models.card import ModelCard
from robot_ai.models.networks import pillarnet_plan as plan
from robot_ai.models.networks.pillarnet_torch import NormalizedPillarNet, PillarNet
from robot_ai.training.checkpoints import load_checkpoint, save_checkpoint
from robot_ai.training.lidar_card import Origin, write_model
from robot_ai.training.lidar_samples import GENERATION, SampleFolder, judge_sample, vary, within
from robot_ai.training.lidar_scoring import Scores, no_scores
from robot_ai.training.lidar_targets import CLASSES, Targets, loss_of, make_targets, make_window, stack

GRID = PillarGrid(plan.SIDE, 0.25)
WEIGHTS, CURVE = "pillarnet.safetensors", "validation.csv"

_WARM_UP = 100
# The last part of all steps, in which the learning rate falls to nothing.
_FALLING = 0.3
_CLIP = 10.0
_SCORE = 0.3
# The seed of validation is another one than any training's.
_VALIDATION_SEED = 1_000_003


class TrainingError(RobotAIError):
    """A training that cannot begin or go on."""


@dataclass(frozen=True)
class TrainingSettings:
    """steps of `batch` samples from `scenes` scenes. rate: the highest learning rate. average: how slowly the weights
    that are kept follow those that are trained. half: compute in bfloat16 where that pays. window: side, in
    pillars, of the part of each cloud that is trained on. grid: the square of pillars.
    """

    steps: int = 6000
    batch: int = 4
    scenes: int = 1500
    validation_scenes: int = 24
    validate_every: int = 250
    rate: float = 2e-3
    average: float = 0.997
    seed: int = 1
    half: bool = True
    window: int = 160
    grid: PillarGrid = GRID


class Training:
    """One run in a folder: its checkpoint, its weights so far, its validation curve and its TensorBoard logs."""

    def __init__(
        self,
        settings: TrainingSettings,
        folder: Path,
        scenes: Path | None,
        say: Callable[[str], None],
        log: Callable[[str, float, int], None] = lambda name, value, step: None,
        *,
        command: str = "",
    ) -> None:
        """`command` is what a model's card tells of how it was made."""
        self._command = command
        # From which step on which command was in force.
        self._commands: list[tuple[int, str]] = []
        self._settings, self._folder, self._say, self._log = settings, folder, say, log
        folder.mkdir(parents=True, exist_ok=True)
        reach = settings.grid.reach
        self._samples = SampleFolder(settings.seed, reach, scenes)
        self._validation = SampleFolder(_VALIDATION_SEED, reach, scenes)
        torch.manual_seed(settings.seed)
        self._network = NormalizedPillarNet().to(memory_format=torch.channels_last)
        # Few cells hold anything: begin with low scores instead of learning that first.
        with torch.no_grad():
            self._network.predict.bias[: plan.CLASSES] = -4.0
        self._optimizer = torch.optim.AdamW(self._network.parameters(), lr=settings.rate, weight_decay=1e-4)
        self._mean = {name: t.detach().clone() for name, t in self._network.state_dict().items()}
        self.step = 0

    def resume(self) -> None:
        """Goes on from the folder's checkpoint. Raises TrainingError."""
        load_checkpoint(self._folder, self._kept, self._take, TrainingError)

    def _take(self, state: dict[str, Any]) -> None:
        self._network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._mean, self.step, self._commands = state["mean"], state["step"], state["commands"]

    @property
    def _kept(self) -> dict[str, int]:
        """What must be the same when a run goes on; its length and its learning rate may change, and are told then."""
        settings = self._settings
        kept = {name: getattr(settings, name) for name in ("seed", "batch", "scenes", "window")}
        return kept | {"generation of scenes": GENERATION}

    def save(self) -> None:
        """Writes the checkpoint, and the weights so far as a model's safetensors file."""
        state = {
            "network": self._network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "mean": self._mean,
            "step": self.step,
            "commands": self._commands,
        }
        save_checkpoint(self._folder, self._kept, state)
        weights = {name: t.half().contiguous() for name, t in self._averaged().folded().items()}
        safetensors.torch.save_file(weights, self._folder / WEIGHTS)

    def write_model(self, folder: Path) -> ModelCard:
        """Writes the weights that were saved last as a model's folder, whose card names the commands that made them."""
        sample = within(self._validation[0], self._settings.grid)
        told = "; ".join(f"from step {step} on {command}" if step else command for step, command in self._commands)
        origin = Origin(told, version=f"1.{self.step}")
        return write_model(self._folder / WEIGHTS, folder, self._settings.grid, sample, origin)

    def run(self, stop: Callable[[], bool] = lambda: False, checkpoint_every: float = 120.0) -> None:
        """Trains to the last step, or until `stop()`; saves at the end and every `checkpoint_every` seconds."""
        settings = self._settings
        self._begin()
        started, first, saved = time.monotonic(), self.step, time.monotonic()
        for features, targets in self._batches():
            parts = self._train(features, targets)
            self.step += 1
            if self.step % 20 == 0 or self.step == settings.steps:
                pace = (self.step - first) / (time.monotonic() - started)
                left = (settings.steps - self.step) / pace / 60
                told = "  ".join(f"{name} {value:.3f}" for name, value in parts.items())
                self._say(f"step {self.step}/{settings.steps}  {told}  {pace:.2f} steps/s  {left:.0f} min left")
                for name, value in parts.items():
                    self._log(f"loss/{name}", value, self.step)
            if self.step % settings.validate_every == 0 or self.step == settings.steps:
                self.validate()
            if stop():
                break
            if time.monotonic() - saved > checkpoint_every:
                self.save()
                saved = time.monotonic()
        self.save()

    def _begin(self) -> None:
        """Notes the command, and takes from the curve what lies after the present step: it will come again."""
        if not self._commands or self._commands[-1][1] != self._command:
            self._commands.append((self.step, self._command))
        file = self._folder / CURVE
        if not self.step:
            file.unlink(missing_ok=True)
        elif file.is_file():
            head, *rows = file.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [row for row in rows if int(row.partition(",")[0]) <= self.step]
            file.write_text(head + "".join(kept), encoding="utf-8")

    def validate(self) -> Scores:
        """Judges the averaged weights on scenes that are not trained on; adds a row to the curve."""
        network = PillarNet()
        network.load_state_dict(self._averaged().folded())
        network.eval()
        heads = CenterHeads(self._settings.grid, plan.STRIDE, CLASSES)
        scores = no_scores()
        for number in range(self._settings.validation_scenes):
            sample = within(self._validation[number], self._settings.grid)
            pillars = encode(sample.points, sample.above, self._settings.grid)
            with torch.inference_mode():
                outputs = {name: t.numpy() for name, t in network(torch.from_numpy(pillars.features)[None]).items()}
            judge_sample(sample, heads.decode(outputs, 0, _SCORE, pillars), scores)
        self._tell(scores)
        return scores

    def _batches(self) -> Iterator[tuple[Any, list[Targets]]]:
        """What each step from the present one on is given; the next batch is made while one is trained on."""
        with ThreadPoolExecutor(1) as maker:
            coming: Future[tuple[Any, list[Targets]]] | None = None
            for step in range(self.step, self._settings.steps):
                ready = coming or maker.submit(self._make, step)
                coming = maker.submit(self._make, step + 1) if step + 1 < self._settings.steps else None
                yield ready.result()

    def _make(self, step: int) -> tuple[Any, list[Targets]]:
        settings, features, targets = self._settings, [], []
        for place in range(step * settings.batch, (step + 1) * settings.batch):
            turn, number = divmod(place, settings.scenes)
            order = np.random.default_rng((settings.seed, 1, turn)).permutation(settings.scenes)
            rng = np.random.default_rng((settings.seed, 2, place))
            sample = within(vary(self._samples[int(order[number])], rng), settings.grid)
            window = make_window(sample, settings.grid, settings.window, rng)
            inside = window.holds(sample.points, settings.grid)
            pillars = encode(sample.points[inside], sample.above[inside], settings.grid)
            features.append(window.cut(pillars.features))
            targets.append(make_targets(sample, pillars, settings.grid, window))
        return stack(features), targets

    def _train(self, features: Any, targets: list[Targets]) -> dict[str, float]:
        self._network.train()
        for group in self._optimizer.param_groups:
            group["lr"] = self._settings.rate * _schedule(self.step, self._settings.steps)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._settings.half):
            cells = self._network.predict_cells(features)
        loss = loss_of(cells, targets)
        if not math.isfinite(float(loss.total.detach())):
            raise TrainingError(f"the loss is not finite at step {self.step}; expected a lower learning rate (--rate)")
        self._optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        nn.utils.clip_grad_norm_(self._network.parameters(), _CLIP)
        self._optimizer.step()
        # At first the mean follows quickly: it would drag the random beginning along.
        keep = min(self._settings.average, (1 + self.step) / (10 + self.step))
        for name, tensor in self._network.state_dict().items():
            mean = self._mean[name]
            if mean.is_floating_point():
                mean.lerp_(tensor.detach(), 1 - keep)
            else:
                mean.copy_(tensor)
        return loss.parts

    def _averaged(self) -> NormalizedPillarNet:
        network = NormalizedPillarNet()
        network.load_state_dict(self._mean)
        return network

    def _tell(self, scores: Scores) -> None:
        row: dict[str, float] = {"step": self.step}
        for (label, (low, high)), score in scores.items():
            name = f"{label}_{low:.0f}_{high:.0f}"
            row |= {f"recall_{name}": round(score.recall, 4), f"precision_{name}": round(score.precision, 4)}
            self._say(
                f"  {label:8} {low:2.0f}-{high:2.0f} m: found {score.found} of {score.asked}, "
                f"right {score.right} of {score.said}"
            )
        for name, value in row.items():
            if name != "step" and math.isfinite(value):
                self._log(f"validation/{name}", value, self.step)
        file = self._folder / CURVE
        is_new = not file.is_file()
        with file.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, row.keys())
            if is_new:
                writer.writeheader()
            writer.writerow(row)


def describe(settings: TrainingSettings) -> str:
    """The settings in one line."""
    return ", ".join(f"{name} {value}" for name, value in asdict(settings).items() if name != "grid")


def _schedule(step: int, steps: int) -> float:
    """The part of the highest learning rate: rises, stays, falls at the end along a half cosine."""
    rising = min(1.0, (step + 1) / _WARM_UP)
    begin = steps * (1 - _FALLING)
    falling = 1.0 if step < begin else 0.5 * (1 + math.cos(math.pi * (step - begin) / (steps - begin)))
    return rising * falling
