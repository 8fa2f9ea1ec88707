"""Sources whose times are not what they seem: the whole ingest, and picture and audio of the title, frame by frame and beep by beep."""

from __future__ import annotations

import io
import re
import subprocess
import tempfile
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path

import imageio_ffmpeg
import pytest

from fixtures.generate import picture
from tests.ingest_support import joined, onsets, run, settings, version
from tests.playback import barcodes
from tests.source_support import AAC, X264, make
from tests.source_support import run as ffmpeg
from tests.surgery import AUDIO_PID, VIDEO_PID, middle, moved_ts, resized, uncovered_ivf
from vidpipe.errors import SourceRefused
from vidpipe.media.ffmpeg import find
from vidpipe.source.child.structure import goes_on
from vidpipe.source.findings import fact_findings
from vidpipe.source.policy import load_policy
from vidpipe.source.probe import probe
from vidpipe.source.validate import validate

SECONDS = 4
FRAMES = 25 * SECONDS


def clip(target: Path, *options: str, video: str = "null", audio: bool = True, size: tuple[int, int] = (320, 180)) -> Path:
    """Make a clip with the frame number in the picture and a beep at each second."""
    target.write_bytes(_made(target.suffix, options or (*X264, *AAC), video, audio, size))
    return target


@cache
def _made(suffix: str, options: tuple[str, ...], video: str, audio: bool, size: tuple[int, int]) -> bytes:
    """Make a clip once a process: most tests cut and join the same ones."""
    inputs = ["-f", "lavfi", "-i", f"{picture(*size, '25', str(SECONDS))},{video}"]
    if audio:
        tone = "0.05*sin(2*PI*220*t)+0.4*sin(2*PI*1000*t)*lt(mod(t\\,1)\\,0.1)"
        inputs += ["-f", "lavfi", "-i", f"aevalsrc={tone}:s=48000:d={SECONDS}"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"clip{suffix}"
        ffmpeg([*inputs, *options], file)
        return file.read_bytes()


def decoded(file: Path) -> int:
    """Return the pictures that ffmpeg by itself decodes."""
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(file), "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framecrc"]
    return sum(not line.startswith("#") for line in subprocess.run([*argv, "-"], capture_output=True, text=True).stdout.splitlines())


def title(source: Path, folder: Path) -> tuple[list[int], list[float]]:
    """Ingest and return the source frame that each frame of the title shows, and when beeps begin."""
    configured = settings(folder, 90)
    result = run(source, configured)
    (video,) = [rendition for rendition in result.record.renditions if rendition.type == "video"]
    frames = barcodes.read_barcodes(joined(result, configured, f"video-{video.id}.m3u8", folder))
    beeps = [onsets(barcodes.read_samples(joined(result, configured, f"audio-{track.id}.m3u8", folder))) for track in result.record.audio]
    return frames, beeps[0] if beeps else []


Jump = Callable[[bytes], bytes]
JOINS: dict[str, Jump] = {
    "starts again": lambda data: data * 2,
    "94 seconds ahead": lambda data: data + moved_ts(data, 94),
    "an hour back": lambda data: moved_ts(data, 5000) + moved_ts(data, 1400),
    "before and after the wrap": lambda data: moved_ts(data, 2**33 / 90_000 - 3) * 2,
}
ORDINARY = ("starts again", "94 seconds ahead")
SURGERY: dict[str, Jump] = {
    "in the middle of a GOP": lambda data: moved_ts(data, 94, begin=middle(data)),
    "the audio alone": lambda data: moved_ts(data, 94, pids=[AUDIO_PID], begin=middle(data)),
    "the audio alone, back": lambda data: moved_ts(moved_ts(data, 50), -3, pids=[AUDIO_PID], begin=middle(data)),
    "the picture alone": lambda data: moved_ts(data, 94, pids=[VIDEO_PID], begin=middle(data)),
    "a picture with a wrong time": lambda data: moved_ts(data, 7, pids=[VIDEO_PID], begin=middle(data), end=middle(data) + 4000),
    "no jump but the wrap": lambda data: moved_ts(data, 2**33 / 90_000 - 3),
}


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[] if kind in ORDINARY else pytest.mark.nightly) for kind in JOINS])
def test_a_transport_stream_joined_of_two_is_whole(kind: str, tmp_path: Path) -> None:
    source = tmp_path / "joined.ts"
    source.write_bytes(JOINS[kind](clip(tmp_path / "half.ts").read_bytes()))
    facts = probe(str(source))
    assert not validate(facts, load_policy(), find()).refused
    frames, beeps = title(source, tmp_path)
    assert frames == [*range(FRAMES), *range(FRAMES)]
    assert len(frames) == decoded(source)
    # the tail of the first part's audio covers the very beginning of the second's
    assert beeps == pytest.approx([1, 2, 3, 4, 5, 6, 7], abs=0.011)
    assert beeps[4:] == pytest.approx([5, 6, 7], abs=0.002)
    found = [finding.id for finding in fact_findings(facts, load_policy())]
    assert "clock-jump" in found
    assert not {"duplicate-timestamps", "broken-timestamps", "timestamp-gap"} & set(found)


@pytest.mark.parametrize("kind", SURGERY)
def test_a_clock_that_jumps_on_the_way_loses_nothing(kind: str, tmp_path: Path) -> None:
    source = tmp_path / "jumps.ts"
    source.write_bytes(SURGERY[kind](clip(tmp_path / "whole.ts").read_bytes()))
    frames, beeps = title(source, tmp_path)
    assert frames == list(range(FRAMES))
    assert beeps == pytest.approx([1, 2, 3], abs=0.002)


OTHERS: dict[str, tuple[list[str], Callable[[bytes], bytes]]] = {
    "joined.flv": ([*X264, *AAC], lambda data: data + data[13:]),
    "joined.mkv": ([*X264, *AAC], lambda data: data * 2),
    "joined.mpg": (["-c:v", "mpeg2video", "-q:v", "4", "-g", "12", "-bf", "0", "-c:a", "mp2"], lambda data: data * 2),
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.nightly] if name == "joined.mpg" else []) for name in OTHERS])
def test_other_containers_joined_of_two(name: str, tmp_path: Path) -> None:
    options, join = OTHERS[name]
    source = tmp_path / name
    source.write_bytes(join(clip(tmp_path / f"half{source.suffix}", *options).read_bytes()))
    frames, beeps = title(source, tmp_path)
    assert frames == [*range(FRAMES), *range(FRAMES)]
    assert beeps[-3:] == pytest.approx([5, 6, 7], abs=0.003)


@pytest.mark.parametrize("name", ["two.flv", "two.mp4", "two.wmv", "two.ts"])
def test_of_a_file_that_is_two_nothing_is_lost_in_silence(name: str, tmp_path: Path) -> None:
    """Only the first one is ever read, by ffmpeg and by players."""
    source = tmp_path / name
    options = ["-c:v", "wmv2", "-c:a", "wmav2"] if name.endswith("wmv") else []
    half = clip(tmp_path / f"half{source.suffix}", *options)
    other = half
    if name.endswith("ts"):
        other = tmp_path / "other.ts"
        ffmpeg(["-i", str(half), "-c", "copy", "-mpegts_start_pid", "512", "-mpegts_pmt_start_pid", "4097"], other)
    source.write_bytes(half.read_bytes() + other.read_bytes())
    assert decoded(source) <= FRAMES + 1
    with pytest.raises(SourceRefused, match="several files joined"):
        probe(str(source))


def test_the_rest_of_the_last_picture_is_no_second_recording(tmp_path: Path) -> None:
    """A picture may be sent in many pieces (a slice each), and the last one be cut off: then pieces follow that no packet is made of."""
    half, other = clip(tmp_path / "half.ts"), tmp_path / "other.ts"
    ffmpeg(["-i", str(half), "-c", "copy", "-mpegts_start_pid", "512", "-mpegts_pmt_start_pid", "4097"], other)
    one, two = half.read_bytes(), other.read_bytes()
    assert not goes_on(io.BytesIO(one), "mpegts", len(one) // 2)
    assert goes_on(io.BytesIO(one + two), "mpegts", len(one) - 1)


def test_streams_that_get_other_numbers_on_the_way_go_on(tmp_path: Path) -> None:
    half, other, source = clip(tmp_path / "half.ts"), tmp_path / "other.ts", tmp_path / "joined.ts"
    ffmpeg(["-i", str(half), "-c", "copy", "-mpegts_start_pid", "512"], other)
    source.write_bytes(half.read_bytes() + other.read_bytes())
    frames, beeps = title(source, tmp_path)
    assert len(frames) == 2 * FRAMES
    # ffmpeg gives the last picture of the old numbers at the end of the file
    assert [frame for at, frame in enumerate(frames) if frame != at % FRAMES] == [FRAMES - 3]
    assert beeps == pytest.approx([1, 2, 3, 4, 5, 6, 7], abs=0.011)
    assert beeps[4:] == pytest.approx([5, 6, 7], abs=0.002)


DROPPED = {*range(50, 55), *(n for n in range(71, 93) if n % 7 > 4)}


@pytest.mark.parametrize(
    ("codec", "dropped"),
    [
        (["mjpeg"], {1, 2} | DROPPED),
        (["mpeg4", "-g", "12"], {1, 2} | DROPPED),
        (["libx264", "-preset", "ultrafast", "-bf", "2", "-g", "12"], DROPPED),  # stored as they are decoded, and shown in another order
    ],
    ids=["mjpeg", "mpeg4", "h264"],
)
def test_empty_chunks_of_avi_hold_their_time(codec: list[str], dropped: set[int], tmp_path: Path) -> None:
    """ffmpeg writes an empty chunk for every frame that is left out."""
    options = ["-c:v", *codec, "-q:v", "5", "-fps_mode", "passthrough", "-c:a", "pcm_s16le"]
    left_out = f"select='not({'+'.join(f'eq(n,{number})' for number in sorted(dropped))})'"
    frames, beeps = title(clip(tmp_path / "drops.avi", *options, video=left_out), tmp_path)
    held = [number for number in range(FRAMES) if number not in dropped]
    assert frames == [max(number for number in held if number <= at) for at in range(FRAMES)]
    assert beeps == pytest.approx([1, 2, 3], abs=0.002)


def test_hidden_pictures_of_vp9_are_not_counted(tmp_path: Path) -> None:
    """Two passes: an encoder that looks ahead hides a picture in every group."""
    for number in (1, 2):
        two = ["-pass", str(number), "-passlogfile", str(tmp_path / "log")]
        clip(
            tmp_path / "vp9.ivf",
            *("-c:v", "libvpx-vp9", "-b:v", "200k", "-lag-in-frames", "25", "-auto-alt-ref", "1", "-cpu-used", "4", "-deadline", "good"),
            *two,
            audio=False,
            size=(160, 96),
        )
    source = tmp_path / "hidden.ivf"
    source.write_bytes(uncovered_ivf((tmp_path / "vp9.ivf").read_bytes(), earlier=30))
    assert source.stat().st_size > (tmp_path / "vp9.ivf").stat().st_size, "there are hidden ones"
    facts = probe(str(source)).video
    assert (facts.frames, facts.frame_rate, facts.variable_frame_rate) == (FRAMES, 25, False)
    # the last one too, which libav says lasts only until a hidden one would come
    assert title(source, tmp_path)[0] == list(range(FRAMES))


def test_hidden_pictures_of_av1_are_not_counted(tmp_path: Path) -> None:
    options = ["-c:v", "libsvtav1", "-preset", "12", "-b:v", "200k", "-bsf:v", "av1_frame_split"]
    source = clip(tmp_path / "hidden.mp4", *options, audio=False)
    facts = probe(str(source)).video
    assert (facts.frames, facts.frame_rate) == (FRAMES, 25)


def test_a_film_that_begins_with_a_later_fragment(tmp_path: Path) -> None:
    """vidpipe's own init section and its second segment, and the same by a clock that counts from 1970."""
    configured = settings(tmp_path, 90, encrypt="none")
    folder = version(run(clip(tmp_path / "film.mp4"), configured)) / "video" / "90p"
    source = tmp_path / "second.mp4"
    source.write_bytes((folder / "init.mp4").read_bytes() + (folder / "00002.m4s").read_bytes())
    frames = title(source, tmp_path / "second")[0]
    assert frames == list(range(50, FRAMES))
    data = bytearray(source.read_bytes())
    place = data.index(b"tfdt") + 8
    assert data[place - 4] == 1
    since = 1_700_000_000 * 25_000
    data[place : place + 8] = since.to_bytes(8, "big")
    (tmp_path / "clock.mp4").write_bytes(data)
    assert title(tmp_path / "clock.mp4", tmp_path / "clock")[0] == frames


@pytest.mark.parametrize("flags", ["+faststart", "+frag_keyframe+empty_moov"])
def test_an_mdat_that_claims_too_much_has_lost_nothing(flags: str, tmp_path: Path) -> None:
    data = clip(tmp_path / "film.mp4", *X264, *AAC, "-movflags", flags).read_bytes()
    if "frag" in flags:
        data = data[: data.rindex(b"mfra") - 4]  # so that the last box is the mdat
    source = tmp_path / "long.mp4"
    source.write_bytes(resized(data, b"mdat", 7))
    assert not [finding for finding in fact_findings(probe(str(source)), load_policy()) if finding.severity == "error"]
    for missing in (7, 900):
        source.write_bytes(data[:-missing])
        assert [finding.id for finding in fact_findings(probe(str(source)), load_policy()) if finding.severity == "error"] == ["truncated"]


def test_an_edit_that_begins_before_a_sync_frame(tmp_path: Path) -> None:
    """The first group has lost its key frame: what can be shown begins with the second, and nothing is cut off."""
    whole = clip(tmp_path / "whole.ts", *X264, "-g", "50", audio=False).read_bytes()
    (tmp_path / "cut.ts").write_bytes(whole[: 3 * 188] + whole[60 * 188 :])
    source = tmp_path / "late.mp4"
    ffmpeg(["-i", str(tmp_path / "cut.ts"), "-c", "copy", "-copyinkf"], source)
    assert title(source, tmp_path)[0] == list(range(50, FRAMES))
    assert decoded(source) == FRAMES - 50


@pytest.mark.parametrize(
    "codec",
    [
        ("libvvenc", "-preset", "faster", "-qp", "35"),
        ("libx265", "-preset", "ultrafast", "-x265-params", "radl=2:keyint=25:bframes=3:log-level=error"),
    ],
    ids=lambda codec: codec[0],
)
def test_leading_pictures_that_can_be_decoded_are_shown(codec: tuple[str, ...], tmp_path: Path) -> None:
    source = clip(tmp_path / "leading.mp4", "-c:v", *codec, audio=False, size=(160, 96))
    facts = probe(str(source)).video
    assert (facts.frames, facts.start, facts.duration) == (FRAMES, 0, Fraction(SECONDS))
    assert title(source, tmp_path)[0] == list(range(FRAMES))


def test_subtitles_go_on_after_a_join(tmp_path: Path) -> None:
    half = make("subtitles-mkv", tmp_path)
    source = tmp_path / "joined.mkv"
    source.write_bytes(half.read_bytes() * 2)
    folder = version(run(source, settings(tmp_path, 90, encrypt="none"))) / "subtitles"
    texts = "".join(path.read_text() for path in sorted(folder.glob("*/*.vtt")))
    assert re.findall(r"(\S+) --> \S+\n(\w+)", texts)[-2:] == [("00:00:01.800", "Hello"), ("00:00:02.600", "World")]
