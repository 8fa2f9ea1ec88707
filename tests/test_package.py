"""Packaging on real artifacts: what is measured, where it is cut, and what is refused."""

from __future__ import annotations

import io
import itertools
from fractions import Fraction
from pathlib import Path

import pytest

from tests.package_support import (
    COLOUR,
    audio_rendition,
    audio_segments,
    encode_audio,
    encode_video,
    frames_of,
    grid,
    rung,
    shown,
    video_segments,
)
from vidpipe.errors import EncodeFailed
from vidpipe.mp4 import codecs
from vidpipe.mp4.bits import Bits, unescape
from vidpipe.mp4.boxes import Sample, children, parse_movie, read_fragments, read_movie
from vidpipe.mp4.fragment import write_fragment
from vidpipe.mp4.parameters import UNSPECIFIED
from vidpipe.package.init import aligned, read_init
from vidpipe.package.result import Segment, TrackFacts
from vidpipe.plan import Chunk
from vidpipe.work.artifacts import Artifact

GRID = grid()
TAGGED = "colorprim=bt709:transfer=bt709:colormatrix=bt709"
CHUNKS = (Chunk(index=0, start=0, frames=48), Chunk(index=1, start=48, frames=24))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("package")


@pytest.fixture(scope="module")
def chunks(folder: Path) -> list[Artifact]:
    return [encode_video(folder, GRID, chunk) for chunk in CHUNKS]


@pytest.fixture(scope="module")
def audio(folder: Path) -> Artifact:
    return encode_audio(folder)


def package(chunks: list[Artifact]) -> list[Segment]:
    init = read_init(chunks[0].path, "v")
    return [
        segment for artifact, chunk in zip(chunks, CHUNKS, strict=True) for segment in video_segments(artifact, rung(), chunk, GRID, init)
    ]


# --- init sections --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codec", "extra", "expected", "video_range"),
    [
        pytest.param("h264", (), "avc1.4D400A", "SDR", id="h264"),
        pytest.param("h264", ("-preset", "veryfast", "-level", "4.0"), "avc1.640028", "SDR", id="h264-high-level-4"),
        pytest.param("h264", ("-x264-params", COLOUR.format("smpte2084")), "avc1.4D400A", "PQ", id="h264-sps-pq"),
        pytest.param("hevc", (), "hvc1.1.6.L30.90", "SDR", id="hevc"),
        pytest.param("av1", (), "av01.0.00M.08", "SDR", id="av1"),
    ],
)
def test_an_init_section_says_what_the_track_is(
    tmp_path: Path, codec: str, extra: tuple[str, ...], expected: str, video_range: str
) -> None:
    facts = read_init(encode_video(tmp_path, GRID, Chunk(index=0, start=0, frames=24), codec, extra).path, "720p").facts
    assert facts == TrackFacts(
        id="720p",
        type="video",
        codecs=expected,
        timescale=12288,
        width=160,
        height=90,
        frame_rate=Fraction(24),
        video_range=video_range,  # type: ignore[arg-type]
        colour=(9, 16, 9) if video_range == "PQ" else UNSPECIFIED,
    )


@pytest.mark.parametrize("transfer", [pytest.param("smpte2084", id="pq"), pytest.param("arib-std-b67", id="hlg")])
@pytest.mark.parametrize("more", ["", ":scaling-list=default:sar=1", ":b-intra=1:ref=3:bframes=4:temporal-layers=1"])
def test_the_colour_of_hevc_is_read_from_its_parameter_set(tmp_path: Path, transfer: str, more: str) -> None:
    extra = ("-preset", "fast", "-x265-params", f"open-gop=0:log-level=error:{COLOUR.format(transfer)}{more}")
    facts = read_init(encode_video(tmp_path, GRID, Chunk(index=0, start=0, frames=12), "hevc", extra).path, "v").facts
    assert facts.video_range == {"smpte2084": "PQ", "arib-std-b67": "HLG"}[transfer]


@pytest.mark.parametrize(("transfer", "expected"), [(1, "SDR"), (16, "PQ"), (18, "HLG")])
def test_a_colr_box_is_believed_first(chunks: list[Artifact], transfer: int, expected: str) -> None:
    entry = read_movie(chunks[0].path).tracks[0].entry
    colr = bytes.fromhex("00000013636f6c726e636c780009") + transfer.to_bytes(2, "big") + bytes.fromhex("000900")
    grown = (len(entry) + len(colr)).to_bytes(4, "big") + entry[4:] + colr
    assert codecs.video(grown).video_range == expected


def test_pixels_that_are_not_square_are_refused(tmp_path: Path) -> None:
    artifact = encode_video(
        tmp_path, GRID, Chunk(index=0, start=0, frames=1), extra=("-bsf:v", "h264_metadata=sample_aspect_ratio=4/3", "-aspect", "4:3")
    )
    with pytest.raises(EncodeFailed, match=r"shown at|not square"):
        read_init(artifact.path, "v")


def test_an_audio_init_section_says_what_the_decoder_will_give(audio: Artifact) -> None:
    facts = read_init(audio.path, "a").facts
    assert facts == TrackFacts(id="a", type="audio", codecs="mp4a.40.2", timescale=48000, channels=2, layout=2, sample_rate=48000)


def test_a_published_init_section_has_no_junk_and_is_the_same_for_every_chunk(chunks: list[Artifact], audio: Artifact) -> None:
    first, second = (read_init(artifact.path, "v").data for artifact in chunks)
    assert first == second
    for data in (first, read_init(audio.path, "a").data):
        boxes = list(children(data))
        assert [box.type for box in boxes] == ["ftyp", "moov"]
        assert [box.type for box in children(data, boxes[1].body, boxes[1].end)] == ["mvhd", "trak", "mvex"]
        assert len(parse_movie(data).tracks) == 1
        assert b"Lavf" not in data


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param("0101600000009000000000005d", "hvc1.1.6.L93.90", id="main-L3.1"),
        pytest.param("012220000000b00000000000996b", "hvc1.2.4.H153.B0", id="main10-high-tier"),
        pytest.param("016160000000000000000000ba00", "hvc1.A1.6.H186", id="profile-space-no-constraints"),
        pytest.param("0104080000009d080000000078", "hvc1.4.10.L120.9D.8", id="range-extensions"),
    ],
)
def test_hevc_codecs_string(config: str, expected: str) -> None:
    data = bytearray.fromhex(config.ljust(46, "0"))
    if expected.startswith("hvc1.A"):
        data[1] = 0x61
    assert codecs.hevc_codecs(bytes(data)) == expected


@pytest.mark.parametrize(
    ("config", "colour", "expected"),
    [
        pytest.param("81080c00", None, "av01.0.08M.08", id="main-8bit"),
        pytest.param("81084c00", (9, 16, 9, 0), "av01.0.08M.10.0.110.09.16.09.0", id="hdr10"),
        pytest.param("810dcc00", (1, 1, 1, 0), "av01.0.13H.10", id="high-tier-bt709"),
        pytest.param("81080f00", (9, 18, 9, 1), "av01.0.08M.08.0.113.09.18.09.1", id="colocated-full-range"),
    ],
)
def test_av1_codecs_string(config: str, colour: tuple[int, int, int, int] | None, expected: str) -> None:
    assert codecs.av1_codecs(bytes.fromhex(config), colour) == expected


def mp4a(config: str, channels: int = 2) -> bytes:
    specific = bytes.fromhex(config)
    decoder = bytes([4, 15 + len(specific), 0x40]) + bytes(12) + bytes([5, len(specific)]) + specific
    esds = bytes(4) + bytes([3, 0x80, 0x80, 0x80, 3 + len(decoder), 0, 1, 0]) + decoder
    body = bytes(16) + channels.to_bytes(2, "big") + bytes(10) + (8 + len(esds)).to_bytes(4, "big") + b"esds" + esds
    return (8 + len(body)).to_bytes(4, "big") + b"mp4a" + body


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param("1190", codecs.Audio("mp4a.40.2", 2, 48000, 2), id="lc-stereo"),
        pytest.param("119056e500", codecs.Audio("mp4a.40.2", 2, 48000, 2), id="lc-sbr-switched-off"),
        pytest.param("131056e598", codecs.Audio("mp4a.40.5", 2, 48000, 2), id="he-aac-backward-compatible"),
        pytest.param("2b118800", codecs.Audio("mp4a.40.5", 2, 48000, 2), id="he-aac-explicit"),
        pytest.param("eb098800", codecs.Audio("mp4a.40.29", 1, 48000, 1), id="he-aac-v2"),
        pytest.param("11b0", codecs.Audio("mp4a.40.2", 6, 48000, 6), id="lc-5.1"),
        pytest.param("11b8", codecs.Audio("mp4a.40.2", 8, 48000, 7), id="lc-7.1"),
    ],
)
def test_audio_codecs_string(config: str, expected: codecs.Audio) -> None:
    assert codecs.audio(mp4a(config)) == expected


def test_bits() -> None:
    bits = Bits(bytes([0b1010_0110, 0b0100_0010]))
    assert [bits.ue(), bits.ue(), bits.se(), bits.se()] == [0, 1, -1, 2]
    assert unescape(b"\0\0\3\1\0\0\3\0\0\3") == b"\0\0\1\0\0\0\0"
    with pytest.raises(IndexError):
        Bits(b"\0").ue()


# --- video ----------------------------------------------------------------------------------------------------------


def test_video_is_cut_on_the_grid_with_absolute_times(chunks: list[Artifact]) -> None:
    segments = package(chunks)
    assert [(s.index, s.start, s.duration, s.samples) for s in segments] == [(0, 0, 1, 24), (1, 1, 1, 24), (2, 2, 1, 24)]
    movie = parse_movie(read_init(chunks[0].path, "v").data)
    for number, segment in enumerate(segments):
        (fragment,) = read_fragments(io.BytesIO(segment.data), movie)
        assert [box.type for box in children(segment.data)] == ["styp", "moof", "mdat"]
        assert (fragment.sequence, fragment.decode_time) == (number + 1, number * 12288)
        assert [at for at, sample in enumerate(fragment.samples) if sample.sync] == [0, 12]
    assert repr(segments[0]).count("data") == 0


def test_joined_segments_decode_to_the_frames_of_the_chunks(chunks: list[Artifact], folder: Path) -> None:
    init = read_init(chunks[0].path, "v").data
    joined = frames_of(init + b"".join(segment.data for segment in package(chunks)), folder)
    apart = [line for artifact in chunks for line in frames_of(artifact.path.read_bytes(), folder)]
    assert len(joined) == 72
    assert [line.split(",")[-1] for line in joined] == [line.split(",")[-1] for line in apart]
    assert [int(line.split(",")[2]) for line in joined] == list(range(72))


def test_each_segment_plays_without_the_others(chunks: list[Artifact], folder: Path) -> None:
    init = read_init(chunks[0].path, "v").data
    assert [len(frames_of(init + segment.data, folder)) for segment in package(chunks)] == [24, 24, 24]


@pytest.mark.parametrize(
    ("rate", "segment", "step", "counts"),
    [
        pytest.param("30000/1001", 30, 1, [30, 11], id="29.97"),
        pytest.param("24000/1001", 24, 1, [24, 17], id="23.976"),
        pytest.param("50", 50, 1, [41], id="50"),
        pytest.param("60000/1001", 20, 2, [10, 10, 1], id="59.94-halved"),
    ],
)
def test_fractional_rates_stay_exact(tmp_path: Path, rate: str, segment: int, step: int, counts: list[int]) -> None:
    on = grid(rate, frames=41, gop=segment, segment=segment, chunk=600)
    chunk = Chunk(index=0, start=0, frames=41)
    artifact = encode_video(tmp_path, on, chunk, step=step)
    frame = step / Fraction(rate)
    expected = [(number * segment / Fraction(rate), count * frame, count) for number, count in enumerate(counts)]
    expected[-1] = (expected[-1][0], on.duration - expected[-1][0], counts[-1])
    assert [(s.start, s.duration, s.samples) for s in video_segments(artifact, rung(step=step), chunk, on)] == expected
    assert read_init(artifact.path, "v").facts.frame_rate == Fraction(rate) / step


AVC_REORDERED = ("-bf", "2", "-x264-params", "b-adapt=0")
HEVC_REORDERED = ("-x265-params", "open-gop=0:info=0:log-level=error:bframes=2:b-adapt=0")


@pytest.mark.parametrize(
    ("codec", "extra", "step", "frames"),
    [
        pytest.param("h264", AVC_REORDERED, 2, 35, id="half-rate"),
        pytest.param("h264", AVC_REORDERED, 2, 36, id="whole"),
        pytest.param("h264", AVC_REORDERED, 3, 34, id="third-of-the-rate"),
        pytest.param("h264", AVC_REORDERED, 3, 35, id="two-thirds-of-a-frame"),
        pytest.param("h264", AVC_REORDERED, 2, 1, id="half-a-frame"),
        pytest.param("hevc", HEVC_REORDERED, 2, 35, id="hevc"),
        pytest.param("av1", (), 2, 35, id="av1"),
    ],
)
def test_a_slower_rung_ends_with_the_others(tmp_path: Path, codec: str, extra: tuple[str, ...], step: int, frames: int) -> None:
    """Its last frame lasts as long as the title does; every frame is shown when it was, also those that are decoded after the last one."""
    on, chunk = grid(frames=frames), Chunk(index=0, start=0, frames=frames)
    artifact = encode_video(tmp_path, on, chunk, codec, extra, step)
    init = aligned({"v": read_init(artifact.path, "v")}, on.duration)["v"]
    segments = list(video_segments(artifact, rung(codec=codec, step=step), chunk, on, init))
    assert segments[-1].start + segments[-1].duration == on.duration
    movie = parse_movie(init.data)
    (fragment,) = read_fragments(io.BytesIO(segments[-1].data), movie)
    decoded = itertools.accumulate((sample.duration for sample in fragment.samples), initial=fragment.decode_time - init.delay)
    times = [(time + sample.cts, sample.duration) for time, sample in zip(decoded, fragment.samples, strict=False)]
    assert all(time + duration == following for (time, duration), (following, _) in itertools.pairwise(sorted(times)))
    if codec != "av1" and frames > step:
        assert max(times) != times[-1], "the last frame shown is not the last one decoded"
    data = init.data + b"".join(segment.data for segment in segments)
    assert shown(data, tmp_path) == [1000 * step * number for number in range(-(-frames // step))]  # a frame of the grid has 1000 ticks
    assert len(frames_of(data, tmp_path)) == -(-frames // step)


def test_a_chunk_of_hevc_and_of_av1(tmp_path: Path) -> None:
    for codec in ("hevc", "av1"):
        chunk = Chunk(index=1, start=24, frames=24)
        (segment,) = video_segments(encode_video(tmp_path, GRID, chunk, codec), rung(codec=codec), chunk, GRID)
        assert (segment.index, segment.start, segment.samples) == (1, 1, 24)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        pytest.param(lambda a, t: (a, Chunk(index=0, start=0, frames=49), GRID), "segment 3: .*0 frames instead of 1", id="too-few"),
        pytest.param(lambda a, t: (a, Chunk(index=0, start=0, frames=47), GRID), "more frames than planned", id="too-many"),
        pytest.param(lambda a, t: (a, CHUNKS[0], grid("25")), "not a whole number of ticks|does not last", id="other-rate"),
        pytest.param(lambda a, t: (a, CHUNKS[0], grid(segment=18)), "does not begin with an IDR", id="off-the-grid"),
        pytest.param(lambda a, t: (cut(a, t, -20_000), CHUNKS[0], GRID), "cut off", id="cut-off"),
        pytest.param(lambda a, t: (cut(a, t, 300), CHUNKS[0], GRID), "cut off|no moov", id="no-moov"),
        pytest.param(lambda a, t: (a.model_copy(update={"path": t / "none.mp4"}), CHUNKS[0], GRID), "No such file", id="missing"),
    ],
)
def test_an_artifact_that_is_not_as_planned_is_refused(chunks: list[Artifact], tmp_path: Path, make: object, what: str) -> None:
    artifact, chunk, on = make(chunks[0], tmp_path)  # type: ignore[operator]
    with pytest.raises(EncodeFailed, match=what) as caught:
        list(video_segments(artifact, rung("720p"), chunk, on))
    assert caught.value.where
    assert caught.value.where.startswith("720p")
    assert caught.value.fix


def cut(artifact: Artifact, folder: Path, size: int) -> Artifact:
    path = folder / "cut.mp4"
    path.write_bytes(artifact.path.read_bytes()[:size])
    return artifact.model_copy(update={"path": path})


def test_an_open_gop_is_refused(tmp_path: Path) -> None:
    chunk = Chunk(index=0, start=0, frames=48)
    with pytest.raises(EncodeFailed, match=r"segment 2: .*IDR"):
        list(video_segments(encode_video(tmp_path, GRID, chunk, "hevc-open"), rung(codec="hevc"), chunk, GRID))


def test_a_chunk_with_another_init_section_is_refused(chunks: list[Artifact], tmp_path: Path) -> None:
    other = encode_video(tmp_path, GRID, CHUNKS[1], extra=("-refs", "5", "-level", "4.0"))
    with pytest.raises(EncodeFailed, match="init section of chunk 1 differs"):
        list(video_segments(other, rung(), CHUNKS[1], GRID, read_init(chunks[0].path, "v")))


@pytest.mark.parametrize(
    ("codec", "extra", "reorder"),
    [
        pytest.param("h264", ("-preset", "medium", "-bf", "4"), 2, id="pyramid"),
        pytest.param("h264", ("-bf", "0"), 0, id="no-b-frames"),
        pytest.param("h264", ("-profile:v", "baseline", "-bf", "0"), 0, id="baseline"),
        pytest.param("h264", ("-bf", "3", "-x264-params", "b-adapt=0:nal-hrd=vbr:vbv-maxrate=300:vbv-bufsize=300"), 2, id="with-hrd"),
        pytest.param("h264", ("-preset", "fast", "-bf", "3", "-x264-params", f"b-adapt=0:{TAGGED}"), 2, id="with-colour"),
        pytest.param("h264", ("-preset", "slow", "-bf", "3", "-x264-params", f"b-adapt=0:{TAGGED}:chromaloc=1"), 2, id="chroma-location"),
        pytest.param("hevc", ("-x265-params", "open-gop=0:info=0:log-level=error:bframes=4:b-adapt=0"), 2, id="hevc"),
        pytest.param("hevc", ("-x265-params", f"open-gop=0:info=0:log-level=error:bframes=4:b-adapt=0:{TAGGED}"), 2, id="hevc-with-colour"),
    ],
)
def test_no_frame_is_shown_before_its_decode_time(tmp_path: Path, codec: str, extra: tuple[str, ...], reorder: int) -> None:
    """The edit list skips what the composition offsets are raised by, so the first frame is shown at 0 in every player."""
    chunk = Chunk(index=0, start=0, frames=24)
    artifact = encode_video(tmp_path, GRID, chunk, codec, extra)
    init = read_init(artifact.path, "v")
    movie = parse_movie(init.data)
    assert [edit.media_time for edit in movie.tracks[0].edits] == [512 * reorder] * (reorder > 0)
    (segment,) = video_segments(artifact, rung(codec=codec), chunk, GRID)
    (fragment,) = read_fragments(io.BytesIO(segment.data), movie)
    assert fragment.samples[0].cts == 512 * reorder
    assert min(sample.cts for sample in fragment.samples) == 0  # no more than the truth: hls.js waits for the end that much longer
    assert shown(init.data + segment.data, tmp_path) == [512 * number for number in range(24)]


# --- audio ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [pytest.param(24, id="1s"), pytest.param(12, id="0.5s"), pytest.param(36, id="1.5s")])
def test_audio_is_cut_at_the_frame_nearest_to_each_boundary(audio: Artifact, folder: Path, frames: int) -> None:
    segments = list(audio_segments(audio, audio_rendition(), grid(gop=12, segment=frames)))
    assert len(segments) == 72 // frames
    time = Fraction(0)
    for number, segment in enumerate(segments):
        assert segment.start == time
        if number:  # 1024 samples of priming lie before time zero
            assert abs(segment.start - Fraction(1024, 48000) - Fraction(number * frames, 24)) <= Fraction(512, 48000)
        time += segment.duration
    init = read_init(audio.path, "a").data
    joined = frames_of(init + b"".join(segment.data for segment in segments), folder)
    assert joined == frames_of(audio.path.read_bytes(), folder)
    assert sum(segment.samples for segment in segments) == len(joined) + 1  # the priming frame is decoded and dropped


def test_audio_that_ends_early_or_late(audio: Artifact) -> None:
    assert len(list(audio_segments(audio, audio_rendition(), grid(frames=24 * 9)))) == 4 - 1
    short = list(audio_segments(audio, audio_rendition(), grid(frames=30)))
    assert [s.index for s in short] == [0, 1]
    assert sum(s.duration for s in short) == sum(s.duration for s in audio_segments(audio, audio_rendition(), GRID))


def test_audio_frames_are_counted(audio: Artifact) -> None:
    with pytest.raises(EncodeFailed, match="142 audio frames instead of 7"):
        list(audio_segments(audio.model_copy(update={"samples": 7}), audio_rendition(), GRID))


def test_a_short_tail_is_cut_with_the_segment_before_it(audio: Artifact, tmp_path: Path) -> None:
    on = grid(frames=50).model_copy(update={"borrowed": 24})
    chunk = Chunk(index=0, start=24, frames=26)
    (segment,) = video_segments(encode_video(tmp_path, on, chunk), rung(), chunk, on)
    assert (segment.index, segment.start, segment.duration, segment.samples) == (1, 1, Fraction(26, 24), 26)
    assert [s.index for s in audio_segments(audio, audio_rendition(), on)] == [0, 1]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_title_of_a_few_frames_is_delayed_by_less_than_it_lasts(tmp_path: Path, count: int) -> None:
    on, chunk = grid(frames=count), Chunk(index=0, start=0, frames=count)
    artifact = encode_video(tmp_path, on, chunk, extra=("-preset", "medium"))
    init = aligned({"v": read_init(artifact.path, "v")}, on.duration)["v"]
    (segment,) = video_segments(artifact, rung(), chunk, on, init)
    assert init.delay == 512 * min(2, count - 1)
    assert shown(init.data + segment.data, tmp_path) == [512 * number for number in range(count)]


# --- the writer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param([Sample(0, 3, 1024, 0x02000000, 0)] * 3, id="all-alike"),
        pytest.param([Sample(0, 3, 1024, 0x02000000, 0), Sample(0, 4, 700, 0x02000000, 0)], id="durations"),
        pytest.param([Sample(0, 5, 512, 0x02000000, 0), Sample(0, 1, 512, 0x01010000, 0)], id="first-is-sync"),
        pytest.param([Sample(0, 5, 512, 2, 0), Sample(0, 1, 512, 0x01010000, -512), Sample(0, 9, 512, 2, 1024)], id="signed-offsets"),
    ],
)
def test_what_the_writer_writes_the_reader_reads(samples: list[Sample], chunks: list[Artifact]) -> None:
    data = bytes(range(sum(sample.size for sample in samples)))
    written = write_fragment(7, 1, 2**33, samples, data)
    (fragment,) = read_fragments(io.BytesIO(written), parse_movie(read_init(chunks[0].path, "v").data))
    assert (fragment.sequence, fragment.decode_time) == (7, 2**33)
    assert [(s.size, s.duration, s.flags, s.cts) for s in fragment.samples] == [(s.size, s.duration, s.flags, s.cts) for s in samples]
    at = 0
    for sample in fragment.samples:
        assert written[sample.offset : sample.offset + sample.size] == data[at : at + sample.size]
        at += sample.size
