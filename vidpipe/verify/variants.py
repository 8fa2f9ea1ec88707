"""Prove the master playlist: what it declares of variants, renditions and keys against what was measured.

In:   the Readback, the Inventory, the text that lies at the target, the measured facts and rates of every track.
Out:  nothing.
Wrong: VerificationFailed with the line. For SCORE: if a title of one codec has any, or one of several lacks some, or a larger picture has
       the lower one.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from vidpipe import layout
from vidpipe.inventory.measure import Bitrate
from vidpipe.inventory.model import Inventory
from vidpipe.manifest.drm import IDENTITY
from vidpipe.manifest.hls import named_in_master, tags_in_master
from vidpipe.manifest.key_uri import key_uri
from vidpipe.manifest.parse import MasterPlaylist, PlaylistError, parse
from vidpipe.package.result import TrackFacts
from vidpipe.verify.audio import MeasuredAudio, check_audio
from vidpipe.verify.readback import Readback
from vidpipe.verify.subtitles import check_members, group_of


def check_master(
    target: Readback, expected: Inventory, data: bytes, facts: dict[str, TrackFacts], rates: dict[str, Bitrate], key_url: str | None
) -> None:
    """Compare everything that the master playlist declares with what was measured. rates: by id; of a playlist of I-frames, by its path."""
    path = layout.MASTER
    try:
        master = parse(data)
    except PlaylistError as error:
        raise target.wrong(path, "the playlist cannot be read", "a master playlist", error) from error
    if not isinstance(master, MasterPlaylist):
        raise target.wrong(path, "the playlist is of the wrong kind", "a master playlist", "a media playlist")
    i_frames = [variant for variant in master.variants if variant.i_frames]
    master = master.model_copy(update={"variants": tuple(variant for variant in master.variants if not variant.i_frames)})
    video = {track.playlist: track.id for track in expected.video}
    audio = {track.playlist: MeasuredAudio(track, facts[track.id].channels or 0) for track in expected.audio}
    target.same(path, "EXT-X-INDEPENDENT-SEGMENTS", True, master.independent_segments)
    target.same(path, "the list of variants", sorted(video), sorted({variant.uri for variant in master.variants}))
    target.same(path, "the kinds of renditions", [], sorted({member.type for member in master.renditions} - {"AUDIO", "SUBTITLES"}))
    check_session_keys(target, path, expected, master, data.decode().splitlines(), key_url)
    groups = check_audio(target, path, master, video, audio)
    check_members(target, path, expected.subtitles, master)
    texts = {track.playlist: track.id for track in expected.subtitles}
    ranges = {facts[name].video_range for name in video.values()}
    licensed = {signal.key_id for signal in expected.drm}
    keyed = {track.id: {segment.key_id for segment in track.segments} for track in expected.video}
    for variant in master.variants:
        where, name = f"{path}:{variant.line}", video[variant.uri]
        group = groups.get(variant.audio, [])
        shown = [texts[uri] for uri in group_of(master.renditions, variant)]
        target.same(where, "the subtitle group", sorted(texts.values()), sorted(shown))
        heaviest = sum(max((rates[member].peak for member in members), default=0) for members in (group, shown))
        target.same(where, "BANDWIDTH", rates[name].peak + heaviest, variant.bandwidth)
        heaviest = sum(max((rates[member].average for member in members), default=0) for members in (group, shown))
        target.same(where, "AVERAGE-BANDWIDTH", rates[name].average + heaviest, variant.average_bandwidth)
        target.same(where, "CODECS", sorted({facts[member].codecs for member in (name, *group)}), sorted(variant.codecs))
        rate = facts[name].frame_rate or Fraction(0)
        if abs(Fraction(variant.frame_rate or 0) - rate) > Fraction(1, 2000):  # it has three decimals
            raise target.wrong(where, "FRAME-RATE is wrong", float(rate), variant.frame_rate)
    alone = {track.i_frames.playlist: track.id for track in expected.video if track.i_frames}
    target.same(path, "the list of I-frame playlists", sorted(alone), sorted(variant.uri for variant in i_frames))
    for variant in i_frames:
        where, name = f"{path}:{variant.line}", alone[variant.uri]
        target.same(where, "BANDWIDTH", rates[variant.uri].peak, variant.bandwidth)
        target.same(where, "AVERAGE-BANDWIDTH", rates[variant.uri].average, variant.average_bandwidth)
        target.same(where, "CODECS", (facts[name].codecs,), variant.codecs)
        groups_of_it = (variant.frame_rate, variant.audio, variant.subtitles, variant.closed_captions)
        target.same(where, "FRAME-RATE and groups", (None, None, None, None), groups_of_it)
    for variant in (*master.variants, *i_frames):
        where, name = f"{path}:{variant.line}", (video | alone)[variant.uri]
        target.same(where, "RESOLUTION", (facts[name].width, facts[name].height), (variant.width, variant.height))
        target.same(where, "VIDEO-RANGE", None if ranges == {"SDR"} else facts[name].video_range, variant.video_range)
        pixels = (facts[name].width or 0) * (facts[name].height or 0)
        level = "TYPE-1" if pixels > 1920 * 1080 else "TYPE-0" if pixels > 1024 * 576 else "NONE"
        target.same(where, "HDCP-LEVEL", level if keyed[name] & licensed else None, variant.hdcp_level)
    check_scores(target, path, master)


def check_session_keys(
    target: Readback, path: str, expected: Inventory, master: MasterPlaylist, written: Sequence[str], key_url: str | None
) -> None:
    """Compare the keys that the master playlist names. path: of it.  written: its lines.

    Titles that were published before only those of the first period were named have all, and play with them.
    """
    own = [key for key in master.session_keys if key.keyformat == IDENTITY]
    found = [(key.method, key.uri) for key in own]
    lines = [written[key.line - 1] for key in master.session_keys if key not in own]

    def named(*, all_periods: bool) -> list[tuple[str, str]]:
        keys = named_in_master(expected, all_periods=all_periods)
        return [(method, key_uri(key_url, expected.content_id, key_id)) for method, key_id in keys]

    if (found, lines) == (named(all_periods=True), tags_in_master(expected, all_periods=True)):
        return
    target.same(path, "EXT-X-SESSION-KEY", named(all_periods=False), found)
    target.same(path, "EXT-X-SESSION-KEY of DRM systems", tags_in_master(expected), lines)


def check_scores(target: Readback, path: str, master: MasterPlaylist) -> None:
    """Compare SCORE with the codecs and sizes of the variants. path: of the master playlist.

    Every variant has one or none has (HLS-MVP-013). Between codecs the order is a judgement; in one codec it is that of the sizes.
    """
    codecs: dict[str, list[tuple[Fraction | None, int]]] = {}
    for variant in master.variants:
        pixels = (variant.width or 0) * (variant.height or 0)
        codecs.setdefault(variant.codecs[0].partition(".")[0], []).append((variant.score, pixels))
    several = len(codecs) > 1
    target.same(path, "which variants have a SCORE", [several] * len(master.variants), [item.score is not None for item in master.variants])
    for scored in codecs.values():  # without any, it is the order of the sizes
        target.same(path, "the sizes in the order of SCORE", sorted(size for _, size in scored), [size for _, size in sorted(scored)])
