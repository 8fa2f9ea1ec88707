"""destination: a version goes below its own prefix, under its own key or none."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from vidpipe.package.result import Segment
from vidpipe.progress import Silent
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.segments import decrypt
from vidpipe.publish.destination import Destination
from vidpipe.storage.local import LocalStorage

SEGMENT = Segment(rendition="90p", index=0, start=Fraction(0), duration=Fraction(2), samples=48, data=b"pictures")


def test_objects_lie_below_the_version(tmp_path: Path) -> None:
    target = Destination(LocalStorage(tmp_path), "film", "20260101T000000Z-0a1b2c", KeyStore(tmp_path / "keys"), None, gzip=True)
    sent = target.put("master.m3u8", b"#EXTM3U\n", Silent())
    file = tmp_path / "film" / target.version / "master.m3u8"
    assert file.read_bytes() == b"#EXTM3U\n", "a folder keeps no headers, so nothing is compressed"
    assert (sent.path, sent.size) == ("master.m3u8", 8)
    assert target.location("master.m3u8") == str(file)


def test_a_key_protects_the_segments_and_none_leaves_them_clear(tmp_path: Path) -> None:
    keys = KeyStore(tmp_path / "keys")
    key = keys.create("film", "0" * 32)
    locked = Destination(LocalStorage(tmp_path), "film", "1", keys, key, gzip=False)
    segment = locked.protect(SEGMENT)
    assert segment.iv is not None
    assert decrypt(segment.data, locked.key_for("0" * 32).key, segment.iv) == b"pictures"
    assert locked.key_ids == ("0" * 32,)
    clear = Destination(LocalStorage(tmp_path), "film", "1", keys, None, gzip=False)
    assert (clear.protect(SEGMENT).data, clear.key_ids) == (b"pictures", ())
