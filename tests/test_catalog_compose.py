"""compose: the record says what the inventory says, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from tests.inventory_support import KEY_ID, inventory
from vidpipe.catalog.compose import record_of
from vidpipe.catalog.record import (
    AudioRecord,
    Cache,
    Encryption,
    LeftOutRecord,
    Playback,
    Record,
    RenditionRecord,
    SourceFile,
    SubtitleRecord,
    Thumbnails,
)
from vidpipe.inventory.model import Inventory

SOURCE = SourceFile(name="film.mkv", sha256="ab" * 32, size=123, languages={1: "de"})


def composed(made: Inventory) -> Record:
    return record_of(made, SOURCE, title="Ein Film", metadata={"season": "2"}, location=lambda path: f"s3://b/film/v/{path}")


def test_the_record_of_a_version() -> None:
    before = datetime.now(UTC)
    made = composed(inventory())
    assert before - timedelta(seconds=1) < made.created_at <= datetime.now(UTC)
    assert made == Record(
        content_id="film",
        version="20261120T221500Z-3fa9c1",
        title="Ein Film",
        created_at=made.created_at,
        duration=4.004,
        source=SOURCE,
        playback=Playback(hls="s3://b/film/v/master.m3u8"),
        renditions=(
            RenditionRecord(
                id="90p",
                type="video",
                codecs="avc1.42c00b",
                width=160,
                height=90,
                frame_rate=29.97003,
                bandwidth=5000,
                average_bandwidth=4000,
                url="s3://b/film/v/video-90p.m3u8",
                segments=2,
            ),
            RenditionRecord(
                id="de-2",
                type="audio",
                codecs="mp4a.40.2",
                bandwidth=700,
                average_bandwidth=600,
                url="s3://b/film/v/audio-de-2.m3u8",
                segments=3,
            ),
        ),
        audio=(AudioRecord(id="de-2", name="Deutsch (Stereo)", language="de", channels=2, default=True, role="description", cut=0.25),),
        subtitles=(
            SubtitleRecord(
                id="en-sdh",
                name="English (SDH)",
                language="en",
                default=True,
                forced=True,
                hearing_impaired=True,
                url="s3://b/film/v/subtitle-en-sdh.m3u8",
            ),
        ),
        left_out=(
            LeftOutRecord(input=1, stream=3, kind="subtitles", channel="CC1", language="fr", codec="eia_608", reason="it is empty"),
        ),
        thumbnails=Thumbnails(poster="s3://b/film/v/thumbnails/poster.jpg", track="s3://b/film/v/thumbnails/thumbnails.vtt"),
        encryption=Encryption(method="aes-128", key_ids=(KEY_ID,)),
        cache=Cache(video=604_800, thumbnails=2_592_000, metadata=3_600),
        metadata={"season": "2"},
    )


def test_what_a_version_does_not_have_is_null_or_empty() -> None:
    made = composed(inventory(audio=(), subtitles=(), pictures=None, left_out=(), keys=()))
    assert (made.audio, made.subtitles, made.left_out, made.encryption.key_ids) == ((), (), (), ())
    assert made.thumbnails == Thumbnails()


def test_addresses_of_a_title_behind_a_public_url() -> None:
    made = record_of(
        inventory(), SOURCE, title="t", metadata={}, location=lambda path: f"s3://b/film/v/{path}", public_url="https://cdn.example/titles"
    )
    assert made.playback == Playback(
        hls="s3://b/film/v/master.m3u8",
        url="https://cdn.example/titles/film/20261120T221500Z-3fa9c1/master.m3u8",
        title_url="https://cdn.example/titles/film/master.m3u8",
    )


def test_a_version_with_a_dash_manifest_names_all_its_addresses() -> None:
    """Players of DASH are given them from the record: without, they could play nothing but HLS."""
    given = inventory(formats=("hls", "dash"))
    assert composed(given).playback == Playback(hls="s3://b/film/v/master.m3u8", dash="s3://b/film/v/manifest.mpd")
    title = "https://cdn.example/titles/film"
    made = record_of(given, SOURCE, title="t", metadata={}, location=lambda path: f"s3://b/film/v/{path}", public_url="https://cdn.example/titles")
    assert made.playback == Playback(
        hls="s3://b/film/v/master.m3u8",
        url=f"{title}/20261120T221500Z-3fa9c1/master.m3u8",
        title_url=f"{title}/master.m3u8",
        dash="s3://b/film/v/manifest.mpd",
        dash_url=f"{title}/20261120T221500Z-3fa9c1/manifest.mpd",
        dash_title_url=f"{title}/manifest.mpd",
    )


def test_channels_are_never_made_up() -> None:
    (track,) = inventory().audio
    silent = track.model_copy(update={"facts": track.facts.model_copy(update={"channels": None})})
    with pytest.raises(ValidationError, match="channels"):
        composed(inventory(audio=(silent,)))
