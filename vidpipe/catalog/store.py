"""Keep the records of all versions, and say which one is live.

In:   the path of a SQLite file (the default of the home), or a database URL: sqlite:///FILE or postgresql://USER@HOST/NAME.
Out:  ``Catalog``.
Wrong: UsageError for a URL that cannot be used; CatalogFailed for everything that the database refuses. Passwords stay out of messages.

One transaction makes a version live and the previous one superseded, so that a reader always finds exactly one. Writers of the same title
wait for each other (SQLite: one writer at a time; PostgreSQL: an advisory lock on the content id); a unique index backs that up. Which
status may follow which is for the rules of states.py to say, which are applied here.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from vidpipe.catalog import database, tables
from vidpipe.catalog.database import WAIT
from vidpipe.catalog.record import STANDING, Record, Status, as_published
from vidpipe.catalog.tables import meta as _meta
from vidpipe.catalog.tables import versions as _versions
from vidpipe.catalog.title_rows import TitleRows, is_version
from vidpipe.errors import CatalogFailed

if TYPE_CHECKING:  # an ingest that finds its title unchanged loads none of them
    from vidpipe.catalog.merge import Difference, Exported
    from vidpipe.catalog.search import Page, Query

SCHEMA_VERSION = 2
"""Of the tables, that of the last step in ``migrations/``. A catalog of a higher version was made by a newer vidpipe and is left alone."""
PAUSE = 1.0
"""Seconds between two attempts to reach it again."""

_SETUP_LOCK = 7_304_551_823
"""PostgreSQL advisory lock that is held while the tables are created or upgraded."""

_Result = TypeVar("_Result")


class Catalog:
    """The records of all titles. Safe for several threads and processes. The tables are created, or upgraded, on first use.

    Every method opens a connection and closes it again, so that nothing is held open between calls.
    """

    def __init__(self, where: str | Path) -> None:
        self._engine = database.engine(where)
        # For people: neither password nor options, which may hold one.
        self._where = str(where) if isinstance(where, Path) else self._engine.url.set(query={}).render_as_string(hide_password=True)
        self._ready = False

    @property
    def where(self) -> str:
        """Where the catalog lies, for people and notes: its file, or its URL without password and options."""
        return self._where

    def publish(self, record: Record, fingerprint: str, *, rule: Callable[[TitleRows], object] | None = None) -> None:
        """Make this version live and the previous live version superseded, in one transaction.

        fingerprint: of everything that shapes the title; ``live`` gives it back, so that an unchanged ingest is a no-op.
        rule: is asked first, in the same transaction, and may raise.
        The same version with the same record again changes nothing, also if another has superseded it since. So a connection that is lost
        is no failure yet: whether its COMMIT took place is seen when the same is asked again.
        """
        what = f"version {record.version} of {record.content_id} was made live"
        self._until_known(lambda: self._publish(record, fingerprint, rule), what)

    def change(self, content_id: str, rule: Callable[[TitleRows], _Result]) -> _Result:
        """Apply a rule to the versions of a title, in one transaction, while no other writer changes them. What it raises undoes it.

        It is applied again if the connection is lost at the COMMIT: a rule that finds its work done changes nothing.
        """

        def changed() -> _Result:
            with self._changing(content_id) as title:
                return rule(title)

        return self._until_known(changed, f"the versions of {content_id} were changed")

    def _until_known(self, change: Callable[[], _Result], what: str) -> _Result:
        """Return what a change that can be made twice comes to, whatever becomes of the connection. what: was done, for the message."""
        deadline: float | None = None
        while True:
            try:
                return change()
            except CatalogFailed as failure:
                if deadline is None and not _is_lost(failure):
                    raise
                if not isinstance(failure.__cause__, SQLAlchemyError):  # it was reached, and refuses
                    raise
                deadline = deadline or time.monotonic() + WAIT
                if time.monotonic() > deadline:
                    raise CatalogFailed(
                        f"the connection was lost while {what}, and it is not known whether that took place",
                        where=self._where,
                        fix="when the server answers again, run the same command again: it is right in both cases",
                        details=[failure.what],
                    ) from failure
            time.sleep(PAUSE)

    @contextmanager
    def _changing(self, content_id: str) -> Iterator[TitleRows]:
        """Give the versions of a title inside a transaction, which no other writer of the title shares."""
        with self._transaction(write=True) as connection:
            self._lock(connection, content_id)
            yield TitleRows(connection, content_id, self._where)

    def _publish(self, record: Record, fingerprint: str, rule: Callable[[TitleRows], object] | None) -> None:
        with self._changing(record.content_id) as title:
            chosen = sa.select(_versions).where(is_version(record.content_id, record.version))
            known = title.connection.execute(chosen).mappings().first()
            if known is not None:
                if as_published(self._record(known)) == as_published(record) and known["fingerprint"] == fingerprint:
                    return
                raise CatalogFailed(
                    f"version {record.version} of {record.content_id} is already in the catalog with another record",
                    where=self._where,
                    fix="run the ingest again: it makes a new version",
                )
            if rule is not None:
                rule(title)
            if title.standing is not None:
                title.set_status(title.standing, "superseded")
            title.add(record, fingerprint, "live")

    def live(self, content_id: str) -> tuple[Record, str] | None:
        """Return the live record of a title and its fingerprint, or None if none is live."""
        return self._one(content_id, ("live",))

    def standing(self, content_id: str) -> tuple[Record, str] | None:
        """Return the same of the version that the title shows, or would show if it were not withdrawn."""
        return self._one(content_id, STANDING)

    def having(self, *statuses: Status) -> tuple[str, ...]:
        """Return the content ids of all titles that have a version of one of these statuses, in order."""
        chosen = sa.select(_versions.c.content_id).where(_versions.c.status.in_(statuses)).distinct()
        with self._transaction() as connection:
            return tuple(connection.execute(chosen.order_by(_versions.c.content_id)).scalars())

    def list(self) -> tuple[Record, ...]:
        """Return the live records of all titles, ordered by content id."""
        return self._records(sa.select(_versions).where(_versions.c.status == "live").order_by(_versions.c.content_id))

    def search(self, query: Query, limit: int) -> Page:
        """Return a page of what a query finds, of so many versions at most."""
        from vidpipe.catalog.search import Page, cursor, read

        with self._transaction() as connection:
            rows = read(connection, query, limit + 1)
        records = tuple(self._record(row) for row in rows[:limit])
        return Page(records=records, next=cursor(query, rows[limit - 1]) if len(rows) > limit else None)

    def each(self, query: Query) -> Iterator[tuple[Record, str]]:
        """Yield all that a query finds, each with its fingerprint, as it was at one moment. Whatever their number, memory holds a page."""
        from vidpipe.catalog.index import BATCH
        from vidpipe.catalog.search import cursor, read

        with self._transaction() as connection:
            if connection.dialect.name == "postgresql":  # SQLite sees one moment anyway
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            more: Query | None = query
            while more is not None:
                rows = read(connection, more, BATCH)
                yield from ((self._record(row), row["fingerprint"]) for row in rows)
                more = query.model_copy(update={"after": cursor(query, rows[-1])}) if len(rows) == BATCH else None

    def difference(self, given: Sequence[Exported]) -> Difference:
        """Compare versions that were exported with those that are here."""
        from vidpipe.catalog import merge

        with self._transaction() as connection:
            return merge.compare(connection, given, self._record)

    def add(self, given: Sequence[Exported]) -> Difference:
        """Add what is not here of versions that were exported, in one transaction.  Raises CatalogFailed if one contradicts the catalog."""
        from vidpipe.catalog import merge

        with self._transaction(write=True) as connection:
            self._lock(connection, *{each.record.content_id for each in given})
            found = merge.compare(connection, given, self._record)
            if found.conflicts:
                raise CatalogFailed(
                    "the catalog has changed during the import, and now contradicts it; what was imported so far stays",
                    where=self._where,
                    fix="see what has changed, then run the same import again",
                    details=found.conflicts[:10],
                )
            merge.add(connection, found.new)
            return found

    def versions(self, content_id: str) -> tuple[Record, ...]:
        """Return every version of a title, newest first; empty if the title is unknown."""
        chosen = sa.select(_versions).where(_versions.c.content_id == content_id)
        return self._records(chosen.order_by(_versions.c.created_at.desc(), _versions.c.version.desc()))

    def close(self) -> None:
        """Release the connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _one(self, content_id: str, statuses: tuple[Status, ...]) -> tuple[Record, str] | None:
        with self._transaction() as connection:
            chosen = sa.select(_versions).where(_versions.c.content_id == content_id, _versions.c.status.in_(statuses))
            row = connection.execute(chosen).mappings().first()
            return None if row is None else (self._record(row), row["fingerprint"])

    def _records(self, chosen: sa.Select[Any]) -> tuple[Record, ...]:
        with self._transaction() as connection:
            return tuple(self._record(row) for row in connection.execute(chosen).mappings())

    def _record(self, row: sa.RowMapping) -> Record:
        try:
            return Record.model_validate(row["record"]).model_copy(update={"status": row["status"]})
        except ValidationError as problem:
            raise CatalogFailed(
                f"the record of {row['content_id']} {row['version']} is not a valid {problem.title}",
                where=self._where,
                fix="restore the catalog from a backup, or ingest the title again under another --id",
                details=[f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in problem.errors()[:5]],
            ) from problem

    def _lock(self, connection: sa.Connection, *content_ids: str) -> None:
        """Wait for other writers of titles. (SQLite has one writer anyway.)"""
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{WAIT}s'")
            # In one order, so that two of them never wait in a circle.
            names = sa.func.unnest(sa.cast(sorted(content_ids), sa.ARRAY(sa.String))).column_valued()
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(names, 0))))

    @contextmanager
    def _transaction(self, *, write: bool = False) -> Iterator[sa.Connection]:
        with self._translated():
            if not self._ready:
                self._set_up()
                self._ready = True
            with self._engine.connect().execution_options(vidpipe_write=write) as connection, connection.begin():
                yield connection
                if write:
                    from vidpipe.catalog.index import fill

                    fill(connection)

    def _set_up(self) -> None:
        with self._engine.connect() as connection:
            version = self._version(connection)
        if _is_behind(version):
            with self._engine.connect().execution_options(vidpipe_write=True) as connection, connection.begin():
                if connection.dialect.name == "postgresql":
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{WAIT}s'")
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_SETUP_LOCK)))
                version = self._version(connection)  # another process may have been faster
                if _is_behind(version):
                    if version is None:
                        _create(connection)
                    else:
                        from vidpipe.catalog.migrations import upgrade  # Alembic takes longer to load than most upgrades to run

                        upgrade(connection, version)
                    version = SCHEMA_VERSION
        if version != SCHEMA_VERSION:
            raise CatalogFailed(
                f"the catalog has tables of version {version}, this vidpipe knows version {SCHEMA_VERSION}",
                where=self._where,
                fix="use the vidpipe that made it or a newer one, or name another catalog",
            )

    def _version(self, connection: sa.Connection) -> int | None:
        if not sa.inspect(connection).has_table(_meta.name):
            return None
        value = connection.execute(sa.select(_meta.c.value).where(_meta.c.name == "schema_version")).scalar()
        return int(value) if value is not None and value.isdecimal() else 0

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error) as problem:
            said, kind = database.said(problem), self._engine.dialect.name
            raise CatalogFailed(f"the catalog failed: {said}", where=self._where, fix=database.advice(said, kind)) from problem
        except OSError as problem:
            raise CatalogFailed(
                f"the catalog cannot be opened: {problem.strerror or problem}",
                where=self._where,
                fix="give this user the right to its directory, or choose another home with --home",
            ) from problem


def _is_behind(version: int | None) -> bool:
    """Whether there are no tables yet, or those of an older vidpipe. (0 is a number that cannot be read.)"""
    return version is None or 0 < version < SCHEMA_VERSION


def _create(connection: sa.Connection) -> None:
    from vidpipe.catalog import index

    tables.meta.create(connection)
    tables.versions.create(connection)
    # As a sa.Index it would name both databases, and SQLAlchemy loads a dialect, with its drivers, as soon as one of its options is named.
    connection.exec_driver_sql("CREATE UNIQUE INDEX vidpipe_one_live_version ON vidpipe_versions (content_id) WHERE status = 'live'")
    index.build(connection)
    connection.execute(sa.insert(_meta).values(name="schema_version", value=str(SCHEMA_VERSION)))


def _is_lost(failure: CatalogFailed) -> bool:
    """Whether the connection broke while something was asked, so that nobody knows what came of it."""
    return isinstance(failure.__cause__, DBAPIError) and failure.__cause__.connection_invalidated
