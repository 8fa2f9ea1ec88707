"""How objects are sent to players: the headers of each kind.

In:   the path of an object below its version.
Out:  Delivery.
Wrong: ValueError for a kind that is not published.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vidpipe.layout import SUBTITLES_FOLDER

CacheClass = Literal["video", "thumbnails", "metadata"]

CACHE_SECONDS: dict[CacheClass, int] = {"video": 604_800, "thumbnails": 2_592_000, "metadata": 3_600}
"""How long each class may be cached: 7 days, 30 days, 1 hour. Also written into the record."""


ADDRESS_SECONDS = 60
"""How long the address of a title may be cached, the one object that changes: so long a new version may take to be seen by all."""
ADDRESS = f"public, max-age={ADDRESS_SECONDS}"
"""Cache-Control of it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How an object is sent to players. content_type, cache_control: the HTTP headers of these names."""

    content_type: str
    cache_control: str


_TYPES: dict[str, tuple[str, CacheClass]] = {
    ".m4s": ("video/mp4", "video"),  # below audio/ it is audio/mp4 (Apple's authoring specification 10.4)
    ".mp4": ("video/mp4", "video"),
    ".ts": ("video/mp2t", "video"),
    ".jpg": ("image/jpeg", "thumbnails"),
    ".vtt": ("text/vtt", "thumbnails"),  # below subtitles/ it is a media segment
    ".m3u8": ("application/vnd.apple.mpegurl", "metadata"),
    ".mpd": ("application/dash+xml", "metadata"),
    ".json": ("application/json", "metadata"),
}


def cache_class(path: str) -> CacheClass:
    """Return how an object is cached, from its path below the version. ValueError for a kind that is not published."""
    return "video" if path.startswith(f"{SUBTITLES_FOLDER}/") else _type(path)[1]


def delivery(path: str) -> Delivery:
    """Return Content-Type and Cache-Control of an object, from its path below the version. ValueError for a kind that is not published."""
    content_type, cache = _type(path)[0], cache_class(path)
    if path.startswith("audio/") and content_type == "video/mp4":
        content_type = "audio/mp4"
    # Everything below a version's prefix stays as it is, but playlists and records are the handle to take a title back: no "immutable".
    immutable = "" if cache == "metadata" else ", immutable"
    return Delivery(content_type, f"public, max-age={CACHE_SECONDS[cache]}{immutable}")


def _type(path: str) -> tuple[str, CacheClass]:
    suffix = Path(path).suffix
    if suffix not in _TYPES:
        raise ValueError(f"no content type for {path!r}")
    return _TYPES[suffix]
