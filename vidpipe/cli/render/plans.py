"""Show a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from vidpipe.cli.render.columns import table
from vidpipe.cli.render.sources import source_facts
from vidpipe.cli.words import prose
from vidpipe.quantities import count, exact, frames_a_second, rate

if TYPE_CHECKING:
    from vidpipe.plan import AudioRendition, Plan


def _rate(track: AudioRendition) -> str:
    return rate(track.make.bitrate) if track.make.make == "encode" else "copied"


def show_plan(console: Console, decided: Plan) -> None:
    """Show what will be encoded, and why."""
    grid = decided.grid
    source_facts(console, decided.source)
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
