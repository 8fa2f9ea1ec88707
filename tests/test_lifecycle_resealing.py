"""rekey of titles whose samples are encrypted: the same film under other keys, in the bytes that an ingest would have published."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests import servers
from tests.ingest_support import Recorder, key_of, live, run, settings, tree
from tests.key_server import FAIRPLAY, PLAYREADY, WIDEVINE, KeyServer, key_server, signalling
from tests.lifecycle_support import TITLE, House
from tests.subtitle_support import Words, srt, subtitled
from tests.title_support import WORDS, Encoded
from vidpipe.catalog.published_at import storage_of
from vidpipe.catalog.record import Record
from vidpipe.catalog.store import Catalog
from vidpipe.errors import KeyServiceFailed, UsageError, VerificationFailed
from vidpipe.inventory import Inventory, read_inventory
from vidpipe.lifecycle.rekeying import RekeyRequest, rekey
from vidpipe.lifecycle.rollback import RollbackRequest, rollback
from vidpipe.lifecycle.scrub import ScrubRequest, scrub
from vidpipe.lifecycle.title_keys import rotate
from vidpipe.lifecycle.titles import prefix_of
from vidpipe.media import ffmpeg
from vidpipe.mp4.decryption import clear_init
from vidpipe.pipeline.address import is_flipped
from vidpipe.protect import key_uses
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.schemes import scheme_of
from vidpipe.settings import Settings
from vidpipe.work.jobs import unfinished

FILM = RekeyRequest(content_id=TITLE)
SPOKEN = srt(("00:00:00,100", "00:00:00,300", "One"), ("00:00:00,400", "00:00:00,900", "Two"))
CLASSES = {"key_classes": "audio-sd-hd-uhd", "session_keys": True, "segment_seconds": Fraction(1, 2), "gop_seconds": Fraction(1, 2)}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = Words(SPOKEN, language="eng", disposition="default")
    return subtitled(tmp_path_factory.mktemp("film") / "words.mkv", words, video="one-second.mp4")


@pytest.fixture(autouse=True)
def _small_pictures_have_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_uses, "SD_PIXELS", 20_000)


def record_of(configured: Settings) -> Record:
    found = live(configured, TITLE)
    assert found
    return found


def inventory_of(record: Record) -> Inventory:
    with closing(storage_of(record)) as storage:
        found = read_inventory(storage.get(f"{prefix_of(record)}/inventory.json"))
    assert isinstance(found, Inventory)
    return found


def folder_of(record: Record) -> Path:
    return Path(record.playback.hls).parent


def versions_of(configured: Settings) -> tuple[Record, ...]:
    with closing(Catalog(configured.catalog_url)) as catalog:
        return catalog.versions(TITLE)


def samples(record: Record, playlist: str, key: bytes, folder: Path) -> list[str]:
    """What ffmpeg, given a key, says of every frame: size and hash, encoded and decoded."""
    known = inventory_of(record)
    (track,) = [each for each in known.media if each.playlist == playlist]
    joined = folder / "joined.mp4"
    joined.write_bytes(b"".join((folder_of(record) / path).read_bytes() for path in (track.init, *(each.uri for each in track.segments))))
    argv = [ffmpeg.find().path, "-v", "error", "-decryption_key", key.hex(), "-i", joined]
    done = subprocess.run([*argv, "-c", "copy", "-f", "framemd5", "-", "-f", "framemd5", "-"], check=True, capture_output=True)
    return sorted(line for line in done.stdout.decode().splitlines() if not line.startswith("#"))


@pytest.mark.parametrize("scheme", ["cbcs", pytest.param("cenc", marks=pytest.mark.nightly)])
def test_samples_get_new_keys_and_stay_the_same(scheme: str, source: Path, tmp_path: Path) -> None:
    urls = {"key_url": "https://keys.example.com/{content_id}/{key_id}", "public_url": "https://media.example.com"}
    configured = settings(tmp_path, 90, 180, encrypt=scheme, **urls, **CLASSES)
    run(source, configured, content_id=TITLE)
    first = record_of(configured)
    configured.work.rename(tmp_path / "away")
    seen = Recorder()
    done = rekey(FILM, configured.model_copy(update=dict.fromkeys(urls)), seen)
    assert done.record == record_of(configured)
    assert done.record.playback.url == f"https://media.example.com/{TITLE}/{done.record.version}/master.m3u8"
    assert f"https://keys.example.com/{TITLE}/" in (folder_of(done.record) / inventory_of(done.record).video[0].playlist).read_text()
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
    assert scrub(ScrubRequest(title=TITLE, full=True), configured)
    assert unfinished(configured.work, TITLE) is None
    # The bytes are those of an ingest under these keys: it finds nothing to do, and makes what is lost.
    shutil.rmtree(configured.work)
    (tmp_path / "away").rename(configured.work)
    assert run(source, configured, content_id=TITLE).unchanged
    published = tree(folder_of(done.record))
    for path in (new.video[0].segments[1].uri, new.audio[0].segments[0].uri, new.video[1].init, "manifest.mpd"):
        (folder_of(done.record) / path).unlink()
    assert run(source, configured, content_id=TITLE).restored == 4
    assert tree(folder_of(done.record)) == published
    rollback(RollbackRequest(content_id=TITLE), configured)  # the version before has kept its keys


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with key_server() as started:
        started.scheme = "cbcs"
        yield started


def with_server(folder: Path, server: KeyServer) -> Settings:
    return settings(folder, 90, encrypt="cbcs", key_source=f"cpix:{server.url}", key_classes="audio-video", session_keys=True)


def test_a_key_server_is_asked_anew(source: Path, server: KeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong answers change nothing that is live, and what a right one says takes the place of what was said."""
    configured = with_server(tmp_path, server)
    run(source, configured, content_id=TITLE)
    was, first, keys = inventory_of(record_of(configured)), record_of(configured), KeyStore(configured.keys)
    with pytest.raises(UsageError, match="Widevine and PlayReady and FairPlay, whose keys come from a key server") as refused:
        rekey(FILM, configured.model_copy(update={"key_source": "local"}))
    assert refused.value.where == "key_source"
    with monkeypatch.context() as patch:
        old = {kid: keys.get(kid).key for kid in was.keys}
        again = iter(old.values())
        patch.setattr("tests.key_server.key_for", lambda _: next(again))
        with pytest.raises(KeyServiceFailed, match="the very key that title has already"):
            rekey(FILM, configured)
    assert {info.key_id for info in keys.find()} == {*old}

    def without_widevine(root: Any) -> None:
        for system in root.iter("{urn:dashif:org:cpix}DRMSystem"):
            for element in list(system) if system.get("systemId") == WIDEVINE else ():
                element.text = None

    server.answer = without_widevine
    with pytest.raises(KeyServiceFailed, match="says nothing for Widevine any more"):
        rekey(FILM, configured)
    server.answer = lambda _: None
    server.status = 503
    with pytest.raises(KeyServiceFailed, match="answers 503"):
        rekey(FILM, configured)
    assert record_of(configured) == first
    server.status = 200
    note = unfinished(configured.work, TITLE)
    done = rekey(FILM, configured)
    assert done.record
    assert note
    assert (done.record.version, done.record.encryption.key_ids) == (note.version, note.key_ids), "the same command continues"
    assert {info.key_id for info in keys.find()} == {*old, *note.key_ids}
    new = inventory_of(done.record)
    assert server.wrong == []
    assert {each.get("kid", "").replace("-", "") for each in server.asked[-1].iter("{urn:dashif:org:cpix}ContentKey")} == {*new.keys}
    systems = {WIDEVINE, PLAYREADY, FAIRPLAY}
    assert {(each.key_id, each.system_id) for each in new.drm} == {(key, system) for key in new.keys for system in systems}
    folder = folder_of(done.record)
    for track in new.media:
        declared = clear_init((folder / track.init).read_bytes())[1]
        assert declared
        kid = re.sub(r"(.{8})(.{4})(.{4})(.{4})", r"\1-\2-\3-\4-", track.segments[0].key_id or "").encode()
        assert [kid in box for box in declared.systems] == [False, True, True], "that of the W3C, Widevine, PlayReady"
        assert b"skd://" + kid in (folder / track.playlist).read_bytes()
    for path in ("manifest.mpd", "master.m3u8", new.video[0].init, new.video[0].playlist):
        data = (folder / path).read_bytes().replace(b"-", b"")
        assert not any(key.encode() in data or bytes.fromhex(key) in data for key in was.keys), path
    assert scrub(ScrubRequest(title=TITLE, full=True), configured)


@pytest.fixture
def film(tmp_path: Path, encoded_title: Encoded) -> Settings:
    """A title that nobody has ingested."""
    return House(tmp_path, encoded_title, title={"scheme": "cbcs", "words": WORDS}).settings


def test_a_damaged_or_lost_object_is_never_published(film: Settings) -> None:
    record = record_of(film)
    folder, known = folder_of(record), inventory_of(record)
    keys = {info.key_id for info in KeyStore(film.keys).find()}
    for path, what in ((known.audio[0].segments[0].uri, "the segment"), (known.video[0].init, "the init section")):
        data = (folder / path).read_bytes()
        (folder / path).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(VerificationFailed, match=f"{what} is not the one that was published") as failed:
            rekey(FILM, film)
        assert failed.value.where == str(folder / path)
        (folder / path).unlink()
        with pytest.raises(VerificationFailed, match=f"{what} is lost"):
            rekey(FILM, film)
        (folder / path).write_bytes(data)
    # What was published is there, and is not what its inventory says.
    inventory, init = folder / "inventory.json", known.video[0].init
    listed = json.loads(inventory.read_text())
    listed["audio"][0]["segments"][0]["samples"] += 1
    inventory.write_text(json.dumps(listed))
    with pytest.raises(VerificationFailed, match="the segment cannot be read: it has not one fragment") as failed:
        rekey(FILM, film)
    assert failed.value.where == str(folder / known.audio[0].segments[0].uri)
    segment = known.audio[0].segments[1].uri
    data = (folder / segment).read_bytes().replace(b"traf", b"trag")
    (folder / segment).write_bytes(data)
    listed["audio"][0]["segments"][0]["samples"] -= 1
    listed["audio"][0]["segments"][1]["sha256"] = hashlib.sha256(data).hexdigest()
    inventory.write_text(json.dumps(listed))
    with pytest.raises(VerificationFailed, match="the segment cannot be opened: an encrypted segment cannot be read: ") as failed:
        rekey(FILM, film)
    assert failed.value.where == str(folder / segment)
    data = (folder / init).read_bytes().replace(b"moov", b"moow")
    (folder / init).write_bytes(data)
    listed["objects"][init]["sha256"] = hashlib.sha256(data).hexdigest()
    inventory.write_text(json.dumps(listed))
    with pytest.raises(VerificationFailed, match="the init section cannot be read: ") as failed:
        rekey(FILM, film)
    assert failed.value.where == str(folder / init)
    assert record_of(film) == record
    assert [each.name for each in folder.parent.iterdir() if each.is_dir()] == [record.version], "nothing of the others is left"
    assert {info.key_id for info in KeyStore(film.keys).find()} == keys


def test_a_wrong_content_key_gives_an_error_and_no_garbage(film: Settings) -> None:
    """As if it had come back by an import from elsewhere: nothing but the decoder can know."""
    record, store = record_of(film), KeyStore(film.keys)
    for key_id in record.encryption.key_ids:
        store.remove(key_id)
        store.create(TITLE, key_id)
    with pytest.raises(VerificationFailed, match="the segment does not decode"):
        rekey(FILM, film)
    assert record_of(film) == record
    assert {info.key_id for info in store.find()} == {*record.encryption.key_ids}
    with pytest.raises(VerificationFailed, match="the segment does not decode"):
        scrub(ScrubRequest(title=TITLE, full=True), film)


KILLED = """
import os, signal, sys
from pathlib import Path
from vidpipe.cli.app import invoke
from vidpipe.storage.local import LocalStorage
from vidpipe.catalog.store import Catalog
from vidpipe.work.jobs import Claim
left = int(sys.argv[1])
def dying(change):
    def changes(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return change(*arguments, **options)
    return changes
LocalStorage.put, LocalStorage.copy = dying(LocalStorage.put), dying(LocalStorage.copy)
Catalog.publish, Claim.save, Claim.finish = dying(Catalog.publish), dying(Claim.save), dying(Claim.finish)
invoke(["rekey", "title", "--yes", "--progress", "none", "--home", sys.argv[2]])
"""


def killed(film: Settings, after: int) -> bool:
    """Run rekey in a process of its own, which is killed before so many changes; return whether it was."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(after), str(film.home)], capture_output=True, timeout=120)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("steps", [(4,), pytest.param(range(0, 60, 3), marks=pytest.mark.nightly)])
def test_killed_half_way_the_same_command_goes_on(film: Settings, steps: Any) -> None:
    """With SIGKILL, before any change at the target, in the work space or in the catalog."""
    for after in steps:
        live_before = record_of(film)
        if not killed(film, after):
            break
        note, made = unfinished(film.work, TITLE), record_of(film)
        with closing(storage_of(made)) as storage:
            over = made != live_before and is_flipped(storage, made)  # nothing but the note was left to go
        done = rekey(FILM, film)
        assert (done.replaced.version, done.record) == ((made if over else live_before).version, record_of(film))
        assert note is None or over or record_of(film).version == note.version, "nothing is begun twice"
        assert scrub(ScrubRequest(title=TITLE, full=True), film)
        folder = folder_of(record_of(film)).parent
        assert {each.name for each in folder.iterdir() if each.is_dir()} == {each.version for each in versions_of(film)}
        used = {key for each in versions_of(film) for key in each.encryption.key_ids}
        assert {info.key_id for info in KeyStore(film.keys).find()} == used


@pytest.mark.nightly
@pytest.mark.parametrize("scheme", ["cbcs", "cenc"])
def test_rotated_keys_are_all_new_each_for_its_period(scheme: str, source: Path, tmp_path: Path) -> None:
    """In segments, and in the init section of each period; the bytes are those that an ingest under these keys makes."""
    configured = settings(tmp_path, 90, encrypt=scheme, key_rotation="1 segment", **CLASSES)
    run(source, configured, content_id=TITLE)
    first, key = record_of(configured), key_of(configured)
    done = rekey(FILM, configured)
    assert done.record
    was, new = inventory_of(first), inventory_of(done.record)
    renamed = dict(zip(was.keys, new.keys, strict=True))
    assert len({*was.keys, *new.keys}) == 2 * len(was.keys) >= 8
    protection = scheme_of(scheme)
    for track, other in zip(was.media, new.media, strict=True):
        assert len({each.key_id for each in other.segments}) == len(other.segments) == len(other.inits) > 1
        for start, path in other.inits.items():
            declared = clear_init((folder_of(done.record) / path).read_bytes())[1]
            assert declared
            assert declared.key_id.hex() == other.segments[start].key_id
        for old, segment in zip(track.segments, other.segments, strict=True):
            assert renamed[old.key_id or ""] == segment.key_id
            before, after = (
                protection.open((folder_of(record) / each.uri).read_bytes(), key(each.key_id), bytes.fromhex(each.iv or ""))
                for record, each in ((first, old), (done.record, segment))
            )
            assert before == after
    assert scrub(ScrubRequest(title=TITLE, full=True), configured)
    assert run(source, configured, content_id=TITLE).unchanged
    published = tree(folder_of(done.record))
    lost = (new.video[0].segments[1].uri, new.audio[0].segments[1].uri, new.video[0].inits[1], new.video[0].playlist)
    for path in lost:
        (folder_of(done.record) / path).unlink()
    assert run(source, configured, content_id=TITLE).restored == len(lost)
    assert tree(folder_of(done.record)) == published


@pytest.mark.nightly
def test_at_s3_under_a_master_key_of_kms(encoded_title: Encoded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is clear is copied by the server; KMS opens the keys that are there, and those that are made."""
    with servers.moto() as server:
        server.use(monkeypatch, tmp_path)
        arn = str(boto3.client("kms", region_name="us-east-1").create_key()["KeyMetadata"]["Arn"])
        house = House(tmp_path, encoded_title, title={"scheme": "cbcs", "words": WORDS}, target=f"s3://{server.bucket}/vod")
        configured, seen = house.settings.model_copy(update={"key_source": f"kms:{arn}"}), Recorder()
        assert rotate(configured).keys == 1
        done = rekey(FILM, configured, seen)
        assert done.record
        new = inventory_of(done.record)
        texts = {segment.uri for track in new.subtitles for segment in track.segments}
        assert texts
        assert texts <= {event.path for event in seen.named("copied")}
        assert {*new.keys}.isdisjoint(house.record.encryption.key_ids)
        assert scrub(ScrubRequest(title=TITLE, full=True), configured)


@pytest.mark.nightly
def test_what_a_key_server_says_in_segments_may_get_longer(
    source: Path, server: KeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rates are measured again: segments of later periods hold it."""
    rotated = {"key_rotation": "1 segment", "segment_seconds": Fraction(1, 2), "gop_seconds": Fraction(1, 2)}
    configured = settings(tmp_path, 90, encrypt="cbcs", key_source=f"cpix:{server.url}", **rotated)
    run(source, configured, content_id=TITLE)
    was = inventory_of(record_of(configured))

    def longer(kind: str, playlist: str | None, system: str, kid: str) -> bytes:
        said = signalling(kind, playlist, system, kid)
        data = said[32:] * 30
        return struct.pack(">I", 32 + len(data)) + said[4:28] + struct.pack(">I", len(data)) + data if kind == "PSSH" else said

    monkeypatch.setattr("tests.key_server.signalling", longer)
    done = rekey(FILM, configured)
    assert done.record
    new = inventory_of(done.record)
    assert all(track.bitrate.peak > before.bitrate.peak for track, before in zip(new.media, was.media, strict=True))
    assert scrub(ScrubRequest(title=TITLE, full=True), configured)
