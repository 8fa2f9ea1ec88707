"""rekey: a title is live under new keys, and plays the same; nothing is encoded, and nothing but the target and the key store is needed."""

from __future__ import annotations

import base64
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import boto3
import pytest

from tests import servers
from tests.ingest_support import FIXTURES, Recorder, joined, run, settings, tree, version
from tests.key_server import FAIRPLAY, WIDEVINE, key_server
from tests.lifecycle_support import FIRST, TITLE, House
from tests.playback.barcodes import read_barcodes
from tests.title_support import KEY, Encoded, publish_title
from vidpipe import layout
from vidpipe.cli import exits
from vidpipe.cli.app import invoke
from vidpipe.errors import Interrupted, KeyServiceFailed, PublishFailed, UsageError, VerificationFailed
from vidpipe.inventory import Inventory, read_inventory
from vidpipe.lifecycle.rekeying import RekeyRequest, rekey
from vidpipe.lifecycle.repair import RepairRequest, repair
from vidpipe.lifecycle.rollback import RollbackRequest, rollback
from vidpipe.lifecycle.scrub import ScrubRequest, scrub
from vidpipe.pipeline.address import flip
from vidpipe.pipeline.ingest import IngestResult
from vidpipe.pipeline.versions import give_up
from vidpipe.progress import Silent
from vidpipe.protect.key_source import DrmSignal
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.master_key import FILE
from vidpipe.protect.schemes.aes128 import decrypt
from vidpipe.publish.upload import publish_object
from vidpipe.storage import open_storage
from vidpipe.storage.local import LocalStorage
from vidpipe.work.jobs import Claim, claim, unfinished

SECOND = "20261121T000000Z-222222"
WHOLE = RekeyRequest(content_id=TITLE)


@pytest.fixture
def house(tmp_path: Path, encoded_title: Encoded) -> House:
    return House(tmp_path, encoded_title)


def inventory_of(house: House, version: str) -> Inventory:
    with closing(house.open()) as storage:
        found = read_inventory(storage.get(f"{TITLE}/{version}/inventory.json"))
    assert isinstance(found, Inventory)
    return found


def clear(house: House, version: str) -> dict[str, bytes]:
    """Every segment of a version, decrypted."""
    with closing(house.open()) as storage:
        return {
            segment.uri: decrypt(
                storage.get(f"{TITLE}/{version}/{segment.uri}"),
                house.keys.get(segment.key_id or "").key,
                bytes.fromhex(segment.iv or ""),
            )
            for segment in inventory_of(house, version).segments
        }


def test_a_title_gets_new_keys_and_stays_the_same(house: House) -> None:
    shutil.rmtree(house.settings.work, ignore_errors=True)
    planned = rekey(WHOLE.model_copy(update={"dry_run": True}), house.settings)
    assert (planned.record, planned.segments, planned.dry_run) == (None, len(list(house.inventory.segments)), True)
    assert house.states == {FIRST: "live"}
    recorder = Recorder()
    done = rekey(WHOLE, house.settings, recorder)
    assert {event.content_id for event in recorder.events} == {TITLE}
    assert [event.stage for event in recorder.named("stage_started")] == ["publish", "copy", "publish", "verify", "catalog"]
    assert any("what was proven before" in note.text for note in recorder.named("note")), "copies are not read whole again"
    assert done.record
    new = done.record.version
    assert house.states == {new: "live", FIRST: "superseded"}
    assert house.shown == new
    assert len({*done.record.encryption.key_ids, KEY.key_id}) == 2
    assert clear(house, new) == clear(house, FIRST)
    made, was = inventory_of(house, new), house.inventory
    assert [track.bitrate for track in made.tracks] == [track.bitrate for track in was.tracks]
    assert not {segment.iv for segment in made.segments} & {segment.iv for segment in was.segments}
    assert {segment.key_id for segment in made.segments} == {*made.keys} == {*done.record.encryption.key_ids}
    for path in was.objects:
        assert path.endswith(".m3u8") == (house.file(new, path).read_bytes() != house.file(FIRST, path).read_bytes()) or "master" in path
    assert KEY.key_id not in house.file(new, was.video[0].playlist).read_text()
    assert scrub(ScrubRequest(title=TITLE, full=True), house.settings)
    assert unfinished(house.settings.work, TITLE) is None
    rollback(RollbackRequest(content_id=TITLE), house.settings)  # the version before has kept its key


@pytest.mark.nightly
def test_each_time_the_keys_are_new(house: House) -> None:
    keys = [KEY.key_id]
    for _ in range(2):
        record = rekey(WHOLE, house.settings).record
        assert record
        keys += record.encryption.key_ids
    assert len({*keys}) == 3 == len(house.keys.find())


def failing_at(monkeypatch: pytest.MonkeyPatch, house: House, end: str) -> None:
    """Run a rekey while the target does not take what is named so."""
    put = LocalStorage.put

    def refused(self: LocalStorage, path: str, *arguments: object, **options: object) -> None:
        if path.endswith(end) and FIRST not in path:
            raise PublishFailed("the disk is full")
        put(self, path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "put", refused)
        with pytest.raises(PublishFailed, match="the disk is full"):
            rekey(WHOLE, house.settings.model_copy(update={"target": str(house.settings.home / "elsewhere")}))


def test_what_stops_half_way_is_continued(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_at(monkeypatch, house, "low/00003.m4s")
    note = unfinished(house.settings.work, TITLE)
    assert note
    assert (note.copy_of, note.target) == (FIRST, house.settings.target), "where the title lies, whatever is set today"
    assert house.states == {FIRST: "live"}
    sent = {path: house.file(note.version, path).read_bytes() for path in house.objects()[note.version]}
    monkeypatch.setattr(LocalStorage, "copy", lambda *_, **__: False)  # a target that cannot copy is sent what is the same
    record = rekey(WHOLE, house.settings).record
    assert record
    assert (record.version, record.encryption.key_ids) == (note.version, note.key_ids)
    assert all(house.file(note.version, path).read_bytes() == data for path, data in sent.items()), "the same bytes again"
    assert len(house.keys.find()) == 2


def test_an_address_that_was_not_written_is_all_that_is_left_to_do(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing_at(monkeypatch, house, layout.address(TITLE))
    (made, *_), home = house.states, ("--home", str(house.settings.home))
    assert house.shown == FIRST
    planned = rekey(WHOLE.model_copy(update={"dry_run": True}), house.settings)
    assert (planned.finished, planned.dry_run, planned.record, planned.replaced.version) == (True, True, None, FIRST)
    assert (planned.segments, planned.bytes) == (0, 0)
    assert exits.run(invoke, ["rekey", TITLE, *home, "--dry-run"]) == 0
    assert f"The earlier rekey of {TITLE} is finished" in " ".join(capsys.readouterr().out.split())
    assert unfinished(house.settings.work, TITLE)
    assert exits.run(invoke, ["rekey", TITLE, *home, "--progress", "none"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"finished the rekey of {TITLE} that made version {made}, in place of version {FIRST}" in out
    assert "nothing was encrypted anew" in out
    assert house.states == {made: "live", FIRST: "superseded"}
    assert (house.shown, len(house.keys.find()), unfinished(house.settings.work, TITLE)) == (made, 2, None)


def test_once_the_address_is_right_new_keys_are_made(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever put it right: a rekey after that may be wanted because the very keys that are live have leaked."""
    failing_at(monkeypatch, house, layout.address(TITLE))
    (made, *_) = house.states
    with house.catalog() as catalog, closing(house.open()) as storage:
        flip(storage, catalog, TITLE)
    assert unfinished(house.settings.work, TITLE)
    assert not rekey(WHOLE.model_copy(update={"dry_run": True}), house.settings).finished
    done = rekey(WHOLE, house.settings)
    assert done.record
    assert (done.finished, done.replaced.version) == (False, made)
    assert len({KEY.key_id, *done.replaced.encryption.key_ids, *done.record.encryption.key_ids}) == 3
    assert done.segments > 0
    assert unfinished(house.settings.work, TITLE) is None
    gone = "20261119T000000Z-000000"  # pruned by another home, which does not see the note
    house.note(version=done.record.version, copy_of=gone, fingerprint=f"rekey:media-words@{gone}")
    assert not rekey(WHOLE.model_copy(update={"dry_run": True}), house.settings).finished


def test_what_repair_puts_right_no_rekey_finishes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_at(monkeypatch, house, layout.address(TITLE))
    (made, *_) = house.states
    assert [each.deed for each in repair(RepairRequest(content_id=TITLE, dry_run=True), house.settings).found] == ["address"]
    address = Path(house.settings.target) / layout.address(TITLE)
    text = address.read_bytes()

    def failing(_: Claim) -> None:
        raise OSError("read-only file system")

    with claim(house.settings.work, TITLE):  # a note that cannot be removed now is removed by the next run
        assert [each.deed for each in repair(RepairRequest(content_id=TITLE), house.settings).found] == ["address"]
    address.write_bytes(text)
    with monkeypatch.context() as patch:
        patch.setattr(Claim, "finish", failing)
        assert [each.deed for each in repair(RepairRequest(content_id=TITLE), house.settings).found] == ["address"]
    address.write_bytes(text)
    assert unfinished(house.settings.work, TITLE)
    assert [each.deed for each in repair(RepairRequest(content_id=TITLE), house.settings).found] == ["address"]
    assert (house.shown, unfinished(house.settings.work, TITLE)) == (made, None)


def test_one_begun_with_other_keys_than_those_of_a_key_server_can_be_given_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_at(monkeypatch, house, "low/00003.m4s")
    with key_server() as server:
        configured = house.settings.model_copy(update={"key_source": f"cpix:{server.url}"})
        with pytest.raises(KeyServiceFailed, match="gives another key") as refused:
            rekey(WHOLE, configured)
        assert "vidpipe work clean --unfinished" in str(refused.value.fix)
        assert "--new-key" not in str(refused.value.fix)
        assert give_up(configured) == (TITLE,)
        assert rekey(WHOLE, configured).record
    assert len(house.keys.find()) == 2


def test_a_system_that_does_not_play_the_scheme_is_not_missed(tmp_path: Path, encoded_title: Encoded) -> None:
    """An older vidpipe kept what a key server gave of FairPlay under cenc, without having been asked."""
    house = House(tmp_path, encoded_title, title={"scheme": "cenc"})
    tag = base64.b64encode(b'#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI="skd://1",KEYFORMAT="com.apple.streamingkeydelivery"').decode()
    given = {system: DrmSignal(key_id=KEY.key_id, system_id=system, hls_media=tag) for system in (FAIRPLAY, WIDEVINE)}
    house.publish(SECOND, age=1, inventory=house.inventory.model_copy(update={"drm": (*given.values(),)}))
    with pytest.raises(UsageError, match="by way of Widevine, whose keys"):
        rekey(WHOLE, house.settings)
    with key_server() as server:
        server.scheme = "cenc"
        done = rekey(WHOLE, house.settings.model_copy(update={"key_source": f"cpix:{server.url}"}))
    assert done.record
    assert FAIRPLAY not in {signal.system_id for signal in inventory_of(house, done.record.version).drm}
    third = "20261123T000000Z-333333"
    house.publish(third, age=0, inventory=house.inventory.model_copy(update={"drm": (given[FAIRPLAY],)}))
    assert rekey(WHOLE.model_copy(update={"dry_run": True}), house.settings).segments, "nor is a key server needed for it"


def test_a_damaged_segment_is_never_published(house: House) -> None:
    file = house.file(FIRST, house.inventory.video[0].segments[1].uri)
    with pytest.raises(UsageError, match="no such ffmpeg"):  # what is new is decoded
        rekey(WHOLE, house.settings.model_copy(update={"ffmpeg": "/no/ffmpeg"}))
    file.write_bytes(file.read_bytes()[:-16] + bytes(16))
    with pytest.raises(VerificationFailed, match="not the one that was published") as failed:
        rekey(WHOLE, house.settings)
    assert failed.value.where == str(file)
    assert house.states == {FIRST: "live"}
    assert house.objects().keys() == {FIRST}
    assert [info.key_id for info in house.keys.find()] == [KEY.key_id], "the keys of what was given up are gone"


def test_a_damaged_segment_at_s3_is_no_matter_of_trying_again(bucket: str, tmp_path: Path, encoded_title: Encoded) -> None:
    house = House(tmp_path, encoded_title, target=f"s3://{bucket}/vod")
    at = {"Bucket": bucket, "Key": f"vod/{TITLE}/{FIRST}/{house.inventory.video[0].segments[1].uri}"}
    with closing(boto3.session.Session().client("s3")) as client:
        stored = client.get_object(**at)
        client.put_object(**at, Body=stored["Body"].read()[:-16] + bytes(16), Metadata=stored["Metadata"])
    with pytest.raises(VerificationFailed, match="not the one that was published"):
        rekey(WHOLE, house.settings)
    assert house.objects().keys() == {FIRST}


def test_a_lost_key_is_an_error_before_anything_is_made(house: House) -> None:
    master = house.settings.keys / FILE
    master.rename(house.settings.home / "away")
    for request in (WHOLE, WHOLE.model_copy(update={"dry_run": True})):
        with pytest.raises(UsageError, match="the master key is missing"):
            rekey(request, house.settings)
    (house.settings.home / "away").rename(master)
    house.keys.remove(KEY.key_id)
    with pytest.raises(UsageError, match="there is no key"):
        rekey(WHOLE, house.settings)
    assert house.objects().keys() == {FIRST}
    assert house.keys.find() == ()


def test_what_has_no_keys_gets_none(tmp_path: Path, encoded_title: Encoded, house: House) -> None:
    with closing(house.open()) as storage:
        made = publish_title(encoded_title, storage, encrypted=False)
    house.publish("20261122T000000Z-333333", age=0, inventory=made)
    with pytest.raises(UsageError, match="is not encrypted"):
        rekey(WHOLE, house.settings)
    with claim(house.settings.work, "other"), pytest.raises(UsageError, match="there is no title"):  # whoever has that name
        rekey(RekeyRequest(content_id="other"), house.settings)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    with servers.moto() as server:
        server.use(monkeypatch, tmp_path)
        yield server.bucket


@pytest.mark.nightly
def test_at_s3_playlists_stay_compressed(bucket: str, tmp_path: Path, encoded_title: Encoded) -> None:
    house = House(tmp_path, encoded_title, target=f"s3://{bucket}/vod")
    path = house.inventory.video[0].playlist
    with closing(house.open()) as storage:  # one of them is
        text = storage.get(f"{TITLE}/{FIRST}/{path}")
        house.inventory = house.inventory.with_objects(
            [publish_object(storage, f"{TITLE}/{FIRST}", path, text, reporter=Silent(), gzip=True)]
        )
    house.publish(SECOND, age=0, inventory=house.inventory)
    done = rekey(WHOLE, house.settings)
    assert done.record
    assert clear(house, done.record.version) == clear(house, FIRST)
    assert inventory_of(house, done.record.version).objects[path].content_encoding == "gzip"
    with closing(open_storage(house.settings.target)) as storage:
        for path, entry in inventory_of(house, done.record.version).objects.items():
            stored = storage.head(f"{TITLE}/{done.record.version}/{path}")
            assert stored
            assert (stored.size, stored.content_encoding) == (entry.size, house.inventory.objects[path].content_encoding)


def test_the_command_says_what_is_live(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    home = ("--home", str(house.settings.home))
    assert exits.run(invoke, ["rekey", TITLE, "--dry-run", *home]) == 0
    assert "published under 1 new key" in capsys.readouterr().out
    assert exits.run(invoke, ["rekey", TITLE, *home, "--progress", "none"]) == 0
    out = capsys.readouterr().out
    assert f"in place of version {FIRST}" in out
    assert KEY.key.hex() not in out


def test_a_title_with_several_keys_keeps_its_classes_and_periods(tmp_path: Path) -> None:
    """A whole ingest, so that an independent player has the last word; and the next ingest has nothing to do."""
    clip = FIXTURES / "one-second.mp4"
    lengths = {"segment_seconds": Fraction(1, 4), "gop_seconds": Fraction(1, 4)}
    several = settings(tmp_path, 90, key_classes="audio-video", key_rotation="1 segment", session_keys=True, **lengths)
    first = run(clip, several, content_id="film")
    shutil.rmtree(several.work)
    done = rekey(RekeyRequest(content_id="film"), several)
    assert done.record
    second = IngestResult(record=done.record, manifest=done.record.playback.hls, timings={})
    was, new = (read_inventory(tree(version(each))["inventory.json"]) for each in (first, second))
    assert isinstance(was, Inventory)
    assert isinstance(new, Inventory)
    renamed = dict(zip(was.keys, new.keys, strict=True))
    assert len({*was.keys, *new.keys}) == 2 * len(was.keys) == 2 * len(renamed) >= 8
    assert [(renamed[used.key_id], used.first) for used in was.key_uses] == [(used.key_id, used.first) for used in new.key_uses]
    assert [renamed[each.key_id or ""] for each in was.segments] == [each.key_id for each in new.segments]
    names = {track.playlist for track in new.video}
    for name in names:
        (tmp_path / "old").mkdir(exist_ok=True)
        shown = read_barcodes(joined(second, several, name, tmp_path))
        assert shown == read_barcodes(joined(first, several, name, tmp_path / "old"))
    assert {KeyStore(several.keys).get(key_id).content_id for key_id in new.keys} == {"film"}
    assert run(clip, several, content_id="film").unchanged


def test_it_can_be_interrupted(house: House) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Interrupted):
        rekey(WHOLE, house.settings, cancel=cancel)
    assert house.states == {FIRST: "live"}
    assert house.objects().keys() == {FIRST}
