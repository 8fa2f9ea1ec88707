"""Make the address of a title, ``{content_id}/master.m3u8``, play the version that is live; ``{content_id}/manifest.mpd`` does in DASH.

In:   the catalog, which alone says what is live, and the storage.
Out:  the playlist at the address, read back: the master playlist of the live version, seen from one folder above. Likewise its manifest;
      if the version has none, there is none.
Wrong: NotFlipped (exit code 5) if the target does not take it, Unplayable if the version has lost it; CatalogFailed.

These are the only objects that are ever written again, so they are small, caches keep them for a minute, and they are written last: what
they name was proven before. The playlist, which every title has, comes after the manifest: if it plays a version, the other does,
unless what that has to say is lost.
Who writes them looks afterwards whether their version is still the live one. So of two publishers at once, or a publisher and a rollback,
the later one wins, whoever writes last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from vidpipe import layout
from vidpipe.catalog.published_at import lies_at
from vidpipe.catalog.record import Record
from vidpipe.cdn.purge import flipped, purge, taken_down
from vidpipe.errors import CatalogFailed, PublishFailed, VidpipeError
from vidpipe.inventory import Inventory, Objects
from vidpipe.manifest.manifests import entry_manifest, from_folder_above
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
_BY_ITSELF = f"its caches forget it within {ADDRESS_SECONDS} s"


class NotFlipped(PublishFailed):
    """The catalog says that a version is live, and the address of its title does not play it. changed: the paths that have changed."""

    changed: frozenset[str] = frozenset()


class Unplayable(NotFlipped):
    """The live version has no master playlist, or no DASH manifest, that could be shown at the address."""


def flip(storage: Storage, catalog: Catalog, content_id: str) -> frozenset[str]:
    """Make the address play the live version, or remove it if none is live; return the paths that have changed.

    Raises NotFlipped; Unplayable if only one of its addresses can be right, and then that one is.
    """
    changed: set[str] = set()
    try:
        _flip(storage, catalog, content_id, changed)
    except NotFlipped as problem:
        problem.changed = frozenset(changed)
        raise
    return frozenset(changed)


def is_flipped(storage: Storage, live: Record, known: Objects | None = None) -> bool:
    """Whether the addresses of a title play this version, and there is none that it does not have.

    Raises PublishFailed if the target cannot be asked, Unplayable if what an address has to say is lost and nothing else is wrong.
    known: the inventory of the version, from which its master playlist follows; without it, that is read.
    """
    if not lies_at(storage, live):
        return True  # it was published somewhere else, and so was its address
    unplayable = None
    for path in layout.addresses(live.content_id):
        stored = storage.head(path)
        try:
            wanted = hashlib.sha256(_content(storage, live, path, known)).hexdigest() if path in _played(live) else None
        except Unplayable as problem:
            unplayable = problem
            continue
        if (stored and stored.sha256) != wanted or (stored is None) != (wanted is None):
            return False
    if unplayable:
        raise unplayable
    return True


def show(storage: Storage, catalog: Catalog, content_id: str, settings: Settings, reporter: Reporter) -> None:
    """Make the address play the live version, and the CDN, if one is set, forget what it played. Raises NotFlipped."""
    with _forgotten_at_least(content_id, settings, reporter):
        changed = flip(storage, catalog, content_id)
    paths = flipped(content_id, dash=layout.dash_address(content_id) in changed)
    _purge(content_id, paths, settings, reporter, _BY_ITSELF)


def take_down(storage: Storage, catalog: Catalog, content_id: str, settings: Settings, reporter: Reporter) -> None:
    """Remove the address of a title that is live no longer, and make the CDN forget all of it. Raises NotFlipped."""
    with _forgotten_at_least(content_id, settings, reporter):
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


@contextmanager
def _forgotten_at_least(content_id: str, settings: Settings, reporter: Reporter) -> Iterator[None]:
    """Make the CDN forget what has changed before the rest did not: the next run no longer finds that it has to."""
    try:
        yield
    except NotFlipped as problem:
        if problem.changed:
            _purge(content_id, sorted(problem.changed), settings, reporter, _BY_ITSELF)
        raise


def _purge(content_id: str, paths: Sequence[str], settings: Settings, reporter: Reporter, otherwise: str) -> None:
    """Make the CDN forget paths, if one is set. otherwise: what follows if it does not."""
    if settings.cdn is None:
        return
    try:
        purge(settings.cdn, content_id, paths, settings.public_url)
    except VidpipeError as problem:
        reporter.emit(Note(level="warning", text=f"{problem}; {otherwise}"))


def _flip(storage: Storage, catalog: Catalog, content_id: str, changed: set[str]) -> None:
    """As flip; add the paths that have changed, one by one."""
    for _ in range(ROUNDS):
        live = _live(storage, catalog, content_id)
        try:
            _write(storage, content_id, live, changed)
        except PublishFailed as problem:
            raise (Unplayable if isinstance(problem, Unplayable) else NotFlipped)(
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


def _played(live: Record) -> list[str]:
    """Return the addresses that a version has, in the order in which they are written."""
    dash = layout.dash_address(live.content_id)
    return [path for path in layout.addresses(live.content_id) if live.playback.dash or path != dash]


def _content(storage: Storage, live: Record, path: str, known: Objects | None = None) -> bytes:
    """Return what an address has to say: a manifest of the version, as it reads from the folder above."""
    name = path.rpartition("/")[2]
    if isinstance(known, Inventory):
        written = entry_manifest(known, name)
        if hashlib.sha256(written.encode()).hexdigest() == known.objects[name].sha256:  # not of an older vidpipe, or compressed
            return from_folder_above(name, written, live.version).encode()
    prefix = layout.version_prefix(live.content_id, live.version)
    called = "DASH manifest" if name == layout.MPD else "master playlist"
    try:
        if (stored := get_if_there(storage, f"{prefix}/{name}")) is None:
            raise Unplayable(f"its {called} is lost", where=storage.location(prefix), fix="ingest the source again")
        text = decompressed(stored).decode()
    except (Damaged, ValueError) as problem:  # no gzip, no UTF-8
        what, fix = f"its {called} cannot be read: {problem}", "run the same command again"
        raise Unplayable(what, where=storage.location(prefix), fix=fix) from problem
    return from_folder_above(name, text, live.version).encode()


def _write(storage: Storage, content_id: str, live: Record | None, changed: set[str]) -> None:
    """Write what the live version has, and remove what it has not. What is lost of one address is no reason to leave the other wrong."""
    if live is not None and not lies_at(storage, live):
        return
    played = _played(live) if live is not None else []
    unplayable = None
    for path in layout.addresses(content_id):
        if live is not None and path in played:
            try:
                content = _content(storage, live, path)
            except Unplayable as problem:
                unplayable = problem
                continue
            _put(storage, path, content)
            changed.add(path)
        elif storage.head(path) is not None:
            remove_object(storage, path)
            changed.add(path)
    if unplayable:
        raise unplayable


def _put(storage: Storage, path: str, content: bytes) -> None:
    sent, sha256 = delivery(path), hashlib.sha256(content).hexdigest()
    for _ in range(ATTEMPTS):
        storage.put(path, content, content_type=sent.content_type, cache_control=ADDRESS, sha256=sha256)
        with suppress(Damaged):
            storage.get(path, sha256)
            return
    what = "the target gives back other bytes than were sent"
    raise PublishFailed(what, where=storage.location(path), fix="look at what else writes there")
