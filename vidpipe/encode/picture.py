"""What happens to the pixels of every frame: deinterlacing, rotation, size, colour. Filters only; pure.

In:   the facts of the video stream and the Picture of a rung.
Out:  filters appended to a stream. Everything that leaves ``fit`` is BT.709 (a rung that stays HDR: BT.2020 with the source's transfer),
      limited range, square pixels, no side data.
Wrong: nothing here can fail.
"""

from __future__ import annotations

from vidpipe.encoders import EIGHT_BITS
from vidpipe.media.graph import Stream
from vidpipe.plan import Picture
from vidpipe.source.facts import Colour, VideoStream

PLAYERS_CALL_IT_HD = 720
"""Lines of the short side from which players (Chromium) take untagged video for BT.709, below it for BT.601."""

SDR_WHITE_NITS = 203
"""Light that an HDR master gives to diffuse white, BT.2408; tone mapping puts it just under SDR white."""

TRUE_COLOURS = "bicubic+accurate_rnd+full_chroma_int"
"""Flags of swscale where it goes from one matrix to another: without them the picture is a level (of 255) too dark. It then takes three
times as long, a fifth of an encode, so it does so only for what the filter colorspace does not take, or not as well."""

TRANSFERS = {"none": "bt709", "pq": "smpte2084", "hlg": "arib-std-b67"}

PRIMARIES = frozenset({"bt709", "bt470m", "bt470bg", "smpte170m", "smpte240m", "film", "bt2020", "smpte431", "smpte432"})
MATRICES = frozenset({"bt709", "fcc", "bt470bg", "smpte170m", "smpte240m", "bt2020nc"})


def one_size(stream: Stream, video: VideoStream) -> Stream:
    """Bring frames to the size of the first one. Where they have it already, nothing is done to them.

    Where the size or the pixel format changes mid-stream, idet would lose the picture before the change, and transpose would turn a
    corner of what follows. The labels are replaced first, as in ``fit``: those that are reserved stop swscale even if it does nothing.
    """
    labels = {"color_primaries": "bt709", "color_trc": "bt709", "colorspace": _matrix(video) or "gbr"}
    return stream.filter("setparams", **labels).filter("scale")


def deinterlace(stream: Stream, video: VideoStream, picture: Picture) -> Stream:
    """One whole frame for each frame of two fields. Before the rate is changed, because neighbours in time are needed."""
    if not picture.deinterlace:
        return stream
    # FFmpeg's field orders are coded, then displayed: "tb" is coded top first but shown bottom first.
    parity = {"tt": "tff", "bt": "tff", "bb": "bff", "tb": "bff"}.get(video.field_order, "auto")
    # deint=all: interlacing was measured; many files do not flag their frames.
    return stream.filter("bwdif", mode="send_frame", parity=parity, deint="all")


def rotate(stream: Stream, picture: Picture) -> Stream:
    """Turn and mirror the picture as its metadata says; ffmpeg's own rotation is off, so that it happens exactly once."""
    if picture.rotation == 180:
        stream = stream.filter("hflip").filter("vflip")
    elif picture.rotation:
        stream = stream.filter("transpose", dir={90: "clock", 270: "cclock"}[picture.rotation])
    return stream.filter("hflip") if picture.mirrored else stream


def fit(stream: Stream, width: int, height: int, video: VideoStream, picture: Picture, pixel_format: str = "yuv420p") -> Stream:
    """Scale to square pixels of exactly this size in the colours that the picture is shown in, limited range, and drop all side data."""
    matrix, primaries = _matrix(video), _primaries(video.colour)
    hdr = picture.dynamic_range != "SDR"
    sdr = picture.tone_map == "none"
    converts = not hdr and (not sdr or primaries != "bt709")
    quickly = by_colorspace(video, picture, pixel_format)
    slowly = not converts and matrix != "bt709" and not quickly
    transfer = TRANSFERS[{"SDR": picture.tone_map, "HDR10": "pq", "HLG": "hlg"}[picture.dynamic_range]]
    # What the frames are taken for, in place of what they say: labels that are reserved, or rare, stop swscale ("Unsupported input").
    # field_mode: everything is progressive by now, but a decoder's flag stays on the frames; zscale would scale their fields apart, and the
    # encoder would put the first one into the init section, which then differs from chunk to chunk.
    labels = {"color_primaries": primaries, "color_trc": transfer, "colorspace": matrix or "gbr", "field_mode": "prog"}
    stream = stream.filter("setparams", **labels)
    if by_zscale(video, (width, height), picture, pixel_format):
        # The kernel of swscale's bicubic. rin, r: said outright, for frames that say nothing; nothing but the size changes.
        kernel = {"filter": "bicubic", "param_a": 0, "param_b": 0.6}
        stream = stream.filter("zscale", w=width, h=height, **kernel, rin="limited", r="limited")
        return _finished(_matrix_changed(stream, matrix, "tv", pixel_format) if quickly else stream, transfer, picture, pixel_format)
    scale = {
        "w": width,
        "h": height,
        # Sharper kernels (lanczos) ring at edges, cost a tenth more, and a ladder is watched scaled up again anyway.
        "flags": TRUE_COLOURS if slowly else "bicubic",
        # Said outright: for untagged frames swscale would assume BT.601 whatever the size.
        **({"in_color_matrix": matrix} if matrix else {}),
        "out_range": "tv",
    }
    if hdr:  # only its size changes
        stream = stream.filter("scale", **scale, out_color_matrix="bt2020nc")
    elif converts:
        # Size first, so that the expensive float arithmetic works on the small picture; the colours stay as they are until then.
        stream = stream.filter("scale", **scale, out_color_matrix=matrix or "bt709").filter("format", pix_fmts="yuv420p10le")
        known = {"min": matrix or "bt709", "pin": primaries, "rin": "limited"}
        if sdr:
            stream = stream.filter("zscale", **known, tin="bt709", m="bt709", p="bt709", t="bt709", r="limited", dither="ordered")
        else:
            stream = _tone_map(stream, known, picture)
    elif matrix == "bt709" and video.colour.range == "pc":
        # swscale makes every chroma 0.45 levels too large where only the range changes: blues and reds are a level too strong.
        stream = stream.filter("scale", **{**scale, "out_range": "pc"}, out_color_matrix="bt709")
        stream = stream.filter("zscale", rin="full", r="limited")
    elif not quickly:
        stream = stream.filter("scale", **scale, out_color_matrix="bt709")
    else:
        reach = "pc" if video.colour.range == "pc" else "tv"
        stream = stream.filter("scale", **{**scale, "out_range": reach}, out_color_matrix=matrix)
        stream = _matrix_changed(stream, matrix, reach, pixel_format)
    return _finished(stream, transfer, picture, pixel_format)


def by_zscale(video: VideoStream, size: tuple[int, int], picture: Picture, pixel_format: str = EIGHT_BITS) -> bool:
    """Whether zscale makes the size. (Until 0.2 swscale did, always: such pictures have other bytes since.)

    It takes half the time, a twelfth of an encode where that is easy. It has what comes in the size's own pixel format, at least until
    colorspace changes the matrix; it refuses odd sizes in 4:2:0, and dithers either always or never.
    """
    turned = picture.rotation in (90, 270)
    shown = (video.height, video.width) if turned else (video.width, video.height)
    even = video.width % 2 == video.height % 2 == 0
    stays = picture.dynamic_range != "SDR"
    plain = picture.tone_map == "none" and _primaries(video.colour) == _matrix(video) == "bt709"
    known = stays or plain or by_colorspace(video, picture, pixel_format)
    return known and even and video.pixel_format == pixel_format and video.colour.range != "pc" and shown != size


def by_other_filters(video: VideoStream, size: tuple[int, int], picture: Picture, pixel_format: str = EIGHT_BITS) -> dict[str, str]:
    """Return what other filters do to a picture than until 0.2, for fingerprints: bytes that were made before are others."""
    colours = {"colours": "colorspace"} if by_colorspace(video, picture, pixel_format) else {}
    return colours | ({"size": "zscale"} if by_zscale(video, size, picture, pixel_format) else {})


def _matrix_changed(stream: Stream, matrix: str | None, reach: str, pixel_format: str) -> Stream:
    """Change the matrix to that of BT.709, and the range to the limited one. reach: the range until then."""
    stream = stream.filter("format", pix_fmts=pixel_format)
    return stream.filter("colorspace", **_from(matrix, reach), format=pixel_format.removesuffix("le"))


def _finished(stream: Stream, transfer: str, picture: Picture, pixel_format: str) -> Stream:
    """Set what the encoder writes; side data (rotation, HDR mastering light, Dolby Vision, captions) no longer fits these frames."""
    stream = stream.filter("format", pix_fmts=pixel_format).filter("setsar", sar=1)
    colours = ("bt2020", transfer, "bt2020nc") if picture.dynamic_range != "SDR" else ("bt709", "bt709", "bt709")
    shown = dict(zip(("color_primaries", "color_trc", "colorspace"), colours, strict=True))
    return stream.filter("setparams", range="tv", **shown).filter("sidedata", mode="delete")


def by_colorspace(video: VideoStream, picture: Picture, pixel_format: str = EIGHT_BITS) -> bool:
    """Whether the filter colorspace changes the matrix. (Until 0.2 swscale did, always: such pictures have other bytes since.)

    colorspace does not dither, so that 10 bits become 8 in swscale; and it takes no RGB.
    """
    stays = picture.dynamic_range != "SDR" or picture.tone_map != "none" or _primaries(video.colour) != "bt709"
    dithers = video.bit_depth > 8 and pixel_format == EIGHT_BITS
    return not stays and _matrix(video) not in ("bt709", None) and not dithers


def jpeg(stream: Stream, width: int, height: int, video: VideoStream, picture: Picture) -> Stream:
    """Like ``fit``, in the colours of JPEG files: BT.601, full range (JFIF)."""
    stream = fit(stream, width, height, video, picture)
    stream = stream.filter("scale", flags=TRUE_COLOURS, in_color_matrix="bt709", out_color_matrix="bt601", out_range="pc")
    return stream.filter("format", pix_fmts="yuvj420p")


def _tone_map(stream: Stream, known: dict[str, str], picture: Picture) -> Stream:
    """Bring PQ or HLG down to SDR: to linear light, to BT.709 primaries, roll off the highlights, back to a gamma."""
    stream = stream.filter("zscale", **known, tin=TRANSFERS[picture.tone_map], t="linear", npl=SDR_WHITE_NITS)
    stream = stream.filter("format", pix_fmts="gbrpf32le")
    stream = stream.filter("zscale", p="bt709")
    # mobius keeps everything below diffuse white nearly as it was (hable darkens the whole picture) and bends only the highlights.
    # desat=0: highlights keep their colour. peak in units of npl: 1000 nits, the usual master; fixed, so that no chunk differs.
    stream = stream.filter("tonemap", tonemap="mobius", param=0.3, desat=0, peak=round(1000 / SDR_WHITE_NITS, 3))
    return stream.filter("zscale", m="bt709", t="bt709", r="limited", dither="ordered")


def _from(matrix: str | None, reach: str) -> dict[str, object]:
    """Return the options of colorspace that change matrix and range alone: it has a short way for that, from YUV to YUV."""
    same = {"iprimaries": "bt709", "primaries": "bt709", "itrc": "bt709", "trc": "bt709"}
    return {"ispace": matrix, "space": "bt709", "irange": reach, "range": "tv", **same}


def _matrix(video: VideoStream) -> str | None:
    """Return the matrix of the stored pixels; None for RGB, which has none."""
    colour = video.colour
    if video.pixel_format.startswith(("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8", "x2rgb", "x2bgr")):
        return None
    if colour.matrix in ("bt2020c", "ictcp"):
        return "bt2020nc"  # swscale knows neither; both are rare enough to be nearly right
    if colour.matrix in MATRICES:
        return colour.matrix
    if colour.dynamic_range != "SDR" or colour.primaries == "bt2020":
        return "bt2020nc"
    return "bt709" if min(video.width, video.height) >= PLAYERS_CALL_IT_HD else "smpte170m"


def _primaries(colour: Colour) -> str:
    if colour.primaries in PRIMARIES:
        return colour.primaries
    return "bt2020" if colour.dynamic_range != "SDR" or colour.matrix.startswith("bt2020") else "bt709"
