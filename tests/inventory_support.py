"""The inventory of a small version that nobody encoded: for what is a function of an inventory alone."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from vidpipe import layout
from vidpipe.inventory.measure import Bitrate
from vidpipe.inventory.model import AudioTrack, Inventory, LeftOutTrack, Pictures, SubtitleTrack, VideoTrack
from vidpipe.package.result import TrackFacts
from vidpipe.publish.result import ObjectEntry, PublishedSegment

KEY_ID = "ab" * 16


def segments(name: str, path: str, count: int) -> tuple[PublishedSegment, ...]:
    """Return segments of 2 s and 1000 bytes. path: of the one with an index."""
    times: dict[str, Any] = {"duration": Fraction(2), "samples": 48, "size": 1000, "sha256": "c" * 64, "key_id": KEY_ID}
    return tuple(
        PublishedSegment(rendition=name, index=index, uri=path.format(index + 1), start=Fraction(2 * index), **times)
        for index in range(count)
    )


def inventory(**changes: Any) -> Inventory:
    """Return an inventory of one rung, one audio track, one subtitle track, pictures, and a track that was left out."""
    video = VideoTrack(
        id="90p",
        media="m" * 64,
        scheme="aes-128",
        playlist=layout.media_playlist("video", "90p"),
        bitrate=Bitrate(peak=5000, average=4000),
        segments=segments("90p", "video/90p/{:05d}.m4s", 2),
        facts=TrackFacts(
            id="90p", type="video", codecs="avc1.42c00b", timescale=24000, width=160, height=90, frame_rate=Fraction(30000, 1001)
        ),
        init=layout.init_section("video", "90p"),
        frames=96,
    )
    audio = AudioTrack(
        id="de-2",
        media="n" * 64,
        scheme="aes-128",
        playlist=layout.media_playlist("audio", "de-2"),
        bitrate=Bitrate(peak=700, average=600),
        segments=segments("de-2", "audio/de-2/{:05d}.m4s", 3),
        facts=TrackFacts(id="de-2", type="audio", codecs="mp4a.40.2", timescale=48000, channels=2, sample_rate=48000),
        init=layout.init_section("audio", "de-2"),
        frames=282,
        stream=1,
        name="Deutsch",
        label="Deutsch (Stereo)",
        language="de",
        role="description",
        default=True,
        cut=Fraction(1, 4),
    )
    subtitles = SubtitleTrack(
        id="en-sdh",
        media="o" * 64,
        scheme="aes-128",
        playlist=layout.subtitle_playlist("en-sdh"),
        bitrate=Bitrate(peak=70, average=60),
        segments=segments("en-sdh", "subtitles/en-sdh/{:05d}.vtt", 2),
        stream=2,
        name="English (SDH)",
        language="en",
        default=True,
        forced=True,
        hearing_impaired=True,
    )
    fields: dict[str, Any] = {
        "content_id": "film",
        "version": "20261120T221500Z-3fa9c1",
        "duration": Fraction(1001, 250),
        "video": (video,),
        "audio": (audio,),
        "subtitles": (subtitles,),
        "pictures": Pictures(media="p" * 64, poster=layout.POSTER, track=layout.THUMBNAILS, sheets=(layout.sprite(0),)),
        "left_out": (
            LeftOutTrack(
                input=1, stream=3, kind="subtitles", channel="CC1", language="fr", codec="eia_608", reason="it is empty", media="q" * 64
            ),
        ),
        "keys": (KEY_ID,),
        "objects": {layout.MASTER: ObjectEntry(size=10, sha256="d" * 64)},
    }
    return Inventory(**fields | changes)
