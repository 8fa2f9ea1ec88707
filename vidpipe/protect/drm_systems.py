"""Which DRM systems play what, and the pssh boxes that they want in init sections; the box that is for all systems.

In:   a scheme; DrmSignals, as a key server gave them; ids of keys.
Out:  the systems by their id; whole pssh boxes, each by itself.
Wrong: ValueError for what is none: what a key server sends is checked before anything is encoded.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Sequence

from vidpipe.mp4.boxes import children
from vidpipe.mp4.writing import full_box
from vidpipe.protect.key_source import DrmSignal
from vidpipe.protect.schemes import WHOLE_SEGMENTS

DRM_SYSTEMS = {
    "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed": "Widevine",
    "9a04f079-9840-4286-ab92-e65be0885f95": "PlayReady",
    "94ce86fb-07ff-4f43-adb8-93d2fa968ca2": "FairPlay",
}
"""By their id: https://dashif.org/identifiers/content_protection/."""
COMMON_SYSTEM = bytes.fromhex("1077efecc0b24d02ace33c1e52e2fb4b")
"""https://www.w3.org/TR/eme-initdata-cenc/."""
FAIRPLAY = "FairPlay"
"""It has no pssh and is not for DASH, and of samples it plays "cbcs" alone."""
_LEAST = 8 + 4 + 16 + 4
"""Bytes of the smallest box: header, version and flags, system id, size of the data (ISO/IEC 23001-7 8.1)."""


def common_box(key_ids: Sequence[str]) -> bytes:
    """Return the pssh box of the W3C's common system, which lists ids of keys for whoever has them, and holds nothing secret."""
    listed = b"".join(map(bytes.fromhex, key_ids))
    return full_box(b"pssh", 1, 0, COMMON_SYSTEM, struct.pack(">I", len(key_ids)), listed, struct.pack(">I", 0))


def systems_for(scheme: str) -> dict[str, str]:
    """Return the DRM systems that play a scheme, by their id."""
    if scheme in WHOLE_SEGMENTS:
        return {}
    return {system: name for system, name in DRM_SYSTEMS.items() if name != FAIRPLAY or scheme == "cbcs"}


def may_play(system_id: str, scheme: str) -> bool:
    """Whether a system plays a scheme, as far as is known: of systems of others nothing is."""
    return system_id not in DRM_SYSTEMS or system_id in systems_for(scheme)


def without_signals(scheme: str, signals: Iterable[DrmSignal]) -> list[str]:
    """Return the names of the systems that play a scheme and of which nothing is said."""
    said = {signal.system_id for signal in signals}
    return [name for system, name in systems_for(scheme).items() if system not in said]


def boxes_for(signals: Iterable[DrmSignal], key_id: str | None) -> tuple[bytes, ...]:
    """Return what DRM systems want in the init section of a track under a key."""
    return tuple(box for signal in signals if signal.key_id == key_id for box in boxes_of(signal))


def boxes_of(signal: DrmSignal) -> tuple[bytes, ...]:
    """Return the boxes of a signal, none if it has none."""
    if signal.pssh is None:
        return ()
    try:
        data = base64.b64decode(signal.pssh, validate=True)
        found = list(children(data))
    except ValueError as problem:
        raise ValueError(f"a DRM system wants a pssh that is no box: {problem}") from problem
    if not found or any(box.type != "pssh" or box.size < _LEAST for box in found):
        raise ValueError("a DRM system wants a pssh that is no box of that type")
    return tuple(data[box.offset : box.end] for box in found)
