"""A large file is known by its ends: the facts of a quick look are those of a whole one, and nothing is found that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.source_support import AAC, X264, make, run
from vidpipe.source.child import ends, entry
from vidpipe.source.child.reading import Extent
from vidpipe.source.facts import Source
from vidpipe.source.findings import fact_findings
from vidpipe.source.limits import SourceLimits
from vidpipe.source.policy import load_policy
from vidpipe.source.probe import probe

EIGHT_SECONDS = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=8", "-f", "lavfi", "-i", "sine=d=8"]
LIMITS, POLICY = SourceLimits(), load_policy()
CLIPS = (
    *("plain-mp4", "prores-mov", "dnxhd-mxf", "mkv-29.97", "webm", "ts-offset", "ps", "avi", "vfr", "mkv-start-5"),
    *("late-audio", "languages", "no-audio", "interlaced", "subtitles-mkv"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ends")


@pytest.fixture
def small_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "BEGINNING", Extent(packets=40, bytes=10**9))
    monkeypatch.setattr(ends, "END_SECONDS", 1)
    monkeypatch.setattr(ends, "END_BYTES", 30_000)


def looked(file: Path) -> tuple[Source, Source]:
    """A quick look at a file, and a whole one."""
    return entry.examine(str(file), file.name, LIMITS, quick=True), entry.examine(str(file), file.name, LIMITS)


def ids(source: Source) -> set[tuple[str, int | None]]:
    return {(each.id, each.at.stream) for each in fact_findings(source, POLICY)}


@pytest.mark.usefixtures("small_looks")
@pytest.mark.parametrize("name", CLIPS)
def test_the_ends_say_what_the_whole_says(name: str, folder: Path) -> None:
    quick, whole = looked(make(name, folder))
    assert quick.partial
    assert not whole.partial
    assert quick.sha256 == ""
    assert ids(quick) <= ids(whole), "nothing is found that is not there"
    assert (quick.demuxer, quick.size, quick.container) == (whole.demuxer, whole.size, whole.container)
    assert quick.video.frame_rate == whole.video.frame_rate
    assert quick.video.start == whole.video.start
    assert float(quick.duration) == pytest.approx(float(whole.duration), abs=0.05)
    if not whole.video.variable_frame_rate:
        assert quick.video.frames == pytest.approx(whole.video.frames, abs=2)
    assert not quick.video.exact_seek
    assert len(quick.audio) == len(whole.audio)
    for mine, its in zip(quick.audio, whole.audio, strict=True):
        assert float(mine.start) == float(its.start)
        assert float(mine.duration) == pytest.approx(float(its.duration), abs=0.1)


@pytest.mark.usefixtures("small_looks")
def test_a_file_that_was_cut_is_found_by_its_ends(folder: Path) -> None:
    whole = folder / "long.mp4"
    run([*EIGHT_SECONDS, *X264, *AAC, "-movflags", "+faststart"], whole)
    cut = folder / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 4])
    assert ("truncated", None) not in ids(looked(whole)[0])
    assert ("truncated", None) in ids(looked(cut)[0])


@pytest.mark.usefixtures("small_looks")
@pytest.mark.parametrize(
    ("file", "options"),
    [
        ("fragments.mp4", ["-movflags", "+frag_keyframe+empty_moov+default_base_moof"]),
        ("live.mkv", ["-live", "1"]),
        ("long.flv", []),
    ],
)
def test_where_the_end_is_not_reached_nothing_is_found_that_is_not_there(file: str, options: list[str], folder: Path) -> None:
    target = folder / file
    run([*EIGHT_SECONDS, *X264, *AAC, *options], target)
    quick, whole = looked(target)
    assert quick.partial
    assert ids(quick) <= ids(whole)
    assert float(quick.duration) == pytest.approx(8, rel=0.5)


def test_no_more_than_what_is_allowed_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = folder / "noise.ts"
    run(["-f", "lavfi", "-i", "nullsrc=s=320x180:r=25:d=8,noise=alls=60:allf=t", "-c:v", "mpeg2video", "-q:v", "2"], target)
    size = target.stat().st_size
    monkeypatch.setattr(entry, "ALLOWED", size * 3 // 4)
    quick = entry.examine(str(target), "noise.ts", LIMITS, quick=True)
    assert quick.partial
    assert quick.video.frames == pytest.approx(200, abs=20), "estimated by the bytes"
    monkeypatch.setattr(entry, "ALLOWED", 1000)
    assert entry.examine(str(target), "noise.ts", LIMITS, quick=True) == entry.examine(str(target), "noise.ts", LIMITS)


def test_a_small_file_is_read_whole(folder: Path) -> None:
    file = make("plain-mp4", folder)
    assert probe(str(file), quick=True) == probe(str(file))
