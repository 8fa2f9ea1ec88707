"""A whole small title on a real local target: encoded, packaged, encrypted, published, with playlists and thumbnails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from tests.package_support import audio_rendition, audio_segments, encode_audio, encode_video, grid, rung, subtitle_segments, video_segments
from vidpipe import layout
from vidpipe.inventory.build import subtitle_words
from vidpipe.inventory.measure import measure
from vidpipe.inventory.model import AudioTrack, IFrames, Inventory, Pictures, SubtitleTrack, VideoTrack
from vidpipe.layout import HLS_ONLY
from vidpipe.manifest.manifests import manifests
from vidpipe.package.containers.cmaf import PublishedCmaf
from vidpipe.package.cut import Cue
from vidpipe.package.init import InitSection, read_init
from vidpipe.package.result import Segment
from vidpipe.plan import Chunk, SubtitleRendition
from vidpipe.progress import Silent
from vidpipe.protect.key_source import KeySet
from vidpipe.protect.key_store import ContentKey
from vidpipe.protect.key_uses import KeyUse
from vidpipe.protect.protection import Protection
from vidpipe.protect.schemes import SAMPLE_SCHEMES, scheme_of
from vidpipe.publish.result import PublishedObject, PublishedSegment
from vidpipe.publish.upload import publish_object, publish_segments
from vidpipe.source.asset import StreamRef
from vidpipe.storage.base import Storage
from vidpipe.work.artifacts import Artifact

PREFIX = "title/20261120T221500Z-3fa9c1"
KEY = ContentKey(key_id="9f2c" * 8, content_id="title", key=bytes(range(16)))
GRID = grid(frames=60)
CHUNKS = (Chunk(index=0, start=0, frames=48), Chunk(index=1, start=48, frames=12))
RUNGS = ("low", "high")
TARGET = 1  # seconds: EXT-X-TARGETDURATION
SPOKEN = SubtitleRendition(
    id="en-sdh", stream=StreamRef(stream=2), language="en", name="English (SDH)", default=True, hearing_impaired=True, codec="subrip"
)
WORDS = (
    Cue(Fraction(1, 4), Fraction(1, 2), "<i>One</i>"),
    Cue(Fraction(4, 5), Fraction(11, 5), "over two borders"),
    Cue(Fraction(1), Fraction(5, 4), "another\nat once"),
)
THUMBNAILS = (
    "WEBVTT\n\n00:00.000 --> 00:02.000\nsprite-001.jpg#xywh=0,0,160,90\n\n00:02.000 --> 00:02.500\nsprite-001.jpg#xywh=160,0,160,90\n"
)


@dataclass(frozen=True)
class Encoded:
    """The artifacts, made once for all titles of a test run."""

    video: dict[str, list[Artifact]]
    audio: Artifact


def encode_title(folder: Path) -> Encoded:
    video = {}
    for name, rate in zip(RUNGS, ("60k", "200k"), strict=True):
        (folder / name).mkdir()
        video[name] = [encode_video(folder / name, GRID, chunk, extra=("-b:v", rate)) for chunk in CHUNKS]
    return Encoded(video, encode_audio(folder, "2.5"))


def publish_title(
    encoded: Encoded,
    storage: Storage,
    encrypted: bool = True,
    alter: Callable[[str, str], str] = lambda _, text: text,
    words: tuple[Cue, ...] = (),
    delays: dict[str, int] | None = None,
    scheme: str = "aes-128",
) -> Inventory:
    """Publish; ``alter`` may change the text of a playlist (path, text) before it is sent. words: of a subtitle track, none without.

    delays: rung -> ticks of its edit list, instead of those it needs.
    """
    objects: list[PublishedObject] = []
    scheme = scheme if encrypted else "none"
    protection = Protection(scheme_of(scheme), KeySet((KeyUse(),), (KEY,)) if encrypted else KeySet())

    def put(path: str, data: bytes) -> None:
        objects.append(publish_object(storage, PREFIX, path, data, reporter=Silent()))

    def send(segments: list[Segment], paths: Callable[[str, int], str], cmaf: PublishedCmaf | None) -> tuple[PublishedSegment, ...]:
        if cmaf and scheme in SAMPLE_SCHEMES:
            protected = [protection.seal(cmaf.cut(segment), cmaf) for segment in segments]
        else:
            own = protection.scheme if cmaf else scheme_of(protection.scheme.text_scheme)
            protected = [own.seal(segment, KEY if encrypted else None) for segment in segments]
        sent = publish_segments(storage, PREFIX, protected, paths=paths, reporter=Silent(), cancel=threading.Event(), workers=4)
        return tuple(sorted(sent, key=lambda segment: segment.index))

    def publish(kind: layout.TrackType, init: InitSection, segments: list[Segment]) -> dict[str, Any]:
        name = init.facts.id
        cmaf = PublishedCmaf(init.data, init.facts)
        put(layout.init_section(kind, name), protection.header(init.facts, cmaf) or b"")
        sent = send(segments, partial(layout.segment, kind), cmaf)
        return {
            "id": name,
            "media": "m" * 64,
            "scheme": scheme,
            "playlist": layout.media_playlist(kind, name),
            "bitrate": measure(sent, TARGET),
            "segments": sent,
            "facts": init.facts,
            "init": layout.init_section(kind, name),
            "frames": sum(segment.samples for segment in segments),
            "delay": init.delay,
        }

    video = []
    for name in RUNGS:
        init = read_init(encoded.video[name][0].path, name)
        init = replace(init, delay=(delays or {}).get(name, init.delay))
        segments: list[Segment] = []
        for artifact, chunk in zip(encoded.video[name], CHUNKS, strict=True):
            segments += video_segments(artifact, rung(name), chunk, GRID, init)
        track = VideoTrack(**publish("video", init, segments))
        if all(segment.i_frame for segment in track.segments):
            listed = IFrames(playlist=layout.i_frame_playlist(name), bitrate=measure(track.segments, TARGET, i_frames=True))
            track = track.model_copy(update={"i_frames": listed})
        video.append(track)
    heard = publish("audio", read_init(encoded.audio.path, "en"), list(audio_segments(encoded.audio, audio_rendition("en"), GRID)))
    audio = AudioTrack(**heard, stream=1, name="English", label="English", language="en", default=True, cut=Fraction(0))
    texts = []
    if words:
        sent = send(list(subtitle_segments(words, SPOKEN.id, GRID)), layout.subtitle_segment, None)
        texts = [
            SubtitleTrack(
                id=SPOKEN.id,
                media="m" * 64,
                scheme=protection.scheme.text_scheme,
                playlist=layout.subtitle_playlist(SPOKEN.id),
                bitrate=measure(sent, TARGET),
                segments=sent,
                **subtitle_words(SPOKEN),
            )
        ]
    put("thumbnails/sprite-001.jpg", b"a picture")
    put(layout.THUMBNAILS, alter(layout.THUMBNAILS, THUMBNAILS).encode())
    content_id, version = PREFIX.split("/")
    inventory = Inventory(
        content_id=content_id,
        version=version,
        duration=Fraction(GRID.frames) / GRID.frame_rate,
        video=tuple(video),
        audio=(audio,),
        subtitles=tuple(texts),
        pictures=Pictures(media="m" * 64, poster=layout.POSTER, track=layout.THUMBNAILS, sheets=("thumbnails/sprite-001.jpg",)),
        formats=HLS_ONLY if scheme != "cbcs" else ("hls", "dash"),
        keys=(KEY.key_id,) if encrypted else (),
        objects={},
    )
    for path, text in manifests(inventory).items():
        put(path, alter(path, text).encode())
    return inventory.with_objects(objects)


def with_tracks(inventory: Inventory, change: Callable[[Any], dict[str, Any]]) -> Inventory:
    """Return an inventory whose tracks are changed. change: track -> other values of its fields."""
    kinds = ("video", "audio", "subtitles")
    changed = {kind: tuple(track.model_copy(update=change(track)) for track in getattr(inventory, kind)) for kind in kinds}
    return inventory.model_copy(update=changed)
