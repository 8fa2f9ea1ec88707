"""Write the master playlist: the variants, their audio and subtitles, and the rates that were measured.

In:   the tracks of an inventory: what each init section says, and the measured rates of its media playlist.
Out:  the whole text of the playlist.
Wrong: ValueError for tracks that cannot be listed (no rate, two tracks of one kind and name); these are bugs of the caller.

Every rung is a variant with every audio group, as in Apple's examples, so that BANDWIDTH and CODECS are those of what is played.

Where a title has several codecs, each variant has a SCORE: its rank by quality, which its rate alone does not show then.

Order: the first variant is the one a player starts with before it has measured the network. It has stereo; then come the other groups.
With each of them, in each codec family, the first is the one whose average is nearest to 2 Mbit/s (Apple 1.32, HLS-MVP-024), then the
others by rising rate; H.264 before HEVC and AV1.
There is no EXT-X-VERSION: nothing that is written here needs one (HLS-VER-009).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal
from fractions import Fraction

from vidpipe.inventory.measure import Bitrate
from vidpipe.inventory.model import AudioTrack, IFrames, SubtitleTrack, VideoTrack
from vidpipe.inventory.times import whole_seconds
from vidpipe.manifest.grammar import quoted, uri
from vidpipe.manifest.groups import CHARACTERISTICS, AudioGroup, audio_groups, automatic, default_of, language
from vidpipe.manifest.writer import IFrameTag, KeyTag, Media, VariantTag, master_text
from vidpipe.protect.key_uses import video_class

SUBTITLE_GROUP = "subtitles"
HEARING_IMPAIRED = "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound"
"""CHARACTERISTICS of subtitles that include non-speech sound (SDH) (HLS-REND-014)."""
DEFAULT_AVERAGE = 2_000_000
"""Bits a second that a first variant should have on average, HLS-MVP-024."""

_FAMILIES = ("avc1", "hvc1", "av01")
_WORTH = (Fraction(1), Fraction(5, 3), Fraction(2))
"""How many bits of H.264 look as good as one of each family, roughly; only the order of two rungs of one size hangs on it."""


def write_master(
    video: Sequence[VideoTrack],
    audio: Sequence[AudioTrack] = (),
    subtitles: Sequence[SubtitleTrack] = (),
    session_keys: Sequence[KeyTag] = (),
    drm_keys: Collection[str] = (),
) -> str:
    """Return the text of the master playlist. session_keys: to name in it, each once.  drm_keys: ids of keys that a DRM system licenses.

    A variant plays with every rendition of its audio group and every subtitle rendition, so BANDWIDTH is its own peak and those of the
    heaviest of each group: no combination exceeds it (HLS-BW-003, -004), AVERAGE-BANDWIDTH likewise, and CODECS lists the whole audio
    group (HLS-CODEC-005). WebVTT needs no entry in CODECS, and other packagers write none.
    """
    if not video:
        raise ValueError("a master playlist needs a variant")
    _check_names([track.name for track in audio], unique=False)  # the renditions of one track share its name
    groups = audio_groups(audio)
    shown = _subtitles(subtitles)
    ranges = any(track.facts.video_range not in (None, "SDR") for track in video)  # as soon as one is not SDR, all say it (HLS-MVP-007)
    played: list[AudioGroup | None] = [*groups] or [None]
    ranks = scores(video)
    variants = [
        VariantTag(
            uri(track.playlist),
            {**_stream_info(track, group, subtitles, ranges), "hdcp_level": hdcp_level(track, drm_keys)},
            frame_rate(track.facts.frame_rate),
            [*(_group(group) if group else ()), *shown],
            ranks.get(track.id),
        )
        for group in played
        for track in ordered(video)
    ]
    by_themselves = sorted((track for track in video if track.i_frames), key=lambda track: (_family(track), track.bitrate.peak))
    i_frames = [_i_frames(track, track.i_frames, ranges, drm_keys) for track in by_themselves if track.i_frames]
    return master_text([*(member for group in groups for member in _group(group)), *shown], variants, session_keys, i_frames)


def bandwidth(track: VideoTrack, *groups: Sequence[AudioTrack] | Sequence[SubtitleTrack]) -> Bitrate:
    """Return what the variant declares: its own rates and the highest of each group's."""
    return Bitrate(
        peak=track.bitrate.peak + sum(max((member.bitrate.peak for member in group), default=0) for group in groups),
        average=track.bitrate.average + sum(max((member.bitrate.average for member in group), default=0) for group in groups),
    )


def hdcp_level(track: VideoTrack, drm_keys: Collection[str]) -> str | None:
    """Return HDCP-LEVEL: what outputs DRM licenses ask for, so that a player does not choose what it may not show.

    Apple 13.5 and 13.6 (HLS-KEY-017): TYPE-0 for HD, TYPE-1 above. None, and no attribute, where no DRM system has a say.
    """
    if not drm_keys or track.segments[0].key_id not in drm_keys:
        return None
    return {"SD": "NONE", "HD": "TYPE-0", "UHD": "TYPE-1"}[video_class(track.facts.width or 0, track.facts.height or 0)]


def scores(video: Sequence[VideoTrack]) -> dict[str, int]:
    """Return SCORE of each track, 1 for the worst; nothing where all have one codec, since BANDWIDTH says the same then.

    A player chooses the highest that its connection carries: H.265 with fewer bits before H.264 of the same size (rfc8216bis 4.4.6.2,
    all variants have one or none: HLS-MVP-013). hls.js starts with the codec that has the highest.
    """
    if len({_family(track) for track in video}) == 1:
        return {}
    rising = sorted(video, key=lambda track: (_pixels(track), _WORTH[_family(track)] * track.bitrate.average))
    return {track.id: rank for rank, track in enumerate(rising, 1)}


def _pixels(track: VideoTrack) -> int:
    return (track.facts.width or 0) * (track.facts.height or 0)


def ordered(video: Sequence[VideoTrack]) -> list[VideoTrack]:
    """Return the variants of one audio group as they are listed; the reasons stand at the top of this module."""
    rising = sorted(video, key=lambda track: (_family(track), track.bitrate.peak))
    result: list[VideoTrack] = []
    for family in sorted({_family(track) for track in rising}):
        members = [track for track in rising if _family(track) == family]
        first = min(members, key=lambda track: abs(track.bitrate.average - DEFAULT_AVERAGE))
        result += [first, *(track for track in members if track is not first)]
    return result


def _family(track: VideoTrack) -> int:
    return _FAMILIES.index(track.facts.codecs[:4])


def codecs(track: VideoTrack, audio: Sequence[AudioTrack]) -> str:
    """Return CODECS: the video's string, then each different one of the audio group."""
    return ",".join(dict.fromkeys([track.facts.codecs, *(member.facts.codecs for member in audio)]))


def _group(group: AudioGroup) -> list[Media]:
    """Render an audio group: one default, one automatic choice a language (HLS-REND-003 to -006, -009, -010)."""
    chosen = automatic(group)
    return [
        Media(
            type="AUDIO",
            group_id=quoted(group.id),
            name=quoted(track.name),
            language=language(track),
            default="YES" if track is default_of(group) else "NO",
            autoselect="YES" if any(track is other for other in chosen) else "NO",
            characteristics=CHARACTERISTICS.get(track.role),
            channels=str(track.facts.channels),
            uri=uri(track.playlist),
        )
        for track in group.members
    ]


def _subtitles(subtitles: Sequence[SubtitleTrack]) -> list[Media]:
    """Render the subtitle group: at most one default; automatic choices are one a language, and all forced and SDH tracks.

    HLS-REND-004 to -007, -014.
    """
    _check_names([track.name for track in subtitles])
    default = next((track for track in subtitles if track.default), None)
    plain = [track for track in subtitles if not (track.forced or track.hearing_impaired)]
    chosen: dict[str, SubtitleTrack] = {}  # a player may choose by itself: of each language the default, else the first
    for track in [*(track for track in plain if track is default), *plain]:
        chosen.setdefault(_language(track), track)
    return [
        Media(
            type="SUBTITLES",
            group_id=SUBTITLE_GROUP,
            name=quoted(track.name),
            language=_language(track),
            default="YES" if track is default else "NO",
            # HLS-REND-007 and -014 ask for it on every such track, even on a second one that differs in nothing else
            autoselect="NO" if track in plain and track not in chosen.values() else "YES",
            forced="YES" if track.forced else "NO",
            characteristics=HEARING_IMPAIRED if track.hearing_impaired else None,
            uri=uri(track.playlist),
        )
        for track in subtitles
    ]


def _check_names(names: Sequence[str], *, unique: bool = True) -> None:
    written = [quoted(name) for name in dict.fromkeys(names)]  # as the playlist says them, where two may become the same
    if len(set(written)) != len(written) or not all(written) or (unique and len(written) != len(names)):
        raise ValueError(f"names must be unique and not empty: {list(names)}")


def _language(track: SubtitleTrack) -> str:
    return quoted(track.language or "und")  # BCP 47 "undetermined": LANGUAGE is required on every rendition


def frame_rate(rate: Fraction | None) -> str:
    """Return FRAME-RATE with three decimals, rounded half up: 23.976, 29.970, 25.000 (HLS-MVP-006)."""
    if rate is None:
        raise ValueError("a variant needs a frame rate")
    return f"{Decimal(whole_seconds(rate * 1000)).scaleb(-3):.3f}"


def _i_frames(track: VideoTrack, listed: IFrames, ranges: bool, drm_keys: Collection[str]) -> IFrameTag:
    """Return EXT-X-I-FRAME-STREAM-INF: rates of the pictures alone, and neither frame rate nor groups (HLS-IFR-001, -006)."""
    attributes: dict[str, object] = {
        "bandwidth": listed.bitrate.peak,
        "average_bandwidth": listed.bitrate.average,
        "resolution": f"{track.facts.width}x{track.facts.height}",
        "codecs": track.facts.codecs,
        "video_range": (track.facts.video_range or "SDR") if ranges else None,
        "hdcp_level": hdcp_level(track, drm_keys),
    }
    return IFrameTag(uri(listed.playlist), attributes)


def _stream_info(track: VideoTrack, group: AudioGroup | None, subtitles: Sequence[SubtitleTrack], ranges: bool) -> dict[str, object]:
    audio = group.members if group else ()
    rates = bandwidth(track, audio, subtitles)
    return {
        "bandwidth": rates.peak,
        "average_bandwidth": rates.average,
        "resolution": f"{track.facts.width}x{track.facts.height}",
        "codecs": codecs(track, audio),
        "video_range": (track.facts.video_range or "SDR") if ranges else None,
        "closed_captions": "NONE",  # unquoted, on every variant or on none (HLS-MVP-010)
        "audio": quoted(group.id) if group else None,
        "subtitles": SUBTITLE_GROUP if subtitles else None,
    }
