"""Titles that were published, without an ingest: one small version, and others with the same media, all with keys, inventory and record."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any
from unittest import mock

from tests.ingest_support import settings as quick
from tests.title_support import KEY, PREFIX, Encoded, publish_title
from vidpipe import layout
from vidpipe.catalog.compose import record_of
from vidpipe.catalog.record import Record, SourceFile
from vidpipe.catalog.store import Catalog
from vidpipe.inventory import Inventory
from vidpipe.pipeline.address import flip
from vidpipe.pipeline.sealing import seal
from vidpipe.progress import Silent
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.master_key import load_master_key
from vidpipe.settings import Settings
from vidpipe.storage import open_storage
from vidpipe.storage.base import Storage
from vidpipe.work.jobs import JobNote, claim

TITLE, FIRST = PREFIX.split("/")
SOURCE = SourceFile(name="film.mkv", sha256="ab" * 32, size=123)


class House:
    """A home, its catalog and its target, with versions of one title, the first a hundred days old. title: how it is published."""

    def __init__(self, folder: Path, encoded: Encoded, title: dict[str, Any] | None = None, **changes: Any) -> None:
        self.settings: Settings = quick(folder, 90, **changes)
        self.keys = KeyStore(self.settings.keys)
        load_master_key(self.settings.keys)
        with mock.patch("vidpipe.protect.key_store.secrets.token_bytes", return_value=KEY.key):
            self.keys.create(TITLE, KEY.key_id)
        with closing(self.open()) as storage:
            self.inventory = publish_title(encoded, storage, **(title or {}))
        self.record = self.publish(FIRST, age=100)

    def open(self) -> Storage:
        return open_storage(self.settings.target)

    def catalog(self) -> Catalog:
        return Catalog(self.settings.catalog_url)

    def publish(self, version: str, *, age: float, inventory: Inventory | None = None) -> Record:
        """Publish a version with the media of the first one. age: days since."""
        made = (inventory or self.inventory).model_copy(update={"version": version})
        prefix = f"{TITLE}/{version}"
        with closing(self.open()) as storage:
            for path, entry in self.inventory.entries.items() if version != FIRST else ():
                assert storage.copy(f"{PREFIX}/{path}", f"{prefix}/{path}", size=entry.size)
            words: dict[str, Any] = {"title": "Film", "metadata": {"season": "1"}}
            record = record_of(made, SOURCE, **words, location=lambda path: storage.location(f"{prefix}/{path}"))
            record = record.model_copy(update={"created_at": datetime.now(UTC).replace(microsecond=0) - timedelta(days=age)})
            seal(storage, prefix, record, made, work=self.settings.work, reporter=Silent(), cancel=Event())
        with self.catalog() as catalog:
            catalog.publish(record, "media-words")
            with closing(self.open()) as storage:
                flip(storage, catalog, TITLE)
        return record

    @property
    def states(self) -> dict[str, str]:
        """The status of each version, newest first."""
        with self.catalog() as catalog:
            return {record.version: record.status for record in catalog.versions(TITLE)}

    @property
    def live(self) -> Record | None:
        with self.catalog() as catalog:
            found = catalog.live(TITLE)
        return found[0] if found else None

    def objects(self) -> dict[str, set[str]]:
        """The paths of all objects of each version at the target. (The address of the title is none of a version.)"""
        found: dict[str, set[str]] = {}
        with closing(self.open()) as storage:
            for stored in storage.list(TITLE):
                if stored.path != layout.address(TITLE):
                    _, version, path = stored.path.split("/", 2)
                    found.setdefault(version, set()).add(path)
        return found

    @property
    def shown(self) -> str | None:
        """The version that the address of the title plays, if it is there."""
        with closing(self.open()) as storage:
            if storage.head(layout.address(TITLE)) is None:
                return None
            text = storage.get(layout.address(TITLE)).decode()
        (version,) = set(re.findall(r"\d{8}T\d{6}Z-\w{6}", text))
        return version

    def note(self, **fields: Any) -> JobNote:
        """Leave the note of an unfinished ingest."""
        with self.catalog() as catalog, claim(self.settings.work, TITLE) as held:
            known = {"fingerprint": "f", "version": "unfinished", "target": self.settings.target, "catalog": catalog.where}
            note = JobNote(content_id=TITLE, **{**known, **fields})
            held.save(note)
        return note

    def file(self, version: str, path: str) -> Path:
        """A file at a target that is a folder."""
        return Path(self.settings.target) / TITLE / version / path
