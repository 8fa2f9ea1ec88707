"""A title whose last segment would be a short tail: joined in video, half-rate video, audio and text alike. Its init sections are true."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import pytest

from tests.ingest_support import FIXTURES, RUNG, Settings, run, settings, version
from tests.subtitle_support import Words, srt, subtitled
from vidpipe.manifest.parse import MediaPlaylist, parse
from vidpipe.media import ffmpeg, process
from vidpipe.mp4 import codecs
from vidpipe.mp4.boxes import children, find, parse_movie, read_fragments
from vidpipe.pipeline.ingest import IngestResult

FRAMES = 101  # 4.04 s of 25 fps: two segments of 2 s, and one frame


@pytest.fixture(scope="module")
def title(tmp_path_factory: pytest.TempPathFactory) -> tuple[IngestResult, Settings, Path]:
    folder = tmp_path_factory.mktemp("tail")
    clip = folder / "clip.mp4"
    looped = ["-stream_loop", "1", "-i", FIXTURES / "portrait-25.mp4", "-frames:v", str(FRAMES), "-t", f"{FRAMES / 25}"]
    done = process.run([ffmpeg.find().path, "-v", "error", *looped, "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", clip])
    assert done.returncode == 0, done.stderr_tail
    words = Words(srt(("00:00:03,900", "00:00:04,100", "to the end")), language="por")
    source = subtitled(folder / "tail.mkv", words, video=str(clip))
    ladder = folder / "ladder.yaml"
    rungs = RUNG.format(90, "h264", 90, ", max_frame_rate: 12.5") + RUNG.format(180, "h264", 180, "")
    rungs = rungs.replace("ultrafast", "veryfast")  # with B-frames
    ladder.write_text(f"name: tail\ndescription: For tests\nrungs:\n{rungs}audio:\n  - {{codec: aac, bitrate: 64k, channels: 2}}\n")
    configured = settings(folder, encrypt="none").model_copy(update={"ladder": str(ladder)})
    return run(source, configured), configured, source


def durations(result: IngestResult, playlist: str) -> list[Fraction]:
    media = parse((version(result) / playlist).read_bytes())
    assert isinstance(media, MediaPlaylist)
    assert media.target_duration == 2
    return [entry.duration for entry in media.segments]


def test_all_renditions_join_it(title: tuple[IngestResult, Settings, Path]) -> None:
    result = title[0]
    names = sorted(path.name for path in version(result).glob("*.m3u8") if path.name != "master.m3u8")
    assert len(names) == 6
    for name in names:
        first, last = durations(result, name)
        assert abs(first - Fraction(48, 25)) < Fraction(1, 20)  # GOPs of 24 frames, whole at half the rate too
        assert abs(first + last - Fraction(FRAMES, 25)) < Fraction(1, 20)
        if name.startswith(("video", "i-frames")):
            assert first + last == Fraction(FRAMES, 25)  # the last of an odd number of frames is half as long at half the rate


def test_every_rung_is_delayed_alike_and_declares_what_was_measured(title: tuple[IngestResult, Settings, Path]) -> None:
    folder = version(title[0])
    delays = {}
    for path in sorted(folder.glob("*/*/init.mp4")):
        movie = parse_movie(path.read_bytes())
        (track,) = movie.tracks
        segments = [file.read_bytes() for file in sorted(path.parent.glob("*.m4s"))]
        samples = [sample for data in segments for fragment in read_fragments(io.BytesIO(data), movie) for sample in fragment.samples]
        seconds = Fraction(sum(sample.duration for sample in samples), track.timescale)
        rates = btrt(track.entry, codecs.AUDIO_FIELDS if track.handler == "soun" else codecs.VISUAL_FIELDS)
        assert rates[2] == -(-8 * sum(sample.size for sample in samples) // seconds)
        assert rates[2] <= rates[1] <= 8 * sum(sample.size for sample in samples)
        assert max(sample.size for sample in samples) <= rates[0]
        assert track.timescale == (48_000 if track.handler == "soun" else 25_000)  # one for all rungs
        delays[path.parent.name] = [Fraction(edit.media_time, track.timescale) for edit in track.edits]
        rolls = [find(data, "moof", "traf", "sgpd") is not None for data in segments]
        assert rolls == [track.handler == "soun"] * len(segments)
    assert delays == {"90p": [Fraction(4, 25)], "180p": [Fraction(4, 25)], "und": [Fraction(1024, 48000)]}


def btrt(entry: bytes, fields: int) -> tuple[int, int, int]:
    box = next(child for child in children(entry, 8 + fields) if child.type == "btrt")
    values = [int.from_bytes(entry[box.body + at : box.body + at + 4], "big") for at in (0, 4, 8)]
    return values[0], values[1], values[2]


def test_init_sections_made_again_of_the_same_artifacts_are_the_same(title: tuple[IngestResult, Settings, Path]) -> None:
    result, configured, source = title
    again = run(source, configured, new_key=True)
    assert again.artifacts_reused == again.artifacts
    assert again.record.version != result.record.version
    inits = {path.relative_to(version(result)): path.read_bytes() for path in version(result).glob("*/*/init.mp4")}
    assert {path.relative_to(version(again)): path.read_bytes() for path in version(again).glob("*/*/init.mp4")} == inits
