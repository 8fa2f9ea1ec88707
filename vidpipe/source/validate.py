"""Check the quality of a source: its facts, and (unless quick) one full decode through the filters of ``quality``.

In:   a Source, a QualityPolicy, ffmpeg.
Out:  QualityReport; an error in it refuses the source.
Wrong: SourceRefused if the decode crashes, hangs or balloons; UsageError if ffmpeg lacks a filter; Interrupted on cancel.
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
from vidpipe.source.facts import Finding, QualityReport, Source
from vidpipe.source.findings import fact_findings, findings
from vidpipe.source.limits import SourceLimits
from vidpipe.source.policy import QualityPolicy
from vidpipe.source.probe import ask
from vidpipe.source.quality import (
    PICTURE_FILE,
    Measurements,
    Stretch,
    merge,
    picture_filters,
    read_measurements,
    sound_filters,
    source_filters,
)
from vidpipe.source.text import clean

PICTURE_WIDTH = 320  # pixels; black and frozen pictures show at any size
FILTERS = ("idet", "blackdetect", "freezedetect", "metadata", "ebur128", "silencedetect", "astats", "ametadata")
EDGE_PICTURES = 12  # a recording that was cut anywhere ends, and in a transport stream begins, with pictures that lack their references
PRINTED_A_PICTURE = 700  # bytes that the filters print for it, and for each tenth of a second of sound
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
    found = fact_findings(source, policy)
    if quick:
        return QualityReport(findings=found)
    if isinstance(ffmpeg, FFmpeg):
        ffmpeg.require(filters=FILTERS)
    limits = limits or SourceLimits()
    with tempfile.TemporaryDirectory(prefix="vidpipe-validate-") as folder:
        done = _decode(source, policy, ffmpeg if isinstance(ffmpeg, str) else ffmpeg.path, Path(folder), limits, cancel)
        picture = _read(Path(folder) / PICTURE_FILE)
        sounds = {audio.index: _read(Path(folder) / sound_file(audio.index)) for audio in source.audio if audio.packets}
    if done.returncode != 0 or has_errors(done.stderr_tail):
        picture = merge([picture, Measurements(damaged=locate_damage(source, limits=limits, cancel=cancel))])
    found += findings(source, picture, policy)
    # filters that begin anew print into a new file, so where the sound changes the pictures before it are not counted
    found += _changing(done.stderr_head + done.stderr_tail) or _missing(source, picture, policy)
    for index, sound in sounds.items():
        found += findings(source, sound, policy, stream=index)
    return QualityReport(findings=found)


def has_errors(stderr: str) -> bool:
    """Whether ffmpeg's last words at loglevel verbose count decode errors or patched pictures."""
    return _ERRORS.search(stderr) is not None


def locate_damage(source: Source, *, limits: SourceLimits | None = None, cancel: threading.Event | None = None) -> tuple[Stretch, ...]:
    """Decode the source once more, packet by packet, and return where it cannot be decoded cleanly. Slow; for damaged files only."""
    limits = limits or SourceLimits()
    spent = limits.decoding(float(source.duration), 0)
    answer = ask(["damage", source.model_dump_json()], where=source.name, limits=spent, cancel=cancel)
    try:
        return tuple(Stretch(start=Fraction(start), end=Fraction(end)) for start, end in answer["damaged"])
    except (KeyError, ValueError, TypeError) as error:
        raise SourceRefused("the program that decodes it gave no usable answer", where=source.name, fix="ask for a new copy") from error


def sound_file(index: int) -> str:
    """Return the name of the file that the measurements of an audio stream are printed to."""
    return f"sound-{index}.txt"


def decode_argv(source: Source, policy: QualityPolicy, ffmpeg: str) -> list[str]:
    """Return the command that decodes everything to nothing and prints measurements into its working folder."""
    video = source.video
    chains = [
        f"[0:{video.index}]setpts=PTS-{video.start_pts},trim=start=0,{source_filters(policy)},"
        # area: each pixel of the small picture is a true mean, so noise does not hide that nothing moves
        f"scale=w='min({PICTURE_WIDTH},iw)':h=-2:flags=area,{picture_filters(policy)}[v]"
    ]
    maps = ["-map", "[v]"]
    for audio in source.audio:
        if audio.packets:
            chains.append(
                f"[0:{audio.index}]asetpts=PTS-{float(video.start):.6f}/TB,{sound_filters(policy, sound_file(audio.index))}[a{audio.index}]"
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
        "-reinit_filter:v",
        "0",  # a picture that changes its size goes through the running filters, as it does in the encode
        "-i",
        f"file:{source.location}",
        "-filter_complex",
        ";".join(chains),
        *maps,
        "-fps_mode",
        "passthrough",  # no picture is doubled or dropped to please a constant rate
        "-f",
        "null",
        "-",
    ]


def _decode(
    source: Source, policy: QualityPolicy, ffmpeg: str, folder: Path, limits: SourceLimits, cancel: threading.Event | None
) -> Completed:
    printed = PRINTED_A_PICTURE * (source.video.frames + 10 * int(source.duration))
    spent = limits.decoding(float(source.duration), printed)
    done = run(decode_argv(source, policy, ffmpeg), limits=spent, cwd=folder, cancel=cancel)
    if done.timed_out or done.returncode < 0 or done.returncode > 128:
        what = f"decoding it took more than {done.seconds:.0f} s and was stopped" if done.timed_out else "decoding it crashed the decoder"
        raise SourceRefused(what, where=source.name, fix="ask for a new copy, or raise the limits if the machine is slow")
    return done


def _read(path: Path) -> Measurements:
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            return read_measurements(lines)
    except FileNotFoundError:  # not a single frame came through
        return Measurements()


def _missing(source: Source, picture: Measurements, policy: QualityPolicy) -> tuple[Finding, ...]:
    """Compare the pictures that were decoded with those that the packet scan promised."""
    promised, severity = source.video.frames, policy.decode_errors.severity
    if picture.pictures >= promised - max(promised // 100, EDGE_PICTURES) or severity == "off":
        return ()
    return (
        Finding(
            id="missing-pictures",
            severity=severity,
            message=f"only {picture.pictures} of {promised} pictures can be decoded",
            stream=source.video.index,
            measured=f"{picture.pictures} pictures",
            limit=f"{promised} pictures",
            advice="copy the file again, or ask for a new one",
        ),
    )


def _changing(stderr: str) -> tuple[Finding, ...]:
    """Find sound that an ingest would refuse: ffmpeg begins its filters anew where it changes, and so a track cannot be filled up."""
    changed = re.search(r"Reconfiguring filter graph because audio parameters changed to ([^\n]+)", stderr)
    if changed is None:
        return ()
    return (
        Finding(
            id="changing-sound",
            severity="error",
            message="the sound changes its channels or its sample rate on the way",
            measured=clean(changed[1]),
            limit="one layout and one sample rate",
            advice="convert the sound to one layout and sample rate first, in an editor or with ffmpeg",
        ),
    )
