"""What a new version takes over from the live one: tracks and pictures that would be the same are copied inside the target.

In:   the plan and its fingerprints, the inventory of the live version, the scheme and the keys of the new one.
Out:  Inheritance: tracks as they will be published, objects to copy, and the rest of the plan, which has to be made.
Wrong: PublishFailed from the storage, Interrupted. An object that is lost or cannot be copied is no error: its track is made again.

A track is the same if everything that decided its bytes is (``inventory.fingerprints``), and the scheme and the key that protect it. Its
name, language and id may be others: what is encrypted stays as it is, IVs included, and goes to the place that its new id gives it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import partial

from vidpipe import layout
from vidpipe.errors import EncodeFailed
from vidpipe.inventory.build import audio_words, left_out_of, subtitle_words
from vidpipe.inventory.fingerprints import Fingerprints
from vidpipe.inventory.model import (
    AudioTrack,
    Inventory,
    LeftOutTrack,
    MadeChunk,
    MediaTrack,
    Pictures,
    PublishedTrack,
    SubtitleTrack,
)
from vidpipe.mp4.boxes import BoxError, parse_movie
from vidpipe.mp4.decryption import redeclared
from vidpipe.package.init import measure_track, respoken
from vidpipe.plan import AudioRendition, Plan, SubtitleRendition, VideoRendition
from vidpipe.progress import Note, Reporter
from vidpipe.protect.drm_systems import boxes_for
from vidpipe.protect.key_source import KeySet
from vidpipe.protect.schemes import CLEAR, scheme_of
from vidpipe.publish.destination import Destination
from vidpipe.publish.result import PublishedObject
from vidpipe.storage.base import Damaged, get_if_there
from vidpipe.storage.compression import decompressed


@dataclass(frozen=True)
class Inheritance:
    """What is taken over. rest: what of the plan has to be made; without chunks, no picture is.

    tracks: by id of their new renditions.  pictures: None if they have to be made.  left_out: subtitles of which nothing can be made.
    moves: path in the new version -> path in the live one, of objects to copy.
    spoken: path of an init section that is the same but for its language, or for what DRM systems want in it -> (path in the live version,
    the language).
    objects: those that lie at the target now, segments excepted.  chunks: in which the video was encoded.
    """

    rest: Plan
    tracks: Mapping[str, PublishedTrack] = field(default_factory=dict)
    pictures: Pictures | None = None
    left_out: tuple[LeftOutTrack, ...] = ()
    moves: Mapping[str, str] = field(default_factory=dict)
    spoken: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    objects: tuple[PublishedObject, ...] = ()
    chunks: tuple[MadeChunk, ...] = ()

    @property
    def is_all(self) -> bool:
        """Whether nothing has to be made."""
        return not (self.rest.chunks or self.rest.audio or self.rest.subtitles)


def take_over(
    made: Plan, media: Fingerprints, live: Inventory, target: Destination, *, reporter: Reporter, cancel: threading.Event, workers: int
) -> Inheritance:
    """Copy everything that is the same to the new version, and return what it was. target: shares objects with the live version."""
    shared = target.shared
    if shared is None:
        return Inheritance(made)
    lost: set[str] = set()
    while True:
        found = inherited(made, media, live, scheme=target.protection.scheme.name, keys=target.protection.keys, lost=lost)
        moves = {path: earlier for path, earlier in found.moves.items() if path not in shared.copied}
        missing = {moves[path] for path in shared.copy_all(target.prefix, moves, reporter=reporter, cancel=cancel, workers=workers)}
        if not missing and "dash" in made.formats:
            found, missing = _measured_again(found, target, shared.prefix)
        if not missing:
            objects, missing = _put_again(found, target, shared.prefix, reporter)
            if not missing:
                copied = {path: live.objects[earlier] for path, earlier in found.moves.items() if earlier in live.objects}
                objects += [PublishedObject(path=path, **dict(entry)) for path, entry in copied.items()]
                return replace(found, objects=tuple(objects))
        text = f"{len(missing)} objects of version {live.version} cannot be copied ({min(missing)} …): their tracks are made again"
        reporter.emit(Note(level="warning", text=text))
        lost |= missing


def inherited(
    made: Plan, media: Fingerprints, live: Inventory, *, scheme: str, keys: KeySet, lost: AbstractSet[str] = frozenset()
) -> Inheritance:
    """Return what a version of this plan can take over. keys: of the new version.  lost: paths of the live one that cannot be had. Pure."""
    changed = {key_id for key_id in keys.ids if boxes_for(keys.signals, key_id) != boxes_for(live.drm, key_id)}
    usable = [track for track in live.tracks if _is_protected_so(track, scheme) and not lost & _paths(track)]
    usable = [track for track in usable if not changed & _said_in_segments(track)]
    unusable = {track.media: track.reason for track in live.left_out}
    video, audio, subtitles = (_same(wanted, usable, keys) for wanted in (media.video, media.audio, media.subtitles))
    pictures = live.pictures if live.pictures and live.pictures.media == media.pictures else None
    if len(video) < len(made.video) or not pictures or lost & {pictures.poster, pictures.track, *pictures.sheets}:
        video, pictures = {}, None  # one decode makes all of them
    older = video | audio | subtitles
    tracks = {rendition.id: _moved(made, older[rendition.id], rendition) for rendition in made.renditions if rendition.id in older}
    tracks |= {text.id: _moved(made, older[text.id], text) for text in made.subtitles if text.id in older}
    moves, spoken = _moves(tracks, older, changed)
    if pictures:
        moves |= {path: path for path in (pictures.poster, *pictures.sheets)}
    left_out = [text for text in made.subtitles if text.id not in older and media.subtitles[text.id] in unusable]
    rest = {
        "chunks": () if video else made.chunks,
        "audio": tuple(rendition for rendition in made.audio if rendition.id not in older),
        "subtitles": tuple(text for text in made.subtitles if text.id not in older and text not in left_out),
    }
    return Inheritance(
        rest=made.model_copy(update=rest),
        tracks=tracks,
        pictures=pictures,
        left_out=tuple(left_out_of(text, unusable[media.subtitles[text.id]], media.subtitles[text.id]) for text in left_out),
        moves=moves,
        spoken=spoken,
        chunks=live.chunks if video else (),
    )


def _is_protected_so(track: PublishedTrack, scheme: str) -> bool:
    """Whether a track is protected as a title under a scheme protects it. Its text may be clear."""
    return track.scheme == (scheme_of(scheme).text_scheme if isinstance(track, SubtitleTrack) else scheme)


def _said_in_segments(track: PublishedTrack) -> set[str | None]:
    """Return the ids of keys of which segments hold what DRM systems want: all but the first of a track whose samples are encrypted."""
    return {track.segments[first].key_id for first in track.inits if first} if isinstance(track, MediaTrack) else set()


def _same(wanted: Mapping[str, str], usable: Iterable[PublishedTrack], keys: KeySet) -> dict[str, PublishedTrack]:
    """Return for each rendition a live track of the same fingerprint under the same keys, if there is one: that of the same id, where there
    are several.
    """
    found: dict[str, PublishedTrack] = {}
    for track in usable:
        for id_, fingerprint in wanted.items():
            if track.media == fingerprint and (id_ not in found or track.id == id_) and _is_under(track, id_, keys):
                found[id_] = track
    return found


def _is_under(track: PublishedTrack, id_: str, keys: KeySet) -> bool:
    """Whether each segment has the key that it will have as a part of another track; a clear one has none, whatever others have."""
    if track.scheme == CLEAR:
        return True
    wanted = (keys.of(id_, segment.index) for segment in track.segments)
    return all(key and segment.key_id == key.key_id for segment, key in zip(track.segments, wanted, strict=True))


def _moved(made: Plan, track: PublishedTrack, rendition: VideoRendition | AudioRendition | SubtitleRendition) -> PublishedTrack:
    """Return a track of the live version as it will be in the new one: under another id, with other words."""
    id_ = rendition.id
    if isinstance(rendition, SubtitleRendition):
        place, changes = partial(layout.subtitle_segment, id_), {"playlist": layout.subtitle_playlist(id_), **subtitle_words(rendition)}
    else:
        kind: layout.TrackType = "video" if isinstance(rendition, VideoRendition) else "audio"
        place = partial(layout.segment, kind, id_)
        changes = {"playlist": layout.media_playlist(kind, id_), "init": layout.init_section(kind, id_)}
        if isinstance(track, MediaTrack):
            changes["facts"] = track.facts.model_copy(update={"id": id_})
        if isinstance(rendition, AudioRendition):
            changes |= audio_words(made, rendition)
    segments = tuple(replace(segment, rendition=id_, uri=place(segment.index)) for segment in track.segments)
    return track.model_copy(update={"id": id_, "segments": segments, **changes})


def _moves(
    tracks: Mapping[str, PublishedTrack], older: Mapping[str, PublishedTrack], changed: AbstractSet[str]
) -> tuple[dict[str, str], dict[str, tuple[str, str | None]]]:
    """Return moves and spoken. changed: ids of keys of which DRM systems want something else in init sections than before."""
    moves: dict[str, str] = {}
    spoken: dict[str, tuple[str, str | None]] = {}
    for id_, track in tracks.items():
        earlier = older[id_]
        moves |= {new.uri: old.uri for new, old in zip(track.segments, earlier.segments, strict=True)}
        if not isinstance(track, MediaTrack) or not isinstance(earlier, MediaTrack):
            continue
        language, before = (each.language if isinstance(each, AudioTrack) else None for each in (track, earlier))
        inits = earlier.inits
        for first, path in track.inits.items():
            if language != before or track.segments[first].key_id in changed:
                spoken[path] = (inits[first], language)
            else:
                moves[path] = inits[first]
    return moves, spoken


def _put_again(
    found: Inheritance, target: Destination, live: str, reporter: Reporter
) -> tuple[list[PublishedObject], set[str]]:
    """Read the few objects that may differ in a word or in how they are compressed, and put them. live: prefix of that version.

    Return what was put, and the paths in the live version of what cannot be had.
    """
    wanted = {path: earlier for path, (earlier, _) in found.spoken.items()}
    media = [track for track in found.tracks.values() if isinstance(track, MediaTrack)]
    places = {path: (track.facts, first) for track in media for first, path in track.inits.items()}
    if found.pictures:
        wanted[found.pictures.track] = found.pictures.track
    put: list[PublishedObject] = []
    missing: set[str] = set()
    for path, earlier in wanted.items():
        try:
            stored = get_if_there(target.storage, f"{live}/{earlier}")
            data = decompressed(stored) if stored is not None else None
            if data is not None and path in found.spoken:
                data = redeclared(respoken(data, found.spoken[path][1]), target.protection.declared(*places[path]))
        except (Damaged, ValueError):
            data = None
        if data is None:
            missing.add(earlier)
        else:
            put.append(target.put(path, data, reporter))
    return put, missing


def _measured_again(found: Inheritance, target: Destination, live: str) -> tuple[Inheritance, set[str]]:
    """Read from the init sections what an inventory of 0.2.0.dev does not say and DASH asks for. live: prefix of that version.

    Return the tracks with it, and the paths in the live version of init sections that cannot be had.
    """
    tracks, missing = dict(found.tracks), set[str]()
    for id_, track in found.tracks.items():
        if not isinstance(track, MediaTrack) or track.delay is not None:
            continue
        earlier = found.spoken[track.init][0] if track.init in found.spoken else found.moves[track.init]
        try:
            (measured,) = parse_movie(get_if_there(target.storage, f"{live}/{earlier}") or b"").tracks
            facts = measure_track(measured, track.facts.id, 1)  # ticks: any number, for no init section says how long a frame is
            facts = facts.model_copy(update={"frame_rate": track.facts.frame_rate})
        except (Damaged, BoxError, EncodeFailed, ValueError):
            missing.add(earlier)
        else:
            delay = sum(edit.media_time for edit in measured.edits)
            tracks[id_] = track.model_copy(update={"facts": facts, "delay": delay})
    return replace(found, tracks=tracks), missing


def _paths(track: PublishedTrack) -> set[str]:
    return {segment.uri for segment in track.segments} | (set(track.inits.values()) if isinstance(track, MediaTrack) else set())
