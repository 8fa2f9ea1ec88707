"""Connect to the database of the catalog, and put what it says into words.

In:   the path of a SQLite file, or a database URL.
Out:  an engine of SQLAlchemy, which has connected to nothing yet; the sentence and the advice of a failure, without passwords.
Wrong: UsageError for a URL that cannot be used.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from vidpipe.errors import UsageError

WAIT = 30
"""Seconds to wait for another writer, for a server to answer, and for one that went away to come back."""


def engine(where: str | Path) -> sa.Engine:
    """Return the engine of a file or a URL.  Raises UsageError."""
    usable = "use sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
    try:
        # Built, not formatted: a path may hold "%", "?" and "#", which mean something else in a URL.
        parsed = sa.URL.create("sqlite", database=str(where.absolute())) if isinstance(where, Path) else sa.make_url(where)
    except (ArgumentError, ValueError):
        raise UsageError("the catalog URL is not valid", fix=usable) from None  # the cause quotes the URL, and with it a password
    # A part of the password would be taken for the host, and be shown. A path may hold as many as it likes.
    if isinstance(where, str) and not where.startswith("sqlite") and where.count("@") > 1:
        raise UsageError("the catalog URL contains more than one @", fix="write an @ in the user name or password as %40")
    kind = parsed.get_backend_name()
    if kind == "postgres":
        kind = "postgresql"
    if kind == "postgresql" and parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if kind not in ("sqlite", "postgresql"):
        raise UsageError(f"a catalog in {kind} is not supported", fix=usable)
    # A host that is gone ends no connection by itself: TCP would wait for hours, and nothing stops a COMMIT.
    alive = {"connect_timeout": WAIT, "tcp_user_timeout": WAIT * 1000, "keepalives_idle": 10, "keepalives_interval": 5}
    options: dict[str, Any] = {"connect_args": {"timeout": WAIT} if kind == "sqlite" else alive}
    if kind == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise UsageError("a catalog in memory would not outlast the command", fix="use sqlite:///FILE")
    if "\0" in str(parsed.database):
        raise UsageError("the catalog URL contains a NUL character", fix=usable)
    try:
        # NullPool: the catalog is used a few times in a run; a connection that stays open would only time out during the encode.
        engine = sa.create_engine(parsed, poolclass=NullPool, **options)
    except (NoSuchModuleError, ModuleNotFoundError) as problem:
        raise UsageError(
            f"the driver of the catalog is not installed ({parsed.drivername})", fix='run: pip install "vidpipe[postgres]"'
        ) from problem
    except (SQLAlchemyError, TypeError) as problem:
        raise UsageError("the catalog URL has options that the driver does not know", fix=usable) from problem
    if kind == "sqlite":
        sa.event.listen(engine, "do_connect", _prepare_file)
        sa.event.listen(engine, "connect", _set_up_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_file(dialect: Any, connection_record: Any, arguments: list[Any], options: dict[str, Any]) -> None:
    """Make the folder of the file; open a catalog in a folder that may not be written for reading only."""
    if str(arguments[0]).startswith("file:"):
        return
    path = Path(str(arguments[0])).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() and not os.access(path.parent, os.W_OK):
        # SQLite makes two files beside a catalog with a write-ahead log even to read it, unless it is opened as immutable. Where
        # the log lies there already, somebody may be writing, and SQLite can use those files.
        writer = path.with_name(f"{path.name}-wal").exists()
        arguments[0] = f"{path.as_uri()}?mode=ro" + ("" if writer else "&immutable=1")
        options["uri"] = True


def _set_up_sqlite(connection: Any, connection_record: Any) -> None:
    try:
        # With a write-ahead log readers and the writer do not block each other. The switch fails while others are connected;
        # then one of them, or a later connection, does it.
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode=WAL").fetchone()
        connection.execute("PRAGMA synchronous=FULL")  # a version that was reported as live stays live after a power cut
    except sqlite3.Error:
        connection.close()
        raise


def _begin_sqlite(connection: sa.Connection) -> None:
    # The driver begins a transaction by itself only at the first change, which is too late for what is read before. A writer takes the lock
    # before it reads. Otherwise two of them read the same state, and one fails at once with "database is locked".
    write = connection.get_execution_options().get("vidpipe_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def said(problem: Exception) -> str:
    """The database's own words, one line, without the statement and its parameters."""
    inner = problem.orig if isinstance(problem, DBAPIError) and problem.orig is not None else problem
    lines = str(inner).strip().splitlines()
    return " ".join("".join(char if char.isprintable() else " " for char in (lines[0] if lines else type(inner).__name__)).split())[:300]


def advice(said: str, kind: str) -> str:
    """Say how to mend what a database of this kind said."""
    text = said.lower()
    if "locked" in text or "lock timeout" in text:
        return "another process is using the catalog; run the same command again when it has finished"
    if "must be owner" in text:
        return "the tables are those of an older vidpipe: use the catalog once as the user who made them, which upgrades them"
    if "readonly" in text or "read-only" in text or "unable to open" in text or "permission denied" in text:
        return "give this user write access to the catalog and its directory, or choose another home with --home"
    if "not a database" in text or "malformed" in text:
        return "this file is not a vidpipe catalog, or it is damaged: restore it from a backup, or move it away"
    if "no such module" in text:
        return "use a Python whose SQLite has full-text search (FTS5), as those of python.org, uv, Homebrew and Debian have"
    if "full" in text or "no space" in text:
        return "free some space, then run the same command again"
    if kind == "postgresql":
        return "check that the server runs, and the host, name, user and password in the catalog URL"
    return "check the catalog file and its directory, then run the same command again"
