"""Where each object of a title lies: one place that knows the published tree.

In:   rendition ids and positions.
Out:  paths relative to the prefix of a version, ``{content_id}/{version}/``; they are also the URIs in the playlists.

The media playlists lie beside the master playlist, so that a relative key URI is ``keys/{key_id}`` for all of them.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Final, Literal

MASTER = "master.m3u8"
MPD = "manifest.mpd"
RECORD = "record.json"
INVENTORY = "inventory.json"
THUMBNAILS_FOLDER = "thumbnails"
POSTER = "thumbnails/poster.jpg"
THUMBNAILS = "thumbnails/thumbnails.vtt"
SUBTITLES_FOLDER = "subtitles"

FormatName = Literal["hls", "dash"]
"""What players are given: playlists of HLS, a manifest of DASH."""
HLS_ONLY: Final[tuple[FormatName, ...]] = ("hls",)
TrackType = Literal["video", "audio"]


def version_prefix(content_id: str, version: str) -> str:
    """Return the prefix of one version below the target."""
    return f"{content_id}/{version}"


def address(content_id: str) -> str:
    """Return the path of the playlist that always plays the live version of a title. It is written again, and so is its like for DASH."""
    return f"{content_id}/{MASTER}"


def dash_address(content_id: str) -> str:
    """Return the path of the DASH manifest that always plays the live version of a title."""
    return f"{content_id}/{MPD}"


def addresses(content_id: str) -> tuple[str, str]:
    """Return the paths of all that is ever written again, in the order in which it is: the playlist of HLS, which all titles have, last."""
    return dash_address(content_id), address(content_id)


def new_version(now: datetime) -> str:
    """Return a version id: the UTC time to the second, by which ids sort, and 24 random bits for those of one second.

    now: with a time zone.
    """
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def media_playlist(kind: TrackType, rendition: str) -> str:
    """Return the path of a rendition's media playlist."""
    return f"{kind}-{rendition}.m3u8"


def i_frame_playlist(rendition: str) -> str:
    """Return the path of the playlist that lists only pictures of a rung which can be shown by themselves."""
    return f"i-frames-{rendition}.m3u8"


def init_section(kind: TrackType, rendition: str, first: int = 0) -> str:
    """Return the path of a rendition's init section (EXT-X-MAP). first: 0-based position of the segment from which on it is played with."""
    return f"{kind}/{rendition}/init-{first + 1:05d}.mp4" if first else f"{kind}/{rendition}/init.mp4"


def segment(kind: TrackType, rendition: str, index: int) -> str:
    """Return the path of a media segment. index: 0-based position; names count from 1, five digits or more."""
    return f"{kind}/{rendition}/{index + 1:05d}.m4s"


def subtitle_playlist(rendition: str) -> str:
    """Return the path of a subtitle track's media playlist."""
    return f"subtitle-{rendition}.m3u8"


def subtitle_segment(rendition: str, index: int) -> str:
    """Return the path of a segment of a subtitle track. index: 0-based position; names count from 1, five digits or more."""
    return f"{SUBTITLES_FOLDER}/{rendition}/{index + 1:05d}.vtt"


def sprite(sheet: int) -> str:
    """Return the path of a sprite sheet. sheet: 0-based position; names count from 1."""
    return f"thumbnails/sprite-{sheet + 1:03d}.jpg"
