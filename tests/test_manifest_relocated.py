"""relocated: a master playlist reads the same from one folder above."""

from __future__ import annotations

import m3u8
import pytest

from tests.inventory_support import inventory
from vidpipe.manifest.master import write_master
from vidpipe.manifest.relocated import relocated


def test_every_playlist_is_found_from_above_and_nothing_else_changes() -> None:
    made = inventory()
    text = write_master(made.video, made.audio, made.subtitles)
    above = relocated(text, "v1")
    before, after = m3u8.loads(text), m3u8.loads(above)
    named = [*(variant.uri for variant in before.playlists), *(media.uri for media in before.media)]
    assert [*(variant.uri for variant in after.playlists), *(media.uri for media in after.media)] == [f"v1/{uri}" for uri in named]
    assert above.replace("v1/", "") == text


@pytest.mark.parametrize(
    ("line", "moved"),
    [
        ("video-90p.m3u8", "v1/video-90p.m3u8"),
        ("https://other.example/x.m3u8", "https://other.example/x.m3u8"),
        ("/x.m3u8", "/x.m3u8"),
        ('#EXT-X-MEDIA:NAME="URI=x",URI="a.m3u8",CHANNELS="2"', '#EXT-X-MEDIA:NAME="URI=x",URI="v1/a.m3u8",CHANNELS="2"'),
        ('#EXT-X-I-FRAME-STREAM-INF:URI="i.m3u8",BANDWIDTH=1', '#EXT-X-I-FRAME-STREAM-INF:URI="v1/i.m3u8",BANDWIDTH=1'),
        ('#EXT-X-SESSION-KEY:METHOD=AES-128,URI="keys/1"', '#EXT-X-SESSION-KEY:METHOD=AES-128,URI="v1/keys/1"'),
        ('#EXT-X-SESSION-KEY:METHOD=AES-128,URI="https://k/1"', '#EXT-X-SESSION-KEY:METHOD=AES-128,URI="https://k/1"'),
        ('#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://1"', '#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://1"'),
        ("", ""),
    ],
)
def test_relative_uris_alone_are_moved(line: str, moved: str) -> None:
    assert relocated(f"#EXTM3U\n{line}\n", "v1") == f"#EXTM3U\n{moved}\n"
