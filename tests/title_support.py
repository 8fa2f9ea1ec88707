"""A whole small title on a real local target: encoded, packaged, encrypted, published, with playlists and thumbnails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from tests.package_support import encode_audio, encode_video, grid, rung, sound
from vidpipe import layout
from vidpipe.encode.result import Artifact
from vidpipe.manifest.keys import key_uri
from vidpipe.manifest.master import AudioTrack, VideoTrack, write_master
from vidpipe.manifest.measure import measure, target_duration
from vidpipe.manifest.media import write_media
from vidpipe.package.init import InitSection, read_init
from vidpipe.package.result import PublishedSegment, Segment
from vidpipe.package.segments import audio_segments, video_segments
from vidpipe.plan import Chunk
from vidpipe.progress import Silent
from vidpipe.protect.keys import ContentKey
from vidpipe.protect.segments import clear, encrypt
from vidpipe.publish import PublishedObject, publish_object, publish_segments
from vidpipe.storage.base import Storage
from vidpipe.verify.proof import Expected, ExpectedTrack

PREFIX = "title/20261120T221500Z-3fa9c1"
KEY = ContentKey(key_id="9f2c" * 8, content_id="title", key=bytes(range(16)))
GRID = grid(frames=60)
CHUNKS = (Chunk(index=0, start=0, frames=48), Chunk(index=1, start=48, frames=12))
RUNGS = ("low", "high")
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
    encoded: Encoded, storage: Storage, encrypted: bool = True, alter: Callable[[str, str], str] = lambda _, text: text
) -> Expected:
    """Publish; ``alter`` may change the text of a playlist (path, text) before it is sent."""
    objects: list[PublishedObject] = []
    tracks: list[ExpectedTrack] = []

    def put(path: str, data: bytes) -> None:
        objects.append(publish_object(storage, PREFIX, path, data, reporter=Silent()))

    def publish(kind: layout.TrackType, init: InitSection, segments: list[Segment]) -> None:
        name = init.facts.id
        put(layout.init_section(kind, name), init.data)
        published: list[PublishedSegment] = sorted(
            publish_segments(
                storage,
                PREFIX,
                [encrypt(segment, KEY) if encrypted else clear(segment) for segment in segments],
                paths=lambda rendition, index: layout.segment(kind, rendition, index),
                reporter=Silent(),
                cancel=threading.Event(),
            ),
            key=lambda segment: segment.index,
        )
        tracks.append(
            ExpectedTrack(
                facts=init.facts,
                playlist=layout.media_playlist(kind, name),
                init=layout.init_section(kind, name),
                frames=sum(segment.samples for segment in segments),
                segments=tuple(published),
            )
        )

    for name in RUNGS:
        init = read_init(encoded.video[name][0].path, name)
        segments: list[Segment] = []
        for artifact, chunk in zip(encoded.video[name], CHUNKS, strict=True):
            segments += video_segments(artifact, rung(name), chunk, GRID, init)
        publish("video", init, segments)
    publish("audio", read_init(encoded.audio.path, "en"), list(audio_segments(encoded.audio, sound("en"), GRID)))
    target = target_duration([track.segments for track in tracks])
    for track in tracks:
        text = write_media(
            track.segments,
            init_uri=track.init,
            key_uri=(lambda key_id: key_uri(None, "title", key_id)) if encrypted else None,
            target_duration=target,
        )
        put(track.playlist, alter(track.playlist, text).encode())
    rates = {track.facts.id: measure(track.segments, target) for track in tracks}
    video = [VideoTrack(facts=track.facts, bitrate=rates[track.facts.id], uri=track.playlist) for track in tracks[:-1]]
    audio = AudioTrack(facts=tracks[-1].facts, bitrate=rates["en"], uri=tracks[-1].playlist, name="English", language="en", default=True)
    put("thumbnails/sprite-001.jpg", b"a picture")
    put(layout.THUMBNAILS, alter(layout.THUMBNAILS, THUMBNAILS).encode())
    put(layout.MASTER, alter(layout.MASTER, write_master(video, [audio])).encode())
    return Expected(
        master=layout.MASTER,
        duration=Fraction(GRID.frames) / GRID.frame_rate,
        tracks=tuple(tracks),
        objects=tuple(objects),
        key_uris={KEY.key_id: f"keys/{KEY.key_id}"} if encrypted else {},
        thumbnails=layout.THUMBNAILS,
    )
