"""The versions of one title, inside a transaction: what the rules of states.py read and change.

In:   a connection in a transaction that no other writer of the title shares.
Out:  statuses; other ones, lines added and removed.
Wrong: what SQLAlchemy raises; the store translates it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import sqlalchemy as sa

from vidpipe.catalog.record import STANDING, Record, Status
from vidpipe.catalog.tables import versions


class TitleRows:
    """The versions of one title inside a transaction. where: of the catalog, for messages."""

    def __init__(self, connection: sa.Connection, content_id: str, where: str) -> None:
        self.connection = connection
        self.content_id = content_id
        self.where = where

    @property
    def statuses(self) -> Mapping[str, Status]:
        """The status of each version by its id."""
        chosen = sa.select(versions.c.version, versions.c.status).where(versions.c.content_id == self.content_id)
        return {row.version: row.status for row in self.connection.execute(chosen)}

    @property
    def standing(self) -> str | None:
        """The version that is live or withdrawn, if there is one."""
        return next((version for version, status in self.statuses.items() if status in STANDING), None)

    def set_status(self, version: str, status: Status) -> None:
        """Give a version another status, from now on."""
        one = is_version(self.content_id, version)
        kept = self.connection.execute(sa.select(versions.c.record).where(one)).scalar()
        since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        # What somebody has damaged stays as it is.
        changes = {"record": {**kept, "status_since": since}} if isinstance(kept, dict) else {}
        self.connection.execute(sa.update(versions).where(one).values(status=status, **changes))

    def add(self, record: Record, fingerprint: str, status: Status) -> None:
        """Add the line of a version."""
        self.connection.execute(
            sa.insert(versions).values(
                content_id=record.content_id,
                version=record.version,
                status=status,
                created_at=record.created_at.isoformat(),
                fingerprint=fingerprint,
                record=record.model_dump(mode="json"),
            )
        )

    def remove(self, version: str) -> None:
        """Remove the line of a version."""
        self.connection.execute(sa.delete(versions).where(is_version(self.content_id, version)))


def is_version(content_id: str, version: str) -> sa.ColumnElement[bool]:
    """Return the condition that chooses one version."""
    return (versions.c.content_id == content_id) & (versions.c.version == version)
