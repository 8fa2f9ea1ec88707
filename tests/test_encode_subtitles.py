"""Subtitles become WebVTT in one go, are kept like every other piece, and a broken stream takes nothing else with it."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from tests.encode_support import tiny_plan
from tests.subtitle_support import Words, srt, subtitled
from vidpipe.encode import process_limits
from vidpipe.encode.result import Encoded, EncodedSubtitles
from vidpipe.encode.scheduler import encode, needs
from vidpipe.encode.subtitles import SubtitleCommand, subtitle_arguments
from vidpipe.encode.tasks import run as runner
from vidpipe.encode.tasks.remarks import lacks_cues
from vidpipe.errors import EncodeFailed, SourceRefused
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.plan import Plan
from vidpipe.work.artifacts import Store

ONE = srt(("00:00:00,500", "00:00:01,000", "Hello"), ("00:00:00,800", "00:00:01,500", "at once"))
TWO = srt(("00:00:01,500", "00:00:02,000", "Hallo"))
ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, Italic
Style: Default,Arial,16,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.50,0:00:01.00,Default,Bob,0,0,0,,{\\pos(1,2)\\i1}up{\\i0}, and\\Ndown
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "work")


def tracks(results: list[Encoded]) -> list[EncodedSubtitles]:
    return [result for result in results if isinstance(result, EncodedSubtitles)]


def text(track: EncodedSubtitles) -> str:
    assert track.artifact is not None
    return track.artifact.path.read_text(encoding="utf-8")


def test_the_whole_command() -> None:
    job = SubtitleCommand(location="/a b/-%d.mkv", size=1, mtime_ns=1, demuxer="matroska", streams=(2, 5))
    assert shlex.join(subtitle_arguments(job)) == (
        "-hide_banner -nostdin -y -loglevel repeat+level+error -nostats -progress pipe:1 -copyts"
        " -f matroska -protocol_whitelist file -i 'file:/a b/-%d.mkv'"
        " -map 0:2 -f webvtt -c:s webvtt -output_ts_offset 86400 file:subtitles-2.vtt"
        " -map 0:5 -f webvtt -c:s webvtt -output_ts_offset 86400 file:subtitles-5.vtt"
    )


@pytest.mark.parametrize(
    ("file", "words", "expected"),
    [
        pytest.param(
            "a.mkv",
            Words(ONE),
            "24:00:00.500 --> 24:00:01.000\nHello\n\n24:00:00.800 --> 24:00:01.500\nat once",
            id="subrip, overlapping",
        ),
        pytest.param("a.mkv", Words(ASS, "ass", "ass"), "24:00:00.500 --> 24:00:01.000\n<i>up</i>, and\ndown", id="ass"),
        pytest.param("a.mkv", Words(ASS, "ass", "ssa"), "24:00:00.500 --> 24:00:01.000\n<i>up</i>, and\ndown", id="ssa"),
        pytest.param("a.mp4", Words(TWO, codec="mov_text"), "24:00:01.500 --> 24:00:02.000\nHallo", id="mov_text"),
        pytest.param(
            "a.webm",
            Words("WEBVTT\n\nid\n00:01.500 --> 00:02.000 line:0\n<v Bob>a &lt; b</v>\n", "vtt", "copy"),
            "24:00:01.500 --> 24:00:02.000\na < b",
            id="webvtt",
        ),
    ],
)
def test_every_kind_of_text_becomes_webvtt(
    file: str, words: Words, expected: str, tmp_path: Path, store: Store, program: FFmpeg
) -> None:
    options = ("-c:v", "libvpx", "-deadline", "realtime", "-an") if file.endswith("webm") else ()
    plan = tiny_plan(subtitled(tmp_path / file, words, options=options), chunk=1000)
    assert "webvtt" in needs(plan)[0] & needs(plan)[2]
    (track,) = tracks(list(encode(plan, store, ffmpeg=program)))
    assert text(track) == f"WEBVTT\n\n{expected}\n"
    assert track.problem is None


def without(plan: Plan, count: int) -> Plan:
    """Return the plan with fewer subtitle tracks."""
    return plan.model_copy(update={"subtitles": plan.subtitles[: len(plan.subtitles) - count]})


def test_a_track_that_is_there_is_not_made_again_and_adding_one_makes_only_that(tmp_path: Path, store: Store, program: FFmpeg) -> None:
    plan = tiny_plan(subtitled(tmp_path / "a.mkv", Words(ONE, language="eng"), Words(TWO, language="deu")), chunk=1000)
    made = list(encode(without(plan, 1), store, ffmpeg=program))
    files = {path.name: path.stat().st_ino for path in store.chunks.rglob("*.*")}
    assert [track.rendition.id for track in tracks(made)] == ["en-sub"]
    both = list(encode(plan, store, ffmpeg=program))
    more = {path.name: path.stat().st_ino for path in store.chunks.rglob("*.*")}
    assert len(more) == len(files) + 2, "one file and its note"
    assert files.items() <= more.items()
    assert sorted((t.rendition.id, t.artifact.reused) for t in tracks(both) if t.artifact) == [("de-sub", False), ("en-sub", True)]
    renamed = plan.subtitles[0].model_copy(update={"name": "English", "default": True, "forced": True, "id": "x"})
    (track,) = tracks(list(encode(plan.model_copy(update={"subtitles": (renamed,)}), store, ffmpeg=program)))
    assert track.artifact is not None
    assert track.artifact.reused, "names and flags are not in the bytes"


def test_teletext_is_read_as_text_beside_others() -> None:
    job = SubtitleCommand(location="/a.ts", size=1, mtime_ns=1, demuxer="mpegts", streams=(2, 5), teletext=(5,))
    arguments = subtitle_arguments(job)
    assert shlex.join(arguments[arguments.index("-f") : arguments.index("-map")]) == (
        "-f mpegts -fix_sub_duration:5 -merge_pmt_versions 1 -protocol_whitelist file -txt_format:5 text -txt_page:5 subtitle -i file:/a.ts"
    )


def test_one_process_extracts_all(tmp_path: Path, store: Store, program: FFmpeg, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = tiny_plan(subtitled(tmp_path / "a.mkv", *[Words(ONE)] * 3), chunk=1000)
    commands: list[list[str]] = []
    really = runner.run
    monkeypatch.setattr(runner, "run", lambda argv, **options: (commands.append(list(argv)), really(argv, **options))[1])
    assert len(tracks(list(encode(plan, store, ffmpeg=program)))) == 3
    assert sum("webvtt" in command for command in commands) == 1


def broken(path: Path) -> Path:
    """Make the text of a track something that is no UTF-8."""
    data = path.read_bytes()
    assert data.count(b"Hallo") == 1
    path.write_bytes(data.replace(b"Hallo", b"\xff\xfe\xff\xc3\xff"))
    return path


def test_a_stream_that_cannot_be_decoded_is_left_out_alone(tmp_path: Path, store: Store, program: FFmpeg) -> None:
    plan = tiny_plan(broken(subtitled(tmp_path / "a.mkv", Words(TWO, language="deu"), Words(ONE, language="eng"))), chunk=1000)
    lost, kept = sorted(tracks(list(encode(plan, store, ffmpeg=program))), key=lambda track: track.rendition.id)
    assert lost.artifact is None
    assert lost.problem is not None
    assert "most of it cannot be decoded" in lost.problem
    assert "Hello" in text(kept)
    assert kept.problem is None
    assert list(store.tmp.iterdir()) == []


def test_a_stream_that_lacks_cues_says_so_also_when_it_is_reused(tmp_path: Path, store: Store, program: FFmpeg) -> None:
    some = srt(*[(f"00:00:00,{n}00", f"00:00:00,{n}50", "Hallo" if n == 3 else f"cue {n}") for n in range(1, 6)])
    plan = tiny_plan(broken(subtitled(tmp_path / "a.mkv", Words(some, language="deu"), Words(ONE, language="eng"))), chunk=1000)
    for _ in range(2):
        lacking, whole = sorted(tracks(list(encode(plan, store, ffmpeg=program))), key=lambda track: track.rendition.id)
        assert "cue 2" in text(lacking)
        assert "cue 4" in text(lacking)
        assert lacking.artifact
        assert whole.artifact
        assert lacks_cues(lacking.artifact)
        assert not lacks_cues(whole.artifact)


def instead(folder: Path, program: FFmpeg, script: str) -> FFmpeg:
    """An ffmpeg that does something else when it is to extract subtitles."""
    path = folder / "ffmpeg"
    path.write_text(f'#!/bin/sh\ncase " $* " in *" webvtt "*) echo run >>"{folder}/runs"; {script};; esac\nexec "{program.path}" "$@"\n')
    path.chmod(0o755)
    return replace(program, path=str(path))


@pytest.mark.parametrize(
    ("script", "says"),
    [pytest.param("kill -9 $$", "killed by signal 9", id="killed"), pytest.param("sleep 60", "did not finish within", id="slow")],
)
def test_what_is_not_the_fault_of_the_stream_stops_the_encode(
    script: str, says: str, tmp_path: Path, store: Store, program: FFmpeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_limits, "STALLED_SECONDS", 0.5)
    plan = tiny_plan(subtitled(tmp_path / "a.mkv", Words(ONE), Words(TWO)), chunk=1000)
    with pytest.raises(EncodeFailed, match=says):
        list(encode(plan, store, ffmpeg=instead(tmp_path, program, script)))
    assert (tmp_path / "runs").read_text().split() == ["run"], "not once more for each stream"


def test_a_stream_that_is_left_out_comes_with_what_ffmpeg_said(tmp_path: Path, store: Store, program: FFmpeg) -> None:
    plan = tiny_plan(subtitled(tmp_path / "a.mkv", Words(ONE)), chunk=1000)
    (lost,) = tracks(list(encode(plan, store, ffmpeg=instead(tmp_path, program, "echo 'no such decoder' >&2; exit 1"))))
    assert lost.problem == "ffmpeg ended with exit code 1: no such decoder"


def test_text_without_end_is_stopped(tmp_path: Path, store: Store, program: FFmpeg, monkeypatch: pytest.MonkeyPatch) -> None:
    long = srt(*[(f"00:00:00,{n + 100}", "00:00:01,000", f"{n}" + "x" * 1000) for n in range(200)])
    plan = tiny_plan(subtitled(tmp_path / "a.mkv", Words(long), Words(ONE)), chunk=1000)
    monkeypatch.setattr(process_limits, "LARGEST", 64 * 1024)
    lost, kept = tracks(list(encode(plan, store, ffmpeg=program)))
    assert lost.artifact is None
    assert lost.problem
    assert "Hello" in text(kept)


def test_a_source_that_changes_meanwhile_is_refused(tmp_path: Path, store: Store, program: FFmpeg) -> None:
    source = subtitled(tmp_path / "a.mkv", Words(ONE, language="eng"))
    plan = tiny_plan(source, chunk=1000)
    list(encode(plan.model_copy(update={"subtitles": ()}), store, ffmpeg=program))
    source.write_bytes(b"something else")
    with pytest.raises(SourceRefused, match="it changed"):
        list(encode(plan, store, ffmpeg=program))


def test_matroska_s_own_webvtt_becomes_webvtt(tmp_path: Path, store: Store, program: FFmpeg) -> None:
    """ffmpeg knows no decoder by the name that Matroska has for it."""
    source = subtitled(tmp_path / "a.mkv", Words("WEBVTT\n\n00:00.500 --> 00:01.000\n<i>up</i> &amp; down\n", "vtt", "copy"))
    source.write_bytes(source.read_bytes().replace(b"D_WEBVTT/SUBTITLES", b"S_TEXT/WEBVTT\0\0\0\0\0").replace(b"\n\n<i>up", b"<i>up!!"))
    (made,) = [result for result in encode(tiny_plan(source, chunk=1000), store, ffmpeg=program) if isinstance(result, EncodedSubtitles)]
    assert made.artifact is not None, made.problem
    assert "24:00:00.500 --> 24:00:01.000\n<i>up!!</i> &amp; down" in made.artifact.path.read_text()
