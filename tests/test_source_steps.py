"""Steps of an even audio clock are found in its packets, and jitter is none: pure, from made-up packets."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from fractions import Fraction

import pytest

from vidpipe.source.steps import MOST_STEPS, Steps

BASE = Fraction(1, 90_000)
FRAME = 1920  # AAC at 48 kHz


def steps(times: list[int], length: int = FRAME, base: Fraction = BASE) -> list[float]:
    found = Steps(base)
    for time in times:
        found.add(time, length)
    return [float(time) for time in found.times()]


def even(count: int = 500, *moves: tuple[int, float]) -> list[int]:
    """Times of packets. moves: from which packet on all are later by so many milliseconds."""
    return [number * FRAME + sum(round(ms * 90) for first, ms in moves if number >= first) for number in range(count)]


@pytest.mark.parametrize("off", [-10.5, -21.3, 21.3, 64, 400])
def test_a_step_is_found_where_it_is(off: float) -> None:
    assert steps(even(500, (200, off))) == [pytest.approx(200 * FRAME / 90_000 + off / 1000, abs=1e-4)]


def test_more_steps_one_after_the_other_are_all_found() -> None:
    """A recording of many parts, each of which overlaps the one before; packets lost again and again."""
    assert len(steps(even(500, *((number, -21.3) for number in range(50, 450, 50))))) == 8
    assert len(steps(even(500, *((number, 21.3) for number in range(50, 450, 50))))) == 8
    assert len(steps(even(20 * 2 * MOST_STEPS, *((number, 21.3) for number in range(20, 40 * MOST_STEPS, 20))))) == MOST_STEPS


def test_a_step_to_another_sample_rate_is_found_although_no_length_fits() -> None:
    slower = [100 * FRAME - 1000 + number * 2090 for number in range(100)]
    assert steps([*even(100), *slower]) == [pytest.approx((100 * FRAME - 1000) / 90_000)]


def test_times_in_milliseconds_are_even() -> None:
    rounded = [round(number * 1024 / 48) for number in range(400)]
    assert steps(rounded, 21, Fraction(1, 1000)) == []
    assert steps([time - 21 * (time > 4000) for time in rounded], 21, Fraction(1, 1000)) == [pytest.approx(4.0, abs=0.03)]


def wandering() -> Iterator[int]:
    """Stamped when they came in."""
    source = random.Random(1)
    return (number * FRAME + source.randrange(-1800, 1800) for number in range(2000))


def anchored() -> Iterator[int]:
    """Even for a second each, that begins when it came in."""
    source = random.Random(2)
    return (second * 48 * FRAME + source.randrange(-900, 900) + number * FRAME for second in range(60) for number in range(48))


JITTER: dict[str, Callable[[], list[int]]] = {
    "an even clock": lambda: even(2000),
    "stamped when they came in": lambda: list(wandering()),
    "runs that claim to lie later": lambda: [number * FRAME + 2340 * (number // 9 % 2) for number in range(2000)],
    "a step that is taken back": lambda: even(2000, (200, 26), (230, -26), (900, -26), (1000, 26)),
    "one packet off": lambda: even(2000, (200, 26), (201, -26)),
    "less than is worth a cut": lambda: even(2000, (200, 3)),
    "at the very beginning": lambda: even(2000, (1, 40)),
    "at the very end": lambda: even(500, (495, 40)),
}


@pytest.mark.parametrize("kind", JITTER)
def test_jitter_is_no_step(kind: str) -> None:
    assert steps(JITTER[kind]()) == []


def test_of_stretches_that_begin_when_they_came_in_next_to_nothing_counts() -> None:
    assert len(steps(list(anchored()))) <= 6


def test_packets_of_other_lengths_are_no_step() -> None:
    found = Steps(BASE)
    time = 0
    for number in range(400):
        length = FRAME // 4 if number in (100, 200, 201) else 2 * FRAME if number > 300 else FRAME
        found.add(time, length)
        time += length
    assert found.times() == []
