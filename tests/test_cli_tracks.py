"""The command line and the tracks of a title: what is left out is said wherever a person looks, and languages can be given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.encode_support import ffmpeg
from tests.ingest_support import ladder
from tests.subtitle_support import Words, srt, subtitled
from vidpipe.cli.app import invoke
from vidpipe.errors import UsageError

LEFT = "subtitles stream 2 (de, hdmv_pgs_subtitle): only text can become WebVTT; this is bitmap or unknown"


def test_a_person_reads_what_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = subtitled(tmp_path / "film.mkv", Words(srt(("00:00:00,500", "00:00:01,000", "Hallo")), language="ger"))
    source.write_bytes(source.read_bytes().replace(b"S_TEXT/UTF8", b"S_HDMV/PGS\0"))  # of the same length: Matroska pads with zeros
    options = ("--home", str(tmp_path / "home"), "--progress", "none", "--ladder", ladder(tmp_path, 90))
    invoke(["ingest", str(source), *options])
    said = capsys.readouterr().err
    assert said.startswith(f"warning: film: left out: {LEFT}\n"), "before the encode"
    assert said.count(LEFT) == 1, "and not once more in the summary"
    invoke(["ingest", str(source), *options])
    assert f"is live already\nwarning: left out: {LEFT}\n" in capsys.readouterr().err
    invoke(["plan", str(source), "--home", str(tmp_path / "home"), "--ladder", ladder(tmp_path, 90)])
    assert f"\nleft out: {LEFT}\n" in capsys.readouterr().out
    invoke(["catalog", "show", "film", "--home", str(tmp_path / "home")])
    assert "left out" in (shown := capsys.readouterr().out)
    assert "hdmv_pgs_subtitle" in shown
    invoke(["catalog", "show", "film", "--json", "--home", str(tmp_path / "home")])
    assert [track["stream"] for track in json.loads(capsys.readouterr().out)["left_out"]] == [2]


def test_a_language_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, home = tmp_path / "mute.mp4", ("--home", str(tmp_path / "home"), "--ladder", ladder(tmp_path, 90))
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=1", "-f", "lavfi", "-i", "sine=d=1", "-c:v", "libx264", "-c:a", "aac", source)
    for given in ("ger", "1=de"):
        invoke(["plan", str(source), *home, "--json", "--language", given])
        (track,) = json.loads(capsys.readouterr().out)["audio"]
        assert (track["id"], track["language"], track["name"]) == ("de", "de", "German")
    invoke(["ingest", str(source), *home, "--dry-run", "--json", "--progress", "none", "--language", "de"])
    assert json.loads(capsys.readouterr().out)["audio"][0]["language"] == "de"
    with pytest.raises(UsageError, match="'deutsch' does not name a language"):
        invoke(["plan", str(source), *home, "--language", "deutsch"])
