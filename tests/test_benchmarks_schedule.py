"""The simulated cluster drives the real scheduler: the same seed gives the same schedule, and workers are kept busy where they can be."""

from __future__ import annotations

from tests.benchmarks.schedule import CALM, Trouble, simulate

HALF_AN_HOUR = {"chunk_seconds": 6, "hours": 0.5}


def test_a_seed_decides_everything() -> None:
    first, again, other = (simulate(20, seed=seed, **HALF_AN_HOUR) for seed in (1, 1, 2))
    assert first == again != other


def test_slow_lost_and_late_workers_leave_nine_tenths() -> None:
    found = simulate(10, **HALF_AN_HOUR)
    assert found.chunks > 0.9
    assert found.encode > 0.9


def test_a_lost_task_is_done_again() -> None:
    trouble = Trouble(slow=0, deaths=0.3, late=0)
    found = simulate(20, trouble=trouble, **HALF_AN_HOUR)
    calm = simulate(20, trouble=CALM, **HALF_AN_HOUR)
    assert found.lost > 0
    assert found.tasks >= calm.tasks == 301


def test_second_copies_shorten_what_slow_workers_hold_up() -> None:
    trouble = Trouble(slow=0.2, deaths=0, late=0)
    with_, without = (simulate(50, trouble=trouble, copies=copies, **HALF_AN_HOUR) for copies in (True, False))
    assert with_.chunk_seconds < 0.96 * without.chunk_seconds
