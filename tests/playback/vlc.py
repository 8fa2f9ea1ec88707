"""VLC plays a title in real time: as it chooses, each level and track, and through seeks; side by side, because each takes its time.

It runs in a process of its own for each (``vlc_child.py``). Of each variant it gets a manifest that offers no other.
"""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.playback.cells import Cell
from tests.playback.desktop import Choice, Judged, Seen, ask, places, serving, variants
from tests.playback.titles import Title

INSTALL = "VLC is not installed (Debian: apt-get install vlc-bin vlc-plugin-base)."
CHILD = Path(__file__).with_name("vlc_child.py")
RATE = 48000
TOGETHER = 3
HARMLESS = re.compile("filter error: |(vout display|video output) error: |failed to create video output|Failed to create demuxer .nil. Unknown|"
                      r"[Tt]imestamp (conversion failed|\d+ for)")  # fmt: skip
"""Hardware decoding, which it tries first, and what comes of it; the thumbnails of DASH, which it takes for a track that it cannot play;
pictures and audio that are decoded between a seek and the new clock."""
# no-drop, no-skip: what is late is shown all the same.  hw: none.  no-spu: no words on the barcode
OPTIONS = ("--no-drop-late-frames", "--no-skip-frames", "--avcodec-hw=none", "--no-video-title-show", "--no-lua", "--no-osd",
           "--aout=afile", "--no-audiofile-wav", "--audiofile-format=s16", "--network-caching=1000")  # fmt: skip


@functools.cache
def version() -> str | None:
    """Return the version of libvlc."""
    said = ask([sys.executable, str(CHILD)], seconds=30).stdout.decode().split()
    return said[0] if said else None


def play(cell: Cell, title: Title, folder: Path) -> Sequence[str]:
    """Play a title; return what was wrong."""
    judged = Judged(cell, title)
    every = variants(cell, title)
    runs: list[tuple[Choice, int | None]] = [(Choice(timed=True), None), (Choice(seeks=places(cell, title)), None)]
    for n in range(max(len(every), len(title.audio), len(title.text))):
        choice = Choice(every[n % len(every)], n % len(title.audio), n % len(title.text) if title.text else None)
        runs.append((choice, n % len(every)))

    def run(choice: Choice, variant: int | None) -> None:
        with serving(title, variant) as site:
            seen = watch(title, site.address(cell), choice, folder / f"{variant} {choice.name}".replace(" ", "-"))
        judged.run(choice, seen, site, last_may_miss=True)  # libvlc ends as soon as the last picture is due: shown or not

    with ThreadPoolExecutor(TOGETHER) as pool:
        list(pool.map(run, *zip(*runs, strict=True)))
    judged.all_played((title.renditions, title.audio, title.text))
    return judged.faults


def watch(title: Title, address: str, choice: Choice, heard: Path) -> Seen:
    """Play as it was chosen. heard: where the audio goes."""
    options = [*OPTIONS, f"--audiofile-file={heard}"]
    for name, place in (("audio", choice.audio), ("sub", choice.text)):
        options += [f"--{name}-track={place}"] if place is not None else []
    wanted = {"address": address, "options": options, "seeks": choice.seeks}
    done = ask([sys.executable, str(CHILD), json.dumps(wanted)], seconds=150)
    errors = [line for line in done.stderr.decode(errors="replace").splitlines() if " error: " in line and not HARMLESS.search(line)]
    if done.returncode:
        return Seen(errors=(f"exit code {done.returncode}", *errors))
    seen = json.loads(done.stdout)
    channels = title.audio[choice.audio].channels if choice.audio is not None else 2
    played = {"audio": heard.stat().st_size / 2 / channels / RATE} if heard.is_file() else {}
    sought = tuple((place, shown) for place, shown in seen["sought"])
    return Seen(tuple(seen["frames"]), sought, played, (), (*seen["errors"], *errors), seen["ended"], seen["stalls"])
