"""Places for encodes: never more than there are, fair to short titles, and each ingest stops alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction

import pytest

from vidpipe.encode.machine import cores_here
from vidpipe.encode.worker_pool import Places, WorkerPool
from vidpipe.errors import Interrupted, UsageError


class Crowd:
    """Threads that each want a place; what they hold is kept until it is let go."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.began: list[str] = []
        self.stopped: list[str] = []
        self._release: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []

    def want(self, name: str, owner: str, cancel: threading.Event | None = None, share: Fraction = Fraction(0)) -> None:
        """Let one more wait, and return when it does, so that the order is known."""
        self._release[name] = threading.Event()

        def work() -> None:
            try:
                with self.places.one(owner, cancel or threading.Event(), share):
                    self.began.append(name)
                    self._release[name].wait(20)
            except Interrupted:
                self.stopped.append(name)

        before = len(self.places._waiting) + len(self.began)
        self._threads.append(threading.Thread(target=work, daemon=True))
        self._threads[-1].start()
        until(lambda: len(self.places._waiting) + len(self.began) > before)

    def finish(self, name: str) -> None:
        self._release[name].set()

    def end(self) -> None:
        for release in self._release.values():
            release.set()
        for thread in self._threads:
            thread.join(20)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_short_title_does_not_wait_for_all_of_a_long_one() -> None:
    crowd = Crowd(Places(2))
    for number in range(6):
        crowd.want(f"long {number}", "long")
    crowd.want("short 0", "short")
    crowd.want("short 1", "short")
    assert crowd.began == ["long 0", "long 1"]
    for finished, begins in (("long 0", "short 0"), ("long 1", "long 2"), ("short 0", "short 1"), ("long 2", "long 3")):
        crowd.finish(finished)
        until(lambda begins=begins: begins in crowd.began)
    assert crowd.began == ["long 0", "long 1", "short 0", "long 2", "short 1", "long 3"]
    crowd.end()
    assert (len(crowd.began), crowd.places._running, crowd.places._waiting) == (8, [], [])


def test_what_does_not_fit_into_memory_waits_and_is_not_passed() -> None:
    crowd = Crowd(Places(3))
    crowd.want("huge", "a", share=Fraction(5))
    crowd.want("large", "b", share=Fraction(7, 10))
    assert crowd.began == ["huge"], "what is larger than the machine runs alone"
    crowd.want("small", "c", share=Fraction(1, 10))
    crowd.finish("huge")
    until(lambda: len(crowd.began) == 3)
    crowd.want("large too", "d", share=Fraction(7, 10))
    crowd.want("small too", "e", share=Fraction(1, 10))
    time.sleep(0.3)
    assert len(crowd.began) == 3, "the next in turn is waited for"
    crowd.finish("large")
    until(lambda: len(crowd.began) == 5)
    assert crowd.began[3] == "large too"
    crowd.end()


def test_who_is_cancelled_waits_no_longer_and_the_others_do() -> None:
    crowd, cancel = Crowd(Places(1)), threading.Event()
    crowd.want("first", "a")
    crowd.want("second", "b", cancel)
    crowd.want("third", "c")
    cancel.set()
    until(lambda: crowd.stopped == ["second"])
    assert crowd.began == ["first"]
    crowd.finish("first")
    until(lambda: crowd.began == ["first", "third"])
    crowd.end()


def test_a_failure_gives_its_place_back() -> None:
    places = Places(1)
    with suppress(ZeroDivisionError), places.one("a", threading.Event()):
        raise ZeroDivisionError
    assert places._running == []


def test_the_size_is_that_of_the_machine_unless_it_is_given() -> None:
    assert (WorkerPool().size, WorkerPool(3).size) == (cores_here(), 3)
    assert WorkerPool(3).chunks.count == 3
    with pytest.raises(UsageError):
        WorkerPool(0)
