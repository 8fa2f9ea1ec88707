"""Two machines with homes of their own, one PostgreSQL catalog and one S3 target: whatever they do at once, no update is lost, and nothing
that the catalog or an address names is missing.

One machine stands still in the middle of its command (SIGSTOP) while the other one does its own, stands still itself, or ends; or it is
killed there. So every interleaving is one that can be had again: by its seed.

    KILL_SEED=123 python -m pytest -n 0 tests/test_two_machines.py -k seeded
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests import servers
from tests.kill_support import FILM, RUNNING, STOPPED, Command, Database, Moment, World, forks
from tests.test_killed import report
from vidpipe.pipeline.versions import give_up

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")

EVENTS = {"ingest": 150, "catalog": 60, "repair": 20, "gc": 20}
"""About as many as a command has."""
BLOCKED = 1.5
"""Seconds after which a command waits for the one that stands still."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two homes, in which everything is encoded. Titles of the prepared states were made by machine b; a has copies of their keys."""
    with ExitStack() as cleanup, pytest.MonkeyPatch.context() as patch:
        try:
            s3 = cleanup.enter_context(servers.rclone())
            database = Database(cleanup.enter_context(servers.postgresql()))
        except servers.Unavailable as reason:
            pytest.skip(str(reason))
        folder = tmp_path_factory.mktemp("machines")
        s3.use(patch, folder)
        yield World(folder, cleanup.enter_context(forks(tmp_path_factory.mktemp("outputs"))), s3, database, homes="ab")


INGEST = ("ingest", "{film}", "--id", FILM)
REPLACE = ("ingest", "{film}", "--id", FILM, "--replace")
SET = ("catalog", "set", FILM, "--title", "Fourth")
PRUNE = ("catalog", "prune", "--keep", "0", "--older-than", "0d", "--yes")


@dataclass(frozen=True)
class Pair:
    """What the machines do at once. refused: the second one may be refused for ever (exit code 2), such as an ingest of another source."""

    state: str
    a: tuple[str, ...]
    b: tuple[str, ...]
    refused: bool = False


PAIRS = {
    "the same source": Pair("encoded", INGEST, INGEST),
    "other sources": Pair("encoded", INGEST, ("ingest", "{other}", "--id", FILM), refused=True),
    "replaced by both": Pair("three", REPLACE, ("ingest", "{other}", "--id", FILM, "--replace", "--title", "Fourth")),
    "prune against ingest": Pair("three", REPLACE, PRUNE),
    "rollback against publish": Pair("three", REPLACE, ("catalog", "rollback", FILM, "{first}", "--yes")),
    "delete against ingest": Pair("withdrawn", REPLACE, ("catalog", "delete", FILM, "--yes"), refused=True),
    "withdraw against publish": Pair("three", REPLACE, ("catalog", "withdraw", FILM, "--yes"), refused=True),
    "repair against publish": Pair("three", REPLACE, ("repair",)),
    "the same words": Pair("three", SET, SET),
    "other words": Pair("three", SET, ("catalog", "set", FILM, "--meta", "season=2")),
    "gc against ingest": Pair("three", REPLACE, ("gc", "--delete", "--older-than", "1d", "--yes")),
}


def both(world: World, pair: Pair, first: Moment, second: Moment | None, *, swapped: bool = False) -> list[int]:
    """Run both commands; the first one stands still, or dies, at its moment, and goes on when the second does, or has ended.

    swapped: machine b begins.
    """
    machines = [(name, argv_of(world, argv)) for name, argv in (("a", pair.a), ("b", pair.b))]
    (home, argv), (other_home, other_argv) = reversed(machines) if swapped else machines
    one = world.start(*argv, home=home, moment=first)
    one.wait()
    other = world.start(*other_argv, home=other_home, moment=second)
    other.wait(BLOCKED)  # for ever, if the first one holds a lock
    _to_its_end(one)
    _to_its_end(other)
    return [int(command.wait()) for command in (one, other)]


def argv_of(world: World, argv: Sequence[str]) -> tuple[str, ...]:
    oldest = world.look().oldest(FILM) if "{first}" in argv else ""
    return tuple(each.format(film=world.film, other=world.other, first=oldest) for each in argv)


def _to_its_end(command: Command) -> None:
    command.go_on()
    while command.wait() == STOPPED:
        command.go_on()
    assert command.ended is not None, f"{RUNNING}: {command.text}"


def completed(world: World, pair: Pair, ended: Sequence[int]) -> None:
    """Assert what holds when both have ended, and when both commands were run again until both were content."""
    seen = world.sound()
    assert all(code in (0, -9, 2, 7) for code in ended), ended
    if -9 not in ended:
        live = seen.live(FILM)
        assert seen.shown(FILM) == (live.version if live else None), f"the address plays another version than the live one: {ended}"
    for home, argv in (("a", pair.a), ("b", pair.b), ("a", pair.a)):
        again = world.run(*argv_of(world, argv), home=home)
        assert again.ended == 0 or (pair.refused and again.ended == 2), f"{argv}: {again.ended}: {again.text}"
        world.sound()
    for home in world.homes:  # what was refused for ever is given up by a person
        give_up(world.settings(home))
    world.tidy()


CATALOG: Moment = {"act": "stop", "at": "catalog", "when": "before"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "rollback against publish" else pytest.mark.nightly) for name in PAIRS]
)
def test_a_machine_that_stands_still_before_it_publishes(name: str, world: World) -> None:
    pair = PAIRS[name]
    world.begin(pair.state)
    completed(world, pair, both(world, pair, CATALOG, None))


def test_a_machine_that_slept_for_a_week_after_its_proof_publishes_nothing_that_gc_has_removed(world: World) -> None:
    world.begin("encoded")
    asleep = world.start(*argv_of(world, INGEST), moment={"act": "stop", "at": "inventory", "when": "before"})
    assert asleep.wait() == STOPPED
    world.collect("b")
    assert not world.look().objects, "nobody can tell it from what a machine left that is gone"
    _to_its_end(asleep)
    assert asleep.ended == 5, asleep.text
    assert world.sound().records == {}
    world.done(*argv_of(world, INGEST))
    assert world.tidy().states(FILM) == ["live"]


SEEDS = 500
ORDINARY_SEED = 4
"""The first machine is killed."""


def seeds() -> list[object]:
    if given := os.environ.get("KILL_SEED"):
        return [int(given)]
    return [pytest.param(seed, marks=() if seed == ORDINARY_SEED else pytest.mark.nightly) for seed in range(SEEDS)]


def _moment(chance: random.Random, argv: Sequence[str]) -> Moment:
    return {"act": chance.choice(("stop", "stop", "kill")), "event": chance.randint(1, EVENTS[argv[0]])}


@pytest.mark.parametrize("seed", seeds())
def test_seeded_interleavings(seed: int, world: World) -> None:
    chance = random.Random(seed)
    name = chance.choice(sorted(PAIRS))
    pair = PAIRS[name]
    swapped = chance.random() < 0.3
    one, other = (pair.b, pair.a) if swapped else (pair.a, pair.b)
    first = _moment(chance, one)
    second = _moment(chance, other) if chance.random() < 0.5 else None
    world.begin(pair.state)
    try:
        ended = both(world, pair, first, second, swapped=swapped)
        completed(world, pair, ended)
    except AssertionError as problem:
        raise AssertionError(f"seed {seed}: {name}, {first}, {second}, swapped: {swapped}") from problem
    report(kind="two machines", name=name, moment=f"{first} {second}", ended=ended, seed=seed)
