"""GStreamer plays a title with playbin3: in real time, as fast as it can for each variant and track, and through seeks.

It runs in a Python that has its bindings (``gstreamer_child.py``). Of each variant it gets a manifest that offers no other.
"""

from __future__ import annotations

import functools
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.playback.cells import Cell
from tests.playback.desktop import Choice, Judged, Seen, Site, ask, places, serving, variants
from tests.playback.titles import Title

INSTALL = (
    "GStreamer is not installed (Debian: apt-get install python3-gi gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-good "
    "gstreamer1.0-plugins-bad gstreamer1.0-libav)."
)
CHILD = Path(__file__).with_name("gstreamer_child.py")


@functools.cache
def python() -> str | None:
    """Return a Python that has the bindings."""
    found = [name for name in (sys.executable, "/usr/bin/python3", shutil.which("python3") or "") if name]
    return next((name for name in found if ask([name, str(CHILD)], seconds=30).stdout.strip()), None)


@functools.cache
def version() -> str | None:
    """Return the version of GStreamer."""
    return ask([python() or "", str(CHILD)], seconds=30).stdout.decode().split()[-1] if python() else None


def play(cell: Cell, title: Title, folder: Path) -> Sequence[str]:
    """Play a title; return what was wrong."""
    # A segment begins later than its playlist says, by what the edit list would take off: just before that, its first picture is shown.
    judged = Judged(cell, title, beside=3)
    one = 0 if cell.manifest == "hls" and len({level.codec for level in title.renditions}) > 1 else None  # hlsdemux2 changes no codec
    with serving(title, one) as site:
        judged.run(Choice(timed=True), watch(cell, title, site, Choice(timed=True)), site)
    every = variants(cell, title)
    for n in range(max(len(every), len(title.audio), len(title.text))):
        choice = Choice(every[n % len(every)], n % len(title.audio), n % len(title.text) if title.text else None)
        with serving(title, n % len(every)) as site:
            seen = watch(cell, title, site, choice)
        judged.run(choice, seen, site)
        judged.words(choice, seen)
    judged.all_played((title.renditions, title.audio, title.text))
    sought = Choice(seeks=places(cell, title))
    with serving(title, one) as site:
        judged.run(sought, watch(cell, title, site, sought), site)
    return judged.faults


def watch(cell: Cell, title: Title, site: Site, choice: Choice) -> Seen:
    """Play as it was chosen."""
    streams = {"video": 0}
    streams |= {kind: place or 0 for kind, place in (("audio", choice.audio), ("text", choice.text)) if kind == "audio" or title.text}
    wanted = {"address": site.address(cell), "streams": streams, "timed": choice.timed, "seeks": choice.seeks}
    done = ask([python() or "", str(CHILD), json.dumps(wanted)], seconds=100)
    if done.returncode:
        return Seen(errors=(f"exit code {done.returncode}: {done.stderr.decode(errors='replace').strip().rpartition(chr(10))[2]}",))
    seen = json.loads(done.stdout)
    sought = ((place - seen["zero"], shown) for place, shown in seen["sought"])  # it reads no edit lists: 0 is where the first picture is
    return Seen(
        frames=tuple(seen["frames"]),
        sought=tuple(sought),
        audio=seen["audio"],
        words=tuple((start, end, text) for start, end, text in seen["words"]),
        errors=tuple(seen["errors"]),
        ended=seen["ended"],
        stalls=seen["stalls"],
    )
