"""Commands of ``vidpipe`` that are killed, or stand still, at chosen moments, in a world that can be put back: homes, a catalog, a target.

What must hold at any moment, and at the end, is asked of the files and of the catalog, not of the commands: ``World.sound`` and
``World.tidy``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.ingest_support import FIXTURES, LADDER, RUNG
from tests.kill_points import VERSION
from tests.servers import S3Server
from vidpipe import layout
from vidpipe.catalog.record import Record, as_published
from vidpipe.catalog.store import Catalog
from vidpipe.inventory import read_inventory
from vidpipe.lifecycle.garbage import GarbageRequest, Unreferenced, collect_garbage
from vidpipe.publish.delivery import ADDRESS, delivery
from vidpipe.settings import Settings
from vidpipe.storage import open_storage
from vidpipe.work.jobs import JobNote, noted, running, unfinished

PREFIX = "kills"
FILM = "film"
LONG = 120.0
"""Seconds after which a command hangs."""
STOPPED = "stopped"
RUNNING = "running"
Moment = dict[str, Any]


class Forks:
    """The fork server of ``tests/kill_points.py``."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._started = folder, list[Command]()
        environ = {name: value for name, value in os.environ.items() if not name.startswith("VIDPIPE_")}
        program = [sys.executable, "-m", "tests.kill_points"]
        pipe = subprocess.PIPE
        self._server = subprocess.Popen(program, cwd=FIXTURES.parent, env=environ, stdin=pipe, stdout=pipe, text=True)

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        return dict(json.loads(self._server.stdout.readline()))

    def start(self, argv: Sequence[str], environ: dict[str, str], moment: Moment | None) -> Command:
        output = self._folder / f"output-{len(self._started)}"
        order = {"argv": list(argv), "environ": environ, "output": str(output), "moment": moment}
        self._started.append(command := Command(self, self.ask({"start": order})["pid"], output))
        return command

    def close(self) -> None:
        for command in self._started:
            command.kill()
        assert self._server.stdin
        self._server.stdin.close()
        self._server.wait(30)
        assert self._server.stdout
        self._server.stdout.close()


@dataclass
class Command:
    """A running ``vidpipe``. ended: its exit code; -9 if it was killed."""

    forks: Forks
    pid: int
    output: Path
    ended: int | None = None

    def wait(self, seconds: float = LONG) -> int | str:
        """Return the exit code, STOPPED, or RUNNING after so many seconds."""
        if self.ended is None:
            answer = self.forks.ask({"wait": self.pid, "seconds": seconds})
            if "ended" not in answer:
                return STOPPED if "stopped" in answer else RUNNING
            self.ended = int(answer["ended"])
        return self.ended

    def go_on(self) -> None:
        if self.ended is None:
            os.killpg(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        if self.ended is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    @property
    def text(self) -> str:
        return self.output.read_text(errors="replace") if self.output.exists() else "(killed before it wrote anything)"


@dataclass
class Seen:
    """A world at rest. records: title -> version, newest first.  objects: title/version -> path -> SHA-256.  other: what is no version's.

    notes: of unfinished ingests, of all homes.  keys: in any home.
    """

    records: dict[str, dict[str, Record]] = field(default_factory=dict)
    objects: dict[str, dict[str, str]] = field(default_factory=dict)
    other: dict[str, bytes] = field(default_factory=dict)
    notes: list[JobNote] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)

    def states(self, title: str) -> list[str]:
        """The statuses of all versions, newest first."""
        return [record.status for record in self.records.get(title, {}).values()]

    def oldest(self, title: str) -> str:
        """The version that was made first. (Not the least of the ids: those of one second are in no order.)"""
        return list(self.records[title])[-1]

    def live(self, title: str) -> Record | None:
        return next((record for record in self.records.get(title, {}).values() if record.status == "live"), None)

    def shown(self, title: str) -> str | None:
        """The version that the address of a title plays."""
        text = self.other.get(layout.address(title))
        if text is None:
            return None
        versions = set(re.findall(rf'(?:^|URI=")({VERSION})/', text.decode(), re.M))
        assert len(versions) == 1, f"the address of {title} is half a playlist: {text!r}"
        return str(versions.pop())


class World:
    """Homes, a catalog and a target: all that commands change, and how it was before."""

    def __init__(
        self, folder: Path, forks: Forks, server: S3Server | None = None, database: Database | None = None, homes: str = "a"
    ) -> None:
        self.folder, self.forks, self.server, self.database = folder, forks, server, database
        self.homes = {name: folder / "homes" / name for name in homes}
        self.saved = folder / "saved"
        self.library = server.folder / PREFIX if server and server.folder else folder / "homes" / "library"
        self.target = f"s3://{server.bucket}/{PREFIX}" if server else str(self.library)
        self.media = folder / "media"
        self._sent: dict[str, str] = {}
        for made in (*self.homes.values(), self.media, folder / "empty"):
            made.mkdir(parents=True)
        ladder = self.media / "tiny.yaml"
        ladder.write_text(LADDER.format(rungs=RUNG.format(90, "h264", 90, "")))
        source = (FIXTURES / "one-second.mp4").read_bytes()
        (self.media / "film.mp4").write_bytes(source)
        (self.media / "other.mp4").write_bytes(source + b"\0\0\0\x08free")  # another file, the same picture
        self.environ = {
            "TMPDIR": str(folder / "empty"),
            "VIDPIPE_TARGET": self.target,
            "VIDPIPE_LADDER": str(ladder),
            "VIDPIPE_GOP_SECONDS": "0.25",
            "VIDPIPE_SEGMENT_SECONDS": "0.25",
            "VIDPIPE_CHUNK_SECONDS": "1",
            "VIDPIPE_UPLOAD_WORKERS": "1",  # in one order, for replay
            "VIDPIPE_THREADS": "1",
            **(server.environment(folder / "empty") if server else {}),
            **({"VIDPIPE_CATALOG_URL": database.url} if database else {}),
        }

    @property
    def is_alone(self) -> bool:
        """Whether there is one home. The key of a version that another one has deleted stays in the home that made it."""
        return len(self.homes) == 1

    @property
    def film(self) -> str:
        return str(self.media / "film.mp4")

    @property
    def other(self) -> str:
        """Another source with the same picture."""
        return str(self.media / "other.mp4")

    def settings(self, home: str = "a") -> Settings:
        more: dict[str, Any] = {"catalog_url": self.database.url} if self.database else {}
        return Settings(home=self.homes[home], target=self.target, **more)

    def catalog(self) -> Catalog:
        return Catalog(self.settings(next(iter(self.homes))).catalog_url)

    # -- commands ------------------------------------------------------------------------------------------------------------------------

    def start(self, *argv: str, home: str = "a", moment: Moment | None = None) -> Command:
        return self.forks.start((*argv, "--progress", "none", "--home", str(self.homes[home])), self.environ, moment)

    def run(self, *argv: str, home: str = "a", moment: Moment | None = None) -> Command:
        """Run a command to its end."""
        command = self.start(*argv, home=home, moment=moment)
        if command.wait() == RUNNING:
            command.kill()
            raise AssertionError(f"{argv} hangs: {command.text}")
        return command

    def done(self, *argv: str, home: str = "a") -> Command:
        """Run a command that has to succeed."""
        command = self.run(*argv, home=home)
        assert command.ended == 0, f"{argv}: {command.ended}: {command.text}"
        return command

    # -- states --------------------------------------------------------------------------------------------------------------------------

    def save(self, name: str) -> None:
        """Remember how everything is."""
        place = self.saved / name
        shutil.copytree(self.folder / "homes", place / "homes")
        if self.server:
            shutil.copytree(self.library, place / "objects")
        if self.database:
            self.database.save(name)

    def begin(self, name: str) -> None:
        """Bring everything into one of STATES."""
        if (self.saved / name).is_dir():
            self.reset(name)
        else:
            STATES[name](self)
            self.save(name)

    def reset(self, name: str) -> None:
        """Put everything back to how it was."""
        place = self.saved / name
        shutil.rmtree(self.folder / "homes")
        shutil.copytree(place / "homes", self.folder / "homes")
        if self.database:
            self.database.reset(name)
        if self.server:  # by way of the server, which remembers headers
            self._put_back(place / "objects")

    def clear(self) -> None:
        """Forget every title; what is encoded stays."""
        for home in self.homes.values():
            for file in home.glob("catalog.db*"):
                file.unlink()
            shutil.rmtree(home / "keys", ignore_errors=True)
        if self.database:
            self.database.clear()
        with closing(open_storage(self.target)) as storage:
            for stored in list(storage.list()):
                storage.delete(stored.path)
        shutil.rmtree(self.library, ignore_errors=True)
        self.library.mkdir()

    def _put_back(self, saved: Path) -> None:
        wanted = {file.relative_to(saved).as_posix(): file for file in saved.rglob("*") if file.is_file()}
        with closing(open_storage(self.target)) as storage, ThreadPoolExecutor(4) as pool:
            for stored in list(storage.list()):
                if stored.path not in wanted:
                    storage.delete(stored.path)

            def put(path: str) -> None:
                data, headers = wanted[path].read_bytes(), delivery(path.partition("/")[2].partition("/")[2] or path.rpartition("/")[2])
                caching = ADDRESS if path.count("/") == 1 else headers.cache_control
                digest = hashlib.sha256(data).hexdigest()
                storage.put(path, data, content_type=headers.content_type, cache_control=caching, sha256=digest)

            list(pool.map(put, [path for path, file in wanted.items() if not _is_same(file, self.library / path)]))

    # -- what has to hold ----------------------------------------------------------------------------------------------------------------

    def look(self) -> Seen:
        seen = Seen()
        with self.catalog() as catalog:
            for title in catalog.having("live", "superseded", "withdrawn", "deleting"):
                seen.records[title] = {record.version: record for record in catalog.versions(title)}
        for file in self.library.rglob("*"):
            if file.is_file():
                title_version, _, path = file.relative_to(self.library).as_posix().partition("/")
                version, slash, path = path.partition("/")
                if slash and re.fullmatch(VERSION, version):
                    if not file.name.startswith(".vidpipe-"):
                        digest = hashlib.sha256(file.read_bytes()).hexdigest()
                        seen.objects.setdefault(f"{title_version}/{version}", {})[path] = digest
                elif not file.name.startswith(".vidpipe-"):
                    seen.other[file.relative_to(self.library).as_posix()] = file.read_bytes()
        for home in self.homes.values():
            seen.notes += [note for title in noted(home / "work") if (note := unfinished(home / "work", title))]
            seen.keys |= {file.stem for file in (home / "keys").glob("*.json")}
        return seen

    def sound(self) -> Seen:
        """Assert what holds at any moment: what is in the catalog is whole, what an address plays is in the catalog, nothing is unknown."""
        seen = self.look()
        known = {f"{title}/{version}": record for title, versions in seen.records.items() for version, record in versions.items()}
        for name, record in known.items():
            if record.status != "deleting":
                self._is_whole(seen, name, record)
        for title, versions in seen.records.items():
            assert [record.status for record in versions.values()].count("live") <= 1, (title, seen.states(title))
        for path, text in seen.other.items():
            assert path.endswith("/master.m3u8"), path
            title = path.partition("/")[0]
            shown = seen.shown(title)
            assert f"{title}/{shown}" in known, f"the address of {title} plays {shown}, which the catalog does not know"
            assert known[f"{title}/{shown}"].status != "deleting", f"the address of {title} plays {shown}, which is being deleted"
            for uri in re.findall(r'^[^#\n].*|(?<=URI=")[^"]+', text.decode(), re.M):
                assert uri.partition("/")[2] in seen.objects[f"{title}/{shown}"], f"the address of {title} names {uri}, which is not there"
        unfinished_ones = {f"{note.content_id}/{note.version}" for note in seen.notes}
        assert seen.objects.keys() <= known.keys() | unfinished_ones, "objects that nobody knows"
        used = {key for record in known.values() for key in record.encryption.key_ids}
        used |= {key for note in seen.notes for key in note.key_ids}
        if self.is_alone:
            assert seen.keys <= used, "keys that nobody knows"
        return seen

    def _is_whole(self, seen: Seen, name: str, record: Record) -> None:
        found = seen.objects.get(name, {})
        assert layout.INVENTORY in found, f"{name} ({record.status}) has no inventory"
        entries = read_inventory((self.library / name / layout.INVENTORY).read_bytes()).entries
        for path, entry in entries.items():
            assert found.get(path) == entry.sha256, f"{name} ({record.status}): {path} is lost or has other bytes"
        written = Record.model_validate_json((self.library / name / layout.RECORD).read_bytes())
        assert as_published(written) == as_published(record), f"{name} ({record.status}): its record is another one"
        assert set(record.encryption.key_ids) <= seen.keys, f"{name} ({record.status}): its key is lost"

    def tidy(self) -> Seen:
        """Assert what holds when all is done: garbage collection leaves exactly what is referenced, and nothing else is left anywhere."""
        before = self.look()
        for home in self.homes:
            assert not any(item.kind == "unknown" for item in self.collect(home)), "a complete version that the catalog does not know"
        seen = self.sound()
        assert (seen.records, seen.keys) == (before.records, before.keys)
        assert not seen.notes
        expected = {layout.address(title) for title in seen.records if seen.live(title)}
        for title, versions in seen.records.items():
            live = seen.live(title)
            assert seen.shown(title) == (live.version if live else None), f"the address of {title} plays another version than the live one"
            for version in versions:
                prefix = f"{title}/{version}"
                entries = read_inventory((self.library / prefix / layout.INVENTORY).read_bytes()).entries
                expected |= {f"{prefix}/{path}" for path in (*entries, layout.INVENTORY, layout.RECORD)}
        there = {file.relative_to(self.library).as_posix() for file in self.library.rglob("*") if file.is_file()}
        assert there == expected, f"too many: {sorted(there - expected)}; too few: {sorted(expected - there)}"
        for name, home in self.homes.items():
            assert running(home / "work") == ()  # and locks that nobody holds go when somebody looks
            if _left(home):  # of writers that were killed: the next title sweeps it away tomorrow
                for file in _left(home):
                    os.utime(file, (time.time() - 2 * 86_400,) * 2)
                self.done("ingest", self.film, "--id", "tomorrow", home=name)
            assert not _left(home), _left(home)
        assert not list((self.folder / "empty").iterdir()), "left behind in the system's folder for temporary files"
        return seen

    def collect(self, home: str = "a") -> tuple[Unreferenced, ...]:
        """Run ``gc --delete`` as if everything were old."""
        request = GarbageRequest.model_construct(delete=True, older_than=timedelta(hours=-1))
        return collect_garbage(request, self.settings(home)).found


def three(world: World) -> None:
    """A title of three versions: of a film, of another one, and a copy of that under another name. All homes have encodes and keys."""
    *others, last = world.homes
    world.done("ingest", world.film, "--id", FILM, home=last)
    world.done("ingest", world.other, "--id", FILM, "--replace", home=last)
    world.done("catalog", "set", FILM, "--title", "Third", home=last)
    for home in others:
        for folder in ("work", "keys"):
            shutil.copytree(world.homes[last] / folder, world.homes[home] / folder)


def withdrawn(world: World) -> None:
    world.begin("three")
    world.done("catalog", "withdraw", FILM, "--yes")


def encoded(world: World) -> None:
    """No title is published, and everything is encoded."""
    world.begin("three")
    world.clear()


def damaged(world: World) -> None:
    """The catalog has lost the oldest version; the target has lost the record and an object of the live one, and the title's address."""
    world.begin("three")
    seen = world.look()
    first, live = seen.oldest(FILM), seen.live(FILM)
    assert live
    with closing(open_storage(world.target)) as storage:
        path = f"{FILM}/{first}/{layout.RECORD}"
        record = Record.model_validate_json(storage.get(path))
        old = record.model_copy(update={"created_at": datetime.now(UTC) - timedelta(hours=2)}).model_dump_json(indent=2).encode()
        storage.put(path, old, content_type="application/json", cache_control="no-cache", sha256=hashlib.sha256(old).hexdigest())
        for lost in (f"{FILM}/{live.version}/{layout.RECORD}", f"{FILM}/{live.version}/{layout.POSTER}", layout.address(FILM)):
            storage.delete(lost)
    engine = sa.create_engine(f"sqlite:///{world.homes['a'] / 'catalog.db'}")
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM vidpipe_versions WHERE version = :version"), {"version": first})
    engine.dispose()


STATES = {"three": three, "withdrawn": withdrawn, "encoded": encoded, "damaged": damaged}


def _left(home: Path) -> list[Path]:
    """What a killed command may have left behind in a home. (Chunks, and facts of sources and programs, are for ``work clean``.)"""
    return [*home.glob("*/.vidpipe-*"), *(home / "work" / "jobs").glob("*"), *(home / "work" / "tmp").glob("*")]


def _is_same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


class Database:
    """A database on a PostgreSQL server, and copies of it. url: as pgserver gives it, of the server's first database."""

    NAME = "work"

    def __init__(self, url: str) -> None:
        self._server = url
        self.url = sa.make_url(url).set(database=self.NAME).render_as_string(hide_password=False)
        self.clear()

    def clear(self) -> None:
        self._copy("template1", self.NAME)

    def save(self, name: str) -> None:
        self._copy(self.NAME, f"saved_{name}")

    def reset(self, name: str) -> None:
        self._copy(f"saved_{name}", self.NAME)

    def _copy(self, source: str, name: str) -> None:
        import psycopg

        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {source}")


@contextmanager
def forks(folder: Path) -> Iterator[Forks]:
    server = Forks(folder)
    try:
        yield server
    finally:
        server.close()
