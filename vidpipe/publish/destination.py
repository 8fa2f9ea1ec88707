"""Where one version goes, and what protects it.

In:   a storage, the ids of the version, its key.
Out:  its objects below its own prefix, its segments encrypted or clear.
Wrong: PublishFailed from the storage; UsageError for a key that the key store does not have.
"""

from __future__ import annotations

from dataclasses import dataclass

from vidpipe import layout
from vidpipe.package.result import Segment
from vidpipe.progress import Reporter
from vidpipe.protect.key_store import ContentKey, KeyStore
from vidpipe.protect.result import ProtectedSegment
from vidpipe.protect.segments import clear, encrypt
from vidpipe.publish.upload import PublishedObject, publish_object
from vidpipe.storage.base import Storage


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a version goes.

    keys: the key store.
    key: None leaves the segments clear.
    gzip: store playlists compressed.
    """

    storage: Storage
    content_id: str
    version: str
    keys: KeyStore
    key: ContentKey | None
    gzip: bool

    @property
    def prefix(self) -> str:
        """Path of the version at the storage."""
        return layout.version_prefix(self.content_id, self.version)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the keys that players need."""
        return (self.key.key_id,) if self.key else ()

    def key_for(self, key_id: str) -> ContentKey:
        """Return the key as the key store gives it back, so that the verification proves that the store can answer."""
        return self.keys.get(key_id)

    def protect(self, segment: Segment) -> ProtectedSegment:
        """Encrypt a segment, or leave it as it is."""
        return clear(segment) if self.key is None else encrypt(segment, self.key)

    def put(self, path: str, data: bytes, reporter: Reporter) -> PublishedObject:
        """Publish an object that is no segment. path: below the version."""
        return publish_object(self.storage, self.prefix, path, data, reporter=reporter, gzip=self.gzip)

    def location(self, path: str) -> str:
        """Return path or URL of an object. path: below the version."""
        return self.storage.location(f"{self.prefix}/{path}")
