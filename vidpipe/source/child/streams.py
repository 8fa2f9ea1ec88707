"""Say what the streams of a file are, from their headers and what was read of them. Runs in the child process only.

In:   streams of an open container, what the one pass over its packets gathered.
Out:  VideoStream, AudioStream, SubtitleStream, OtherStream, chapters, timecode: all text cleaned, times in seconds.
Wrong: nothing of its own; libav's errors of damaged pictures may pass.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import av.error
from av.stream import Disposition, Stream

from vidpipe.language_tags import language_tag
from vidpipe.source.child.captions.carried import Carrier
from vidpipe.source.child.captions.channels import CAPTIONS, taken_apart
from vidpipe.source.child.fields import Fields, measure_fields
from vidpipe.source.child.opening import packets
from vidpipe.source.child.reading import Scan, ScannedStream, base_of
from vidpipe.source.child.scan import Timeline, stretches, thinned
from vidpipe.source.declared import Crop, Declared, Dolby
from vidpipe.source.facts import AudioFormatChange, AudioRole, AudioStream, Chapter, OtherStream, SubtitleStream, VideoStream
from vidpipe.source.picture_facts import FIELD_ORDERS, chroma, colour, orientation
from vidpipe.source.text import one_line

INDEXED = frozenset({"mov", "matroska", "mxf", "avi", "nut", "gxf"})  # the others have no index, or seek by guessing byte positions

SEEKS_TRIED = 6

TELETEXT = range(0x10, 0x20)  # what a packet of it begins with (ETSI EN 301 775, table 1)
MATROSKA_WEBVTT = "S_TEXT/WEBVTT"
"""Its name there, because libav has none for it: WebM's D_WEBVTT is another layout."""
TEXT_SUBTITLES = frozenset({"srt", "subrip", "ass", "ssa", "mov_text", "webvtt", "text", "eia_608", "dvb_teletext", MATROSKA_WEBVTT})
"""Without TTML, which ffmpeg does not read."""


def is_picture(stream: Stream) -> bool:
    """Whether a stream is moving video: cover art and still thumbnails are not."""
    still = Disposition.attached_pic | Disposition.timed_thumbnails
    context: Any = stream.codec_context
    return stream.type == "video" and not stream.disposition & still and context is not None and context.width > 0


def video_stream(
    container: av.container.InputContainer,
    video: Any,
    scan: Scan,
    line: Timeline,
    demuxer: str,
    dolby: Dolby | None,
    crop: Crop | None,
    *,
    partial: bool = False,
) -> VideoStream:
    """Describe the video; a sample of its fields is decoded, and some seeks are tried. partial: not all of it was read."""
    frame, context, base = scan.frames[0], video.codec_context, base_of(video)
    aspect = Fraction(video.sample_aspect_ratio or 1).limit_denominator(10_000) or Fraction(1)
    rotation, mirrored = orientation(frame)
    width, height = crop.of(frame.width, frame.height) if crop else (frame.width, frame.height)
    display = Fraction(width, height) * aspect
    flagged = sum(each.interlaced_frame for each in scan.frames) * 2 > len(scan.frames)
    order = FIELD_ORDERS.get(context.field_order, "unknown")
    if not flagged or order == "progressive":
        order = "unknown" if flagged else "progressive"
    problem = "not all of it was read" if partial else _seek_problem(container, video, scan, line, demuxer)
    described = colour(frame, context, dolby)
    # HDR is progressive by definition (ITU-R BT.2100, table 1), and its pictures are the dearest to decode
    sampled = described.dynamic_range == "SDR" and not partial  # it would take longer than all the rest
    fields = measure_fields(container, video, line, base, scan.frames) if sampled else Fields()
    if fields.seen == "interlaced" and not flagged:
        order = "tt" if fields.top_first else "bb"
    claims = demuxer in INDEXED and not scan.shifts  # of others, it is the last time less the first
    depth = max((part.bits for part in frame.format.components), default=8)
    return VideoStream(
        index=video.index,
        codec=one_line(codec_of(context)),
        profile=one_line(video.profile) if video.profile else None,
        pixel_format=frame.format.name,
        bit_depth=depth,
        width=width,
        height=height,
        cropped=crop is not None,
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
        declared_duration=_claimed(video, (line.start_pts - line.late) * base, line.lead * base) if claims else None,
        frames=line.frames,
        packets=None if partial else len(scan.video.hidden) - sum(scan.video.hidden),
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
        shifts=scan.shifts.get(video.index, ()),
    )


def _seek_problem(container: av.container.InputContainer, video: Any, scan: Scan, line: Timeline, demuxer: str) -> str | None:
    """Return why chunks cannot each start with a seek, or None after some seeks were tried and did what they should."""
    if demuxer not in INDEXED:
        return f"the container ({demuxer}) has no index to seek by"
    if line.guessed or demuxer == "avi":  # AVI stores no times: libav counts, and is off by one where frames may be reordered
        return "the frames have no presentation timestamps of their own"
    if scan.shifts:
        return "its clock jumps"
    if line.missing:
        return f"{line.missing} frames have no timestamp"
    if line.backward:
        return f"decode timestamps go backwards {line.backward} times"
    if scan.error:
        return f"the stream is damaged ({scan.error})"
    if len(line.key_pts) < 2 and line.frames > 1:
        return "there is only one key frame"
    keys = line.key_pts[1:]
    for target in {keys[len(keys) * step // SEEKS_TRIED] for step in range(SEEKS_TRIED)} if keys else ():
        try:
            # without a stream and in microseconds, as ffmpeg's -ss does
            container.seek(int(target * base_of(video) * av.time_base), backward=True)
            packet = next(packet for packet in packets(container, video) if packet.size)
        except (av.error.FFmpegError, StopIteration):
            return f"seeking to {float(target * base_of(video)):.3f} s fails"
        if not packet.is_keyframe or packet.pts is None or packet.pts > target:
            return f"seeking to {float(target * base_of(video)):.3f} s lands elsewhere"
    return None


def is_whole(video: Any, streams: list[Any], scan: Scan) -> bool:
    """Whether every sample was read that the tables of an MP4 file list, whatever the sizes of its boxes say.

    Of fragments libav counts no samples, but how long they last.
    """
    if scan.error or scan.video.corrupt.count or any(track.corrupt.count for track in scan.tracks.values()):
        return False
    for stream in streams:
        if stream.index == video.index:
            read, end = len(scan.video.pts), max(scan.video.dts, default=0) + max(scan.video.durations[-1:], default=0)
        elif stream.type == "audio" and (track := scan.tracks.get(stream.index)):
            read, end = track.packets, track.end
        else:
            continue
        if read != stream.frames and end < (stream.duration or 0):
            return False
    return True


def all_in_file(container: av.container.InputContainer) -> bool:
    """Whether the last sample of every stream that the tables of an MP4 file list lies in the file. Of fragments nothing is known."""
    ends = [entries[-1].pos + entries[-1].size for stream in container.streams if len(entries := stream.index_entries)]
    return bool(ends) and not any(end > container.size for end in ends)


def _claimed(stream: Any, start: Fraction, lead: Fraction = Fraction(0)) -> Fraction | None:
    """Return how long a stream says that it is, from ``start`` on. lead: what lies before and cannot be shown."""
    if not stream.duration or stream.duration < 0:
        return None
    claimed: Fraction = stream.duration * base_of(stream)
    # Without samples in its index (fragments only), libav counts from zero, and the first fragment may be a later one.
    later = stream.container.format.name.startswith("mov") and not stream.frames
    return max(claimed - (max(start, Fraction(0)) if later else lead), Fraction(0))


def audio_stream(stream: Any, track: ScannedStream, video: VideoStream, scan: Scan) -> AudioStream:
    """Describe an audio track."""
    context, base = stream.codec_context, base_of(stream)
    start = track.start or 0
    if stream.start_time is not None and start < stream.start_time:
        start = min(stream.start_time, track.end)  # encoder delay that the container declares, for players to skip
    duration = max(0, track.end - start) * base
    changes = track.listener.changes if track.listener else ()
    declared = _claimed(stream, start * base) if not scan.shifts else None
    return AudioStream(
        index=stream.index,
        codec=one_line(codec_of(context)) if context else "unknown",
        profile=one_line(stream.profile) if context and stream.profile else None,
        sample_rate=context.sample_rate if context else 0,
        channels=context.channels if context else 0,
        layout=one_line(context.layout.name) if context and context.channels else "unknown",
        language=language_tag(_tag(stream, "language")),
        title=_title(stream),
        default=bool(stream.disposition & Disposition.default),
        role=_role(stream.disposition),
        start=start * base,
        duration=duration,
        packets_duration=track.packets_duration * base,
        decodable=bool(context and context.codec is not None and context.sample_rate and context.channels),
        offset=start * base - video.start,
        declared_duration=declared,
        packets=track.packets,
        changes=tuple(AudioFormatChange(at=at * base - video.start, before=before, after=after) for at, before, after in changes),
        steps=tuple(time - video.start for time in track.steps.times()) if track.steps else (),
        corrupt_packets=track.corrupt.count,
        corrupt_at=stretches(track.corrupt.ticks, base, video.start),
        bit_rate=int(track.size * 8 / duration) if duration else None,
        shifts=scan.shifts.get(stream.index, ()),
    )


_ROLES: tuple[tuple[Disposition, AudioRole], ...] = (
    # "descriptions" is how libav reads the role "description" of MP4 and DASH; MPEG-TS and Matroska have a flag for the viewers instead
    (Disposition.visual_impaired | Disposition.descriptions, "description"),
    (Disposition.comment, "commentary"),
    (Disposition.hearing_impaired, "clear-speech"),
)
"""Audio tracks by their flags; the first that fits, so that described audio for everybody is not taken for an ordinary track."""


def _role(flags: Disposition) -> AudioRole:
    return next((role for flag, role in _ROLES if flags & flag), "main")


def codec_of(context: Any) -> str:
    """Return the name of the codec, not of the decoder that this build happens to use (mp3, not mp3float)."""
    return str(context.codec.canonical_name if context.codec is not None else context.name)


def subtitle_stream(stream: Any, track: ScannedStream, scan: Scan, claims: Declared) -> SubtitleStream:
    """Describe a subtitle track."""
    # PyAV has no decoder for teletext, and libav no name for Matroska's WebVTT; streams are numbered as Matroska's tracks are
    unnamed = MATROSKA_WEBVTT if stream.index in claims.webvtt else "dvb_teletext" if track.opening in TELETEXT else "unknown"
    codec = one_line(codec_of(stream.codec_context)) if stream.codec_context else unnamed
    return SubtitleStream(
        index=stream.index,
        codec=codec,
        language=language_tag(_tag(stream, "language")),
        title=_title(stream),
        default=bool(stream.disposition & Disposition.default),
        forced=bool(stream.disposition & Disposition.forced),
        hearing_impaired=bool(stream.disposition & Disposition.hearing_impaired),
        text=codec in TEXT_SUBTITLES,
        shifts=scan.shifts.get(stream.index, ()),
        **_span(stream, track),
    )


def caption_streams(stream: Any, carrier: Carrier, track: SubtitleStream | None, *, ordered: bool = True) -> list[SubtitleStream]:
    """Describe the closed captions that a stream carries: each channel and service that shows something.

    track: the stream, if it holds nothing else.  ordered: the order in which its packets are shown is known.
    """
    _, shown = taken_apart(carrier.triples)
    found = [
        SubtitleStream(
            index=stream.index,
            codec="eia_708" if name.startswith("SERVICE") else "eia_608",
            channel=name,
            language=track.language if track else None,
            title=track.title if track else None,
            hearing_impaired=True,
            text=ordered and name in CAPTIONS,
            start=seen.first * carrier.base,
            duration=(seen.last - seen.first) * carrier.base,
        )
        for name, seen in sorted(shown.items(), key=lambda item: (item[0].rstrip("0123456789"), len(item[0]), item[0]))
    ]
    return found or ([track.model_copy(update={"start": None, "duration": None})] if track else [])


def _span(stream: Any, track: ScannedStream) -> dict[str, Any]:
    """Return when the packets of a stream begin, how long they last, and how many they are."""
    if track.start is None:
        return {"packets": track.packets}
    base = base_of(stream)
    return {"start": track.start * base, "duration": (track.end - track.start) * base, "packets": track.packets}


def other_stream(stream: Any, track: ScannedStream) -> OtherStream:
    """Describe anything else: data, timecode, cover art."""
    still = Disposition.attached_pic | Disposition.timed_thumbnails
    kind = "cover art" if stream.disposition & still else "timecode" if _tag(stream, "timecode") else one_line(stream.type)
    codec = one_line(codec_of(stream.codec_context)) if stream.codec_context else None
    return OtherStream(index=stream.index, kind=kind, codec=codec, **_span(stream, track))


def _tag(stream: Any, key: str) -> str | None:
    """Return a metadata value whatever the case of its key (Matroska writes LANGUAGE)."""
    return next((value for name, value in stream.metadata.items() if name.lower() == key), None)


def _title(stream: Any) -> str | None:
    return one_line(_tag(stream, "title") or "") or None


def chapters(container: av.container.InputContainer) -> tuple[Chapter, ...]:
    """Return the chapters, at most a thousand."""
    found = []
    for chapter in container.chapters():
        base = Fraction(chapter["time_base"] or 1)
        title = one_line(chapter["metadata"].get("title", "")) or None
        found.append(Chapter(start=chapter["start"] * base, end=chapter["end"] * base, title=title))
    return tuple(found[:1000])


def timecode(container: av.container.InputContainer, streams: list[Stream]) -> str | None:
    """Return the first timecode that the file or a stream states."""
    values = [container.metadata.get("timecode"), *(_tag(stream, "timecode") for stream in streams)]
    return next((one_line(value, 20) for value in values if value), None)
