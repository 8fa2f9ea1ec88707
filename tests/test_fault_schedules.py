"""Storage that fails: whatever befalls the requests of commands, each title has one complete live version, the same command completes it,
and garbage collection leaves exactly what is referenced. Each schedule of faults follows from its seed.

    FAULT_SEED=4711 python -m pytest -n 0 tests/test_fault_schedules.py         # one schedule again, with everything that was asked
    FAULT_SCHEDULES=500 FAULT_FROM=1000 python -m pytest -m nightly tests/test_fault_schedules.py        # 10,000 from 40 on otherwise
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.faults import house as houses
from tests.faults.house import FaultyHouse, lines
from tests.faults.schedule import Schedule
from tests.faults.server import fault_server
from vidpipe.errors import CatalogFailed, PublishFailed, UsageError, VerificationFailed, VidpipeError

ORDINARY = 40
FROM = int(os.environ.get("FAULT_FROM", ORDINARY))
TO = FROM + int(os.environ.get("FAULT_SCHEDULES", "10000"))
ONE = os.environ.get("FAULT_SEED")
BATCH = 20
"""Schedules of one test, which ends at the first that fails."""


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def house(patch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyHouse]:
    folder = tmp_path_factory.mktemp("faults")
    with fault_server(houses.BEGINNING) as server:
        yield FaultyHouse(folder, server, patch)


class Run:
    """One schedule as it runs. said: what happened, for the message of a failure."""

    def __init__(self, schedule: Schedule, house: FaultyHouse) -> None:
        self.schedule, self.house, self.said = schedule, house, [str(schedule)]
        self._moments: list[str] = []

    def all(self) -> list[str]:
        """Run it; return what is wrong at the first moment when something is."""
        house, server = self.house, self.house.server
        house.reset(self.schedule)
        server.changed = self._look
        try:
            failed = False
            for number, step in enumerate(self.schedule.steps):
                command = house.command(step.command, number)
                begun = len(server.log)
                server.begin(lambda asked, number=number: self.schedule.fault(number, asked))
                outcome = self._outcome(command)
                server.heal()
                befell = [f"{asked.operation} {asked.key} #{asked.number}: {fault}" for asked, fault in server.log[begun:] if fault]
                self.said += [f"{step.command}: {outcome or 'done'}", *(f"    {text}" for text in befell)]
                if problems := self._problems(strict=outcome is None and not failed):
                    return problems
                if isinstance(outcome, UsageError) or (outcome is not None and step.again):
                    again = self._outcome(command)
                    self.said.append(f"{step.command}, again: {again or 'done'}")
                    if isinstance(outcome, UsageError) and not isinstance(again, UsageError):
                        return [f"the user was blamed for what the storage did: {outcome}"]
                    if again is not None and not isinstance(again, UsageError):
                        return [f"the same command does not complete: {again!r}"]
                    if problems := self._problems(strict=again is None and not failed):
                        return problems
                elif outcome is not None:
                    failed = True
            return self._end(failed=failed)
        finally:
            server.changed = lambda key: None

    def _end(self, *, failed: bool) -> list[str]:
        judge, thorough = self.house.judge, self.schedule.seed % 8 == 0
        try:
            if failed:
                self.house.settle()
            if lines(judge.left()) or thorough:  # without garbage it costs a fifth of a schedule, and has nothing to do
                self.house.collect()
            repaired = self.house.repaired() if thorough else []
        except VidpipeError as problem:
            return [f"nothing fails, and yet: {problem!r} {problem.details}"]
        return self._problems(strict=True) or lines(judge.left()) or lines(judge.different()) or self.house.notes() or repaired

    def _outcome(self, command: houses.Command) -> VidpipeError | None:
        try:
            command()
        except (PublishFailed, VerificationFailed, UsageError, CatalogFailed) as problem:
            return problem
        return None

    def _look(self, key: str) -> None:
        self.house.judge.changed(key)
        if not self._moments:
            self._moments += [f"after a change of {key}: {problem}" for problem in lines(self.house.judge.always())]

    def _problems(self, *, strict: bool) -> list[str]:
        judge, server = self.house.judge, self.house.server
        return self._moments or server.crashes or lines(judge.always()) or (lines(judge.shown()) if strict else [])


def check(house: FaultyHouse, seed: int) -> None:
    """Run the schedule of a seed."""
    run = Run(Schedule.of(seed), house)
    if problems := run.all():
        again = f"FAULT_SEED={seed} python -m pytest -n 0 tests/test_fault_schedules.py"
        pytest.fail("\n".join([*problems, "", *run.said, "", f"again: {again}"]), pytrace=False)


@pytest.mark.skipif(ONE is not None, reason="FAULT_SEED chooses one")
@pytest.mark.parametrize("first", range(0, ORDINARY, BATCH))
def test_whatever_fails_a_title_stays_whole(first: int, house: FaultyHouse) -> None:
    for seed in range(first, first + BATCH):
        check(house, seed)


@pytest.mark.nightly
@pytest.mark.skipif(ONE is not None, reason="FAULT_SEED chooses one")
@pytest.mark.parametrize("first", range(FROM, TO, BATCH))
def test_whatever_fails_at_night_a_title_stays_whole(first: int, house: FaultyHouse) -> None:
    for seed in range(first, min(first + BATCH, TO)):
        check(house, seed)


@pytest.mark.skipif(ONE is None, reason="FAULT_SEED chooses one")
def test_one_schedule_again(house: FaultyHouse) -> None:
    check(house, int(ONE or 0))


def test_a_seed_is_a_schedule(house: FaultyHouse) -> None:
    assert Schedule.of(7) == Schedule.of(7)
    assert len({Schedule.of(seed) for seed in range(100)}) == 100
