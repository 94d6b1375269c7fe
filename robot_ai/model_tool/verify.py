"""Whether all artifacts of a card are the same model: tensors, detections and average precision beside a reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.errors import BackendError, MissingFrameworkError
from robot_ai.backends.loading import BackendChoice
from robot_ai.backends.registry import available
from robot_ai.errors import pip_install
from robot_ai.lidar.errors import CenterHeadsError
from robot_ai.model_tool.export.errors import ModelToolError
from robot_ai.model_tool.matching import Agreement
from robot_ai.model_tool.trials import Outcome, Trial
from robot_ai.models.artifacts import Artifact, backend_of
from robot_ai.models.card import ModelCard
from robot_ai.models.comparison import Difference, differences
from robot_ai.models.errors import GoldenSampleError, ModelCardError
from robot_ai.models.find import find_model
from robot_ai.models.golden import tolerance_of
from robot_ai.perception.decoders.errors import DecoderError

Say = Callable[[str], None]


@dataclass(frozen=True)
class Limits:
    """What is accepted beside the reference, by an artifact's precision.

    overlap: every matched pair of boxes has at least this IoU. score: the largest difference of a pair's scores; boxes
    whose score is nearer than this to the confidence threshold may be missing or surplus. pairs: the part of all boxes
    that must have a partner. average_precision: how much lower AP may be.
    """

    overlap: float
    score: float
    pairs: float
    average_precision: float


LIMITS = {
    "float32": Limits(overlap=0.99, score=0.01, pairs=1.0, average_precision=0.002),
    "float16": Limits(overlap=0.95, score=0.03, pairs=1.0, average_precision=0.01),
    "bfloat16": Limits(overlap=0.80, score=0.15, pairs=0.9, average_precision=0.02),
    "int8": Limits(overlap=0.50, score=0.30, pairs=0.7, average_precision=0.02),
}
# Of backends whose extra has another name.
_EXTRAS = {"tf_serving": "serving", "kserve": "serving"}


@dataclass
class Row:
    """One artifact's result. `faults` empty and `not_run` empty: it is the same model."""

    key: str
    precision: str
    tensors: Difference | None = None
    tolerance: float = 0.0
    agreement: Agreement | None = None
    average_precision: float | None = None
    average_precision_50: float | None = None
    not_run: str = ""
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """All rows; the first that ran is the reference. samples: what was compared on, such as `10 photos`."""

    model: str
    reference: str
    samples: str
    rows: list[Row]

    @property
    def failed(self) -> list[Row]:
        """The rows beyond tolerance, or whose artifact could not be loaded."""
        return [row for row in self.rows if row.faults]


class NothingToVerifyError(ModelToolError):
    """A card without any artifact that this machine can run."""


class Verifier:
    """Compares the artifacts of one card, each loaded, tried and closed in turn."""

    def __init__(self, model: str, trial: Trial, threads: int, say: Say) -> None:
        self._directory = find_model(model)
        self._card = ModelCard.load(self._directory, backends=())
        self._trial = trial
        self._threads = threads
        self._say = say
        self._reference: tuple[Row, Outcome] | None = None

    def run(self, keys: Sequence[str] = (), reference: str | None = None) -> Report:
        """Compares the artifacts `keys` (none: all) with `reference` (None: the first that runs).

        Raises NothingToVerifyError when none can be run, NoArtifactError for a key that the card has not, and what the
        loading of the reference raised when it was named.
        """
        wanted = list(keys or self._card.artifacts)
        for key in [*wanted, *([reference] if reference else [])]:
            self._card.artifact_for(key)
        if reference:
            wanted = [reference, *(key for key in wanted if key != reference)]
        frameworks = {info.name: info for info in available()}
        rows = []
        for key in wanted:
            self._say(f"{key} …")
            row = Row(key, self._card.artifacts[key].precision)
            row.not_run = why_not(key, frameworks)
            if not row.not_run:
                self._fill(row, named=key == reference)
            rows.append(row)
        if self._reference is None:
            reasons = "; ".join(f"{row.key}: {row.not_run or row.faults[0]}" for row in rows)
            raise NothingToVerifyError(f"{self._card.name}: no artifact can be run here ({reasons})")
        return Report(self._card.name, self._reference[0].key, self._trial.samples, rows)

    def _fill(self, row: Row, named: bool) -> None:
        choice = BackendChoice(str(self._directory), row.key, "cpu", threads=self._threads)
        try:
            model = self._trial.load(choice)
        except MissingFrameworkError as error:
            row.not_run = str(error)
            return
        except (BackendError, ModelCardError, GoldenSampleError) as error:
            if named:
                raise
            row.faults.append(str(error))
            return
        try:
            outcome = self._trial.run(model)
        except (BackendError, DecoderError, CenterHeadsError) as error:
            row.faults.append(str(error))
            return
        finally:
            model.close()
        if outcome.precision is not None:
            row.average_precision, row.average_precision_50 = outcome.precision.ap, outcome.precision.ap50
        if self._reference is None:
            self._reference = row, outcome
        self._judge(row, outcome)

    def _judge(self, row: Row, outcome: Outcome) -> None:
        assert self._reference is not None
        reference_row, reference = self._reference
        artifact = self._card.artifacts[row.key]
        limits = LIMITS[row.precision]
        row.tolerance = tolerance_of(artifact)
        row.tensors = _tensor_difference(self._card, reference.outputs, outcome.outputs, row.tolerance)
        row.agreement = self._trial.agree(reference, outcome, self._card.thresholds, limits.score)
        row.faults += _faults(row, artifact, limits)
        if row.average_precision is not None and reference_row.average_precision is not None:
            lost = reference_row.average_precision - row.average_precision
            if lost > limits.average_precision:
                row.faults.append(f"AP is {lost:.3f} below the reference; accepted {limits.average_precision:g}")


def why_not(key: str, frameworks: dict[str, Any]) -> str:
    """Why an artifact cannot be run on this machine; empty when it can."""
    name = backend_of(key)
    if name not in frameworks:
        return "no backend of robot_ai runs this format: it is for other programs"
    if not frameworks[name].installed:
        return f"{frameworks[name].framework} is not installed: {pip_install(_EXTRAS.get(name, name))}"
    return ""


def _tensor_difference(
    card: ModelCard,
    expected: Sequence[dict[str, NDArray[Any]]],
    given: Sequence[dict[str, NDArray[Any]]],
    tolerance: float,
) -> Difference:
    """Over all samples and outputs: the largest and mean difference, and the output with the largest relative one."""
    found = [
        difference
        for one, other in zip(expected, given, strict=True)
        for difference in differences(card, one, other, tolerance).values()
    ]
    worst = max(found, key=lambda difference: difference.relative)
    return Difference(worst.largest, float(np.mean([difference.mean for difference in found])), worst.magnitude)


def _faults(row: Row, artifact: Artifact, limits: Limits) -> list[str]:
    assert row.tensors is not None and row.agreement is not None
    faults, found = [], row.agreement
    if not row.tensors.relative <= row.tolerance:
        allowed = row.tolerance * max(1.0, row.tensors.magnitude)
        faults.append(f"a tensor differs by {row.tensors.largest:.3g}; accepted {allowed:.3g}")
    if found.pairs and found.smallest_overlap < limits.overlap:
        faults.append(f"a pair of boxes overlaps by IoU {found.smallest_overlap:.3f}; accepted {limits.overlap:g}")
    if found.largest_score_difference > limits.score:
        faults.append(f"a score differs by {found.largest_score_difference:.3f}; accepted {limits.score:g}")
    if found.paired < limits.pairs:
        faults.append(f"{found.paired:.0%} of the boxes have a partner; accepted {limits.pairs:.0%}")
    return faults
