"""Show the facts of a source."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from rich.console import Console

from vidpipe.cli.render.columns import facts
from vidpipe.quantities import clock, count, duration, exact, frames_a_second, rate, size

if TYPE_CHECKING:
    from vidpipe.source.facts import AudioStream, OtherStream, Source, SubtitleStream, VideoStream


def source_facts(console: Console, source: Source) -> None:
    """Show the facts. All times count from the beginning of the file, as players do."""
    begin = source.beginning
    rows = [
        ("file", f"{source.name}, {size(source.size)}, {source.container}"),
        ("duration", f"{lasting(source.duration)}{_claim(source.declared_duration, source.duration)}"),
        ("bit rate", rate(source.bit_rate) if source.bit_rate else "unknown"),
        ("scan", "beginning and end only; frame counts and bit rates are estimates") if source.partial else ("sha256", source.sha256),
        *([("clock", f"begins at {exact(source.beginning)}; times below count from there")] if source.beginning else []),
        *_video(source.video),
    ]
    rows += [("audio", _audio(audio, source)) for audio in source.audio] or [("audio", "none")]
    rows += [
        (
            "subtitle",
            f"stream {item.index}: {item.codec}{_channel(item)}, {item.language or 'no language'}, {_form(item)}{_span(item, source)}"
            + (", default" if item.default else "")
            + (", forced" if item.forced else "")
            + (", for the hard of hearing" if item.hearing_impaired else ""),
        )
        for item in source.subtitles
    ]
    rows += [("other", f"stream {other.index}: {other.kind} {other.codec or ''}{_span(other, source)}") for other in source.others]
    rows += [
        ("chapter", f"{clock(float(chapter.start - begin))} to {clock(float(chapter.end - begin))} {chapter.title or ''}")
        for chapter in source.chapters
    ]
    rows += [("timecode", source.timecode)] if source.timecode else []
    facts(console, rows)


def _video(video: VideoStream) -> list[tuple[str, str]]:
    colour = video.colour
    declared = video.declared_frame_rate
    fps = f"{frames_a_second(video.frame_rate)} fps " + ("variable" if video.variable_frame_rate else "constant")
    fps += f" (declared {frames_a_second(declared)})" if declared and declared != video.frame_rate else ""
    shape = [f"{video.width}x{video.height}"]
    shape += [f"pixels {video.sample_aspect.numerator}:{video.sample_aspect.denominator}"] if video.sample_aspect != 1 else []
    shape += [f"shown {video.display_aspect.numerator}:{video.display_aspect.denominator}"] if video.display_aspect else []
    shape += [f"rotated {video.rotation}"] if video.rotation else []
    shape += ["mirrored"] if video.mirrored else []
    dynamic = colour.dynamic_range + (" with Dolby Vision" if colour.dolby_vision else "")
    named = {"primaries": colour.primaries, "transfer": colour.transfer, "matrix": colour.matrix, "range": colour.range}
    declared_colours = [f"{name} {value}" for name, value in named.items() if value != "unknown"]
    described = "/".join(named.values()) if len(declared_colours) == len(named) else ", ".join(declared_colours) or "colours not declared"
    fields = "interlaced" if video.interlaced else "progressive"
    fields += f", fields {video.field_order}" if video.interlaced else ""
    fields += f" (measured {video.measured_fields})" if video.measured_fields != fields and video.measured_fields != "unclear" else ""
    light = [f"mastered for {colour.mastering_display}"] if colour.mastering_display else []
    light += [f"max CLL {colour.max_cll}, max FALL {colour.max_fall} cd/m2"] if colour.max_cll is not None else []
    shortest, longest = exact(video.shortest_gop), exact(video.longest_gop)
    gop = f"{shortest} to {longest}, {exact(video.mean_gop)} on average" if shortest != longest else longest
    return [
        ("video", f"stream {video.index}: {_codec(video)}, {', '.join(shape)}, {fps}, {count(video.frames, 'frame')}"),
        ("", f"starts at {exact(video.lead_in)}, lasts {exact(video.duration)}{_claim(video.declared_duration, video.duration)}"),
        ("", f"GOPs of {gop}; {count(video.reorder_frames, 'frame')} reordered" + (f", {rate(video.bit_rate)}" if video.bit_rate else "")),
        ("picture", ", ".join([f"{video.pixel_format}, {video.bit_depth} bit, {video.chroma}", fields, dynamic, described, *light])),
    ]


def _audio(audio: AudioStream, source: Source) -> str:
    parts = [f"stream {audio.index}: {_codec(audio)}"]
    parts += [audio.layout, f"{audio.sample_rate} Hz", audio.language or "no language"]
    parts += [f"'{audio.title}'"] if audio.title else []
    parts += [audio.role.replace("-", " ")] if audio.role != "main" else []
    parts += [f"starts at {_begins(audio.start, source)}", f"lasts {exact(audio.duration)}"] if audio.packets else ["empty"]
    parts += [rate(audio.bit_rate)] if audio.bit_rate else []
    return ", ".join(parts + (["default"] if audio.default else []))


def _codec(stream: VideoStream | AudioStream) -> str:
    return f"{stream.codec} {stream.profile}" if stream.profile else stream.codec


def _channel(stream: SubtitleStream) -> str:
    return f" {stream.channel}" if stream.channel else ""


def _form(stream: SubtitleStream) -> str:
    return "closed captions" if stream.channel else "text" if stream.text else "pictures"


def _span(stream: SubtitleStream | OtherStream, source: Source) -> str:
    if stream.start is None or stream.duration is None:
        return ", empty" if not stream.packets else ""
    return f", starts at {_begins(stream.start, source)}, lasts {exact(stream.duration)}"


def _begins(start: Fraction, source: Source) -> str:
    """Return when a stream begins, from the beginning of the file on; an encoder's delay before it is not played."""
    return exact(max(start - source.beginning, Fraction(0)))


def lasting(seconds: Fraction) -> str:
    """Return how long a file is, for people and exactly."""
    return f"{duration(float(seconds))} ({exact(seconds)})" if seconds >= 60 else exact(seconds)


def _claim(declared: Fraction | None, measured: Fraction) -> str:
    """Say what the file claims where it differs from what was measured."""
    return f", {exact(declared)} claimed" if declared is not None and abs(declared - measured) >= Fraction(1, 1000) else ""
