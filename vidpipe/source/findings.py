"""Judge a source: facts and measurements against the policy, as findings with stable ids. Pure.

In:   Source, Measurements (picture and sound together, or one Measurements an audio stream), QualityPolicy.
Out:  findings in the order of the policy; those that are "off" are left out.
Wrong: nothing.

Every finding says what was measured and what the limit is, and when, unless it is about the whole file. What a file has many of is
told once for each stretch; the measured value is that of all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from vidpipe.source.facts import AudioStream, Finding, Severity, Source, Stretch, VideoStream
from vidpipe.source.policy import Check, QualityPolicy
from vidpipe.source.quality import Measurements, longer

IDS = (
    *("truncated", "read-error", "corrupt-packets", "no-audio", "duration-mismatch", "start-mismatch", "changing-sound"),
    *("duplicate-timestamps", "broken-timestamps", "timestamp-gap", "low-resolution", "low-bit-rate"),
    *("missing-pictures", "decode-errors", "black-video", "frozen-video", "interlaced-content"),
    *("silence", "loudness", "true-peak", "dead-channel"),
)
"""Every finding that there is. ids are stable: scripts and policies count on them."""

EDGE_PICTURES = 12  # a recording that was cut anywhere ends, and in a transport stream begins, with pictures that lack their references
MOST_DAMAGE = 100  # stretches that are told


def fact_findings(source: Source, policy: QualityPolicy) -> tuple[Finding, ...]:
    """Return what the probe alone shows; nothing is decoded for it."""
    return (
        *_truncated(source, policy),
        *_read_error(source, policy),
        *_corrupt(source, policy),
        *_sound_facts(source, policy),
        *changing_sound(source, policy),
        *_timestamps(source, policy),
        *_size(source, policy),
        *_fields(source, policy),
    )


def findings(source: Source, measurements: Measurements, policy: QualityPolicy, *, stream: int | None = None) -> tuple[Finding, ...]:
    """Return what a decode showed. stream: index of the audio stream whose sound was measured; None is the first one."""
    audio = next((each for each in source.audio if stream is None or each.index == stream), None)
    return (
        *_damage(source, measurements, policy),
        *_picture(source, measurements, policy),
        *(_sound(source, audio, measurements, policy) if audio else ()),
    )


def missing_pictures(source: Source, pictures: int, policy: QualityPolicy) -> tuple[Finding, ...]:
    """Compare the number of pictures that a whole decode gave with what the packet scan promised."""
    promised = source.video.frames
    least = promised - max(promised // 100, EDGE_PICTURES)
    if pictures >= least:
        return ()
    return tuple(
        _found(
            policy.decode_errors,
            "missing-pictures",
            f"only {pictures} of {promised} pictures can be decoded",
            stream=source.video.index,
            measured=f"{pictures} pictures",
            limit=f"{least} pictures",
            advice="copy the file again, or ask for a new one",
        )
    )


def _found(
    check: Check,
    id_: str,
    message: str,
    *,
    measured: str,
    limit: str,
    advice: str,
    stream: int | None = None,
    span: Stretch | None = None,
) -> Iterator[Finding]:
    if check.severity == "off":
        return
    severity: Severity = check.severity
    yield Finding(
        id=id_,
        severity=severity,
        message=message,
        stream=stream,
        start=span.start if span else None,
        end=span.end if span else None,
        measured=measured,
        limit=limit,
        advice=advice,
    )


def _truncated(source: Source, policy: QualityPolicy) -> Iterator[Finding]:
    """Compare what the container and each stream claim with where their packets end; the worst is told."""
    check = policy.truncated
    video = source.video
    if source.claimed_size is not None and source.claimed_size > source.size + 1:  # one byte of padding is often left out
        yield from _found(
            check,
            "truncated",
            f"the container claims {source.claimed_size} bytes, and the file has {source.size}: it is cut off",
            span=_lost(video.duration, video.declared_duration or source.declared_duration),
            measured=f"{source.size} bytes",
            limit=f"{source.claimed_size} bytes",
            advice="copy the file again from its origin and compare the sizes",
        )
        return
    streams: list[VideoStream | AudioStream] = [video, *source.audio]
    claims: list[tuple[Fraction, Fraction, Fraction, str, int | None]] = []
    if source.declared_duration is not None and source.scanned_duration is not None:
        end = max(stream.start + stream.duration for stream in streams) - video.start
        claims.append((source.declared_duration, source.scanned_duration, end, "the container claims", None))
    for stream in streams:
        if stream.declared_duration is not None:
            end = stream.start + stream.duration - video.start
            claims.append((stream.declared_duration, stream.duration, end, f"stream {stream.index} claims", stream.index))
    tolerance = Fraction(str(check.tolerance))
    short = [each for each in claims if each[0] - each[1] > tolerance + each[0] / 100]
    for claimed, scanned, end, who, index in sorted(short, key=lambda each: each[0] - each[1], reverse=True)[:1]:
        yield from _found(
            check,
            "truncated",
            f"{who} {_show(claimed)}, and the packets end after {_show(scanned)}: the file is cut off",
            stream=index,
            span=Stretch(start=end, end=end + claimed - scanned),
            measured=_show(scanned),
            limit=_show(claimed - tolerance - claimed / 100),
            advice="copy the file again from its origin and compare the sizes",
        )


def _lost(end: Fraction, claimed: Fraction | None) -> Stretch:
    """Return the stretch that is missing at the end; without a claim, nobody knows how long it is."""
    return Stretch(start=end, end=max(end, claimed or end))


def _read_error(source: Source, policy: QualityPolicy) -> Iterator[Finding]:
    if source.read_error:
        yield from _found(
            policy.read_error,
            "read-error",
            source.read_error,
            span=_lost(source.video.duration, source.video.declared_duration or source.declared_duration),
            measured=f"stopped after {_show(source.video.duration)}",
            limit="read to the end",
            advice="copy the file again from its origin; if that one is damaged too, remux it",
        )


def _corrupt(source: Source, policy: QualityPolicy) -> Iterator[Finding]:
    check = policy.corrupt_packets
    streams: list[VideoStream | AudioStream] = [source.video, *source.audio]
    for stream in streams:
        for span in _where(stream.corrupt_packets, stream.corrupt_at, check.most):
            yield from _found(
                check,
                "corrupt-packets",
                f"packets of stream {stream.index} are marked as damaged{_when(span)} ({stream.corrupt_packets} in all)",
                stream=stream.index,
                span=span,
                measured=f"{stream.corrupt_packets} packets",
                limit=f"{check.most:g} packets",
                advice="look at the picture there; record or copy it again if it shows",
            )


def _where(count: int, stretches: tuple[Stretch, ...], most: float) -> Iterator[Stretch | None]:
    """Yield where to tell a finding of ``count`` packets: each stretch, or nowhere in particular if no time is known."""
    if count > most:
        yield from stretches or (None,)


def _when(span: Stretch | None) -> str:
    if span is None:
        return ""
    return f" from {_clock(span.start)} to {_clock(span.end)}" if span.end > span.start else f" at {_clock(span.start)}"


def _sound_facts(source: Source, policy: QualityPolicy) -> Iterator[Finding]:
    video, check = source.video, policy.duration_mismatch
    if not source.audio:
        yield from _found(
            policy.no_audio,
            "no-audio",
            "there is no audio stream",
            span=Stretch(start=Fraction(0), end=video.duration),
            measured="0 audio streams",
            limit="1 audio stream",
            advice="check that the sound was not lost in the export",
        )
    most = Fraction(str(check.most))
    for audio in source.audio:
        end = audio.start + audio.duration - video.start
        apart = end - video.duration
        if abs(apart) > most:
            yield from _found(
                check,
                "duration-mismatch",
                f"audio stream {audio.index} ends {_show(abs(apart))} {'after' if apart > 0 else 'before'} the picture",
                stream=audio.index,
                span=Stretch(start=min(end, video.duration), end=max(end, video.duration)),
                measured=_show(apart),
                limit=_show(most),
                advice="sound past the picture is cut, missing sound becomes silence; check that nothing was lost",
            )
        if abs(audio.offset) > most:
            yield from _found(
                check,
                "start-mismatch",
                f"audio stream {audio.index} begins {_show(abs(audio.offset))} {'after' if audio.offset > 0 else 'before'} the picture",
                stream=audio.index,
                span=Stretch(start=min(audio.offset, Fraction(0)), end=max(audio.offset, Fraction(0))),
                measured=_show(audio.offset),
                limit=_show(most),
                advice="the title begins with the first whole picture; check that this is where it should",
            )


def changing_sound(source: Source, policy: QualityPolicy) -> Iterator[Finding]:
    """Tell where sound becomes another one."""
    check = policy.changing_sound
    for audio in source.audio:
        if len(audio.changes) <= check.most:
            continue
        ends = [change.at for change in audio.changes[1:]] + [audio.start + audio.duration - source.video.start]
        for change, end in zip(audio.changes, ends, strict=True):
            yield from _found(
                check,
                "changing-sound",
                f"the sound becomes {change.after} from {_clock(change.at)} to {_clock(max(change.at, end))}",
                stream=audio.index,
                span=Stretch(start=change.at, end=max(change.at, end)),
                measured=f"{change.before} -> {change.after}",
                limit=f"{check.most:g} changes",
                advice="all of it becomes one layout and sample rate; check that the change was meant",
            )


def _timestamps(source: Source, policy: QualityPolicy) -> Iterator[Finding]:
    video = source.video
    for span in _where(video.duplicate_timestamps, video.duplicate_at, policy.duplicate_timestamps.most):
        yield from _found(
            policy.duplicate_timestamps,
            "duplicate-timestamps",
            f"pictures have the time of another one{_when(span)} ({video.duplicate_timestamps} in all)",
            stream=video.index,
            span=span,
            measured=f"{video.duplicate_timestamps} pictures",
            limit=f"{policy.duplicate_timestamps.most:g} pictures",
            advice="one of each is shown; export the file again if the movement stutters",
        )
    broken = video.missing_timestamps + video.backward_timestamps
    for span in _where(broken, video.broken_at, policy.broken_timestamps.most):
        yield from _found(
            policy.broken_timestamps,
            "broken-timestamps",
            f"pictures have no time ({video.missing_timestamps} in all), or decoding times go backwards "
            f"({video.backward_timestamps}){_when(span)}",
            stream=video.index,
            span=span,
            measured=f"{broken} pictures",
            limit=f"{policy.broken_timestamps.most:g} pictures",
            advice="remux the file, for example into Matroska, and check that sound and picture stay together",
        )
    if video.longest_gap > Fraction(str(policy.gaps.longest)):
        yield from _found(
            policy.gaps,
            "timestamp-gap",
            f"a picture stands for {_show(video.longest_gap)}",
            stream=video.index,
            span=Stretch(start=video.longest_gap_at, end=video.longest_gap_at + video.longest_gap),
            measured=_show(video.longest_gap),
            limit=f"{policy.gaps.longest:g} s",
            advice="pictures may be lost there; a slide show or screen recording may be meant so",
        )


def _size(source: Source, policy: QualityPolicy) -> Iterator[Finding]:
    video = source.video
    shorter = min(video.display_size)
    if shorter < Fraction(str(policy.resolution.lowest)):
        yield from _found(
            policy.resolution,
            "low-resolution",
            f"the picture is only {round(video.display_size[0])}x{round(video.display_size[1])}",
            stream=video.index,
            measured=f"{round(shorter)} pixels",
            limit=f"{policy.resolution.lowest:g} pixels",
            advice="ask for the original; nothing is scaled up",
        )
    if video.bit_rate is not None and video.frames > 1:
        density = video.bit_rate / (video.width * video.height * video.frame_rate)
        if density < Fraction(str(policy.bit_rate.lowest)):
            yield from _found(
                policy.bit_rate,
                "low-bit-rate",
                f"the video has only {video.bit_rate // 1000} kb/s for {video.width}x{video.height}",
                stream=video.index,
                measured=f"{float(density):.4f} bit/pixel",
                limit=f"{policy.bit_rate.lowest:g} bit/pixel",
                advice="ask for a less compressed original",
            )


def _fields(source: Source, policy: QualityPolicy) -> Iterator[Finding]:
    """Tell of interlaced content that the file does not own up to, and that a sample of the pictures shows."""
    share = source.video.interlaced_share
    if source.video.measured_fields == "interlaced" and not source.video.flagged_interlaced and share >= policy.interlaced.share:
        yield from _found(
            policy.interlaced,
            "interlaced-content",
            "the picture is interlaced although the file says that it is progressive",
            stream=source.video.index,
            measured=f"{float(share):.0%} of the pictures in a sample",
            limit=f"{policy.interlaced.share:.0%}",
            advice="vidpipe deinterlaces it; set the field order in the file for other programs",
        )


def _damage(source: Source, measurements: Measurements, policy: QualityPolicy) -> Iterator[Finding]:
    check = policy.decode_errors
    total = sum((each.end - each.start for each in measurements.damaged), Fraction(0))
    if not measurements.damaged:
        return
    # few errors inform whatever the policy makes of many
    judged = check if total > Fraction(str(check.most)) or check.severity == "off" else Check(severity="warning")
    for span in measurements.damaged[:MOST_DAMAGE]:
        yield from _found(
            judged,
            "decode-errors",
            f"picture or sound cannot be decoded cleanly from {_clock(span.start)} to {_clock(span.end)} ({_show(total)} in all)",
            span=span,
            measured=_show(total),
            limit=f"{check.most:g} s",
            advice="look at it there; copy the file again or ask for a new one",
        )


def _picture(source: Source, measurements: Measurements, policy: QualityPolicy) -> Iterator[Finding]:
    index = source.video.index
    for span in longer(measurements.black, policy.black.longest):
        yield from _found(
            policy.black,
            "black-video",
            f"the picture is black from {_clock(span.start)} to {_clock(span.end)}",
            stream=index,
            span=span,
            measured=_show(span.end - span.start),
            limit=f"{policy.black.longest:g} s",
            advice="check that nothing is missing there",
        )
    for span in longer(measurements.frozen, policy.frozen.longest):
        if any(black.start <= span.start + 1 and span.end <= black.end + 1 for black in measurements.black):
            continue  # black does not move; once is enough
        yield from _found(
            policy.frozen,
            "frozen-video",
            f"the picture stands still from {_clock(span.start)} to {_clock(span.end)}",
            stream=index,
            span=span,
            measured=_show(span.end - span.start),
            limit=f"{policy.frozen.longest:g} s",
            advice="check that the recording did not hang; a title card may be meant so",
        )
    share = measurements.interlacing.share
    if share >= policy.interlaced.share and not source.video.interlaced:
        yield from _found(
            policy.interlaced,
            "interlaced-content",
            "the picture is interlaced although the file says that it is progressive",
            stream=index,
            measured=f"{share:.0%} of the pictures",
            limit=f"{policy.interlaced.share:.0%}",
            advice="deinterlace it, or set the right field order in the file so that vidpipe does",
        )


def _sound(source: Source, audio: AudioStream, measurements: Measurements, policy: QualityPolicy) -> Iterator[Finding]:
    for span in longer(measurements.silence, policy.silence.longest):
        yield from _found(
            policy.silence,
            "silence",
            f"there is no sound from {_clock(span.start)} to {_clock(span.end)}",
            stream=audio.index,
            span=span,
            measured=_show(span.end - span.start),
            limit=f"{policy.silence.longest:g} s",
            advice="check that the sound was not lost there",
        )
    loud, bounds = measurements.loudness, policy.loudness
    if loud is not None and not bounds.lowest <= loud <= bounds.highest:
        yield from _found(
            bounds,
            "loudness",
            f"the sound is too {'soft' if loud < bounds.lowest else 'loud'}",
            stream=audio.index,
            measured=f"{loud:.1f} LUFS",
            limit=f"{bounds.lowest:g} to {bounds.highest:g} LUFS",
            advice="normalise the mix; vidpipe does not change its level",
        )
    peak = measurements.true_peak
    if peak is not None and peak > policy.true_peak.highest:
        yield from _found(
            policy.true_peak,
            "true-peak",
            "the sound clips",
            stream=audio.index,
            span=Stretch(start=measurements.true_peak_at, end=measurements.true_peak_at) if measurements.true_peak_at is not None else None,
            measured=f"{peak:.1f} dBTP",
            limit=f"{policy.true_peak.highest:g} dBTP",
            advice="limit the mix to -1 dBTP",
        )
    peaks, deaf = measurements.channel_peaks, policy.dead_channel.peak
    # More channels than it has were made of it because it changed on the way; which of them came from the file is not known.
    if 1 < len(peaks) <= audio.widest.channels and max(peaks) > deaf:
        for number, level in enumerate(peaks, start=1):
            if level <= deaf and number != _lfe(audio):
                yield from _found(
                    policy.dead_channel,
                    "dead-channel",
                    f"channel {number} of {len(peaks)} has no sound",
                    stream=audio.index,
                    measured=f"{level:.0f} dBFS" if level > -200 else "digital silence",
                    limit=f"{deaf:g} dBFS",
                    advice="check the cable, the export and the channel assignment; mono belongs on both channels",
                )


def _lfe(audio: AudioStream) -> int | None:
    """Return the number of the low-frequency channel, the fourth of FFmpeg's x.1 layouts; it is often silent."""
    if audio.widest.layout == "2.1":
        return 3
    return 4 if ".1" in audio.widest.layout and audio.widest.channels >= 4 else None


def _show(seconds: Fraction) -> str:
    return f"{float(seconds):.3f} s"


def _clock(seconds: Fraction) -> str:
    whole, milliseconds = divmod(abs(round(seconds * 1000)), 1000)
    return f"{'-' if seconds < 0 else ''}{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}.{milliseconds:03}"
