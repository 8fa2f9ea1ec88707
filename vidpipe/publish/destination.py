"""Where one version goes, and what protects it.

In:   a storage, the ids of the version, its protection.
Out:  its objects below its own prefix, its segments protected.
Wrong: PublishFailed from the storage; UsageError for a key that the key store does not have.
"""

from __future__ import annotations

from dataclasses import dataclass

from vidpipe import layout
from vidpipe.package.containers import Container
from vidpipe.package.containers.cmaf import Cmaf
from vidpipe.package.cut import Cut
from vidpipe.package.init import InitSection
from vidpipe.progress import Reporter
from vidpipe.protect.key_source import KeySource
from vidpipe.protect.key_store import ContentKey
from vidpipe.protect.protection import Protection
from vidpipe.protect.result import ProtectedSegment
from vidpipe.publish.copies import Shared
from vidpipe.publish.result import PublishedObject
from vidpipe.publish.upload import Kept, publish_object
from vidpipe.storage.base import Storage


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a version goes.

    source: where its keys come from, and are asked for again by the verification.
    gzip: store playlists compressed.
    shared: another version at the same storage; what is the same there is copied.
    kept: what of this very version lies there already, and is not sent; None while it is made for the first time.
    """

    storage: Storage
    content_id: str
    version: str
    source: KeySource
    protection: Protection
    gzip: bool
    shared: Shared | None = None
    kept: Kept | None = None

    @property
    def prefix(self) -> str:
        """Path of the version at the storage."""
        return layout.version_prefix(self.content_id, self.version)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the keys that players need."""
        return self.protection.keys.ids

    def key_for(self, key_id: str) -> ContentKey:
        """Return the key as its source gives it again, so that the verification proves that the source can answer."""
        return self.source.get(key_id)

    def protect(self, cut: Cut, container: Container) -> ProtectedSegment:
        """Return a cut as it will lie at the storage."""
        return self.protection.seal(cut, container)

    def header(self, init: InitSection, first: int = 0) -> bytes:
        """Return the init section of a track as it will lie at the storage. first: the segment from which on it is played with."""
        return self.protection.header(init.facts, Cmaf(init), first) or b""

    def put(self, path: str, data: bytes, reporter: Reporter) -> PublishedObject:
        """Publish an object that is no segment. path: below the version."""
        shared, kept = self.shared, self.kept
        return publish_object(self.storage, self.prefix, path, data, reporter=reporter, gzip=self.gzip, shared=shared, kept=kept)

    def location(self, path: str) -> str:
        """Return path or URL of an object. path: below the version."""
        return self.storage.location(f"{self.prefix}/{path}")
