"""Write a media playlist: one rendition, its init section (subtitles have none), its keys and its segments.

In:   the segments as they lie at the target, with exact durations.
Out:  the whole text of the playlist.
Wrong: ValueError for segments that do not fit (a gap in the order, a duration above the target); these are bugs of the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from vidpipe.inventory.measure import listed_bytes
from vidpipe.inventory.times import extinf, whole_seconds
from vidpipe.manifest.grammar import uri
from vidpipe.manifest.writer import KeyTag, SegmentTag, media_text
from vidpipe.publish.result import PublishedSegment

FIRST_SEQUENCE = 1
"""EXT-X-MEDIA-SEQUENCE: the first segment is 00001.m4s and its moof says 1."""

FMP4_VERSION = 6
"""EXT-X-MAP outside I-frame playlists needs protocol version 6; nothing else that is written here needs more (HLS-VER-006, -008)."""

I_FRAMES_VERSION = 5
"""EXT-X-MAP in them needs this (HLS-VER-006), EXT-X-I-FRAMES-ONLY and EXT-X-BYTERANGE need less."""

TEXT_VERSION = 3
"""Without EXT-X-MAP, durations with decimals need this (HLS-VER-003); IV needs less."""


def write_media(
    segments: Sequence[PublishedSegment],
    *,
    inits: Mapping[int, str],
    method: str | None = None,
    ivs: bool = True,
    key_uri: Callable[[str], str] | None = None,
    target_duration: int,
    i_frames: bool = False,
) -> str:
    """Return the text of a finished (VOD) media playlist.

    inits: path of each init section, by the first segment that is played with it; nothing for subtitles, which have none.
    method: METHOD of EXT-X-KEY, as the protection scheme has it.  ivs: it has IV, too.
    key_uri: key id -> URI for EXT-X-KEY; None when no segment is encrypted.
    target_duration: seconds, the same for all playlists of the title (see ``measure.target_duration``).
    i_frames: list of each segment only the part that shows its first picture, until that of the next one (RFC 8216 section 4.3.3.6).
    """
    if not segments:
        raise ValueError("a media playlist needs a segment")
    listed: list[SegmentTag] = []
    for position, (segment, duration) in enumerate(zip(segments, extinf(segments), strict=True)):
        if segment.index != position:
            raise ValueError(f"segment {segment.index} of {segment.rendition} stands at position {position}")
        if duration <= 0 or whole_seconds(Fraction(duration)) > target_duration:
            raise ValueError(f"segment {segment.index} of {segment.rendition} lasts {duration} s; the target is {target_duration} s")
        init_uri = uri(inits[position]) if position in inits else None
        size = listed_bytes(segment, i_frames=i_frames)
        byte_range = f"{size}@{segment.i_frame.offset}" if i_frames and segment.i_frame else None
        listed.append(SegmentTag(uri(segment.uri), duration, _key(segment, method, ivs, key_uri), init_uri, byte_range))
    least = I_FRAMES_VERSION if i_frames else FMP4_VERSION if inits else TEXT_VERSION
    return media_text(
        listed,
        version=least_version(least, extinf(segments), target_duration),
        target_duration=target_duration,
        first=FIRST_SEQUENCE,
        i_frames_only=i_frames,
    )


def least_version(least: int, durations: Sequence[Decimal], target_duration: int) -> int:
    """Return EXT-X-VERSION. least: that its tags need. Before 6 no segment may be longer than the target by any fraction (HLS-VER-010)."""
    return max(least, FMP4_VERSION) if max(durations) > target_duration else least


def _key(segment: PublishedSegment, method: str | None, ivs: bool, key_uri: Callable[[str], str] | None) -> KeyTag | None:
    if segment.key_id is None:
        if key_uri is not None:
            raise ValueError(f"segment {segment.index} of {segment.rendition} has no key in an encrypted playlist")
        return None
    if method is None or key_uri is None or segment.iv is None or (ivs and len(segment.iv) != 32):
        raise ValueError(f"segment {segment.index} of {segment.rendition} is encrypted but its key URI or IV is missing")
    return KeyTag(method, uri(key_uri(segment.key_id)), f"0x{segment.iv.upper()}" if ivs else None)
