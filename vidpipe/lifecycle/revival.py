"""Make a version live that was live before: prove it, then flip the catalog. What ``rollback`` and ``restore`` have in common.

In:   the record of the version, and the one that stands in its place.
Out:  Revival.
Wrong: whatever the proof raises: then nothing has changed; CatalogFailed if another command has changed the title meanwhile.
"""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

from vidpipe.catalog.published_at import storage_of
from vidpipe.catalog.record import Record
from vidpipe.catalog.states import make_live
from vidpipe.data import Data
from vidpipe.lifecycle.proving import ProvenVersion, prove
from vidpipe.pipeline.address import NotFlipped, put_right, show
from vidpipe.pipeline.key_access import key_store
from vidpipe.pipeline.making import stop_if
from vidpipe.progress import LAST_STAGE, Live, Reporter, RunReporter, Silent, Stages
from vidpipe.settings import Settings

if TYPE_CHECKING:
    from vidpipe.catalog.store import Catalog


class Revival(Data):
    """What became live. record: of that version, as the catalog has it now.  replaced: of the one that stood there before, if any.

    proof: None if nothing was done.  unchanged: it was live already.  dry_run: nothing was done; ``record`` would become live.
    """

    record: Record
    replaced: Record | None
    proof: ProvenVersion | None = None
    unchanged: bool = False
    dry_run: bool = False


def revive(
    catalog: Catalog, record: Record, standing: Record | None, settings: Settings, reporter: Reporter | None, cancel: threading.Event | None
) -> Revival:
    """Prove a version and make it live. standing: the live or withdrawn version of the title, as this was decided."""
    cancel = cancel or threading.Event()
    stages = Stages(RunReporter(reporter or Silent(), record.content_id))
    keys = key_store(settings)
    with closing(storage_of(record)) as storage:
        with stages("verify"):
            proof = prove(record, storage, keys, reporter=stages.reporter, cancel=cancel)
        with stages(LAST_STAGE):
            stop_if(cancel)  # asked when the stage has begun: no later signal stops it
            catalog.change(record.content_id, make_live(record.version, instead_of=standing))
            try:
                show(storage, catalog, record.content_id, settings, stages.reporter)
            except NotFlipped as problem:  # the same command without a version would go back once more
                problem.fix = f"run: vidpipe catalog rollback {record.content_id} {record.version}; it only puts the address right"
                raise
    stages.reporter.emit(live_event(record))
    after = {known.version: known for known in catalog.versions(record.content_id)}
    replaced = standing and after.get(standing.version, standing)
    return Revival(record=after.get(record.version, record), replaced=None if standing == record else replaced, proof=proof)


def confirmed(catalog: Catalog, live: Record, settings: Settings, reporter: Reporter | None, *, dry_run: bool) -> Revival:
    """Return that a version is live already. Its address is put right if it plays another one."""
    if not dry_run:
        with closing(storage_of(live)) as storage:
            put_right(storage, catalog, live, settings, RunReporter(reporter or Silent(), live.content_id))
    return Revival(record=live, replaced=None, unchanged=True, dry_run=dry_run)


def live_event(record: Record) -> Live:
    """Return the event that a version is live."""
    playback = record.playback
    return Live(version=record.version, manifest=playback.hls, url=playback.url, title_url=playback.title_url)
