"""The players that run in headless Chromium, each by a page script of its own (``pages/``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.playback.cells import Cell
from tests.playback.titles import Title


@dataclass(frozen=True)
class BrowserPlayer:
    """A player in a page. install: how to get it."""

    name: str
    install: str

    def version(self) -> str | None:
        return None

    def play(self, cell: Cell, title: Title, folder: Path) -> Sequence[str]:
        raise NotImplementedError


PLAYERS: dict[str, BrowserPlayer] = {
    name: BrowserPlayer(name, "not there yet") for name in ("hls.js", "Shaka Player", "dash.js", "video.js", "Chromium")
}
