"""Write a media playlist with the m3u8 package: one rendition, its init section (subtitles have none), its keys and its segments.

In:   the segments as they lie at the target, with exact durations.
Out:  the whole text of the playlist.
Wrong: ValueError for segments that do not fit (a gap in the order, a duration above the target); these are bugs of the caller.

m3u8 renders every tag; two of its habits are worked around here, because both break players:
- it writes EXT-X-KEY before EXT-X-MAP, which declares the init section encrypted; ours is clear, so MAP goes first (HLS-MAP-005);
- it writes 1E-7 and thirds with 16 digits; durations are cut to microseconds before they reach it (HLS-ATTR-005).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import m3u8

from vidpipe.inventory.times import extinf, whole_seconds
from vidpipe.manifest.grammar import uri
from vidpipe.publish.result import PublishedSegment

FIRST_SEQUENCE = 1
"""EXT-X-MEDIA-SEQUENCE: the first segment is 00001.m4s and its moof says 1."""

FMP4_VERSION = 6
"""EXT-X-MAP outside I-frame playlists needs protocol version 6; nothing else that is written here needs more (HLS-VER-006, -008)."""

TEXT_VERSION = 3
"""Without EXT-X-MAP, durations with decimals need this (HLS-VER-003); IV needs less."""


def write_media(
    segments: Sequence[PublishedSegment],
    *,
    init_uri: str | None,
    method: str | None = None,
    key_uri: Callable[[str], str] | None = None,
    target_duration: int,
) -> str:
    """Return the text of a finished (VOD) media playlist.

    init_uri: of the clear init section, relative to the playlist; None for subtitles, which have none.
    method: METHOD of EXT-X-KEY, as the protection scheme has it.  key_uri: key id -> URI for EXT-X-KEY; None when no segment is encrypted.
    target_duration: seconds, the same for all playlists of the title (see ``measure.target_duration``).
    """
    if not segments:
        raise ValueError("a media playlist needs a segment")
    playlist = m3u8.M3U8()
    playlist.version = FMP4_VERSION if init_uri else text_version(extinf(segments), target_duration)
    playlist.target_duration = target_duration
    playlist.media_sequence = FIRST_SEQUENCE
    playlist.playlist_type = "VOD"
    playlist.is_endlist = True
    init_section = m3u8.model.InitializationSection(None, uri(init_uri)) if init_uri else None
    for position, (segment, duration) in enumerate(zip(segments, extinf(segments), strict=True)):
        if segment.index != position:
            raise ValueError(f"segment {segment.index} of {segment.rendition} stands at position {position}")
        if duration <= 0 or whole_seconds(Fraction(duration)) > target_duration:
            raise ValueError(f"segment {segment.index} of {segment.rendition} lasts {duration} s; the target is {target_duration} s")
        rendered = m3u8.Segment(uri=uri(segment.uri), duration=duration, keyobject=_key(segment, method, key_uri))
        playlist.segments.append(_Segment(rendered, init_section if position == 0 else None))
    text: str = playlist.dumps(infspec="microseconds")
    return text


def text_version(durations: Sequence[Decimal], target_duration: int) -> int:
    """Return EXT-X-VERSION of a subtitle playlist: before 6 no segment may be longer than the target by any fraction (HLS-VER-010)."""
    return FMP4_VERSION if max(durations) > target_duration else TEXT_VERSION


def _key(segment: PublishedSegment, method: str | None, key_uri: Callable[[str], str] | None) -> Any:
    if segment.key_id is None:
        if key_uri is not None:
            raise ValueError(f"segment {segment.index} of {segment.rendition} has no key in an encrypted playlist")
        return None
    if method is None or key_uri is None or segment.iv is None or len(segment.iv) != 32:
        raise ValueError(f"segment {segment.index} of {segment.rendition} is encrypted but its key URI or IV is missing")
    return m3u8.model.Key(method=method, base_uri=None, uri=uri(key_uri(segment.key_id)), iv=f"0x{segment.iv.upper()}")


class _Segment:
    """An m3u8 segment that is written with its EXT-X-MAP before its EXT-X-KEY."""

    def __init__(self, segment: Any, init_section: Any | None) -> None:
        self._segment = segment
        self._init_section = init_section

    @property
    def key(self) -> Any:
        return self._segment.key

    @property
    def init_section(self) -> None:
        """None: m3u8 must not write the tag a second time."""

    def dumps(self, last_segment: _Segment | None, timespec: str, infspec: str) -> str:
        text: str = self._segment.dumps(last_segment, timespec, infspec)
        return f"{self._init_section}\n{text}" if self._init_section else text
