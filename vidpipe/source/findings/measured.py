"""Check what a decode showed: Source + Measurements + QualityPolicy -> findings."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from vidpipe.diagnostics import Diagnostic
from vidpipe.source.facts import AudioStream, Source, Stretch
from vidpipe.source.findings.wording import found, show, timecode
from vidpipe.source.policy import QualityPolicy
from vidpipe.source.quality import Measurements, longer

EDGE_PICTURES = 12  # a recording that was cut anywhere ends, and in a transport stream begins, with pictures that lack their references
MOST_DAMAGE = 100  # stretches that are reported


def findings(source: Source, measurements: Measurements, policy: QualityPolicy, *, stream: int | None = None) -> tuple[Diagnostic, ...]:
    """Return what a decode showed. stream: index of the audio stream that was measured; None is the first one."""
    audio = next((each for each in source.audio if stream is None or each.index == stream), None)
    measurements = measurements.moved(source.video.lead_in)
    return (
        *_damage(source, measurements, policy),
        *_picture(source, measurements, policy),
        *(_audio(audio, measurements, policy) if audio else ()),
    )


def audio_findings(source: Source, audio: AudioStream, measurements: Measurements, policy: QualityPolicy) -> tuple[Diagnostic, ...]:
    """Return what the decode of an audio stream of a source showed."""
    return tuple(_audio(audio, measurements.moved(source.video.lead_in), policy))


def missing_pictures(source: Source, pictures: int, policy: QualityPolicy) -> tuple[Diagnostic, ...]:
    """Compare the number of pictures with what the packet scan promised. pictures: that a whole decode gave, or can give at most."""
    promised = source.video.frames
    least = promised - max(promised // 100, EDGE_PICTURES)
    if pictures >= least:
        return ()
    return tuple(
        found(
            policy,
            "missing-pictures",
            f"only {pictures} of {promised} pictures can be decoded",
            stream=source.video.index,
            measured=f"{pictures} pictures",
            limit=f"{least} pictures",
            advice="copy the file again, or ask for a new one",
        )
    )


def _damage(source: Source, measurements: Measurements, policy: QualityPolicy) -> Iterator[Diagnostic]:
    check = policy.decode_errors
    total = sum((each.end - each.start for each in measurements.damaged), Fraction(0))
    if not measurements.damaged:
        return
    for span in measurements.damaged[:MOST_DAMAGE]:
        yield from found(
            policy,
            "decode-errors",
            f"picture or audio cannot be decoded cleanly from {timecode(span.start)} to {timecode(span.end)} ({show(total)} in all)",
            span=span,
            measured=show(total),
            limit=f"{check.most:g} s",
            advice="look at it there; copy the file again or ask for a new one",
            harmless=total <= Fraction(str(check.most)),
        )


def _picture(source: Source, measurements: Measurements, policy: QualityPolicy) -> Iterator[Diagnostic]:
    index = source.video.index
    for span in longer(measurements.black, policy.black_video.longest):
        yield from found(
            policy,
            "black-video",
            f"the picture is black from {timecode(span.start)} to {timecode(span.end)}",
            stream=index,
            span=span,
            measured=show(span.end - span.start),
            limit=f"{policy.black_video.longest:g} s",
            advice="check that nothing is missing there",
        )
    for span in longer(measurements.frozen, policy.frozen_video.longest):
        if any(black.start <= span.start + 1 and span.end <= black.end + 1 for black in measurements.black):
            continue  # black does not move; once is enough
        yield from found(
            policy,
            "frozen-video",
            f"the picture stands still from {timecode(span.start)} to {timecode(span.end)}",
            stream=index,
            span=span,
            measured=show(span.end - span.start),
            limit=f"{policy.frozen_video.longest:g} s",
            advice="check that the recording did not hang; a title card may be meant so",
        )
    share = measurements.interlacing.share
    if share >= policy.interlaced_content.share and not source.video.interlaced:
        yield from found(
            policy,
            "interlaced-content",
            "the picture is interlaced although the file says that it is progressive",
            stream=index,
            measured=f"{share:.0%} of the pictures",
            limit=f"{policy.interlaced_content.share:.0%}",
            advice="deinterlace it, or set the right field order in the file so that vidpipe does",
        )


def _audio(audio: AudioStream, measurements: Measurements, policy: QualityPolicy) -> Iterator[Diagnostic]:
    for span in longer(measurements.silence, policy.silence.longest):
        yield from found(
            policy,
            "silence",
            f"the audio is silent from {timecode(span.start)} to {timecode(span.end)}",
            stream=audio.index,
            span=span,
            measured=show(span.end - span.start),
            limit=f"{policy.silence.longest:g} s",
            advice="check that the audio was not lost there",
        )
    loud, bounds = measurements.loudness, policy.loudness
    if loud is not None and not bounds.lowest <= loud <= bounds.highest:
        yield from found(
            policy,
            "loudness",
            f"the audio is too {'soft' if loud < bounds.lowest else 'loud'}",
            stream=audio.index,
            measured=f"{loud:.1f} LUFS",
            limit=f"{bounds.lowest:g} to {bounds.highest:g} LUFS",
            advice="normalise the mix; vidpipe does not change its level",
        )
    peak = measurements.true_peak
    if peak is not None and peak > policy.true_peak.highest:
        yield from found(
            policy,
            "true-peak",
            "the audio clips",
            stream=audio.index,
            span=Stretch(start=measurements.true_peak_at, end=measurements.true_peak_at) if measurements.true_peak_at is not None else None,
            measured=f"{peak:.1f} dBTP",
            limit=f"{policy.true_peak.highest:g} dBTP",
            advice="limit the mix to -1 dBTP",
        )
    peaks, deaf = measurements.channel_peaks, policy.dead_channel.peak
    # More channels than it has were made of it because it changed mid-stream; which of them came from the file is not known.
    if 1 < len(peaks) <= audio.widest.channels and max(peaks) > deaf:
        for number, level in enumerate(peaks, start=1):
            if level <= deaf and number != _lfe(audio):
                yield from found(
                    policy,
                    "dead-channel",
                    f"channel {number} of {len(peaks)} is silent",
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
