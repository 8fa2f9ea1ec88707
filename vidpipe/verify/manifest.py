"""Prove the DASH manifest: what a player reckons with in it against what was measured of the stored bytes.

In:   the Inventory, the text that lies at the target, the measured facts and rates of every track.
Out:  nothing.
Wrong: VerificationFailed naming the line, what was expected and what was found.

It is read by the reader of ``inspect``, which knows nothing of the code that wrote it. What is there for choosing is not compared: roles,
labels, colours, and the largest values of a set or of the whole (maxWidth, maxSegmentDuration …).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from xml.etree.ElementTree import Element

from vidpipe import layout
from vidpipe.inventory.measure import Bitrate
from vidpipe.inventory.model import AudioTrack, Inventory, MediaTrack, PublishedTrack, SubtitleTrack, VideoTrack
from vidpipe.manifest.dash.content_protection import CLEAR_KEY, rotated_keys, said_of
from vidpipe.manifest.dash.markup import ManifestError
from vidpipe.manifest.dash.read_mpd import AdaptationSet, Presentation, Representation, read_mpd
from vidpipe.package.result import TrackFacts
from vidpipe.protect.key_source import DrmSignal
from vidpipe.protect.schemes import scheme_of
from vidpipe.verify.readback import Readback

_MICROSECOND = Fraction(1, 1_000_000)
_PICTURES = "thumbnails"
"""Id of the Representation of the sprite sheets."""


def check_manifest(
    target: Readback,
    expected: Inventory,
    data: bytes,
    facts: Mapping[str, TrackFacts],
    rates: Mapping[str, Bitrate],
    delays: Mapping[str, int],
) -> None:
    """Compare a manifest with what was measured. facts, rates, delays (ticks that edit lists skip): by id of the track."""
    path = layout.MPD
    try:
        found = read_mpd(data)
    except ManifestError as error:
        raise target.wrong(path, "the manifest cannot be read", "a DASH manifest", error) from error
    _check_whole(target, path, found, expected)
    members = {one.id: (group, one) for group in found.sets for one in group.representations}
    wanted = {track.playlist.rpartition(".")[0]: track for track in expected.tracks}
    sheets = expected.pictures.sheets if expected.pictures and expected.pictures.sprites else ()
    target.same(path, "the list of Representations", sorted([*wanted, *([_PICTURES] if sheets else [])]), sorted(members))
    for id_, track in wanted.items():
        group, one = members[id_]
        where = f"{path}:{one.line}"
        target.same(where, "bandwidth", rates[track.id].peak, one.bandwidth)
        _check_segments(target, where, track, one, delays[track.id] if isinstance(track, AudioTrack) else 0)
        if isinstance(track, MediaTrack):
            _check_media(target, where, track, one, facts[track.id])
            _check_protection(target, where, track, group, expected.drm)
        if isinstance(track, AudioTrack | SubtitleTrack):
            target.same(where, "the language", track.language or "und", group.language)
    needed = max(_needed(members[track.playlist.rpartition(".")[0]][1], track) for track in expected.media)
    if found.min_buffer_time is None or not 0 <= found.min_buffer_time - needed < _MICROSECOND:
        raise target.wrong(path, "minBufferTime is wrong", float(needed), found.min_buffer_time and float(found.min_buffer_time))
    if sheets:
        _, one = members[_PICTURES]
        target.same(f"{path}:{one.line}", "the sprite sheets", list(sheets), [sheet.uri for sheet in one.segments])


def _needed(one: Representation, track: MediaTrack) -> Fraction:
    """Return the seconds after which a player that begins at any segment never stops, if bits come at the declared rate.

    From i on, segment j is whole after the bits of i to j, and shown after the time of i to j - 1: the largest difference, by sums from 0.
    """
    sent = played = most = begun = Fraction(0)  # begun: the least that was there, less what was played, where a segment begins
    for segment, listed in zip(track.segments, one.segments, strict=True):
        begun = min(begun, sent - played)
        sent += Fraction(8 * segment.size, one.bandwidth)
        most = max(most, sent - played - begun)
        played += Fraction(listed.duration, one.timescale)
    return most


def _check_whole(target: Readback, path: str, found: Presentation, expected: Inventory) -> None:
    target.same(path, "the type and the number of Periods", ("static", 1), (found.type, found.periods))
    if found.duration is None or not 0 <= found.duration - expected.duration < _MICROSECOND:
        raise target.wrong(path, "mediaPresentationDuration is wrong", float(expected.duration), found.duration and float(found.duration))


def _check_segments(target: Readback, where: str, track: PublishedTrack, one: Representation, delay: int) -> None:
    """Compare segments and their times, which count from where the track is shown. delay: ticks before that; video is only delayed."""
    target.same(where, "the init section", track.init if isinstance(track, MediaTrack) else None, one.init)
    target.same(where, "the list of segments", [segment.uri for segment in track.segments], [segment.uri for segment in one.segments])
    target.same(where, "presentationTimeOffset", 0, one.offset)
    skipped = Fraction(delay, one.timescale)
    for segment, listed in zip(track.segments, one.segments, strict=True):
        begin, end = max(Fraction(0), segment.start - skipped), segment.start + segment.duration - skipped
        shown = (Fraction(listed.start, one.timescale), Fraction(listed.start + listed.duration, one.timescale))
        target.same(f"{layout.MPD}:{listed.line}", f"when {segment.uri} is shown (s)", (begin, end), shown)


def _check_media(target: Readback, where: str, track: MediaTrack, one: Representation, facts: TrackFacts) -> None:
    target.same(where, "timescale", facts.timescale, one.timescale)
    target.same(where, "codecs", facts.codecs, one.codecs)
    if isinstance(track, VideoTrack):
        shown = (facts.width, facts.height, facts.frame_rate, "1:1")
        target.same(where, "size, frameRate and sar", shown, (one.width, one.height, one.frame_rate, one.sar))
    if isinstance(track, AudioTrack):
        target.same(where, "audioSamplingRate", facts.sample_rate, one.audio_sampling_rate)
        target.same(where, "the channel configuration", [str(facts.layout)] if facts.layout else [], [each.value for each in one.channels])


def _check_protection(target: Readback, where: str, track: MediaTrack, group: AdaptationSet, drm: Sequence[DrmSignal]) -> None:
    """Compare ContentProtection with the key of the track, and with what DRM systems want to be said of it; else ClearKey stands there."""
    scheme, key_id = scheme_of(track.scheme).mp4_scheme, track.segments[0].key_id
    declared = [(each.value, (each.key_id or "").replace("-", "")) for each in group.protection if each.key_id]
    target.same(where, "ContentProtection", [(scheme, key_id)] if scheme else [], declared)
    own = [(signal.system_id, said) for signal in drm if signal.key_id == key_id and (said := said_of(signal))]
    listed = rotated_keys(track)
    clear_key = (CLEAR_KEY, (base64.b64encode(listed).decode(),) if listed else ())
    systems = [(f"urn:uuid:{system}", tuple(_pssh(said))) for system, said in own] or ([clear_key] if scheme else [])
    named = [(each.scheme, each.pssh) for each in group.protection if not each.key_id]
    target.same(where, "the key systems of ContentProtection and their pssh", sorted(systems), sorted(named))


def _pssh(said: Sequence[Element]) -> Iterator[str]:
    """Yield the pssh boxes among the elements of a descriptor, in base64."""
    return ("".join((each.text or "").split()) for each in said if each.tag.rpartition(":")[2] == "pssh")
