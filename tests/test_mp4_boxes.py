"""Fragmented MP4 is read sample by sample, and damage is an error, never a guess."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest

from vidpipe.mp4.boxes import BoxError, Edit, fragments, parse_movie, read_movie


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds at 30000/1001 with B-frames; a fragment for each GOP of 15 frames."""
    path = tmp_path_factory.mktemp("boxes") / "clip.mp4"
    source = "testsrc2=s=96x64:r=30000/1001,trim=end_frame=60,setpts=N"
    flags = "frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets"
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-f", "lavfi", "-i", source, "-c:v", "libx264", "-preset", "veryfast"]
    subprocess.run([*argv, "-bf", "2", "-g", "15", "-sc_threshold", "0", "-movflags", flags, path], check=True)
    return path


def test_the_movie_and_its_fragments(clip: Path) -> None:
    movie = read_movie(clip)
    (track,) = movie.tracks
    assert (track.handler, track.timescale, track.width, track.height, track.entry[4:8]) == ("vide", 30000, 96, 64, b"avc1")
    assert movie.init[4:8] == b"ftyp"
    runs = list(fragments(clip, movie))
    assert [len(run.samples) for run in runs] == [15, 15, 15, 15]
    assert [run.decode_time for run in runs] == [0, 15015, 30030, 45045]
    assert [run.duration for run in runs] == [15015] * 4
    assert [[sample.sync for sample in run.samples].count(True) for run in runs] == [1] * 4
    assert all(run.samples[0].sync for run in runs)
    assert runs[0].samples[0].cts == 0
    assert min(sample.cts for run in runs for sample in run.samples) < 0, "B-frames with negative offsets"
    end = runs[-1].offset + runs[-1].size
    assert clip.read_bytes()[end + 4 : end + 8] == b"mfra"
    data = clip.read_bytes()
    for run in runs:  # samples lie back to back; each is one or more length-prefixed NAL units that fill it exactly
        for sample in run.samples:
            at = sample.offset
            while at < sample.offset + sample.size:
                at += 4 + struct.unpack_from(">I", data, at)[0]
            assert at == sample.offset + sample.size


def test_an_edit_list_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tone.mp4"
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-f", "lavfi", "-i", "sine=d=1:r=48000", "-c:a", "aac"]
    subprocess.run([*argv, "-movflags", "frag_keyframe+empty_moov+delay_moov+default_base_moof", path], check=True)
    (track,) = read_movie(path).tracks
    assert (track.handler, track.timescale, track.edits) == ("soun", 48000, (Edit(duration=0, media_time=1024),))


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9])
def test_a_cut_file_is_an_error(clip: Path, tmp_path: Path, share: float) -> None:
    data = clip.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BoxError):
        list(fragments(path, read_movie(path)))


@pytest.mark.parametrize("name", [b"moov", b"tkhd", b"mdhd", b"hdlr", b"stsd", b"mvhd"])
def test_a_lacking_box_is_an_error(clip: Path, name: bytes) -> None:
    init = read_movie(clip).init
    with pytest.raises(BoxError, match=r"no box|cut off|wrong size"):
        parse_movie(init.replace(name, b"free", 1))


def test_samples_outside_their_media_data_are_an_error(clip: Path, tmp_path: Path) -> None:
    movie = read_movie(clip)
    first = next(iter(fragments(clip, movie)))
    data = bytearray(clip.read_bytes())
    trun = data.index(b"trun", first.offset)
    struct.pack_into(">I", data, trun + 16, 1 << 30)  # the data offset, or the first sample's size
    struct.pack_into(">I", data, trun + 12, 1 << 30)
    path = tmp_path / "bad.mp4"
    path.write_bytes(data)
    with pytest.raises(BoxError, match="outside"):
        list(fragments(path, movie))


def test_a_file_without_boxes_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_bytes(b"hello")
    with pytest.raises(BoxError, match="cut off"):
        read_movie(path)
