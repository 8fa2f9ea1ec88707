"""The tiles of AV1 begin where ffmpeg's own parser says that the headers end, in whatever SVT-AV1 writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trace_support import configuration, encoded, samples, traced
from vidpipe.mp4.av1 import Av1Tiles
from vidpipe.mp4.boxes import BoxError

SMALL = "testsrc2=s=320x180:r=24"
QUICK = ("-preset", "12", "-g", "24", "-svtav1-params", "keyint=24:irefresh-type=2:scd=0")
MANY = {
    "preset 10": ("-preset", "10"),
    "preset 6": ("-preset", "6"),
    "preset 4": ("-preset", "4"),
    "film grain": ("-preset", "10", "-svtav1-params", "film-grain=20"),
    "segments": ("-preset", "8", "-svtav1-params", "aq-mode=1"),
    "super-resolution": ("-preset", "8", "-svtav1-params", "superres-mode=1:superres-denom=12"),
    "screen content": ("-preset", "8", "-svtav1-params", "scm=1"),
    "lossless": ("-preset", "8", "-svtav1-params", "lossless=1"),
    "overlays, matrices": ("-preset", "8", "-svtav1-params", "enable-qm=1:enable-overlays=1"),
    "constant quality": ("-preset", "8", "-crf", "40"),
    "10 bits": ("-preset", "10", "-pix_fmt", "yuv420p10le"),
    "tiles": ("-preset", "10", "-svtav1-params", "tile-columns=2:tile-rows=1"),
}
SOURCES = {
    "bars": SMALL,
    "turning": "testsrc2=s=320x180:r=24,rotate=t/9",
    "growing": "mandelbrot=s=640x360:r=24",
    "large": "testsrc2=s=1280x720:r=24,noise=alls=9:allf=t",
}


def units(sample: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield type, begin and end of each OBU; all of them say their size."""
    at = 0
    while at < len(sample):
        begin, size, shift = at, 0, 0
        at += 1
        while True:
            byte = sample[at]
            size, shift, at = size | (byte & 0x7F) << shift, shift + 7, at + 1
            if byte < 0x80:
                break
        at += size
        yield sample[begin] >> 3 & 15, begin, at


def compare(file: Path, tiles_of_each: int = 1) -> None:
    expected = traced(file, "Frame Header", "Tile Group")
    tiles = Av1Tiles(configuration(file, "av1C"))
    found: list[int | None] = []
    for sample in samples(file):
        ranges = tiles.ranges(sample)
        for kind, begin, end in units(sample):
            if kind in (3, 6):
                own = [one for one in ranges if begin < one[0] < end]
                assert len(own) == (tiles_of_each if kind == 6 else 0)
                found.append(own[0][0] - begin if own else None)
                assert not own or own[-1][1] == end
    assert len(found) == len(expected) >= 20
    sizes = {a - b for a, b in zip(found, expected, strict=True) if a is not None}
    assert sizes == {0} if tiles_of_each == 1 else sizes <= {1, 2, 3, 4}, "what stands before a tile is its size"


def test_tiles_begin_where_ffmpeg_says(tmp_path: Path) -> None:
    compare(encoded(tmp_path / "v.mp4", "libsvtav1", *QUICK, "-pix_fmt", "yuv420p", source=SMALL))


@pytest.mark.nightly
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("kind", MANY)
def test_tiles_of_many_kinds_begin_where_ffmpeg_says(kind: str, source: str, tmp_path: Path) -> None:
    options = MANY[kind] if "-pix_fmt" in MANY[kind] else (*MANY[kind], "-pix_fmt", "yuv420p")
    count = 8 if kind == "tiles" and "1280" in source else 1
    if kind == "tiles" and count == 1:
        pytest.skip("the picture is too small for tiles")
    compare(encoded(tmp_path / "v.mp4", "libsvtav1", *options, "-g", "24", source=source, seconds="2"), count)


def test_what_is_not_read_is_refused() -> None:
    config = bytes(4)
    with pytest.raises(BoxError, match="before its sequence header"):
        Av1Tiles(config).ranges(bytes([6 << 3 | 2, 1, 0]))
    with pytest.raises(BoxError, match="without a frame"):
        Av1Tiles(config).ranges(bytes([4 << 3 | 2, 1, 0]))
    with pytest.raises(BoxError, match="tile lists"):
        Av1Tiles(config).ranges(bytes([8 << 3 | 2, 1, 0]))
    with pytest.raises(BoxError, match="past the end"):
        Av1Tiles(config).ranges(bytes([6 << 3 | 2, 9, 0]))
    with pytest.raises(BoxError, match="reduced headers"):
        Av1Tiles(config).ranges(bytes([1 << 3 | 2, 2, 0b00011000, 0]))
    with pytest.raises(BoxError, match="size of an OBU"):
        Av1Tiles(config).ranges(bytes([1 << 3 | 2, *[0x80] * 8]))
    with pytest.raises(IndexError):
        Av1Tiles(config).ranges(bytes([1 << 3 | 2, 1, 0]))
