"""kill -9 of whole commands, at named points and at seeded moments, on a folder and on a real S3 server.

After each kill everything that the catalog knows is whole, and what the address of a title plays is in the catalog. The same command again
completes. Then garbage collection leaves exactly what is referenced, and the home holds no note, key or temporary file of the killed run.

    KILL_SEED=123 python -m pytest -n 0 tests/test_killed.py -k seeded        one seeded case again
    KILL_REPORT=FILE python -m pytest -m nightly tests/test_killed.py …       a line of JSON for each case
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import servers
from tests.kill_support import FILM, Moment, World, forks
from vidpipe.storage import open_storage

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")

# -- worlds ------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], World]]:
    """Give a world by its kind of target."""
    with ExitStack() as cleanup, pytest.MonkeyPatch.context() as patch:
        made: dict[str, World] = {}
        server = cleanup.enter_context(forks(tmp_path_factory.mktemp("outputs")))

        def world(kind: str) -> World:
            if kind not in made:
                folder = tmp_path_factory.mktemp(kind)
                s3 = None
                if kind == "s3":
                    try:
                        s3 = cleanup.enter_context(servers.rclone())
                    except servers.Unavailable as reason:
                        pytest.skip(str(reason))
                    s3.use(patch, folder)
                made[kind] = World(folder, server, s3)
            return made[kind]

        yield world


# -- operations --------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operation:
    """A command. state: that it begins with.  argv: {film} and {other} are sources, {first} the oldest version.  states: at the end.

    points: that it passes, each with how often at least.  events: about as many as it has.  again: exit codes of the same command again.
    """

    state: str
    argv: tuple[str, ...]
    states: Sequence[str]
    points: dict[str, int]
    events: int
    titles: Sequence[str] = (FILM,)
    again: Sequence[int] = (0,)


UPLOADS = {
    "note": 1,
    "key": 1,
    "segment": 2,
    "master playlist": 1,
    "inventory": 1,
    "record": 1,
    "row": 1,
    "catalog": 1,
    "address": 1,
    "note removed": 1,
}
OPERATIONS = {
    "ingest": Operation("encoded", ("ingest", "{film}", "--id", FILM), ["live"], UPLOADS, 120),
    "replace": Operation(
        "three",
        ("ingest", "{film}", "--id", FILM, "--replace"),
        ["live", "superseded", "superseded", "superseded"],
        {point: times for point, times in UPLOADS.items() if point != "master playlist"} | {"copy": 1},  # it is that of the live version
        120,
    ),
    "batch": Operation(
        "encoded", ("ingest", "{film}", "{other}"), ["live"], {**UPLOADS, "title of a batch": 1}, 240, titles=("film", "other")
    ),
    "rollback": Operation(
        "three",
        ("catalog", "rollback", FILM, "{first}", "--yes"),
        ["superseded", "superseded", "live"],
        {"row": 2, "catalog": 1, "address": 1, "sync": 1},
        20,
    ),
    "prune": Operation(
        "three",
        ("catalog", "prune", "--keep", "0", "--older-than", "0d", "--yes"),
        ["live"],
        {"row": 3, "catalog": 3, "media deletion": 2, "object deletion": 5, "key removed": 1},
        60,
    ),
    "delete": Operation(
        "withdrawn",
        ("catalog", "delete", FILM, "--yes"),
        [],
        {"row": 4, "catalog": 4, "media deletion": 3, "object deletion": 5, "key removed": 1},
        90,
        again=(0, 2),  # there is no such title any more
    ),
    "withdraw": Operation(
        "three",
        ("catalog", "withdraw", FILM, "--yes"),
        ["withdrawn", "superseded", "superseded"],
        {"row": 1, "catalog": 1, "address": 1},
        10,
    ),
    "set": Operation(
        "three",
        ("catalog", "set", FILM, "--title", "Fourth"),
        ["live", "superseded", "superseded", "superseded"],
        {"note": 1, "copy": 3, "inventory": 1, "record": 1, "row": 2, "catalog": 1, "address": 1},
        100,
    ),
    "repair": Operation(
        "damaged",
        ("repair", "--adopt"),
        ["live", "superseded", "superseded"],
        {"row": 1, "catalog": 1, "copy": 1, "record": 1, "address": 1},
        20,
    ),
}


def argv_of(operation: Operation, world: World) -> tuple[str, ...]:
    first = ""
    if "{first}" in operation.argv:
        first = world.look().oldest(FILM)
    return tuple(each.format(film=world.film, other=world.other, first=first) for each in operation.argv)


def kill_and_complete(world: World, name: str, kill: Callable[[tuple[str, ...]], list[int]]) -> list[int]:
    """Put the world into the state of an operation, kill it, look, let it complete, and look again. Return how the killed runs ended."""
    operation = OPERATIONS[name]
    world.begin(operation.state)
    argv = argv_of(operation, world)
    ended = kill(argv)
    again = world.run(*argv)
    assert again.ended in operation.again, again.text
    seen = world.tidy()
    for title in operation.titles:
        assert seen.states(title) == operation.states
    return ended


def still_sound(world: World, name: str) -> None:
    """Look after a kill. What a repair began with was not sound; it must not take anything away, though."""
    if OPERATIONS[name].state != "damaged":
        world.sound()
        return
    before, now = world.saved / "damaged", world.look()
    objects = before / "objects" if world.server else before / "homes" / "library"
    for file in (file for file in objects.glob("*/*/**/*") if file.is_file()):
        title, version, path = file.relative_to(objects).as_posix().split("/", 2)
        assert now.objects[f"{title}/{version}"][path] == hashlib.sha256(file.read_bytes()).hexdigest(), path


# -- named points ------------------------------------------------------------------------------------------------------------------------


def named_points() -> Iterator[tuple[str, str, str, int]]:
    for name, operation in OPERATIONS.items():
        for point, most in operation.points.items():
            for nth in sorted({1, most}):
                yield from ((name, point, when, nth) for when in ("before", "after"))


def exists(kind: str, point: str) -> bool:
    """Whether a point is there at all: at S3 nothing is synced by vidpipe."""
    return kind == "folder" or point != "sync"


ORDINARILY = {
    ("folder", "ingest", "row", "after", 1),
    ("folder", "rollback", "sync", "before", 1),
    ("folder", "prune", "object deletion", "after", 5),
}
"""Named points of the ordinary run. (The ordinary share at S3 is in test_two_machines.py, which has a server anyway.)"""


@pytest.mark.parametrize(
    ("kind", "name", "point", "when", "nth"),
    [
        pytest.param(kind, *case, id="-".join(map(str, (kind, *case))), marks=() if (kind, *case) in ORDINARILY else pytest.mark.nightly)
        for kind in ("folder", "s3")
        for case in named_points()
        if exists(kind, case[1])
    ],
)
def test_a_command_killed_at_a_named_point(
    kind: str, name: str, point: str, when: str, nth: int, worlds: Callable[[str], World]
) -> None:
    world = worlds(kind)

    def kill(argv: tuple[str, ...]) -> list[int]:
        moment: Moment = {"act": "kill", "at": point, "when": when, "nth": nth}
        killed = world.run(*argv, moment=moment)
        assert killed.ended == -9, f"{name} does not pass {point!r} {nth} times: {killed.text}"
        still_sound(world, name)
        return [killed.ended]

    report(kind=kind, name=name, moment=f"{when} {point} {nth}", ended=kill_and_complete(world, name, kill))


@pytest.mark.nightly
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("point", ["put away", "source moved"])
@pytest.mark.parametrize("well", [True, False], ids=["done", "failed"])
@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_watcher_killed_while_it_moves_a_source(kind: str, well: bool, point: str, when: str, worlds: Callable[[str], World]) -> None:
    """It is a service that is started again: then every source is in done/ or failed/, one there has its reason beside it."""
    world = worlds(kind)
    world.begin("encoded")
    name = f"inbox-{when}-{point}-{well}".replace(" ", "-").lower()
    folder = (world.library if world.server else world.folder / "homes" / name).with_name(name)
    place = f"s3://{world.server.bucket}/{name}/" if world.server else str(folder)
    with closing(open_storage(place)) as storage:
        data = Path(world.film).read_bytes() if well else b"no film"
        storage.put("film.mp4", data, content_type="video/mp4", cache_control="no-store", sha256="")
    argv = ("watch", place, "--settle", "0")
    assert world.run(*argv, moment={"act": "kill", "at": point, "when": when}).ended == -9
    world.sound()
    service = world.start(*argv)
    end = "done" if well else "failed"
    deadline = time.monotonic() + 60
    while (folder / "film.mp4").exists():
        assert time.monotonic() < deadline, service.text
        time.sleep(0.1)
    os.kill(service.pid, signal.SIGTERM)
    assert service.wait() in (0, -signal.SIGTERM), service.text  # if nothing was left to do, it may not even have begun
    moved = sorted(file.name for file in (folder / end).iterdir() if file.suffix == ".mp4")
    assert "film.mp4" in moved  # at S3 there may be a second one: killed between its copy and its removal
    assert len(moved) == 1 or (world.server and (point, when) == ("source moved", "after"))
    for name in moved if not well else ():
        assert "fix:" in (folder / end / f"{name}.error.txt").read_text()
    assert world.tidy().states(FILM) == (["live"] if well else [])


# -- seeded moments ----------------------------------------------------------------------------------------------------------------------

SECONDS = 1.0
"""About as long as an operation takes: of moments that are times."""
SEEDS = 1000
ORDINARY_SEEDS = (0, 6)


def seeds() -> list[object]:
    if given := os.environ.get("KILL_SEED"):
        return [int(given)]
    return [pytest.param(seed, marks=() if seed in ORDINARY_SEEDS else pytest.mark.nightly) for seed in range(SEEDS)]


@pytest.mark.parametrize("seed", seeds())
def test_a_command_killed_at_a_seeded_moment(seed: int, worlds: Callable[[str], World]) -> None:
    chance = random.Random(seed)
    kind = ("folder", "s3")[seed % 2]
    world, name = worlds(kind), chance.choice(sorted(OPERATIONS))
    operation = OPERATIONS[name]
    moments: list[str] = []

    def kill(argv: tuple[str, ...]) -> list[int]:
        ended = []
        for _ in range(chance.choice((1, 1, 2, 3))):
            if chance.random() < 0.7:
                event = chance.randint(1, operation.events)
                moments.append(f"event {event}")
                command = world.run(*argv, moment={"act": "kill", "event": event})
            else:
                after = chance.uniform(0, SECONDS)
                moments.append(f"{after:.3f} s")
                command = world.start(*argv)
                time.sleep(after)
                command.kill()
            ended.append(int(command.wait()))
            assert ended[-1] in (-9, *operation.again), command.text
            still_sound(world, name)
        return ended

    try:
        ended = kill_and_complete(world, name, kill)
    except AssertionError as problem:
        raise AssertionError(f"seed {seed}: {name} at {kind}, killed at {', '.join(moments)}") from problem
    report(kind=kind, name=name, moment=", ".join(moments), ended=ended, seed=seed)


def report(**fields: object) -> None:
    """Add a line to the report, if one is wanted."""
    if file := os.environ.get("KILL_REPORT"):
        with Path(file).open("a") as stream:
            stream.write(json.dumps(fields) + "\n")
