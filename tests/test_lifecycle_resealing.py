"""rekey of titles whose samples are encrypted: the same film under other keys, to the bytes that an ingest under them would have published."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests import servers
from tests.ingest_support import Recorder, key_of, live, run, settings, tree
from tests.key_server import FAIRPLAY, PLAYREADY, WIDEVINE, KeyServer, key_server
from tests.subtitle_support import Words, srt, subtitled
from vidpipe.catalog.published_at import storage_of
from vidpipe.catalog.record import Record
from vidpipe.errors import KeyServiceFailed, UsageError, VerificationFailed
from vidpipe.inventory import Inventory, read_inventory
from vidpipe.lifecycle.rekeying import Rekeying, RekeyRequest, rekey
from vidpipe.lifecycle.rollback import RollbackRequest, rollback
from vidpipe.lifecycle.scrub import ScrubRequest, scrub
from vidpipe.lifecycle.titles import prefix_of
from vidpipe.manifest.parse import parse
from vidpipe.media import ffmpeg
from vidpipe.mp4.decryption import clear_init
from vidpipe.protect import key_uses
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.master_key import KMS_FILE
from vidpipe.settings import Settings
from vidpipe.work.jobs import unfinished

FILM = RekeyRequest(content_id="film")
SPOKEN = srt(("00:00:00,500", "00:00:01,000", "One"), ("00:00:01,200", "00:00:02,400", "Two"))
CLASSES = {"key_classes": "audio-sd-hd-uhd", "session_keys": True, "segment_seconds": Fraction(1)}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return subtitled(tmp_path_factory.mktemp("film") / "words.mkv", Words(SPOKEN, language="eng", disposition="default"))


@pytest.fixture(autouse=True)
def _small_pictures_have_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_uses, "SD_PIXELS", 20_000)


def record_of(configured: Settings) -> Record:
    found = live(configured, "film")
    assert found
    return found


def inventory_of(record: Record) -> Inventory:
    with closing(storage_of(record)) as storage:
        found = read_inventory(storage.get(f"{prefix_of(record)}/inventory.json"))
    assert isinstance(found, Inventory)
    return found


def folder_of(record: Record) -> Path:
    return Path(record.playback.hls).parent


def samples(record: Record, playlist: str, key: bytes, folder: Path) -> list[str]:
    """What ffmpeg, given a key, says of every frame: size and hash, encoded and decoded."""
    known = inventory_of(record)
    (track,) = [each for each in known.media if each.playlist == playlist]
    joined = folder / "joined.mp4"
    joined.write_bytes(b"".join((folder_of(record) / path).read_bytes() for path in (track.init, *(each.uri for each in track.segments))))
    argv = [ffmpeg.find().path, "-v", "error", "-decryption_key", key.hex(), "-i", joined]
    done = subprocess.run([*argv, "-c", "copy", "-f", "framemd5", "-", "-f", "framemd5", "-"], check=True, capture_output=True)
    return sorted(line for line in done.stdout.decode().splitlines() if not line.startswith("#"))


@pytest.mark.parametrize("scheme", ["cbcs", "cenc"])
def test_samples_get_new_keys_and_stay_the_same(scheme: str, source: Path, tmp_path: Path) -> None:
    configured = settings(tmp_path, 90, 180, encrypt=scheme, **CLASSES)
    run(source, configured, content_id="film")
    first = record_of(configured)
    configured.work.rename(tmp_path / "away")
    seen = Recorder()
    done = rekey(FILM, configured, seen)
    assert done.record == record_of(configured)
    assert done.replaced == first
    was, new = inventory_of(first), inventory_of(record_of(configured))
    renamed = dict(zip(was.keys, new.keys, strict=True))
    assert len({*was.keys, *new.keys}) == 6
    assert [(used.track_type, renamed[used.key_id]) for used in was.key_uses] == [(used.track_type, used.key_id) for used in new.key_uses]
    for track, other in zip(was.media, new.media, strict=True):
        assert [renamed[each.key_id or ""] for each in track.segments] == [each.key_id for each in other.segments]
        assert {each.iv for each in track.segments}.isdisjoint({each.iv for each in other.segments})
        old_id, new_id = track.segments[0].key_id or "", other.segments[0].key_id or ""
        declared = clear_init((folder_of(done.record) / other.init).read_bytes())[1]
        assert declared
        assert (declared.key_id.hex(), bytes.fromhex(new_id) in declared.systems[0]) == (new_id, True)
        key = key_of(configured)
        before = samples(first, track.playlist, key(old_id), tmp_path)
        assert samples(done.record, other.playlist, key(new_id), tmp_path) == before
    manifests = "".join((folder_of(done.record) / path).read_text() for path in new.objects if path.endswith((".m3u8", ".mpd")))
    plain = manifests.replace("-", "")
    assert all(key_id in plain for key_id in new.keys)
    assert not any(key_id in plain for key_id in was.keys)
    sent = {event.path for event in seen.named("uploaded")}
    same = {*(each.uri for text in was.subtitles for each in text.segments), *(path for path in was.objects if path.endswith(".jpg"))}
    assert same == {event.path for event in seen.named("copied")} - {"thumbnails/thumbnails.vtt"}
    assert not same & sent
    assert done.segments == sum(len(track.segments) for track in was.media)
    assert scrub(ScrubRequest(title="film", full=True), configured)
    assert unfinished(configured.work, "film") is None
    # The bytes are those of an ingest under these keys: it finds nothing to do, and makes what is lost.
    shutil.rmtree(configured.work)
    (tmp_path / "away").rename(configured.work)
    assert run(source, configured, content_id="film").unchanged
    published = tree(folder_of(done.record))
    for path in (new.video[0].segments[1].uri, new.audio[0].segments[0].uri, new.video[1].init, "manifest.mpd"):
        (folder_of(done.record) / path).unlink()
    assert run(source, configured, content_id="film").restored == 4
    assert tree(folder_of(done.record)) == published
    rollback(RollbackRequest(content_id="film"), configured)  # the version before has kept its keys
