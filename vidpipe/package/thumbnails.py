"""Make the pictures of a title: the poster, the sprite sheets, and the WebVTT track that says which sprite belongs to which time.

In:   the plan and the encoded chunks, whose JPEG pictures came from the encode's own decode; ffmpeg to lay sprites side by side.
Out:  ThumbnailSet: the files as bytes, and the text of the track.
Wrong: EncodeFailed if a chunk holds other pictures than planned, or ffmpeg cannot tile them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor

from vidpipe.encode.command import pictures_in
from vidpipe.encode.result import EncodedChunk
from vidpipe.errors import EncodeFailed
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.media.graph import Input, arguments
from vidpipe.media.process import Cancel, run
from vidpipe.plan import Plan, ThumbnailPlan
from vidpipe.work.artifacts import Artifact

POSTER = "poster.jpg"
TRACK = "thumbnails.vtt"
BOUNDARY = b"\xff\xd9\xff\xd8"  # end of one JPEG, start of the next: inside a picture an FF is followed by 00 or a marker in between


@dataclass(frozen=True)
class Sheet:
    """A sprite sheet. name: file name.  pictures: how many, row by row.  width, height: pixels of the whole sheet."""

    name: str
    pictures: int
    width: int
    height: int
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class ThumbnailSet:
    """poster: JPEG of timeline frame ``poster_frame``.  track: WebVTT that names the sheets, to lie beside them."""

    poster: bytes = field(repr=False)
    poster_frame: int
    sheets: tuple[Sheet, ...]
    track: str = field(repr=False)

    def files(self) -> dict[str, bytes]:
        """Return file name -> bytes of everything."""
        sheets = {sheet.name: sheet.data for sheet in self.sheets}
        return {POSTER: self.poster, **sheets, TRACK: self.track.encode()}


def make(plan: Plan, chunks: Iterable[EncodedChunk], ffmpeg_program: FFmpeg, cancel: Cancel | None = None) -> ThumbnailSet:
    """Make the pictures of a title from all its chunks, in any order."""
    ordered = sorted(chunks, key=lambda done: done.chunk.start)
    pictures = (picture for done in ordered for picture in _pictures(plan, done))
    wanted = plan.thumbnails
    sheets: list[Sheet] = []
    while a_sheet := list(itertools.islice(pictures, wanted.columns * wanted.rows)):
        sheets.append(_sheet(len(sheets) + 1, a_sheet, wanted, ffmpeg_program, cancel))
    frame, poster = choose_poster({frame: artifact for done in ordered for frame, artifact in done.posters.items()})
    return ThumbnailSet(poster=poster, poster_frame=frame, sheets=tuple(sheets), track=track(plan, sheets))


def choose_poster(candidates: dict[int, Artifact]) -> tuple[int, bytes]:
    """Return frame and bytes of the candidate that shows most.

    All have the same size and quality, so the largest file has the most detail: black, faded and blurred pictures compress to little.
    """
    if not candidates:
        raise EncodeFailed("there is no poster candidate", fix="this is a bug in vidpipe: please report it")
    frame = max(candidates, key=lambda number: (candidates[number].size, -number))
    return frame, candidates[frame].path.read_bytes()


def track(plan: Plan, sheets: Sequence[Sheet]) -> str:
    """Return the WebVTT thumbnails track: cues that follow on one another over the whole duration.

    The payload is a media fragment (W3C Media Fragments 1.0, 4.2.2): the sheet's name and #xywh=x,y,width,height in pixels.
    """
    wanted, grid = plan.thumbnails, plan.grid
    lines = ["WEBVTT", ""]
    number = 0
    for sheet in sheets:
        for place in range(sheet.pictures):
            row, column = divmod(place, wanted.columns)
            start = grid.time(number * wanted.interval)
            end = min(grid.time((number + 1) * wanted.interval), grid.duration)
            where = f"{column * wanted.width},{row * wanted.height},{wanted.width},{wanted.height}"
            lines += [f"{_clock(start)} --> {_clock(end)}", f"{sheet.name}#xywh={where}", ""]
            number += 1
    return "\n".join(lines)


def split_pictures(data: bytes) -> list[bytes]:
    """Return the JPEG files that lie back to back in ``data``."""
    parts = data.split(BOUNDARY) if data else []
    last = len(parts) - 1
    return [(b"\xff\xd8" if at else b"") + part + (b"" if at == last else b"\xff\xd9") for at, part in enumerate(parts)]


def _pictures(plan: Plan, done: EncodedChunk) -> list[bytes]:
    planned = pictures_in(plan.thumbnails, done.chunk)
    pictures = split_pictures(done.pictures.path.read_bytes()) if done.pictures else []
    if len(pictures) != planned:
        raise EncodeFailed(
            f"it has {len(pictures)} sprite pictures, not {planned}",
            where=f"chunk {done.chunk.index + 1}",
            fix="run the same command again; if it happens again, run `vidpipe work clean` first",
        )
    return pictures


def _sheet(number: int, pictures: Sequence[bytes], wanted: ThumbnailPlan, program: FFmpeg, cancel: Cancel | None) -> Sheet:
    """Lay pictures side by side, row by row; the last sheet is only as large as it has to be."""
    columns = min(wanted.columns, len(pictures))
    rows = -(-len(pictures) // wanted.columns)
    done = run([program.path, *sheet_arguments(columns, rows)], stdin=b"".join(pictures), cancel=cancel)
    if done.returncode != 0 or not done.stdout.startswith(b"\xff\xd8"):
        raise EncodeFailed(
            f"ffmpeg could not make sprite sheet {number} of {len(pictures)} pictures (exit code {done.returncode})",
            fix="run the same command again; finished chunks are kept",
            details=done.stderr_tail.splitlines()[-5:],
        )
    return Sheet(
        name=f"sprite-{number:03}.jpg", pictures=len(pictures), width=columns * wanted.width, height=rows * wanted.height, data=done.stdout
    )


def sheet_arguments(columns: int, rows: int) -> list[str]:
    """Return ffmpeg's arguments that tile JPEG files from stdin into one on stdout."""
    stream = Input(filename="pipe:0", format="mjpeg", protocol_whitelist="pipe").stream().filter("tile", layout=f"{columns}x{rows}")
    options: dict[str, object] = {"format": "mjpeg", "c:v": "mjpeg", "q:v": 4, "frames:v": 1, "flags": "+bitexact"}
    return ["-hide_banner", "-nostdin", "-loglevel", "error", *arguments([stream.output("pipe:1", **options)])]


def _clock(seconds: Fraction) -> str:
    """Return WebVTT's time, HH:MM:SS.mmm, rounded to the nearest millisecond."""
    milliseconds = floor(seconds * 1000 + Fraction(1, 2))
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"
