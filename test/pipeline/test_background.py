"""Tasks beside the frames: in the same thread again and again, but never behind one that hangs."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from robot_ai.pipeline.background import BackgroundThreads

LIMIT = 10.0


class Noted:
    """Runs tasks and notes in which thread each ran."""

    def __init__(self) -> None:
        self.threads = BackgroundThreads("test_background")
        self.idents: list[int] = []

    def run(self) -> None:
        done = threading.Event()

        def task() -> None:
            self.idents.append(threading.get_ident())
            done.set()

        self.threads.start(task)
        assert done.wait(LIMIT)

    def settle(self) -> None:
        """Until no thread is at a task: a task's end is noticed by its thread a moment later."""
        done = threading.Event()
        while len(self.threads._idle) < self.threads._count:
            done.wait(0.001)


def test_tasks_one_after_the_other_share_a_thread() -> None:
    noted = Noted()
    for _ in range(20):
        noted.run()
        noted.settle()
    assert len(set(noted.idents)) == 1


def test_a_task_that_hangs_holds_up_no_other_and_its_thread_is_used_again_afterwards() -> None:
    noted, hang, hanging = Noted(), threading.Event(), threading.Event()
    noted.run()
    noted.settle()
    noted.threads.start(lambda: hanging.set() or hang.wait(LIMIT))
    assert hanging.wait(LIMIT)
    noted.run()
    first, second = noted.idents
    assert first != second
    hang.set()
    noted.settle()
    noted.run()
    assert noted.idents[-1] == first, "the oldest idle thread, which has the heap that models were loaded in"


def test_what_a_task_raises_is_logged_and_the_thread_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    noted = Noted()
    noted.run()
    noted.settle()
    noted.threads.start(lambda: 1 // 0)
    noted.settle()
    noted.run()
    assert len(set(noted.idents)) == 1
    assert "test_background failed" in caplog.text and "ZeroDivisionError" in caplog.text


def test_an_idle_thread_keeps_nothing_of_its_last_task() -> None:
    class Model:
        def close(self) -> None:
            """Nothing to free."""

    noted, model = Noted(), Model()
    gone = weakref.ref(model)
    noted.threads.start(model.close)
    noted.settle()
    del model
    gc.collect()
    assert gone() is None
