"""states: which status may follow which, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import tzset

import pytest

from tests import servers
from tests.fault_proxy import breaking
from tests.test_catalog import record
from vidpipe.catalog import store
from vidpipe.catalog.merge import Exported
from vidpipe.catalog.record import Record, Status
from vidpipe.catalog.states import adopt, forget, give_up, give_up_all, make_live, still, withdraw
from vidpipe.catalog.store import Catalog
from vidpipe.errors import CatalogFailed, UsageError

MADE = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[str | None]:
    """The address of a PostgreSQL server; None if there is none."""
    try:
        with servers.postgresql() as url:
            yield url
    except servers.Unavailable:
        yield None


@pytest.fixture
def far_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock shows the time of Tokyo."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        tzset()
        yield
    tzset()


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, far_away: None) -> Iterator[tuple[Catalog, str]]:
    """A catalog, and the id of a title of its own with three versions, the last one live."""
    where: str | Path = tmp_path / "catalog.db"
    if request.param == "postgresql":
        where = request.getfixturevalue("server")
        if where is None:
            pytest.skip("PostgreSQL does not start")
    content_id = f"t-{abs(hash(request.node.name))}"
    with Catalog(where) as catalog:
        for number in (1, 2, 3):
            catalog.publish(record(content_id, f"v{number}", created_at=MADE + timedelta(days=number)), str(number))
        yield catalog, content_id


def states(opened: tuple[Catalog, str]) -> list[str]:
    """The statuses of v3, v2 and v1."""
    catalog, content_id = opened
    return [found.status for found in catalog.versions(content_id)]


def standing(opened: tuple[Catalog, str]) -> Record:
    catalog, content_id = opened
    found = catalog.standing(content_id)
    assert found
    return found[0]


def test_a_superseded_version_knows_since_when(opened: tuple[Catalog, str]) -> None:
    catalog, content_id = opened
    v3, v2, v1 = catalog.versions(content_id)
    assert v3.status_since is None, "since it was made"
    for found in (v2, v1):
        assert found.status_since
        assert abs(datetime.now(UTC) - found.status_since) < timedelta(minutes=2)
    catalog.publish(record(content_id, "v1", created_at=MADE + timedelta(days=1)), "1")  # as after a lost answer
    assert states(opened) == ["live", "superseded", "superseded"]


def test_a_version_takes_the_place_of_the_live_one(opened: tuple[Catalog, str]) -> None:
    catalog, content_id = opened
    before = standing(opened)
    catalog.change(content_id, make_live("v1", instead_of=before))
    assert states(opened) == ["superseded", "superseded", "live"]
    found = catalog.live(content_id)
    assert found
    assert (found[0].version, found[1]) == ("v1", "1"), "with its own fingerprint"
    catalog.change(content_id, make_live("v1", instead_of=before))  # once more, if nobody knows whether the COMMIT took place
    assert states(opened) == ["superseded", "superseded", "live"]


@pytest.mark.parametrize("version", ["v2", "v9"], ids=["deleting", "unknown"])
def test_what_is_deleted_never_becomes_live(opened: tuple[Catalog, str], version: str) -> None:
    catalog, content_id = opened
    catalog.change(content_id, give_up(["v2"]))
    with pytest.raises(UsageError, match=f"version {version} .* is "):
        catalog.change(content_id, make_live(version, instead_of=standing(opened)))
    assert states(opened) == ["live", "deleting", "superseded"]


def test_whoever_decided_on_another_state_is_refused(opened: tuple[Catalog, str]) -> None:
    catalog, content_id = opened
    before = standing(opened)
    catalog.change(content_id, make_live("v2", instead_of=before))
    for rule in (make_live("v1", instead_of=before), still(before), still(None)):
        with pytest.raises(CatalogFailed, match="now version v2 is live") as failure:
            catalog.change(content_id, rule)
        assert failure.value.where == catalog.where
    with pytest.raises(CatalogFailed, match="meanwhile"):
        catalog.publish(record(content_id, "v4"), "4", rule=still(before))
    catalog.publish(record(content_id, "v4"), "4", rule=still(standing(opened)))
    catalog.publish(record(content_id, "v4"), "4", rule=still(before))  # it is done already
    with pytest.raises(CatalogFailed, match="no version is live"):
        catalog.change("unknown", still(before))
    catalog.change("unknown", still(None))


def test_a_withdrawn_title_has_no_live_version_until_one_is_published(opened: tuple[Catalog, str]) -> None:
    catalog, content_id = opened
    live = standing(opened)
    assert catalog.change(content_id, withdraw) == "v3"
    assert catalog.change(content_id, withdraw) == "v3"
    assert catalog.live(content_id) is None
    assert content_id not in [found.content_id for found in catalog.list()]
    assert standing(opened).status == "withdrawn"
    catalog.change(content_id, make_live("v3", instead_of=standing(opened)))
    assert states(opened) == ["live", "superseded", "superseded"]
    catalog.change(content_id, withdraw)
    with pytest.raises(CatalogFailed, match="v3 is withdrawn"):
        catalog.publish(record(content_id, "v4"), "4", rule=still(live))
    catalog.publish(record(content_id, "v4", created_at=MADE + timedelta(days=4)), "4", rule=still(standing(opened)))
    assert states(opened) == ["live", "superseded", "superseded", "superseded"]
    with pytest.raises(UsageError, match="no live version"):
        catalog.change("unknown", withdraw)


def test_lines_are_removed_only_of_what_is_being_deleted(opened: tuple[Catalog, str]) -> None:
    catalog, content_id = opened
    catalog.change(content_id, forget("v1"))
    with pytest.raises(UsageError, match="is live"):
        catalog.change(content_id, give_up_all)
    assert states(opened) == ["live", "superseded", "superseded"], "all or nothing"
    assert catalog.change(content_id, give_up(["v3", "v1", "v9"])) == ("v1",)
    assert catalog.change(content_id, give_up(["v1"])) == ("v1",)
    catalog.change(content_id, forget("v1"))
    catalog.change(content_id, forget("v1"))
    assert states(opened) == ["live", "superseded"]
    catalog.change(content_id, withdraw)
    catalog.change(content_id, give_up_all)
    assert states(opened) == ["deleting", "deleting"]
    assert content_id in catalog.having("deleting", "live")
    assert content_id not in catalog.having("live", "withdrawn", "superseded")


@pytest.mark.parametrize(
    ("lost", "becomes"), [("live", "superseded"), ("withdrawn", "superseded"), ("superseded", "superseded"), ("deleting", "deleting")]
)
def test_a_lost_line_comes_back_beside_what_stands(lost: Status, becomes: str, opened: tuple[Catalog, str]) -> None:
    catalog, content_id = opened
    v0 = record(content_id, "v0", created_at=MADE)
    for _ in range(2):
        catalog.change(content_id, adopt(v0, "0", lost))
        assert states(opened) == ["live", "superseded", "superseded", becomes]
    since = catalog.versions(content_id)[-1].status_since
    assert since
    assert abs(datetime.now(UTC) - since) < timedelta(minutes=2)


@pytest.mark.parametrize("lost", ["live", "withdrawn", "superseded"])
def test_a_lost_line_comes_back_as_it_was_where_nothing_stands(lost: Status, opened: tuple[Catalog, str]) -> None:
    catalog, content_id = opened
    other = f"{content_id}-other"
    catalog.change(other, adopt(record(other), "f", lost))
    (found,) = catalog.versions(other)
    assert found.status == lost
    assert (found.status_since is None) == (lost == "live"), "since it was made"
    if lost != "superseded":
        assert catalog.standing(other) == (found, "f")


def test_what_is_being_deleted_knows_since_when(opened: tuple[Catalog, str]) -> None:
    """A deletion that was interrupted goes on; it does not begin anew."""
    catalog, content_id = opened
    since = datetime(2026, 11, 22, tzinfo=UTC)
    other = record(f"{content_id}-other", status="deleting", status_since=since)
    catalog.add([Exported(fingerprint="f", record=other)])
    catalog.change(other.content_id, give_up_all)
    catalog.change(other.content_id, give_up([other.version]))
    assert catalog.versions(other.content_id) == (other,)


def test_a_damaged_record_keeps_its_line_and_its_status_changes(tmp_path: Path) -> None:
    import sqlite3

    with Catalog(tmp_path / "catalog.db") as catalog:
        catalog.publish(record(version="v1"), "1")
        with sqlite3.connect(tmp_path / "catalog.db") as connection:
            connection.execute("UPDATE vidpipe_versions SET record = '{'")
        connection.close()
        catalog.publish(record(version="v2"), "2")
        assert catalog.having("superseded") == ("t",)
        with sqlite3.connect(tmp_path / "catalog.db") as connection:
            assert connection.execute("SELECT record FROM vidpipe_versions WHERE version = 'v1'").fetchall() == [("{",)]
        connection.close()


def test_a_connection_that_is_lost_at_the_commit_rolls_back_once(server: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy as sa

    if server is None:
        pytest.skip("PostgreSQL does not start")
    monkeypatch.setattr(store, "PAUSE", 0.1)
    url = sa.make_url(server)
    with breaking(f"{url.query['host']}/.s.PGSQL.5432") as between:
        reached = url.set(host="127.0.0.1", port=between.port, query={}).render_as_string(hide_password=False)
        with Catalog(reached) as catalog:
            for number in (1, 2, 3):
                catalog.publish(record("lost", f"v{number}", created_at=MADE + timedelta(days=number)), "f")
            for falls in ("answer", "question"):
                before = standing((catalog, "lost"))
                wanted = "v2" if before.version == "v3" else "v3"
                between.armed = [falls]
                catalog.change("lost", make_live(wanted, instead_of=before))
                assert between.armed == []
                assert standing((catalog, "lost")).version == wanted
