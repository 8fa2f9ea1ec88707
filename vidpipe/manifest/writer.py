"""Write the tags of playlists with the m3u8 package. The only user of it; what it writes in another way than players need is mended here.

In:   attributes and durations, quoted and rounded as they shall stand in the playlist.
Out:  the whole text of a playlist.
Wrong: nothing here can fail.

What is worked around:
- it writes EXT-X-KEY before EXT-X-MAP, which declares the init section encrypted; ours is clear, so MAP goes first (HLS-MAP-005);
- it writes FRAME-RATE with six digits at most, and rounds to even, and knows no SCORE; both stand at the end;
- it writes URI first in EXT-X-MEDIA, where people and simple parsers expect TYPE;
- it leaves blank lines in a master playlist for the segments that it does not have.
Its durations as 1E-7, or thirds with 16 digits (HLS-ATTR-005), are ruled out by microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import m3u8

_MEDIA_ORDER = ("type", "group_id", "name", "language", "default", "autoselect", "forced", "characteristics", "channels", "uri")


class Media:
    """EXT-X-MEDIA. attributes: by m3u8's names, such as group_id; None is left out."""

    def __init__(self, **attributes: str | None) -> None:
        self._attributes = attributes
        self.type, self.group_id = attributes["type"], attributes["group_id"]

    def __str__(self) -> str:
        tags = [str(m3u8.Media(**{name: self._attributes.get(name)})).partition(":") for name in _MEDIA_ORDER]
        return "#EXT-X-MEDIA:" + ",".join(attribute for _, _, attribute in tags if attribute)


class VariantTag(NamedTuple):
    """EXT-X-STREAM-INF. attributes: by m3u8's names, all but the two below.  media: that it plays with.  score: None without one."""

    uri: str
    attributes: Mapping[str, object]
    frame_rate: str
    media: Sequence[Media]
    score: int | None = None


class IFrameTag(NamedTuple):
    """EXT-X-I-FRAME-STREAM-INF. attributes: by m3u8's names."""

    uri: str
    attributes: Mapping[str, object]


class KeyTag(NamedTuple):
    """EXT-X-KEY, or EXT-X-SESSION-KEY, which needs no IV. iv: None if it stands with the samples, too."""

    method: str
    uri: str
    iv: str | None = None


class SegmentTag(NamedTuple):
    """EXTINF. key: None if it is clear.  init_uri: of the init section, from this segment on; None if it is that of the one before.

    byte_range: as EXT-X-BYTERANGE has it; None for the whole resource.
    """

    uri: str
    duration: Decimal
    key: KeyTag | None = None
    init_uri: str | None = None
    byte_range: str | None = None


def master_text(
    media: Sequence[Media], variants: Sequence[VariantTag], session_keys: Sequence[KeyTag] = (), i_frames: Sequence[IFrameTag] = ()
) -> str:
    """Return the text of a master playlist whose segments can be decoded each by itself."""
    playlist = m3u8.M3U8()
    playlist.is_variant = True
    playlist.is_independent_segments = True
    playlist.media.extend(media)
    playlist.session_keys.extend(m3u8.model.SessionKey(base_uri=None, **key._asdict()) for key in session_keys)
    for variant in variants:
        listed = m3u8.Playlist(variant.uri, dict(variant.attributes), list(variant.media), None)
        listed.stream_info = _StreamInfo(listed.stream_info, variant)
        playlist.playlists.append(listed)
    for one in i_frames:
        playlist.iframe_playlists.append(m3u8.IFramePlaylist(None, one.uri, dict(one.attributes)))
    text: str = playlist.dumps()
    return "".join(f"{line}\n" for line in text.splitlines() if line)


def media_text(segments: Sequence[SegmentTag], *, version: int, target_duration: int, first: int, i_frames_only: bool = False) -> str:
    """Return the text of a finished (VOD) media playlist. first: sequence number.  i_frames_only: each segment is one picture."""
    playlist = m3u8.M3U8()
    playlist.version = version
    playlist.target_duration = target_duration
    playlist.media_sequence = first
    playlist.playlist_type = "VOD"
    playlist.is_endlist = True
    playlist.is_i_frames_only = i_frames_only
    for segment in segments:
        key = m3u8.model.Key(base_uri=None, **segment.key._asdict()) if segment.key else None
        rendered = m3u8.Segment(uri=segment.uri, duration=segment.duration, keyobject=key, byterange=segment.byte_range)
        playlist.segments.append(_Segment(rendered, m3u8.model.InitializationSection(None, segment.init_uri) if segment.init_uri else None))
    text: str = playlist.dumps(infspec="microseconds")
    return text


class _StreamInfo:
    """m3u8's attributes, FRAME-RATE and SCORE."""

    def __init__(self, attributes: Any, variant: VariantTag) -> None:
        self._attributes = attributes
        self._variant = variant

    def __str__(self) -> str:
        score = "" if self._variant.score is None else f",SCORE={self._variant.score}"
        return f"{self._attributes},FRAME-RATE={self._variant.frame_rate}{score}"


class _Segment:
    """m3u8's segment, with its EXT-X-MAP before its EXT-X-KEY."""

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
