"""Files that are not read say what they are, and the command that they give makes a file of them that is read."""

from __future__ import annotations

import shlex
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.encode_support import FFMPEG, ffmpeg
from tests.ingest_support import run as ingested
from tests.ingest_support import settings
from tests.source_support import X264
from vidpipe.errors import SourceRefused
from vidpipe.media.ffmpeg import find
from vidpipe.media.process import Completed, Limits
from vidpipe.source.child import entry as child
from vidpipe.source.limits import SourceLimits
from vidpipe.source.policy import load_policy
from vidpipe.source.probe import _ending, probe
from vidpipe.source.validate import validate

SMALL = ["-f", "lavfi", "-i", "testsrc2=s=176x144:r=25:d=1"]
TONE = ["-f", "lavfi", "-i", "sine=d=1"]

UNREAD: dict[str, tuple[list[str], str]] = {
    "a.h264": ([*SMALL, "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2"], "a raw H.264 stream: it has no timestamps"),
    "a.hevc": ([*SMALL, "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"], "a raw HEVC stream"),
    "a.vvc": ([*SMALL, "-c:v", "libvvenc", "-preset", "faster"], "a raw VVC stream"),
    "a.m2v": ([*SMALL, "-c:v", "mpeg2video", "-bf", "2"], "a raw MPEG-1 or MPEG-2 stream"),
    "a.m4v": ([*SMALL, "-c:v", "mpeg4", "-bf", "2", "-f", "m4v"], "a raw MPEG-4 stream"),
    "a.obu": ([*SMALL, "-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime"], "a raw AV1 stream"),
    "a.y4m": ([*SMALL], "a YUV4MPEG2 file"),
    "a.rm": ([*SMALL, *TONE, "-c:v", "rv10", "-c:a", "ac3"], "a RealMedia file: that container is not supported"),
    "a.gif": ([*SMALL], "an animated picture (GIF)"),
    "a.swf": ([*SMALL, "-c:v", "flv"], "a Flash (SWF) file"),
}


def test_audio_in_a_container_of_video_is_sent_for_its_picture(tmp_path: Path) -> None:
    ffmpeg(*TONE, "-c:a", "aac", tmp_path / "a.mp4")
    with pytest.raises(SourceRefused) as caught:
        probe(str(tmp_path / "a.mp4"))
    assert (caught.value.what, caught.value.fix) == ("it has no video stream (only audio)", "give the video file that it belongs to")


@pytest.mark.parametrize("name", UNREAD)
def test_a_file_that_is_not_read_gives_a_command_that_works(name: str, tmp_path: Path) -> None:
    options, what = UNREAD[name]
    source = tmp_path / "it's" / name
    source.parent.mkdir()
    ffmpeg(*options, source)
    with pytest.raises(SourceRefused) as caught:
        probe(str(source))
    assert caught.value.what.startswith(f"it is {what}")
    command = (caught.value.fix or "").partition(": ")[2]
    assert shlex.split(command)[0] == "ffmpeg"
    subprocess.run(["sh", "-c", f"{FFMPEG}{command.removeprefix('ffmpeg')}"], cwd=tmp_path, check=True, capture_output=True)
    mended = probe(str(tmp_path / "FIXED.mkv"))
    assert (mended.video.frames, mended.video.frame_rate, mended.video.missing_timestamps) == (25, 25, 0)
    assert len(mended.audio) == options.count("-c:a")


@pytest.mark.parametrize("name", ["a.mp3", "a.wav", "a.flac"])
def test_an_audio_file_is_called_one(name: str, tmp_path: Path) -> None:
    ffmpeg(*TONE, tmp_path / name)
    with pytest.raises(SourceRefused, match="it is an audio file: a title needs video"):
        probe(str(tmp_path / name))


def test_a_playlist_is_never_followed(tmp_path: Path) -> None:
    (tmp_path / "a.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\n/etc/passwd\n#EXT-X-ENDLIST\n")
    with pytest.raises(SourceRefused, match="not a known video container"):
        probe(str(tmp_path / "a.m3u8"))


def test_a_rare_container_is_not_called_a_playlist(tmp_path: Path) -> None:
    source = tmp_path / "a.cpk"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=5:d=0.4", "-c:v", "cinepak", "-f", "film_cpk", source)
    with pytest.raises(SourceRefused, match="not a supported video container: a rare one, or") as refused:
        probe(str(source))
    assert "ffmpeg -i" in str(refused.value.fix)


def test_side_data_that_pyav_has_no_name_for_is_passed_over(tmp_path: Path) -> None:
    """The views of Apple's spatial video, and EXIF in the pictures of cameras: "31 is not a valid Type"."""
    pictures = ffmpeg(*SMALL, "-c:v", "mjpeg", "-f", "mjpeg", "-")
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHIHH", 1, 0x0112, 3, 1, 1, 0) + bytes(4)
    marked = pictures.replace(b"\xff\xd8\xff", b"\xff\xd8\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + b"\xff")
    (tmp_path / "camera.mjpeg").write_bytes(marked)
    ffmpeg("-f", "mjpeg", "-i", tmp_path / "camera.mjpeg", "-c", "copy", tmp_path / "camera.avi")
    assert probe(str(tmp_path / "camera.avi")).video.frames == 25


def two_tracks(folder: Path) -> Path:
    ffmpeg(*SMALL, *TONE, *TONE, "-map", "0", "-map", "1", "-map", "2", *X264, "-c:a", "mp2", folder / "two.ts")
    return folder / "two.ts"


def crc(data: bytes) -> bytes:
    """The checksum of a section (ISO/IEC 13818-1, annex A): that of zlib, most significant bit first."""
    turned = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)
    return int(f"{~zlib.crc32(turned) & 0xFFFFFFFF:032b}"[::-1], 2).to_bytes(4, "big")


def with_map(source: Path, change: Callable[[bytearray], bytearray]) -> None:
    """Change the programme map of a transport stream."""
    data = bytearray(source.read_bytes())
    for at in range(0, len(data), 188):
        if int.from_bytes(data[at + 1 : at + 3], "big") == 0x5000:
            size = 3 + (int.from_bytes(data[at + 6 : at + 8], "big") & 0xFFF)
            table = change(data[at + 5 : at + 5 + size - 4])
            data[at + 5 : at + 5 + len(table) + 4] = table + crc(table)
    source.write_bytes(data)


def test_an_audio_pid_without_packets_is_left_out(tmp_path: Path) -> None:
    """It was called a file that is cut off."""
    source = two_tracks(tmp_path)
    data = bytearray(source.read_bytes())
    for at in range(0, len(data), 188):
        if int.from_bytes(data[at + 1 : at + 3], "big") & 0x1FFF == 0x101:
            data[at + 1 : at + 3] = b"\x1f\xff"
    source.write_bytes(data)
    result = ingested(source, settings(tmp_path))
    assert len(result.record.audio) == 1
    assert {finding.at.stream for finding in result.findings} <= {0, None}


def test_a_stream_of_unknown_codec_is_no_obstacle(tmp_path: Path) -> None:
    source = two_tracks(tmp_path)

    def change(table: bytearray) -> bytearray:
        table += b"\xa0\xe2\x00\xf0\x00"  # a stream of a private type at another PID
        table[1:3] = struct.pack(">H", 0xB000 | (int.from_bytes(table[1:3], "big") & 0xFFF) + 5)
        return table

    with_map(source, change)
    measured = probe(str(source))
    assert [stream.kind for stream in measured.others] == ["unknown"]
    broken = bytearray(source.read_bytes())
    broken[40_000:40_100] = bytes(100)  # so that the decoder complains, and all is decoded once more to say where
    source.write_bytes(broken)
    assert validate(probe(str(source)), load_policy(), find()) is not None


def test_a_picture_of_an_unknown_stream_type_is_read(tmp_path: Path) -> None:
    """Its tag is a byte that is no letter."""
    source = two_tracks(tmp_path)

    def change(table: bytearray) -> bytearray:
        table[12] = 0xA0
        return table

    with_map(source, change)
    assert probe(str(source)).video.codec == "h264"


def undescribed(source: Path, number: int) -> Path:
    """Give the codec of an audio track in Matroska a name that nobody has a decoder for."""
    parts = source.read_bytes().split(b"A_AAC")
    source.write_bytes(b"A_AAC".join(parts[: number + 1]) + b"A_QQQ" + b"A_AAC".join(parts[number + 1 :]))
    return source


def test_an_audio_track_without_a_decoder_is_left_out_beside_a_good_one(tmp_path: Path) -> None:
    source = tmp_path / "two.mkv"
    ffmpeg(*SMALL, *TONE, *TONE, "-map", "0", "-map", "1", "-map", "2", *X264, "-c:a", "aac", source)
    result = ingested(undescribed(source, 1), settings(tmp_path))
    assert [audio.id for audio in result.record.audio] == ["und"]
    assert "undecodable-audio" in {finding.id for finding in result.findings}


def test_a_title_whose_only_audio_has_no_decoder_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "one.mkv"
    ffmpeg(*SMALL, *TONE, *X264, "-c:a", "aac", source)
    with pytest.raises(SourceRefused, match="fails quality control") as caught:
        ingested(undescribed(source, 0), settings(tmp_path))
    assert caught.value.where == str(source), "named as it was given, in every message"
    assert caught.value.details[0].startswith("undecodable-audio: audio stream 1 cannot be decoded")


def test_what_nobody_was_prepared_for_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No name of a Python exception, and a traceback for those only who ask for one."""

    def measure(*_: object) -> None:
        raise ValueError("29 is not a valid Type")

    ffmpeg(*SMALL, *X264, tmp_path / "a.mp4")
    monkeypatch.setattr(child, "_measure", measure)
    answer = child.answer(str(tmp_path / "a.mp4"), "a.mp4", SourceLimits())
    assert answer["problems"] == [child.UNFORESEEN.message]
    assert "Error" not in child.UNFORESEEN.message
    assert answer["debug"][-1] == "ValueError: 29 is not a valid Type"


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (-11, "it crashes the demuxer or the decoder"),
        (-9, "was killed"),
        (-24, "more CPU time than allowed"),
        (1, "the probe failed"),
    ],
)
def test_only_a_crash_is_called_one(code: int, what: str) -> None:
    done = Completed(argv=(), returncode=code, stdout=b"", stderr_tail="Traceback\nValueError: odd")
    problem, _ = _ending(done, Limits(memory_bytes=1 << 30))
    assert what in problem.message
    assert ("crashes" in problem.message) == (code == -11)
    assert "ValueError" not in problem.message
