"""Judge one file: ingest it, look at what was published, compare with the source.

In:   a media file; Options.
Out:  Verdict: same, differs, refused, crash, unknown, with the reasons.
Wrong: nothing: every failure is a verdict.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap

from tests.oracle import audio, picture
from tests.oracle.decode import Audio, Decoded, Listing, Stream, Unreadable, decode, decode_audio, listing, plays
from tests.oracle.title import Title, read

LADDER = """\
name: oracle
description: One quick rung, good enough to compare
rungs:
  - {name: 360p, height: 360, codec: h264, bitrate: 2500k, max_bitrate: 4000k, buffer: 4000k, preset: ultrafast}
audio:
  - {codec: aac, bitrate: 128k, channels: 2}
"""
CRASH = 70


@dataclass(frozen=True)
class Options:
    """seconds: how much is compared.  ladder: a file or a shipped name; None is one quick rung.  keep: for what was made."""

    ladder: str | None = None
    seconds: float | None = 60.0
    keep: Path | None = None
    timeout: float = 900.0


@dataclass
class Verdict:
    """What was found. word: same, differs, refused, crash or unknown (ffmpeg shows nothing to compare with)."""

    file: str
    word: str
    reasons: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    exit_code: int | None = None
    seconds: float = 0.0
    numbers: dict[str, float] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The verdict in one line."""
        head = f"refused ({self.exit_code})" if self.word == "refused" else self.word
        remarks = f" [{'; '.join(self.remarks)}]" if self.remarks else ""
        return head + (f": {'; '.join(self.reasons)}" if self.reasons else "") + remarks

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def verdict_on(file: Path, options: Options | None = None) -> Verdict:
    """Ingest ``file`` into a new home and compare."""
    options = options or Options()
    began = time.monotonic()
    work = Path(tempfile.mkdtemp(prefix="oracle-"))
    try:
        verdict = _verdict_on(file.absolute(), options, work)
    finally:
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            kept = options.keep / re.sub(r"[^\w.-]+", "_", str(file))[-120:]
            shutil.rmtree(kept, ignore_errors=True)
            shutil.move(work, kept)
        else:
            shutil.rmtree(work, ignore_errors=True)
    verdict.seconds = round(time.monotonic() - began, 2)
    return verdict


def _verdict_on(file: Path, options: Options, work: Path) -> Verdict:
    if options.ladder is None:
        (work / "oracle.yaml").write_text(LADDER)
    argv = ["ingest", str(file), "--id", "oracle", "--home", str(work / "home"), "--to", str(work / "out"), "--json", "--progress", "plain"]
    argv += ["--ladder", options.ladder or str(work / "oracle.yaml")]
    settings = {name: value for name, value in os.environ.items() if not name.startswith("VIDPIPE_")}
    command = [sys.executable, "-c", "from vidpipe.cli import main; main()", *argv]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=work, env=settings, timeout=options.timeout, check=False)
    except subprocess.TimeoutExpired:
        return Verdict(str(file), "crash", [f"not done after {options.timeout:.0f} s"])
    (work / "stdout").write_text(done.stdout)
    (work / "stderr").write_text(done.stderr)
    said = " ".join(done.stderr.split())
    if done.returncode in (CRASH,) or done.returncode < 0 or "Traceback (most recent call last)" in done.stderr:
        return Verdict(str(file), "crash", [said[-400:]], exit_code=done.returncode)
    if done.returncode:
        return Verdict(str(file), "refused", [_sentence(done.stderr)], exit_code=done.returncode)
    try:
        record = json.loads(done.stdout)
        manifest = Path(record["manifest"])
        title = read(manifest.parent, work / "home", work / "clear")
    except (KeyError, ValueError, OSError, IndexError, InvalidUnwrap) as problem:
        return Verdict(str(file), "differs", [f"the title cannot be read: {problem!r}"], exit_code=0)
    return compare(file, title, done.stdout + done.stderr, options.seconds)


def _sentence(printed: str) -> str:
    """Return the error of a refusal on one line."""
    lines = [line.strip() for line in printed.splitlines()]
    start = next((n for n, line in enumerate(lines) if re.match(r"(?i)error\b", line)), 0)
    return " ".join(" ".join(lines[start:]).split())[:500]


def compare(file: Path, title: Title, said: str, seconds: float | None = None) -> Verdict:
    """Compare a title in the clear with its source. said: everything that vidpipe printed, the record too."""
    verdict = Verdict(str(file), "same", exit_code=0)
    source = listing(file)
    shown = source.shown()
    if shown is None:
        return Verdict(str(file), "unknown", ["ffmpeg finds no video stream"], exit_code=0)
    heard = [stream for stream in source.of("audio") if stream.channels]
    try:
        there = _source(file, shown, heard, seconds)
    except Unreadable as problem:
        return Verdict(str(file), "unknown", [f"ffmpeg shows nothing: {problem}"], exit_code=0)
    try:
        here = _title(title, seconds)
    except (Unreadable, StopIteration) as problem:
        return Verdict(str(file), "differs", [f"the title does not play: {problem}"], exit_code=0)
    whole = seconds is None or (there.pictures.end - there.pictures.times[0] < seconds - 1 and title.seconds < seconds - 1)
    zero = _pictures(there, here, verdict, whole=whole)
    if there.complaints.strip() and "cannot be decoded" in said:
        # ffmpeg ends before pictures at the end that are broken; to hold the last good one instead is right, if it is said.
        verdict.reasons = [reason for reason in verdict.reasons if not reason.endswith("s too long")]
    length = title.seconds if whole else min(title.seconds, seconds or title.seconds, here.pictures.end)
    # AVI holds no times: ffmpeg shows its first picture late by the reordering delay, other players do not.
    zeros = (zero, 0.0) if source.container == "avi" and zero < 0.25 else (zero,)
    covered = _tracks(there, here, heard, title, zeros, length, said, verdict, whole=whole)
    _named(source, covered, title, said, verdict)
    verdict.reasons += _unheard(there, covered, title, zero, length)
    if here.complaints.strip():
        verdict.reasons.append(f"decoding the title: {here.complaints.strip().splitlines()[0][:120]}")
    if verdict.reasons:
        verdict.word = "differs"
    return verdict


def _source(file: Path, shown: Stream, heard: list[Stream], seconds: float | None) -> Decoded:
    """Decode the source; a track that ffmpeg cannot begin to decode must not keep the others from being seen."""
    try:
        return decode(file, shown, heard, seconds)
    except Unreadable:
        return decode(file, shown, [stream for stream in heard if plays(file, stream)], seconds)


def _title(title: Title, seconds: float | None) -> Decoded:
    """Decode the title's renditions; audio is numbered in the order of the names."""
    found = listing(title.video).shown()
    if found is None:
        raise Unreadable("no video")
    picture_part = decode(title.video, found, (), seconds)
    tracks: dict[int, Audio] = {}
    complaints = picture_part.complaints
    for number, file in enumerate(title.audio.values()):
        tracks[number], more = decode_audio(file, seconds)
        complaints += more
    return Decoded(picture_part.pictures, picture_part.colour, tracks, complaints)


def _pictures(there: Decoded, here: Decoded, verdict: Verdict, *, whole: bool) -> float:
    """Compare pictures; return the source's time that is the title's zero: its first picture.

    Two other zeros are right, if the pictures prove them: audio that begins before the picture; a decoder that starts in the middle of a
    group of pictures complains, and what it shows first is broken.
    """
    first = float(there.pictures.times[0])
    zeros = [first, *(track.start for track in there.audio.values() if track.start < first - 0.02)]
    if there.complaints.strip() or first < -0.001:  # before the first key frame: guessed from pictures that are not there
        zeros += [float(time) for time in there.pictures.times[1:12]]
    found: dict[float, picture.Seen] = {}
    for zero in dict.fromkeys(zeros):
        found[zero] = picture.compare(there.pictures, here.pictures, zero, hdr=there.colour.hdr, whole=whole)
        if zero == first and not found[zero].wrong:
            break
    zero = min(found, key=lambda z: (found[z].wrong > found[first].wrong / 2, found[z].wrong, len(found[z].faults), abs(z - first)))
    if found[zero].wrong > found[first].wrong / 2:
        zero = first
    verdict.reasons += found[zero].faults
    verdict.remarks += found[zero].remarks
    if zero > first:
        verdict.remarks.append(f"begins {zero - first:.2f} s after the first picture, which ffmpeg shows with complaints")
    elif zero < first:
        verdict.remarks.append(f"begins {first - zero:.2f} s before the first picture, with the audio")
    verdict.numbers |= {"zero": round(zero - first, 4), "timed": round(found[zero].timed, 3), "wrong": found[zero].wrong}
    return zero


def _tracks(
    there: Decoded,
    here: Decoded,
    heard: list[Stream],
    title: Title,
    zeros: tuple[float, ...],
    length: float,
    said: str,
    verdict: Verdict,
    *,
    whole: bool,
) -> set[int]:
    """Find the source's track of each of the title's, and compare the two; return the source's tracks that were found."""
    channels = {stream.index: stream.channels for stream in heard}
    covered: set[int] = set()
    for number, name in enumerate(title.audio):
        results = {}
        for index, track in there.audio.items():
            tried = [audio.compare(track, here.audio[number], z, length, mixed=channels[index] > 2, whole=whole) for z in zeros]
            results[index] = min(tried, key=lambda result: len(result.faults))
        if not results:
            verdict.reasons.append(f"{name}: the source has no audio")
            continue
        # Tracks of one source may hold the same audio: of equal ones the first that is not taken yet.
        best = max(results, key=lambda i: (round(results[i].likeness or 0.0, 1), -len(results[i].faults), i not in covered, -i))
        covered.add(best)
        prefix = f"{name}: " if len(title.audio) > 1 else ""
        verdict.reasons += [prefix + fault for fault in results[best].faults]
        verdict.remarks += [prefix + remark for remark in results[best].remarks]
        if results[best].likeness is not None:
            verdict.numbers[f"{name} likeness"] = round(results[best].likeness or 0.0, 3)
            verdict.numbers[f"{name} late"] = round(results[best].offset or 0.0, 4)
        if whole:
            for where, seconds in audio.cut(there.audio[best], zeros[0], length):
                if not _mentioned(said, where.split()[0]):
                    verdict.reasons.append(f"{prefix}{seconds:.2f} s of audio {where} cut without a word")
    return covered


def _unheard(there: Decoded, covered: set[int], title: Title, zero: float, length: float) -> list[str]:
    """Tracks that play while the picture of the title runs, and that it does not have: a word does not make up for them."""
    plays = {index: audio.plays(track, zero, length) for index, track in there.audio.items()}
    if sum(seconds > 0 for seconds in plays.values()) <= len(title.audio):
        return []
    return [
        f"audio stream {index} plays for {seconds:.2f} s of the picture, and is left out"
        for index, seconds in plays.items()
        if seconds and index not in covered
    ]


def _mentioned(said: str, where: str) -> bool:
    """Whether it was said that audio lies before or after the picture, in whatever words."""
    words = "begins|starts|cut" if where == "before" else "longer|ends|beyond|cut"
    return bool(re.search(rf"(?is)audio[^.]{{0,90}}\b({where}|{words})\b", said))


def _named(source: Listing, covered: set[int], title: Title, said: str, verdict: Verdict) -> None:
    """Every audio and subtitle stream is in the title or named as left out."""

    def unnamed(stream: Stream) -> bool:
        return not re.search(rf"(?i)(stream|track) #?{stream.index}\b", said)

    for stream in source.of("audio"):
        if stream.index not in covered and unnamed(stream):
            verdict.reasons.append(f"audio stream {stream.index} left out without a word")
    lost = sum(map(unnamed, source.of("subtitle"))) - len(title.subtitles)
    if lost > 0:
        verdict.reasons.append(f"{lost} of {len(source.of('subtitle'))} subtitle streams left out without a word")
