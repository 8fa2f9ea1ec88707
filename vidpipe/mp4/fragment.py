"""Write a media segment: styp, one moof, one mdat. The one form in which video and audio leave packaging.

In:   the samples' sizes, durations, flags and composition offsets, and their bytes one after the other; of audio, how it can be entered;
      of encrypted samples, what a player needs for each.
Out:  the bytes of the segment (CMAF, ISO/IEC 23000-19 7.3.2; HLS-FMP4-002, -003).
Wrong: nothing; what the samples must be is checked by the caller.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from vidpipe.mp4.boxes import Sample
from vidpipe.mp4.encryption import SampleEncryption, TrackEncryption, fragment_boxes, parameters
from vidpipe.mp4.writing import box, full_box

AAC_ROLL = -1
"""Frames from which on an AAC decoder must be fed so that a frame sounds right: each one overlaps with the one before it."""

OWN_DESCRIPTION = 0x10001
"""Of a sample group: the first description of the fragment itself (ISO/IEC 14496-12 8.9.4)."""
OVERRIDE = b"seig"
"""Type of the sample group that overrides tenc (ISO/IEC 23001-7 6)."""

STYP = struct.pack(">I4s4sI4s4s", 24, b"styp", b"msdh", 0, b"msdh", b"cmfs")

_DEFAULT_BASE_IS_MOOF = 0x020000
_TFHD_DURATION, _TFHD_FLAGS = 0x08, 0x20
_OFFSET, _FIRST_FLAGS, _DURATION, _SIZE, _FLAGS, _CTS = 0x1, 0x4, 0x100, 0x200, 0x400, 0x800


def write_fragment(
    sequence: int,
    track: int,
    decode_time: int,
    samples: Sequence[Sample],
    data: bytes,
    *,
    roll: int | None = None,
    encryption: Sequence[SampleEncryption] | None = None,
    override: TrackEncryption | None = None,
) -> bytes:
    """Return the segment. sequence: of mfhd, from 1.  decode_time: ticks of the first sample from the start of the title.

    roll: roll_distance of all samples (14496-12 10.1), None if each can be decoded alone or says itself whether it can.
    encryption: of each sample, if ``data`` is encrypted.  override: of all of them, where tenc in the init section says otherwise.
    What all samples share stands once in tfhd; trun is version 1, so composition offsets are signed.
    """
    duration, common = samples[0].duration, samples[-1].flags
    flags = _OFFSET | _SIZE
    if any(sample.duration != duration for sample in samples):
        flags |= _DURATION
    if any(sample.cts for sample in samples):
        flags |= _CTS
    if any(sample.flags != common for sample in samples[1:]):
        flags |= _FLAGS
    elif samples[0].flags != common:
        flags |= _FIRST_FLAGS
    rows = bytearray()
    for sample in samples:
        if flags & _DURATION:
            rows += struct.pack(">I", sample.duration)
        rows += struct.pack(">I", sample.size)
        if flags & _FLAGS:
            rows += struct.pack(">I", sample.flags)
        if flags & _CTS:
            rows += struct.pack(">i", sample.cts)
    first = struct.pack(">I", samples[0].flags) if flags & _FIRST_FLAGS else b""
    tfhd = full_box(b"tfhd", 0, _DEFAULT_BASE_IS_MOOF | _TFHD_DURATION | _TFHD_FLAGS, struct.pack(">III", track, duration, common))
    tfdt = full_box(b"tfdt", 1, 0, struct.pack(">Q", decode_time))
    groups = b"" if roll is None else _group(b"roll", struct.pack(">h", roll), len(samples))
    if override is not None:
        groups += _group(OVERRIDE, parameters(override), len(samples))
    mfhd = full_box(b"mfhd", 0, 0, struct.pack(">I", sequence))

    def moof(offset: int) -> bytes:
        trun = full_box(b"trun", 1, flags, struct.pack(">Ii", len(samples), offset), first, bytes(rows))
        traf = (tfhd, tfdt, groups, trun)
        before = 8 + len(mfhd) + 8 + sum(len(part) for part in traf)  # the headers of moof and traf among it
        auxiliary = b"" if encryption is None else fragment_boxes(encryption, before)
        return box(b"moof", mfhd, box(b"traf", *traf, auxiliary), *(override.systems if override else ()))

    header = moof(len(moof(0)) + 8)  # the media data begins behind moof and the header of mdat
    return b"".join((STYP, header, struct.pack(">I4s", 8 + len(data), b"mdat"), data))


def _group(kind: bytes, description: bytes, samples: int) -> bytes:
    """Put all samples into one group; its description lies beside it, so that the fragment needs nothing of the init section."""
    described = full_box(b"sgpd", 1, 0, kind, struct.pack(">II", len(description), 1), description)
    return described + full_box(b"sbgp", 0, 0, kind, struct.pack(">III", 1, samples, OWN_DESCRIPTION))
