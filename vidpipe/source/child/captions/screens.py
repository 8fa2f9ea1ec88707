"""Make WebVTT of the CEA-608 captions inside a video or in a track of their own. Runs in the limited child only; decodes no picture.

In:   a CaptionRequest: the file, and the channels that are wanted.
Out:  for each channel a WebVTT text in the source's own time, plus TIME_OFFSET seconds, as ffmpeg writes that of other subtitles.
Wrong: Refusal if the file cannot be opened any more.

What a screen shows after each pair of bytes is libavcodec's to say (its decoder of closed captions, "real time"); a cue is a screen from
the time at which it is shown until another one is. Letters that come one by one would give a cue each: while they follow each other
closely, the cue has the whole of them from its beginning on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
import av.error

from vidpipe.source.captions import CaptionRequest
from vidpipe.source.child.captions.carried import Carrier, carrier
from vidpipe.source.child.captions.channels import Pair, taken_apart, with_parity
from vidpipe.source.child.opening import open_media, packets
from vidpipe.source.clock import moved

PAUSE = Fraction(1)
"""Seconds after which letters that are added to a line make it a new cue."""
STAYS = Fraction(16)
"""Seconds that the last caption stays if nothing erases it and nothing comes after it (CTA-608-E, C.9)."""

_ERASE, _DIRECT, _POP_ON = (with_parity(0x14, low) for low in (0x2C, 0x29, 0x20))
_STYLES = {"{\\i1}": "<i>", "{\\i0}": "</i>", "{\\u1}": "<u>", "{\\u0}": "</u>", "\\N": "\n"}
_CODE = re.compile(r"\{\\[^}]*\}|\\N")


def extracted(request: CaptionRequest) -> list[str]:
    """Return the WebVTT text of each channel of the request."""
    wanted = {stream for stream, _ in request.channels}
    with open_media(request.location, [request.demuxer]) as container:
        carriers: dict[int, Carrier] = {
            stream.index: found for stream in container.streams if stream.index in wanted and (found := carrier(stream))
        }
        try:
            for packet in moved(packets(container, *(container.streams[index] for index in carriers)), request.shifts):
                if packet.size:
                    carriers[packet.stream_index].look(packet)
        except av.error.FFmpegError:
            pass  # the end of what can be read; the packet scan has found it before
    pairs = {index: taken_apart(found.triples)[0] for index, found in carriers.items()}
    return [
        written(cues(pairs[stream][channel], carriers[stream].base) if stream in pairs else [], request.origin)
        for stream, channel in request.channels
    ]


def cues(pairs: Iterable[Pair], base: Fraction) -> Iterator[tuple[Fraction, Fraction, str]]:
    """Yield (start, end, text) of the cues of one channel, seconds. base: seconds of a tick."""
    start, last, now = Fraction(0), Fraction(0), ""
    for time, text in screens(pairs, base):
        if text == now:
            continue
        if now and text.startswith(now) and "\n" not in text[len(now) :] and time - last <= PAUSE:
            last, now = time, text
            continue
        if now and time > start:
            yield start, time, now
        start, last, now = time, time, text
    if now:
        yield start, last + STAYS, now


def screens(pairs: Iterable[Pair], base: Fraction) -> Iterator[tuple[Fraction, str]]:
    """Yield what is on the screen, and since when, after each pair that may have changed it."""
    # latency: every change at once.  Without it, what is written on the shown screen would only be seen with the next command.
    decoder: Any = av.CodecContext.create("cc_dec", "r")
    decoder.options = {"real_time": "1", "real_time_latency_msec": "0", "data_field": "first"}
    # libavcodec compares with the time of the change before the last, and there has to be one; a pair that is sent twice counts once.
    for pair in (_ERASE, _POP_ON, _ERASE, _DIRECT):
        _decoded(decoder, pair)
    for tick, pair in pairs:
        text = _decoded(decoder, pair)
        if text is not None:
            yield tick * base, text


def _decoded(decoder: Any, pair: bytes) -> str | None:
    try:
        found = decoder.decode2(av.Packet(b"\xfc" + pair))
    except (av.error.FFmpegError, MemoryError):
        return None
    events = [rect.ass.decode("utf-8", "replace") for rect in found.rects] if found else []
    return _plain(events[-1].split(",", 8)[-1]) if events else None


def _plain(event: str) -> str:
    """Return the text of an event of ASS with the tags of WebVTT; places and colours are left out."""
    text = _CODE.sub(lambda code: _STYLES.get(code[0], ""), event)
    return "\n".join(line for line in (line.rstrip() for line in text.split("\n")) if line)


def written(cues_: Iterable[tuple[Fraction, Fraction, str]], origin: int) -> str:
    """Return the cues as a WebVTT file."""
    return "WEBVTT\n" + "".join(f"\n{_clock(start + origin)} --> {_clock(end + origin)}\n{text}\n" for start, end, text in cues_)


def _clock(seconds: Fraction) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}.{milliseconds:03}"
