"""Models loaded beside the one that serves: only the newest request counts, nothing is left open."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from robot_ai.backends.errors import PassUnderWayError
from robot_ai.backends.loading import BackendChoice
from robot_ai.pipeline.background import model_threads
from robot_ai.pipeline.image_detector import DetectionSettings, ImageDetector
from robot_ai.pipeline.model_holder import ModelHolder
from robot_ai.pipeline.swapper import Loaded, Swapper

SETTINGS = DetectionSettings()
IMAGE = np.zeros((48, 64, 3), np.uint8)


class Watched:
    """Counts which detectors were closed; the detectors themselves are real."""

    def __init__(self) -> None:
        self.closed: list[ImageDetector] = []

    def watch(self, detector: ImageDetector) -> ImageDetector:
        close = detector.close

        def noted() -> None:
            self.closed.append(detector)
            close()

        detector.close = noted  # type: ignore[method-assign]
        return detector

    def load(self, choice: BackendChoice) -> ImageDetector:
        return self.watch(ImageDetector.load(choice))


def wait_for(condition, timeout: float = 10.0):
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, "not so in time"
        time.sleep(0.005)
    return value


def choice(card, **options) -> BackendChoice:
    return BackendChoice(str(card), "stub", options=tuple(f"{key}={value}" for key, value in options.items()))


def test_a_loaded_model_is_taken_once(stub_card):
    swapper = Swapper(ImageDetector.load)
    ticket = swapper.start(choice(stub_card()))
    loaded: Loaded = wait_for(swapper.take)
    assert loaded.ticket == ticket and loaded.detector is not None and not loaded.error
    assert swapper.take() is None and swapper.loading is None


def test_a_refusal_says_why(stub_card):
    swapper = Swapper(ImageDetector.load)
    swapper.start(choice(stub_card(), fail_load="true"))
    loaded = wait_for(swapper.take)
    assert loaded.detector is None and "told to fail" in loaded.error


def test_whatever_a_framework_raises_is_a_refusal(stub_card):
    def explode(choice: BackendChoice) -> ImageDetector:
        raise MemoryError("no room")

    swapper = Swapper(explode)
    swapper.start(choice(stub_card()))
    assert wait_for(swapper.take).error == "MemoryError: no room"


def test_the_last_request_wins_and_the_others_models_are_closed(stub_card):
    watched, card = Watched(), stub_card()
    swapper = Swapper(watched.load)
    for delay in (0.3, 0.2, 0.1):
        swapper.start(choice(card, load_delay=delay, delay=delay))
    loaded = wait_for(swapper.take)
    assert "delay=0.1" in loaded.choice.options
    wait_for(lambda: len(watched.closed) == 2)
    assert loaded.detector not in watched.closed
    assert swapper.take() is None


def test_loads_and_closings_share_a_thread(stub_card):
    """Each new one would take a heap of glibc's, which keeps what the largest model left free in it."""
    threads: list[int] = []

    def load(choice: BackendChoice) -> ImageDetector:
        threads.append(threading.get_ident())
        return ImageDetector.load(choice)

    def idle() -> bool:
        return len(model_threads._idle) == model_threads._count

    swapper, holder = Swapper(load), ModelHolder(ImageDetector.load(choice(stub_card())))
    for delay in (0.01, 0.02, 0.03):
        wait_for(idle)
        swapper.start(choice(stub_card(), delay=delay))
        holder.switch(wait_for(swapper.take).detector)
    assert len(threads) == 3 and len(set(threads)) == 1


def test_a_load_that_hangs_is_given_up_and_its_model_closed_should_it_come_after_all(stub_card):
    watched = Watched()
    swapper = Swapper(watched.load)
    swapper.start(choice(stub_card(), load_delay=0.5))
    assert not swapper.give_up(0.0, time.monotonic() + 1e9), "0 is no limit"
    assert not swapper.give_up(60.0, time.monotonic())
    assert swapper.give_up(0.2, time.monotonic() + 0.3)
    assert not swapper.give_up(0.2, time.monotonic() + 0.3), "once"
    loaded = swapper.take()
    assert loaded.detector is None and "not loaded within 0.2 s" in loaded.error and swapper.loading is None
    wait_for(lambda: len(watched.closed) == 1)
    assert swapper.take() is None


def test_a_model_that_was_loaded_in_vain_is_not_closed_by_whoever_asks_for_the_next(stub_card):
    """Freeing one takes up to a quarter of a second, in which the executor would answer nobody."""
    threads: list[threading.Thread] = []

    def load(choice: BackendChoice) -> ImageDetector:
        detector = ImageDetector.load(choice)
        detector.close = lambda: threads.append(threading.current_thread())  # type: ignore[method-assign]
        return detector

    swapper = Swapper(load)
    swapper.start(choice(stub_card()))
    wait_for(lambda: swapper._loaded)
    swapper.cancel()
    wait_for(lambda: threads)
    assert threads[0] is not threading.current_thread()


def test_a_cancelled_model_is_closed(stub_card):
    watched = Watched()
    swapper = Swapper(watched.load)
    swapper.start(choice(stub_card(), load_delay=0.1))
    swapper.cancel()
    wait_for(lambda: watched.closed)
    assert swapper.take() is None and swapper.loading is None


def test_a_switch_lets_the_pass_under_way_end(stub_card):
    watched, card = Watched(), stub_card()
    slow, quick = (watched.load(choice(card, delay=delay)) for delay in (0.4, 0))
    holder = ModelHolder(slow, SETTINGS)
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(holder.detect([IMAGE])))
    thread.start()
    wait_for(lambda: holder.busy_for(time.monotonic()) > 0)
    holder.switch(quick, SETTINGS)
    assert holder.current is quick and watched.closed == []
    holder.detect([IMAGE])  # at once, in another thread, while the slow one is still at it
    thread.join(10)
    assert len(results) == 1
    wait_for(lambda: watched.closed == [slow])
    assert holder.busy_for(time.monotonic()) == 0


def test_a_model_takes_no_pass_beside_one_that_does_not_return(stub_card):
    """Backends are written for one pass at a time: LiteRT's memory would be written by two."""
    card = stub_card()
    holder = ModelHolder(ImageDetector.load(choice(card, delay=0.5)), SETTINGS)
    thread = threading.Thread(target=lambda: holder.detect([IMAGE]))
    thread.start()
    wait_for(lambda: holder.busy_for(time.monotonic()) > 0)
    holder.give_up()
    assert holder.busy_for(time.monotonic()) == 0
    with pytest.raises(PassUnderWayError, match="still at a forward pass"):
        holder.detect([IMAGE])
    thread.join(10)
    assert holder.detect([IMAGE]) is not None, "it returned after all"


def test_an_idle_model_is_closed_at_the_switch(stub_card):
    watched, card = Watched(), stub_card()
    first, second = (watched.load(choice(card)) for _ in range(2))
    holder = ModelHolder(first)
    holder.switch(second)
    wait_for(lambda: watched.closed == [first])
    holder.close()
    assert watched.closed == [first, second]


def test_a_failing_pass_is_no_pass_under_way(stub_card):
    holder = ModelHolder(ImageDetector.load(choice(stub_card(), fail_every=3)), SETTINGS)
    with pytest.raises(Exception, match="told to fail"):
        holder.detect([IMAGE])  # the third: two warmed it up
    assert holder.busy_for(time.monotonic()) == 0


def test_a_model_and_its_settings_change_in_the_same_moment(stub_card):
    """A filter of the one model's labels is an error for the other: no pass may see one's with the other."""
    card = stub_card()
    bright = ImageDetector.load(choice(card))
    description = (card / "model.yaml").read_text(encoding="utf-8")
    (card / "model.yaml").write_text(description.replace("- bright\n", "- light\n"), encoding="utf-8")
    light = ImageDetector.load(choice(card))
    pairs = [(bright, DetectionSettings(class_filter=("bright",))), (light, DetectionSettings(class_filter=("light",)))]
    for detector, _ in pairs:
        detector.close = lambda: None  # type: ignore[method-assign]
    holder = ModelHolder(*pairs[0])
    failures: list[Exception] = []
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            try:
                holder.detect([IMAGE])
            except Exception as error:  # noqa: BLE001
                failures.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    for _ in range(300):
        holder.switch(*pairs[1])
        time.sleep(0.0005)
        holder.switch(*pairs[0])
    done.set()
    worker.join(10)
    assert not failures


def test_settings_are_adjusted_without_another_model(stub_card):
    holder = ModelHolder(ImageDetector.load(choice(stub_card())), SETTINGS)
    bright = np.full_like(IMAGE, 255)
    assert len(holder.detect([bright]).detections[0])
    holder.adjust(DetectionSettings(confidence=1.0, class_filter=("other",)))
    assert not len(holder.detect([bright]).detections[0])
