"""Make the address of a title, ``{content_id}/master.m3u8``, play the version that is live.

In:   the catalog, which alone says what is live, and the storage.
Out:  the playlist at the address, read back: the master playlist of the live version, seen from one folder above.
Wrong: NotFlipped (exit code 5) if the target does not take it; CatalogFailed.

It is the only object that is ever written again, so it is small, caches keep it for a minute, and it is written last: what it names was
proven before. Who writes it looks afterwards whether its version is still the live one. So of two publishers at once, or a publisher and a
rollback, the later one wins, whoever writes last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from vidpipe import layout
from vidpipe.catalog.published_at import lies_at
from vidpipe.catalog.record import Record
from vidpipe.cdn.purge import flipped, purge, taken_down
from vidpipe.errors import CatalogFailed, PublishFailed, VidpipeError
from vidpipe.inventory import Inventory, Objects
from vidpipe.manifest.master import write_master
from vidpipe.manifest.relocated import relocated
from vidpipe.progress import Note, Reporter
from vidpipe.publish.delivery import ADDRESS, ADDRESS_SECONDS, delivery
from vidpipe.publish.upload import remove_object
from vidpipe.settings import Settings
from vidpipe.storage.base import Damaged, Storage, get_if_there
from vidpipe.storage.compression import decompressed

if TYPE_CHECKING:
    from vidpipe.catalog.store import Catalog

ATTEMPTS = 3
"""Of writing a playlist that the target does not give back as it was sent."""
ROUNDS = 10
"""Of versions that become live while the one before is written; more would be a fight that nobody wins."""


class NotFlipped(PublishFailed):
    """The catalog says that a version is live, and the address of its title does not play it."""


class Unplayable(PublishFailed):
    """The live version has no master playlist that could be shown at the address."""


def flip(storage: Storage, catalog: Catalog, content_id: str) -> None:
    """Make the address play the live version, or remove it if none is live. Raises NotFlipped."""
    for _ in range(ROUNDS):
        live = _live(storage, catalog, content_id)
        try:
            _write(storage, content_id, live)
        except PublishFailed as problem:
            raise NotFlipped(
                f"{content_id} is live as version {live.version}, but its address does not play that version yet: {problem.what}"
                if live
                else f"{content_id} is no longer live, but its address still plays it: {problem.what}",
                where=storage.location(layout.address(content_id)),
                fix="run the same command again: it only puts the address right",
            ) from problem
        now = _live(storage, catalog, content_id)
        if (now and now.version) == (live and live.version):
            return
    raise NotFlipped(
        f"other versions of {content_id} became live while its address was written, again and again",
        where=storage.location(layout.address(content_id)),
        fix=f"run: vidpipe repair {content_id}",
    )


def is_flipped(storage: Storage, live: Record, known: Objects | None = None) -> bool:
    """Whether the address of a title plays this version. Raises PublishFailed if the target cannot be asked.

    known: the inventory of the version, from which its master playlist follows; without it, that is read.
    """
    if not lies_at(storage, live):
        return True  # it was published somewhere else, and so was its address
    stored = storage.head(layout.address(live.content_id))
    return stored is not None and stored.sha256 == hashlib.sha256(_content(storage, live, known)).hexdigest()


def show(storage: Storage, catalog: Catalog, content_id: str, settings: Settings, reporter: Reporter) -> None:
    """Make the address play the live version, and the CDN, if one is set, forget what it played. Raises NotFlipped."""
    flip(storage, catalog, content_id)
    _purge(content_id, flipped(content_id), settings, reporter, f"its caches forget it within {ADDRESS_SECONDS} s")


def take_down(storage: Storage, catalog: Catalog, content_id: str, settings: Settings, reporter: Reporter) -> None:
    """Remove the address of a title that is live no longer, and make the CDN forget all of it. Raises NotFlipped."""
    flip(storage, catalog, content_id)
    paths = taken_down(content_id)
    _purge(content_id, paths, settings, reporter, f"purge {', '.join(paths)} by hand: segments may be cached for days")


def put_right(
    storage: Storage, catalog: Catalog, live: Record, settings: Settings, reporter: Reporter, known: Objects | None = None
) -> None:
    """Put the address of a title right that does not play its live version: a run was killed before it had, or the target lost it."""
    if not is_flipped(storage, live, known):
        show(storage, catalog, live.content_id, settings, reporter)
        where = storage.location(layout.address(live.content_id))
        text = f"{where} did not play version {live.version} of {live.content_id}, and does now"
        reporter.emit(Note(level="warning", text=text))


def _purge(content_id: str, paths: Sequence[str], settings: Settings, reporter: Reporter, otherwise: str) -> None:
    """Make the CDN forget paths, if one is set. otherwise: what follows if it does not."""
    if settings.cdn is None:
        return
    try:
        purge(settings.cdn, content_id, paths, settings.public_url)
    except VidpipeError as problem:
        reporter.emit(Note(level="warning", text=f"{problem}; {otherwise}"))


def _live(storage: Storage, catalog: Catalog, content_id: str) -> Record | None:
    try:
        found = catalog.live(content_id)
    except CatalogFailed as problem:
        raise NotFlipped(
            f"the catalog cannot be asked which version of {content_id} its address should play: {problem.what}",
            where=storage.location(layout.address(content_id)),
            fix="when the catalog answers again, run the same command again: it only puts the address right",
        ) from problem
    return found[0] if found else None


def _content(storage: Storage, live: Record, known: Objects | None = None) -> bytes:
    if isinstance(known, Inventory):
        written = write_master(known.video, known.audio, known.subtitles)
        if hashlib.sha256(written.encode()).hexdigest() == known.objects[layout.MASTER].sha256:  # not of an older vidpipe, or compressed
            return relocated(written, live.version).encode()
    prefix = layout.version_prefix(live.content_id, live.version)
    try:
        if (stored := get_if_there(storage, f"{prefix}/{layout.MASTER}")) is None:
            raise Unplayable("its master playlist is lost", where=storage.location(prefix), fix="ingest the source again")
        master = decompressed(stored).decode()
    except (Damaged, ValueError) as problem:  # no gzip, no UTF-8
        what, fix = f"its master playlist cannot be read: {problem}", "run the same command again"
        raise Unplayable(what, where=storage.location(prefix), fix=fix) from problem
    return relocated(master, live.version).encode()


def _write(storage: Storage, content_id: str, live: Record | None) -> None:
    path = layout.address(content_id)
    if live is None:
        remove_object(storage, path)
        return
    if not lies_at(storage, live):
        return
    content, sent = _content(storage, live), delivery(layout.MASTER)
    sha256 = hashlib.sha256(content).hexdigest()
    for _ in range(ATTEMPTS):
        storage.put(path, content, content_type=sent.content_type, cache_control=ADDRESS, sha256=sha256)
        with suppress(Damaged):
            storage.get(path, sha256)
            return
    what = "the target gives back other bytes than were sent"
    raise PublishFailed(what, where=storage.location(path), fix="look at what else writes there")
