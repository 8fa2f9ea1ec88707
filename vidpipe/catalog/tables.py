"""The tables of the catalog, as queries name them. How they came about is written in ``migrations/``.

In:   nothing.  Out: tables of SQLAlchemy.  Wrong: nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine


class _Json(sa.TypeDecorator[Any]):
    """JSON (JSONB in PostgreSQL); what somebody has damaged reads as None, which is no record, so that the message can name the version."""

    impl = sa.JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> TypeEngine[Any]:
        if dialect.name != "postgresql":
            return super().load_dialect_impl(dialect)
        from sqlalchemy.dialects.postgresql import JSONB  # brings the adapters of all its drivers, which a file needs none of

        return dialect.type_descriptor(JSONB())

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], Any] | None:
        read = super().result_processor(dialect, coltype)

        def processed(value: Any) -> Any:
            try:
                return read(value) if read else value
            except (ValueError, TypeError):
                return None

        return processed


_PLAIN = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
"""Text that sorts by its code points, as in SQLite, wherever the server stands."""

tables = sa.MetaData()
meta = sa.Table(
    "vidpipe_catalog",
    tables,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.String(255), nullable=False),
)
versions = sa.Table(
    "vidpipe_versions",
    tables,
    sa.Column("content_id", sa.String(255), primary_key=True),
    sa.Column("version", sa.String(64), primary_key=True),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("created_at", sa.String(32), nullable=False),  # ISO 8601 in UTC: sorts as text, the same in both databases
    sa.Column("fingerprint", sa.String(255), nullable=False),
    sa.Column("record", _Json(), nullable=False),
)
search = sa.Table(
    "vidpipe_search",
    tables,
    # One row a version, derived from ``versions`` (index.py): narrow, so that it is read quickly where records are long.
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("content_id", _PLAIN, nullable=False),
    sa.Column("version", _PLAIN, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("created_at", sa.String(32), nullable=False),
    sa.Column("title_key", _PLAIN, nullable=False),
    sa.Column("duration", sa.Float(53), nullable=False),
    sa.Column("words", sa.Text, nullable=True),
    # Each way of sorting ends with what makes it unambiguous. The status stands last, so that the row itself need not be read to skip it.
    sa.Index("vidpipe_search_by_id", "content_id", "version", "status", unique=True),
    sa.Index("vidpipe_search_by_created", "created_at", "content_id", "version", "status"),
    sa.Index("vidpipe_search_by_title", "title_key", "content_id", "version", "status"),
    sa.Index("vidpipe_search_by_duration", "duration", "content_id", "version", "status"),
)
