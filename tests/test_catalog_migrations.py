"""A catalog of an older vidpipe becomes one of this vidpipe, on SQLite and PostgreSQL: whole, once, and by itself."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from tests import test_catalog
from tests.test_catalog import record
from vidpipe.catalog import migrations, store
from vidpipe.catalog.search import Query
from vidpipe.catalog.store import Catalog
from vidpipe.errors import CatalogFailed

postgres, url = test_catalog.postgres, test_catalog.url

TABLES_OF_0_1_0 = (
    "CREATE TABLE vidpipe_catalog (name VARCHAR(64) NOT NULL, value VARCHAR(255) NOT NULL, PRIMARY KEY (name))",
    "CREATE TABLE vidpipe_versions (content_id VARCHAR(255) NOT NULL, version VARCHAR(64) NOT NULL, status VARCHAR(16) NOT NULL, "
    "created_at VARCHAR(32) NOT NULL, fingerprint VARCHAR(255) NOT NULL, record JSON NOT NULL, PRIMARY KEY (content_id, version))",
    "CREATE UNIQUE INDEX vidpipe_one_live_version ON vidpipe_versions (content_id) WHERE status = 'live'",
    "INSERT INTO vidpipe_catalog (name, value) VALUES ('schema_version', '1')",
)
"""As vidpipe 0.1.0 made them; in PostgreSQL the record is JSONB."""
LATER = ("left_out",)
"""Fields of records that its first versions did not write."""


def engine(url: str) -> sa.Engine:
    """Open the database without the catalog."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
        return sa.create_engine(parsed)
    return sa.create_engine(parsed.set(drivername="postgresql+psycopg"))


def run(url: str, *statements: str, values: list[dict[str, Any]] | None = None) -> list[Any]:
    """Run statements; return what the last one gives."""
    opened = engine(url)
    rows: list[Any] = []
    with opened.begin() as connection:
        for statement in statements:
            done = connection.execute(sa.text(statement), values or {})
            rows = list(done) if done.returns_rows else []
    opened.dispose()
    return rows


@pytest.fixture
def old(url: str) -> str:
    """The URL of a catalog of 0.1.0 with three titles, one of them in two versions."""
    run(url, *(each.replace("JSON", "JSONB") if url.startswith("postgresql") else each for each in TABLES_OF_0_1_0))
    rows = []
    for content_id, version, status in (("a", "v1", "superseded"), ("a", "v2", "live"), ("b", "v1", "live"), ("c", "v1", "live")):
        made = record(content_id, version, status=status, title=f"Der Film {content_id}", metadata={"genre": "Drama, Kinder"})
        written = {name: value for name, value in made.model_dump(mode="json").items() if name not in LATER}
        rows.append(
            {
                "content_id": content_id,
                "version": version,
                "status": status,
                "created_at": made.created_at.isoformat(),
                "fingerprint": f"print {content_id} {version}",
                "record": json.dumps(written),
            }
        )
    run(url, f"INSERT INTO vidpipe_versions ({', '.join(rows[0])}) VALUES ({', '.join(f':{name}' for name in rows[0])})", values=rows)
    return url


def schema(url: str) -> list[str]:
    """Describe everything that a catalog consists of."""
    if url.startswith("sqlite"):
        found = run(url, "SELECT type, name, sql FROM sqlite_master ORDER BY type, name")
        return ["".join(" ".join(map(str, row)).split()) for row in found]
    names = "WHERE table_name LIKE 'vidpipe%' ORDER BY table_name, ordinal_position"
    columns = "table_name, column_name, data_type, character_maximum_length, is_nullable, collation_name, generation_expression"
    found = run(url, f"SELECT {columns} FROM information_schema.columns {names}")
    found += run(url, "SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'vidpipe%' ORDER BY indexname")
    found += run(url, "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgname")
    found += run(url, "SELECT prosrc FROM pg_proc WHERE proname LIKE 'vidpipe%' ORDER BY proname")
    return [str(row) for row in found]


def version(url: str) -> str:
    """Return the version of the tables."""
    return str(run(url, "SELECT value FROM vidpipe_catalog WHERE name = 'schema_version'")[0][0])


def test_the_last_step_makes_the_version_that_the_store_knows() -> None:
    folder = str(Path(migrations.__file__).parent)
    assert ScriptDirectory(folder, version_locations=[folder]).get_current_head() == str(store.SCHEMA_VERSION)


def test_a_catalog_of_0_1_0_is_upgraded_on_first_use(old: str) -> None:
    with Catalog(old) as catalog:
        assert [(found.content_id, found.version, found.status) for found in catalog.list()] == [
            ("a", "v2", "live"), ("b", "v1", "live"), ("c", "v1", "live"),
        ]  # fmt: skip
        assert version(old) == str(store.SCHEMA_VERSION)
        found = catalog.live("a")
        assert found is not None
        assert found[1] == "print a v2"
        assert found[0].metadata == {"genre": "Drama, Kinder"}
        assert [(each.version, each.status) for each in catalog.versions("a")] == [("v2", "live"), ("v1", "superseded")]
        # What was there is indexed, ...
        assert [each.content_id for each in catalog.search(Query(text="film b"), 9).records] == ["b"]
        assert len(catalog.search(Query(metadata={"genre": "kinder"}, states=()), 9).records) == 4
        # ... and what comes is.
        catalog.publish(record("a", "v3", title="Ganz neu"), "print a v3")
        assert [each.version for each in catalog.search(Query(text="neu"), 9).records] == ["v3"]
        assert [each.version for each in catalog.search(Query(id="a", states=("superseded",)), 9).records] == ["v1", "v2"]


def test_an_upgraded_catalog_has_the_tables_of_a_new_one(old: str, tmp_path: Path) -> None:
    with Catalog(old) as catalog:
        catalog.list()
    if old.startswith("sqlite"):
        new = f"sqlite:///{tmp_path}/another.db"
    else:
        opened = engine(old).execution_options(isolation_level="AUTOCOMMIT")
        with opened.connect() as connection:
            connection.exec_driver_sql("CREATE DATABASE another")
        opened.dispose()
        new = sa.make_url(old).set(database="another").render_as_string(hide_password=False)
    with Catalog(new) as catalog:
        catalog.list()
    assert schema(old) == schema(new)
    assert version(old) == version(new)


KILLED = """
import os, signal, sys
from vidpipe.catalog import index
from vidpipe.catalog.store import Catalog
index.fill = lambda connection: os.kill(os.getpid(), signal.SIGKILL)  # the tables are made, and rows are in them
Catalog(sys.argv[1]).list()
"""


def test_an_upgrade_that_is_killed_leaves_the_old_tables(old: str) -> None:
    before = schema(old)
    done = subprocess.run([sys.executable, "-c", KILLED, old], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (version(old), schema(old)) == ("1", before)
    with Catalog(old) as catalog:
        assert [found.content_id for found in catalog.search(Query(text="film"), 9).records] == ["a", "b", "c"]


SEARCHES = """
import sys
from vidpipe.catalog.search import Query
from vidpipe.catalog.store import Catalog
sys.stdin.readline()
with Catalog(sys.argv[1]) as catalog:
    print([found.content_id for found in catalog.search(Query(text="film"), 9).records])
"""


def test_processes_that_upgrade_at_once_do_it_once(old: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", SEARCHES, old],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=120) for process in processes] == [("['a', 'b', 'c']\n", "")] * 3
    assert version(old) == str(store.SCHEMA_VERSION)


def test_a_damaged_record_does_not_stop_an_upgrade(old: str) -> None:
    run(old, """UPDATE vidpipe_versions SET record = '{"title": 5}' WHERE content_id = 'b'""")
    with Catalog(old) as catalog:
        assert [found.content_id for found in catalog.search(Query(text="film a"), 9).records] == ["a"]
        with pytest.raises(CatalogFailed, match="the record of b v1"):
            catalog.search(Query(text="b"), 9)  # found by its id


def test_a_writer_that_does_not_know_of_the_index_is_followed(old: str) -> None:
    """A vidpipe of before the upgrade that still runs, or somebody with a database shell."""
    with Catalog(old) as catalog:
        catalog.list()
        run(old, "INSERT INTO vidpipe_versions SELECT 'd', version, status, created_at, fingerprint, record FROM vidpipe_versions "
                 "WHERE content_id = 'c'")  # fmt: skip
        assert [found for found, _ in sorted(run(old, "SELECT content_id, status FROM vidpipe_search WHERE words IS NULL"))] == ["d"]
        catalog.publish(record("e"), "f")  # whoever writes next fills it in
        assert run(old, "SELECT count(*) FROM vidpipe_search WHERE words IS NULL")[0][0] == 0
        run(old, "DELETE FROM vidpipe_versions WHERE content_id = 'a'")
        assert run(old, "SELECT DISTINCT content_id FROM vidpipe_search ORDER BY 1") == [("b",), ("c",), ("d",), ("e",)]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_catalog_that_may_not_be_written_is_not_upgraded(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(str(sa.make_url(old).database)).parent
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != folder)
    with Catalog(old) as catalog, pytest.raises(CatalogFailed, match="readonly") as refused:
        catalog.list()
    assert "write access" in str(refused.value.fix)
    assert version(old) == "1"


def test_alembic_is_loaded_for_an_upgrade_only(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom vidpipe.catalog.store import Catalog\n"
        "with Catalog(sys.argv[1]) as catalog:\n    catalog.list()\n"
        "print([name for name in ('alembic', 'mako', 'sqlalchemy.dialects.postgresql') if name in sys.modules])"
    )
    argv = [sys.executable, "-c", program, f"sqlite:///{tmp_path}/catalog.db"]
    for _ in ("made", "opened again"):
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        assert done.stdout == "[]\n"
