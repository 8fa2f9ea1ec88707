"""Export the versions of a catalog, and import them into another one: JSON Lines, one version a line.

In:   a catalog; a file of lines such as {"fingerprint": "...", "record": {...}}, in which the record has its present status.
Out:  such lines; or the versions in the catalog, and how many were new.
Wrong: UsageError for a line that is no exported version; CatalogFailed where a version contradicts the catalog.

The whole file is read and compared before anything is written. Then some hundred versions are written in each transaction, so that nobody
who publishes meanwhile waits for long; what has been written is found unchanged when the same import runs again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import BinaryIO

from pydantic import ValidationError

from vidpipe.catalog.index import BATCH
from vidpipe.catalog.merge import Exported
from vidpipe.catalog.record import STANDING
from vidpipe.catalog.search import Query
from vidpipe.catalog.store import Catalog
from vidpipe.data import Data
from vidpipe.errors import CatalogFailed, UsageError

MOST_SHOWN = 10
"""Conflicts in a message."""


class Imported(Data):
    """What an import did, or would do. Versions."""

    added: int
    unchanged: int
    """The catalog had them."""


def exported(catalog: Catalog, query: Query) -> Iterator[str]:
    """Yield a line for each version that a query finds, without its line end."""
    for record, fingerprint in catalog.each(query):
        yield json.dumps(Exported(fingerprint=fingerprint, record=record).model_dump(mode="json"))  # ASCII: it passes through any pipe


def import_lines(catalog: Catalog, file: BinaryIO, *, name: str, dry_run: bool = False) -> Imported:
    """Import a file, which has to be seekable. name: of the file, for messages."""
    added = unchanged = 0
    conflicts: list[str] = []
    for batch in _batches(file, name):
        found = catalog.difference(batch)
        added, unchanged = added + len(found.new), unchanged + found.unchanged
        conflicts += found.conflicts
    if conflicts:
        more = [f"and {len(conflicts) - MOST_SHOWN} more"] if len(conflicts) > MOST_SHOWN else []
        raise CatalogFailed(
            f"{len(conflicts)} versions of {name} contradict the catalog; nothing was imported" if len(conflicts) > 1
            else f"a version of {name} contradicts the catalog; nothing was imported",
            where=catalog.where,
            fix="import into a new catalog (another --home), or leave these titles out of the export",
            details=[*conflicts[:MOST_SHOWN], *more],
        )  # fmt: skip
    if not dry_run:
        file.seek(0)
        for batch in _batches(file, name):
            catalog.add(batch)
    return Imported(added=added, unchanged=unchanged)


def _batches(file: BinaryIO, name: str) -> Iterator[list[Exported]]:
    """Yield what the lines hold, all versions of a title together where the file has them together."""
    seen: dict[tuple[str, str], int] = {}
    live: dict[str, int] = {}
    batch: list[Exported] = []
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            read = Exported.model_validate_json(line)
        except ValidationError as problem:
            first = problem.errors()[0]
            raise UsageError(
                f"not an exported version: {'.'.join(map(str, first['loc'])) or 'the line'}: {first['msg']}",
                where=name,
                line=number,
                fix="give a file that vidpipe catalog export has written, whole; one of a newer vidpipe needs that vidpipe",
            ) from problem
        record = read.record
        earlier = seen.setdefault((record.content_id, record.version), number)
        if earlier == number and record.status in STANDING:
            earlier = live.setdefault(record.content_id, number)
        if earlier != number:
            raise UsageError(
                f"{record.content_id} {record.version} is in line {earlier} already, or is live there in another version",
                where=name,
                line=number,
                fix="delete one of the two lines",
            )
        if len(batch) >= BATCH and record.content_id != batch[-1].record.content_id:
            yield batch
            batch = []
        batch.append(read)
    if batch:
        yield batch
