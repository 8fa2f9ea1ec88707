"""Check what the probe found, without decoding: Source + QualityPolicy -> findings."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from vidpipe.diagnostics import Diagnostic
from vidpipe.source.facts import LEAST_EARLY, AudioStream, Source, Stretch, VideoStream
from vidpipe.source.findings.measured import missing_pictures
from vidpipe.source.findings.wording import found, show, timecode
from vidpipe.source.policy import QualityPolicy


def fact_findings(source: Source, policy: QualityPolicy) -> tuple[Diagnostic, ...]:
    """Return what the probe alone shows; nothing is decoded for it."""
    return (
        *_truncated(source, policy),
        *_read_error(source, policy),
        *_corrupt(source, policy),
        *_audio_facts(source, policy),
        *_early(source, policy),
        *_discarded(source, policy),
        *_undecodable(source, policy),
        *changing_audio(source, policy),
        *_captions(source, policy),
        *_timestamps(source, policy),
        *_implausible(source, policy),
        *_size(source, policy),
        *_fields(source, policy),
    )


def _truncated(source: Source, policy: QualityPolicy) -> Iterator[Diagnostic]:
    """Compare what the container and each stream claim with where their packets end; the worst is reported."""
    check = policy.truncated
    video = source.video
    if source.claimed_size is not None and source.claimed_size > source.size + 1:  # one byte of padding is often left out
        yield from found(
            policy,
            "truncated",
            f"the container claims {source.claimed_size} bytes, and the file has {source.size}: it is cut off",
            span=_lost(source),
            measured=f"{source.size} bytes",
            limit=f"{source.claimed_size} bytes",
            advice="copy the file again from its origin and compare the sizes",
        )
        return
    streams: list[VideoStream | AudioStream] = [video, *_filled(source)]
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
        yield from found(
            policy,
            "truncated",
            f"{who} {show(claimed)}, and the packets end after {show(scanned)}: the file is cut off",
            stream=index,
            span=source.in_file(end, end + claimed - scanned),
            measured=show(scanned),
            limit=show(claimed - tolerance - claimed / 100),
            advice="copy the file again from its origin and compare the sizes",
        )


def _filled(source: Source) -> list[AudioStream]:
    """Return the audio streams with anything in them: transport streams announce many that are empty; the plan leaves those out."""
    return [audio for audio in source.audio if audio.packets]


def _lost(source: Source) -> Stretch:
    """Return the stretch that is missing at the end; without a claim, nobody knows how long it is."""
    end = source.video.duration
    return source.in_file(end, max(end, source.video.declared_duration or source.declared_duration or end))


def _read_error(source: Source, policy: QualityPolicy) -> Iterator[Diagnostic]:
    if source.read_error:
        yield from found(
            policy,
            "read-error",
            source.read_error,
            span=_lost(source),
            measured=f"stopped after {show(source.video.duration)}",
            limit="read to the end",
            advice="copy the file again from its origin; if that one is damaged too, remux it",
        )


def _corrupt(source: Source, policy: QualityPolicy) -> Iterator[Diagnostic]:
    check = policy.corrupt_packets
    streams: list[VideoStream | AudioStream] = [source.video, *source.audio]
    for stream in streams:
        for span in _where(source, stream.corrupt_packets, stream.corrupt_at, check.most):
            yield from found(
                policy,
                "corrupt-packets",
                f"packets of stream {stream.index} are marked as damaged{_when(span)} ({stream.corrupt_packets} in all)",
                stream=stream.index,
                span=span,
                measured=f"{stream.corrupt_packets} packets",
                limit=f"{check.most:g} packets",
                advice="look at the picture there; record or copy it again if it shows",
            )


def _where(source: Source, count: int, stretches: tuple[Stretch, ...], most: float) -> Iterator[Stretch | None]:
    """Yield where to report a finding of ``count`` packets: each stretch, or nowhere in particular if no time is known."""
    if count > most:
        yield from (source.in_file(each.start, each.end) for each in stretches)
        yield from () if stretches else (None,)


def _when(span: Stretch | None) -> str:
    if span is None:
        return ""
    return f" from {timecode(span.start)} to {timecode(span.end)}" if span.end > span.start else f" at {timecode(span.start)}"


def _audio_facts(source: Source, policy: QualityPolicy) -> Iterator[Diagnostic]:
    video = source.video
    if not source.audio:
        yield from found(
            policy,
            "no-audio",
            "there is no audio stream",
            span=source.in_file(Fraction(0), video.duration),
            measured="0 audio streams",
            limit="1 audio stream",
            advice="check that the audio was not lost in the export",
        )
    latest, apart_most = Fraction(str(policy.start_mismatch.most)), Fraction(str(policy.duration_mismatch.most))
    for audio in _filled(source):
        end = audio.start + audio.duration - video.start
        apart = end - video.duration
        if abs(apart) > apart_most:
            yield from found(
                policy,
                "duration-mismatch",
                f"audio stream {audio.index} ends {show(abs(apart))} {'after' if apart > 0 else 'before'} the picture",
                stream=audio.index,
                span=source.in_file(min(end, video.duration), max(end, video.duration)),
                measured=show(abs(apart)),
                limit=show(apart_most),
                advice="audio past the picture is cut, missing audio becomes silence; check that nothing was lost",
            )
        if abs(audio.offset) > latest:
            yield from found(
                policy,
                "start-mismatch",
                f"audio stream {audio.index} begins {show(abs(audio.offset))} {'after' if audio.offset > 0 else 'before'} the picture",
                stream=audio.index,
                span=source.in_file(min(audio.offset, Fraction(0)), max(audio.offset, Fraction(0))),
                measured=show(abs(audio.offset)),
                limit=show(latest),
                advice="the title begins with the first whole picture; check that this is where it should",
            )


def _early(source: Source, policy: QualityPolicy) -> Iterator[Diagnostic]:
    """Report audio before the first picture that is cut, where it is too little to be a start-mismatch."""
    start = policy.start_mismatch
    for audio in _filled(source):
        is_said = start.severity != "off" and audio.cut > Fraction(str(start.most))
        if audio.cut and not is_said and audio.offset + audio.duration > 0:
            yield from found(
                policy,
                "early-audio",
                f"audio stream {audio.index} starts {show(audio.cut)} before the video: that much of it is cut",
                stream=audio.index,
                span=source.in_file(audio.offset, Fraction(0)),
                measured=show(audio.cut),
                limit=show(LEAST_EARLY),
                advice="the title begins with the first whole picture; start the export there if nothing may be missed",
            )


def _discarded(source: Source, policy: QualityPolicy) -> Iterator[Diagnostic]:
    """Compare how long audio is with what of it falls into the time of the picture. What comes before the picture is cut anyway."""
    check, picture = policy.discarded_audio, source.video.duration
    share = Fraction(str(check.share))
    kept = {audio.index: min(audio.offset + audio.duration, picture) - max(audio.offset, Fraction(0)) for audio in source.audio}
    for audio in _filled(source):
        whole = max(audio.packets_duration, audio.duration)
        fits = not audio.packets_duration or min(audio.packets_duration, audio.duration) >= share * whole
        if kept[audio.index] <= 0 and (fits or max(kept.values()) > 0):
            yield from _outside(audio, source, policy)
            continue
        early = max(-audio.offset, Fraction(0))
        if not audio.packets_duration or kept[audio.index] >= share * (whole - early):
            continue
        left = max(kept[audio.index], Fraction(0)) / whole
        yield from found(
            policy,
            "discarded-audio",
            f"only {float(left):.0%} of audio stream {audio.index} falls into the time of the picture: "
            f"it is {show(audio.packets_duration)} long, its times last {show(audio.duration)}, the picture {show(picture)}",
            stream=audio.index,
            span=source.in_file(Fraction(0), picture),
            measured=f"{float(left):.0%} kept",
            limit=f"{check.share:.0%} kept",
            advice="if the audio plays too fast, too slow or chopped, its times are wrong: number them anew with "
            "ffmpeg -i FILE -c:v copy -c:a flac -af asetpts=N/SR/TB FIXED.mkv",
        )


def _outside(audio: AudioStream, source: Source, policy: QualityPolicy) -> Iterator[Diagnostic]:
    """Say of audio that is over before the picture begins, or begins after its end, that the plan leaves it out."""
    end, picture = audio.offset + audio.duration, source.video.duration
    if end <= 0:
        where = f"before the picture: it ends {show(-end)} before the first whole one"
        advice = "a recording that begins between two key frames has no picture until the second: export it with more after that"
    else:
        where = f"after the picture: it begins {show(audio.offset - picture)} after the last one"
        advice = "check whether picture is missing at the end, or the audio has the times of another recording"
    yield from found(
        policy,
        "audio-outside-picture",
        f"all of audio stream {audio.index} lies {where}; it is left out",
        stream=audio.index,
        span=source.in_file(audio.offset, end),
        measured=f"{show(Fraction(0))} of {show(audio.duration)}",
        limit="some of it while the picture runs",
        advice=advice,
    )


def _undecodable(source: Source, policy: QualityPolicy) -> Iterator[Diagnostic]:
    """Report audio without a decoder: the plan leaves it out, but a title should not lose all that it has to be heard."""
    good = any(audio.packets and audio.decodable for audio in source.audio)
    for audio in _filled(source):
        if not audio.decodable:
            yield from found(
                policy,
                "undecodable-audio",
                f"audio stream {audio.index} cannot be decoded: its codec ({audio.codec}) is not known, or it does not say what it holds",
                stream=audio.index,
                measured=f"{audio.channels} channels, {audio.sample_rate} Hz",
                limit="a known codec, channels and sample rate",
                advice="export the audio as AAC, AC-3 or PCM",
                harmless=good,
            )


def changing_audio(source: Source, policy: QualityPolicy) -> Iterator[Diagnostic]:
    """Report where the audio format changes."""
    check = policy.changing_audio
    for audio in source.audio:
        if len(audio.changes) <= check.most:
            continue
        ends = [change.at for change in audio.changes[1:]] + [audio.start + audio.duration - source.video.start]
        for change, end in zip(audio.changes, ends, strict=True):
            span = source.in_file(change.at, max(change.at, end))
            yield from found(
                policy,
                "changing-audio",
                f"the audio format changes to {change.after} from {timecode(span.start)} to {timecode(span.end)}",
                stream=audio.index,
                span=span,
                measured=f"{change.before} -> {change.after}",
                limit=f"{check.most:g} changes",
                advice="all of it becomes one layout and sample rate; check that the change was meant",
            )


def _captions(source: Source, policy: QualityPolicy) -> Iterator[Diagnostic]:
    """Say which closed captions are lost. Broadcasters send the words of the first services as CEA-608 too, in the same order."""
    channels = [stream for stream in source.subtitles if (stream.channel or "").startswith("CC")]
    services = [stream for stream in source.subtitles if stream.codec == "eia_708"]
    digital = "of CEA-708 have no counterpart in CEA-608, and only that can be kept"
    disordered = "cannot be put in order: the container does not say when the pictures are shown that carry them"
    for lost, reason in ((services[len(channels) :], digital), ([stream for stream in channels if not stream.text], disordered)):
        if lost:
            yield from found(
                policy,
                "captions-left-out",
                f"closed captions are lost: {', '.join(str(stream.channel) for stream in lost)} {reason}",
                stream=lost[0].index,
                measured=f"{len(lost)} lost",
                limit="0 lost",
                advice="add the words to the source as a text subtitle track",
            )


def _timestamps(source: Source, policy: QualityPolicy) -> Iterator[Diagnostic]:
    video = source.video
    for span in _where(source, video.duplicate_timestamps, video.duplicate_at, policy.duplicate_timestamps.most):
        yield from found(
            policy,
            "duplicate-timestamps",
            f"pictures have the time of another one{_when(span)} ({video.duplicate_timestamps} in all)",
            stream=video.index,
            span=span,
            measured=f"{video.duplicate_timestamps} pictures",
            limit=f"{policy.duplicate_timestamps.most:g} pictures",
            advice="one of each is shown; export the file again if the movement stutters",
        )
    broken = video.missing_timestamps + video.backward_timestamps
    for span in _where(source, broken, video.broken_at, policy.broken_timestamps.most):
        yield from found(
            policy,
            "broken-timestamps",
            f"pictures have no time ({video.missing_timestamps} in all), or decoding times go backwards "
            f"({video.backward_timestamps}){_when(span)}",
            stream=video.index,
            span=span,
            measured=f"{broken} pictures",
            limit=f"{policy.broken_timestamps.most:g} pictures",
            advice="remux the file, for example into Matroska, and check that audio and picture stay in sync",
        )
    jumps = max((len(table) for table in source.shifts.values()), default=0)
    if jumps:
        worst = max((shift for table in source.shifts.values() for shift in table), key=lambda shift: abs(shift.seconds))
        yield from found(
            policy,
            "clock-jump",
            f"the clock of the file jumps {'once' if jumps == 1 else f'{jumps} times'}: it was joined of several recordings, or set anew",
            stream=video.index,
            measured=show(-worst.seconds),
            limit=show(Fraction(0)),
            advice="its time line was made continuous; check that nothing is missing there",
        )
    if video.longest_gap > Fraction(str(policy.timestamp_gap.longest)):
        yield from found(
            policy,
            "timestamp-gap",
            f"a picture stands for {show(video.longest_gap)}",
            stream=video.index,
            span=source.in_file(video.longest_gap_at, video.longest_gap_at + video.longest_gap),
            measured=show(video.longest_gap),
            limit=f"{policy.timestamp_gap.longest:g} s",
            advice="pictures may be lost there; a slide show or screen recording may be meant so",
        )


def _implausible(source: Source, policy: QualityPolicy) -> Iterator[Diagnostic]:
    """Doubt times that the file cannot fill. Nobody has to decode, or encode, hours of picture to see that 28 kB do not hold them."""
    video = source.video
    if video.packets is not None:
        yield from missing_pictures(source, video.packets, policy)
    rate = source.size * 8 / video.duration if video.duration else Fraction(0)
    if video.frames > 1 and rate < Fraction(str(policy.stretched_time.lowest)):
        yield from found(
            policy,
            "stretched-time",
            f"{source.size} bytes claim to last {timecode(video.duration)}: its times are damaged, or hardly anything is in it",
            stream=video.index,
            span=source.in_file(video.longest_gap_at, video.longest_gap_at + video.longest_gap),
            measured=f"{float(rate):.0f} bit/s",
            limit=f"{policy.stretched_time.lowest:g} bit/s",
            advice="remux it with new times, or ask for a new copy; if it is meant so, lower the limit",
        )


def _size(source: Source, policy: QualityPolicy) -> Iterator[Diagnostic]:
    video = source.video
    shorter = min(video.display_size)
    if shorter < Fraction(str(policy.low_resolution.lowest)):
        yield from found(
            policy,
            "low-resolution",
            f"the picture is only {round(video.display_size[0])}x{round(video.display_size[1])}",
            stream=video.index,
            measured=f"{round(shorter)} pixels",
            limit=f"{policy.low_resolution.lowest:g} pixels",
            advice="ask for the original; nothing is scaled up",
        )
    if video.bit_rate is not None and video.frames > 1:
        density = video.bit_rate / (video.width * video.height * video.frame_rate)
        if density < Fraction(str(policy.low_bit_rate.lowest)):
            yield from found(
                policy,
                "low-bit-rate",
                f"the video has only {video.bit_rate // 1000} kb/s for {video.width}x{video.height}",
                stream=video.index,
                measured=f"{float(density):.4f} bit/pixel",
                limit=f"{policy.low_bit_rate.lowest:g} bit/pixel",
                advice="ask for a less compressed original",
            )


def _fields(source: Source, policy: QualityPolicy) -> Iterator[Diagnostic]:
    """Report interlaced content that the file does not flag, and that a sample of the pictures shows."""
    share = source.video.interlaced_share
    if source.video.measured_fields == "interlaced" and not source.video.flagged_interlaced and share >= policy.interlaced_content.share:
        yield from found(
            policy,
            "interlaced-content",
            "the picture is interlaced although the file says that it is progressive",
            stream=source.video.index,
            measured=f"{float(share):.0%} of the pictures in a sample",
            limit=f"{policy.interlaced_content.share:.0%}",
            advice="vidpipe deinterlaces it; set the field order in the file for other programs",
        )
