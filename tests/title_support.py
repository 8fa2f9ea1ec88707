"""A whole small title on a real local target: encoded, packaged, encrypted, published, with playlists and thumbnails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

from tests.package_support import audio_segments, encode_audio, encode_video, grid, rung, sound, subtitle_segments, video_segments
from vidpipe import layout
from vidpipe.manifest.groups import AudioTrack
from vidpipe.manifest.key_uri import key_uri
from vidpipe.manifest.master import SubtitleTrack, VideoTrack, write_master
from vidpipe.manifest.measure import measure, target_duration
from vidpipe.manifest.media import write_media
from vidpipe.package.cut import Cue
from vidpipe.package.init import InitSection, read_init
from vidpipe.package.result import PublishedSegment, Segment
from vidpipe.plan import Chunk, SubtitleRendition
from vidpipe.progress import Silent
from vidpipe.protect.key_store import ContentKey
from vidpipe.protect.schemes.aes128 import encrypt
from vidpipe.protect.schemes.clear import SCHEME as CLEAR
from vidpipe.publish.upload import PublishedObject, publish_object, publish_segments
from vidpipe.source.asset import StreamRef
from vidpipe.storage.base import Storage
from vidpipe.verify.proof import Expected, ExpectedTrack
from vidpipe.verify.subtitles import ExpectedSubtitles
from vidpipe.work.artifacts import Artifact

PREFIX = "title/20261120T221500Z-3fa9c1"
KEY = ContentKey(key_id="9f2c" * 8, content_id="title", key=bytes(range(16)))
GRID = grid(frames=60)
CHUNKS = (Chunk(index=0, start=0, frames=48), Chunk(index=1, start=48, frames=12))
RUNGS = ("low", "high")
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
) -> Expected:
    """Publish; ``alter`` may change the text of a playlist (path, text) before it is sent. words: of a subtitle track, none without.

    delays: rung -> ticks of its edit list, instead of those it needs.
    """
    objects: list[PublishedObject] = []
    tracks: list[ExpectedTrack] = []

    def put(path: str, data: bytes) -> None:
        objects.append(publish_object(storage, PREFIX, path, data, reporter=Silent()))

    def send(segments: list[Segment], paths: Callable[[str, int], str]) -> tuple[PublishedSegment, ...]:
        protected = [encrypt(segment, KEY) if encrypted else CLEAR.seal(segment, None) for segment in segments]
        sent = publish_segments(storage, PREFIX, protected, paths=paths, reporter=Silent(), cancel=threading.Event(), workers=4)
        return tuple(sorted(sent, key=lambda segment: segment.index))

    def publish(kind: layout.TrackType, init: InitSection, segments: list[Segment]) -> None:
        name = init.facts.id
        put(layout.init_section(kind, name), init.data)
        tracks.append(
            ExpectedTrack(
                facts=init.facts,
                plan=sound(name) if kind == "audio" else None,
                playlist=layout.media_playlist(kind, name),
                init=layout.init_section(kind, name),
                frames=sum(segment.samples for segment in segments),
                segments=send(segments, partial(layout.segment, kind)),
            )
        )

    for name in RUNGS:
        init = read_init(encoded.video[name][0].path, name)
        init = replace(init, delay=(delays or {}).get(name, init.delay))
        segments: list[Segment] = []
        for artifact, chunk in zip(encoded.video[name], CHUNKS, strict=True):
            segments += video_segments(artifact, rung(name), chunk, GRID, init)
        publish("video", init, segments)
    publish("audio", read_init(encoded.audio.path, "en"), list(audio_segments(encoded.audio, sound("en"), GRID)))
    texts = []
    if words:
        sent = send(list(subtitle_segments(words, SPOKEN.id, GRID)), layout.subtitle_segment)
        texts = [ExpectedSubtitles(plan=SPOKEN, playlist=layout.subtitle_playlist(SPOKEN.id), cues=words, segments=sent)]
    target = target_duration([track.segments for track in tracks])
    for listed in (*tracks, *texts):
        text = write_media(
            listed.segments,
            init_uri=listed.init if isinstance(listed, ExpectedTrack) else None,
            method="AES-128",
            key_uri=(lambda key_id: key_uri(None, "title", key_id)) if encrypted else None,
            target_duration=target,
        )
        put(listed.playlist, alter(listed.playlist, text).encode())
    rates = {track.facts.id: measure(track.segments, target) for track in tracks}
    video = [VideoTrack(facts=track.facts, bitrate=rates[track.facts.id], uri=track.playlist) for track in tracks[:-1]]
    audio = AudioTrack(facts=tracks[-1].facts, bitrate=rates["en"], uri=tracks[-1].playlist, name="English", language="en", default=True)
    put("thumbnails/sprite-001.jpg", b"a picture")
    put(layout.THUMBNAILS, alter(layout.THUMBNAILS, THUMBNAILS).encode())
    shown = [
        SubtitleTrack(
            bitrate=measure(spoken.segments, target),
            uri=spoken.playlist,
            name=SPOKEN.name,
            language=SPOKEN.language,
            default=SPOKEN.default,
            forced=SPOKEN.forced,
            hearing_impaired=SPOKEN.hearing_impaired,
        )
        for spoken in texts
    ]
    put(layout.MASTER, alter(layout.MASTER, write_master(video, [audio], shown)).encode())
    return Expected(
        master=layout.MASTER,
        duration=Fraction(GRID.frames) / GRID.frame_rate,
        tracks=tuple(tracks),
        subtitles=tuple(texts),
        objects=tuple(objects),
        key_uris={KEY.key_id: f"keys/{KEY.key_id}"} if encrypted else {},
        thumbnails=layout.THUMBNAILS,
        scheme="aes-128" if encrypted else "none",
    )
