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
