"""The ffmpeg program is found, asked what it can do, and refused clearly."""

from __future__ import annotations

from pathlib import Path

import imageio_ffmpeg
import pytest

from vidpipe.errors import UsageError
from vidpipe.media.ffmpeg import FFmpeg, find, locate
from vidpipe.work.measurements import of_programs


def test_the_bundled_one_has_what_vidpipe_needs() -> None:
    ffmpeg = find()
    assert ffmpeg.version
    ffmpeg.require(
        encoders=["libx264", "libx265", "libsvtav1", "aac", "mjpeg"], filters=["zscale", "tonemap", "bwdif", "fps"], muxers=["mp4", "mjpeg"]
    )


def test_lacking_parts_are_named() -> None:
    with pytest.raises(UsageError, match=r"lacks encoder libx265, filter zscale") as caught:
        FFmpeg("/opt/ffmpeg", "4.2", frozenset({"aac"})).require(encoders=["aac", "libx265"], filters=["zscale"])
    assert "VIDPIPE_FFMPEG" in (caught.value.fix or "")


@pytest.mark.parametrize(
    ("script", "says"),
    [
        pytest.param("#!/bin/sh\necho hello\n", "this program is not ffmpeg", id="another program"),
        pytest.param("#!/bin/sh\necho broken >&2; exit 9\n", "exit code 9", id="broken"),
    ],
)
def test_a_wrong_program_is_refused(script: str, says: str, tmp_path: Path) -> None:
    program = tmp_path / "my ffmpeg"
    program.write_text(script)
    program.chmod(0o755)
    with pytest.raises(UsageError, match=says):
        find(str(program))


def test_a_missing_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such ffmpeg"):
        find(str(tmp_path / "ffmpeg"))


def test_the_bundled_one_is_only_started_through_the_one_door(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*argv: object, **options: object) -> None:
        raise AssertionError(f"{argv} would inherit the whole environment")

    imageio_ffmpeg._utils._get_ffmpeg_exe.cache_clear()
    monkeypatch.delenv("IMAGEIO_FFMPEG_EXE", raising=False)
    monkeypatch.setattr(imageio_ffmpeg._utils.subprocess, "check_call", started)
    assert Path(locate()).is_file()


def test_a_program_is_asked_once_what_it_can_do(tmp_path: Path) -> None:
    """And again as soon as it is another one, even if the script that starts it is the same."""
    inner, asked = tmp_path / "inner", tmp_path / "asked"
    inner.write_text("echo 'ffmpeg version 1'")
    program = tmp_path / "ffmpeg"
    lists = f'echo " V x$(cat "{inner}" | wc -c) -"'
    program.write_text(f'#!/bin/sh\necho "$2" >> "{asked}"\nif [ "$2" = -version ]; then . "{inner}"; else {lists}; fi\n')
    program.chmod(0o755)
    first = find(str(program), memory=of_programs(tmp_path))
    assert find(str(program), memory=of_programs(tmp_path)) == first
    assert asked.read_text().split() == ["-version", "-encoders", "-filters", "-muxers", "-version"]
    inner.write_text("echo 'ffmpeg version 1'; echo 'configuration: --disable-x264'")
    second = find(str(program), memory=of_programs(tmp_path))
    assert (second.version, second.encoders == first.encoders) == ("1", False)
    program.write_text(program.read_text() + "# another build\n")
    asked.unlink()
    assert find(str(program), memory=of_programs(tmp_path)) == second
    assert len(asked.read_text().split()) == 4


@pytest.mark.parametrize("kept", ["", "{", "[]", '{"encoders": ["aac"]}', '{"encoders": 1, "filters": 1, "muxers": 1}'])
def test_a_spoiled_memory_is_no_answer(kept: str, tmp_path: Path) -> None:
    known = find(memory=of_programs(tmp_path))
    (note,) = (tmp_path / "programs").iterdir()
    note.write_text(kept)
    assert find(memory=of_programs(tmp_path)) == known
    assert note.read_text() != kept


@pytest.mark.parametrize("version", ["5.1.6-0+deb12u1", "n4.4"])
def test_a_program_that_is_too_old_is_said_to_be(version: str, tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!/bin/sh\necho 'ffmpeg version {version} Copyright'\n")
    program.chmod(0o755)
    with pytest.raises(UsageError, match=r"this ffmpeg is too old: .*; 6\.0 or newer is needed"):
        find(str(program))
