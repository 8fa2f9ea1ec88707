"""Interlacing is measured and mirrored pictures are put right: what the plan says, and what the title then shows."""

from __future__ import annotations

import subprocess
from collections import Counter
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ingest_support import joined, run, settings
from tests.source_support import make
from tests.source_support import run as encode
from vidpipe.pipeline.ingest import IngestRequest, prepare
from vidpipe.source.child.fields import BATCH, FRAMES, POSITIONS, Fields, settled, weighed
from vidpipe.source.picture_facts import IDET
from vidpipe.source.probe import probe

VERDICTS: dict[str, tuple[list[dict[str, int]], Fields]] = {
    "nothing": ([], Fields()),
    "still": ([{"undetermined": 8}] * 5, Fields()),
    "top first": ([{"tff": 7, "undetermined": 1}] * 5, Fields("interlaced", True, Fraction(1))),
    "bottom first": ([{"bff": 8}, {"undetermined": 8}, {"bff": 8}], Fields("interlaced", False, Fraction(1))),
    "one long place": ([{"tff": 38, "progressive": 2}], Fields("interlaced", True, Fraction(19, 20))),
    "one place of two": ([{"tff": 16}, {"progressive": 4}], Fields(share=Fraction(4, 5))),
    "no order": ([{"tff": 4, "bff": 4}] * 5, Fields(share=Fraction(1, 2))),
    "film in video": ([{"tff": 3, "progressive": 5}] * 5, Fields(share=Fraction(3, 8))),
    "progressive": ([{"progressive": 7, "tff": 1}] * 5, Fields("progressive", share=Fraction(1, 8))),
    "too few": ([{"tff": 5}], Fields()),
}


@pytest.mark.parametrize("kind", VERDICTS)
def test_only_clear_verdicts_count(kind: str) -> None:
    places, expected = VERDICTS[kind]
    assert weighed([Counter(place) for place in places]) == expected


VERDICT = st.sampled_from(["tff", "bff", "progressive", "undetermined"])


@given(st.lists(st.lists(VERDICT, min_size=BATCH, max_size=BATCH), min_size=POSITIONS, max_size=POSITIONS))
def test_a_search_that_ends_early_says_what_all_of_it_would(batches: list[list[str]]) -> None:
    places = [Counter(batch) for batch in batches]
    seen = next(number for number in range(1, POSITIONS + 1) if settled(places[:number], FRAMES - BATCH * number))
    early, whole = weighed(places[:seen]), weighed(places)
    assert (early.seen == "interlaced", early.top_first) == (whole.seen == "interlaced", whole.top_first)


PROGRESSIVE, TOP = Counter(progressive=8), Counter(tff=8)
SEARCHES = {
    "progressive": ([PROGRESSIVE] * 5, 2),
    "interlaced": ([TOP] * 5, 4),
    "still, then progressive": ([Counter(), PROGRESSIVE, PROGRESSIVE, PROGRESSIVE, PROGRESSIVE], 3),
    "an odd picture": ([Counter(progressive=7, tff=1)] * 5, 2),
    "nothing to see": ([Counter()] * 5, 5),
}


@pytest.mark.parametrize("kind", SEARCHES)
def test_the_search_ends_as_soon_as_it_can(kind: str) -> None:
    places, expected = SEARCHES[kind]
    assert next(number for number in range(1, 6) if settled(places[:number], FRAMES - BATCH * number)) == expected


@pytest.mark.parametrize("keys", [13, 25, 40, 200], ids=lambda keys: f"a key frame every {keys} pictures")
def test_interlaced_pictures_are_found_however_few_places_can_be_sought(keys: int, tmp_path: Path) -> None:
    woven = make("interlaced-unflagged", tmp_path)
    clip = tmp_path / "again.mp4"
    encode(["-i", str(woven), "-c:v", "libx264", "-preset", "ultrafast", "-crf", "18", "-g", str(keys), "-sc_threshold", "0"], clip)
    video = probe(str(clip)).video
    assert len(video.key_pts) == -(-100 // keys)
    assert (video.measured_fields, video.field_order) == ("interlaced", "tt")


def combed(file: Path) -> int:
    """Return the number of frames that a strict idet takes for interlaced."""
    graph = f"idet={IDET},metadata=mode=print:key=lavfi.idet.single.current_frame:file=-"
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(file), "-map", "0:v", "-vf", graph, "-f", "null", "-"]
    printed = subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True).stdout
    return sum(line.endswith(("=tff", "=bff")) for line in printed.splitlines())


@pytest.mark.parametrize("name", ["interlaced-unflagged", "interlaced-bottom"])
def test_unflagged_interlaced_content_is_deinterlaced(name: str, tmp_path: Path) -> None:
    source, configured = make(name, tmp_path), settings(tmp_path, 192)
    made = prepare(IngestRequest(source=str(source)), configured)
    assert "interlaced source although the file does not say so: deinterlaced with bwdif" in made.notes
    assert combed(source) > 50
    result = run(source, configured)
    assert combed(joined(result, configured, "video-192p.m3u8", tmp_path)) <= 2
    assert [finding.id for finding in result.findings if finding.severity == "warning"].count("interlaced-content") == 1


def pixels(file: Path, *options: str) -> list[bytes]:
    """Return the frames as 32x32 grey pictures, turned as the file's metadata asks."""
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *options, "-i", str(file), "-map", "0:v:0", "-vf", "scale=32:32:flags=area"]
    raw = subprocess.run([*argv, "-pix_fmt", "gray", "-f", "rawvideo", "-"], stdout=subprocess.PIPE, check=True).stdout
    return [raw[i : i + 1024] for i in range(0, len(raw), 1024)]


def apart(one: bytes, other: bytes) -> Fraction:
    return Fraction(sum(abs(a - b) for a, b in zip(one, other, strict=True)), len(one))


@pytest.mark.parametrize("name", ["mirrored", "flipped", "mirrored-rotated", "rotated"])
def test_a_turned_or_mirrored_picture_is_shown_as_ffmpeg_shows_it(name: str, tmp_path: Path) -> None:
    source, configured = make(name, tmp_path), settings(tmp_path, 180)
    title = joined(run(source, configured), configured, "video-180p.m3u8", tmp_path)
    wanted, plain, shown = pixels(source), pixels(source, "-noautorotate"), pixels(title)
    assert len(shown) == len(wanted) == 40
    assert apart(shown[20], wanted[20]) < 6 < 12 < apart(shown[20], plain[20])


def test_flagged_progressive_pictures_hardly_suffer(tmp_path: Path) -> None:
    """What is flagged is deinterlaced: a missed field would comb, and bwdif leaves whole pictures nearly as they were."""
    source, configured = make("flagged-progressive", tmp_path), settings(tmp_path, 180)
    assert any("soften" in note for note in prepare(IngestRequest(source=str(source)), configured).notes)
    shown = pixels(joined(run(source, configured), configured, "video-180p.m3u8", tmp_path))
    assert max(apart(a, b) for a, b in zip(shown, pixels(source), strict=True)) < 6
