"""Slots: the producer never waits, the newest wins, nothing is lost from the count."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter

import pytest

from robot_ai.pipeline.slots import NewestSlots


def test_newest_wins_and_the_displaced_item_comes_back():
    slots: NewestSlots[str, int] = NewestSlots(["front"])
    assert slots.put("front", 1) == []
    assert slots.put("front", 2) == [1]
    assert slots.put("front", 3) == [2]
    assert slots.take_all(0) == [("front", 3)]
    assert slots.put("front", 4) == []


def test_held_items_wait_for_their_turn_and_the_oldest_goes_first():
    slots: NewestSlots[str, int] = NewestSlots(["left", "right"])
    slots.hold(3)
    assert [slots.put("left", number) for number in range(5)] == [[], [], [], [0], [1]]
    assert slots.put("right", 7) == []
    assert slots.take_all(0) == [("left", 2), ("right", 7)]
    assert slots.take_all(0) == [("left", 3)]
    assert slots.take_all(0) == [("left", 4)]


def test_what_still_waits_when_the_hold_ends_is_displaced_by_the_next_item():
    slots: NewestSlots[str, int] = NewestSlots(["front"])
    slots.hold(3)
    for number in range(3):
        slots.put("front", number)
    slots.hold(1)
    assert slots.put("front", 3) == [0, 1, 2]
    assert slots.take_all(0) == [("front", 3)]


def test_closing_gives_back_all_that_was_held():
    slots: NewestSlots[str, int] = NewestSlots(["front"])
    slots.hold(2)
    for number in range(2):
        slots.put("front", number)
    assert slots.close() == [("front", 0), ("front", 1)]


def test_all_slots_are_taken_at_once_in_the_order_of_the_keys():
    slots: NewestSlots[str, int] = NewestSlots(["left", "front", "right"])
    for key, item in (("right", 1), ("left", 2), ("right", 3)):
        slots.put(key, item)
    assert slots.take_all(0) == [("left", 2), ("right", 3)]
    assert slots.take_all(0) == []


def test_false_items_count():
    slots: NewestSlots[str, int] = NewestSlots(["front"])
    slots.put("front", 0)
    assert slots.take_all(0) == [("front", 0)]


def test_take_waits_for_an_item():
    slots: NewestSlots[str, int] = NewestSlots(["front"])
    timer = threading.Timer(0.1, slots.put, ("front", 7))
    timer.start()
    assert slots.take_all(10) == [("front", 7)]
    timer.join()


def test_take_gives_up_after_its_timeout():
    slots: NewestSlots[str, int] = NewestSlots(["front"])
    started = time.monotonic()
    assert slots.take_all(0.1) == []
    assert 0.09 < time.monotonic() - started < 5


def test_producers_never_wait_for_a_busy_consumer():
    slots: NewestSlots[int, int] = NewestSlots(range(4))
    # Nobody takes: every put must return by itself.
    done = threading.Thread(target=lambda: [slots.put(i % 4, i) for i in range(40_000)], daemon=True)
    done.start()
    done.join(20)
    assert not done.is_alive()
    assert slots.take_all(0) == [(0, 39_996), (1, 39_997), (2, 39_998), (3, 39_999)]


def test_a_flooding_source_does_not_starve_another():
    slots: NewestSlots[str, int] = NewestSlots(["fast", "slow"])
    stop = threading.Event()

    def flood() -> None:
        number = 0
        while not stop.is_set():
            slots.put("fast", number)
            number += 1

    flooder = threading.Thread(target=flood)
    flooder.start()
    try:
        for number in range(50):
            slots.put("slow", number)
            # The very next take has it, whatever the other source does.
            assert ("slow", number) in slots.take_all(5)
    finally:
        stop.set()
        flooder.join()


def test_close_gives_back_what_waits_and_refuses_what_comes():
    slots: NewestSlots[str, int] = NewestSlots(["front", "rear"])
    slots.put("front", 1)
    slots.put("rear", 2)
    assert not slots.closed
    assert sorted(slots.close()) == [("front", 1), ("rear", 2)]
    assert slots.closed
    item = 3
    assert slots.put("front", item) == [item]
    assert slots.take_all() == []
    assert slots.close() == []


def test_close_wakes_a_waiting_consumer():
    slots: NewestSlots[str, int] = NewestSlots(["front"])
    taken: list[list[tuple[str, int]]] = []
    consumer = threading.Thread(target=lambda: taken.append(slots.take_all()), daemon=True)
    consumer.start()
    time.sleep(0.05)
    assert consumer.is_alive()
    slots.close()
    consumer.join(5)
    assert taken == [[]]


@pytest.mark.parametrize("producers_per_key", [1, 3])
def test_under_threads_every_item_ends_exactly_once(producers_per_key):
    keys = ("a", "b", "c")
    slots: NewestSlots[str, tuple[str, int, int]] = NewestSlots(keys)
    each = 4000
    displaced: list[list[tuple[str, int, int]]] = []
    taken: list[tuple[str, tuple[str, int, int]]] = []

    def produce(key: str, producer: int) -> None:
        mine = []
        for number in range(each):
            mine += slots.put(key, (key, producer, number))
            if number % 97 == 0:
                slots.hold(1 + number % 5)
                time.sleep(0)
        displaced.append(mine)

    def consume() -> None:
        chance = random.Random(1)
        while not slots.closed:
            taken.extend(slots.take_all(0.05))
            time.sleep(chance.random() * 1e-3)

    producers = [threading.Thread(target=produce, args=(k, p)) for k in keys for p in range(producers_per_key)]
    consumer = threading.Thread(target=consume)
    for thread in (consumer, *producers):
        thread.start()
    for thread in producers:
        thread.join()
    left = slots.close()
    consumer.join()

    ends = Counter(item for mine in displaced for item in mine)
    ends.update(item for _, item in taken)
    ends.update(item for _, item in left)
    assert len(ends) == len(keys) * producers_per_key * each
    assert set(ends.values()) == {1}
    # Both ends of the race were run through, and nothing came to the consumer under another's key or out of order.
    assert taken
    assert displaced
    assert all(key == item[0] for key, item in taken)
    for key in keys:
        for producer in range(producers_per_key):
            numbers = [number for k, (_, p, number) in taken if (k, p) == (key, producer)]
            assert numbers == sorted(numbers)
