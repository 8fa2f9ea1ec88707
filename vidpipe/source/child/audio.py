"""Find where the audio format changes mid-stream: other channels, another sample rate. In the limited child only.

In:   the packets of an audio stream, one after the other (``Listener``); or a Source, to decode all of its audio (``heard``).
Out:  the first changes, with their times.
Wrong: nothing here; a packet that cannot be decoded is passed over. ``heard``: Refusal if the file cannot be opened any more.

Broadcast and disc formats say in every packet what they are, so a change is seen without decoding: the few bits that matter are
compared with those of the packet before, and only where they differ is a packet decoded, to hear what it really is. Other containers
announce a new decoder configuration beside the packet. What does neither (LATM, DTS, Opus) is found by decoding, in ``heard``.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import av.error

from vidpipe.source.child.opening import open_media, packets
from vidpipe.source.clock import moved
from vidpipe.source.facts import AudioFormat, AudioFormatChange, AudioStream, Source
from vidpipe.source.text import one_line

HEAD = 8  # bytes of a packet that are looked at
MOST_CHANGES = 100  # of a stream; a damaged one may seem to change in every packet
TRIES = 4  # packets that a new decoder gets before its answer is given up


class Listener:
    """Follows the packets of one audio stream."""

    def __init__(self, context: Any) -> None:
        self.changes: list[tuple[int, AudioFormat, AudioFormat]] = []  # ticks, before, after
        self._context = context
        self._sign = None if context.extradata else SIGNS.get(context.codec.canonical_name)
        self._seen: int | None = None
        self._format: AudioFormat | None = None
        self._decoder: Any = None
        self._tried = 0
        self._at = 0

    def hear(self, packet: Any, time: int | None) -> None:
        """Take the next packet. time: its ticks."""
        if time is None or len(self.changes) == MOST_CHANGES:
            return
        if self._decoder is None and not self._is_new(packet):
            return
        if self._decoder is None:
            self._decoder, self._tried, self._at = self._fresh(packet), 0, time
        self._tried += 1
        found = _decoded(self._decoder, packet)
        if found is not None and self._format is not None and found != self._format:
            self.changes.append((self._at, self._format, found))
        if found is not None or self._tried == TRIES:
            self._decoder, self._format = None, found or self._format

    def _is_new(self, packet: Any) -> bool:
        if self._sign is None:
            if self._format is None:
                self._format = _claimed(self._context)
            return bool(packet.has_sidedata("new_extradata"))
        seen = self._sign(bytes(memoryview(packet)[:HEAD])) if packet.size >= HEAD else None
        if seen is None or seen == self._seen:
            return False
        self._seen = seen
        return True

    def _fresh(self, packet: Any) -> Any:
        decoder: Any = av.CodecContext.create(self._context.codec.name, "r")
        if packet.has_sidedata("new_extradata"):
            decoder.extradata = bytes(packet.get_sidedata("new_extradata"))
        return decoder


def heard(source: Source) -> list[AudioStream]:
    """Decode all of the audio, and return the audio streams with their changes."""
    wanted = {audio.index: audio for audio in source.audio}
    now: dict[int, AudioFormat] = {}
    changes: dict[int, list[AudioFormatChange]] = {index: [] for index in wanted}
    with open_media(source.location, [source.demuxer]) as container:
        decoders = {stream.index: stream.codec_context for stream in container.streams if stream.index in wanted and stream.codec_context}
        try:
            for packet in moved(packets(container), source.shifts):
                index = packet.stream.index
                found = _decoded(decoders[index], packet) if index in decoders else None
                if found is None or packet.pts is None or len(changes[index]) == MOST_CHANGES:
                    continue
                if found != now.setdefault(index, found):
                    at = packet.pts * Fraction(packet.time_base) - source.video.start
                    changes[index].append(AudioFormatChange(at=at, before=now[index], after=found))
                    now[index] = found
        except av.error.FFmpegError:
            pass  # the end of what can be read; the packet scan has reported it
    return [audio.model_copy(update={"changes": tuple(changes[audio.index])}) for audio in source.audio]


def _decoded(context: Any, packet: Any) -> AudioFormat | None:
    try:
        frames = context.decode(packet)
    except (av.error.FFmpegError, MemoryError):
        return None
    if not frames:
        return None
    layout = frames[-1].layout
    return AudioFormat(sample_rate=frames[-1].sample_rate, channels=layout.nb_channels, layout=one_line(layout.name))


def _claimed(context: Any) -> AudioFormat:
    return AudioFormat(sample_rate=context.sample_rate, channels=context.channels, layout=one_line(context.layout.name))


def _adts(head: bytes) -> int | None:
    """AAC in ADTS (ISO/IEC 13818-7, 6.2): the index of the sampling frequency and the channel configuration."""
    return (head[2] & 0x3D) << 8 | head[3] & 0xC0 if head[0] == 0xFF and head[1] & 0xF6 == 0xF0 else None


def _ac3(head: bytes) -> int | None:
    """AC-3 and E-AC-3 (ETSI TS 102 366, 4.4 and E.1.2): fscod, acmod, lfeon."""
    if head[:2] != b"\x0b\x77":
        return None
    if head[5] >> 3 > 10:  # bsid of E-AC-3; its frames may be followed by dependent ones, which only add channels
        return head[4] & (0xFF if head[4] >= 0xC0 else 0xCF) | 0x100 if head[2] >> 6 != 1 else None
    mode = head[6] >> 5
    levels = 2 * (mode & 1 and mode != 1) + 2 * (mode >> 2) + 2 * (mode == 2)  # bits of mixing levels between acmod and lfeon
    low = int.from_bytes(head[6:8], "big") >> (12 - levels) & 1
    return head[4] & 0xC0 | mode << 1 | low


def _mpeg(head: bytes) -> int | None:
    """MPEG audio (ISO/IEC 11172-3, 2.4.1.3): version and layer, sampling frequency, one channel or two."""
    if head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    return (head[1] & 0x1E) << 8 | head[2] & 0x0C | (head[3] >> 6 == 3)


SIGNS: dict[str, Callable[[bytes], int | None]] = {
    "aac": _adts, "ac3": _ac3, "eac3": _ac3, "mp1": _mpeg, "mp2": _mpeg, "mp3": _mpeg,
}  # fmt: skip
"""Codec -> what in the first bytes of a packet decides channels and sample rate, or None if the packet has no such header."""
