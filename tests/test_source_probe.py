"""Facts about sources: every odd container, generated here, and the real clips where they are present."""

from __future__ import annotations

import os
import socket
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.source_support import CASES, fact, make
from vidpipe.errors import Interrupted, SourceRefused
from vidpipe.source.facts import Source
from vidpipe.source.findings import fact_findings
from vidpipe.source.limits import SourceLimits
from vidpipe.source.policy import load_policy
from vidpipe.source.probe import probe
from vidpipe.source.quality_report import QualityReport

FIXTURES = Path(__file__).parent.parent / "fixtures"
MEDIA = Path(__file__).parent.parent.parent / "shared" / "media"


@pytest.mark.parametrize("name", CASES)
def test_an_odd_source_is_measured(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    source = probe(str(make(name, tmp_path)))
    assert {key: fact(source, key) for key in case.facts} == case.facts
    assert tuple(round(side) for side in source.video.display_size) == (case.width, case.height)
    assert [audio.channels for audio in source.audio] == list(case.audio)
    if case.frames is not None:
        assert source.video.frames == case.facts.get("video.frames", case.frames)
        assert source.duration == case.frames / source.video.frame_rate
        if "video.frame_rate" not in case.facts:
            assert source.video.frame_rate == Fraction(case.rate)
    assert not QualityReport(findings=fact_findings(source, load_policy())).refused
    assert Source.model_validate_json(source.model_dump_json()) == source


CLIPS: dict[str, dict[str, Any]] = {
    "landscape-24.mp4": {
        "video.frame_rate": Fraction(24),
        "video.frames": 336,
        "duration": Fraction(14),
        "video.key_pts": tuple(range(0, 172032, 24576)),
    },
    "ntsc-29.97.mp4": {"video.frame_rate": Fraction(30000, 1001), "video.frames": 240, "duration": Fraction(1001, 125)},
    "portrait-25.mp4": {"video.rotation": 0, "video.display_aspect": Fraction(9, 16), "video.reorder_frames": 2},
    # ffmpeg turns this picture a quarter counter-clockwise: its top row of blocks appears at the left
    "rotated-90.mp4": {"video.rotation": 270, "video.width": 640, "video.display_aspect": Fraction(9, 16)},
    "surround-51.mp4": {"audio.0.layout": "5.1", "audio.0.start": Fraction(0)},
    "one-second.mp4": {"video.seek_problem": "there is only one key frame"},
}


@pytest.mark.parametrize("name", CLIPS)
def test_the_fixtures(name: str) -> None:
    source = probe(str(FIXTURES / name))
    assert {key: fact(source, key) for key in CLIPS[name]} == CLIPS[name]
    assert source.name == name
    assert source.location == str((FIXTURES / name).resolve())


REAL: dict[str, dict[str, Any]] = {
    "bbb-720p24-vp8.webm": {"video.frame_rate": Fraction(24), "video.frames": 720, "video.variable_frame_rate": False},
    "broadcast-1080i-3audio-dvbsub.ts": {
        "video.interlaced": True,
        "video.frame_rate": Fraction(25),
        "audio.2.language": "qaa",
        "subtitles.0.text": False,
    },
    "cars-432p-12.5fps.mp4": {"video.frame_rate": Fraction(25, 2), "audio.0.language": "en"},
    "editlist-hevc10-vfr.mp4": {
        "video.rotation": 90,
        "video.start_pts": 0,
        "video.frame_rate": Fraction(30000, 1001),
        "video.colour.dynamic_range": "HLG",
        "video.colour.dolby_vision": True,
    },
    "hdr10-1080p.mp4": {
        "video.frame_rate": Fraction(30),
        "video.variable_frame_rate": True,
        "video.colour.dynamic_range": "HDR10",
        "video.colour.max_cll": 1000,
    },
    "interlaced-576i25-sar.ts": {"video.interlaced": True, "video.sample_aspect": Fraction(64, 45), "video.frame_rate": Fraction(25)},
    "pcm-1080p50.mov": {"video.frame_rate": Fraction(50), "video.frames": 100, "audio.0.codec": "pcm_s16le"},
    "rotated270-720p30.mp4": {"video.rotation": 270},
    "srt-subs.mkv": {"video.frame_rate": Fraction(30), "subtitles.0.text": True},
    "teletext-720p25-start3602.ts": {
        "video.start": Fraction(18012, 5),
        "video.frame_rate": Fraction(25),
        "duration": Fraction(30),
        "subtitles.0.codec": "dvb_teletext",
        "subtitles.0.text": True,
    },
}


@pytest.mark.parametrize("name", REAL)
def test_real_clips(name: str) -> None:
    if not (MEDIA / name).is_file():
        pytest.skip(f"the real clip {name} is not here")
    source = probe(str(MEDIA / name))
    assert {key: fact(source, key) for key in REAL[name]} == REAL[name]


def paths(folder: Path) -> dict[str, tuple[str, str]]:
    """Return what is wrong -> (path, part of the sentence)."""
    (folder / "empty.mp4").touch()
    (folder / "folder.mp4").mkdir()
    os.mkfifo(folder / "pipe.mp4")
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    (folder / "dangling.mp4").symlink_to(folder / "nowhere.mp4")
    (folder / "text.mp4").write_text("this is not a video\n" * 100)
    (folder / "picture.mp4").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(folder)  # the address of a socket is at most 107 bytes long
        listener.bind("socket.mp4")
    names = {
        "missing": ("missing.mp4", "no such file"),
        "empty": ("empty.mp4", "empty"),
        "directory": ("folder.mp4", "directory"),
        "fifo": ("pipe.mp4", "pipe"),
        "symlink loop": ("loop.mp4", "form a loop"),
        "dangling link": ("dangling.mp4", "a link to a file that does not exist"),
        "socket": ("socket.mp4", "socket"),
        "below a file": ("text.mp4/x.mp4", "a part of the path is a file"),
        "long name": ("x" * 300, "too long"),
        "text": ("text.mp4", "not a known video container"),
        "picture": ("picture.mp4", "not a supported video container"),
    }
    return {what: (str(folder / name), sentence) for what, (name, sentence) in names.items()} | {
        "device": ("/dev/null", "device"),
        "no name": ("", "name of the source"),
        "not utf-8": (str(folder / "a\udcff.mp4"), "UTF-8"),
    }


def test_every_kind_of_non_file_has_its_own_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = {}
    for what, (path, sentence) in paths(tmp_path).items():
        with pytest.raises(SourceRefused, match=sentence) as caught:
            probe(path)
        assert caught.value.fix
        said[what] = caught.value.what
    assert len(set(said.values())) == len(said)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(tmp_path: Path) -> None:
    file = tmp_path / "secret.mp4"
    file.write_bytes(b"x")
    file.chmod(0)
    with pytest.raises(SourceRefused, match="permission denied"):
        probe(str(file))


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"max_pixels": 1000}, "640x360 pixels; the limit is 1000"),
        ({"max_duration": 2}, "claims to last 14 s; the limit is 2 s"),
        ({"max_streams": 1}, "2 streams; the limit is 1"),
        ({"max_packets": 100}, "more than 100 packets"),
        ({"max_bytes": 1000}, "the limit is 1000"),
        ({"memory_bytes": 60 * 1024**2}, "memory"),
        ({"wall_seconds": 0}, "was stopped"),
        ({"output_bytes": 512}, "."),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_limits_end_in_a_sentence(limits: dict[str, int], sentence: str) -> None:
    with pytest.raises(SourceRefused, match=sentence) as refused:
        probe(str(FIXTURES / "landscape-24.mp4"), limits=SourceLimits(**limits))
    (name,) = limits
    if name != "output_bytes":  # what was cut off does not show why
        assert f"set VIDPIPE_LIMITS_{name.upper()}, or {name} under [limits]" in str(refused.value.fix)


def test_cancel_ends_the_child() -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Interrupted):
        probe(str(FIXTURES / "landscape-24.mp4"), cancel=cancel)


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(SourceRefused) as caught:
        probe(str(FIXTURES / "landscape-24.mp4"), limits=SourceLimits(max_pixels=1, max_duration=1))
    assert len(caught.value.details) == 2


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vidpipe.source.child import entry as child

    file = tmp_path / "growing.mp4"
    file.write_bytes((FIXTURES / "one-second.mp4").read_bytes())
    measure = child._measure

    def meanwhile(*arguments: Any) -> Any:
        with file.open("ab") as more:
            more.write(b"more")
        return measure(*arguments)

    monkeypatch.setattr(child, "_measure", meanwhile)
    answer = child.answer(str(file), "growing.mp4", SourceLimits())
    assert answer["problems"] == ["it changed while it was read; wait until it has been written completely"]


def test_the_child_imports_what_the_parent_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the working folder was imported')")
    monkeypatch.chdir(tmp_path)
    assert probe(str(FIXTURES / "one-second.mp4")).video.frames == 30
