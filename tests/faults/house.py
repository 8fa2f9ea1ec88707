"""A home with titles at the fault server, put back to the same state for each schedule, and the commands that a schedule runs in it.

All that an ingest encodes is there already, and what ffmpeg answers to the same question with the same bytes is remembered, so that a
command costs what it asks of the storage.
"""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from botocore.utils import parse_timestamp

from tests.faults.judge import Judge
from tests.faults.schedule import Schedule
from tests.faults.server import FaultServer
from tests.ingest_support import settings
from vidpipe import layout
from vidpipe.catalog import database
from vidpipe.catalog.store import Catalog
from vidpipe.lifecycle.deletion import delete
from vidpipe.lifecycle.garbage import GarbageRequest, collect_garbage
from vidpipe.lifecycle.pruning import PruneRequest, prune
from vidpipe.lifecycle.redescription import RedescribeRequest, redescribe
from vidpipe.lifecycle.repair import RepairRequest, repair
from vidpipe.lifecycle.restoration import restore
from vidpipe.lifecycle.rollback import RollbackRequest, rollback
from vidpipe.lifecycle.titles import TitleRequest
from vidpipe.lifecycle.transfer import TransferRequest, transfer
from vidpipe.lifecycle.withdrawal import withdraw
from vidpipe.media import ffmpeg, process
from vidpipe.package import thumbnails
from vidpipe.pipeline.ingest import IngestRequest, ingest
from vidpipe.pipeline.versions import give_up
from vidpipe.protect.key_store import KeyStore
from vidpipe.storage import s3

TITLE, OTHER = "film", "short"
HERE, THERE = "a", "b"
"""Prefixes in the bucket: the target, and where titles are copied to."""
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)

_SIZES = {name: getattr(s3, name) for name in ("MULTIPART", "PART", "COPIED_PART", "LARGEST_COPY")}

Command = Callable[[], object]


class FaultyHouse:
    """A home whose target is the fault server. Made once, then ``reset``."""

    def __init__(self, folder: Path, server: FaultServer, patch: pytest.MonkeyPatch) -> None:
        self.server, self._folder, self._patch = server, folder, patch
        _quicken(patch, server, folder)
        patch.setattr(layout, "new_version", self.version)
        self.settings = settings(
            folder, 90, target=f"s3://{server.client.bucket}/{HERE}", segment_seconds=Fraction(1), threads=1, upload_workers=1
        )
        self.there = self.settings.model_copy(update={"target": f"s3://{server.client.bucket}/{THERE}"})
        keys = KeyStore(self.settings.keys)
        key = functools.cache(lambda key_id: keys.get(key_id).key)
        self.judge = Judge(server, Path(self.settings.catalog_url), self.settings.keys, key)
        self.sources = [_clip(folder, "one", 1, "testsrc2"), _clip(folder, "two", 3, "mandelbrot")]
        self.versions = itertools.count(1)
        self._ingest(0, content_id=OTHER)()
        self._ingest(0)()
        self._ingest(1, replace=True)()
        self._ingest(1, title="Film")()
        self._objects = dict(server.objects)
        shutil.copytree(self.settings.home, folder / "kept", ignore=shutil.ignore_patterns("work"))
        assert not list(self.judge.different())

    def reset(self, schedule: Schedule) -> None:
        """Put everything back as it was made, for a schedule."""
        self._patch.setenv("AWS_MAX_ATTEMPTS", str(schedule.attempts))
        for name, usual in _SIZES.items():
            self._patch.setattr(s3, name, schedule.part or usual)
        self.server.reset(self._objects)
        self.judge.changed(None)
        self.server.lag, self.server.page = schedule.lag, schedule.page
        home = self.settings.home
        for name in ("catalog.db-wal", "catalog.db-shm"):
            (home / name).unlink(missing_ok=True)
        shutil.copyfile(self._folder / "kept" / "catalog.db", home / "catalog.db")
        shutil.rmtree(home / "keys")
        shutil.copytree(self._folder / "kept" / "keys", home / "keys")
        for note in (home / "work" / "jobs").glob("*.json"):
            note.unlink()
        self.versions = itertools.count(100)

    def version(self, now: datetime) -> str:
        """Return an id of a new version: the next one, the same in each run of a schedule."""
        number = next(self.versions)
        return f"{BEGINNING + timedelta(seconds=number):%Y%m%dT%H%M%SZ}-{number:06x}"

    def command(self, name: str, number: int) -> Command:
        """Return a command, decided now, so that it can be run again. number: distinguishes it from others of the same name."""
        here, title = self.settings, TitleRequest(content_id=TITLE)
        simple: dict[str, Command] = {
            "withdraw": lambda: withdraw(title, here),
            "restore": lambda: restore(title, here),
            "delete": lambda: delete(title, here),
            "prune": lambda: prune(PruneRequest(keep=0, older_than=timedelta()), here),
            "gc": lambda: self.collect(),
            "repair": lambda: repair(RepairRequest(), here),
            "copy": lambda: transfer(TransferRequest(content_id=TITLE), self.there),
            "set": lambda: redescribe(RedescribeRequest(content_id=TITLE, title=f"Set {number}"), here),
            "ingest": self._ingest(1),
            "rename": self._ingest(1, title=f"Name {number}"),
            "replace": self._ingest(0, replace=True),
            "rekey": self._ingest(1, new_key=True),
        }
        if name == "rollback":
            before = self._before()
            return lambda: rollback(RollbackRequest(content_id=TITLE, version=before), here)
        return simple[name]

    def settle(self) -> None:
        """Run what brings a title to a good end, whatever has become of it."""
        self._ingest(0, replace=True)()
        prune(PruneRequest(keep=99), self.settings)  # goes on with what is being deleted
        give_up(self.settings)  # work clean --unfinished: of an ingest or a copy that nobody ran again

    def collect(self) -> None:
        """Remove the garbage of both targets."""
        for configured in (self.settings, self.there):
            collect_garbage(GarbageRequest(older_than=timedelta(days=7), delete=True), configured)

    def repaired(self) -> list[str]:
        """What a repair finds."""
        return [f"repair: {found.deed}: {found.what}" for found in repair(RepairRequest(), self.settings).found]

    def notes(self) -> list[str]:
        """The notes of unfinished ingests."""
        return [f"a note of {note.stem} was left" for note in (self.settings.work / "jobs").glob("*.json")]

    def _ingest(self, source: int, *, content_id: str = TITLE, **options: Any) -> Command:
        request = IngestRequest(source=str(self.sources[source]), content_id=content_id, **options)
        return lambda: ingest(request, self.settings)

    def _before(self) -> str | None:
        """The version that a rollback without a version would go to; the same for each time that it is run."""
        with closing(Catalog(self.settings.catalog_url)) as catalog:
            return next((record.version for record in catalog.versions(TITLE) if record.status == "superseded"), None)


def _clip(folder: Path, name: str, seconds: int, picture: str) -> Path:
    file = folder / f"{name}.mp4"
    made = ["-f", "lavfi", "-i", f"{picture}=size=160x90:rate=10", "-t", str(seconds), "-c:v", "libx264", "-preset", "ultrafast"]
    subprocess.run([ffmpeg.find().path, "-v", "error", *made, "-pix_fmt", "yuv420p", str(file)], check=True)
    return file


class Remembering:
    """Runs programs that read nothing but their standard input, each once for the same input."""

    def __init__(self) -> None:
        self._run = process.run
        self._known: dict[tuple[tuple[str, ...], bytes | None], tuple[Any, list[str]]] = {}
        self._lock = threading.Lock()

    def __call__(self, argv: list[str], *, stdin: bytes | None = None, on_line: Callable[[str], None] | None = None, **options: Any) -> Any:
        """Run it, or give what it gave."""
        if not ("pipe:0" in argv or "-version" in argv):
            return self._run(argv, stdin=stdin, on_line=on_line, **options)
        key = (tuple(argv), stdin)
        with self._lock:
            if key not in self._known:
                lines: list[str] = []
                self._known[key] = (self._run(argv, stdin=stdin, on_line=lines.append if on_line else None, **options), lines)
            done, said = self._known[key]
        for line in said:
            if on_line:
                on_line(line)
        return done


def _quicken(patch: pytest.MonkeyPatch, server: FaultServer, folder: Path) -> None:
    """Point the client at the server, and make commands cost what they ask of it. Nothing that decides is touched."""
    remembering = Remembering()
    for module in (process, ffmpeg, thumbnails):
        patch.setattr(module, "run", remembering)
    server.client.use(patch, folder)
    patch.setenv("AWS_MAX_ATTEMPTS", "1")
    # A client takes as long to make as thirty requests; one for each number of attempts serves all.
    made = functools.cache(lambda attempts, service, make=s3.client_of: make(service))
    patch.setattr(s3, "client_of", lambda service: made(os.environ["AWS_MAX_ATTEMPTS"], service))
    patch.setattr(s3.S3Storage, "close", lambda storage: None)
    # No retry waits, none is forbidden because there were so many, and parts are as small as they are wanted.
    patch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda self, context: 0)
    patch.setattr("botocore.retries.quota.RetryQuota.acquire", lambda self, amount: True)
    patch.setattr("s3transfer.utils.ChunksizeAdjuster.adjust_chunksize", lambda self, current, file_size=None: current)
    patch.setattr(database, "engine", functools.cache(database.engine))  # which remembers its statements
    # A fifth of a request: the same few words, and one moment, again and again.
    patch.setattr("botocore.useragent.UserAgentString.to_string", lambda self: "vidpipe")
    patch.setattr("botocore.parsers.DEFAULT_TIMESTAMP_PARSER", functools.cache(parse_timestamp))


def lines(problems: Iterator[str]) -> list[str]:
    """The first few, and how many."""
    found = list(problems)
    return [*found[:8], f"and {len(found) - 8} more"] if len(found) > 8 else found
