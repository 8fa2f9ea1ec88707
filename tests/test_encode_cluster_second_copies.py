"""Tasks on an executor of the test's own: nothing is encoded, but every future is a real one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from vidpipe.encode.cluster.second_copies import SecondCopies
from vidpipe.encode.tasks.task import Made
from vidpipe.errors import EncodeFailed


class Slow(Executor):
    """Ends nothing by itself. running: (number of the task, future)."""

    def __init__(self) -> None:
        self.running: list[tuple[int, Future[Made]]] = []

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.running.append((arguments[0], future))
        return future

    def numbers(self) -> list[int]:
        return [number for number, future in self.running if not future.done()]

    def copies(self, wanted: int) -> list[Future[Made]]:
        return [future for number, future in self.running if number == wanted]


MADE = Made(files={})


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def tasks(slow: Slow) -> list[Future[Made]]:
    """Five tasks for two slots, of which three have ended."""
    executor = SecondCopies(slow, 2)
    futures = [executor.submit(print, number) for number in range(5)]
    for number in range(3):
        slow.copies(number)[0].set_result(MADE)
    assert slow.numbers() == [3, 4], "both slots are busy: nothing to copy"
    return futures


def test_an_idle_slot_takes_a_copy_of_what_was_begun_first(slow: Slow, tasks: list[Future[Made]]) -> None:
    slow.copies(4)[0].set_result(MADE)
    assert slow.numbers() == [3, 3]
    late, quick = slow.copies(3)
    quick.set_result(MADE)
    assert (tasks[3].result(0), late.cancelled()) == (MADE, True)


def test_no_third_copy(slow: Slow) -> None:
    executor = SecondCopies(slow, 3)
    for number in range(4):
        executor.submit(print, number)
    for number in range(3):
        slow.copies(number)[0].set_result(MADE)
    assert slow.numbers() == [3, 3]


def test_a_title_smaller_than_the_cluster_is_left_alone(slow: Slow) -> None:
    executor = SecondCopies(slow, 3)
    for number in range(3):
        executor.submit(print, number)
    slow.copies(0)[0].set_result(MADE)
    slow.copies(1)[0].set_result(MADE)
    assert slow.numbers() == [2]


def test_a_copy_that_fails_is_forgiven_while_the_other_runs(slow: Slow, tasks: list[Future[Made]]) -> None:
    slow.copies(4)[0].set_result(MADE)
    first, second = slow.copies(3)
    first.set_exception(EncodeFailed("the machine is full"))
    assert not tasks[3].done()
    second.set_result(MADE)
    assert tasks[3].result(0) == MADE


def test_a_task_fails_with_its_last_copy(slow: Slow, tasks: list[Future[Made]]) -> None:
    slow.copies(4)[0].set_result(MADE)
    for copy in slow.copies(3):
        copy.set_exception(EncodeFailed("the source is damaged"))
    with pytest.raises(EncodeFailed, match="damaged"):
        tasks[3].result(0)


def test_cancelling_a_task_cancels_its_copies(slow: Slow, tasks: list[Future[Made]]) -> None:
    slow.copies(4)[0].set_result(MADE)
    assert tasks[3].cancel()
    assert [copy.cancelled() for copy in slow.copies(3)] == [True, True]
