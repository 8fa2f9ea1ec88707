"""Tables and summaries for people. Every text that comes from a file passes ``escaped`` on its way to the terminal.

In:   a console and what the library returned.  Out: text on the console, as wide as it allows; nothing is cut when piped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vidpipe.cli.summary import left_out
from vidpipe.cli.words import escaped, folded, lines, prose
from vidpipe.quantities import clock, count, duration, exact, frames_a_second, rate, size
from vidpipe.source.findings.wording import timecode

if TYPE_CHECKING:
    from vidpipe.catalog.record import Record
    from vidpipe.cdn.objects import CdnObject
    from vidpipe.diagnostics import Diagnostic
    from vidpipe.doctor import CheckResult
    from vidpipe.inspect.dash import DashReport
    from vidpipe.inspect.inspection import Inspection, PlaylistReport, VariantReport
    from vidpipe.ladder import Ladder
    from vidpipe.plan import AudioRendition, Plan
    from vidpipe.preview import Preview
    from vidpipe.source.facts import AudioStream, OtherStream, Source, SubtitleStream, VideoStream
    from vidpipe.source.policy_text import PolicyReport
    from vidpipe.validation import Validation
    from vidpipe.work.usage import FolderUse, Usage

_STATE_STYLE = {"ok": "green", "info": "green", "warning": "yellow", "error": "bold red"}
_GAP = 2
"""Columns between two cells."""
_FOLDED_WIDTH = 20
"""A folded cell narrower than this cannot be read."""


def table(console: Console, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows below headings; a cell that is too long is folded, never cut. A cell that is Text keeps its style.

    A heading that begins with ">" is of a column of numbers, set to the right. Where the terminal is too narrow to keep
    all but one column whole, each row becomes a paragraph with a line for each column.
    """
    names = [column.removeprefix(">") for column in columns]
    cells = [[cell if isinstance(cell, Text) else Text(escaped(cell)) for cell in row] for row in rows]
    longest = [max(len(name), *(row[index].cell_len for row in cells), 0) for index, name in enumerate(names)]
    longest[longest.index(max(longest))] = min(_FOLDED_WIDTH, max(longest))
    if sum(longest) + _GAP * (len(longest) - 1) > console.width:
        for number, row in enumerate(cells):
            if number:
                console.print()
            named = [(name, cell) for name, cell in zip(names, row, strict=True) if cell.plain]
            _facts(console, [(name, cell if cell.style else cell.plain) for name, cell in named])
        return
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for name, column in zip(names, columns, strict=True):
        made.add_column(name, overflow="fold", justify="right" if column.startswith(">") else "left")
    for row in cells:
        made.add_row(*row)
    _print(console, made)


def _print(console: Console, made: Table) -> None:
    """Print a table, without blanks at the ends of lines where it goes into a file."""
    if console.is_terminal:
        console.print(made)
        return
    with console.capture() as captured:
        console.print(made)
    lines(console, *(text.rstrip() for text in captured.get().splitlines()))


def _rate(track: AudioRendition) -> str:
    return rate(track.make.bitrate) if track.make.make == "encode" else "copied"


def plan(console: Console, decided: Plan) -> None:
    """Show what will be encoded, and why."""
    grid = decided.grid
    _source(console, decided.source)
    console.print()
    rows: list[list[object]] = [
        [
            rung.id, "video", make.codec, f"{rung.width}x{rung.height}", frames_a_second(grid.frame_rate / rung.frame_step),
            rate(make.bitrate) if make.crf is None else f"crf {make.crf:g}", rate(make.max_bitrate), make.preset,
        ]
        for rung, make in ((rung, rung.make) for rung in decided.video)
    ]  # fmt: skip
    rows += [
        [track.id, "audio", track.make.codec, ", ".join(filter(None, (f"{track.channels} ch", track.language))), "", _rate(track), "", ""]
        for track in decided.audio
    ]
    rows += [[track.id, "subtitles", "webvtt", track.language or "no language", "", "", "", ""] for track in decided.subtitles]
    table(console, ("rendition", "type", "codec", "picture", ">fps", ">bitrate", ">max", "preset"), rows)
    console.print()
    table(
        console,
        ("rung", "", "reason"),
        [
            (decision.rung, Text("kept", "green") if decision.kept else Text("dropped", "yellow"), decision.reason)
            for decision in decided.decisions
        ],
    )
    console.print()
    for text in (
        f"{count(grid.frames, 'frame')} at {frames_a_second(grid.frame_rate)} fps, "
        f"{count(grid.segments, 'segment')} of up to {exact(grid.longest_segment)}, "
        f"GOP {grid.gop_frames} frames, {count(len(decided.chunks), 'chunk')}; ladder {decided.ladder}; "
        f"manifests: {' and '.join(name.upper() for name in decided.formats)}",
        *(f"warning: {warning}" for warning in decided.warnings),
        *(f"left out: {track}" for track in decided.left_out),
        *(f"note: {note}" for note in decided.notes),
    ):
        prose(console, text)


def validation(console: Console, result: Validation, *, quiet: bool = False) -> None:
    """Show what is true of a file and what is wrong with it; every line of a finding names the file. quiet: only what is wrong."""
    if quiet and not result.findings and not result.problems:
        return
    if result.source is not None and not quiet:
        _source(console, result.source)
    for finding in () if result.problems else _worst_first(result.findings):  # what cannot be measured has its own lines
        _sentence(console, finding.severity, f": {_finding(result.file, finding)} [{finding.id}]", _STATE_STYLE[finding.severity])
        prose(console, f"  {result.file}: fix: {finding.advice}")
    for number, problem in enumerate(result.problems):
        named = problem if problem.startswith(f"{result.file}: ") else f"{result.file}: {problem}"
        _sentence(console, "error: " if number == 0 else "  ", named, _STATE_STYLE["error"])
    verdict = ("refused", "bold red") if result.refused else ("accepted", "green")
    console.print(Text.assemble(escaped(result.file), ": ", verdict), soft_wrap=True)


def _sentence(console: Console, first: str, rest: str, style: str) -> None:
    """Print a sentence whose first word has a colour, folded between words."""
    for number, line in enumerate(folded(escaped(first + rest), console.width, "  ")):
        shown = Text(line)
        if number == 0:
            shown.stylize(style, 0, len(first))
        console.print(shown, soft_wrap=True)


def _finding(file: str, finding: Diagnostic) -> str:
    at = finding.at
    where = ""
    if at.start is not None and timecode(at.start) not in finding.message:
        where = f" at {timecode(at.start)}" + (f" to {timecode(at.end)}" if at.end is not None and at.end > at.start else "")
    stream = f", stream {at.stream}" if at.stream is not None and f"stream {at.stream} " not in finding.message else ""
    measured = f" (measured {finding.measured}" + (f", limit {finding.limit}" if finding.limit else "") + ")" if finding.measured else ""
    return f"{file}{stream}{where}: {finding.message}{measured}"


def _worst_first(findings: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Return errors before warnings, in the order of the policy."""
    return sorted(findings, key=lambda finding: list(_STATE_STYLE)[::-1].index(finding.severity))


def _source(console: Console, source: Source) -> None:
    """Show the facts. All times count from the beginning of the file, as players do."""
    begin = source.beginning
    rows = [
        ("file", f"{source.name}, {size(source.size)}, {source.container}"),
        ("duration", f"{_lasting(source.duration)}{_claim(source.declared_duration, source.duration)}"),
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
    _facts(console, rows)


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


def _lasting(seconds: Fraction) -> str:
    """Return how long a file is, for people and exactly."""
    return f"{duration(float(seconds))} ({exact(seconds)})" if seconds >= 60 else exact(seconds)


def _claim(declared: Fraction | None, measured: Fraction) -> str:
    """Say what the file claims where it differs from what was measured."""
    return f", {exact(declared)} claimed" if declared is not None and abs(declared - measured) >= Fraction(1, 1000) else ""


def _facts(console: Console, rows: Iterable[tuple[str | Text, object]]) -> None:
    """Print names and values, the values aligned, and folded between words. A word that is too long gets lines of its own, whole."""
    given = [(Text(name, "bold") if isinstance(name, str) else name, value) for name, value in rows]
    indent = max((name.cell_len for name, _ in given), default=0) + 2
    for name, value in given:
        margin = Text.assemble(name, " " * (indent - name.cell_len))
        if isinstance(value, Text):
            console.print(margin + value, soft_wrap=True)
            continue
        for line in folded(escaped(value), console.width - indent):
            if indent + len(line) <= console.width:
                console.print(margin + Text(line), soft_wrap=True)
            else:
                if margin.plain.strip():
                    console.print(name, soft_wrap=True)
                lines(console, f"  {line}" if len(line) + 2 <= console.width else line)
            margin = Text(" " * indent)


def inspection(console: Console, found: Inspection) -> None:
    """Show what playlists or a manifest say and what their segments weigh."""
    if found.dash is not None:
        _manifest(console, found, found.dash)
        return
    independent = ", independent segments" if found.independent_segments else ""
    version = f"version {found.version}" if found.version else "no version"
    lines(console, f"{found.location}: {found.kind} playlist, {version}{independent}, {duration(float(found.duration))}", "")
    if found.variants:
        columns = ("variant", "codecs", "picture", ">fps", ">bandwidth", ">measured", ">average", "audio")
        table(console, columns, [_variant(item) for item in found.variants])
        console.print()
    if found.renditions:
        rows = [
            (
                item.type.lower(),
                item.group,
                item.name,
                item.language or "",
                item.channels or "",
                ", ".join(word for word, applies in (("default", item.default), ("forced", item.forced)) if applies),
                item.uri or "",
            )
            for item in found.renditions
        ]
        table(console, ("type", "group", "name", "language", "channels", "", "playlist"), rows)
        console.print()
    columns = ("playlist", "kind", ">segments", ">duration", ">longest", ">target", ">size", "keys")
    table(console, columns, [_playlist(item) for item in found.playlists])
    _remarks(console, found)


def _manifest(console: Console, found: Inspection, manifest: DashReport) -> None:
    """Show what a DASH manifest says."""
    buffered = f", buffers {exact(manifest.min_buffer_time)}" if manifest.min_buffer_time is not None else ""
    lines(console, f"{found.location}: DASH manifest, {manifest.type}, {duration(float(found.duration))}{buffered}", "")
    columns = ("representation", "type", "language", "role", "codecs", "picture", ">fps", ">bandwidth", ">measured", ">segments", ">size")
    rows = [
        (
            one.id,
            group.content_type or "",
            group.language or "",
            ", ".join(group.roles),
            one.codecs or "",
            f"{one.width}x{one.height}" if one.width and one.height else "",
            frames_a_second(one.frame_rate) if one.frame_rate else "",
            rate(one.bandwidth),
            rate(one.measured.peak) if one.measured else "",
            str(one.segments),
            size(one.bytes) if one.bytes is not None else "",
        )
        for group in manifest.sets
        for one in group.representations
    ]
    table(console, columns, rows)
    protections = dict.fromkeys(
        f"{one.value or one.scheme}{f', key {one.key_id}' if one.key_id else ''}" for group in manifest.sets for one in group.protection
    )
    lines(console, *(f"protection: {text}" for text in protections))
    _remarks(console, found)


def _remarks(console: Console, found: Inspection) -> None:
    if kept := found.inventory:
        name = f"{kept.content_id} version {kept.version}, " if kept.version else ""
        lines(console, f"inventory: {name}{count(kept.objects, 'object')}, {size(kept.bytes)}")
    lines(console, *(f"problem: {problem}" for problem in found.problems), *(f"note: {note}" for note in found.notes))


def _variant(item: VariantReport) -> tuple[str, ...]:
    return (
        item.uri,
        ",".join(item.codecs),
        f"{item.width}x{item.height}" if item.width and item.height else "",
        item.frame_rate or "",
        rate(item.bandwidth),
        rate(item.measured.peak) if item.measured else "",
        rate(item.average_bandwidth) if item.average_bandwidth else "",
        item.audio or "",
    )


def _playlist(item: PlaylistReport) -> tuple[object, ...]:
    keys = [f"{key.method} {key.uri or ''} ({key.segments} segments, {key.ivs or 'no'} IVs)" for key in item.keys]
    return (
        item.uri,
        item.kind,
        item.segments,
        exact(item.duration),
        exact(item.longest),
        f"{item.target_duration} s",
        size(item.bytes) if item.bytes is not None else "",
        ", ".join(keys) or "clear",
    )


def ladders(console: Console, found: Sequence[Ladder]) -> None:
    """List ladders."""
    table(console, ("ladder", ">rungs", "description"), [(ladder.name, len(ladder.rungs), ladder.description) for ladder in found])


def ladder(console: Console, shown: Ladder) -> None:
    """Show the rungs of a ladder."""
    lines(console, f"{shown.name}: {shown.description}", "")
    rows: list[list[object]] = [
        [
            rung.name, rung.height, rung.codec, rate(rung.bitrate) if rung.crf is None else f"crf {rung.crf:g}", rate(rung.max_bitrate),
            rung.preset, rung.profile or "", frames_a_second(rung.max_frame_rate) if rung.max_frame_rate else "source",
        ]
        for rung in shown.rungs
    ]  # fmt: skip
    rows += [["audio", "", track.codec, rate(track.bitrate), "", "", f"{track.channels} channels", ""] for track in shown.audio]
    table(console, ("rung", ">height", "codec", ">bitrate", ">max", "preset", "profile", ">fps"), rows)


def policy(console: Console, shown: PolicyReport) -> None:
    """Show what a policy checks: what is found, the limits below it, and what a finding does."""
    rows = []
    for check in shown.checks:
        limits = [f"{limit.key}: {limit.value:.12g} ({limit.unit})" for limit in check.limits]
        found = Text("\n".join([check.meaning.partition(". ")[0].removesuffix("."), *limits]))
        found.stylize("cyan", len(found) - sum(len(limit) + 1 for limit in limits) if limits else len(found))
        rows.append((check.key, Text(check.severity, _STATE_STYLE.get(check.severity, "dim")), found))
    table(console, ("check", "severity", "what is found, and the limits"), rows)


def cdn(console: Console, listed: Sequence[CdnObject]) -> None:
    """List what a CDN serves."""
    table(
        console,
        (">priority", ">size", "cache", ">seconds", "object"),
        [(item.priority, size(item.size), item.cache, item.ttl, item.url or item.path) for item in listed],
    )


def record(console: Console, shown: Record) -> None:
    """Show a record."""
    ids = shown.encryption.key_ids
    several = f", {count(len(ids), 'key')}: see vidpipe keys show {shown.content_id}"
    encryption = shown.encryption.method + (several if len(ids) > 1 else f", key {ids[0]}" if ids else "")
    facts: list[tuple[str, object]] = [
        ("content id", shown.content_id),
        ("title", shown.title),
        ("version", f"{shown.version}, {shown.status}, {shown.created_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("duration", _lasting(Fraction(shown.duration))),
        ("source", f"{shown.source.name}, {size(shown.source.size)}, sha256 {shown.source.sha256}"),
        ("master playlist", shown.playback.hls),
        *([("DASH manifest", shown.playback.dash)] if shown.playback.dash else []),
        ("encryption", encryption),
        ("poster", _beside(shown, shown.thumbnails.poster)),
        ("thumbnails", _beside(shown, shown.thumbnails.track)),
        *((f"audio {track.id}", f"{track.name}, {track.language or 'no language'}, {track.channels} channels") for track in shown.audio),
        *(
            (f"subtitles {track.id}", f"{track.name}, {track.language or 'no language'}" + (", forced" if track.forced else ""))
            for track in shown.subtitles
        ),
        *(("left out", left_out(track)) for track in shown.left_out),
        *((f"meta {key}", value) for key, value in shown.metadata.items()),
    ]
    _facts(console, [(escaped(name), value) for name, value in facts])
    console.print()
    table(
        console,
        ("rendition", "type", "codecs", "picture", ">fps", ">bandwidth", ">average", ">segments"),
        [
            (
                item.id, item.type, item.codecs, f"{item.width}x{item.height}" if item.width else "",
                frames_a_second(item.frame_rate) if item.frame_rate else "",
                rate(item.bandwidth), rate(item.average_bandwidth), item.segments,
            )
            for item in shown.renditions
        ],
    )  # fmt: skip


def _beside(shown: Record, location: str | None) -> str:
    """Return where an object lies below the folder of the master playlist, which is named in full."""
    return location.removeprefix(shown.playback.hls.rpartition("/")[0] + "/") if location else "none"


def work(console: Console, found: Usage) -> None:
    """Show what the work folder holds."""
    lines(console, found.folder)
    rows = [(share.kind, share.files, size(share.bytes), share.meaning) for share in found.shares]
    table(console, ("kind", ">files", ">size", "what"), rows)
    if found.sources:
        chunks = [(held.title, held.source[:12], held.artifacts, size(held.bytes)) for held in found.sources]
        table(console, ("chunks of", "SHA-256", ">files", ">size"), chunks)
    lines(console, *(f"running: {name}" for name in found.running))
    lines(
        console, *(f"unfinished: {name}; run its ingest again, or discard it: vidpipe work clean --unfinished" for name in found.unfinished)
    )


def cleaned(console: Console, removed: Sequence[FolderUse], given_up: Sequence[str], *, dry_run: bool) -> None:
    """Say what was removed."""
    lines(console, *(f"discarded: {name}" for name in given_up))
    files, total = sum(share.files for share in removed), sum(share.bytes for share in removed)
    lines(console, f"{'would free' if dry_run else 'freed'} {size(total)} in {count(files, 'file')}")


def playing(console: Console, server: Preview) -> None:
    """Say where the preview is."""
    lines(
        console,
        f"playing {server.title}",
        f"  in a browser  {server.url}",
        f"  in a player   {server.master_url}",
        "press Ctrl-C to end",
    )


def doctor(console: Console, checks: Sequence[CheckResult]) -> None:
    """Show what was looked at."""
    state, name = (max((len(text) for text in texts), default=0) for texts in zip(*((c.state, c.name) for c in checks), strict=True))
    _facts(
        console,
        [
            (Text.assemble((check.name.ljust(name), "bold"), "  ", (check.state.ljust(state), _STATE_STYLE[check.state])), check.detail)
            for check in checks
        ],
    )
    for check in checks:
        if check.fix:
            prose(console, f"{check.name}: {check.fix}")
