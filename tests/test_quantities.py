"""Sizes, rates and times for people: one way each, and nothing is rounded to nothing."""

from __future__ import annotations

from fractions import Fraction

import pytest

from vidpipe.quantities import clock, count, duration, exact, frames_a_second, percent, rate, size


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        *[(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (5_300_000_000, "5.3 GB"), (10**16, "10000.0 TB")],
        *[(999_949, "999.9 kB"), (999_950, "1.0 MB"), (40_000, "40.0 kB")],
    ],
)
def test_size(number: int, shown: str) -> None:
    assert size(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        *[(0, "0 s"), (0.004, "<0.1 s"), (0.05, "0.1 s"), (1.24, "1.2 s"), (4.0, "4 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s")],
        *[(59.6, "1:00"), (65, "1:05"), (3723, "1:02:03")],
    ],
)
def test_duration(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (31.4, "0:31"), (59.6, "1:00"), (3600, "1:00:00")])
def test_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_exact_times_and_rates_have_no_idle_zeros() -> None:
    assert [exact(Fraction(*each)) for each in ((2, 1), (2002, 1000), (0, 1), (-1, 10_000))] == ["2 s", "2.002 s", "0 s", "0 s"]
    assert [frames_a_second(each) for each in (25, Fraction(30000, 1001), 23.976)] == ["25", "29.97", "23.976"]


@pytest.mark.parametrize(("bits", "shown"), [(0, "0 kb/s"), (450, "0.5 kb/s"), (2_500_000, "2500 kb/s")])
def test_rate(bits: int, shown: str) -> None:
    assert rate(bits) == shown


def test_percent_is_100_only_at_the_end() -> None:
    assert [percent(each) for each in (0, 0.006, 0.29, 0.9999, 1)] == ["0%", "0%", "29%", "99%", "100%"]


def test_count() -> None:
    assert [count(1, "chunk"), count(2, "chunk"), count(2, "copy", "copies")] == ["1 chunk", "2 chunks", "2 copies"]
