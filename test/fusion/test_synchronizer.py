"""Pairs, waits and misses, counted."""

from hypothesis import given
from hypothesis import strategies as st

from robot_ai.fusion.synchronizer import PairSynchronizer

MS = 1_000_000
SECOND = 1000 * MS


def pairs(done):
    return [(match.message, match.partner) for match in done]


def test_the_nearest_within_reach():
    sync = PairSynchronizer(slop=0.05, timeout=0.2)
    sync.add_partner(60 * MS, "p60", 0.0)
    sync.add_partner(95 * MS, "p95", 0.0)
    sync.add_leader(100 * MS, "l100", 0.0)
    assert pairs(sync.ready(0.0)) == []  # a nearer one may be on its way
    sync.add_partner(102 * MS, "p102", 0.1)
    assert pairs(sync.ready(0.1)) == [("l100", "p102")]
    assert (sync.paired, sync.missed) == (1, 0)


def test_after_the_timeout_it_goes_with_what_there_is_or_alone():
    sync = PairSynchronizer(slop=0.05, timeout=0.2)
    sync.add_partner(60 * MS, "p60", 0.0)
    sync.add_leader(100 * MS, "l100", 0.0)
    sync.add_leader(300 * MS, "l300", 0.1)
    assert pairs(sync.ready(0.25)) == [("l100", "p60")]
    assert pairs(sync.ready(0.35)) == [("l300", None)]
    assert (sync.paired, sync.missed, sync.unused) == (1, 1, 0)


def test_partners_go_alone_while_the_leading_source_is_silent():
    sync = PairSynchronizer(0.05, 0.1)
    assert sync.without_leader(1.0, 0.0) == []
    sync.add_partner(SECOND, "first", 0.9)
    assert sync.without_leader(1.0, 0.95) == []
    assert sync.without_leader(0.0, 9.0) == []
    assert [(m.message, m.partner) for m in sync.without_leader(1.0, 1.05)] == [(None, "first")]
    sync.add_partner(2 * SECOND, "second", 1.2)
    sync.add_leader(2 * SECOND, "leader", 1.2)
    assert [m.partner for m in sync.ready(1.2)] == ["second"]
    # The leader spoke: its silence counts anew, and what it took does not go out again.
    sync.add_partner(3 * SECOND, "third", 1.9)
    assert sync.without_leader(1.0, 2.1) == []
    assert [m.partner for m in sync.without_leader(1.0, 2.3)] == ["third"]
    assert (sync.paired, sync.unled, sync.unused) == (1, 2, 0)


def test_partners_that_nobody_took_are_counted():
    sync = PairSynchronizer(slop=0.01, timeout=0.0)
    for stamp in (10, 20, 30, 100):
        sync.add_partner(stamp * MS, stamp, 0.0)
    sync.add_leader(100 * MS, "l", 0.0)
    assert pairs(sync.ready(0.0)) == [("l", 100)]
    assert sync.unused == 3


def test_a_time_that_begins_again_leaves_nothing_of_the_one_before():
    sync = PairSynchronizer(slop=0.05, timeout=0.2)
    sync.add_partner(20 * SECOND, "end of the bag", 0.0)
    sync.add_partner(0, "p0", 0.1)
    sync.add_leader(20 * MS, "l20", 0.1)
    assert pairs(sync.ready(0.1)) == []  # a partner of the last round does not show that no nearer one comes
    sync.add_partner(30 * MS, "p30", 0.11)
    assert pairs(sync.ready(0.11)) == [("l20", "p30")]


def test_a_late_partner_does_not_push_out_a_newer_one():
    sync = PairSynchronizer(slop=0.05, timeout=0.2)
    sync.add_partner(200 * MS, "p200", 0.0)
    sync.add_partner(10 * MS, "late", 0.0)
    sync.add_leader(100 * MS, "l100", 0.0)
    assert pairs(sync.ready(0.3)) == [("l100", None)]
    sync.add_leader(210 * MS, "l210", 0.3)
    assert pairs(sync.ready(0.6)) == [("l210", "p200")]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2000)), max_size=60))
def test_every_leader_is_answered_once_in_order(events):
    sync = PairSynchronizer(slop=0.05, timeout=0.1)
    answered, leaders = [], []
    for number, (leads, stamp) in enumerate(events):
        now = number * 0.02
        (sync.add_leader if leads else sync.add_partner)(stamp * MS, number, now)
        if leads:
            leaders.append(number)
        answered += [match.message for match in sync.ready(now)]
    answered += [match.message for match in sync.ready(1e6)]
    assert answered == leaders
    assert sync.paired + sync.missed + sync.overflowed == len(leaders)
