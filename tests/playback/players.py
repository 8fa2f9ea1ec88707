"""Who plays: the implementation of each player of the matrix, and how a cell is played.

A new player is a ``Player`` in ``cells.py`` and a line in ``IMPLEMENTATIONS``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.playback import chromium, ffmpeg, gstreamer, mpv, vlc
from tests.playback.cells import Cell, refusal, undecodable
from tests.playback.outcome import Outcome
from tests.playback.titles import Title, Titles


@dataclass(frozen=True)
class Implementation:
    """How a player is found and asked to play.

    version: what of it is installed; None if it is absent.
    install: how to get it, as a sentence.
    play: plays a title in a folder of its own, and returns what was wrong, a sentence each; nothing if all was right.
    """

    version: Callable[[], str | None]
    install: str
    play: Callable[[Cell, Title, Path], Sequence[str]]


IMPLEMENTATIONS: dict[str, Implementation] = {
    **{name: Implementation(player.version, player.install, player.play) for name, player in chromium.PLAYERS.items()},
    "FFmpeg": Implementation(ffmpeg.version, ffmpeg.INSTALL, ffmpeg.play),
    "GStreamer": Implementation(gstreamer.version, gstreamer.INSTALL, gstreamer.play),
    "mpv": Implementation(mpv.version, mpv.INSTALL, mpv.play),
    "VLC": Implementation(vlc.version, vlc.INSTALL, vlc.play),
}


def outcome_of(cell: Cell, titles: Titles, folder: Path) -> Outcome:
    """Play a cell, or say why not.

    A busy machine starves a player: what did not play well plays once more. A fault of the title is there again.
    """
    if why := refusal(cell):
        return Outcome(cell, "not possible", why)
    player = IMPLEMENTATIONS[cell.player]
    if player.version() is None:
        return Outcome(cell, "absent", player.install)
    title = titles.get(cell.ladder, cell.protection, cell.audio)
    left_out = tuple(rung.name for rung in title.renditions if undecodable(cell, rung.codec))
    faults: Sequence[str] = ()
    for attempt in range(2):
        place = folder / f"{cell.id.replace(' ', '-')}-{attempt}"
        place.mkdir(parents=True)
        faults = player.play(cell, title, place)
        if not faults:
            return Outcome(cell, "passed", left_out=left_out)
    return Outcome(cell, "failed", "; ".join(faults), left_out)
