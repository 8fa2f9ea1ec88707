"""Titles that earlier versions of vidpipe published stay readable. They were recorded: ``tests/recorded`` holds what 0.1.0, and 0.2.0.dev
before the inventory named tracks, made of ``fixtures/one-second.mp4``.
"""

from __future__ import annotations

import http.client
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.ingest_support import FIXTURES, joined, key_of, live, run, settings, tree
from tests.playback import barcodes
from vidpipe.errors import UsageError
from vidpipe.inspect.inspection import inspect
from vidpipe.inventory import Inventory, Objects, read_inventory
from vidpipe.lifecycle.repair import RepairRequest, repair
from vidpipe.preview import live_record, playing
from vidpipe.settings import Settings

RECORDED = Path(__file__).parent / "recorded"
CLIP = FIXTURES / "one-second.mp4"


@pytest.fixture(params=["0.1.0", "0.2.0.dev"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """A home with one title, as that version left it."""
    folder = tmp_path / "home"
    shutil.copytree(RECORDED / request.param / "library", folder / "library")
    shutil.copytree(RECORDED / request.param / "keys", folder / "keys")
    for file in (folder / "keys").iterdir():
        file.chmod(0o600)
    for record in folder.rglob("record.json"):
        record.write_text(record.read_text().replace("/library", str(folder / "library")))
    with sqlite3.connect(folder / "catalog.db") as catalog:
        catalog.executescript((RECORDED / request.param / "catalog.sql").read_text().replace("/library", str(folder / "library")))
    catalog.close()
    return settings(tmp_path, 90)


def version_of(home: Settings) -> Path:
    return Path(live_record(home, "film").playback.hls).parent


def test_it_is_shown_inspected_and_previewed(home: Settings) -> None:
    record = live_record(home, "film")
    assert (record.title, record.duration, len(record.renditions)) == ("A Film", 1.0, 2)
    found = inspect(record.playback.hls)
    assert found.problems == ()
    assert (found.inventory is not None) == (version_of(home) / "inventory.json").exists()
    with playing("film", home) as server:
        assert len(server.locks) == 2
        with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
            connection.request("GET", f"/clear/{server.prefix}/video/90p/00001.m4s")
            assert connection.getresponse().read()[4:8] in (b"styp", b"moof")
    segments = barcodes.join(version_of(home), "video-90p.m3u8", key_of(home), home.home / "film.mp4")
    assert barcodes.read_barcodes(segments) == list(range(30))


def test_a_new_version_keeps_its_key_and_leaves_it_as_it_was(home: Settings) -> None:
    old = version_of(home)
    before, record = tree(old), live_record(home, "film")
    result = run(CLIP, home, content_id="film")
    assert result.record.title == "A Film", "what is not named is kept"
    assert result.record.encryption.key_ids == record.encryption.key_ids
    assert live(home, "film") == result.record
    assert tree(old) == before
    inventory = read_inventory((Path(result.manifest).parent / "inventory.json").read_bytes())
    assert isinstance(inventory, Inventory)
    assert barcodes.read_barcodes(joined(result, home, "video-90p.m3u8", home.home)) == list(range(30))
    assert run(CLIP, home, content_id="film").unchanged


def test_it_is_replaced_by_another_source_under_another_key(home: Settings) -> None:
    record = live_record(home, "film")
    with pytest.raises(UsageError, match="another source"):
        run(FIXTURES / "portrait-25.mp4", home, content_id="film")
    result = run(FIXTURES / "portrait-25.mp4", home, content_id="film", replace=True)
    assert set(result.record.encryption.key_ids).isdisjoint(record.encryption.key_ids)
    assert barcodes.read_barcodes(joined(result, home, "video-90p.m3u8", home.home)) == list(range(75))


def test_objects_alone_are_read_and_anything_else_is_refused() -> None:
    (file,) = (RECORDED / "0.2.0.dev").rglob("inventory.json")
    objects = read_inventory(file.read_bytes())
    assert type(objects) is Objects
    assert "video/90p/00001.m4s" in objects.entries
    for data in (b"{", b"{}", b'{"schema": "vidpipe.inventory/2", "objects": {}}', b"[]"):
        with pytest.raises(ValueError, match=r"validation error"):
            read_inventory(data)


def test_nothing_is_missed_that_no_vidpipe_of_its_time_made(home: Settings) -> None:
    """An inventory that a title never had is not lost; the address, which it gets, was not recorded with it."""
    assert [item.deed for item in repair(RepairRequest(), home).found] == ["address"]
    assert repair(RepairRequest(), home).found == ()
