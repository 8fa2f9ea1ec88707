"""What DRM systems say in HLS playlists: tags that a key server gave, beside those of vidpipe's own.

In:   an Inventory with DRM signals; the text of a playlist that names its keys.
Out:  the text with the tags of the DRM systems; what of them is in effect for a key.
Wrong: ValueError for a signal that is no tag of a key, or one of the key format "identity", which is vidpipe's own: what a key server sends
       is checked before anything is encoded.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence

from vidpipe.inventory.model import Inventory
from vidpipe.manifest.parse import Key, Line, PlaylistError, key_tag, read_lines
from vidpipe.protect.drm_systems import boxes_of
from vidpipe.protect.key_source import DrmSignal

_MEDIA, _MASTER = "#EXT-X-KEY", "#EXT-X-SESSION-KEY"
IDENTITY = "identity"
"""KEYFORMAT of keys that players fetch as they are (RFC 8216 section 4.3.2.4)."""


def check_signals(signals: Sequence[DrmSignal]) -> None:
    """Raise ValueError unless all that init sections, playlists and the DASH manifest will say can be said."""
    if not signals:  # of most titles: no reader of XML is loaded for them
        return
    from vidpipe.manifest.dash.content_protection import said_of

    for signal in signals:
        boxes_of(signal)
        said_of(signal)
        _tags(signal.hls_media, _MEDIA)
        _tags(signal.hls_master, _MASTER)


def with_media_tags(text: str, inventory: Inventory, key_uri: Callable[[str], str]) -> str:
    """Return a media playlist with the tags of DRM systems before the first EXT-X-KEY of each key. key_uri: of a key id."""
    if not inventory.drm:
        return text
    named = {f'URI="{key_uri(key_id)}"': key_id for key_id in inventory.keys}
    written: list[str] = []
    present = None
    for line in text.splitlines():
        if line.startswith(f"{_MEDIA}:"):
            key_id = next((key_id for uri, key_id in named.items() if uri in line), None)
            if key_id is not None and key_id != present:
                written += media_tags(inventory.drm, key_id)
                present = key_id
        written.append(line)
    return "".join(f"{line}\n" for line in written)


def with_master_tags(text: str, tags: Sequence[str]) -> str:
    """Return a master playlist with tags of DRM systems behind its other keys."""
    lines = text.splitlines()
    at = max((number for number, line in enumerate(lines) if line.startswith((f"{_MASTER}:", "#EXT-X-INDEPENDENT"))), default=0) + 1
    return "".join(f"{line}\n" for line in (*lines[:at], *tags, *lines[at:]))


def media_tags(signals: Sequence[DrmSignal], key_id: str) -> list[str]:
    """Return the tags of a media playlist for a key."""
    return [tag for signal in signals if signal.key_id == key_id for tag, _ in _tags(signal.hls_media, _MEDIA)]


def master_tags(signals: Sequence[DrmSignal], key_ids: Sequence[str]) -> list[str]:
    """Return the tags of the master playlist for keys, each once."""
    tags = [tag for key_id in key_ids for signal in signals if signal.key_id == key_id for tag, _ in _tags(signal.hls_master, _MASTER)]
    return list(dict.fromkeys(tags))


def keys_in_effect(signals: Sequence[DrmSignal], key_id: str | None) -> list[tuple[str, str | None, str]]:
    """Return METHOD, URI and KEYFORMAT of what DRM systems say of the segments of a key."""
    keys = [key for signal in signals if signal.key_id == key_id for _, key in _tags(signal.hls_media, _MEDIA)]
    return sorted((key.method, key.uri, key.keyformat) for key in keys)


def _tags(said: str | None, tag: str) -> list[tuple[str, Key]]:
    """Return the lines of a signal, and what each says."""
    if said is None:
        return []
    try:
        text = base64.b64decode(said, validate=True).decode("ascii")
        lines = read_lines(f"#EXTM3U\n{text.strip()}\n".encode())
        return [(f"{line.tag}:{line.value}", _key(line, tag)) for line in lines]
    except (binascii.Error, UnicodeDecodeError, PlaylistError) as problem:
        raise ValueError(f"a DRM system wants something to be said that is no {tag[1:]}: {problem}") from problem


def _key(line: Line, tag: str) -> Key:
    key = key_tag(line) if line.tag == tag else None
    if key is None or key.keyformat == IDENTITY:
        raise ValueError(f"a DRM system wants something to be said that is no {tag[1:]} of its own key format")
    return key
