"""Show what a user may choose: ladders and policies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from vidpipe.cli.render.columns import STATE_STYLE, table
from vidpipe.cli.words import lines
from vidpipe.quantities import frames_a_second, rate

if TYPE_CHECKING:
    from vidpipe.ladder import Ladder
    from vidpipe.source.policy_text import PolicyReport


def show_ladders(console: Console, found: Sequence[Ladder]) -> None:
    """List ladders."""
    table(console, ("ladder", ">rungs", "description"), [(ladder.name, len(ladder.rungs), ladder.description) for ladder in found])


def show_ladder(console: Console, shown: Ladder) -> None:
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


def show_policy(console: Console, shown: PolicyReport) -> None:
    """Show what a policy checks: what is found, the limits below it, and what a finding does."""
    rows = []
    for check in shown.checks:
        limits = [f"{limit.key}: {limit.value:.12g} ({limit.unit})" for limit in check.limits]
        found = Text("\n".join([check.meaning.partition(". ")[0].removesuffix("."), *limits]))
        found.stylize("cyan", len(found) - sum(len(limit) + 1 for limit in limits) if limits else len(found))
        rows.append((check.key, Text(check.severity, STATE_STYLE.get(check.severity, "dim")), found))
    table(console, ("check", "severity", "what is found, and the limits"), rows)
