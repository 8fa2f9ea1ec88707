"""Find where a source cannot be decoded cleanly. Runs in the limited child, and only after a decode has counted errors.

In:   a Source.
Out:  (start, end) pairs in seconds of the time line, as "n/d" text, joined where they lie close together.
Wrong: Refusal if the file cannot be opened any more.

ffmpeg counts errors and does not say when; PyAV shows both the packet that a decoder refuses and the picture that it patched up.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av.error

from vidpipe.source.child.opening import open_media, packets
from vidpipe.source.clock import moved
from vidpipe.source.facts import Source

CLOSE = Fraction(1, 2)  # seconds between two errors that count as one stretch
MOST = 1000  # stretches; a file with more is broken throughout


def damaged(source: Source) -> list[tuple[str, str]]:
    """Decode all of the video and audio, and return the damaged stretches."""
    wanted = {source.video.index: 1 / source.video.frame_rate} | {audio.index: Fraction(1, 40) for audio in source.audio}
    spans: list[tuple[Fraction, Fraction]] = []
    with open_media(source.location, [source.demuxer]) as container:
        for stream in container.streams:
            if stream.codec_context is None:  # nobody knows its codec, so nobody decodes it
                wanted.pop(stream.index, None)
            elif stream.index in wanted:
                stream.codec_context.thread_type = "SLICE"  # frame threads would report an error some packets late
        try:
            for packet in moved(packets(container), source.shifts):
                if packet.stream.index in wanted:  # not stream_index: of the empty packets at the end that is always 0
                    _try(packet, wanted[packet.stream.index], source.video.start, spans)
        except av.error.FFmpegError:
            pass  # the end of what can be read; the packet scan has reported it
    return [(str(start), str(end)) for start, end in _joined(spans)[:MOST]]


def _try(packet: Any, length: Fraction, zero: Fraction, spans: list[tuple[Fraction, Fraction]]) -> None:
    def add(ticks: int | None, base: Fraction | None) -> None:
        if ticks is not None and base is not None and (start := ticks * Fraction(base) - zero) >= 0:
            spans.append((start, start + length))

    try:
        for frame in packet.decode():
            if frame.is_corrupt:
                add(frame.pts, frame.time_base)
    except av.error.EOFError:
        return
    except (av.error.FFmpegError, MemoryError):
        add(packet.pts if packet.pts is not None else packet.dts, packet.time_base)


def _joined(spans: list[tuple[Fraction, Fraction]]) -> list[tuple[Fraction, Fraction]]:
    whole: list[tuple[Fraction, Fraction]] = []
    for start, end in sorted(spans):
        if whole and start - whole[-1][1] <= CLOSE:
            whole[-1] = (whole[-1][0], max(whole[-1][1], end))
        else:
            whole.append((start, end))
    return whole
