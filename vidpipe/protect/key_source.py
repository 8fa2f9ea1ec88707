"""Where the keys of a title come from, and which one protects what.

In:   the tracks of a title, and ids that were written down before (``pipeline/versions.py``: the note comes first, so that no key is lost).
Out:  a KeySet: for each segment of each track its key.
Wrong: UsageError from the source: a key that is unknown, altered, or wrapped with another master key.

A key has a use: some tracks, from one segment on until the next use of those tracks begins (``key_uses.py``). The local key store is one
KeySource; a key service is another.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import Field

from vidpipe.data import Data
from vidpipe.protect.key_store import ContentKey, KeyStore
from vidpipe.protect.key_uses import KeyUse


class DrmSignal(Data):
    """What a DRM system wants manifests to say of a key. Public. All are base64, as a key server gives them."""

    key_id: str
    system_id: str = Field(description="UUID of the DRM system, lower-case.")
    pssh: str | None = Field(default=None, description="Whole pssh boxes, mostly one.")
    content_protection: str | None = Field(default=None, description="XML: elements of ContentProtection in DASH.")
    hls_media: str | None = Field(default=None, description="Text: tags of a media playlist, such as EXT-X-KEY.")
    hls_master: str | None = Field(default=None, description="Text: tags of the master playlist, such as EXT-X-SESSION-KEY.")


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of one version.

    uses: in rising order of their first segments.  keys: one for each use.  signals: what DRM systems want to be said of them.
    """

    uses: tuple[KeyUse, ...] = ()
    keys: tuple[ContentKey, ...] = ()
    signals: tuple[DrmSignal, ...] = ()

    def __post_init__(self) -> None:
        if len(self.keys) != len(self.uses):
            raise ValueError(f"{len(self.keys)} keys for {len(self.uses)} uses")

    def of(self, track: str, index: int = 0) -> ContentKey | None:
        """Return the key of a segment of a track; None if it is left clear."""
        begun = bisect.bisect_right(self.uses, index, key=lambda use: use.first)  # a title of hours has many, and more segments
        return next((self.keys[at] for at in reversed(range(begun)) if self.uses[at].covers(track, index)), None)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the keys, each once."""
        return tuple(dict.fromkeys(key.key_id for key in self.keys))


NO_KEYS = KeySet()


class KeySource(Protocol):
    """Gives keys. Safe for several threads."""

    def keys(self, content_id: str, uses: Sequence[KeyUse], ids: Sequence[str]) -> KeySet:
        """Return the keys of a title, making those that do not exist yet. ids: one for each use."""

    def get(self, key_id: str) -> ContentKey:
        """Return one key that exists."""

    def remove(self, key_id: str) -> None:
        """Forget the key of a version that was never published. Nothing there is no error."""


def existing(source: KeySource, uses: Sequence[KeyUse], ids: Sequence[str]) -> KeySet:
    """Return the keys of a version that was made before. Raises UsageError if one of them is not to be had."""
    return KeySet(tuple(uses), tuple(source.get(key_id) for key_id in ids))


@dataclass(frozen=True, slots=True)
class LocalKeys:
    """The KeySource that is the local key store."""

    store: KeyStore

    def keys(self, content_id: str, uses: Sequence[KeyUse], ids: Sequence[str]) -> KeySet:
        """See KeySource."""
        found = [self.store.get(key_id) if self.store.holds(key_id) else self.store.create(content_id, key_id) for key_id in ids]
        return KeySet(tuple(uses), tuple(found))

    def get(self, key_id: str) -> ContentKey:
        """See KeySource."""
        return self.store.get(key_id)

    def remove(self, key_id: str) -> None:
        """See KeySource."""
        self.store.remove(key_id)
