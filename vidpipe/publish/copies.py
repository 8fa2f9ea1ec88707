"""Share objects with another version at the same target: what is the same there is copied inside it, and never sent.

In:   a Storage, the prefix of the other version and the sizes and hashes of its objects.
Out:  objects below the prefix of the new version.
Wrong: PublishFailed from the storage, Interrupted on cancel. An object that is no longer there, or that the target does not copy, is no
       error: whoever asked for the copy makes it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from vidpipe.progress import Copied, Reporter
from vidpipe.publish.delivery import delivery
from vidpipe.publish.parallel import in_parallel
from vidpipe.publish.result import ObjectEntry
from vidpipe.storage.base import Readable, Storage, Stored


@dataclass(frozen=True)
class Shared:
    """Another version at the same target. entries: its objects by path, below its prefix.

    copied: paths of the objects that were copied from it so far.
    """

    storage: Storage
    prefix: str
    entries: Mapping[str, ObjectEntry]
    copied: set[str] = field(default_factory=set)

    def copy(self, prefix: str, path: str, size: int, sha256: str, content_encoding: str | None = None) -> bool:
        """Copy an object from the same place of the other version if it is the same there. False if its bytes have to be sent.

        What came is compared with what is wanted, headers too: they may have been others when that version was made.
        """
        known = self.entries.get(path)
        if known is None or (known.size, known.sha256, known.content_encoding) != (size, sha256, content_encoding):
            return False
        target = f"{prefix}/{path}"
        if not self.storage.copy(f"{self.prefix}/{path}", target, size=size):
            return False
        stored = self.storage.head(target)
        if stored is None or (stored.size, stored.sha256) != (size, sha256):
            return False
        if not has_headers(self.storage, stored, path, content_encoding):
            return False
        self.copied.add(path)
        return True

    def copy_all(
        self, prefix: str, moves: Mapping[str, str], *, reporter: Reporter, cancel: threading.Event, workers: int
    ) -> frozenset[str]:
        """Copy objects without looking at them. moves: path below ``prefix`` -> path in the other version.

        Return the paths of those that cannot be copied. What came of the others is for the verification to say.
        """

        def one(path: str) -> str | None:
            known = self.entries.get(moves[path])
            if known is None or not self.storage.copy(f"{self.prefix}/{moves[path]}", f"{prefix}/{path}", size=known.size):
                return path
            self.copied.add(path)
            reporter.emit(Copied(path=path, bytes=known.size))
            return None

        done = in_parallel(sorted(moves), one, cancel=cancel, workers=workers)
        return frozenset(path for path in done if path is not None)


def has_headers(storage: Readable, stored: Stored, path: str, content_encoding: str | None) -> bool:
    """Return whether an object has the headers that it would be sent with today. A target that keeps none has none to be wrong."""
    if not storage.keeps_headers:
        return True
    wanted = delivery(path)
    return (stored.content_type, stored.cache_control, stored.content_encoding) == (
        wanted.content_type,
        wanted.cache_control,
        content_encoding,
    )
