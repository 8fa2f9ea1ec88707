"""Show what playlists or a manifest say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from vidpipe.cli.render.columns import table
from vidpipe.cli.words import lines
from vidpipe.quantities import count, duration, exact, frames_a_second, rate, size

if TYPE_CHECKING:
    from vidpipe.inspect.dash import DashReport
    from vidpipe.inspect.inspection import Inspection, PlaylistReport, VariantReport


def show_inspection(console: Console, found: Inspection) -> None:
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
