"""Slice headers end where ffmpeg's own parser says, in whatever x264 and x265 write; what is not read is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trace_support import configuration, encoded, entry_of, samples, traced
from vidpipe.mp4.bits import escaped_size, unescape
from vidpipe.mp4.boxes import BoxError
from vidpipe.mp4.slices import avc_units, hevc_units
from vidpipe.mp4.subsamples import finder_of

SECTIONS = ("Slice Header", "Slice Segment Header")
BUSY = "testsrc2=s=320x180:r=24,noise=alls=20:allf=t"
X264 = ("libx264", "-g", "24", "-pix_fmt", "yuv420p")
X265 = ("libx265", "-g", "24", "-tag:v", "hvc1", "-pix_fmt")
QUIET = "open-gop=0:info=0:log-level=error"
QUICK = {
    "x264 as vidpipe asks": (*X264, "-preset", "veryfast", "-flags", "+cgop", "-sc_threshold", "0", "-x264-params", "stitchable=1"),
    "x265 as vidpipe asks": (*X265, "yuv420p", "-preset", "ultrafast", "-x265-params", f"keyint=24:min-keyint=24:scenecut=0:{QUIET}"),
}
MANY = QUICK | {
    "x264 weighted": (*X264, "-preset", "medium", "-weightp", "2", "-bf", "3", "-x264-params", "weightb=1:b-pyramid=normal"),
    "x264 without CABAC": (*X264, "-preset", "slow", "-profile:v", "baseline"),
    "x264 slices": (*X264, "-preset", "fast", "-slices", "4"),
    "x264 veryslow": (*X264, "-preset", "veryslow"),
    "x264 interlaced": (*X264, "-preset", "fast", "-flags", "+ilme+ildct"),
    "x264 4:4:4": ("libx264", "-g", "24", "-pix_fmt", "yuv444p", "-preset", "fast"),
    "x265 10 bits": (*X265, "yuv420p10le", "-preset", "medium", "-x265-params", QUIET),
    "x265 weighted": (*X265, "yuv420p", "-preset", "fast", "-x265-params", f"weightp=1:weightb=1:bframes=4:b-pyramid=1:{QUIET}"),
    "x265 slices": (*X265, "yuv420p", "-preset", "fast", "-x265-params", f"slices=2:{QUIET}"),
    "x265 slower": (*X265, "yuv420p", "-preset", "slower", "-x265-params", QUIET),
    "x265 without wavefronts": (*X265, "yuv420p", "-preset", "fast", "-x265-params", f"no-wpp=1:{QUIET}"),
}


def found(file: Path) -> list[int]:
    """Return the bytes of the headers of each slice, without emulation prevention."""
    avc = entry_of(file)[4:8] == b"avc1"
    units = avc_units(configuration(file, "avcC")) if avc else hevc_units(configuration(file, "hvcC"))
    sizes = []
    for sample in samples(file):
        at = 0
        while at < len(sample):
            size = int.from_bytes(sample[at : at + 4], "big")
            nal = sample[at + 4 : at + 4 + size]
            if (kind := units.kind(nal[0])) in units.slices:
                sizes.append(len(unescape(nal[: units.header(nal, kind)])))
            at += 4 + size
    return sizes


def compare(file: Path) -> None:
    expected = traced(file, *SECTIONS)
    assert len(expected) >= 12
    assert found(file) == expected


@pytest.mark.parametrize("options", QUICK.values(), ids=QUICK)
def test_headers_end_where_ffmpeg_says(options: tuple[str, ...], tmp_path: Path) -> None:
    compare(encoded(tmp_path / "v.mp4", *options, source="testsrc2=s=160x90:r=24", seconds="0.6"))


@pytest.mark.nightly
@pytest.mark.parametrize("source", [BUSY, "testsrc2=s=1280x720:r=24", "mandelbrot=s=640x360:r=24"])
@pytest.mark.parametrize("options", MANY.values(), ids=MANY)
def test_headers_of_many_kinds_end_where_ffmpeg_says(options: tuple[str, ...], source: str, tmp_path: Path) -> None:
    compare(encoded(tmp_path / "v.mp4", *options, source=source, seconds="3"))


def test_bytes_against_emulation_count() -> None:
    """A header of so many bytes lies in as many, and in one more for each byte that was put between."""
    nal = bytes.fromhex("6500000301 000003 0000030202")
    assert unescape(nal) == bytes.fromhex("65000001 0000 00000202")
    assert [escaped_size(nal, count) for count in range(1, 9)] == [1, 2, 3, 5, 6, 7, 9, 10]


def test_what_is_not_read_is_refused(tmp_path: Path) -> None:
    file = encoded(tmp_path / "v.mp4", *QUICK["x264 as vidpipe asks"], seconds="0.1")
    entry, sample = entry_of(file), samples(file)[0]
    find = finder_of(entry)
    assert find
    slice_at = sample.index(b"\x65\x88")
    for kind, said in ((2, "type 2"), (0, None)):
        other = sample[:slice_at] + bytes([0x60 | kind]) + sample[slice_at + 1 :]
        if said is None:
            assert sum(protected for _, protected in find(other)) == 0, "what is no slice stays clear"
            continue
        with pytest.raises(BoxError, match=said):
            find(other)
    with pytest.raises(BoxError, match="past the end"):
        find(sample[:-1])
    with pytest.raises(BoxError, match="cannot be encrypted"):
        finder_of(entry.replace(b"avc1", b"vp09"))
    with pytest.raises(BoxError, match="HEVC profile 4"):
        hevc_units(bytes([1, 4]) + bytes(21))


def test_a_header_that_is_cut_off_is_said_so(tmp_path: Path) -> None:
    file = encoded(tmp_path / "v.mp4", *QUICK["x264 as vidpipe asks"], seconds="0.1")
    units = avc_units(configuration(file, "avcC"))
    with pytest.raises(IndexError):
        units.header(b"\x65\x88", 5)
