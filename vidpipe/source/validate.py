"""Check the quality of a source: its facts, and (unless quick) one full decode through the filters of ``quality``.

In:   a Source, a QualityPolicy, ffmpeg.
Out:  QualityReport; an error in it refuses the source.
Wrong: SourceRefused if the decode crashes, hangs or balloons; UsageError if ffmpeg lacks a filter or is too old; Interrupted on cancel.
"""

from __future__ import annotations

import re
import tempfile
import threading
from fractions import Fraction
from pathlib import Path

from vidpipe.errors import SourceRefused
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.media.process import Completed, run
from vidpipe.source.audio_changes import check_understood, steadied
from vidpipe.source.clock import DEMUXING, bitstream_filter
from vidpipe.source.facts import AudioStream, QualityReport, Source, Stretch, VideoStream
from vidpipe.source.findings import fact_findings, findings, missing_pictures
from vidpipe.source.limits import SourceLimits
from vidpipe.source.policy import QualityPolicy
from vidpipe.source.probe import NO_ANSWER, REPORT, ask
from vidpipe.source.quality import (
    PICTURE_FILE,
    Measurements,
    audio_filters,
    merge,
    picture_filters,
    read_measurements,
    source_filters,
)
from vidpipe.source.text import one_line

PICTURE_WIDTH = 320  # pixels; black and frozen pictures show at any size
FILTERS = ("idet", "blackdetect", "freezedetect", "metadata", "ebur128", "silencedetect", "astats", "ametadata")
PRINTED_A_PICTURE = 700  # bytes that the filters print for it, and for each tenth of a second of audio
OUT_OF_TIME = (-24, 152)  # SIGXCPU
KILLED = (-9, 137, -15, 143)
_ERRORS = re.compile(r"(?:Input stream #\d+:\d+ .*?\b([1-9]\d*) decode errors|corrupt decoded frame)")


def validate(
    source: Source,
    policy: QualityPolicy,
    ffmpeg: FFmpeg | str,
    *,
    quick: bool = False,
    cancel: threading.Event | None = None,
    limits: SourceLimits | None = None,
) -> QualityReport:
    """Return all findings, facts first. quick: judge the facts only, decode nothing."""
    if quick:
        return QualityReport(findings=fact_findings(source, policy))
    if isinstance(ffmpeg, FFmpeg):
        ffmpeg.require(filters=FILTERS)
    limits = limits or SourceLimits()
    program = ffmpeg if isinstance(ffmpeg, str) else ffmpeg.path
    steady = frozenset(audio.index for audio in source.audio if audio.changes)
    with tempfile.TemporaryDirectory(prefix="vidpipe-validate-") as folder:
        done = _decode(decode_argv(source, policy, program, steady), source, Path(folder), limits, cancel)
        if began_anew(done.stderr_head + done.stderr_tail, len(steady)):  # its packets did not say so, and what was printed is lost
            source = source.model_copy(update={"audio": locate_changes(source, limits=limits, cancel=cancel)})
            steady = frozenset(audio.index for audio in source.audio)
            done = _decode(decode_argv(source, policy, program, steady), source, Path(folder), limits, cancel)
        picture = _read(Path(folder) / PICTURE_FILE)
        streams = [audio.index for audio in source.audio if audio.packets and audio.decodable]
        heard = {index: _read(Path(folder) / measured_file(index)) for index in streams}
    if done.returncode != 0 or has_errors(done.stderr_tail):
        picture = merge([picture, Measurements(damaged=locate_damage(source, limits=limits, cancel=cancel))])
    found = (*fact_findings(source, policy), *findings(source, picture, policy))
    if not any(finding.id == "missing-pictures" for finding in found):  # the packets may have shown it already
        found += missing_pictures(source, picture.pictures, policy)
    for index, measured in heard.items():
        found += findings(source, measured, policy, stream=index)
    return QualityReport(findings=found)


def began_anew(stderr: str, graph: int) -> bool:
    """Whether ffmpeg says, at loglevel verbose, that the audio changed before the ``graph``-th filter graph."""
    return re.search(rf"^\[fc#{graph} @.*Reconfiguring filter graph because audio", stderr, re.MULTILINE) is not None


def has_errors(stderr: str) -> bool:
    """Whether ffmpeg's last words at loglevel verbose count decode errors or patched pictures."""
    return _ERRORS.search(stderr) is not None


def locate_damage(source: Source, *, limits: SourceLimits | None = None, cancel: threading.Event | None = None) -> tuple[Stretch, ...]:
    """Decode the source once more, packet by packet, and return where it cannot be decoded cleanly. Slow; for damaged files only."""
    limits = limits or SourceLimits()
    spent = limits.decoding(float(source.duration), 0)
    answer = ask(["damage"], about=source, where=source.name, limits=spent, cancel=cancel)
    try:
        return tuple(Stretch(start=Fraction(start), end=Fraction(end)) for start, end in answer["damaged"])
    except (KeyError, ValueError, TypeError) as error:
        raise SourceRefused(NO_ANSWER, where=source.name, fix=REPORT.replace("FILE", source.name), id="reader-failed") from error


def locate_changes(source: Source, *, limits: SourceLimits | None = None, cancel: threading.Event | None = None) -> tuple[AudioStream, ...]:
    """Decode all of the audio, packet by packet, and return the audio streams with what changes in them."""
    spent = (limits or SourceLimits()).decoding(float(source.duration), 0)
    answer = ask(["audio"], about=source, where=source.name, limits=spent, cancel=cancel)
    try:
        return tuple(AudioStream.model_validate(audio) for audio in answer["audio"])
    except (KeyError, ValueError, TypeError) as error:
        raise SourceRefused(NO_ANSWER, where=source.name, fix=REPORT.replace("FILE", source.name), id="reader-failed") from error


def measured_file(index: int) -> str:
    """Return the name of the file that the measurements of an audio stream are printed to."""
    return f"audio-{index}.txt"


def decode_argv(source: Source, policy: QualityPolicy, ffmpeg: str, steady: frozenset[int] = frozenset()) -> list[str]:
    """Return the command that decodes everything to nothing and prints measurements into its working folder.

    steady: audio streams that change mid-stream.
    """
    video = source.video
    chains = [
        # scale: to one size, that of the first picture, as in the encode
        f"[0:{video.index}]setpts=PTS-{video.start_pts},trim=start=0,{_labels(video)}scale,{source_filters(policy)},"
        # area: each pixel of the small picture is a true mean, so noise does not hide that nothing moves
        f"scale=w='min({PICTURE_WIDTH},iw)':h=-2:flags=area,{picture_filters(policy)}[v]"
    ]
    maps = ["-map", "[v]"]
    shifts = source.shifts
    front: list[str] = []
    for audio in source.audio:
        if audio.packets and audio.decodable:
            heard = f"0:{audio.index}"
            if audio.index in steady:
                number = front.count("-dec")
                front += steadied(number, audio.index, audio.widest)
                heard = f"dec:{number}"
            chains.append(
                f"[{heard}]asetpts=PTS-{float(video.start):.6f}/TB,{audio_filters(policy, measured_file(audio.index))}[a{audio.index}]"
            )
            maps += ["-map", f"[a{audio.index}]"]
    return [
        ffmpeg,
        "-hide_banner",
        "-nostdin",
        "-nostats",
        "-loglevel",
        "repeat+level+verbose",  # verbose: the last lines count the decode errors of each stream
        "-copyts",  # the time line begins at the first presentable picture, and only the source's own times say where that is
        "-f",
        source.demuxer,  # probing again could choose a demuxer that opens other files
        "-protocol_whitelist",
        "file",
        *(part for name, value in DEMUXING.get(source.demuxer, {}).items() for part in (f"-{name}", value)),
        *(part for index, table in shifts.items() if table for part in (f"-bsf:{index}", bitstream_filter(table))),
        "-reinit_filter:v",
        "0",  # a picture that changes its size goes through the running filters, as it does in the encode
        "-i",
        f"file:{source.location}",
        *front,
        "-filter_complex",
        ";".join(chains),
        *maps,
        "-fps_mode",
        "passthrough",  # no picture is doubled or dropped to please a constant rate
        "-f",
        "null",
        "-",
    ]


def _labels(video: VideoStream) -> str:
    """Overwrite labels of colour that may be reserved, which would stop swscale; brightness is the same by any of them."""
    labelled = video.pixel_format.startswith(("yuv", "nv", "p0", "p2", "gray"))
    return "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709," if labelled else ""


def _decode(argv: list[str], source: Source, folder: Path, limits: SourceLimits, cancel: threading.Event | None) -> Completed:
    printed = PRINTED_A_PICTURE * (source.video.frames + 10 * int(source.duration))
    spent = limits.decoding(float(source.duration), printed)
    done = run(argv, limits=spent, cwd=folder, cancel=cancel)
    check_understood(done.stderr_tail, argv[0])
    if done.timed_out or done.returncode in OUT_OF_TIME:
        raise SourceRefused(
            f"decoding it took more than {done.seconds:.0f} s and was stopped",
            where=source.name,
            fix="raise the limit decode_seconds_per_second in vidpipe.toml, table [limits], if the machine is slow",
            id="limit-exceeded",
        )
    if done.returncode in KILLED:
        raise SourceRefused(
            "ffmpeg was killed while it decoded it, not by the file: perhaps the machine was short of memory",
            where=source.name,
            fix="run the same command again, with more free memory",
            id="reader-killed",
        )
    if done.returncode < 0 or done.returncode > 128:  # AVERROR codes are negative; of them a byte is left
        crashed = "decoding it crashed the decoder"
        raise SourceRefused(
            crashed if done.returncode < 0 else "ffmpeg cannot decode it",
            where=source.name,
            fix="copy it again from its origin and compare the sizes; if they are the same, export it again",
            details=[f"ffmpeg: {one_line(word)}" for word in done.stderr_tail.splitlines()[-1:]],
            debug=[f"ffmpeg: {one_line(word)}" for word in done.stderr_tail.splitlines()],
            id="undecodable-source",
        )
    return done


def _read(path: Path) -> Measurements:
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            return read_measurements(lines)
    except FileNotFoundError:  # not a single frame came through
        return Measurements()
