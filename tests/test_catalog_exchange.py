"""Export a catalog and import it into another one, of the same or the other database."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests import test_catalog
from tests.test_catalog import record
from vidpipe.catalog import exchange, index, search
from vidpipe.catalog.exchange import Imported, exported, import_lines
from vidpipe.catalog.merge import Exported
from vidpipe.catalog.search import Query
from vidpipe.catalog.store import Catalog
from vidpipe.errors import CatalogFailed, UsageError, VidpipeError

postgres, url, catalog = test_catalog.postgres, test_catalog.url, test_catalog.catalog
EVERYTHING = Query(states=())


@pytest.fixture
def source(tmp_path: Path) -> list[str]:
    """The lines of a catalog with three titles, one of which has two versions."""
    with Catalog(tmp_path / "source.db") as opened:
        opened.publish(record("a", "v1"), "a1")
        opened.publish(record("a", "v2", title="Zweite Fassung – 東京", created_at=datetime(2026, 11, 21, tzinfo=UTC)), "a2")
        opened.publish(record("b", "v1", metadata={"genre": "drama"}), "b1")
        opened.publish(record("c", "v1"), "c1")
        return list(exported(opened, EVERYTHING))


def read(catalog: Catalog, lines: list[str], **options: Any) -> Imported:
    """Import lines."""
    return import_lines(catalog, io.BytesIO("\n".join(lines).encode()), name="file", **options)


def changed(line: str, **record: Any) -> str:
    """Return a line whose record has other values."""
    held = json.loads(line)
    return json.dumps({**held, "record": {**held["record"], **record}})


def test_a_line_holds_a_version_whole(source: list[str]) -> None:
    assert [(each["fingerprint"], each["record"]["content_id"], each["record"]["version"], each["record"]["status"])
            for each in map(json.loads, source)] == [
        ("a1", "a", "v1", "superseded"), ("a2", "a", "v2", "live"), ("b1", "b", "v1", "live"), ("c1", "c", "v1", "live"),
    ]  # fmt: skip
    assert all(line.isascii() and "\n" not in line for line in source)


def test_filters_choose_what_is_exported(tmp_path: Path, source: list[str]) -> None:
    with Catalog(tmp_path / "source.db") as opened:
        assert list(exported(opened, Query(metadata={"genre": "drama"}))) == [source[2]]
        assert list(exported(opened, Query(states=("superseded",)))) == [source[0]]


def test_an_import_makes_the_same_catalog(catalog: Catalog, source: list[str]) -> None:
    assert read(catalog, source, dry_run=True) == Imported(added=4, unchanged=0)
    assert list(exported(catalog, EVERYTHING)) == []
    assert read(catalog, [source[0], "", *source[1:], ""]) == Imported(added=4, unchanged=0)
    assert list(exported(catalog, EVERYTHING)) == source
    assert catalog.live("a") == (record("a", "v2", title="Zweite Fassung – 東京", created_at=datetime(2026, 11, 21, tzinfo=UTC)), "a2")
    assert [each.content_id for each in catalog.search(Query(text="東京"), 9).records] == ["a"]


def test_the_same_import_again_changes_nothing(catalog: Catalog, source: list[str]) -> None:
    read(catalog, source[:2])
    assert read(catalog, source) == Imported(added=2, unchanged=2)
    assert read(catalog, source) == Imported(added=0, unchanged=4)
    assert list(exported(catalog, EVERYTHING)) == source


CONFLICTS = {
    "another record": (lambda line: changed(line, title="other"), "b v1: the catalog has it with another record"),
    "another fingerprint": (
        lambda line: json.dumps({**json.loads(line), "fingerprint": "x"}),
        "b v1: the catalog has it with another fingerprint",
    ),
    "another state": (lambda line: changed(line, status="superseded"), "b v1: live in the catalog, superseded in the file"),
    "a withdrawn version": (
        lambda line: changed(line, version="v9", status="withdrawn"), "b: v1 is live in the catalog, v9 is withdrawn in the file"
    ),
    "another live version": (lambda line: changed(line, version="v9"), "b: v1 is live in the catalog, v9 is live in the file"),
}


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_what_contradicts_the_catalog_is_refused_before_anything_is_written(conflict: str, catalog: Catalog, source: list[str]) -> None:
    read(catalog, source[2:3])
    other, says = CONFLICTS[conflict][0](source[2]), CONFLICTS[conflict][1]
    for dry_run in (True, False):
        with pytest.raises(CatalogFailed, match="a version of file contradicts the catalog; nothing was imported") as refused:
            read(catalog, [*source[:2], other, source[3]], dry_run=dry_run)
        assert refused.value.details == (says,)
        assert refused.value.where == catalog.where
    assert list(exported(catalog, EVERYTHING)) == source[2:3]


def test_when_a_status_changed_is_no_contradiction(catalog: Catalog, source: list[str]) -> None:
    read(catalog, source)
    again = [changed(line, status_since="2026-01-01T00:00:00Z") for line in source]
    done = read(catalog, again)
    assert (done.added, done.unchanged) == (0, len(source))


@pytest.mark.parametrize(("count", "more"), [(10, []), (12, ["and 2 more"])])
def test_many_conflicts_are_counted(count: int, more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "BATCH", 5)
    with Catalog(tmp_path / "catalog.db") as catalog:
        catalog.add([Exported(fingerprint="f", record=record(f"t{number:02d}")) for number in range(count)])
        lines = [changed(line, title="other") for line in exported(catalog, EVERYTHING)]
        with pytest.raises(CatalogFailed, match=f"{count} versions of file contradict the catalog") as refused:
            read(catalog, lines)
        shown = [f"t{number:02d} v1: the catalog has it with another record" for number in range(exchange.MOST_SHOWN)]
        assert refused.value.details == (*shown, *more)


WRONG = {
    "no JSON": ("{", "the line"),
    "no object": ("[]", "the line"),
    "no record": ('{"fingerprint": "f"}', "record"),
    "a record alone": (None, "fingerprint"),
    "binary": ("\xff", "the line"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_line_that_is_no_version_is_named(what: str, catalog: Catalog, source: list[str]) -> None:
    line, says = WRONG[what]
    lines = [source[0], line if line is not None else json.dumps(json.loads(source[1])["record"]), *source[2:]]
    with pytest.raises(UsageError, match=f"file:2: not an exported version: {says}"):
        import_lines(catalog, io.BytesIO("\n".join(lines).encode("latin-1")), name="file")
    assert list(exported(catalog, EVERYTHING)) == []


def test_a_field_of_a_newer_vidpipe_is_not_dropped(catalog: Catalog, source: list[str]) -> None:
    with pytest.raises(UsageError, match=r"record\.rating") as refused:
        read(catalog, [changed(source[0], rating=12)])
    assert "newer vidpipe" in str(refused.value.fix)


@pytest.mark.parametrize("other", [{}, {"title": "another"}, {"version": "v3", "status": "live"}], ids=["same", "changed", "two-live"])
def test_a_version_that_is_in_the_file_twice_is_refused(other: dict[str, str], catalog: Catalog, source: list[str]) -> None:
    with pytest.raises(UsageError, match=r"file:5: .* is in line 2 already, or is live there in another version"):
        read(catalog, [*source, changed(source[1], **other)])
    assert list(exported(catalog, EVERYTHING)) == []


def test_a_title_is_not_torn_apart_by_the_end_of_a_batch(catalog: Catalog, source: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader would find a title without a live version."""
    monkeypatch.setattr(exchange, "BATCH", 1)
    sizes: list[int] = []
    add = Catalog.add
    monkeypatch.setattr(Catalog, "add", lambda self, given: (sizes.append(len(given)), add(self, given))[1])
    read(catalog, source)
    assert sizes == [2, 1, 1]


KILLED = """
import os, signal, sys
from vidpipe.catalog import exchange
from vidpipe.catalog.store import Catalog
exchange.BATCH = 1
add, left = Catalog.add, [2]
def counted(self, given):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return add(self, given)
Catalog.add = counted
with Catalog(sys.argv[1]) as catalog, open(sys.argv[2], "rb") as file:
    exchange.import_lines(catalog, file, name="file")
"""


def test_an_import_that_was_killed_is_completed_by_the_same_again(url: str, source: list[str], tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_text("\n".join(source))
    done = subprocess.run([sys.executable, "-c", KILLED, url, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with Catalog(url) as catalog:
        assert [each.content_id for each in catalog.list()] == ["a", "b"]
        assert read(catalog, source) == Imported(added=1, unchanged=3)
        assert list(exported(catalog, EVERYTHING)) == source


def test_what_is_published_during_an_import_is_kept(catalog: Catalog, source: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    difference = Catalog.difference

    def compared(self: Catalog, given: Any) -> Any:
        found = difference(self, given)
        self.publish(record("c", "v0", created_at=datetime(2020, 1, 1, tzinfo=UTC)), "meanwhile")
        return found

    monkeypatch.setattr(Catalog, "difference", compared)
    with pytest.raises(VidpipeError, match="changed during the import") as refused:
        read(catalog, source)
    assert refused.value.details == ("c: v0 is live in the catalog, v1 is live in the file",)
    assert refused.value.where == catalog.where
    live = catalog.live("c")
    assert live is not None
    assert live[1] == "meanwhile"


def test_an_import_waits_for_whoever_changes_the_same_title(catalog: Catalog, url: str, source: list[str]) -> None:
    """Both may make it live; the second one has to see what the first has done."""
    catalog.list()
    began, goes_on = threading.Event(), threading.Event()

    def slow(_: object) -> None:
        began.set()
        goes_on.wait(20)

    def imported() -> Imported:
        with Catalog(url) as other:
            return read(other, source)

    with ThreadPoolExecutor(2) as pool:
        writing = pool.submit(catalog.publish, record("b", "v0"), "meanwhile", rule=slow)
        assert began.wait(20)
        reading = pool.submit(imported)
        with pytest.raises(TimeoutError):
            reading.result(1)
        goes_on.set()
        writing.result(20)
        with pytest.raises(CatalogFailed, match="contradict") as refused:
            reading.result(20)
    assert refused.value.details == ("b: v0 is live in the catalog, v1 is live in the file",)


def test_an_export_is_of_one_moment_and_in_small_pieces(catalog: Catalog, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "BATCH", 3)
    for number in range(5):
        catalog.publish(record(f"t{number}"), "f")
    rows: list[int] = []
    whole = search.read
    monkeypatch.setattr(search, "read", lambda *given: (found := whole(*given), rows.append(len(found)))[0])
    lines = exported(catalog, EVERYTHING)
    first = next(lines)
    assert rows == [3], "and no more than that in memory"
    with Catalog(url) as other:
        other.publish(record("t4", "v2"), "f")
        other.publish(record("t9"), "f")
    assert [json.loads(line)["record"]["content_id"] for line in (first, *lines)] == ["t0", "t1", "t2", "t3", "t4"]
