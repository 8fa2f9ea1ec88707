"""Read one file that nobody vouches for: runs in a child process with limits, started by ``probe``. The only user of PyAV here.

In:   a path and SourceLimits, as JSON, from the command line.
Out:  one JSON object on stdout: {"source": Source} or {"problems": [sentence, …]}, all problems at once.
Wrong: anything; a crash, a hang or a balloon ends the child, and ``probe`` makes a sentence of it.

One pass over the packets finds the true durations; the first pictures are decoded on the way; a thread hashes the same bytes
meanwhile (they are in the page cache). Only the containers in DEMUXERS are tried; libav checks
that list before a demuxer sees the file, gets bytes without a name, and may open nothing itself: no playlist or script leads anywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
from av.stream import Disposition, Stream

from vidpipe.source.damage import damaged
from vidpipe.source.facts import AudioStream, Chapter, OtherStream, SoundChange, Source, SubtitleStream, VideoStream
from vidpipe.source.fields import BATCH, Fields, measure_fields
from vidpipe.source.limits import SourceLimits
from vidpipe.source.opening import Refusal, open_media, packets, reason_of
from vidpipe.source.picture import FIELD_ORDERS, chroma, colour, orientation
from vidpipe.source.scan import Corrupt, Decoded, Packets, Timeline, stretches, thinned, timeline
from vidpipe.source.sound import Listener, heard
from vidpipe.source.structure import claimed_size
from vidpipe.source.text import clean, language_tag

# Containers that can carry video and open nothing but themselves. Never: hls, dash, concat, sdp, rtsp, image2, imf, lavfi, subtitles.
DEMUXERS = ("mov", "matroska", "mpegts", "mpeg", "avi", "mxf", "gxf", "flv", "asf", "ogg", "nut", "dv", "ivf")
INDEXED = frozenset({"mov", "matroska", "mxf", "avi", "nut", "gxf"})  # the others have no index, or seek by guessing byte positions

FRAMES_WANTED = BATCH  # enough to see fields and the order of times
PACKETS_TRIED = 500  # video packets from the first key frame on, before a stream counts as undecodable
SEEKS_TRIED = 6
BLOCK = 1 << 20

TELETEXT = range(0x10, 0x20)  # what a packet of it begins with (ETSI EN 301 775, table 1)
TEXT_SUBTITLES = frozenset({"srt", "subrip", "ass", "ssa", "mov_text", "webvtt", "text", "eia_608", "dvb_teletext"})  # ffmpeg reads no TTML


@dataclass
class Track:
    """What the packet scan gathers of a stream that is not the video. Times are ticks. opening: first byte of the first packet."""

    start: int | None = None
    end: int = 0
    packets: int = 0
    size: int = 0
    opening: int = 0
    corrupt: Corrupt = field(default_factory=Corrupt)
    listener: Listener | None = None

    def add(self, time: int, duration: int) -> None:
        """Take the next packet."""
        self.start = time if self.start is None else min(self.start, time)
        self.end = max(self.end, time + duration)


@dataclass
class Scan:
    """What the one pass over the packets gathered."""

    video: Packets = field(default_factory=Packets)
    tracks: dict[int, Track] = field(default_factory=dict)
    frames: list[Any] = field(default_factory=list)  # the first decoded av.VideoFrames
    tried: int = 0
    error: str | None = None
    problems: list[str] = field(default_factory=list)


def main(argv: list[str]) -> None:
    """Answer a question on stdout. argv: "examine", path, name, limits as JSON; or "damage" or "sound", source as JSON."""
    question, *arguments = argv
    if question == "damage":
        text = json.dumps({"damaged": damaged(Source.model_validate_json(arguments[0]))})
    elif question == "sound":
        text = json.dumps({"audio": [audio.model_dump(mode="json") for audio in heard(Source.model_validate_json(arguments[0]))]})
    else:
        path, name, limits = arguments
        text = json.dumps(answer(path, name, SourceLimits.model_validate_json(limits)))
    sys.stdout.write(text)
    sys.stdout.flush()
    # libav may hold broken state after a hostile file; there is nothing left to tidy up
    os._exit(0)


def answer(path: str, name: str, limits: SourceLimits) -> dict[str, Any]:
    """Return {"source": …} or {"problems": […]} for a file."""
    try:
        return {"source": examine(path, name, limits).model_dump(mode="json")}
    except Refusal as refusal:
        return {"problems": [clean(problem, 400) for problem in refusal.problems]}


def examine(path: str, name: str, limits: SourceLimits) -> Source:
    """Measure a file, or raise Refusal with everything that is wrong with it."""
    digest: list[str] = []
    before = Path(path).stat()
    hashing = threading.Thread(target=_hash, args=(path, digest), daemon=True)
    hashing.start()
    try:
        with open_media(path, DEMUXERS) as container:
            source = _measure(container, limits)
    except av.error.FFmpegError as error:
        raise Refusal(f"it cannot be read: {reason_of(error)}") from error
    hashing.join()
    after = Path(path).stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise Refusal("it changed while it was read; wait until it has been written completely")
    if not digest:
        raise Refusal("it cannot be read to its end: the disk or the network drive reports an error")
    rate = int(after.st_size * 8 / source["duration"]) if source["duration"] else None
    with Path(path).open("rb") as file:
        claimed = claimed_size(file, source["demuxer"])
    return Source(
        location=path,
        name=name,
        size=after.st_size,
        claimed_size=claimed,
        mtime_ns=after.st_mtime_ns,
        sha256=digest[0],
        bit_rate=rate,
        **source,
    )


def _hash(path: str, digest: list[str]) -> None:
    sha = hashlib.sha256()
    try:
        with Path(path).open("rb", buffering=0) as file:
            while block := file.read(BLOCK):  # hashlib lets go of the GIL for blocks of this size
                sha.update(block)
    except OSError:
        return
    digest.append(sha.hexdigest())


def _measure(container: av.container.InputContainer, limits: SourceLimits) -> dict[str, Any]:
    streams = list(container.streams)
    if len(streams) > limits.max_streams:
        raise Refusal(f"it has {len(streams)} streams; the limit is {limits.max_streams}")
    video: Any = next((stream for stream in streams if _is_picture(stream)), None)
    if video is None:
        raise Refusal(_no_video(streams))
    problems = []
    width, height = video.codec_context.width, video.codec_context.height
    if width * height > limits.max_pixels:
        problems.append(f"its picture has {width}x{height} pixels; the limit is {limits.max_pixels} in all")
    # libav's own estimate first, so that a claim of a thousand years does not start a scan
    claimed = Fraction(container.duration, av.time_base) if container.duration and container.duration > 0 else None
    if claimed is not None and claimed > limits.max_duration:
        problems.append(f"it claims to last {float(claimed):.0f} s; the limit is {limits.max_duration} s")
    if problems:
        raise Refusal(*problems)
    scan = _scan(container, video, limits)
    base = _base(video)
    decoded = [Decoded(frame.pts, frame.dts, frame.interlaced_frame) for frame in scan.frames]
    declared = [Fraction(rate) for rate in (video.average_rate, video.guessed_rate, video.base_rate) if rate]
    line = timeline(scan.video, decoded, declared, base, Fraction(limits.max_frame_rate))
    problems = scan.problems
    if not scan.video.pts:
        problems.append("its video stream is empty")
    elif not scan.frames:
        codec = clean(_codec(video.codec_context))
        problems.append(f"no picture can be decoded from its video stream ({codec}): {scan.error or 'no key frame'}")
    elif not line.frames:
        problems.append("none of its pictures can be shown: all lie before the start of its time line or have no time")
    if line.duration > limits.max_duration:
        problems.append(f"it lasts {float(line.duration):.0f} s; the limit is {limits.max_duration} s")
    if problems:
        raise Refusal(*problems)
    demuxer = container.format.name.split(",")[0]
    picture = _video(container, video, scan, line, demuxer)
    if not Fraction(1, 16) <= picture.sample_aspect <= 16:
        raise Refusal(f"its pixels are {picture.sample_aspect} times as wide as high; that makes no sense")
    tracks = {stream.index: (stream, scan.tracks.get(stream.index, Track())) for stream in streams if stream.index != video.index}
    ends = [picture.start + picture.duration, *(track.end * _base(stream) for stream, track in tracks.values() if track.start is not None)]
    starts = [picture.start, *(track.start * _base(stream) for stream, track in tracks.values() if track.start is not None)]
    return {
        "container": clean(container.format.long_name),
        "demuxer": demuxer,
        "duration": picture.duration,
        "declared_duration": claimed,
        # containers with an index count from their own zero, the others claim the time between first and last
        "scanned_duration": max(ends) - (min([Fraction(0), *starts]) if demuxer in INDEXED else min(starts)),
        "read_error": scan.error if scan.error and scan.error.startswith("reading") else None,
        "video": picture,
        "audio": tuple(_audio(stream, track, picture) for stream, track in tracks.values() if stream.type == "audio"),
        "subtitles": tuple(_subtitle(stream, track) for stream, track in tracks.values() if stream.type == "subtitle"),
        "others": tuple(_other(stream, track) for stream, track in tracks.values() if stream.type not in ("audio", "subtitle")),
        "chapters": _chapters(container),
        "timecode": _timecode(container, streams),
    }


def _is_picture(stream: Stream) -> bool:
    """Whether a stream is moving video: cover art and still thumbnails are not."""
    still = Disposition.attached_pic | Disposition.timed_thumbnails
    context: Any = stream.codec_context
    return stream.type == "video" and not stream.disposition & still and context is not None and context.width > 0


def _no_video(streams: list[Stream]) -> str:
    if any(stream.type == "video" for stream in streams):
        return "its video cannot be decoded: the codec is unknown or the picture has no size, or it is only cover art"
    kinds = sorted({stream.type for stream in streams})
    return f"it has no video stream (only {', '.join(kinds)})" if kinds else "it has no streams at all"


def _base(stream: Stream) -> Fraction:
    return Fraction(stream.time_base or Fraction(1, 90000))


def _scan(container: av.container.InputContainer, video: Any, limits: SourceLimits) -> Scan:
    """Read all packets once; decode the first pictures of ``video`` on the way."""
    scan = Scan()
    for stream in container.streams.audio:
        if stream.codec_context is not None and stream.codec_context.codec is not None:
            scan.tracks[stream.index] = Track(listener=Listener(stream.codec_context))
    video.codec_context.thread_count = 1  # frame threads would hold pictures back, and each costs its own set of them
    read = 0
    try:
        for packet in packets(container):
            index, size = packet.stream_index, packet.size
            if index == video.index:
                if packet.dts is None and packet.pts is None and not size:
                    _decode(scan, video, None)  # the end: let the last pictures out
                    continue
                hidden = packet.is_discard or _invisible(video, packet)
                scan.video.add(packet.pts, packet.dts, packet.duration, key=packet.is_keyframe, hidden=hidden)
                scan.video.size += size
                if packet.is_corrupt:
                    scan.video.corrupt.add(packet.pts if packet.pts is not None else packet.dts)
                _decode(scan, video, packet)
            elif size:
                track = scan.tracks.setdefault(index, Track())
                if not track.packets:
                    track.opening = memoryview(packet)[0]
                track.packets += 1
                track.size += size
                time = packet.pts if packet.pts is not None else packet.dts
                if packet.is_corrupt:
                    track.corrupt.add(time)
                elif track.listener:
                    track.listener.hear(packet, time)
                if time is not None and not packet.is_discard:
                    track.add(time, packet.duration or 0)
            read += 1
            if read > limits.max_packets:
                scan.problems.append(f"it has more than {limits.max_packets} packets")
                break
    except (av.error.FFmpegError, MemoryError) as error:
        scan.error = f"reading stopped: {reason_of(error)}"
    if not scan.frames and scan.video.pts and scan.tried and not scan.error:
        scan.error = "the decoder gives no picture"
    return scan


def _invisible(video: Any, packet: Any) -> bool:
    """Whether a VP8 packet holds a picture that is only a reference (RFC 6386, 9.1: bit 4 of the frame tag is show_frame)."""
    return video.codec_context.name == "vp8" and packet.size > 0 and not memoryview(packet)[0] & 0x10


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


def _video(container: av.container.InputContainer, video: Any, scan: Scan, line: Timeline, demuxer: str) -> VideoStream:
    frame, context, base = scan.frames[0], video.codec_context, _base(video)
    aspect = Fraction(video.sample_aspect_ratio or 1).limit_denominator(10_000) or Fraction(1)
    rotation, mirrored = orientation(frame)
    display = Fraction(frame.width, frame.height) * aspect
    flagged = sum(each.interlaced_frame for each in scan.frames) * 2 > len(scan.frames)
    order = FIELD_ORDERS.get(context.field_order, "unknown")
    if not flagged or order == "progressive":
        order = "unknown" if flagged else "progressive"
    problem = _seek_problem(container, video, scan, line, demuxer)
    described = colour(frame, context)
    # HDR is progressive by definition (ITU-R BT.2100, table 1), and its pictures are the dearest to decode
    fields = measure_fields(container, video, line, base, scan.frames) if described.dynamic_range == "SDR" else Fields()
    if fields.seen == "interlaced" and not flagged:
        order = "tt" if fields.top_first else "bb"
    depth = max((part.bits for part in frame.format.components), default=8)
    return VideoStream(
        index=video.index,
        codec=clean(_codec(context)),
        profile=clean(video.profile) if video.profile else None,
        pixel_format=frame.format.name,
        bit_depth=depth,
        width=frame.width,
        height=frame.height,
        sample_aspect=aspect,
        display_aspect=1 / display if rotation in (90, 270) else display,
        rotation=rotation,
        mirrored=mirrored,
        chroma=chroma(frame.format),
        field_order=order,
        # what is flagged is deinterlaced even if a sample shows whole pictures: elsewhere in the file there may be others
        interlaced=flagged or fields.seen == "interlaced",
        flagged_interlaced=flagged,
        measured_fields=fields.seen,
        interlaced_share=fields.share,
        colour=described,
        declared_frame_rate=Fraction(video.average_rate) if video.average_rate else None,
        frame_rate=line.frame_rate,
        variable_frame_rate=line.variable,
        time_base=base,
        start_pts=line.start_pts,
        start=(line.start_pts - line.late) * base,
        duration=line.duration,
        declared_duration=video.duration * base if video.duration and video.duration > 0 and demuxer in INDEXED else None,
        frames=line.frames,
        key_pts=thinned(line.key_pts, base),
        longest_gop=line.longest_gop,
        shortest_gop=line.shortest_gop,
        mean_gop=line.mean_gop,
        longest_gap=line.longest_gap,
        longest_gap_at=line.longest_gap_at,
        reorder_frames=max(0, context.reorder_depth),
        missing_timestamps=line.missing,
        duplicate_timestamps=line.duplicates,
        backward_timestamps=line.backward,
        duplicate_at=line.duplicate_at,
        broken_at=line.broken_at,
        corrupt_packets=scan.video.corrupt.count,
        corrupt_at=stretches(scan.video.corrupt.ticks, base, (line.start_pts - line.late) * base),
        bit_rate=int(scan.video.size * 8 / line.duration) if line.duration else None,
        exact_seek=problem is None,
        seek_problem=problem,
    )


def _seek_problem(container: av.container.InputContainer, video: Any, scan: Scan, line: Timeline, demuxer: str) -> str | None:
    """Return why chunks cannot each start with a seek, or None after some seeks were tried and did what they should."""
    if demuxer not in INDEXED:
        return f"the container ({demuxer}) has no index to seek by"
    if line.guessed or demuxer == "avi":  # AVI stores no times: libav counts, and is off by one where frames may be reordered
        return "the pictures have no presentation times of their own"
    if line.missing:
        return f"{line.missing} pictures have no time"
    if line.backward:
        return f"decoding times go backwards {line.backward} times"
    if scan.error:
        return f"the stream is damaged ({scan.error})"
    if len(line.key_pts) < 2 and line.frames > 1:
        return "there is only one key frame"
    keys = line.key_pts[1:]
    for target in {keys[len(keys) * step // SEEKS_TRIED] for step in range(SEEKS_TRIED)} if keys else ():
        try:
            # without a stream and in microseconds, as ffmpeg's -ss does
            container.seek(int(target * _base(video) * av.time_base), backward=True)
            packet = next(packet for packet in packets(container, video) if packet.size)
        except (av.error.FFmpegError, StopIteration):
            return f"seeking to {float(target * _base(video)):.3f} s fails"
        if not packet.is_keyframe or packet.pts is None or packet.pts > target:
            return f"seeking to {float(target * _base(video)):.3f} s lands elsewhere"
    return None


def _audio(stream: Any, track: Track, video: VideoStream) -> AudioStream:
    context, base = stream.codec_context, _base(stream)
    start = track.start or 0
    if stream.start_time is not None and start < stream.start_time:
        start = min(stream.start_time, track.end)  # encoder delay that the container tells players to skip
    duration = max(0, track.end - start) * base
    changes = track.listener.changes if track.listener else ()
    declared = stream.duration * base if stream.duration and stream.duration > 0 else None
    return AudioStream(
        index=stream.index,
        codec=clean(_codec(context)) if context else "unknown",
        profile=clean(stream.profile) if context and stream.profile else None,
        sample_rate=context.sample_rate if context else 0,
        channels=context.channels if context else 0,
        layout=clean(context.layout.name) if context and context.channels else "unknown",
        language=language_tag(_tag(stream, "language")),
        title=_title(stream),
        default=bool(stream.disposition & Disposition.default),
        start=start * base,
        duration=duration,
        offset=start * base - video.start,
        declared_duration=declared,
        packets=track.packets,
        changes=tuple(SoundChange(at=at * base - video.start, before=before, after=after) for at, before, after in changes),
        corrupt_packets=track.corrupt.count,
        corrupt_at=stretches(track.corrupt.ticks, base, video.start),
        bit_rate=int(track.size * 8 / duration) if duration else None,
    )


def _codec(context: Any) -> str:
    """Return the name of the codec, not of the decoder that this build happens to use (mp3, not mp3float)."""
    return str(context.codec.canonical_name if context.codec is not None else context.name)


def _subtitle(stream: Any, track: Track) -> SubtitleStream:
    unnamed = "dvb_teletext" if track.opening in TELETEXT else "unknown"  # PyAV has no decoder for it, and so no name
    codec = clean(_codec(stream.codec_context)) if stream.codec_context else unnamed
    return SubtitleStream(
        index=stream.index,
        codec=codec,
        language=language_tag(_tag(stream, "language")),
        title=_title(stream),
        default=bool(stream.disposition & Disposition.default),
        forced=bool(stream.disposition & Disposition.forced),
        hearing_impaired=bool(stream.disposition & Disposition.hearing_impaired),
        text=codec in TEXT_SUBTITLES,
        **_span(stream, track),
    )


def _span(stream: Any, track: Track) -> dict[str, Any]:
    """Return when the packets of a stream begin, how long they last, and how many they are."""
    if track.start is None:
        return {"packets": track.packets}
    base = _base(stream)
    return {"start": track.start * base, "duration": (track.end - track.start) * base, "packets": track.packets}


def _other(stream: Any, track: Track) -> OtherStream:
    kind = "cover art" if stream.disposition & Disposition.attached_pic else "timecode" if _tag(stream, "timecode") else clean(stream.type)
    codec = clean(_codec(stream.codec_context)) if stream.codec_context else None
    return OtherStream(index=stream.index, kind=kind, codec=codec, **_span(stream, track))


def _tag(stream: Any, key: str) -> str | None:
    """Return a metadata value whatever the case of its key (Matroska writes LANGUAGE)."""
    return next((value for name, value in stream.metadata.items() if name.lower() == key), None)


def _title(stream: Any) -> str | None:
    return clean(_tag(stream, "title") or "") or None


def _chapters(container: av.container.InputContainer) -> tuple[Chapter, ...]:
    found = []
    for chapter in container.chapters():
        base = Fraction(chapter["time_base"] or 1)
        title = clean(chapter["metadata"].get("title", "")) or None
        found.append(Chapter(start=chapter["start"] * base, end=chapter["end"] * base, title=title))
    return tuple(found[:1000])


def _timecode(container: av.container.InputContainer, streams: list[Stream]) -> str | None:
    values = [container.metadata.get("timecode"), *(_tag(stream, "timecode") for stream in streams)]
    return next((clean(value, 20) for value in values if value), None)
