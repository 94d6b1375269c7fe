"""The account of frames balances, whatever happens in whatever order."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from robot_ai.pipeline.ledger import RATE_WINDOW, DropCause, FrameLedger, LedgerSnapshot


class LedgerMachine(RuleBasedStateMachine):
    """A ledger beside a plain count of the same events."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = FrameLedger()
        self.now = 0.0
        self.received = self.published = 0
        self.dropped: Counter[DropCause] = Counter()

    @property
    def in_flight(self) -> int:
        return self.received - self.published - self.dropped.total()

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def receive(self) -> None:
        self.ledger.receive(self.now)
        self.received += 1

    @precondition(lambda self: self.in_flight)
    @rule()
    def publish(self) -> None:
        self.ledger.publish(self.now)
        self.published += 1

    @precondition(lambda self: self.in_flight)
    @rule(cause=st.sampled_from(DropCause))
    def drop(self, cause: DropCause) -> None:
        self.dropped[cause] += 1
        assert self.ledger.drop(cause) == self.dropped[cause]

    @invariant()
    def balances_and_agrees(self) -> None:
        snapshot = self.ledger.snapshot(self.now)
        assert snapshot.balanced
        assert snapshot.received == self.received
        assert snapshot.published == self.published
        assert dict(snapshot.dropped) == {cause: self.dropped[cause] for cause in DropCause}
        assert snapshot.in_flight == self.in_flight
        assert snapshot.input_rate >= 0
        assert snapshot.output_rate >= 0


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=60, stateful_step_count=40)


def test_every_cause_is_in_the_snapshot_from_the_start():
    snapshot = FrameLedger().snapshot(0.0)
    assert set(snapshot.dropped) == set(DropCause)
    assert [cause.value for cause in DropCause] == [
        "stale", "malformed", "failed", "disabled", "no_transform", "rate",
    ]  # fmt: skip
    assert snapshot.balanced


def test_a_snapshot_that_does_not_balance_says_so():
    counts = dict.fromkeys(DropCause, 0)
    assert LedgerSnapshot(3, 1, counts | {DropCause.STALE: 1}, 1, 0, 0).balanced
    assert not LedgerSnapshot(4, 1, counts | {DropCause.STALE: 1}, 1, 0, 0).balanced


def test_a_snapshot_is_of_its_moment():
    ledger = FrameLedger()
    ledger.receive(0)
    before = ledger.snapshot(0)
    ledger.drop(DropCause.STALE)
    assert before.dropped[DropCause.STALE] == 0
    assert before.in_flight == 1


@pytest.mark.parametrize("rate", [1.0, 10.0, 30.0])
def test_rates_are_those_of_the_stream(rate):
    ledger = FrameLedger()
    for number in range(int(rate * 12)):
        now = 100 + number / rate
        ledger.receive(now)
        if number % 2:
            ledger.publish(now)
    snapshot = ledger.snapshot(now)
    assert snapshot.input_rate == pytest.approx(rate, rel=0.01)
    assert snapshot.output_rate == pytest.approx(rate / 2, rel=0.05)


def test_rates_fall_to_nought_when_the_stream_ends():
    ledger = FrameLedger()
    for number in range(300):
        ledger.receive(number / 30)
    rates = [ledger.snapshot(10 + seconds).input_rate for seconds in (0, 1, 2, 4)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 25
    assert rates[-1] < 10
    assert ledger.snapshot(10 + RATE_WINDOW).input_rate == 0


def test_one_frame_has_no_rate():
    ledger = FrameLedger()
    ledger.receive(1.0)
    assert ledger.snapshot(1.0).input_rate == 0
    ledger.receive(1.0)
    assert ledger.snapshot(1.0).input_rate == 0


def test_balances_at_every_moment_under_threads():
    ledger = FrameLedger()
    each, workers = 3000, 4
    causes = list(DropCause)
    stop = threading.Event()
    seen: list[LedgerSnapshot] = []

    def run(worker: int) -> None:
        for number in range(each):
            ledger.receive(number / 1000)
            if number % 3:
                ledger.publish(number / 1000)
            else:
                ledger.drop(causes[(number // 3 + worker) % len(causes)])

    def watch() -> None:
        while not stop.is_set():
            seen.append(ledger.snapshot(3.0))

    watcher = threading.Thread(target=watch)
    threads = [threading.Thread(target=run, args=(worker,)) for worker in range(workers)]
    watcher.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    watcher.join()

    assert seen
    assert all(snapshot.balanced and 0 <= snapshot.in_flight <= workers for snapshot in seen)
    end = ledger.snapshot(3.0)
    assert end.received == workers * each
    assert end.published == workers * each * 2 // 3
    assert sum(end.dropped.values()) == workers * each // 3
    assert min(end.dropped.values()) > 0
    assert end.in_flight == 0
