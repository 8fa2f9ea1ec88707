"""What a trap is: a name, how to make it, what has to come of it. And: make it, judge it, compare with that.

In:   the recipe of a source.
Out:  Trap, in TRAPS; ``check`` returns the Verdict, which says "differs" if something else came than was expected.
Wrong: Broken if ffmpeg cannot make the source.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.oracle.decode import ffmpeg
from tests.oracle.verdict import Options, Verdict, verdict_on

Maker = Callable[[Path], None]


class Broken(Exception):
    """A trap could not be made."""


@dataclass(frozen=True)
class Trap:
    """A source to be made. refused: a pattern of what the refusal has to say; None if it has to become the same title."""

    name: str
    file: str
    make: Maker
    refused: str | None = None


TRAPS: dict[str, Trap] = {}


def trap(file: str, *, name: str = "", refused: str | None = None) -> Callable[[Maker], Maker]:
    """Enter the function that makes ``file`` (it gets the path) among the traps. name: unless it is the file's."""

    def enter(make: Maker) -> Maker:
        made = Trap(name or Path(file).stem, file, make, refused)
        if made.name in TRAPS:
            raise ValueError(f"two traps are named {made.name}")
        TRAPS[made.name] = made
        return make

    return enter


def chosen(names: Sequence[str]) -> list[Trap]:
    """Return the traps whose names contain one of ``names``; all if there are none."""
    return [made for name, made in TRAPS.items() if not names or any(part in name for part in names)]


def make(made: Trap, folder: Path) -> Path:
    """Make the source in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / made.file
    made.make(file)
    if not file.exists() or not file.stat().st_size:
        raise Broken(f"{made.file} was not made")
    return file


def check(made: Trap, options: Options | None = None) -> Verdict:
    """Make a trap, judge it, and compare with what is expected."""
    options = options or Options()
    with tempfile.TemporaryDirectory(prefix="trap-") as name:
        folder = options.keep / "sources" if options.keep else Path(name)
        verdict = verdict_on(make(made, folder), options)
    return expected(made, replace(verdict, file=made.name))


def expected(made: Trap, verdict: Verdict) -> Verdict:
    """Turn a verdict into one about the expectation."""
    if made.refused is None:
        if verdict.word == "refused":
            verdict.word, verdict.reasons = "differs", [f"refused ({verdict.exit_code}): {' '.join(verdict.reasons)}"]
    elif verdict.word in ("same", "unknown"):
        verdict.word, verdict.reasons = "differs", [f"accepted, although it should be refused with /{made.refused}/"]
    elif verdict.word == "refused" and not re.search(made.refused, " ".join(verdict.reasons).replace(made.file, "")):
        verdict.word, verdict.reasons = "differs", [f"refused in other words than /{made.refused}/: {' '.join(verdict.reasons)}"]
    return verdict


def run(*argv: str | Path) -> None:
    """Run ffmpeg; a failure breaks the trap."""
    done = ffmpeg("-loglevel", "error", *argv, timeout=120)
    if done.returncode:
        raise Broken(done.stderr.decode(errors="replace")[-800:])


BITS = 16


def picture(size: str = "320x180", rate: str = "25", seconds: float = 4) -> list[str]:
    """Return the input options of a picture that moves all over, under a barcode of the frame number: no two frames are alike."""
    width, height = map(int, size.split("x"))
    strip = max(2, height // 6 // 2 * 2)
    # Gray levels far from black and white, so that no conversion clips them.
    bits = "geq=lum='if(mod(floor(N/pow(2,X)),2),200,40)':cb=128:cr=128"
    graph = (
        f"testsrc2=s={width}x{height - strip}:r={rate}:d={seconds},format=yuv444p,setsar=1[body];"
        f"color=black:s={BITS}x2:r={rate}:d={seconds},format=yuv444p,{bits},"
        f"scale={width}:{strip}:flags=neighbor,format=yuv444p,setsar=1[code];[body][code]vstack,format=yuv420p"
    )
    return ["-f", "lavfi", "-i", graph]


def audio_input(seconds: float = 4, rate: int = 48000, layout: str = "stereo", base: int = 200) -> list[str]:
    """Return the input options of audio that is nowhere like elsewhere: a rising tone, noise, and sharp clicks."""
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    wave = f"0.2*sin(2*PI*({base}*t+45*t*t))+0.08*(random(0)-0.5)+0.5*(random(1)-0.5)*lt(mod(t\\,0.37)\\,0.012)"
    return ["-f", "lavfi", "-i", f"aevalsrc='{'|'.join([wave] * channels)}':s={rate}:c={layout}:d={seconds}"]


X264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-g", "25", "-threads", "1"]
AAC = ["-c:a", "aac", "-b:a", "96k"]
MPEG2 = ["-c:v", "mpeg2video", "-q:v", "4", "-g", "12", "-threads", "1"]
MP2 = ["-c:a", "mp2", "-b:a", "192k"]


def clip(file: Path, *options: str, size: str = "320x180", rate: str = "25", seconds: float = 4, audio: list[str] | None = None) -> None:
    """Make an ordinary clip with the options given: H.264 and AAC unless they say otherwise. audio: input options; [] for none."""
    heard = audio_input(seconds) if audio is None else audio
    codecs = [*X264, *(AAC if heard else [])]
    run(*picture(size, rate, seconds), *heard, *codecs, *options, file)
