"""Inventories of titles that nobody encoded, with all that a DASH manifest asks for; and the MPEG schema, where it is."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from vidpipe import layout
from vidpipe.inventory.measure import measure, target_duration
from vidpipe.inventory.model import AudioTrack, Inventory, Pictures, Sprites, SubtitleTrack, VideoTrack
from vidpipe.package.result import TrackFacts
from vidpipe.publish.result import PublishedSegment

SCHEMA = Path(__file__).parent.parent.parent / "shared" / "dash" / "DASH-MPD.xsd"
FILM = Fraction(24000, 1001)


@functools.cache
def schema() -> Any:
    """Return the schema of ISO/IEC 23009-1, or skip the test where it is not there."""
    if not SCHEMA.is_file():
        pytest.skip(f"the schema of DASH is not there: {SCHEMA.name}")
    import xmlschema

    return xmlschema.XMLSchema(str(SCHEMA))


def segments(id_: str, path: str, borders: Sequence[Fraction], *, bytes_a_second: int = 10_000) -> tuple[PublishedSegment, ...]:
    """Return segments between borders. path: of the one with an index."""
    return tuple(
        PublishedSegment(
            rendition=id_,
            index=index,
            uri=path.format(index + 1),
            start=begin - borders[0],
            duration=end - begin,
            samples=1,
            size=int(bytes_a_second * (end - begin)) + index % 3 * 100,
            sha256="0" * 64,
        )
        for index, (begin, end) in enumerate(itertools.pairwise(borders))
    )


def cuts(duration: Fraction, length: Fraction) -> list[Fraction]:
    """Return where a title is cut. length: of all segments but the last."""
    whole = [length * number for number in range(-(-duration // length))]
    return [*whole, duration]


def rung(
    height: int, borders: Sequence[Fraction], *, rate: Fraction = FILM, codecs: str = "avc1.640028", width: int | None = None, **facts: Any
) -> VideoTrack:
    id_ = f"{height}p"
    made = segments(id_, f"video/{id_}/{{:05d}}.m4s", borders, bytes_a_second=height * 300)
    return VideoTrack(
        id=id_,
        media="m" * 64,
        scheme="none",
        playlist=layout.media_playlist("video", id_),
        bitrate=measure(made, target_duration([made])),
        segments=made,
        facts=TrackFacts(
            id=id_,
            type="video",
            codecs=codecs,
            timescale=24000,
            width=width or height * 16 // 9,
            height=height,
            frame_rate=rate,
            **{"video_range": "SDR", "colour": (1, 1, 1), **facts},
        ),
        init=layout.init_section("video", id_),
        frames=1,
        delay=2002,
    )


def heard(id_: str, duration: Fraction, *, layout_: int = 2, name: str = "English", label: str | None = None, **words: Any) -> AudioTrack:
    """Return an audio track of AAC: 1024 samples a frame, priming of a frame, cut near every 4 s."""
    borders = [Fraction(round(at * 48000 / 1024) * 1024, 48000) for at in cuts(duration + Fraction(1024, 48000), Fraction(4))]
    made = segments(id_, f"audio/{id_}/{{:05d}}.m4s", borders, bytes_a_second=8000 * layout_)
    return AudioTrack(
        id=id_,
        media="n" * 64,
        scheme="none",
        playlist=layout.media_playlist("audio", id_),
        bitrate=measure(made, target_duration([made])),
        segments=made,
        facts=TrackFacts(
            id=id_, type="audio", codecs="mp4a.40.2", timescale=48000, channels=layout_, layout=layout_, sample_rate=48000
        ),
        init=layout.init_section("audio", id_),
        frames=1,
        delay=1024,
        stream=1,
        name=name,
        label=label or name,
        cut=Fraction(0),
        **{"language": "en", **words},
    )


def shown(id_: str, borders: Sequence[Fraction], **words: Any) -> SubtitleTrack:
    made = segments(id_, f"subtitles/{id_}/{{:05d}}.vtt", borders, bytes_a_second=40)
    return SubtitleTrack(
        id=id_,
        media="o" * 64,
        scheme="none",
        playlist=layout.subtitle_playlist(id_),
        bitrate=measure(made, target_duration([made])),
        segments=made,
        stream=2,
        **{"name": "English", "language": "en", **words},
    )


def pictures(sheets: int = 1) -> Pictures:
    return Pictures(
        media="p" * 64,
        poster=layout.POSTER,
        track=layout.THUMBNAILS,
        sheets=tuple(layout.sprite(number) for number in range(sheets)),
        sprites=Sprites(interval=Fraction(1001, 1000), width=160, height=90, columns=10, rows=10, largest=40_000),
    )


def title(video: Sequence[VideoTrack], duration: Fraction, **parts: Any) -> Inventory:
    return Inventory(
        content_id="film",
        version="20261120T221500Z-3fa9c1",
        duration=duration,
        video=tuple(video),
        formats=("hls", "dash"),
        objects={},
        **parts,
    )
