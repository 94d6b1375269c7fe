"""Models that stand by: taken, given back, closed once, and never handed out twice."""

from __future__ import annotations

from collections import Counter

from robot_ai.backends.loading import BackendChoice
from robot_ai.pipeline.image_detector import ImageDetector
from robot_ai.pipeline.standby import StandbyModels


class Shelf:
    """Real detectors by a number, and how often each was closed."""

    def __init__(self, stub_card) -> None:
        self.card = stub_card()
        self.models: StandbyModels[ImageDetector] = StandbyModels()
        self.closed: Counter[int] = Counter()

    def choice(self, number: int) -> BackendChoice:
        return BackendChoice(str(self.card), "stub", threads=number)

    def load(self, number: int) -> ImageDetector:
        detector = ImageDetector.load(self.choice(number))
        close = detector.close

        def noted() -> None:
            self.closed[number] += 1
            close()

        detector.close = noted  # type: ignore[method-assign]
        return detector

    def put(self, number: int, serves: bool = False) -> ImageDetector:
        detector = self.load(number)
        self.models.put(self.choice(number), detector, serves)
        return detector


def test_a_model_that_stands_by_is_taken_and_given_back_again_and_again(stub_card):
    shelf = Shelf(stub_card)
    first = shelf.put(1)
    for _ in range(3):
        assert shelf.models.take(shelf.choice(1)) is first
        assert shelf.models.take(shelf.choice(1)) is None, "it serves: nobody else may have it"
        shelf.models.give_back(first)
    assert not shelf.closed


def test_the_one_that_serves_at_first_stands_by_after_it(stub_card):
    shelf = Shelf(stub_card)
    serving = shelf.put(1, serves=True)
    assert shelf.models.take(shelf.choice(1)) is None
    shelf.models.give_back(serving)
    assert shelf.models.take(shelf.choice(1)) is serving


def test_one_that_is_not_kept_is_closed(stub_card):
    shelf = Shelf(stub_card)
    kept = shelf.put(1)
    assert shelf.models.take(shelf.choice(2)) is None
    # The same choice loaded a second time, as beside one whose pass hangs.
    shelf.models.give_back(shelf.load(1))
    shelf.models.give_back(shelf.load(2))
    assert shelf.closed == {1: 1, 2: 1}
    assert shelf.models.take(shelf.choice(1)) is kept


def test_one_that_failed_is_closed_and_never_handed_out_again(stub_card):
    shelf = Shelf(stub_card)
    failed = shelf.put(1)
    shelf.models.take(shelf.choice(1))
    shelf.models.forget(failed)
    shelf.models.give_back(failed)
    assert shelf.closed == {1: 1} and shelf.models.take(shelf.choice(1)) is None


def test_closing_leaves_the_one_that_serves_to_its_user(stub_card):
    shelf = Shelf(stub_card)
    shelf.put(1), shelf.put(2)
    serving = shelf.models.take(shelf.choice(1))
    shelf.models.close()
    assert shelf.closed == {2: 1}
    assert serving is not None
    shelf.models.give_back(serving)
    assert shelf.closed == {1: 1, 2: 1} and shelf.models.take(shelf.choice(1)) is None
