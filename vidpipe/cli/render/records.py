"""Show a published title: its record, and what a CDN serves of it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from rich.console import Console

from vidpipe.cli.render.columns import facts, table
from vidpipe.cli.render.sources import lasting
from vidpipe.cli.summary import left_out
from vidpipe.cli.words import escaped
from vidpipe.quantities import count, frames_a_second, rate, size

if TYPE_CHECKING:
    from vidpipe.catalog.record import Record
    from vidpipe.cdn.objects import CdnObject


def show_record(console: Console, shown: Record) -> None:
    """Show a record."""
    ids = shown.encryption.key_ids
    several = f", {count(len(ids), 'key')}: see vidpipe keys show {shown.content_id}"
    encryption = shown.encryption.method + (several if len(ids) > 1 else f", key {ids[0]}" if ids else "")
    named: list[tuple[str, object]] = [
        ("content id", shown.content_id),
        ("title", shown.title),
        ("version", f"{shown.version}, {shown.status}, {shown.created_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("duration", lasting(Fraction(shown.duration))),
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
    facts(console, [(escaped(name), value) for name, value in named])
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


def show_cdn(console: Console, listed: Sequence[CdnObject]) -> None:
    """List what a CDN serves."""
    table(
        console,
        (">priority", ">size", "cache", ">seconds", "object"),
        [(item.priority, size(item.size), item.cache, item.ttl, item.url or item.path) for item in listed],
    )
