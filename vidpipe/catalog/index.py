"""Keep the table that is searched, one narrow row a version, in step with the records.

In:   a connection in a transaction that writes.
Out:  the table, its indexes and its triggers (``build``); the words of the rows that have none yet (``fill``).
Wrong: what SQLAlchemy raises. A record that was damaged by hand is found by its id alone, and keeps nobody from other titles.

Triggers follow every change of ``vidpipe_versions``, whoever makes it, and leave the words of a new or changed record open, because only
``terms.py`` folds text alike for both databases; the store fills them in before it commits. Everything here is derived: it can be dropped
and built again, which is what a migration does. The words of a row are what is filtered by, each as one word that no text can hold
("=genre=drama", "==language=de", "==height=1080", "==encryption=aes_128"), and those of title, content id and the values of the metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError

from vidpipe.catalog.record import Record
from vidpipe.catalog.tables import search, versions
from vidpipe.catalog.terms import LONGEST, folded, indexed

BATCH = 500
"""Rows that are filled, or read, at once."""
MOST_TEXT = 100_000
"""Characters of words in a row. A tsvector may have 1 MB; a publication must not fail because of a long description."""
_KEY_LENGTH = 200
"""Characters of a title that decide its order."""

_OPEN = "CREATE INDEX vidpipe_search_open ON vidpipe_search (id) WHERE words IS NULL"
_OF_SQLITE = (
    # The words are folded already: this tokenizer takes every character beyond ASCII as it is.
    """CREATE VIRTUAL TABLE vidpipe_words USING fts5 (
        words, content='vidpipe_search', content_rowid='id',
        detail=none, columnsize=0, prefix='1 2 3', tokenize="ascii tokenchars '=_'")""",
    """CREATE TRIGGER vidpipe_words_insert AFTER INSERT ON vidpipe_search WHEN new.words IS NOT NULL BEGIN
        INSERT INTO vidpipe_words (rowid, words) VALUES (new.id, new.words); END""",
    """CREATE TRIGGER vidpipe_words_delete AFTER DELETE ON vidpipe_search WHEN old.words IS NOT NULL BEGIN
        INSERT INTO vidpipe_words (vidpipe_words, rowid, words) VALUES ('delete', old.id, old.words); END""",
    """CREATE TRIGGER vidpipe_words_take AFTER UPDATE ON vidpipe_search WHEN old.words IS NOT NULL AND old.words IS NOT new.words BEGIN
        INSERT INTO vidpipe_words (vidpipe_words, rowid, words) VALUES ('delete', old.id, old.words); END""",
    """CREATE TRIGGER vidpipe_words_give AFTER UPDATE ON vidpipe_search WHEN new.words IS NOT NULL AND old.words IS NOT new.words BEGIN
        INSERT INTO vidpipe_words (rowid, words) VALUES (new.id, new.words); END""",
    """CREATE TRIGGER vidpipe_search_insert AFTER INSERT ON vidpipe_versions BEGIN
        INSERT INTO vidpipe_search (content_id, version, status, created_at, title_key, duration)
        VALUES (new.content_id, new.version, new.status, new.created_at, '', 0); END""",
    """CREATE TRIGGER vidpipe_search_update AFTER UPDATE ON vidpipe_versions BEGIN
        UPDATE vidpipe_search SET content_id = new.content_id, version = new.version, status = new.status, created_at = new.created_at,
        words = CASE WHEN new.record IS old.record AND new.content_id = old.content_id THEN words END
        WHERE content_id = old.content_id AND version = old.version; END""",
    """CREATE TRIGGER vidpipe_search_delete AFTER DELETE ON vidpipe_versions BEGIN
        DELETE FROM vidpipe_search WHERE content_id = old.content_id AND version = old.version; END""",
)
_OF_POSTGRESQL = (
    # What to_tsvector('simple', words) would give, but for its parser, which takes hosts, paths and signed numbers for words of their own.
    "ALTER TABLE vidpipe_search ADD COLUMN terms tsvector GENERATED ALWAYS AS (array_to_tsvector(string_to_array(words, ' '))) STORED",
    "CREATE INDEX vidpipe_search_by_terms ON vidpipe_search USING gin (terms)",
    """CREATE FUNCTION vidpipe_search_follow() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO vidpipe_search (content_id, version, status, created_at, title_key, duration)
            VALUES (new.content_id, new.version, new.status, new.created_at, '', 0);
        ELSIF TG_OP = 'UPDATE' THEN
            UPDATE vidpipe_search SET content_id = new.content_id, version = new.version, status = new.status, created_at = new.created_at,
            words = CASE WHEN new.record = old.record AND new.content_id = old.content_id THEN words END
            WHERE content_id = old.content_id AND version = old.version;
        ELSE
            DELETE FROM vidpipe_search WHERE content_id = old.content_id AND version = old.version;
        END IF;
        RETURN NULL;
    END $$""",
    """CREATE TRIGGER vidpipe_search_follow AFTER INSERT OR UPDATE OR DELETE ON vidpipe_versions
    FOR EACH ROW EXECUTE FUNCTION vidpipe_search_follow()""",
)


def build(connection: sa.Connection) -> None:
    """Make the table that is searched, and fill it with the versions that are there."""
    search.create(connection)
    for statement in (_OPEN, *(_OF_POSTGRESQL if connection.dialect.name == "postgresql" else _OF_SQLITE)):
        connection.exec_driver_sql(statement)
    copied = ("content_id", "version", "status", "created_at")
    chosen = sa.select(*(versions.c[name] for name in copied), sa.literal(""), sa.literal(0.0))
    connection.execute(sa.insert(search).from_select([*copied, "title_key", "duration"], chosen))
    fill(connection)


def fill(connection: sa.Connection) -> None:
    """Write the words of all rows that have none."""
    joined = search.join(versions, same_version(dict(search.c), connection))
    chosen = sa.select(search.c.id, versions.c.content_id, versions.c.record).select_from(joined).where(search.c.words.is_(None))
    # Rows that another transaction fills at this moment are left to it (PostgreSQL; SQLite has one writer).
    chosen = chosen.order_by(search.c.id).limit(BATCH).with_for_update(of=search, skip_locked=True)
    filled = sa.update(search).where(search.c.id == sa.bindparam("row"))
    while rows := connection.execute(chosen).all():
        connection.execute(filled, [{"row": row.id, **_derived(row.content_id, row.record)} for row in rows])


def same_version(row: Mapping[str, sa.ColumnElement[Any]], connection: sa.Connection) -> sa.ColumnElement[bool]:
    """Return the condition that joins a row of ``search``, by its columns, with ``versions``."""
    names = ("content_id", "version")
    if connection.dialect.name == "postgresql":  # in the collation of the index of ``versions``, which could not be used otherwise
        return sa.and_(*(versions.c[name] == sa.collate(row[name], "default") for name in names))
    return sa.and_(*(versions.c[name] == row[name] for name in names))


def _derived(content_id: str, written: Any) -> dict[str, Any]:
    try:
        record = Record.model_validate(written)
    except ValidationError:
        return {"title_key": "", "duration": 0.0, "words": " ".join(indexed(content_id))}
    return {"title_key": title_key(record.title), "duration": record.duration, "words": _cut((*_facts(record), *_text(content_id, record)))}


def title_key(title: str) -> str:
    """Return what titles are sorted by."""
    return folded(title)[:_KEY_LENGTH]


def metadata_facts(key: str, value: str) -> Iterator[str]:
    """Yield the words by which a pair of the metadata is found: whole, and as each item of a list such as "Drama, Thriller"."""
    name = _word(key)
    for part in dict.fromkeys((value, *re.split(r"[,;|/]", value))):
        if word := _word(part):
            yield f"={name}={word}"


def fact(name: str, value: object) -> str:
    """Return the word by which a fact of a title is found."""
    return f"=={name}={_word(str(value))}"


def _facts(record: Record) -> Iterator[str]:
    yield fact("encryption", record.encryption.method)
    for height in {rung.height for rung in record.renditions if rung.height}:
        yield fact("height", height)
    tags = {track.language for track in record.audio} | {track.language for track in record.subtitles}
    for tag in sorted(filter(None, tags)):
        parts = tag.split("-")
        yield from (fact("language", "-".join(parts[:count])) for count in range(1, len(parts) + 1))  # pt-BR is found as pt, too
    for key, value in record.metadata.items():
        yield from metadata_facts(key, value)


def _text(content_id: str, record: Record) -> Iterator[str]:
    for text in (record.title, content_id, *record.metadata.values()):
        yield from indexed(text[:MOST_TEXT])


def _word(text: str) -> str:
    return folded(text[:MOST_TEXT])[:LONGEST].strip().replace(" ", "_")


def _cut(words: Iterable[str]) -> str:
    kept, length = [], 0
    for word in words:
        length += len(word) + 1
        if length > MOST_TEXT:
            break
        kept.append(word)
    return " ".join(kept)
