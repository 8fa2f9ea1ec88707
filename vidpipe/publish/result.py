"""What publishing hands on: segments and other objects as they lie at the target, each with size and hash."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from vidpipe.data import Data, Seconds
from vidpipe.package.result import IFrame


class ObjectEntry(Data):
    """An object as it is stored."""

    size: int = Field(description="Bytes.")
    sha256: str = Field(description="Lower-case hex.")
    content_encoding: Literal["gzip"] | None = Field(default=None, description="How the stored bytes are compressed.")


class PublishedObject(ObjectEntry):
    """An object as it lies at the target, compressed or not. path: relative to the version's prefix."""

    path: str

    @property
    def entry(self) -> ObjectEntry:
        """The same without its path."""
        return ObjectEntry(size=self.size, sha256=self.sha256, content_encoding=self.content_encoding)


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class PublishedSegment:
    """A segment as it lies at the target. size, sha256: of the stored (encrypted) bytes.

    uri: relative to the playlists.  iv: 16 bytes as upper-case hex, None when clear.
    i_frame: None if there is none that a player could read by itself, or it was not noted.

    A dataclass with slots, and not ``Data``, because a title of hours has tens of thousands: it takes a third of the memory.
    """

    rendition: str
    index: int
    uri: str
    start: Seconds
    duration: Seconds
    samples: int
    size: int
    sha256: str
    iv: str | None = None
    key_id: str | None = None
    i_frame: IFrame | None = None

    @property
    def entry(self) -> ObjectEntry:
        """The object that it is."""
        return ObjectEntry(size=self.size, sha256=self.sha256)
