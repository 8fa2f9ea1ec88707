"""The whole command of a chunk, as a table: what is asserted here is what runs."""

from __future__ import annotations

import shlex
from fractions import Fraction
from itertools import pairwise

import pytest

from vidpipe.encode.command import ChunkCommand, QualityChains, chunk_arguments, pictures_in, seek_point, threads_of
from vidpipe.encode.output import timescale, video_options
from vidpipe.plan import Chunk, Grid, Picture, ThumbnailPlan, VideoEncode, VideoRendition
from vidpipe.source.asset import StreamRef
from vidpipe.source.facts import Colour, VideoStream

NTSC = Fraction(30000, 1001)
GRID = Grid(frame_rate=NTSC, frames=1000, gop_frames=60, segment_frames=180, chunk_frames=360)
VIDEO = VideoStream(
    index=0,
    codec="h264",
    pixel_format="yuv420p",
    bit_depth=8,
    width=1920,
    height=1080,
    frame_rate=NTSC,
    time_base=Fraction(1, 90000),
    start_pts=6000,
    start=Fraction(1, 15),
    duration=Fraction(1001, 30),
    frames=1000,
    key_pts=(6000, 186180, 366360, 546540, 726720),
)
MAKE = VideoEncode(codec="h264", bitrate=2_500_000, max_bitrate=2_750_000, buffer=5_000_000, preset="fast")
RUNG = VideoRendition(id="720p", stream=StreamRef(stream=0), make=MAKE, picture=Picture(), width=1280, height=720)
TURNED = Picture(deinterlace=True, rotation=90, tone_map="hlg")
JOB = ChunkCommand(
    location="/in/it's 100%d.mkv",
    size=1,
    mtime_ns=1,
    demuxer="matroska",
    video=VIDEO,
    seek=None,
    grid=GRID,
    chunk=Chunk(index=0, start=0, frames=360),
    picture=Picture(),
    renditions=(RUNG,),
    smallest=(426, 240),
)
SPRITES = ThumbnailPlan(interval=100, width=160, height=90, columns=10, rows=10, poster_width=1920, poster_height=1080, posters=(500,))
CHAINS = QualityChains(
    fields="idet,metadata=mode=print:file=f.txt",
    fields_file="f.txt",
    picture="blackdetect=d=0.1,metadata=mode=print:file=p.txt",
    picture_file="p.txt",
    audio="",
    audio_file="s.txt",
)
LATER = {"chunk": Chunk(index=1, start=360, frames=360), "seek": Fraction(11)}
HLG = Colour(primaries="bt2020", transfer="arib-std-b67", matrix="bt2020nc", range="tv", dynamic_range="HLG")


def made(name: str, **changes: object) -> VideoRendition:
    return RUNG.model_copy(update={"id": name, "make": MAKE.model_copy(update=changes)})


CASES = [
    pytest.param(
        JOB,
        [
            "-hide_banner -nostdin -y -loglevel repeat+level+error -nostats -progress pipe:1 -copyts -filter_complex_threads 1",
            "-f matroska -noautorotate -protocol_whitelist file -reinit_filter 0 -threads 1 -i 'file:/in/it'\"'\"'s 100%d.mkv'",
            "GRAPH",
            "  [0:0]setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709[s0]",
            "  [s0]scale[s1]",
            "  [s1]setpts=expr=PTS-(6000)[s2]",
            "  [s2]settb=expr=1/120000[s3]",
            "  [s3]fps=eof_action=pass:fps=30000/1001:round=near:start_time=0.000000000[s4]",
            "  [s4]tpad=stop=3:stop_mode=clone[s5]",
            "  [s5]trim=end_frame=360[s6]",
            "  [s6]setpts=expr=N[s7]",
            "  [s7]setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:field_mode=prog[s8]",
            "  [s8]zscale=filter=bicubic:h=720:param_a=0:param_b=0.6:r=limited:rin=limited:w=1280[s9]",
            "  [s9]format=pix_fmts=yuv420p[s10]",
            "  [s10]setsar=sar=1[s11]",
            "  [s11]setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv[s12]",
            "  [s12]sidedata=mode=delete[s13]",
            (
                "-map '[s13]' -f mp4 -b:v 2500000 -bufsize 5000000 -c:v libx264 -enc_time_base 1001/30000 -fflags +bitexact"
                " -flags +cgop -fps_mode passthrough -g 60 -keyint_min 60 -map_chapters -1 -map_metadata -1 -maxrate 2750000"
                " -min_frag_duration 5005000 -movflags +frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets -preset"
                " fast -sc_threshold 0 -threads 1 -video_track_timescale 30000 -x264-params stitchable=1 file:720p.mp4"
            ),
        ],
        id="one rung from the start",
    ),
    pytest.param(
        JOB.model_copy(
            update=LATER
            | {
                "threads": 4,
                "renditions": (
                    made("4k", codec="hevc", profile="main"),
                    made("av1", codec="av1", preset="8", crf=35.0),
                ),
            }
        ),
        [
            "-hide_banner -nostdin -y -loglevel repeat+level+error -nostats -progress pipe:1 -copyts -filter_complex_threads 4",
            (
                "-f matroska -noaccurate_seek -noautorotate -protocol_whitelist file -reinit_filter 0 -seek_timestamp 1 -ss"
                " 11.000 -threads 4 -i 'file:/in/it'\"'\"'s 100%d.mkv'"
            ),
            "GRAPH",
            "  [0:0]setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709[s0]",
            "  [s0]scale[s1]",
            "  [s1]setpts=expr=PTS-(6000)[s2]",
            "  [s2]setpts=expr=if(eq(N\\,0)\\,print(PTS\\,16)\\,PTS)[s3]",
            "  [s3]settb=expr=1/120000[s4]",
            "  [s4]fps=eof_action=pass:fps=30000/1001:round=near:start_time=12.012000000[s5]",
            "  [s5]tpad=stop=3:stop_mode=clone[s6]",
            "  [s6]trim=end_frame=360[s7]",
            "  [s7]setpts=expr=N[s8]",
            "  [s8]setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:field_mode=prog[s9]",
            "  [s9]zscale=filter=bicubic:h=720:param_a=0:param_b=0.6:r=limited:rin=limited:w=1280[s10]",
            "  [s10]format=pix_fmts=yuv420p[s11]",
            "  [s11]setsar=sar=1[s12]",
            "  [s12]setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv[s13]",
            "  [s13]sidedata=mode=delete[s14]",
            "  [s14]split=2[s15][s16]",
            (
                "-map '[s15]' -f mp4 -b:v 2500000 -bufsize 5000000 -c:v libx265 -enc_time_base 1001/30000 -fflags +bitexact"
                " -fps_mode passthrough -g 60 -keyint_min 60 -map_chapters -1 -map_metadata -1 -maxrate 2750000"
                " -min_frag_duration 5005000 -movflags +frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets -preset"
                " fast -profile:v main -tag:v hvc1 -threads 2 -video_track_timescale 30000 -x265-params"
                " keyint=60:min-keyint=60:scenecut=0:open-gop=0:info=0:log-level=error:pools=2:frame-threads=2 file:4k.mp4"
            ),
            (
                "-map '[s16]' -f mp4 -c:v libsvtav1 -crf 35 -enc_time_base 1001/30000 -fflags +bitexact -fps_mode passthrough -g"
                " 60 -keyint_min 60 -map_chapters -1 -map_metadata -1 -maxrate 2750000 -min_frag_duration 5005000 -movflags"
                " +frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets -preset 8 -svtav1-params"
                " keyint=60:irefresh-type=2:scd=0:lp=2 -threads 2 -video_track_timescale 30000 file:av1.mp4"
            ),
        ],
        id="hevc and av1 of a later chunk with four threads, and two for what has half the pixels",
    ),
    pytest.param(
        JOB.model_copy(
            update={
                "video": VIDEO.model_copy(update={"field_order": "tt", "colour": HLG}),
                "picture": TURNED,
                "renditions": (made("720p", crf=23.0, profile="high").model_copy(update={"frame_step": 2, "picture": TURNED}),),
            }
        ),
        [
            "-hide_banner -nostdin -y -loglevel repeat+level+error -nostats -progress pipe:1 -copyts -filter_complex_threads 1",
            "-f matroska -noautorotate -protocol_whitelist file -reinit_filter 0 -threads 1 -i 'file:/in/it'\"'\"'s 100%d.mkv'",
            "GRAPH",
            "  [0:0]setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt2020nc[s0]",
            "  [s0]scale[s1]",
            "  [s1]setpts=expr=PTS-(6000)[s2]",
            "  [s2]settb=expr=1/120000[s3]",
            "  [s3]bwdif=deint=all:mode=send_frame:parity=tff[s4]",
            "  [s4]fps=eof_action=pass:fps=30000/1001:round=near:start_time=0.000000000[s5]",
            "  [s5]tpad=stop=3:stop_mode=clone[s6]",
            "  [s6]trim=end_frame=360[s7]",
            "  [s7]setpts=expr=N[s8]",
            "  [s8]transpose=dir=clock[s9]",
            "  [s9]framestep=step=2[s10]",
            "  [s10]setparams=color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020nc:field_mode=prog[s11]",
            "  [s11]scale=flags=bicubic:h=720:in_color_matrix=bt2020nc:out_color_matrix=bt2020nc:out_range=tv:w=1280[s12]",
            "  [s12]format=pix_fmts=yuv420p10le[s13]",
            "  [s13]zscale=min=bt2020nc:npl=203:pin=bt2020:rin=limited:t=linear:tin=arib-std-b67[s14]",
            "  [s14]format=pix_fmts=gbrpf32le[s15]",
            "  [s15]zscale=p=bt709[s16]",
            "  [s16]tonemap=desat=0:param=0.3:peak=4.926:tonemap=mobius[s17]",
            "  [s17]zscale=dither=ordered:m=bt709:r=limited:t=bt709[s18]",
            "  [s18]format=pix_fmts=yuv420p[s19]",
            "  [s19]setsar=sar=1[s20]",
            "  [s20]setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv[s21]",
            "  [s21]sidedata=mode=delete[s22]",
            (
                "-map '[s22]' -f mp4 -bufsize 5000000 -c:v libx264 -crf 23 -enc_time_base 1001/15000 -fflags +bitexact -flags"
                " +cgop -fps_mode passthrough -g 30 -keyint_min 30 -map_chapters -1 -map_metadata -1 -maxrate 2750000"
                " -min_frag_duration 5005000 -movflags +frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets -preset"
                " fast -profile:v high -sc_threshold 0 -threads 1 -video_track_timescale 30000 -x264-params stitchable=1"
                " file:720p.mp4"
            ),
        ],
        id="interlaced, rotated HLG at half rate with capped crf",
    ),
    pytest.param(
        JOB.model_copy(
            update=LATER | {"renditions": (), "thumbnails": SPRITES, "poster_size": (1920, 1080), "posters": (500,), "quality": CHAINS}
        ),
        [
            "-hide_banner -nostdin -y -loglevel repeat+level+error -nostats -progress pipe:1 -copyts -filter_complex_threads 1",
            (
                "-f matroska -noaccurate_seek -noautorotate -protocol_whitelist file -reinit_filter 0 -seek_timestamp 1 -ss"
                " 11.000 -threads 1 -i 'file:/in/it'\"'\"'s 100%d.mkv'"
            ),
            "GRAPH",
            "  [0:0]setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709[s0]",
            "  [s0]scale[s1]",
            "  [s1]setpts=expr=PTS-(6000)[s2]",
            "  [s2]setpts=expr=if(eq(N\\,0)\\,print(PTS\\,16)\\,PTS)[s3]",
            "  [s3]settb=expr=1/120000[s4]",
            "  [s4]split=2[s5][s6]",
            "  [s5]fps=eof_action=pass:fps=30000/1001:round=near:start_time=12.012000000[s7]",
            "  [s7]tpad=stop=3:stop_mode=clone[s8]",
            "  [s8]trim=end_frame=360[s9]",
            "  [s9]setpts=expr=N[s10]",
            "  [s10]split=3[s11][s12][s13]",
            "  [s11]setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:field_mode=prog[s14]",
            "  [s14]zscale=filter=bicubic:h=240:param_a=0:param_b=0.6:r=limited:rin=limited:w=426[s15]",
            "  [s15]format=pix_fmts=yuv420p[s16]",
            "  [s16]setsar=sar=1[s17]",
            "  [s17]setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv[s18]",
            "  [s18]sidedata=mode=delete[s19]",
            "  [s19]blackdetect=d=0.1,metadata=mode=print:file=p.txt[s20]",
            "  [s12]select=expr=not(mod(n+60\\,100))[s21]",
            "  [s21]setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:field_mode=prog[s22]",
            "  [s22]zscale=filter=bicubic:h=90:param_a=0:param_b=0.6:r=limited:rin=limited:w=160[s23]",
            "  [s23]format=pix_fmts=yuv420p[s24]",
            "  [s24]setsar=sar=1[s25]",
            "  [s25]setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv[s26]",
            "  [s26]sidedata=mode=delete[s27]",
            "  [s27]scale=flags=bicubic+accurate_rnd+full_chroma_int:in_color_matrix=bt709:out_color_matrix=bt601:out_range=pc[s28]",
            "  [s28]format=pix_fmts=yuvj420p[s29]",
            "  [s13]select=expr=eq(n\\,140)[s30]",
            "  [s30]setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:field_mode=prog[s31]",
            "  [s31]scale=flags=bicubic:h=1080:in_color_matrix=bt709:out_color_matrix=bt709:out_range=tv:w=1920[s32]",
            "  [s32]format=pix_fmts=yuv420p[s33]",
            "  [s33]setsar=sar=1[s34]",
            "  [s34]setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv[s35]",
            "  [s35]sidedata=mode=delete[s36]",
            "  [s36]scale=flags=bicubic+accurate_rnd+full_chroma_int:in_color_matrix=bt709:out_color_matrix=bt601:out_range=pc[s37]",
            "  [s37]format=pix_fmts=yuvj420p[s38]",
            "  [s6]trim=end=24.024000[s39]",
            "  [s39]idet,metadata=mode=print:file=f.txt[s40]",
            "-map '[s20]' -f null -fps_mode passthrough -",
            "-map '[s29]' -f mjpeg -c:v mjpeg -flags +bitexact -fps_mode passthrough -q:v 4 -threads 1 file:pictures.mjpeg",
            "-map '[s38]' -f mjpeg -c:v mjpeg -flags +bitexact -fps_mode passthrough -q:v 2 -threads 1 file:poster-500.jpg",
            "-map '[s40]' -f null -fps_mode passthrough -",
        ],
        id="pictures, poster and measurements only",
    ),
    pytest.param(
        JOB.model_copy(
            update={
                "renditions": (RUNG, made("720p-low", bitrate=1_500_000)),
                "smallest": (1280, 720),
                "quality": CHAINS,
            }
        ),
        [
            "-hide_banner -nostdin -y -loglevel repeat+level+error -nostats -progress pipe:1 -copyts -filter_complex_threads 1",
            "-f matroska -noautorotate -protocol_whitelist file -reinit_filter 0 -threads 1 -i 'file:/in/it'\"'\"'s 100%d.mkv'",
            "GRAPH",
            "  [0:0]setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709[s0]",
            "  [s0]scale[s1]",
            "  [s1]setpts=expr=PTS-(6000)[s2]",
            "  [s2]settb=expr=1/120000[s3]",
            "  [s3]split=2[s4][s5]",
            "  [s4]fps=eof_action=pass:fps=30000/1001:round=near:start_time=0.000000000[s6]",
            "  [s6]tpad=stop=3:stop_mode=clone[s7]",
            "  [s7]trim=end_frame=360[s8]",
            "  [s8]setpts=expr=N[s9]",
            "  [s9]setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:field_mode=prog[s10]",
            "  [s10]zscale=filter=bicubic:h=720:param_a=0:param_b=0.6:r=limited:rin=limited:w=1280[s11]",
            "  [s11]format=pix_fmts=yuv420p[s12]",
            "  [s12]setsar=sar=1[s13]",
            "  [s13]setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv[s14]",
            "  [s14]sidedata=mode=delete[s15]",
            "  [s15]split=3[s16][s17][s18]",
            "  [s18]blackdetect=d=0.1,metadata=mode=print:file=p.txt[s19]",
            "  [s5]trim=end=12.012000[s20]",
            "  [s20]idet,metadata=mode=print:file=f.txt[s21]",
            (
                "-map '[s16]' -f mp4 -b:v 2500000 -bufsize 5000000 -c:v libx264 -enc_time_base 1001/30000 -fflags +bitexact"
                " -flags +cgop -fps_mode passthrough -g 60 -keyint_min 60 -map_chapters -1 -map_metadata -1 -maxrate 2750000"
                " -min_frag_duration 5005000 -movflags +frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets -preset"
                " fast -sc_threshold 0 -threads 1 -video_track_timescale 30000 -x264-params stitchable=1 file:720p.mp4"
            ),
            (
                "-map '[s17]' -f mp4 -b:v 1500000 -bufsize 5000000 -c:v libx264 -enc_time_base 1001/30000 -fflags +bitexact"
                " -flags +cgop -fps_mode passthrough -g 60 -keyint_min 60 -map_chapters -1 -map_metadata -1 -maxrate 2750000"
                " -min_frag_duration 5005000 -movflags +frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets -preset"
                " fast -sc_threshold 0 -threads 1 -video_track_timescale 30000 -x264-params stitchable=1 file:720p-low.mp4"
            ),
            "-map '[s19]' -f null -fps_mode passthrough -",
            "-map '[s21]' -f null -fps_mode passthrough -",
        ],
        id="measurements ride on the smallest rung",
    ),
]


def laid_out(arguments: list[str]) -> list[str]:
    """Return the command as lines that can be read: global options, input, GRAPH part by part, one line an output."""
    lines: list[str] = []
    line: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "-filter_complex":
            lines += [shlex.join(line), "GRAPH", *(f"  {part}" for part in next(rest).split(";"))]
            line = []
        elif (argument == "-f" and not lines) or argument == "-map":
            lines += [shlex.join(line)] if line else []
            line = [argument]
        else:
            line.append(argument)
    return [*lines, shlex.join(line)]


@pytest.mark.parametrize(("job", "expected"), CASES)
def test_the_whole_command(job: ChunkCommand, expected: list[str]) -> None:
    assert laid_out(chunk_arguments(job)) == expected


@pytest.mark.parametrize(
    ("threads", "expected"), [(1, [1, 1, 1, 1, 1, 1]), (3, [1, 1, 1, 1, 3, 3]), (12, [1, 1, 2, 5, 12, 12]), (16, [1, 2, 3, 7, 16, 16])]
)
def test_a_rung_has_threads_by_the_pixels_it_has_of_the_source_s(threads: int, expected: list[int]) -> None:
    """So that all of them end together, and those that have little to do waste nothing on waiting for each other."""
    sizes = [(426, 240), (640, 360), (854, 480), (1280, 720), (1920, 1080), (3840, 2160)]
    command = JOB.model_copy(update={"threads": threads})
    assert (command.video.width, command.video.height) == (1920, 1080)
    rungs = [RUNG.model_copy(update={"width": width, "height": height}) for width, height in sizes]
    assert [threads_of(each, command) for each in rungs] == expected


@pytest.mark.parametrize(("height", "expected"), [(90, 1), (240, 2), (480, 4), (720, 6), (1080, 9), (2160, 16)])
def test_small_rungs_get_no_more_threads_than_leave_motion_its_reach(height: int, expected: int) -> None:
    rendition = RUNG.model_copy(update={"width": 2 * height, "height": height})
    grid = Grid(frame_rate=Fraction(25), frames=50, gop_frames=50, segment_frames=50, chunk_frames=50)
    assert video_options(rendition, grid, 16)["threads"] == expected


def test_a_command_does_not_depend_on_the_run() -> None:
    assert len({tuple(chunk_arguments(JOB.model_copy(update=LATER))) for _ in range(20)}) == 1


def test_a_job_that_makes_nothing_is_a_bug() -> None:
    with pytest.raises(ValueError, match="nothing"):
        chunk_arguments(JOB.model_copy(update={"renditions": ()}))


@pytest.mark.parametrize(
    ("start", "changes", "expected"),
    [
        pytest.param(0, {}, None, id="the first chunk never seeks"),
        pytest.param(360, {}, Fraction(1, 15) + 360 / NTSC - 1, id="one second before, in the source's own time"),
        pytest.param(30, {}, None, id="before the first key frame there is nothing to win"),
        pytest.param(360, {"exact_seek": False}, None, id="not exact"),
        pytest.param(360, {"key_pts": ()}, None, id="no key frames known"),
        pytest.param(360, {"frame_rate": Fraction(1)}, Fraction(1, 15) + 360 / NTSC - 4, id="four frames of a slow source"),
        pytest.param(360, {"start_pts": 324_126_000, "key_pts": (324_126_000,)}, Fraction(324_126_000, 90_000) + 360 / NTSC - 1, id="ts"),
    ],
)
def test_where_a_chunk_seeks(start: int, changes: dict[str, object], expected: Fraction | None) -> None:
    assert seek_point(VIDEO.model_copy(update=changes), GRID, Chunk(index=1, start=start, frames=360)) == expected


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        ("24", 24000),
        ("25", 25000),
        ("30000/1001", 30000),
        ("24000/1001", 24000),
        ("60000/1001", 60000),
        ("1", 1000),
        ("7/2", 7000),
        ("15", 15000),
    ],
)
def test_a_frame_is_a_whole_number_of_ticks(rate: str, expected: int) -> None:
    assert timescale(GRID.model_copy(update={"frame_rate": Fraction(rate)})) == expected
    assert (expected / Fraction(rate)).denominator == 1


def test_pictures_of_all_chunks_add_up() -> None:
    edges = [0, 99, 100, 101, 250, 300, 301, 999, 1000]
    chunks = [Chunk(index=i, start=a, frames=b - a) for i, (a, b) in enumerate(pairwise(edges))]
    assert [pictures_in(SPRITES, chunk) for chunk in chunks] == [1, 0, 1, 1, 0, 1, 6, 0]
    assert sum(pictures_in(SPRITES, chunk) for chunk in chunks) == len(range(0, 1000, 100))


def test_rungs_with_pictures_of_their_own_are_decoded_once() -> None:
    """Whatever is done to a picture, even before it is on the grid, is done to the rungs alone that ask for it."""
    turned = made("turned").model_copy(update={"picture": TURNED.model_copy(update={"tone_map": "none"})})
    arguments = chunk_arguments(JOB.model_copy(update={"renditions": (RUNG, turned, made("again"))}))
    graph = arguments[arguments.index("-filter_complex") + 1]
    assert arguments.count("-i") == 1
    assert [graph.count(name) for name in ("[0:0]", "bwdif=", "]fps=", "transpose=", "]zscale=", "split=2")] == [1, 1, 2, 1, 2, 2]
