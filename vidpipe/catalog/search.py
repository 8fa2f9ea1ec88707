"""Find titles: filters, words, order and pages, in both databases.

In:   a connection and a ``Query``.
Out:  ``read``, which gives one page of versions; ``cursor``, where the next one begins.
Wrong: UsageError for a cursor of another order, and for a search without a word.

A page begins behind the last row of the one before it, and is not counted from the beginning: the thousandth is as quick as the first, and
titles that are published meanwhile shift nothing. What a user searches for is never syntax: it is folded into words (``terms.py``), all of
which have to be there, the last one as the beginning of a word.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa
from pydantic import AwareDatetime

from vidpipe.catalog.index import fact, metadata_facts, same_version
from vidpipe.catalog.record import Record, Status
from vidpipe.catalog.tables import search, versions
from vidpipe.catalog.terms import asked, is_unspaced, pairs
from vidpipe.data import Data
from vidpipe.errors import UsageError

Order = Literal["id", "created", "title", "duration"]

MOST_WORDS, LONGEST_TEXT = 50, 1000
"""Of a search."""
_COLUMNS: dict[Order, tuple[str, ...]] = {
    "id": ("content_id", "version"),
    "created": ("created_at", "content_id", "version"),
    "title": ("title_key", "content_id", "version"),
    "duration": ("duration", "content_id", "version"),
}
FEW = 500
"""Rows that are looked up one by one and sorted."""
_LARGEST_FIRST: frozenset[Order] = frozenset({"created", "duration"})


class Query(Data):
    """Which versions of titles, and in which order. Every condition has to be met."""

    states: tuple[Status, ...] = ("live",)
    """Any of these; empty: whatever the state."""
    id: str = ""
    """How the content id begins; with * and ?, the whole of it."""
    text: str | None = None
    """Words of title, metadata and content id."""
    metadata: dict[str, str] = {}
    """Values that the metadata has, whole or as an item of a list such as "Drama, Thriller"; case and accents do not count."""
    languages: tuple[str, ...] = ()
    """BCP 47 tags that audio or subtitles have; "pt" is also met by "pt-BR"."""
    heights: tuple[int, ...] = ()
    """Of rungs."""
    encryption: str | None = None
    created_from: AwareDatetime | None = None
    created_before: AwareDatetime | None = None
    shortest: float | None = None
    """Seconds."""
    longest: float | None = None
    order: Order = "id"
    """id and title: A to Z; created: newest first; duration: longest first."""
    reverse: bool = False
    after: str | None = None
    """The cursor of the page before."""


class Page(Data):
    """Some of the versions that a query finds, and the cursor of the next page, None if these are the last."""

    records: tuple[Record, ...]
    next: str | None


def read(connection: sa.Connection, query: Query, limit: int) -> Sequence[sa.RowMapping]:
    """Return a page of rows of ``versions``, each with the columns of its order, ``key_0`` to ``key_2``."""
    keys = [search.c[name] for name in _COLUMNS[query.order]]
    falling = _is_falling(query)
    chosen = sa.select(search.c.content_id, search.c.version, *(key.label(f"key_{at}") for at, key in enumerate(keys)))
    chosen = chosen.where(*_conditions(query, connection))
    if query.after is not None:
        row, last = sa.tuple_(*keys), sa.tuple_(*_read(query.after, query))
        chosen = chosen.where(row < last if falling else row > last)
    # The narrow rows are sorted and cut before any record, which is some kilobytes long, is read.
    found = chosen.order_by(*(key.desc() if falling else key.asc() for key in keys)).limit(limit).subquery()
    ordered = [found.c[f"key_{at}"] for at in range(len(keys))]
    whole = sa.select(versions, *ordered).select_from(found.join(versions, same_version(dict(found.c), connection)))
    return connection.execute(whole.order_by(*(key.desc() if falling else key.asc() for key in ordered))).mappings().all()


def cursor(query: Query, row: sa.RowMapping) -> str:
    """Return the cursor of the page that follows a row."""
    values = [row[f"key_{at}"] for at in range(len(_COLUMNS[query.order]))]
    return base64.b64encode(json.dumps([query.order, _is_falling(query), *values]).encode()).decode().rstrip("=")


def _read(given: str, query: Query) -> list[Any]:
    try:
        read = json.loads(base64.b64decode(given + "=="))  # what is more than the padding is passed over
    except (binascii.Error, ValueError):
        read = None
    types = [float if name == "duration" else str for name in _COLUMNS[query.order]]
    if isinstance(read, list) and read[:2] == [query.order, _is_falling(query)] and [type(value) for value in read[2:]] == types:
        return read[2:]
    raise UsageError(
        "this cursor does not belong to this order",
        where="--after",
        fix='give the "next" of the page before, with the same --sort and --reverse',
    )


def _is_falling(query: Query) -> bool:
    return (query.order in _LARGEST_FIRST) != query.reverse


def _conditions(query: Query, connection: sa.Connection) -> Iterator[sa.ColumnElement[bool]]:
    dialect = connection.dialect.name
    if query.states:
        yield search.c.status.in_(query.states)
    if query.id:
        yield from _like(query.id, dialect)
    exact = [fact("language", tag) for tag in query.languages] + [fact("height", height) for height in query.heights]
    exact += [fact("encryption", query.encryption)] if query.encryption else []
    exact += [word for key, value in query.metadata.items() for word in _pair(key, value)]
    beginnings: list[str] = []
    if query.text is not None:
        words = list(dict.fromkeys(asked(query.text[:LONGEST_TEXT])))
        if not words or len(words) > MOST_WORDS or len(query.text) > LONGEST_TEXT:
            raise UsageError(
                f"more than {MOST_WORDS} words, or {LONGEST_TEXT} characters" if words else "there is nothing to search for",
                fix="give some words of the title or the metadata",
            )
        for word in words:
            if is_unspaced(word) and len(word) > 1:
                exact += pairs(word)[:MOST_WORDS]
                yield search.c.words.contains(" ".join(pairs(word)))  # and in this order
            elif is_unspaced(word) or word == words[-1]:
                beginnings.append(word)
            else:
                exact.append(word)
    if exact or beginnings:
        yield _match(exact, beginnings, connection)
    if query.created_from:
        yield search.c.created_at >= _moment(query.created_from)
    if query.created_before:
        yield search.c.created_at < _moment(query.created_before)
    if query.shortest is not None:
        yield search.c.duration >= query.shortest
    if query.longest is not None:
        yield search.c.duration <= query.longest


def _pair(key: str, value: str) -> tuple[str]:
    words = list(metadata_facts(key, value))
    if not words:
        fix = "write for example: --meta genre=drama"
        raise UsageError(f"the value {value!r} of {key!r} has no letter or digit", where="--meta", fix=fix)
    return (words[0],)  # the whole value


def _match(exact: Sequence[str], beginnings: Sequence[str], connection: sa.Connection) -> sa.ColumnElement[bool]:
    """Return the condition that all words are there.

    Neither database knows how rare words are, and each has one way of finding them that takes a second where the other one takes none. So
    the full-text index is asked for a few rows first. If these are all, they are the condition; otherwise there is one in every few
    rows, and the rows are tried in the order that is asked for until the page is full.
    """
    # No word holds a quotation mark: letters and digits, and the "=" and "_" of index.py.
    if connection.dialect.name == "postgresql":
        asked_for = " & ".join((*(f"'{word}'" for word in exact), *(f"'{word}':*" for word in beginnings)))
        lexemes = sa.text("CAST(:asked_for AS tsquery)").bindparams(asked_for=asked_for)
        everywhere = sa.literal_column("vidpipe_search.terms").bool_op("@@")(lexemes)
        few = sa.select(search.c.id).where(everywhere)
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off")
    else:
        asked_for = " AND ".join((*(f'"{word}"' for word in exact), *(f'"{word}" *' for word in beginnings)))
        found = sa.text("SELECT rowid AS id FROM vidpipe_words WHERE vidpipe_words MATCH :asked_for").bindparams(asked_for=asked_for)
        few = sa.select(found.columns(sa.column("id")).subquery())
        everywhere = sa.literal_column("+vidpipe_search.id").in_(few)  # +: not by way of the id, but in the order that is asked for
    rows = connection.execute(few.limit(FEW)).scalars().all()
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL enable_seqscan TO DEFAULT; SET LOCAL enable_indexscan TO DEFAULT")
    return everywhere if len(rows) == FEW else search.c.id.in_(rows)


def _like(pattern: str, dialect: str) -> Iterator[sa.ColumnElement[bool]]:
    if not pattern.isascii() or "\0" in pattern:  # no id has such characters, and not every one of them can be asked for
        yield sa.false()
        return
    prefix = re.split(r"[*?]", pattern)[0]
    if prefix:  # a range, which an index finds
        yield search.c.content_id >= prefix
        yield search.c.content_id < prefix[:-1] + chr(ord(prefix[-1]) + 1)
    if prefix == pattern:
        return
    if dialect == "postgresql":
        escaped = re.sub(r"([%_\\])", r"\\\1", pattern)  # the backslash is what LIKE escapes by
        yield search.c.content_id.like(escaped.replace("*", "%").replace("?", "_"))
    else:
        yield search.c.content_id.bool_op("GLOB")(pattern.replace("[", "[[]"))


def _moment(value: datetime) -> str:
    return value.astimezone(UTC).replace(microsecond=0).isoformat()
