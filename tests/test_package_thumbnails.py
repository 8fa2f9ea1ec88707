"""Poster, sprite sheets and the track that says which sprite belongs to which time."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from tests.encode_support import clip, ffmpeg, tiny_plan
from vidpipe.encode.result import EncodedChunk
from vidpipe.encode.scheduler import encode
from vidpipe.errors import EncodeFailed
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.package import thumbnails
from vidpipe.package.thumbnails import Sheet, choose_poster, make, sheet_arguments, split_pictures, track
from vidpipe.plan import Plan
from vidpipe.work.artifacts import Artifact, Store

TIME = r"(\d\d):(\d\d):(\d\d\.\d{3})"
CUE = re.compile(rf"^{TIME} --> {TIME}\n(sprite-\d{{3}}\.jpg)#xywh=(\d+),(\d+),(\d+),(\d+)$", re.MULTILINE)


def small(plan: Plan, **changes: object) -> Plan:
    """Return the plan with sprites close together."""
    return plan.model_copy(update={"thumbnails": plan.thumbnails.model_copy(update=changes)})


def encoded(plan: Plan, folder: Path, program: FFmpeg) -> list[EncodedChunk]:
    return [made for made in encode(plan, Store(folder / "work"), ffmpeg=program) if isinstance(made, EncodedChunk)]


def cues(text: str) -> list[tuple[float, float, str, list[int]]]:
    found = []
    for h1, m1, s1, h2, m2, s2, name, *box in CUE.findall(text):
        start, end = (int(hour) * 3600 + int(minute) * 60 + float(second) for hour, minute, second in ((h1, m1, s1), (h2, m2, s2)))
        found.append((start, end, name, [int(side) for side in box]))
    return found


def code(jpeg: bytes, folder: Path, box: list[int] | None = None) -> int:
    """Return the frame number that the barcode of a picture (or a part of it) shows."""
    path = folder / "picture.jpg"
    path.write_bytes(jpeg)
    crop = f"crop={box[2]}:{box[3]}:{box[0]}:{box[1]}," if box else ""
    data = ffmpeg("-i", path, "-vf", f"{crop}crop=iw:ih/8:0:0,scale=16:1:flags=area,format=gray", "-f", "rawvideo", "-")
    return sum((data[bit] > 127) << bit for bit in range(16))


def test_every_sprite_shows_the_frame_of_its_cue(tmp_path: Path, program: FFmpeg) -> None:
    """Two and a bit sheets over four chunks, of which one gives no sprite."""
    plan = tiny_plan(clip(tmp_path / "source.mp4", "25", 190))
    plan = small(plan, interval=30, columns=2, rows=1, width=160, height=96)
    assert len(plan.chunks) == 4
    made = make(plan, reversed(encoded(plan, tmp_path, program)), program)
    assert [(sheet.name, sheet.pictures, sheet.width, sheet.height) for sheet in made.sheets] == [
        ("sprite-001.jpg", 2, 320, 96),
        ("sprite-002.jpg", 2, 320, 96),
        ("sprite-003.jpg", 2, 320, 96),
        ("sprite-004.jpg", 1, 160, 96),
    ]
    assert made.track.startswith("WEBVTT\n\n")
    found = cues(made.track)
    files = made.files()
    assert set(files) == {"poster.jpg", "thumbnails.vtt", *(sheet.name for sheet in made.sheets)}
    for number, (start, _, name, box) in enumerate(found):
        assert start == pytest.approx(number * 30 / 25)
        assert code(files[name], tmp_path, box) == number * 30
    assert found[0][0] == 0
    assert found[-1][1] == pytest.approx(float(plan.grid.duration), abs=0.001)
    assert all(before[1] == after[0] for before, after in pairwise(found)), "no gap, no overlap"


def test_the_poster_is_a_candidate_at_its_own_frame(tmp_path: Path, program: FFmpeg) -> None:
    plan = tiny_plan(clip(tmp_path / "source.mp4", "25", 100))
    made = make(plan, encoded(plan, tmp_path, program), program)
    assert made.poster_frame in plan.thumbnails.posters
    assert code(made.poster, tmp_path) == made.poster_frame


def test_a_black_candidate_is_not_chosen(tmp_path: Path, program: FFmpeg) -> None:
    black = ",drawbox=color=black:t=fill:enable='lt(n,40)+gt(n,60)'"
    plan = tiny_plan(clip(tmp_path / "source.mp4", "25", 100, filters=black))
    assert plan.thumbnails.posters == (10, 30, 50)
    assert make(plan, encoded(plan, tmp_path, program), program).poster_frame == 50


def test_without_candidates_there_is_an_error() -> None:
    with pytest.raises(EncodeFailed, match="no poster candidate"):
        choose_poster({})


def test_one_frame(tmp_path: Path, program: FFmpeg) -> None:
    plan = tiny_plan(clip(tmp_path / "source.mp4", "25", 1))
    made = make(plan, encoded(plan, tmp_path, program), program)
    assert [(start, end) for start, end, *_ in cues(made.track)] == [(0, 0.04)]


def test_the_track_whole(tmp_path: Path) -> None:
    plan = small(tiny_plan(clip(tmp_path / "source.mp4", "30000/1001", 100)), interval=40, columns=2, rows=1, width=160, height=90)
    sheets = [Sheet("sprite-001.jpg", 2, 320, 90, b""), Sheet("sprite-002.jpg", 1, 160, 90, b"")]
    assert track(plan, sheets) == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:01.335\nsprite-001.jpg#xywh=0,0,160,90\n\n"
        "00:00:01.335 --> 00:00:02.669\nsprite-001.jpg#xywh=160,0,160,90\n\n"
        "00:00:02.669 --> 00:00:03.337\nsprite-002.jpg#xywh=0,0,160,90\n"
    )


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [("0", "00:00:00.000"), ("7199999/2000", "01:00:00.000"), ("3723.4567", "01:02:03.457"), ("360000", "100:00:00.000")],
)
def test_clock(seconds: str, expected: str) -> None:
    assert thumbnails._clock(Fraction(seconds)) == expected


def test_a_chunk_with_other_pictures_than_planned_is_an_error(tmp_path: Path, program: FFmpeg) -> None:
    plan = tiny_plan(clip(tmp_path / "source.mp4", "25", 60))
    (done, *rest) = encoded(plan, tmp_path, program)
    with pytest.raises(EncodeFailed, match=r"chunk 1: it has \d+ sprite pictures, not \d+"):
        make(small(plan, interval=5), [done, *rest], program)


def test_pictures_are_split_and_rubbish_fails(tmp_path: Path, program: FFmpeg) -> None:
    path = tmp_path / "p.mjpeg"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=32x32:d=1:r=5", "-f", "mjpeg", path)
    parts = split_pictures(path.read_bytes())
    assert len(parts) == 5
    assert b"".join(parts) == path.read_bytes()
    assert all(part.startswith(b"\xff\xd8") and part.endswith(b"\xff\xd9") for part in parts)
    assert split_pictures(b"") == []
    plan = tiny_plan(clip(tmp_path / "source.mp4", "25", 20))
    (done,) = encoded(plan, tmp_path, program)
    assert done.pictures is not None
    rubbish = tmp_path / "rubbish"
    rubbish.write_bytes(b"no picture")
    bad: Artifact = done.pictures.model_copy(update={"path": rubbish})
    with pytest.raises(EncodeFailed, match="sprite sheet 1"):
        make(plan, [done.model_copy(update={"pictures": bad})], program)


def test_the_tiling_command() -> None:
    assert " ".join(sheet_arguments(3, 2)) == (
        "-hide_banner -nostdin -loglevel error -f mjpeg -protocol_whitelist pipe -i pipe:0 -filter_complex [0]tile=layout=3x2[s0]"
        " -map [s0] -f mjpeg -c:v mjpeg -flags +bitexact -frames:v 1 -q:v 4 pipe:1"
    )
