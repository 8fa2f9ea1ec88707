"""VLC plays a title in real time: as it chooses, each level and track, and through seeks; side by side, because each takes its time.

It runs in a process of its own for each (``vlc_child.py``). Of each variant it gets a manifest that offers no other.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.playback.cells import Cell, undecodable
from tests.playback.desktop import Choice, Judged, Seen, ask, places, serving, variants
from tests.playback.titles import Title
from vidpipe.inventory.model import Inventory

INSTALL = "VLC is not installed (Debian: apt-get install vlc-bin vlc-plugin-base)."
CHILD = Path(__file__).with_name("vlc_child.py")
RATE = 48000
TOGETHER = 3
TRIES = 3
"""Of each run: it leaves pictures out, as they come late, whatever it is told, and a busy machine makes many late."""
HARMLESS = re.compile(
    "filter error: |(vout display|video output) error: |failed to create video output|Failed to create demuxer .nil. Unknown|"
    r"[Tt]imestamp (conversion failed|\d+ for)"
)
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
    levels = [level for level in title.renditions if not undecodable(cell, level.codec)]
    every = [(place, level) for place, level in enumerate(variants(cell, title)) if title.renditions[level] in levels]
    first = None if levels == list(title.renditions) else every[0][0]
    runs: list[tuple[Choice, int | None]] = [(Choice(timed=True), first), (Choice(seeks=places(cell, title)), first)]
    for n in range(max(len(every), len(title.audio), len(title.text))):
        variant, level = every[n % len(every)]
        runs.append((Choice(level, n % len(title.audio), n % len(title.text) if title.text else None), variant))

    def run(choice: Choice, variant: int | None) -> Judged:
        for attempt in range(TRIES):
            judged = Judged(cell, title, beside=3)  # it begins a little before
            with serving(title, variant) as site:
                seen = watch(title, site.address(cell), choice, folder / f"{attempt} {variant} {choice.name}".replace(" ", "-"))
            judged.run(choice, seen, site, last_may_miss=True)  # libvlc ends as soon as the last picture is due: shown or not
            if not judged.faults:
                break
        return judged

    with ThreadPoolExecutor(TOGETHER) as pool:
        each = list(pool.map(run, *zip(*runs, strict=True)))
    faults, played = [fault for one in each for fault in one.faults], {folder for one in each for folder in one.played}
    whole = Judged(cell, title, faults=faults, played=played)
    whole.all_played((levels, title.audio, title.text))
    return whole.faults


def late(title: Title) -> float:
    """Return by how many seconds pictures are later without edit lists, which it does not read: what their encoder reorders."""
    known = Inventory.model_validate_json((title.folder / "inventory.json").read_bytes())
    return max((track.delay / track.facts.timescale for track in known.video if track.facts.timescale), default=0.0)


def watch(title: Title, address: str, choice: Choice, heard: Path) -> Seen:
    """Play as it was chosen. heard: where the audio goes."""
    # highest: one level all the time. When it changes, it drops the pictures that it has not shown yet.
    options = [*OPTIONS, f"--audiofile-file={heard}", "--adaptive-logic=highest"]
    for name, place in (("audio", choice.audio), ("sub", choice.text)):
        options += [f"--{name}-track={place}"] if place is not None else []
    wanted = {"address": address, "options": options, "seeks": choice.seeks}
    done = ask([sys.executable, str(CHILD), json.dumps(wanted)], seconds=150)
    errors = [line for line in done.stderr.decode(errors="replace").splitlines() if " error: " in line and not HARMLESS.search(line)]
    if done.returncode:
        return Seen(errors=(f"exit code {done.returncode}", *errors))
    seen = json.loads(done.stdout)
    written = heard.stat().st_size / 2 / RATE if heard.is_file() else 0  # nobody says in how many channels
    each = {f"{track.channels} channels": written / track.channels for track in title.audio}
    played = dict([min(each.items(), key=lambda one: abs(one[1] - title.seconds))]) if written else {}
    sought = tuple((place - late(title), shown) for place, shown in seen["sought"])
    frames = tuple(number for number, _ in itertools.groupby(seen["frames"]))  # it may draw one again
    return Seen(frames, sought, played, (), (*seen["errors"], *errors), seen["ended"], seen["stalls"])
