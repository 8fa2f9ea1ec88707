"""Read the packets of an opened file once, and decode its first pictures on the way. Runs in the child process only.

In:   an open container, its video stream, SourceLimits.
Out:  a Scan: the times of all pictures, what each other stream holds, the first pictures.
Wrong: nothing is raised; what stopped the reading stands in the Scan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import av.error
from av.stream import Stream

from vidpipe.source.child.audio import Listener
from vidpipe.source.child.captions.carried import Carrier, carrier
from vidpipe.source.child.fields import BATCH
from vidpipe.source.child.hidden import can_hide, is_hidden
from vidpipe.source.child.opening import packets, reason_of
from vidpipe.source.child.scan import Corrupt, Packets
from vidpipe.source.clock import Clocks, moved
from vidpipe.source.facts import Shift
from vidpipe.source.limits import SourceLimits, raising
from vidpipe.source.problem import Problem
from vidpipe.source.steps import Steps

FRAMES_WANTED = BATCH  # enough to see fields and the order of times
TS_DISCONT = 0x0200  # libavformat/avformat.h, AVFMT_TS_DISCONT: the clock may jump
PACKETS_TRIED = 500  # video packets from the first key frame on, before a stream counts as undecodable


@dataclass
class ScannedStream:
    """What the packet scan gathers of a stream that is not the video. Times are ticks. opening: first byte of the first packet.

    packets_duration: how long its packets last one after the other.
    """

    start: int | None = None
    end: int = 0
    packets: int = 0
    size: int = 0
    opening: int = 0
    packets_duration: int = 0
    corrupt: Corrupt = field(default_factory=Corrupt)
    listener: Listener | None = None
    steps: Steps | None = None

    def add(self, time: int, duration: int) -> None:
        """Take the next packet."""
        self.start = time if self.start is None else min(self.start, time)
        self.end = max(self.end, time + duration)
        if self.steps:
            self.steps.add(time, duration)


@dataclass(frozen=True)
class Extent:
    """How much of a file is read, at most."""

    packets: int
    bytes: int


@dataclass
class Scan:
    """What the one pass over the packets gathered. stopped: there is more, but enough was read."""

    clocks: Clocks
    shifts: Mapping[int, tuple[Shift, ...]]
    video: Packets = field(default_factory=Packets)
    tracks: dict[int, ScannedStream] = field(default_factory=dict)
    frames: list[Any] = field(default_factory=list)  # the first decoded av.VideoFrames
    carriers: dict[int, Carrier] = field(default_factory=dict)  # of closed captions
    tried: int = 0
    last: int = 0  # where the last packet begins
    size: int = 0  # of all packets
    stopped: bool = False
    error: str | None = None
    problems: list[Problem] = field(default_factory=list)


def base_of(stream: Stream) -> Fraction:
    """Return the seconds of one tick of a stream."""
    return Fraction(stream.time_base or Fraction(1, 90000))


def read(
    container: av.container.InputContainer,
    video: Any,
    limits: SourceLimits,
    shifts: Mapping[int, tuple[Shift, ...]] | None = None,
    *,
    extent: Extent | None = None,
    decode: bool = True,
) -> Scan:
    """Read all packets once; decode the first pictures of ``video`` on the way. shifts: what an earlier look found to be added.

    extent: of what is read, None for all.  decode: False where its first pictures are of no interest.
    """
    clocks = Clocks(video.index, jumps=bool(container.format.flags & TS_DISCONT))
    kinds = {stream.index: (stream.type, base_of(stream)) for stream in container.streams}
    scan = Scan(clocks=clocks, shifts=shifts or {})
    for stream in container.streams.audio:
        if stream.codec_context is not None and stream.codec_context.codec is not None:
            scan.tracks[stream.index] = ScannedStream(listener=Listener(stream.codec_context), steps=Steps(base_of(stream)))
    others = (*container.streams.subtitles, *container.streams.data)
    scan.carriers = {stream.index: found for stream in (video, *others) if (found := carrier(stream))}
    if decode:
        video.codec_context.thread_count = 1  # frame threads would hold pictures back, and each costs its own set of them
    codec = str(video.codec_context.codec.canonical_name if video.codec_context.codec is not None else "")
    hiding = can_hide(codec)
    number = 0
    try:
        for packet in moved(packets(container), scan.shifts):
            if packet.size and packet.stream_index in kinds:
                clocks.add(packet.stream_index, *kinds[packet.stream_index], packet)
            scan.last = max(scan.last, packet.pos or 0)
            index, size = packet.stream.index, packet.size  # not stream_index: of the empty packets at the end that is always 0
            if index == video.index:
                if packet.dts is None and packet.pts is None and not size:
                    if decode:
                        _decode(scan, video, None)  # the end: let the last pictures out
                    continue
                hidden = packet.is_discard or (hiding and is_hidden(codec, bytes(packet)))
                scan.video.add(packet.pts, packet.dts, packet.duration, key=packet.is_keyframe, hidden=hidden)
                scan.video.size += size
                if packet.is_corrupt:
                    scan.video.corrupt.add(packet.pts if packet.pts is not None else packet.dts)
                if index in scan.carriers:
                    scan.carriers[index].look(packet)
                if decode:
                    _decode(scan, video, packet)
            elif size:
                track = scan.tracks.setdefault(index, ScannedStream())
                if not track.packets:
                    track.opening = memoryview(packet)[0]
                track.packets += 1
                track.size += size
                time = packet.pts if packet.pts is not None else packet.dts
                if index in scan.carriers:
                    scan.carriers[index].look(packet)
                if packet.is_corrupt:
                    track.corrupt.add(time)
                elif track.listener:
                    track.listener.hear(packet, time)
                if time is not None and not packet.is_discard:
                    track.add(time, packet.duration or 0)
                    track.packets_duration += packet.duration or 0
            number += 1
            scan.size += size
            if extent is not None and (number >= extent.packets or scan.size >= extent.bytes):
                scan.stopped = True
                break
            if number > limits.max_packets:
                scan.problems.append(Problem("limit-exceeded", f"it has more than {limits.max_packets} packets", raising("max_packets")))
                break
    except (av.error.FFmpegError, MemoryError) as error:
        scan.error = f"reading stopped: {reason_of(error)}"
    if not scan.frames and scan.video.pts and scan.tried and not scan.error and decode:
        scan.error = "the decoder outputs no frames"
    return scan


def _decode(scan: Scan, video: Any, packet: Any) -> None:
    """Decode a packet while pictures are still wanted. The first ones before the first key frame are not tried."""
    if len(scan.frames) >= FRAMES_WANTED or scan.tried > PACKETS_TRIED:
        return
    if packet is not None and not scan.tried and not packet.is_keyframe and len(scan.video.pts) < PACKETS_TRIED:
        return
    if packet is not None:
        scan.tried += 1
    try:
        frames = video.codec_context.decode(packet)
    except av.error.EOFError:
        return
    except (av.error.FFmpegError, MemoryError) as error:  # a broken packet; the next may do
        scan.error = scan.error or f"decoding: {reason_of(error)}"
        return
    scan.frames += [frame for frame in frames if not frame.is_corrupt][: FRAMES_WANTED - len(scan.frames)]
