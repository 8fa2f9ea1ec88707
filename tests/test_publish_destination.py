"""destination: a version goes below its own prefix, under its own key or none."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from tests.test_publish_copies import MASTER, NEW, OLD, Bucket, entry
from tests.title_support import Encoded
from vidpipe.package.containers.webvtt import WebVtt
from vidpipe.package.cut import Cue, Cut
from vidpipe.package.init import read_init
from vidpipe.progress import Silent
from vidpipe.protect.key_source import LocalKeys
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.key_uses import KeyUse
from vidpipe.protect.protection import Protection
from vidpipe.protect.schemes import scheme_of
from vidpipe.protect.schemes.aes128 import decrypt
from vidpipe.publish.copies import Shared
from vidpipe.publish.destination import Destination
from vidpipe.publish.result import PublishedObject, PublishedSegment
from vidpipe.publish.upload import publish_object
from vidpipe.storage.local import LocalStorage

CUT = Cut("en", 0, Fraction(0), Fraction(2), cues=(Cue(Fraction(0), Fraction(1), "One"),))
CLEAR = Protection(scheme_of("none"))


def test_objects_lie_below_the_version(tmp_path: Path) -> None:
    source = LocalKeys(KeyStore(tmp_path / "keys"))
    target = Destination(LocalStorage(tmp_path), "film", "20260101T000000Z-0a1b2c", source, CLEAR, gzip=True)
    sent = target.put("master.m3u8", b"#EXTM3U\n", Silent())
    file = tmp_path / "film" / target.version / "master.m3u8"
    assert file.read_bytes() == b"#EXTM3U\n", "a folder keeps no headers, so nothing is compressed"
    assert (sent.path, sent.size) == ("master.m3u8", 8)
    assert target.location("master.m3u8") == str(file)


class AllThere:
    """A target that has lost nothing of a version."""

    def segment(self, made: PublishedSegment) -> PublishedSegment | None:
        return made

    def object(self, made: PublishedObject) -> PublishedObject | None:
        return made


def test_an_object_is_compressed_copied_or_kept_as_the_version_asks(tmp_path: Path) -> None:
    bucket, data = Bucket(tmp_path / "bucket"), b"#EXTM3U\n"
    source = LocalKeys(KeyStore(tmp_path / "keys"))
    packed = Destination(bucket, *NEW.split("/"), source, CLEAR, gzip=True).put(MASTER, data, Silent())
    assert packed.content_encoding == "gzip"
    publish_object(bucket, OLD, MASTER, data, reporter=Silent())
    bucket.written.clear()
    shared = Shared(bucket, OLD, {MASTER: entry(data)})
    Destination(bucket, *NEW.split("/"), source, CLEAR, gzip=False, shared=shared).put(MASTER, data, Silent())
    assert (shared.copied, bucket.written) == ({MASTER}, [])
    Destination(bucket, "film", "3", source, CLEAR, gzip=False, kept=AllThere()).put(MASTER, data, Silent())
    assert bucket.written == []


def test_a_key_protects_the_segments_and_none_leaves_them_clear(tmp_path: Path) -> None:
    source = LocalKeys(KeyStore(tmp_path / "keys"))
    protection = Protection(scheme_of("aes-128"), source.keys("film", (KeyUse(),), ["0" * 32]))
    locked = Destination(LocalStorage(tmp_path), "film", "1", source, protection, gzip=False)
    written = WebVtt().write(CUT).data
    segment = locked.protect(CUT, WebVtt())
    assert segment.iv is not None
    assert decrypt(segment.data, locked.key_for("0" * 32).key, segment.iv) == written
    assert locked.key_ids == ("0" * 32,)
    clear = Destination(LocalStorage(tmp_path), "film", "1", source, CLEAR, gzip=False)
    assert (clear.protect(CUT, WebVtt()).data, clear.key_ids) == (written, ())


def test_an_init_section_lies_there_as_packaging_made_it(encoded_title: Encoded, tmp_path: Path) -> None:
    init = read_init(encoded_title.audio.path, "en")
    source = LocalKeys(KeyStore(tmp_path / "keys"))
    assert Destination(LocalStorage(tmp_path), "film", "1", source, CLEAR, gzip=False).header(init) == init.data
    keys = source.keys("film", (KeyUse(), KeyUse(first=1)), ["0" * 32, "1" * 32])
    rotated = Destination(LocalStorage(tmp_path), "film", "1", source, Protection(scheme_of("cbcs"), keys), gzip=False)
    assert [bytes.fromhex("1" * 32) in rotated.header(init, first) for first in (0, 1)] == [False, True], "each names its own key"
