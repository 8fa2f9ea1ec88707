"""Put the tracks of a title into adaptation sets: what a player may change between without anybody noticing is one set.

In:   an Inventory.
Out:  the AdaptationSet elements, numbered from 1: video, audio, text, pictures.
Wrong: ValueError for a track that cannot be listed; that is a bug of whoever built the inventory.

Rungs are one set if they have the same codec, the same dynamic range and the same key. Sets of rungs that differ by the key alone name each
other, so that a player may change between them, too. Each audio rendition and each subtitle track is one set by itself. The audio that is
played unless the viewer chooses comes first and has the higher selectionPriority: what players look at differs. Of each language, the track
that a player may choose has the role "main", like AUTOSELECT in HLS.

Subtitles are the segments of HLS as they are, raw WebVTT: their times count from the beginning of the title, and so of the only Period.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import gcd
from xml.etree.ElementTree import Element

from vidpipe.inventory.model import AudioTrack, Inventory, SubtitleTrack, VideoTrack
from vidpipe.manifest.dash.content_protection import content_protection, default_key_id
from vidpipe.manifest.dash.descriptors import ROLE, audio_roles, channels, colours, text_roles
from vidpipe.manifest.dash.markup import element
from vidpipe.manifest.dash.tiles import picture_set
from vidpipe.manifest.dash.timeline import segment_template
from vidpipe.manifest.grammar import quoted
from vidpipe.manifest.groups import audio_groups, automatic, default_of
from vidpipe.manifest.master import ordered
from vidpipe.protect.key_source import DrmSignal

SWITCHING = "urn:mpeg:dash:adaptation-set-switching:2016"
"""Names the ids of other sets between which and its own a player may change as within one (ISO/IEC 23009-1 5.3.3.5)."""
UNDETERMINED = "und"
"""BCP 47 for a language that nobody knows."""


def adaptation_sets(inventory: Inventory) -> list[Element]:
    """Return the adaptation sets of a title."""
    made = [*_video(inventory.video, inventory.drm), *_audio(inventory.audio, inventory.drm)]  # the ids of video are in its own text
    made += (_text(track, inventory) for track in inventory.subtitles)
    if (pictures := picture_set(inventory)) is not None:
        made.append(pictures)
    for number, one in enumerate(made, 1):
        one.attrib = {"id": str(number), **one.attrib}
    return made


def representation_id(playlist: str) -> str:
    """Return the id of a Representation, such as "video-720p": that of its playlist, for ids of tracks are unique in their kind only."""
    return playlist.rpartition(".")[0]


def _video(video: Sequence[VideoTrack], signals: Sequence[DrmSignal]) -> Iterator[Element]:
    groups: dict[tuple[str, str, str | None], list[VideoTrack]] = {}
    for track in ordered(video):
        groups.setdefault((track.facts.codecs[:4], track.facts.video_range or "SDR", default_key_id(track)), []).append(track)
    for number, ((codec, dynamic_range, _), members) in enumerate(groups.items(), 1):
        others = [other for other, (*kind, _) in enumerate(groups, 1) if other != number and kind == [codec, dynamic_range]]
        members.sort(key=lambda track: track.bitrate.peak)
        colour = colours(members[0])
        alike = all(track.facts.colour == members[0].facts.colour for track in members)
        yield element(
            "AdaptationSet",
            *content_protection(members[0], signals),
            *(colour if alike else ()),
            *([element("SupplementalProperty", schemeIdUri=SWITCHING, value=",".join(map(str, others)))] if others else ()),
            element("Role", schemeIdUri=ROLE, value="main"),
            *(_rung(track, () if alike else colours(track)) for track in members),
            contentType="video",
            mimeType="video/mp4",
            segmentAlignment="true",
            startWithSAP=1,
            maxWidth=max(track.facts.width or 0 for track in members),
            maxHeight=max(track.facts.height or 0 for track in members),
            maxFrameRate=_rate(max(track.facts.frame_rate or Fraction(0) for track in members)),
            par=_par(members),
        )


def _rung(track: VideoTrack, colour: Sequence[Element]) -> Element:
    facts = track.facts
    return element(
        "Representation",
        *colour,
        segment_template(track, facts.timescale),
        id=representation_id(track.playlist),
        codecs=facts.codecs,
        width=facts.width,
        height=facts.height,
        frameRate=_rate(facts.frame_rate),
        sar="1:1",  # rungs have square pixels: an init section that says otherwise is refused
        bandwidth=track.bitrate.peak,
    )


def _par(members: Sequence[VideoTrack]) -> str | None:
    """Return the aspect ratio of the picture; None if rounding to even pixels made several of one."""
    shapes = {(width // gcd(width, height), height // gcd(width, height)) for width, height in map(_size, members)}
    return ":".join(map(str, shapes.pop())) if len(shapes) == 1 else None


def _size(track: VideoTrack) -> tuple[int, int]:
    return track.facts.width or 1, track.facts.height or 1


def _rate(rate: Fraction | None) -> str | None:
    return str(rate) if rate else None


def _audio(audio: Sequence[AudioTrack], signals: Sequence[DrmSignal]) -> Iterator[Element]:
    groups = audio_groups(audio)
    first = {default_of(group).name for group in groups}
    chosen = {track.id for group in groups for track in automatic(group)}
    for track in sorted(audio, key=lambda track: track.name not in first):
        yield element(
            "AdaptationSet",
            *content_protection(track, signals),
            element("Label", text=quoted(track.label)),
            *audio_roles(track, chosen=track.id in chosen),
            element(
                "Representation",
                channels(track),
                segment_template(track, track.facts.timescale),
                id=representation_id(track.playlist),
                codecs=track.facts.codecs,
                audioSamplingRate=track.facts.sample_rate,
                bandwidth=track.bitrate.peak,
            ),
            contentType="audio",
            lang=track.language or UNDETERMINED,
            mimeType="audio/mp4",
            segmentAlignment="true",
            startWithSAP=1,
            selectionPriority=2 if track.name in first else None,
        )


def _text(track: SubtitleTrack, title: Inventory) -> Element:
    return element(
        "AdaptationSet",
        element("Label", text=quoted(track.name)),
        *text_roles(track),
        element(
            "Representation",
            segment_template(track, title.video[0].facts.timescale),  # it is cut where the picture is
            id=representation_id(track.playlist),
            bandwidth=track.bitrate.peak,
        ),
        contentType="text",
        lang=track.language or UNDETERMINED,
        mimeType="text/vtt",
        segmentAlignment="true",
    )
