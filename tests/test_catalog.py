"""The catalog on SQLite and on a real PostgreSQL: the same table of behaviours."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests import servers
from tests.fault_proxy import Wire, breaking
from vidpipe.catalog import database, store
from vidpipe.catalog.record import (
    AudioRecord,
    Cache,
    Encryption,
    Playback,
    Record,
    RenditionRecord,
    SourceFile,
    SubtitleRecord,
    Thumbnails,
    json_schema,
)
from vidpipe.catalog.states import withdraw
from vidpipe.catalog.store import Catalog
from vidpipe.errors import CatalogFailed, UsageError
from vidpipe.settings import Settings

BASE = "s3://titles/p/t/v"


def record(content_id: str = "t", version: str = "v1", **changes: Any) -> Record:
    fields: dict[str, Any] = {
        "content_id": content_id,
        "version": version,
        "title": "Ein Film – ½",
        "created_at": datetime(2026, 11, 20, 22, 15, 0, 999, tzinfo=UTC),
        "duration": 10.01000049,
        "source": SourceFile(name="film.mp4", sha256="ab" * 32, size=123),
        "playback": Playback(hls=f"{BASE}/master.m3u8"),
        "renditions": (
            RenditionRecord(
                id="720p",
                type="video",
                codecs="avc1.64001f",
                width=1280,
                height=720,
                frame_rate=30000 / 1001,
                bandwidth=2_600_000,
                average_bandwidth=2_500_000,
                url=f"{BASE}/video-720p.m3u8",
                segments=2,
            ),
            RenditionRecord(
                id="en",
                type="audio",
                codecs="mp4a.40.2",
                bandwidth=130_000,
                average_bandwidth=128_000,
                url=f"{BASE}/audio-en.m3u8",
                segments=2,
            ),
        ),
        "audio": (AudioRecord(id="en", name="English", language="en", channels=2, default=True),),
        "subtitles": (
            SubtitleRecord(id="de", name="Deutsch", language="de", default=False, forced=False, url=f"{BASE}/subtitles-de.m3u8"),
        ),
        "thumbnails": Thumbnails(poster=f"{BASE}/thumbnails/poster.jpg", track=f"{BASE}/thumbnails/thumbnails.vtt"),
        "encryption": Encryption(method="aes-128", key_ids=("0" * 32,)),
        "cache": Cache(video=604_800, thumbnails=2_592_000, metadata=3_600),
        "metadata": {"season": "1"},
    }
    return Record(**{**fields, **changes})


# -- the record --------------------------------------------------------------------------------------------------------------------------


def test_a_record_has_exactly_the_agreed_fields() -> None:
    written = json.loads(record().model_dump_json())
    assert list(written) == [
        "schema",
        "content_id",
        "version",
        "status",
        "status_since",
        "title",
        "created_at",
        "duration",
        "source",
        "playback",
        "renditions",
        "audio",
        "subtitles",
        "left_out",
        "thumbnails",
        "encryption",
        "cache",
        "metadata",
    ]
    assert written["schema"] == "vidpipe.catalog/1"
    assert written["status"] == "live"
    assert written["created_at"] == "2026-11-20T22:15:00Z"
    assert written["duration"] == 10.01
    assert set(written["source"]) == {"name", "sha256", "size", "languages"}
    assert set(written["playback"]) == {"hls", "url", "title_url", "dash", "dash_url", "dash_title_url"}
    assert " ".join(written["renditions"][0]) == "id type codecs width height frame_rate bandwidth average_bandwidth url segments"
    assert written["renditions"][0]["frame_rate"] == 29.97003
    assert written["renditions"][1]["width"] is None
    assert set(written["thumbnails"]) == {"poster", "track"}
    assert set(written["encryption"]) == {"method", "key_ids"}
    assert written["cache"] == {"video": 604_800, "thumbnails": 2_592_000, "metadata": 3_600}


def test_a_record_reads_back() -> None:
    assert Record.model_validate_json(record().model_dump_json()) == record()


def test_times_are_whole_seconds_of_utc_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    berlin = datetime(2026, 11, 20, 23, 15, 0, 999, tzinfo=timezone(timedelta(hours=1)))
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        made = record(created_at=berlin)
    time.tzset()
    assert made.created_at == datetime(2026, 11, 20, 22, 15, tzinfo=UTC)
    assert json.loads(made.model_dump_json())["created_at"] == "2026-11-20T22:15:00Z"


def test_a_record_from_before_a_field_was_added_is_still_read() -> None:
    written = json.loads(record().model_dump_json())
    del written["subtitles"][0]["hearing_impaired"]
    (track,) = Record.model_validate_json(json.dumps(written)).subtitles
    assert track.hearing_impaired is False


def test_the_schema_describes_what_is_written() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    written = json.loads(record().model_dump_json())
    jsonschema.validate(written, schema)
    assert sorted(schema["required"]) == sorted(written)
    for broken in ({**written, "schema": "vidpipe.catalog/2"}, {**written, "status": "gone"}, {**written, "renditions": []}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema)


def test_every_field_is_described() -> None:
    schema = json_schema()
    parts = [schema, *schema["$defs"].values()]
    bare = [
        (part.get("title"), name)
        for part in parts
        for name, field in part["properties"].items()
        if not {"description", "$ref"} & set(field)
    ]
    assert bare == []
    assert all(part.get("description") for part in parts)


@pytest.mark.parametrize(
    "change",
    [{"duration": float("nan")}, {"duration": 0}, {"created_at": datetime(2026, 1, 1)}, {"renditions": ()}, {"extra": 1}],
    ids=["nan", "no-duration", "no-zone", "no-rendition", "unknown"],
)
def test_a_record_that_breaks_the_contract_is_not_made(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        record(**change)


# -- the store ---------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postgres() -> Iterator[str | servers.Unavailable]:
    try:
        with servers.postgresql() as url:
            yield url
    except servers.Unavailable as reason:
        yield reason


def test_a_catalog_that_may_not_be_written_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/a #%home/catalog.db"
    with Catalog(url) as catalog:
        catalog.publish(record(), "f")
    home = tmp_path / "a #%home"
    before = (home / "catalog.db").read_bytes()
    home.chmod(0o555)
    monkeypatch.setattr("os.access", lambda path, mode: (path, mode) != (home, os.W_OK))  # root may write everywhere
    try:
        with Catalog(url) as catalog:
            assert [found.content_id for found in catalog.list()] == ["t"]
            assert catalog.live("t") is not None
            assert [path.name for path in home.iterdir()] == ["catalog.db"]
            with pytest.raises(CatalogFailed, match="readonly") as refused:
                catalog.publish(record("u"), "f")
            assert "write access" in str(refused.value.fix)
    finally:
        home.chmod(0o755)
    assert (home / "catalog.db").read_bytes() == before


def test_what_others_are_writing_is_read_without_the_right_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "catalog.db"
    with Catalog(path) as catalog:
        catalog.publish(record(), "f")
        other = sqlite3.connect(path)
        other.execute("SELECT * FROM vidpipe_catalog").fetchall()
        catalog.publish(record("u"), "f")  # lies in the log as long as the other one is connected
        monkeypatch.setattr("os.access", lambda path, mode: (path, mode) != (tmp_path, os.W_OK))
        assert [found.content_id for found in catalog.list()] == ["t", "u"]
        other.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="asks the kernel")
def test_nothing_is_held_open_between_two_calls(tmp_path: Path) -> None:
    with Catalog(tmp_path / "catalog.db") as catalog:
        catalog.publish(record(), "f")
        assert catalog.list() == (record(),)
        held = [handle.readlink() for handle in Path("/proc/self/fd").iterdir() if handle.exists()]
        assert not [name for name in held if tmp_path in name.parents]


def test_a_catalog_says_where_it_lies(tmp_path: Path) -> None:
    assert Catalog(tmp_path / "catalog.db").where == str(tmp_path / "catalog.db")
    assert Catalog("postgresql://u:secret@h/d?sslmode=require").where == "postgresql+psycopg://u:***@h/d"


def test_readers_and_a_writer_do_not_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Because of the write-ahead log. Writers wait for half a minute."""
    with Catalog(tmp_path / "catalog.db") as catalog:
        assert catalog.list() == ()
        with catalog._engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000
    for module in (store, database):
        monkeypatch.setattr(module, "WAIT", 0.2)
    writer = sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    try:
        with Catalog(tmp_path / "catalog.db") as catalog:  # of a command that begins meanwhile
            assert catalog.list() == ()
    finally:
        writer.close()


def test_readers_are_served_while_others_keep_the_log_from_being_switched_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (store, database):
        monkeypatch.setattr(module, "WAIT", 0.2)
    path = tmp_path / "catalog.db"
    with Catalog(path) as catalog:
        catalog.publish(record(), "f")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA journal_mode=DELETE").fetchone()
    other.execute("BEGIN")
    other.execute("SELECT * FROM vidpipe_catalog").fetchall()
    try:
        with Catalog(path) as catalog:
            assert catalog.list() == (record(),)
    finally:
        other.close()
    with Catalog(path) as catalog, catalog._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_the_tables_are_looked_for_once(tmp_path: Path) -> None:
    with Catalog(tmp_path / "catalog.db") as catalog:
        assert catalog.list() == ()
        opened: list[object] = []
        sa.event.listen(catalog._engine, "connect", lambda connection, _: opened.append(connection))
        catalog.publish(record(), "f")
        assert catalog.list() == (record(),)
        assert len(opened) == 2


def test_a_url_of_sqlite_itself_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Catalog(f"sqlite:///file:{tmp_path}/catalog.db?mode=rwc&uri=true") as catalog:
        catalog.publish(record(), "f")
        assert catalog.list() == (record(),)
    assert [path.name for path in tmp_path.iterdir()] == ["catalog.db"]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/new/home/catalog.db"
        return
    server = request.getfixturevalue("postgres")
    if isinstance(server, servers.Unavailable):
        pytest.skip(str(server))
    name = f"t{secrets.token_hex(6)}"  # a database for each test
    engine = sa.create_engine(sa.make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)


def test_a_server_that_falls_silent_is_given_up(postgres: str | servers.Unavailable) -> None:
    """After half a minute, and not after the hours that TCP would wait."""
    if isinstance(postgres, servers.Unavailable):
        pytest.skip(str(postgres))
    with Catalog(postgres) as catalog, catalog._engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        given = driver.info.get_parameters()
    wanted = {"connect_timeout": "30", "tcp_user_timeout": "30000", "keepalives_idle": "10", "keepalives_interval": "5"}
    assert wanted.items() <= given.items()


@pytest.fixture
def catalog(url: str) -> Iterator[Catalog]:
    with Catalog(url) as opened:
        yield opened


def status(catalog: Catalog, content_id: str = "t") -> list[tuple[str, str]]:
    return [(found.version, found.status) for found in catalog.versions(content_id)]


def test_an_empty_catalog(catalog: Catalog) -> None:
    assert catalog.live("t") is None
    assert catalog.list() == ()
    assert catalog.versions("t") == ()


def test_a_published_record_is_live(catalog: Catalog, url: str) -> None:
    catalog.publish(record(), "print")
    with Catalog(url) as again:
        assert again.live("t") == (record(), "print")
        assert again.list() == (record(),)


def test_a_new_version_supersedes_the_old(catalog: Catalog) -> None:
    catalog.publish(record(version="v1"), "1")
    catalog.publish(record(version="v2", created_at=datetime(2026, 11, 21, tzinfo=UTC)), "2")
    catalog.publish(record("s", "v3", status="superseded"), "3")
    assert status(catalog) == [("v2", "live"), ("v1", "superseded")]
    assert [(found.content_id, found.version, found.status) for found in catalog.list()] == [("s", "v3", "live"), ("t", "v2", "live")]
    assert catalog.live("t") == (record(version="v2", created_at=datetime(2026, 11, 21, tzinfo=UTC)), "2")


def test_a_version_that_is_not_live_keeps_its_status(catalog: Catalog) -> None:
    catalog.publish(record(version="v1"), "1")
    with catalog._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE vidpipe_versions SET status = 'other'")
    catalog.publish(record(version="v2", created_at=datetime(2026, 11, 21, tzinfo=UTC)), "2")
    assert status(catalog) == [("v2", "live"), ("v1", "other")]


def test_versions_are_shown_newest_first(catalog: Catalog) -> None:
    for day, version in ((20, "b"), (22, "a"), (21, "c"), (21, "d")):
        catalog.publish(record(version=version, created_at=datetime(2026, 11, day, tzinfo=UTC)), "f")
    assert [found.version for found in catalog.versions("t")] == ["a", "d", "c", "b"]


def test_the_same_version_again_changes_nothing(catalog: Catalog) -> None:
    catalog.publish(record(version="v1"), "1")
    catalog.publish(record(version="v1"), "1")
    catalog.publish(record(version="v2", created_at=datetime(2026, 11, 21, tzinfo=UTC)), "2")
    catalog.publish(record(version="v1"), "1")
    assert status(catalog) == [("v2", "live"), ("v1", "superseded")]


def test_a_version_never_changes(catalog: Catalog) -> None:
    catalog.publish(record(), "1")
    for other, fingerprint in ((record(title="other"), "1"), (record(), "2")):
        with pytest.raises(CatalogFailed, match="already in the catalog with another record") as failure:
            catalog.publish(other, fingerprint)
        assert failure.value.where == catalog.where
    assert catalog.live("t") == (record(), "1")


@pytest.fixture
def wire(postgres: str | servers.Unavailable) -> Iterator[tuple[str, Wire]]:
    """A catalog's URL that leads through a wire which can break, and the wire."""
    if isinstance(postgres, servers.Unavailable):
        pytest.skip(str(postgres))
    url = sa.make_url(postgres)
    with breaking(f"{url.query['host']}/.s.PGSQL.5432") as between:
        reached = url.set(host="127.0.0.1", port=between.port, query={})
        yield reached.render_as_string(hide_password=False), between


@pytest.mark.parametrize("falls", [["answer"], ["question"], ["answer", "answer"], ["question", "answer"]], ids="-".join)
def test_a_connection_that_is_lost_at_the_commit_decides_nothing(
    falls: list[str], wire: tuple[str, Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PAUSE", 0.1)
    url, between = wire
    content_id = f"lost-{'-'.join(falls)}"
    with Catalog(url) as catalog:
        catalog.publish(record(content_id), "f1")
        between.armed = list(falls)
        catalog.publish(record(content_id, "v2"), "f2")
        assert (between.armed, between.befell) == ([], falls)
        assert status(catalog, content_id) == [("v2", "live"), ("v1", "superseded")]


def test_a_commit_of_which_nothing_is_known_is_reported_so(wire: tuple[str, Wire], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PAUSE", 0.05)
    url, between = wire
    with Catalog(url) as catalog:
        catalog.publish(record("unknown"), "f")
        monkeypatch.setattr(store, "WAIT", 1)  # only now: a busy machine may take longer to connect
        between.armed = ["answer"] * 1000
        with pytest.raises(CatalogFailed, match="v2 of unknown was made live, and it is not known whether that took place") as failure:
            catalog.publish(record("unknown", "v2"), "f")
        assert "run the same command again" in str(failure.value.fix)
        assert failure.value.where == catalog.where
        assert "the catalog failed" in failure.value.details[0]
        with pytest.raises(CatalogFailed, match="the versions of unknown were changed, and it is not known whether that took place"):
            catalog.change("unknown", withdraw)
        between.armed = []
        catalog.publish(record("unknown", "v2"), "f")


def test_text_stays_text(catalog: Catalog) -> None:
    odd = record(content_id="a'b;--%s", title='"; DROP TABLE x; -- 🎬', metadata={"ключ": "值\n"})
    catalog.publish(odd, "f'")
    assert catalog.live("a'b;--%s") == (odd, "f'")


@pytest.mark.parametrize("share", ["one-catalog", "a-catalog-each"])
def test_writers_of_one_title_wait_for_each_other(share: str, url: str) -> None:
    count, together = 12, threading.Barrier(12)
    shared = Catalog(url)

    def write(number: int) -> None:
        together.wait(20)
        catalog = shared if share == "one-catalog" else Catalog(url)
        catalog.publish(record(version=f"v{number:02d}"), str(number))
        assert catalog.live("t") is not None
        catalog.close()

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(write, range(count)))
    found = [state for _, state in status(shared)]
    assert (found.count("live"), found.count("superseded")) == (1, count - 1)


PROGRAM = """
import sys
from vidpipe.catalog.record import Record
from vidpipe.catalog.store import Catalog
record = Record.model_validate_json(sys.stdin.readline())
with Catalog(sys.argv[1]) as catalog:
    for number in range(5):
        catalog.publish(record.model_copy(update={"version": f"{sys.argv[2]}-{number}"}), "f")
"""


def test_processes_share_a_catalog(url: str) -> None:
    """They also create the tables at the same time."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM, url]
    processes = [subprocess.Popen([*command, str(n)], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for n in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(record().model_dump_json() + "\n")
        process.stdin.flush()
    assert [process.communicate(timeout=120)[1] for process in processes] == [""] * 3
    with Catalog(url) as catalog:
        found = [state for _, state in status(catalog)]
    assert (found.count("live"), len(found)) == (1, 15)


def test_a_failure_inside_the_transaction_leaves_the_old_version_live(catalog: Catalog, url: str) -> None:
    catalog.publish(record(version="v1"), "1")
    with pytest.raises(CatalogFailed):
        catalog.publish(record(version="v2"), None)  # type: ignore[arg-type] # refused by the table, after the old version was superseded
    assert status(catalog) == [("v1", "live")]


def test_the_database_itself_refuses_a_second_live_version(catalog: Catalog) -> None:
    catalog.publish(record(version="v1"), "1")
    twin = "INSERT INTO vidpipe_versions SELECT content_id, '{0}', '{1}', created_at, fingerprint, record FROM vidpipe_versions LIMIT 1"
    with catalog._engine.begin() as connection:
        connection.exec_driver_sql(twin.format("v2", "superseded"))
    with pytest.raises(sa.exc.IntegrityError), catalog._engine.begin() as connection:
        connection.exec_driver_sql(twin.format("v3", "live"))


def test_a_record_is_jsonb_in_postgresql(catalog: Catalog, url: str) -> None:
    catalog.publish(record(), "1")
    columns = {column["name"]: str(column["type"]) for column in sa.inspect(catalog._engine).get_columns("vidpipe_versions")}
    assert columns["record"] == ("JSON" if url.startswith("sqlite") else "JSONB")


def test_tables_of_a_newer_vidpipe_are_left_alone(catalog: Catalog, url: str) -> None:
    catalog.publish(record(), "1")
    with catalog._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE vidpipe_catalog SET value = '99'")
    with Catalog(url) as later, pytest.raises(CatalogFailed, match="version 99") as failure:
        later.live("t")
    assert failure.value.fix
    assert failure.value.where == later.where


@pytest.mark.parametrize("change", ["UPDATE vidpipe_catalog SET value = 'x'", "DELETE FROM vidpipe_catalog"])
def test_tables_without_a_version_are_left_alone(change: str, tmp_path: Path) -> None:
    with Catalog(tmp_path / "catalog.db") as catalog:
        catalog.publish(record(), "1")
        with catalog._engine.begin() as connection:
            connection.exec_driver_sql(change)
    with Catalog(tmp_path / "catalog.db") as later, pytest.raises(CatalogFailed, match="tables of version 0, this vidpipe knows version 2"):
        later.list()


def test_a_record_that_was_altered_by_hand_is_named(catalog: Catalog) -> None:
    catalog.publish(record(), "1")
    with catalog._engine.begin() as connection:
        connection.exec_driver_sql("""UPDATE vidpipe_versions SET record = '{"schema": "vidpipe.catalog/1"}'""")
    with pytest.raises(CatalogFailed, match="record of t v1") as failure:
        catalog.list()
    assert "content_id: Field required" in failure.value.details
    assert len(failure.value.details) == 5, "the first few"
    assert failure.value.where == catalog.where
    with catalog._engine.begin() as connection:
        written = record().model_dump_json().replace("ab" * 32, "no hash")
        connection.execute(sa.text("UPDATE vidpipe_versions SET record = :record"), {"record": written})
    with pytest.raises(CatalogFailed, match="record of t v1") as failure:
        catalog.list()
    assert [detail.split(":")[0] for detail in failure.value.details] == ["source.sha256"]


@pytest.mark.parametrize("damage", ["'no JSON'", "''", "X'ff'", "5", "'5'", "'null'"])
def test_a_row_that_is_no_json_is_named_and_blocks_no_other_title(damage: str, tmp_path: Path) -> None:
    with Catalog(tmp_path / "catalog.db") as catalog:
        catalog.publish(record(), "1")
        catalog.publish(record("u"), "1")
        with catalog._engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE vidpipe_versions SET record = {damage} WHERE content_id = 't'")
        for look in (catalog.list, lambda: catalog.live("t"), lambda: catalog.versions("t"), lambda: catalog.publish(record(), "1")):
            with pytest.raises(CatalogFailed, match="record of t v1 is not a valid"):
                look()
        assert catalog.live("u") is not None


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=60).filter(lambda name: name.strip(".")))
@example("p%41c")
@example("q?x=1")
@example("a#b")
@example("file:x?mode=memory")
@example(":memory:")
@example(" two  words ")
def test_a_catalog_lies_in_its_home_whatever_its_name(tmp_path: Path, name: str) -> None:
    top = tmp_path / secrets.token_hex(4)
    home = Settings(home=top / name).home
    with Catalog(Settings(home=home).catalog_url) as catalog:
        catalog.publish(record(), "f")
        assert str(home) in catalog.where
    assert [path.relative_to(top) for path in top.rglob("catalog.db")] == [Path(name) / "catalog.db"]
    assert [path.name for path in top.iterdir()] == [name]


# -- what cannot work --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("no url TOPSECRET", "is not valid"),
        ("mysql://u:TOPSECRET@h/d", "mysql is not supported"),
        ("sqlite://", "memory"),
        ("sqlite:///", "memory"),
        ("sqlite:///:memory:", "memory"),
        ("sqlite:////tmp/x%00.db", "NUL"),
        ("postgresql+nodriver://u:TOPSECRET@h/d", "not installed"),
        ("postgresql://u:TOPSECRET@h:port/d", "is not valid"),
        ("postgresql://u:p@TOPSECRET@h/d", "more than one @"),
        ("postgresql://u:p@TOPSECRET/w@h/d", "more than one @"),
        ("postgresql://u:p?@TOPSECRET#@h/d", "more than one @"),
    ],
    ids=["nonsense", "mysql", "memory", "no-file", "memory-name", "nul", "driver", "port", "at", "at-slash", "at-question-mark"],
)
def test_a_wrong_url_is_refused(url: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as failure:
        Catalog(url)
    assert failure.value.fix
    assert "TOPSECRET" not in " ".join(failure.value.lines())


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:TOPSECRET@127.0.0.1:9/d",
        "postgres://u:TOPSECRET@127.0.0.1:9/d",
        "postgresql://127.0.0.1:9/d?user=u&password=TOPSECRET",
    ],
)
def test_a_server_that_is_not_there(url: str) -> None:
    with Catalog(url) as catalog, pytest.raises(CatalogFailed, match="the catalog failed") as failure:
        catalog.list()
    assert "server runs" in str(failure.value.fix)
    assert "TOPSECRET" not in " ".join(failure.value.lines())


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"this is a text file, long enough to be read as a header of a database" * 20)
    with Catalog(f"sqlite:///{tmp_path}/catalog.db") as catalog, pytest.raises(CatalogFailed, match="not a database") as failure:
        catalog.list()
    assert "backup" in str(failure.value.fix)


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with Catalog(f"sqlite:///{tmp_path}/file/catalog.db") as catalog, pytest.raises(CatalogFailed, match="cannot be opened") as failure:
        catalog.list()
    assert failure.value.where == catalog.where
    assert failure.value.fix


def test_a_catalog_that_stays_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidpipe.catalog.database.WAIT", 0.2)
    monkeypatch.setattr("vidpipe.catalog.store.WAIT", 0.2)
    monkeypatch.setattr("vidpipe.catalog.store.PAUSE", -1)  # which fails: no second attempt is made
    with Catalog(f"sqlite:///{tmp_path}/catalog.db") as catalog:
        catalog.publish(record(version="v1"), "1")
        other = sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            assert catalog.live("t") is not None  # readers do not wait
            with pytest.raises(CatalogFailed, match="locked") as failure:
                catalog.publish(record(version="v2"), "2")
        finally:
            other.close()
        assert "another process" in str(failure.value.fix)
        assert failure.value.what == "the catalog failed: database is locked", "its own words, without the statement"


def test_a_path_may_hold_an_at_sign(tmp_path: Path) -> None:
    folder = tmp_path / "me@home@work"
    folder.mkdir()
    with Catalog(f"sqlite:///{folder}/catalog.db") as catalog:
        assert catalog.list() == ()


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("database is Locked", "another process"),
        ("attempt to write a readonly database", "write access"),
        ("cannot execute UPDATE in a read-only transaction", "write access"),
        ("unable to open database file", "write access"),
        ("permission denied for table vidpipe_versions", "write access"),
        ("file is not a database", "backup"),
        ("database disk image is malformed", "backup"),
        ("database or disk is full", "free some space"),
        ("could not extend file: No space left on device", "free some space"),
        ("disk I/O error", "check the catalog file"),
        ("canceling statement due to lock timeout", "another process is using the catalog"),
        ("must be owner of table vidpipe_versions", "user who made them"),
        ("no such module: fts5", "FTS5"),
    ],
)
def test_what_a_database_says_is_explained(said: str, advice: str, tmp_path: Path) -> None:
    def refuse(connection: sa.Connection) -> None:
        raise sqlite3.OperationalError(f"{said}\nin a second line")

    with Catalog(tmp_path / "catalog.db") as catalog:
        sa.event.listen(catalog._engine, "begin", refuse)
        with pytest.raises(CatalogFailed) as failure:
            catalog.list()
    assert failure.value.what == f"the catalog failed: {said}"
    assert advice in str(failure.value.fix)
    assert failure.value.where == str(tmp_path / "catalog.db")


def test_what_a_database_says_is_one_short_printable_line(tmp_path: Path) -> None:
    for problem, shown in (
        (sqlite3.OperationalError("\x1b[31mred\t\tand   wide"), "[31mred and wide"),
        (sqlite3.OperationalError(), "OperationalError"),
        (sqlite3.OperationalError("long " * 100), ("long " * 100)[:300]),
    ):

        def refuse(connection: sa.Connection, problem: Exception = problem) -> None:
            raise problem

        with Catalog(tmp_path / "catalog.db") as catalog:
            sa.event.listen(catalog._engine, "begin", refuse)
            with pytest.raises(CatalogFailed) as failure:
                catalog.list()
        assert failure.value.what == f"the catalog failed: {shown}"
