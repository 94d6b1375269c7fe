"""The worker thread: every frame ends in its ledger, whatever the stages do."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import pytest

from robot_ai.backends.loading import BackendChoice
from robot_ai.geometry.errors import UnknownFrameError
from robot_ai.perception.detections import Detections
from robot_ai.perception.encodings import RawImage, decode_compressed, decode_raw
from robot_ai.perception.errors import ImageLengthError
from robot_ai.pipeline.image_detector import DetectionResult, DetectionSettings, ImageDetector
from robot_ai.pipeline.latency import STAGES, StageLatencies
from robot_ai.pipeline.ledger import DropCause, FrameLedger, LedgerSnapshot
from robot_ai.pipeline.worker import Frame, FrameWorker, SourceAccount, Stages

LABELS = ("bright", "other")
PIXELS = np.zeros((8, 8, 3), np.uint8)
TIMEOUT = 20.0


def nothing_in(images: Sequence[Any]) -> DetectionResult:
    return DetectionResult([Detections.empty(LABELS) for _ in images])


class Gate:
    """Finds nothing, but only once it is opened; `entered` tells that a frame is there."""

    def __init__(self) -> None:
        self.entered, self._opened = threading.Event(), threading.Event()

    def detect(self, images: Sequence[Any]) -> DetectionResult:
        self.entered.set()
        assert self._opened.wait(TIMEOUT)
        return nothing_in(images)

    def open(self) -> None:
        self._opened.set()


class Bench:
    """A worker with real books, whose stages a test replaces one by one."""

    def __init__(self, *sources: str, decode=lambda _: PIXELS, detect=nothing_in, publish=None, complain=None) -> None:
        self.accounts = {source: SourceAccount(FrameLedger(), StageLatencies()) for source in sources or ("front",)}
        self.answers: list[tuple[str, Any, Detections]] = []
        self.complaints: list[tuple[str, DropCause, Exception]] = []
        stages = Stages(decode, detect, publish or self.answer)
        self.worker = FrameWorker(self.accounts, stages, complain or (lambda *what: self.complaints.append(what)))

    def answer(self, source: str, message: Any, _image: Any, detections: Detections) -> None:
        self.answers.append((source, message, detections))

    def send(self, message: Any, source: str = "front", transport: float | None = 0.001) -> None:
        now = time.monotonic()
        self.accounts[source].ledger.receive(now)
        self.worker.submit(source, Frame(message, now, transport))

    def snapshot(self, source: str = "front") -> LedgerSnapshot:
        return self.accounts[source].ledger.snapshot(time.monotonic())

    def settle(self) -> None:
        """Waits until no frame is in flight."""
        deadline = time.monotonic() + TIMEOUT
        while any(self.snapshot(source).in_flight for source in self.accounts):
            assert time.monotonic() < deadline, "frames hang in flight: the worker died or lost them"
            time.sleep(0.001)

    def ask(self, message: Any, source: str = "front") -> None:
        self.send(message, source)
        self.settle()

    def counts(self, source: str = "front") -> dict[str, int]:
        """What ended how, without the noughts; the account must balance with nothing in flight."""
        snapshot = self.snapshot(source)
        assert snapshot.balanced
        assert snapshot.in_flight == 0
        ends = {"published": snapshot.published} | {cause.value: n for cause, n in snapshot.dropped.items()}
        return {end: n for end, n in ends.items() if n}


@contextmanager
def running(*sources: str, **stages: Any) -> Iterator[Bench]:
    bench = Bench(*sources, **stages)
    bench.worker.start()
    try:
        yield bench
    finally:
        assert bench.worker.stop(TIMEOUT), "the worker did not end"


def bytes_message(data: bytes) -> RawImage:
    return RawImage(4, 4, "bgr8", 12, data)


def test_every_frame_is_answered_with_its_own_message():
    with running() as bench:
        for number in range(50):
            bench.ask(number)
        assert [message for _, message, _ in bench.answers] == list(range(50))
        assert bench.counts() == {"published": 50}
        assert bench.complaints == []


def test_malformed_frames_are_counted_and_explained_and_the_next_is_answered():
    with running(decode=decode_raw) as bench:
        for _ in range(3):
            bench.ask(bytes_message(bytes(7)))
            bench.ask(bytes_message(bytes(48)))
        assert bench.counts() == {"published": 3, "malformed": 3}
        source, cause, error = bench.complaints[0]
        assert (source, cause) == ("front", DropCause.MALFORMED)
        assert isinstance(error, ImageLengthError)
        assert "data holds 7 bytes" in str(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA out of memory"), MemoryError(), cv2.error("corrupt"), KeyError("x")]
)
@pytest.mark.parametrize(("stage", "cause"), [("decode", "malformed"), ("detect", "failed"), ("publish", "failed")])
def test_any_exception_of_any_stage_is_a_counted_drop(stage, cause, error):
    good: dict[str, Any] = {"decode": lambda _: PIXELS, "detect": nothing_in, "publish": lambda *_: None}
    failing = threading.Event()

    def maybe(*arguments: Any) -> Any:
        if failing.is_set():
            raise error
        return good[stage](*arguments)

    with running(**(good | {stage: maybe})) as bench:
        bench.ask(1)
        failing.set()
        bench.ask(2)
        bench.ask(3)
        failing.clear()
        bench.ask(4)
        assert bench.counts() == {"published": 2, cause: 2}
        assert [(what, why) for _, what, why in bench.complaints] == [(DropCause(cause), error)] * 2


@pytest.mark.parametrize("given", [[], [Detections.empty(LABELS)] * 3])
def test_a_wrong_number_of_answers_is_a_failure(given):
    with running(detect=lambda _: DetectionResult(given)) as bench:
        bench.ask(1)
        bench.ask(2)
        assert bench.counts() == {"failed": 2}
        assert all(isinstance(error, ValueError) for _, _, error in bench.complaints)


def test_a_stage_that_nobody_knows_is_measured_and_no_fault():
    with running(detect=lambda images: DetectionResult(nothing_in(images).detections, {"track": 0.5})) as bench:
        bench.ask(1)
        bench.ask(2)
        assert bench.counts() == {"published": 2}
        assert bench.accounts["front"].latencies.percentiles()["track"].p50 == 0.5


def test_a_missing_transform_is_a_cause_of_its_own():
    def detect(items: Sequence[Any]) -> DetectionResult:
        raise UnknownFrameError("no transform names the frame 'odom'")

    with running(detect=detect) as bench:
        bench.ask("cloud")
    assert bench.counts() == {"no_transform": 1}


def test_a_complaint_that_raises_does_not_end_the_worker(caplog):
    def complain(*_: Any) -> None:
        raise OSError("the log's disk is full")

    with running(decode=decode_raw, complain=complain) as bench:
        bench.ask(bytes_message(b""))
        bench.ask(bytes_message(bytes(48)))
        assert bench.counts() == {"published": 1, "malformed": 1}
    assert "cannot report a dropped frame" in caplog.text
    assert "the log's disk is full" in caplog.text


def test_displaced_frames_are_stale_and_the_newest_is_answered():
    gate = Gate()
    with running(detect=gate.detect) as bench:
        bench.send(0)
        assert gate.entered.wait(TIMEOUT)
        started = time.monotonic()
        for number in range(1, 101):
            bench.send(number)
        assert time.monotonic() - started < 5, "submit waited for the worker"
        assert bench.snapshot().balanced
        assert bench.snapshot().in_flight == 2
        gate.open()
        bench.settle()
        assert [message for _, message, _ in bench.answers] == [0, 100]
        assert bench.counts() == {"published": 2, "stale": 99}
        assert bench.complaints == []


def test_held_frames_are_answered_in_their_order():
    gate = Gate()
    with running(detect=gate.detect) as bench:
        bench.worker.hold(4)
        bench.send(0)
        assert gate.entered.wait(TIMEOUT)
        for number in range(1, 6):
            bench.send(number)
        gate.open()
        bench.settle()
        assert [message for _, message, _ in bench.answers] == [0, 2, 3, 4, 5]
        assert bench.counts() == {"published": 5, "stale": 1}


def test_sources_at_hand_share_one_batch():
    batches: list[int] = []
    entered, proceed = threading.Event(), threading.Event()

    def detect(images: Sequence[Any]) -> DetectionResult:
        batches.append(len(images))
        entered.set()
        assert proceed.wait(TIMEOUT)
        return nothing_in(images)

    with running("front", "left", "rear", detect=detect) as bench:
        bench.send("first", "left")
        assert entered.wait(TIMEOUT)
        for source in ("rear", "front", "left"):
            bench.send(f"second {source}", source)
        proceed.set()
        bench.settle()
        assert batches == [1, 3]
        assert [(s, m) for s, m, _ in bench.answers[1:]] == [(s, f"second {s}") for s in ("front", "left", "rear")]


def test_one_sources_malformed_frame_leaves_the_others_alone():
    entered, proceed = threading.Event(), threading.Event()

    def decode(message: RawImage) -> Any:
        entered.set()
        assert proceed.wait(TIMEOUT)
        return decode_raw(message)

    with running("front", "rear", decode=decode) as bench:
        bench.send(bytes_message(bytes(48)), "front")
        assert entered.wait(TIMEOUT)
        bench.send(bytes_message(b""), "front")
        bench.send(bytes_message(bytes(48)), "rear")
        proceed.set()
        bench.settle()
        assert bench.counts("front") == {"published": 1, "malformed": 1}
        assert bench.counts("rear") == {"published": 1}


def test_one_sources_failing_publisher_leaves_the_others_alone():
    def publish(source: str, *_: Any) -> None:
        if source == "front":
            raise RuntimeError("publisher is invalid")

    with running("front", "rear", publish=publish) as bench:
        for _ in range(5):
            bench.ask(1, "front")
            bench.ask(1, "rear")
        assert bench.counts("front") == {"failed": 5}
        assert bench.counts("rear") == {"published": 5}


def test_stop_ends_after_the_batch_at_hand_and_counts_what_waits_as_disabled():
    gate = Gate()
    bench = Bench("front", "rear", detect=gate.detect)
    bench.worker.start()
    bench.send(1, "front")
    assert gate.entered.wait(TIMEOUT)
    bench.send(2, "front")
    bench.send(3, "rear")
    assert not bench.worker.stop(0.05), "the forward pass hangs, and stop must say so"
    bench.send(4, "front")
    gate.open()
    assert bench.worker.stop(TIMEOUT)
    assert bench.counts("front") == {"published": 1, "disabled": 2}
    assert bench.counts("rear") == {"disabled": 1}


def test_stop_before_start_and_twice_is_no_fault():
    bench = Bench()
    bench.send(1)
    assert bench.worker.stop(1)
    assert bench.worker.stop(1)
    bench.send(2)
    assert bench.counts() == {"disabled": 2}


def test_stop_wakes_an_idle_worker():
    bench = Bench()
    bench.worker.start()
    started = time.monotonic()
    assert bench.worker.stop(TIMEOUT)
    assert time.monotonic() - started < 2


def test_latencies_are_of_published_frames_and_of_the_right_stages():
    def decode(message: Any) -> Any:
        time.sleep(0.02)
        if message == "bad":
            raise ValueError("no image")
        return PIXELS

    def detect(images: Sequence[Any]) -> DetectionResult:
        stages = {"preprocess": 0.001, "forward": 0.002, "postprocess": 0.003}
        return DetectionResult(nothing_in(images).detections, stages)

    with running(decode=decode, detect=detect, publish=lambda *_: time.sleep(0.04)) as bench:
        latencies = bench.accounts["front"].latencies
        bench.ask("bad")
        assert latencies.percentiles() == {}
        for _ in range(5):
            bench.send("good", transport=0.005)
            bench.settle()
    p50 = {stage: value.p50 for stage, value in latencies.percentiles().items()}
    assert tuple(p50) == STAGES
    assert (p50["transport"], p50["preprocess"], p50["forward"], p50["postprocess"]) == (0.005, 0.001, 0.002, 0.003)
    assert p50["decode"] >= 0.02
    assert p50["publish"] >= 0.04
    assert p50["queue"] >= 0


def test_an_unknown_transport_time_is_not_measured():
    with running() as bench:
        bench.send(1, transport=None)
        bench.settle()
        time.sleep(0.05)
        assert list(bench.accounts["front"].latencies.percentiles()) == ["queue", "decode", "publish"]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_books_balance_in_a_storm(seed, stub_card):
    """Cameras on threads of their own, good and broken messages, a backend that fails now and then."""
    detector = ImageDetector.load(BackendChoice(str(stub_card(size=32, fail_every=7, delay=0.0005)), "stub"))
    sources = ("front", "left", "rear")
    settings = DetectionSettings()
    good = cv2.imencode(".png", np.full((16, 16, 3), 255, np.uint8))[1].tobytes()
    bad = [b"", good[:40], b"\xff\xd8\xff" + good]
    snapshots: list[LedgerSnapshot] = []
    sent = 400

    with running(*sources, decode=decode_compressed, detect=lambda images: detector.detect(images, settings)) as bench:

        def camera(source: str) -> None:
            chance = random.Random(f"{seed}{source}")
            for _ in range(sent):
                bench.send(chance.choice([good, good, good, *bad]), source)
                time.sleep(chance.random() * 2e-3)
                snapshots.append(bench.snapshot(source))

        threads = [threading.Thread(target=camera, args=(source,)) for source in sources]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        bench.settle()
        for source in sources:
            counts = bench.counts(source)
            assert sum(counts.values()) == sent
            assert {"published", "malformed", "failed"} <= set(counts)
            assert counts["published"] == sum(answered == source for answered, _, _ in bench.answers)
        bench.ask(good, "front")
    assert all(snapshot.balanced for snapshot in snapshots)
    for _, message, detections in bench.answers:
        assert message == good
        np.testing.assert_array_equal(detections.xyxy, [[0, 0, 16, 16]])
    causes = [cause for _, cause, _ in bench.complaints]
    for cause in (DropCause.MALFORMED, DropCause.FAILED):
        assert causes.count(cause) == sum(bench.snapshot(source).dropped[cause] for source in sources)


def test_a_call_that_does_not_return_is_abandoned_and_the_next_frame_answered():
    release, entered = threading.Event(), threading.Event()

    def detect(images: Sequence[Any]) -> DetectionResult:
        if not entered.is_set():
            entered.set()
            release.wait(TIMEOUT)
        return nothing_in(images)

    bench = Bench(detect=detect)
    bench.worker.start()
    assert not bench.worker.abandon(TimeoutError("early")), "there is no frame to give up"
    bench.send("wedged")
    assert entered.wait(TIMEOUT)
    assert bench.worker.abandon(TimeoutError("stuck"))
    assert [(cause, str(error)) for _, cause, error in bench.complaints] == [(DropCause.FAILED, "stuck")]
    bench.send("next")
    bench.settle()
    assert [message for _, message, _ in bench.answers] == ["next"]
    release.set()  # the wedged call returns after all: its frame was counted and is not answered
    time.sleep(0.1)
    snapshot = bench.snapshot()
    assert [message for _, message, _ in bench.answers] == ["next"]
    assert (snapshot.received, snapshot.published, snapshot.dropped[DropCause.FAILED]) == (2, 1, 1)
    assert snapshot.balanced and snapshot.in_flight == 0
    assert bench.worker.stop(TIMEOUT)
