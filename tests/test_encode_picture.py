"""Whatever the source's pixels are, what comes out is upright, whole, square, progressive, BT.709 SDR, and looks the same."""

from __future__ import annotations

import array
import re
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.encode_support import FAST, FFMPEG, FIXTURES, barcodes, chunks_of, clip, ffmpeg, joined, remux, rung, tiny_plan
from vidpipe.encode.artifact_keys import Keys
from vidpipe.encode.command import chunk_arguments, chunk_command
from vidpipe.encode.result import EncodedChunk
from vidpipe.encode.scheduler import encode
from vidpipe.ladder import Rung
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.plan import Picture, Plan, VideoRendition
from vidpipe.source.facts import Colour, DynamicRange
from vidpipe.source.policy import load_policy
from vidpipe.source.validate import validate
from vidpipe.work.artifacts import Store

LOSSLESS = ["-c:v", "libx264", "-preset", "ultrafast", "-qp", "0"]


def encoded(plan: Plan, folder: Path, program: FFmpeg) -> tuple[Path, list[EncodedChunk]]:
    """Encode and return the joined top rung and the chunks."""
    chunks = chunks_of(list(encode(plan, Store(folder / "work"), ffmpeg=program)))
    return joined(chunks, plan.video[-1].id, folder / "out.mp4"), chunks


def good(height: int = 96) -> Rung:
    """Return a rung that loses next to nothing, so that colours can be compared."""
    return rung("good", height, bitrate=20_000_000, max_bitrate=40_000_000, buffer=40_000_000, crf=4)


def described(path: Path) -> str:
    """Return what ffmpeg says of the video stream."""
    text = subprocess.run([FFMPEG, "-hide_banner", "-i", path], capture_output=True, text=True, check=False).stderr
    found = re.search(r"Stream.*Video: (.*)", text)
    assert found is not None
    return found[1] + ("" if "Side data" not in text else " WITH SIDE DATA " + text.partition("Side data")[2])


def rgb(path: Path, frame: int = 0, filters: str = "") -> tuple[float, float, float]:
    """Return the mean colour of the middle of a frame, as a player would show it."""
    chain = f"select=eq(n\\,{frame}),crop=iw/2:ih/2,{filters}scale=in_color_matrix=auto:out_range=pc,format=rgb24,scale=1:1:flags=area"
    data = ffmpeg("-i", path, "-vf", chain, "-frames:v", "1", "-f", "rawvideo", "-")
    return data[0], data[1], data[2]


def flat(path: Path, *colours: str, filters: str, options: list[str], size: str = "320x192") -> Path:
    """Write a clip of colours that fill the picture, each for EACH frames."""
    shown = ";".join(f"color={colour}:s={size}:r=25:d={EACH / 25}[c{at}]" for at, colour in enumerate(colours))
    joined_up = "".join(f"[c{at}]" for at in range(len(colours))) + f"concat=n={len(colours)}"
    ffmpeg("-f", "lavfi", "-i", f"{shown};{joined_up},{filters}", *options, path)
    return path


EACH = 5
COLOURS = {"red": (255, 0, 0), "0x00a040": (0, 160, 64), "0x3050c0": (48, 80, 192), "0x808080": (128, 128, 128)}


@pytest.mark.parametrize(
    "case",
    [
        "bt601 tagged",
        "bt601 untagged",
        "bt601 full range",
        "bt601 in 10 bits",
        "bt709 tagged",
        "bt709 untagged HD",
        "full range",
        "rgb",
        "10 bit 4:2:2",
        "bt2020 SDR",
    ],
)
def test_colours_stay_what_they_are(case: str, tmp_path: Path, program: FFmpeg) -> None:
    def convert(matrix: str, primaries: str, transfer: str, pixels: str, reach: str = "tv") -> str:
        tags = f"colorspace={matrix}:color_primaries={primaries}:color_trc={transfer}:range={reach}"
        return f"scale=out_color_matrix={matrix}:out_range={reach},format={pixels},setparams={tags}"

    untagged = "setparams=colorspace=unknown:color_primaries=unknown:color_trc=unknown"
    size = "320x192"
    options = LOSSLESS
    match case:
        case "bt601 tagged":
            filters = convert("smpte170m", "bt709", "smpte170m", "yuv420p")
        case "bt601 untagged":
            filters = f"scale=out_color_matrix=bt601,format=yuv420p,{untagged}"
        case "bt601 full range":
            filters = convert("smpte170m", "bt709", "smpte170m", "yuv420p", "pc")
        case "bt601 in 10 bits":
            filters = convert("smpte170m", "bt709", "smpte170m", "yuv420p10le")
            options = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:qp=4"]
        case "bt709 tagged":
            filters = convert("bt709", "bt709", "bt709", "yuv420p")
        case "bt709 untagged HD":
            filters, size = f"scale=out_color_matrix=bt709,format=yuv420p,{untagged}", "1280x720"
        case "full range":
            filters = convert("bt709", "bt709", "bt709", "yuv420p", "pc")
        case "rgb":
            filters, options = "format=gbrp", ["-c:v", "libx264rgb", "-preset", "ultrafast", "-qp", "0", "-pix_fmt", "rgb24"]
        case "10 bit 4:2:2":
            filters = convert("bt709", "bt709", "bt709", "yuv422p10le")
            options = ["-c:v", "prores_ks"]
        case _:
            filters = (
                "format=gbrp,setparams=colorspace=gbr:color_primaries=bt709:color_trc=bt709:range=pc,"
                "zscale=m=bt2020nc:p=bt2020:t=bt2020-10:r=limited,format=yuv420p10le"
            )
    source = flat(tmp_path / ("source.mov" if "4:2:2" in case else "source.mkv"), *COLOURS, filters=filters, options=options, size=size)
    plan = tiny_plan(source, good())
    out, _ = encoded(plan, tmp_path, program)
    assert re.search(r"yuv420p\(tv, bt709(/bt709/bt709)?[,)]", described(out)), described(out)
    for at, (colour, expected) in enumerate(COLOURS.items()):
        for frame in (at * EACH, at * EACH + EACH // 2, (at + 1) * EACH - 1):
            assert rgb(out, frame) == pytest.approx(expected, abs=6), (colour, frame)


def test_swscale_is_not_asked_for_another_matrix_where_that_takes_three_times_as_long(tmp_path: Path) -> None:
    plan = tiny_plan(clip(tmp_path / "source.mp4", frames=5, filters=",setparams=colorspace=smpte170m", options=LOSSLESS), good())
    command = chunk_command(plan, plan.chunks[0], threads=1, renditions=plan.video, pictures=False, posters=(), quality=None)
    graph = " ".join(chunk_arguments(command))
    assert "colorspace=" in graph
    assert "full_chroma_int" not in graph


@pytest.mark.parametrize(
    ("facts", "picture", "height", "by"),
    [
        pytest.param({}, {}, 96, "zscale", id="smaller"),
        pytest.param({}, {}, 192, "scale", id="as large as the source"),
        pytest.param({"width": 192, "height": 320}, {"rotation": 90}, 192, "scale", id="as large once it is turned"),
        pytest.param({"width": 192, "height": 320}, {"rotation": 180}, 192, "zscale", id="upside down"),
        pytest.param({"width": 321}, {}, 96, "scale", id="odd width"),
        pytest.param({"height": 191}, {}, 96, "scale", id="odd height"),
        pytest.param({"pixel_format": "yuv422p"}, {}, 96, "scale", id="other chroma"),
        pytest.param({"pixel_format": "yuv420p10le", "bit_depth": 10}, {}, 96, "scale", id="bits to take away"),
        pytest.param({"colour": {"range": "pc"}}, {}, 96, "scale", id="full range"),
        pytest.param({"pixel_format": "rgb24"}, {}, 96, "scale", id="RGB"),
        pytest.param({"colour": {"matrix": "smpte170m", "primaries": "smpte170m"}}, {}, 96, "scale", id="other primaries"),
    ],
)
def test_who_scales_a_picture(facts: dict[str, Any], picture: dict[str, int], height: int, by: str) -> None:
    plan = tiny_plan(FIXTURES / "one-second.mp4", good(height))
    about = {"width": 320, "height": 192, "colour": Colour(matrix="bt709", primaries="bt709")} | facts
    about["colour"] = Colour.model_validate(about["colour"])
    video, drawn = plan.source.video.model_copy(update=about), Picture.model_validate(picture)
    (made,) = (each.model_copy(update={"width": height * 5 // 3, "height": height, "picture": drawn}) for each in plan.video)
    asked: dict[str, Any] = {"threads": 1, "renditions": (made,), "pictures": False, "posters": (), "quality": None}
    command = chunk_command(plan, plan.chunks[0], **asked).model_copy(update={"video": video})
    graph = chunk_arguments(command)[chunk_arguments(command).index("-filter_complex") + 1]
    assert re.findall(r"\](z?scale)=[^;]*w=", graph) == [by]


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv420p10le"])
def test_a_scaled_picture_looks_as_swscale_makes_it(pixels: str, matrix: str, tmp_path: Path, program: FFmpeg) -> None:
    """Whatever is said of the fields of a picture that is taken for progressive."""
    tags = f"colorspace={matrix}:color_primaries=bt709:color_trc=bt709:range=tv"
    ten = {"codec": "hevc", "profile": "main10"} if pixels != "yuv420p" else {}
    wanted = good(192).model_copy(update={"crf": 1, **ten})
    outs = []
    for mode in ("prog", "tff"):
        drawn = f"testsrc2=s=640x384:r=25:d=0.2,noise=alls=12:allf=t,scale=out_color_matrix={matrix},format={pixels}"
        source = tmp_path / f"{mode}.mkv"
        ffmpeg("-f", "lavfi", "-i", f"{drawn},setparams={tags}:field_mode={mode}:chroma_location=left", "-c:v", "ffv1", source)
        facts = tiny_plan(source).source
        facts = facts.model_copy(update={"video": facts.video.model_copy(update={"interlaced": False})})
        (chunk,) = chunks_of(list(encode(tiny_plan(facts, wanted), Store(tmp_path / mode), ffmpeg=program)))
        outs.append(chunk.video["good"].path)
    assert outs[0].read_bytes() == outs[1].read_bytes()
    # Chroma is on the left of its two pixels in H.264; swscale takes it to be between them, and moves it, unless it is told.
    sited = "in_h_chr_pos=0:out_h_chr_pos=0:in_v_chr_pos=128:out_v_chr_pos=128"
    same = f"in_color_matrix={matrix}:out_color_matrix={matrix}"
    exact = f"scale=320:192:flags=bicubic+accurate_rnd+full_chroma_int:{sited}:{same},format={pixels}"
    if matrix != "bt709":
        exact += f",colorspace=ispace={matrix}:space=bt709:iprimaries=bt709:primaries=bt709:itrc=bt709:trc=bt709:irange=tv:range=tv"
    graph = f"[0:v]settb=1/25,setpts=N[a];[1:v]{exact},settb=1/25,setpts=N[b];[a][b]psnr"
    argv = [FFMPEG, "-hide_banner", "-i", outs[0], "-i", tmp_path / "prog.mkv", "-lavfi", graph, "-f", "null", "-"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stderr
    assert min(float(each) for each in re.findall(r"PSNR y:([\d.]+) u:([\d.]+) v:([\d.]+)", said)[0]) > 44


def lifted(path: Path, transfer: str, greys: list[int]) -> Path:
    """Write greys that were lifted to HDR with white at 203 nits."""
    tags = "setparams=colorspace=gbr:color_primaries=bt709:color_trc=bt709:range=pc"
    hdr = f"zscale=p=bt2020:m=bt2020nc:t={transfer}:r=limited:npl=203"
    lift = f"format=gbrp,{tags},zscale=t=linear:npl=203,format=gbrpf32le,{hdr},format=yuv420p10le"
    options = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:qp=4"]
    return flat(path, *(f"0x{grey:02x}{grey:02x}{grey:02x}" for grey in greys), filters=lift, options=options)


def luma(path: Path, frame: int) -> int:
    """Return the brightness of the middle of a frame as it is coded, in 10 bits."""
    chain = f"select=eq(n\\,{frame}),crop=2:2,format=yuv420p10le"
    return int.from_bytes(ffmpeg("-i", path, "-vf", chain, "-frames:v", "1", "-f", "rawvideo", "-")[:2], "little")


@pytest.mark.parametrize(("transfer", "stays"), [("smpte2084", "HDR10"), ("arib-std-b67", "HLG")])
def test_rungs_of_one_source_may_be_sdr_and_hdr(transfer: str, stays: DynamicRange, tmp_path: Path, program: FFmpeg) -> None:
    """Of one size, and two of them of one pixel format: only what is done to the picture keeps them apart. Decoded once for all."""
    greys = [0, 128, 255]
    source = lifted(tmp_path / "hdr.mkv", transfer, greys)
    ten: dict[str, object] = {"codec": "hevc", "profile": "main10", "crf": 4, "bitrate": 20_000_000, "max_bitrate": 40_000_000}
    alike = tiny_plan(source, good(), rung("sdr10", 96, **ten), rung("hdr", 96, **ten))
    sdr, sdr10, hdr = alike.video
    plan = alike.model_copy(update={"video": (sdr, sdr10, hdr.model_copy(update={"picture": Picture(dynamic_range=stays)}))})
    command = chunk_command(plan, plan.chunks[0], threads=1, renditions=plan.video, pictures=True, posters=(0,), quality=None)
    assert chunk_arguments(command).count("-i") == 1
    chunks = chunks_of(list(encode(plan, Store(tmp_path / "work"), ffmpeg=program)))
    files = {r.id: joined(chunks, r.id, tmp_path / f"{r.id}.mp4") for r in plan.video}
    colours = {"good": "yuv420p(tv, bt709", "sdr10": "yuv420p10le(tv, bt709", "hdr": f"yuv420p10le(tv, bt2020nc/bt2020/{transfer}"}
    assert {name: text for name, text in colours.items() if text not in described(files[name])} == {}
    for at, grey in enumerate(greys):
        frame = at * EACH + EACH // 2
        assert luma(files["hdr"], frame) == pytest.approx(luma(source, frame), abs=4), "HDR stays as bright as it was coded"
        assert [rgb(files[name], frame)[1] for name in ("good", "sdr10")] == pytest.approx([grey] * 2, abs=56 if grey == 255 else 24)
    keys = [Keys(made, threads=1, version="9", quality=None) for made in (alike, plan)]
    first = plan.chunks[0]
    assert [[made.video(r, first) for r in (sdr, sdr10)] for made in keys] == [[keys[0].video(r, first) for r in (sdr, sdr10)]] * 2
    assert keys[0].video(alike.video[2], first) != keys[1].video(plan.video[2], first)


def test_hdr_takes_ten_bits_and_is_not_tone_mapped(tmp_path: Path) -> None:
    (made,) = tiny_plan(FIXTURES / "one-second.mp4").video
    with pytest.raises(ValidationError, match="HDR takes 10 bits"):
        VideoRendition(**dict(made) | {"picture": Picture(dynamic_range="HDR10")})
    with pytest.raises(ValidationError, match="is shown in SDR"):
        Picture(tone_map="pq", dynamic_range="HDR10")


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_hdr_is_neither_dark_nor_washed_out(transfer: str, tmp_path: Path, program: FFmpeg) -> None:
    """A grey ramp that was lifted to HDR with white at 203 nits comes back near to where it was, and keeps its order and contrast."""
    greys = [0, 32, 64, 128, 192, 255]
    source = lifted(tmp_path / "hdr.mkv", transfer, greys)
    plan = tiny_plan(source, good())
    assert plan.picture.tone_map == {"smpte2084": "pq", "arib-std-b67": "hlg"}[transfer]
    out, _ = encoded(plan, tmp_path, program)
    assert "bt709" in described(out)
    assert "2020" not in described(out)
    seen = []
    for at in range(len(greys)):
        red, green, blue = rgb(out, at * EACH + EACH // 2)
        assert max(red, green, blue) - min(red, green, blue) <= 4, "grey stays grey"
        seen.append(green)
    assert seen == sorted(seen)
    assert seen[0] <= 4, "black is black"
    assert seen[3] == pytest.approx(128, abs=24), "the middle stays in the middle"
    assert seen[5] >= 200, "white is bright"


def test_hdr_labels_and_light_metadata_do_not_survive(tmp_path: Path, program: FFmpeg) -> None:
    hdr = "format=yuv420p10le,setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc=smpte2084:range=tv"
    light = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400"
    options = ["-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", f"log-level=none:hdr10=1:{light}"]
    source = flat(tmp_path / "hdr.mp4", "gray", filters=hdr, options=options)
    out, chunks = encoded(tiny_plan(source, good(), rung("x265", 96, codec="hevc")), tmp_path, program)
    assert "SIDE DATA" not in described(out)
    data = chunks[0].video["x265"].path.read_bytes()
    assert b"mdcv" not in data
    assert b"clli" not in data


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation(degrees: int, tmp_path: Path, program: FFmpeg) -> None:
    """The picture comes out as ffmpeg itself would show it, and says nothing of rotation any more."""
    made = clip(tmp_path / "plain.mp4", "25", 30, size=(320, 192))
    source = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", str(degrees), "-i", made, "-c", "copy", source)
    plan = tiny_plan(source, good(192))
    out, _ = encoded(plan, tmp_path, program)
    assert "SIDE DATA" not in described(out)
    assert (" 320x192 " if degrees == 180 else " 192x320 ") in described(out)
    wanted = ffmpeg("-i", source, "-frames:v", "1", "-vf", "scale=32:32,format=rgb24", "-f", "rawvideo", "-")
    got = ffmpeg("-i", out, "-frames:v", "1", "-vf", "scale=32:32,format=rgb24", "-f", "rawvideo", "-")
    assert sum(abs(a - b) for a, b in zip(wanted, got, strict=True)) / len(got) < 4


def test_the_rotated_fixture(tmp_path: Path, program: FFmpeg) -> None:
    plan = tiny_plan(FIXTURES / "rotated-90.mp4")
    out, _ = encoded(plan, tmp_path, program)
    assert (plan.video[0].width, plan.video[0].height) == (90, 160)
    upright = tmp_path / "back.mp4"
    ffmpeg("-i", out, "-vf", "transpose=clock", "-c:v", "libx264", "-qp", "0", upright)
    assert barcodes(upright) == list(range(75))


def test_pixels_become_square(tmp_path: Path, program: FFmpeg) -> None:
    source = clip(tmp_path / "source.mkv", "25", 30, size=(180, 144), filters=",setsar=64/45")  # PAL 16:9, a quarter
    plan = tiny_plan(source, rung("a", 144))
    assert (plan.video[0].width, plan.video[0].height) == (256, 144)
    out, _ = encoded(plan, tmp_path, program)
    assert "256x144 [SAR 1:1 DAR 16:9]" in described(out)
    assert barcodes(out) == list(range(30))


@pytest.mark.parametrize("size", ["161x97", "33x17", "2x2"])
def test_odd_sizes(size: str, tmp_path: Path, program: FFmpeg) -> None:
    filters = f"scale={size.replace('x', ':')},setsar=1,format=yuv444p"
    source = flat(tmp_path / "odd.mkv", "gray", filters=filters, options=[*LOSSLESS, "-frames:v", "5"])
    plan = tiny_plan(source, rung("a", 1080))
    out, _ = encoded(plan, tmp_path, program)
    width, height = (int(side) // 2 * 2 for side in size.split("x"))
    assert f"{width}x{height}" in described(out)


@pytest.mark.parametrize("flagged", [True, False], ids=["flagged", "not flagged"])
def test_interlaced_pictures_are_made_whole(flagged: bool, tmp_path: Path, program: FFmpeg) -> None:
    """A bar that moves between fields leaves combs: every second line differs. bwdif removes them and keeps the frame count."""
    graph = "color=black:s=320x192:r=50:d=2[b];color=white:s=40x192:r=50:d=2[w];[b][w]overlay=x=mod(n*6\\,280),tinterlace=interleave_top"
    graph += ",setfield=tff" if flagged else ",setfield=prog"
    source = tmp_path / "fields.mkv"
    flags = ["-flags", "+ildct+ilme", "-x264-params", "tff=1"] if flagged else []
    ffmpeg("-f", "lavfi", "-i", graph, *LOSSLESS, "-g", "12", *flags, source)
    probed = tiny_plan(source, good(192))
    video = probed.source.video.model_copy(update={"interlaced": True, "field_order": "tt"})
    plan = tiny_plan(probed.source.model_copy(update={"video": video}), good(192), chunk=24)
    assert plan.picture.deinterlace
    out, chunks = encoded(plan, tmp_path, program)
    assert len(chunks) > 1

    def combs(path: Path) -> float:
        data = ffmpeg("-i", path, "-map", "0:v", "-vf", "format=gray", "-f", "rawvideo", "-")
        lines = [data[at : at + 320] for at in range(0, 20 * 320 * 192, 320)]
        between = sum(abs(a[x] - b[x]) for a, b in pairwise(lines) for x in range(0, 320, 8))
        return between / len(lines)

    assert combs(source) > 20 * combs(out)
    assert chunks[-1].chunk.start + chunks[-1].chunk.frames == plan.grid.frames == 50
    single = tmp_path / "single"
    single.mkdir()
    one, _ = encoded(tiny_plan(plan.source, good(192), chunk=240), single, program)
    chunked_pixels = ffmpeg("-i", out, "-vf", "scale=64:36,format=gray", "-f", "rawvideo", "-")
    single_pixels = ffmpeg("-i", one, "-vf", "scale=64:36,format=gray", "-f", "rawvideo", "-")
    assert max(abs(a - b) for a, b in zip(chunked_pixels, single_pixels, strict=True)) < 24, "deinterlaced over the seam as in one piece"


def test_one_interlaced_frame(tmp_path: Path, program: FFmpeg) -> None:
    source = clip(tmp_path / "one.mkv", "25", 1)
    probed = tiny_plan(source)
    video = probed.source.video.model_copy(update={"interlaced": True, "field_order": "tt"})
    out, _ = encoded(tiny_plan(probed.source.model_copy(update={"video": video})), tmp_path, program)
    assert barcodes(out) == [0]


def test_a_size_that_changes_in_the_stream(tmp_path: Path, program: FFmpeg) -> None:
    """Screen recorders do that; the frames after the change are scaled to the same size and none is lost."""
    # without B-frames: at such a change the decoder drops the frames that it still holds back
    options = [*FAST, "-bf", "0"]
    parts = [clip(tmp_path / f"{size[0]}.ts", "25", 30, size=size, options=options) for size in ((160, 96), (320, 192))]
    source = tmp_path / "both.ts"
    moved = remux(parts[1], tmp_path / "moved.ts", "-output_ts_offset", "1.2")
    source.write_bytes(parts[0].read_bytes() + moved.read_bytes())
    plan = tiny_plan(source)
    out, _ = encoded(plan, tmp_path, program)
    assert barcodes(out) == [*range(30), *range(30)]


def test_labels_of_the_facts_win_over_guesses() -> None:
    from vidpipe.encode.picture import _matrix, _primaries  # the table below is the point of this module

    plan = tiny_plan(FIXTURES / "one-second.mp4")
    video = plan.source.video

    def seen(height: int, **colour: str) -> tuple[str | None, str]:
        facts = video.model_copy(update={"height": height, "width": height * 2, "colour": Colour.model_validate(colour)})
        return _matrix(facts), _primaries(facts.colour)

    assert seen(576) == ("smpte170m", "bt709")
    assert seen(1080) == ("bt709", "bt709")
    assert seen(1080, matrix="bt470bg", primaries="bt470bg") == ("bt470bg", "bt470bg")
    assert seen(2160, dynamic_range="HDR10") == ("bt2020nc", "bt2020")
    assert seen(2160, matrix="bt2020nc") == ("bt2020nc", "bt2020")
    assert Fraction(1) == video.sample_aspect


def means(path: Path, filters: str = "null", size: str = "") -> tuple[float, ...]:
    """Return the mean of each plane over all frames, in levels of 255."""
    data = array.array("H", ffmpeg("-i", path, "-vf", f"{filters},format=yuv444p16le", "-f", "rawvideo", "-"))
    width, height = (int(side) for side in size.split("x"))
    plane = width * height
    planes = [data[at : at + plane] for at in range(0, len(data), plane)]
    return tuple(sum(map(sum, planes[place::3])) / (len(planes) // 3) / plane / 256 for place in range(3))


def test_untagged_sd_is_not_darkened(tmp_path: Path, program: FFmpeg) -> None:
    """From BT.601 to BT.709, swscale's shortest way loses nearly a whole level of brightness."""
    source = tmp_path / "sd.mkv"
    untagged = "setparams=colorspace=unknown:color_primaries=unknown:color_trc=unknown"
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=720x576:r=25:d=0.4,noise=alls=20:allf=t,format=yuv420p,{untagged}", "-c:v", "ffv1", source)
    (chunk,) = chunks_of(list(encode(tiny_plan(source, good(384)), Store(tmp_path / "work"), ffmpeg=program)))
    exact = "format=yuv444p16le,zscale=w=480:h=384:f=bicubic:min=smpte170m:m=bt709:rin=limited:r=limited"
    assert means(chunk.video["good"].path, size="480x384") == pytest.approx(means(source, exact, size="480x384"), abs=0.4)


def test_full_range_is_not_tinted(tmp_path: Path, program: FFmpeg) -> None:
    """From full range to limited, swscale makes blues and reds a level too strong."""
    source = tmp_path / "full.mkv"
    made = "testsrc2=s=480x384:r=25:d=0.4,noise=alls=20:allf=t,scale=out_range=pc,format=yuvj420p"
    labels = ["-color_range", "pc", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"]
    ffmpeg("-f", "lavfi", "-i", made, "-c:v", "ffv1", *labels, source)
    (chunk,) = chunks_of(list(encode(tiny_plan(source, good(384)), Store(tmp_path / "work"), ffmpeg=program)))
    exact = "zscale=rin=full:r=limited"
    assert means(chunk.video["good"].path, size="480x384") == pytest.approx(means(source, exact, size="480x384"), abs=0.25)


@pytest.mark.parametrize(
    "codes",
    [
        *("matrix_coefficients=15", "matrix_coefficients=8", "matrix_coefficients=12", "transfer_characteristics=10"),
        *("colour_primaries=3:transfer_characteristics=3:matrix_coefficients=3", "colour_primaries=20:matrix_coefficients=40"),
    ],
)
def test_colour_codes_that_mean_nothing_are_no_obstacle(codes: str, tmp_path: Path, program: FFmpeg) -> None:
    """Reserved or rare codes stop swscale: the frames are encoded as what they are taken for."""
    plain = flat(tmp_path / "plain.mp4", "0x808080", filters="format=yuv420p", options=[*FAST, "-crf", "4"])
    source = remux(plain, tmp_path / "odd.mp4", "-bsf:v", f"h264_metadata={codes}")
    plan = tiny_plan(source, good())
    out, _ = encoded(plan, tmp_path, program)
    assert rgb(out) == pytest.approx((128, 128, 128), abs=6)
    assert not validate(plan.source, load_policy(), program).refused
