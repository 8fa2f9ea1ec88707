"""The catalog: record.py is the published contract, store.py keeps it in SQLite or PostgreSQL. SQLAlchemy is imported only to open one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vidpipe.catalog.store import Catalog


def open_catalog(where: str | Path) -> Catalog:
    """Open the catalog in a file (SQLite) or at a database URL. Nothing is created or contacted yet.  Raises UsageError."""
    from vidpipe.catalog.store import Catalog

    return Catalog(where)
