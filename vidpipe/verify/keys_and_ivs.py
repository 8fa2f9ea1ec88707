"""Prove what a version says of its encryption: init sections name the key that the inventory has, and no IV is used where it must not be.

In:   the Readback, tracks of the inventory, their init sections and keys.
Out:  the clear init section.
Wrong: VerificationFailed.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from vidpipe.inventory.model import Inventory, MediaTrack
from vidpipe.mp4.boxes import BoxError
from vidpipe.mp4.decryption import clear_init
from vidpipe.protect.drm_systems import boxes_for
from vidpipe.protect.schemes import scheme_of
from vidpipe.verify.readback import Readback

if TYPE_CHECKING:
    from vidpipe.protect.key_source import DrmSignal
    from vidpipe.protect.key_store import ContentKey

_COUNTERS = 1 << 64  # IVs of samples have eight bytes


def check_init(
    target: Readback, track: MediaTrack, init: bytes, keys: Mapping[str, ContentKey], drm: Sequence[DrmSignal] = ()
) -> bytes:
    """Compare what an init section declares with scheme and key of its track; return it as it was before that.

    keys: by id.  drm: what DRM systems want to be said, each in a pssh of its own.
    """
    scheme = scheme_of(track.scheme)
    try:
        clear, declared = clear_init(init)
    except BoxError as error:
        raise target.wrong(track.init, "the init section cannot be read", "ftyp and moov with one track", error) from error
    key_id = track.segments[0].key_id
    expected = scheme.header(track.facts, keys[key_id] if key_id else None)
    if expected is not None:
        expected = replace(expected, systems=(*expected.systems, *boxes_for(drm, key_id)))
    target.same(track.init, "what the init section says of the encryption", expected, declared)
    if declared and declared.constant_iv:
        for segment in track.segments:
            target.same(segment.uri, "the IV", declared.constant_iv.hex().upper(), segment.iv)
    return clear


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
