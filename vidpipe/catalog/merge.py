"""Add versions that another catalog has exported, or say why they do not fit.

In:   a connection, and versions with their fingerprints.
Out:  what there is to add, and what speaks against it; ``add`` writes it.
Wrong: nothing; what speaks against it is data.

A version that the catalog has already is left alone if it is the same in everything. Nothing is overwritten, and no title changes its live
version: that is what ingests and ``catalog rollback`` are for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sqlalchemy as sa

from vidpipe.catalog.record import STANDING, Record
from vidpipe.catalog.tables import versions
from vidpipe.data import Data


class Exported(Data):
    """A version as it is exported: a line of the file."""

    fingerprint: str
    """Of everything that shapes the title."""
    record: Record


class Difference(Data):
    """What a catalog lacks of some versions. conflicts: a sentence each."""

    new: tuple[Exported, ...]
    unchanged: int
    conflicts: tuple[str, ...]


def compare(connection: sa.Connection, given: Sequence[Exported], read: Callable[[sa.RowMapping], Record]) -> Difference:
    """Compare versions with those of the catalog. read: makes a record of a row."""
    chosen = sa.select(versions).where(versions.c.content_id.in_(sorted({each.record.content_id for each in given})))
    known = {
        (row["content_id"], row["version"]): Exported(fingerprint=row["fingerprint"], record=read(row))
        for row in connection.execute(chosen).mappings()
    }
    standing = {content_id: held.record for (content_id, _), held in known.items() if held.record.status in STANDING}
    new, unchanged, conflicts = [], 0, []
    for each in given:
        record = each.record
        held = known.get((record.content_id, record.version))
        other = standing.get(record.content_id)
        if held is not None and _undated(held) == _undated(each):
            unchanged += 1
        elif held is not None:
            conflicts.append(f"{record.content_id} {record.version}: {_difference(held, each)}")
        elif record.status in STANDING and other is not None:
            here, there = f"{other.version} is {other.status} in the catalog", f"{record.version} is {record.status} in the file"
            conflicts.append(f"{record.content_id}: {here}, {there}")
        else:
            new.append(each)
    return Difference(new=tuple(new), unchanged=unchanged, conflicts=tuple(conflicts))


def add(connection: sa.Connection, new: Sequence[Exported]) -> None:
    """Add versions that the catalog lacks."""
    rows = [
        {
            "content_id": each.record.content_id,
            "version": each.record.version,
            "status": each.record.status,
            "created_at": each.record.created_at.isoformat(),
            "fingerprint": each.fingerprint,
            "record": each.record.model_dump(mode="json"),
        }
        for each in new
    ]
    if rows:
        connection.execute(sa.insert(versions), rows)


def _undated(version: Exported) -> Exported:
    """Return a version without the time at which its status changed, which two catalogs note each for itself."""
    return version.model_copy(update={"record": version.record.model_copy(update={"status_since": None})})


def _difference(held: Exported, given: Exported) -> str:
    ours, theirs = held.record.status, given.record.status
    if ours != theirs:
        return f"{ours} in the catalog, {theirs} in the file"
    return "the catalog has it with another record" if held.record != given.record else "the catalog has it with another fingerprint"
