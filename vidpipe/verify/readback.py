"""The version at the target, as the verification sees it: reads objects, opens segments, and words the differences.

In:   a Storage and the prefix of the version.
Out:  bytes, compared with what was sent; segments decrypted.
Wrong: VerificationFailed naming the object, what was expected and what was found; PublishFailed if the target cannot be asked, which
       proves nothing against what lies there; Interrupted on cancel.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from vidpipe.diagnostics import Diagnostic
from vidpipe.errors import Interrupted, VerificationFailed
from vidpipe.publish.copies import has_headers
from vidpipe.publish.delivery import delivery
from vidpipe.publish.result import ObjectEntry, PublishedSegment
from vidpipe.storage.base import Damaged, Readable, get_if_there
from vidpipe.storage.compression import decompressed

if TYPE_CHECKING:
    from vidpipe.protect.key_store import ContentKey
    from vidpipe.protect.schemes import Scheme

_FRACTION = re.compile(r"Fraction\((-?\d+), (\d+)\)")
_FIX = "nothing was published; run the same command again; if it fails again, check what else writes to the target"


class Readback:
    """The version at the target: reads objects, and words the differences. on_bytes: called with the size of each, from any thread."""

    def __init__(
        self,
        storage: Readable,
        prefix: str,
        cancel: threading.Event,
        on_bytes: Callable[[int], None] | None = None,
        *,
        headers: bool = True,
    ) -> None:
        self._headers = headers
        self._storage = storage
        self._prefix = prefix
        self.cancel = cancel
        self._on_bytes = on_bytes

    def read(self, path: str, size: int, sha256: str) -> bytes:
        """Read an object and compare it with what was sent."""
        self._stop()
        try:
            data = get_if_there(self._storage, f"{self._prefix}/{path}", sha256, size=size)
        except Damaged as error:
            if error.size != size:
                what = "the stored object has another size than was sent"
                raise self.wrong(path, what, f"{size} bytes", f"{error.size} bytes") from error
            what = "the stored bytes are not those that were sent"
            raise self.wrong(path, what, f"SHA-256 {sha256}", f"SHA-256 {error.sha256}") from error
        if data is None:
            raise self.wrong(path, "the object cannot be read back: there is none", f"{size} bytes", "nothing")
        if self._on_bytes:
            self._on_bytes(size)
        return data

    def keep(self, path: str, entry: ObjectEntry, *, keep: bool) -> tuple[str, bytes]:
        """Read and check an object; return its path and, if they are needed later, its bytes, unpacked."""
        data = self.read(path, entry.size, entry.sha256)
        if entry.content_encoding is not None:
            stored = self._storage.head(f"{self._prefix}/{path}")
            # without it, players take the compressed bytes for the playlist
            self.same(path, "the header Content-Encoding", entry.content_encoding, stored.content_encoding if stored else None)
            data = decompressed(data)
        return path, data if keep else b""

    def compare(self, path: str, entry: ObjectEntry) -> None:
        """Compare what the target states of a copy with what was proven: size, hash, and the headers that it has to be sent with."""
        self._stop()
        stored = self._storage.head(f"{self._prefix}/{path}")
        found = (stored.size, stored.sha256) if stored else None
        if found != (entry.size, entry.sha256):
            raise self.wrong(path, "the copied object is not the one that was verified", (entry.size, entry.sha256), found)
        if stored and self._headers and not has_headers(self._storage, stored, path, entry.content_encoding):
            headers = stored.model_dump(include={"content_type", "cache_control", "content_encoding"})
            raise self.wrong(path, "the copied object has other headers", delivery(path), headers)

    def wrong(self, path: str, what: str, expected: object, found: object) -> VerificationFailed:
        """Return the error for a difference."""
        where = self._storage.location(f"{self._prefix}/{path}")
        id_, measured, limit = VerificationFailed.id, _in_words(found), _in_words(expected)
        as_data = Diagnostic(id=id_, severity="error", message=what, measured=measured, limit=limit, advice=_FIX)
        details = (f"expected: {limit}", f"found: {measured}")
        return VerificationFailed(what, where=where, details=details, fix=_FIX, found=[as_data])

    def same(self, path: str, what: str, expected: object, found: object) -> None:
        """Raise unless what was found equals what was expected."""
        if expected != found:
            raise self.wrong(path, f"{what} is wrong", expected, found)

    def _stop(self) -> None:
        if self.cancel.is_set():
            raise Interrupted("stopped while verifying", fix="run the same command again to continue")

    def opened(
        self,
        segment: PublishedSegment,
        scheme: Scheme,
        keys: dict[str, ContentKey],
        clear: tuple[str, Callable[[bytes], bool]],
        look: Callable[[bytes], None] | None = None,
    ) -> bytes:
        """Read a segment back and decrypt it if it has a key.

        scheme: what protects it.  clear: what a clear one is called, and what shows it.  look: at the bytes of an encrypted one.
        """
        name, is_clear = clear
        data = self.read(segment.uri, segment.size, segment.sha256)
        if segment.key_id is None:
            if not is_clear(data):
                raise self.wrong(segment.uri, "the segment is of the wrong kind", name, repr(data[:8]))
            return data
        if scheme.ivs == "segment" and is_clear(data):
            raise self.wrong(segment.uri, "the segment is not encrypted", scheme.name, f"clear: {name}")
        if look is not None:
            look(data)
        try:
            return scheme.open(data, keys[segment.key_id].key, bytes.fromhex(segment.iv) if segment.iv else None)
        except VerificationFailed as error:
            raise self.wrong(segment.uri, error.what, f"a segment under key {segment.key_id}", "other bytes") from error


def _in_words(value: object) -> str:
    """Return a value as people read it: times and rates within lists as fractions, too."""
    return _FRACTION.sub(lambda found: str(Fraction(int(found[1]), int(found[2]))), str(value))


def keys_of(segments: Sequence[PublishedSegment], key_for: Callable[[str], ContentKey]) -> dict[str, ContentKey]:
    """Return key id -> content key for all segments of a track."""
    return {key_id: key_for(key_id) for key_id in dict.fromkeys(segment.key_id for segment in segments) if key_id}
