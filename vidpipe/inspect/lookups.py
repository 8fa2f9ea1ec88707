"""Look for what a manifest names: whether it is there, how large it is, and whether the inventory says the same.

In:   URIs, with the lines that name them.
Out:  sizes; what is missing or different, in sentences; what was not looked at, and why.
Wrong: nothing.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from vidpipe.inspect.location import Elsewhere, Forbidden, Package, Unreachable
from vidpipe.layout import MASTER
from vidpipe.manifest.parse import ByteRange, Entry, Key, Map
from vidpipe.manifest.relocated import relocated
from vidpipe.publish.result import ObjectEntry


@dataclass(frozen=True)
class Look:
    """Where to look. held: key ids that a key store answers for, so they lie in no folder.

    known: what an inventory says of each object, by path in the version.
    folder: of the version, "" if it is the one of the playlist that was opened; the address of a title lies above.
    """

    package: Package
    held: tuple[str, ...]
    known: Mapping[str, ObjectEntry]
    folder: str = ""

    def address(self, version: str, data: bytes, name: str = MASTER, moved: Callable[[str, str], str] = relocated) -> tuple[str, ...]:
        """Compare the address of a title with the manifest of the version that it plays. moved: (text, folder) -> as it reads there."""
        what = "master playlist" if name == MASTER else "manifest"
        if not self.known:
            return ()
        try:
            published = self.package.read(urljoin(version, name))
        except Unreachable as error:
            return (f"the {what} of the version that it plays: {error}",)
        if moved(published.decode("utf-8", "replace"), self.folder.rstrip("/")).encode() == data:
            return ()
        return (f"it does not say what the {what} of the version that it plays says",)

    def differences(self, uri: str, data: bytes) -> tuple[str, ...]:
        """Compare a playlist with the inventory; one that is stored compressed was unpacked, and says nothing."""
        entry = self.known.get(uri.removeprefix(self.folder))
        if entry is None or entry.content_encoding or hashlib.sha256(data).hexdigest() == entry.sha256:
            return ()
        return ("it is not the playlist that was published: the inventory has another hash",)


class Lookups:
    """Looks for the objects of one playlist. What is alike is said once, with the number of objects that it is true of."""

    def __init__(self, look: Look, playlist: str) -> None:
        self._look, self._playlist = look, playlist
        self._sizes: dict[str, int | None] = {}
        self._missing: list[str] = []
        self._other: list[str] = []
        self._elsewhere: Counter[str] = Counter()
        self._unasked = 0
        self._remarks: list[str] = []

    @property
    def problems(self) -> tuple[str, ...]:
        """What is missing, and what is not as it was published: the first one of each."""
        return tuple(
            kind[0] + (f" ({len(kind) - 1} more like this)" if kind[1:] else "") for kind in (self._missing, self._other) if kind
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What was not looked at."""
        notes = [f"{count} of its objects were not checked: {where}" for where, count in self._elsewhere.items()]
        if self._unasked:
            notes.append(f"{self._unasked} of its segments were not requested")
        return (*notes, *self._remarks)

    def init(self, init: Map) -> None:
        """Look for an init section."""
        self.named(init.uri, init.line, "init section ", init.byte_range)

    def named(self, uri: str, line: int, what: str, part: ByteRange | None = None) -> None:
        """Look for an object that is no segment. what: it is called."""
        self._within(uri, line, what, part)

    def key(self, key: Key) -> None:
        """Look for a key, unless a key store or a system of digital rights answers for it."""
        if key.uri is None or key.keyformat != "identity" or _scheme(key.uri) not in ("", "http", "https"):
            return
        if any(key_id in key.uri for key_id in self._look.held):
            return
        try:
            self._size(key.uri)
        except Elsewhere as error:
            self._elsewhere[str(error)] += 1
        except Forbidden as error:
            self._remarks.append(f"line {key.line}: key {key.uri}: {error}")
        except Unreachable as error:
            self._missing.append(f"line {key.line}: key {key.uri}: {error}")

    def segments(self, entries: Sequence[Entry]) -> list[int]:
        """Return the sizes of the segments that are there and can be known, in bytes."""
        return self.objects([(entry.uri, entry.line, entry.byte_range) for entry in entries if not entry.gap])

    def objects(self, asked: Sequence[tuple[str, int, ByteRange | None]]) -> list[int]:
        """Return the sizes of objects, each with the line that names it and the part of it that is meant, as ``segments`` does."""
        sizes: list[int] = []
        most = self._look.package.most_asked
        if most is not None and len(asked) > most:
            chosen = {round(number * (len(asked) - 1) / (most - 1)) for number in range(most)}
            self._unasked = len(asked) - len(chosen)
            asked = [one for number, one in enumerate(asked) if number in chosen]
        for uri, line, part in asked:
            size = self._within(uri, line, "", part)
            sizes += [size] if size is not None else []
        return sizes

    def _within(self, uri: str, line: int, what: str, part: ByteRange | None) -> int | None:
        """Return the bytes of a resource, or of the part of it, None if they are not known."""
        try:
            size = self._size(uri)
        except Elsewhere as error:
            self._elsewhere[str(error)] += 1
            return None
        except Unreachable as error:
            self._missing.append(f"line {line}: {what}{uri}: {error}")
            return None
        known = self._look.known.get(uri.removeprefix(self._look.folder))
        if known and size not in (None, known.size):
            self._other.append(f"line {line}: {what}{uri}: it has {size} bytes; the inventory says {known.size}")
        if part is None:
            return size
        if size is not None and part.offset + part.length > size:
            self._missing.append(f"line {line}: {what}{uri}: it ends at byte {size}, its range at {part.offset + part.length}")
            return None
        return part.length

    def _size(self, uri: str) -> int | None:
        if uri not in self._sizes:
            self._sizes[uri] = self._look.package.size(uri, self._playlist)
        return self._sizes[uri]


def _scheme(uri: str) -> str:
    try:
        return urlsplit(uri).scheme
    except ValueError:
        return ""
