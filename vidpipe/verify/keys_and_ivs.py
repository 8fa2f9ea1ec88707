"""Prove what a version says of its encryption: init sections and segments name the key that the inventory has, and no IV is used where it
must not be.

In:   the Readback, tracks of the inventory, their init sections, segments and keys.
Out:  the clear init section.
Wrong: VerificationFailed.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from vidpipe.inventory.model import Inventory, MediaTrack
from vidpipe.mp4.boxes import BoxError
from vidpipe.mp4.decryption import clear_init, read_override
from vidpipe.protect.drm_systems import boxes_for
from vidpipe.protect.schemes import scheme_of
from vidpipe.verify.readback import Readback

if TYPE_CHECKING:
    from vidpipe.mp4.encryption import TrackEncryption
    from vidpipe.protect.key_source import DrmSignal
    from vidpipe.protect.key_store import ContentKey
    from vidpipe.publish.result import PublishedSegment

_COUNTERS = 1 << 64  # IVs of samples have eight bytes


def check_inits(
    target: Readback, track: MediaTrack, inits: Mapping[str, bytes], keys: Mapping[str, ContentKey], drm: Sequence[DrmSignal] = ()
) -> bytes:
    """Compare what the init sections of a track declare with scheme and keys; return what they were before that, which is the same.

    inits: by path.  keys: by id.  drm: what DRM systems want to be said, each in a pssh of its own.
    """
    before = b""
    for first, path in track.inits.items():
        try:
            clear, declared = clear_init(inits[path])
        except BoxError as error:
            raise target.wrong(path, "the init section cannot be read", "ftyp and moov with one track", error) from error
        expected = _expected(track, track.segments[first].key_id, keys, drm)
        target.same(path, "what the init section says of the encryption", expected, declared)
        if before and clear != before:
            raise target.wrong(path, "the init section differs from the first in more than its key", track.init, path)
        before = clear
    if scheme_of(track.scheme).ivs == "key":
        said = {key_id: _expected(track, key_id, keys, drm) for key_id in keys}
        ivs = {key_id: each.constant_iv.hex().upper() for key_id, each in said.items() if each and each.constant_iv}
        for segment in track.segments:
            target.same(segment.uri, "the IV", ivs.get(segment.key_id or ""), segment.iv)
    return before


def check_override(
    target: Readback, track: MediaTrack, segment: PublishedSegment, data: bytes, keys: Mapping[str, ContentKey], drm: Sequence[DrmSignal]
) -> None:
    """Compare what an encrypted segment says in place of the first init section with its key: nothing, if it has the same. data: as stored.

    It needs nothing else to be played with that init section, which is the only one that DASH has.
    """
    scheme = scheme_of(track.scheme)
    if scheme.mp4_scheme is None:
        return
    try:
        found = read_override(data, scheme.mp4_scheme)
    except (BoxError, struct.error) as error:
        raise target.wrong(segment.uri, "what the segment says of its encryption cannot be read", "a sample group", error) from error
    expected = _expected(track, segment.key_id, keys, drm) if segment.key_id != track.segments[0].key_id else None
    target.same(segment.uri, "what the segment says of the encryption", expected, found)


def _expected(track: MediaTrack, key_id: str | None, keys: Mapping[str, ContentKey], drm: Sequence[DrmSignal]) -> TrackEncryption | None:
    """Return what is to be said of samples under a key; None if nothing is."""
    said = scheme_of(track.scheme).header(track.facts, keys[key_id] if key_id else None)
    return said and replace(said, systems=(*said.systems, *boxes_for(drm, key_id)))


def check_ivs(target: Readback, title: Inventory) -> None:
    """Compare the IVs of samples, which count on from the one of their segment: under one key, no two such ranges may overlap.

    In whatever tracks they are, two samples would have been encrypted with the same bytes. But the same segment may stand in two tracks.
    """
    counted = (segment for track in title.tracks if scheme_of(track.scheme).ivs == "sample" for segment in track.segments)
    by_key = sorted((segment.key_id or "", int(segment.iv or "0", 16), segment.samples, segment.sha256, segment.uri) for segment in counted)
    for _, group in itertools.groupby(by_key, lambda one: one[0]):
        ranges = [(first, samples, sha256, uri) for _, first, samples, sha256, uri in group]
        around = (ranges[0][0] + _COUNTERS, *ranges[0][1:])  # the last range may count past the end
        for before, after in itertools.pairwise([*ranges, around]):
            if before[0] + before[1] > after[0] and before[2] != after[2]:
                what = f"the counters of its samples are those of {before[3]}, too"
                raise target.wrong(after[3], what, "counters of its own", f"{after[0] % _COUNTERS:016X}")
