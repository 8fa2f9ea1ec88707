"""Read one file that nobody vouches for: runs in a child process with limits, started by ``probe``. PyAV is used only there.

In:   a path and SourceLimits, as JSON, from the command line.
Out:  one JSON object on stdout: {"source": Source} or {"problems": [sentence, …], "ids": […]}, all problems at once.
Wrong: anything; a crash, a hang or a balloon ends the child, and ``probe`` makes a sentence of it.

One pass over the packets finds the true durations; the first pictures are decoded on the way; a thread hashes the same bytes
meanwhile (they are in the page cache). Only the containers in DEMUXERS are tried; libav checks
that list before a demuxer sees the file, gets bytes without a name, and may open nothing itself: no playlist or script leads anywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
from av.stream import Stream

from vidpipe.source.captions import CaptionRequest
from vidpipe.source.child.audio import heard
from vidpipe.source.child.captions.caption_service import declared_languages
from vidpipe.source.child.captions.screens import extracted
from vidpipe.source.child.damage import damaged
from vidpipe.source.child.ends import ALLOWED, BEGINNING, completed, read_end
from vidpipe.source.child.opening import Allowance, Refusal, open_media, reason_of
from vidpipe.source.child.reading import TS_DISCONT, Scan, ScannedStream, base_of, read
from vidpipe.source.child.scan import Decoded, timeline
from vidpipe.source.child.streams import (
    INDEXED,
    all_in_file,
    audio_stream,
    caption_streams,
    chapters,
    codec_of,
    is_picture,
    is_whole,
    other_stream,
    subtitle_stream,
    timecode,
    video_stream,
)
from vidpipe.source.child.structure import claimed_size, goes_on
from vidpipe.source.clock import MOST_JUMPS
from vidpipe.source.declared import Declared, declared
from vidpipe.source.facts import LEAST_EARLY, Shift, Source, SubtitleStream
from vidpipe.source.limits import SourceLimits, raising
from vidpipe.source.picture_facts import dolby_in
from vidpipe.source.problem import Problem
from vidpipe.source.text import one_line

# Containers that can carry video and open nothing but themselves. Never: hls, dash, concat, sdp, rtsp, image2, imf, lavfi, subtitles.
DEMUXERS = ("mov", "matroska", "mpegts", "mpeg", "avi", "mxf", "gxf", "flv", "asf", "ogg", "nut", "dv", "ivf")

LEADING = ("hevc", "vvc")
"""Codecs that distinguish leading pictures which can be decoded (RADL) from those which cannot (RASL, which the decoder drops)."""

BLOCK = 1 << 20
LINES_KEPT = 30  # of a traceback
UNFORESEEN = Problem("reader-failed", "it contains something that vidpipe cannot handle")


def main(argv: list[str]) -> None:
    """Answer a question on stdout. argv: "examine", path, name, limits as JSON, "quick" perhaps; or "damage", "audio" or "captions".

    What those three are about comes on stdin, as JSON: a Source, or a CaptionRequest.
    """
    question, *arguments = argv
    given = b"" if arguments else sys.stdin.buffer.read()
    if question == "damage":
        text = json.dumps({"damaged": damaged(Source.model_validate_json(given))})
    elif question == "audio":
        text = json.dumps({"audio": [audio.model_dump(mode="json") for audio in heard(Source.model_validate_json(given))]})
    elif question == "captions":
        text = json.dumps({"texts": extracted(CaptionRequest.model_validate_json(given))})
    else:
        path, name, limits, *quick = arguments
        text = json.dumps(answer(path, name, SourceLimits.model_validate_json(limits), quick=bool(quick)))
    sys.stdout.write(text)
    sys.stdout.flush()
    # libav may hold broken state after a hostile file; there is nothing left to tidy up
    os._exit(0)


def answer(path: str, name: str, limits: SourceLimits, *, quick: bool = False) -> dict[str, Any]:
    """Return {"source": …} or {"problems": […]} for a file."""
    try:
        return {"source": examine(path, name, limits, quick=quick).model_dump(mode="json")}
    except Refusal as refusal:
        sentences = [one_line(problem.message, 400) for problem in refusal.problems]
        return {"problems": sentences, "ids": [problem.id for problem in refusal.problems], "fix": refusal.fix}
    except Exception:  # noqa: BLE001 - whatever an untrusted file makes of this code: no traceback is a sentence
        return {"problems": [UNFORESEEN.message], "ids": [UNFORESEEN.id], "debug": traceback.format_exc().splitlines()[-LINES_KEPT:]}


def examine(path: str, name: str, limits: SourceLimits, *, quick: bool = False) -> Source:
    """Measure a file, or raise Refusal with everything that is wrong with it. quick: of a large one, read the ends only."""
    if quick:
        with suppress(Refusal):  # only all of a file shows everything that is wrong with it
            return _examined(path, name, limits, Allowance(ALLOWED))
    return _examined(path, name, limits, None)


def _examined(path: str, name: str, limits: SourceLimits, allowed: Allowance | None) -> Source:
    """Measure a file. allowed: bytes that may be read, None for a file that is read whole."""
    digest: list[str] = []
    before = Path(path).stat()
    hashing = threading.Thread(target=_hash, args=(path, digest), daemon=True)
    if allowed is None:
        hashing.start()
    with Path(path).open("rb") as file:
        claims = declared(file)
    if claims.encrypted:
        raise Refusal(
            Problem("encrypted-source", f"it is encrypted ({claims.encrypted}), and can be decoded only with its key"),
            fix="get the file without encryption, or decrypt it first: vidpipe takes no keys for sources",
        )
    try:
        try:
            with open_media(path, DEMUXERS, allowed=allowed) as container:
                source = _measure(container, limits, claims, allowed)
                source["subtitles"] = tuple(_with_languages(path, container, source))
        except _Jumps as jumps:
            with open_media(path, DEMUXERS, allowed=allowed) as container:
                source = _measure(container, limits, claims, allowed, jumps.shifts)
                source["subtitles"] = tuple(_with_languages(path, container, source))
    except av.error.FFmpegError as error:
        raise Refusal(Problem("unreadable-source", f"it cannot be read: {reason_of(error)}")) from error
    if allowed and not source["partial"]:
        hashing.start()
    if hashing.ident is not None:
        hashing.join()
    after = Path(path).stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise Refusal(Problem("changed-source", "it changed while it was read; wait until it has been written completely"))
    if not digest and not source["partial"]:
        raise Refusal(Problem("unreadable-source", "it cannot be read to its end: the disk or the network drive reports an error"))
    rate = int(after.st_size * 8 / source["duration"]) if source["duration"] else None
    with Path(path).open("rb") as file:
        claimed = None if source.pop("whole") else claimed_size(file, source["demuxer"])
        last = source.pop("last")
        if last is not None and goes_on(file, source["demuxer"], last):
            what = "it is several files joined byte by byte, and only the first can be read; join them with ffmpeg -f concat"
            raise Refusal(Problem("joined-files", what))
    return Source(
        location=path,
        name=name,
        size=after.st_size,
        claimed_size=claimed,
        mtime_ns=after.st_mtime_ns,
        sha256=digest[0] if digest else "",
        bit_rate=rate,
        **source,
    )


def _hash(path: str, digest: list[str]) -> None:
    sha = hashlib.sha256()
    try:
        with Path(path).open("rb", buffering=0) as file:
            while block := file.read(BLOCK):  # hashlib lets go of the GIL for blocks of this size
                sha.update(block)
    except OSError:
        return
    digest.append(sha.hexdigest())


class _Jumps(Exception):
    """The clock of the file jumps; it has to be read again with these ``shifts``."""

    def __init__(self, shifts: dict[int, tuple[Shift, ...]]) -> None:
        super().__init__(shifts)
        self.shifts = shifts


def _measure(
    container: av.container.InputContainer,
    limits: SourceLimits,
    claims: Declared,
    allowed: Allowance | None,
    shifts: dict[int, tuple[Shift, ...]] | None = None,
) -> dict[str, Any]:
    """Return the facts by their names in Source. allowed: bytes that may be read, where the ends of a large file have to do."""
    streams = list(container.streams)
    if len(streams) > limits.max_streams:
        what = f"it has {len(streams)} streams; the limit is {limits.max_streams}"
        raise Refusal(Problem("limit-exceeded", what, raising("max_streams")))
    video: Any = next((stream for stream in streams if is_picture(stream)), None)
    if video is None:
        raise _no_video(streams)
    problems: list[Problem] = []
    width, height = video.codec_context.width, video.codec_context.height
    if width * height > limits.max_pixels:
        what = f"its frames have {width}x{height} pixels; the limit is {limits.max_pixels} in all"
        problems.append(Problem("limit-exceeded", what, raising("max_pixels")))
    # libav's own estimate first, so that a claim of a thousand years does not start a scan. Where clocks may jump, it is the last time
    # less the first, which says nothing.
    claimed = Fraction(container.duration, av.time_base) if container.duration and container.duration > 0 and not shifts else None
    lasting = (claimed or 0) - max(Fraction(container.start_time or 0, av.time_base), Fraction(0))  # fragments may begin at any time
    if not container.format.flags & TS_DISCONT and lasting > limits.max_duration:
        what = f"it claims to last {float(lasting):.0f} s; the limit is {limits.max_duration} s"
        problems.append(Problem("limit-exceeded", what, raising("max_duration")))
    if problems:
        raise Refusal(*problems)
    scan = read(container, video, limits, shifts, extent=BEGINNING if allowed else None)
    partial = scan.stopped or (allowed is not None and allowed.spent)
    if shifts is None and (found := scan.clocks.shifts()):
        if (count := max(map(len, found.values()))) > MOST_JUMPS:
            raise Refusal(Problem("limit-exceeded", f"its clock jumps {count} times; the limit is {MOST_JUMPS}"))
        raise _Jumps(found)
    base = base_of(video)
    decoded = [Decoded(frame.pts, frame.dts, frame.interlaced_frame) for frame in scan.frames]
    declared = [Fraction(rate) for rate in (video.average_rate, video.guessed_rate, video.base_rate) if rate]
    leading = codec_of(video.codec_context) in LEADING
    line = timeline(scan.video, decoded, declared, base, Fraction(limits.max_frame_rate), leading=leading)
    end: Scan | None = None
    if partial and allowed and line.frames:
        end = read_end(container, video, limits, scan, container.size, shifts, allowed)
        line = completed(scan, end, line, video, container.size, claimed)
    problems = scan.problems
    if not scan.video.pts:
        problems.append(Problem("no-video", "its video stream is empty"))
    elif not scan.frames:
        codec = one_line(codec_of(video.codec_context))
        what = f"no frame can be decoded from its video stream ({codec}): {scan.error or 'no key frame'}"
        problems.append(Problem("undecodable-source", what))
    elif not line.frames:
        what = "none of its frames can be shown: all are before the start of its timeline or have no timestamp"
        problems.append(Problem("no-video", what))
    if line.duration > limits.max_duration:
        what = f"it lasts {float(line.duration):.0f} s; the limit is {limits.max_duration} s"
        problems.append(Problem("limit-exceeded", what, raising("max_duration")))
    if problems:
        raise Refusal(*problems)
    dolby = claims.dolby or dolby_in(scan.frames[0])
    if dolby is not None and not dolby.has_base:
        what = f"its picture is Dolby Vision {dolby}, which has no base layer for other decoders: it would look purple and green"
        raise Refusal(
            Problem("no-base-layer", what),
            fix="export it as HDR10, HLG or SDR, or as Dolby Vision profile 8.1 or 8.4; or convert it with an ffmpeg that has libplacebo: "
            "ffmpeg -i FILE -vf libplacebo=apply_dolbyvision=1:colorspace=bt709:color_primaries=bt709:color_trc=bt709:format=yuv420p "
            "-c:v libx264 -crf 10 -c:a copy FIXED.mkv",
        )
    demuxer = container.format.name.split(",")[0]
    crop = claims.crops.get(video.index)
    picture = video_stream(container, video, scan, line, demuxer, dolby, crop, partial=partial)
    if not Fraction(1, 16) <= picture.sample_aspect <= 16:
        what = f"its pixels are {picture.sample_aspect} times as wide as high; that makes no sense"
        raise Refusal(Problem("implausible-aspect", what))
    tracks = {stream.index: (stream, scan.tracks.get(stream.index, ScannedStream())) for stream in streams if stream.index != video.index}
    ends = [
        picture.start + picture.duration,
        *(track.end * base_of(stream) for stream, track in tracks.values() if track.start is not None),
    ]
    starts = [picture.start, *(track.start * base_of(stream) for stream, track in tracks.values() if track.start is not None)]
    audio = tuple(audio_stream(*each, picture, scan) for each in tracks.values() if each[0].type == "audio")
    heard = [each.start for each in audio if each.packets]
    picture = picture.model_copy(update={"lead_in": picture.start - _beginning(picture.start - line.lead * base, heard, demuxer)})
    scanned = max(ends) - (min([Fraction(0), *starts]) if demuxer in INDEXED else min(starts))
    return {
        "container": one_line(container.format.long_name),
        "demuxer": demuxer,
        "duration": picture.duration,
        "declared_duration": claimed,
        # containers with an index count from their own zero, the others claim the time between first and last
        "scanned_duration": scanned if end or not partial else None,
        "read_error": scan.error if scan.error and scan.error.startswith("reading") else None,
        "video": picture,
        "audio": audio,
        "subtitles": tuple(_subtitles(container, tracks, scan, claims, ordered=not (line.guessed and picture.reorder_frames))),
        "others": tuple(other_stream(stream, track) for stream, track in tracks.values() if stream.type not in ("audio", "subtitle")),
        "chapters": chapters(container),
        "timecode": timecode(container, streams),
        "partial": partial,
        "last": scan.last if end or not partial else None,
        "whole": demuxer == "mov" and (all_in_file(container) if partial else is_whole(video, streams, scan)),
    }


def _beginning(seen: Fraction, heard: list[Fraction], demuxer: str) -> Fraction:
    """Return the time from which players count: that of the first picture or audio, or the container's own zero if it has one.

    seen, heard: when the picture and each audio stream begin. An encoder's delay before that zero is not worth a word.
    """
    if demuxer not in INDEXED:
        return min([seen, *heard])
    return min([Fraction(0), seen, *(start for start in heard if start < -LEAST_EARLY)])


def _subtitles(
    container: av.container.InputContainer, tracks: dict[int, tuple[Any, ScannedStream]], scan: Scan, claims: Declared, *, ordered: bool
) -> Iterator[SubtitleStream]:
    """Yield the subtitle streams, those with closed captions a channel at a time, and then the captions inside others.

    ordered: the order of the pictures is known without decoding them.
    """
    for stream, track in tracks.values():
        if stream.type == "subtitle":
            described, found = subtitle_stream(stream, track, scan, claims), scan.carriers.get(stream.index)
            yield from caption_streams(stream, found, described) if found else [described]
    for index, found in scan.carriers.items():
        if container.streams[index].type != "subtitle":
            yield from caption_streams(container.streams[index], found, None, ordered=ordered)


def _with_languages(path: str, container: av.container.InputContainer, source: dict[str, Any]) -> Iterator[SubtitleStream]:
    """Yield the subtitle streams, those of closed captions with the language that a transport stream declares for them."""
    video, languages = source["video"].index, {}
    if source["demuxer"] == "mpegts" and any(stream.channel for stream in source["subtitles"]):
        with Path(path).open("rb") as file:
            languages = declared_languages(file, container.streams[video].id)
    for stream in source["subtitles"]:
        language = languages.get(stream.channel) if stream.index == video else None
        yield stream.model_copy(update={"language": language}) if language else stream


def _no_video(streams: list[Stream]) -> Refusal:
    if any(stream.type == "video" for stream in streams):
        what = "its video cannot be decoded: the codec is unknown, the video has no size, or it is only cover art"
        return Refusal(Problem("undecodable-source", what))
    kinds = sorted({stream.type for stream in streams})
    what = f"it has no video stream (only {', '.join(kinds)})" if kinds else "it has no streams"
    return Refusal(Problem("no-video", what), fix="give the video file that it belongs to")
