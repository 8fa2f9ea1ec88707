"""transfer: a title lies at another target, under the same keys, and nothing was encoded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests import servers
from tests.ingest_support import Recorder
from tests.lifecycle_support import FIRST, TITLE, House
from tests.title_support import KEY, Encoded
from vidpipe.catalog.published_at import storage_of, target_of
from vidpipe.catalog.record import Record
from vidpipe.errors import PublishFailed, UsageError, VerificationFailed
from vidpipe.lifecycle.redescription import RedescribeRequest, redescribe
from vidpipe.lifecycle.repair import RepairRequest, repair
from vidpipe.lifecycle.scrub import ScrubRequest, scrub
from vidpipe.lifecycle.titles import TitleRequest
from vidpipe.lifecycle.transfer import TransferRequest, transfer
from vidpipe.lifecycle.withdrawal import withdraw
from vidpipe.manifest.key_uri import key_uri
from vidpipe.progress import Silent
from vidpipe.publish.result import PublishedObject
from vidpipe.publish.upload import publish_object
from vidpipe.settings import Settings
from vidpipe.storage import open_storage
from vidpipe.storage.local import LocalStorage
from vidpipe.storage.s3 import S3Storage

MOVE = TransferRequest(content_id=TITLE)


@pytest.fixture
def house(tmp_path: Path, encoded_title: Encoded) -> House:
    return House(tmp_path, encoded_title)


def to(house: House, target: str) -> Settings:
    return house.settings.model_copy(update={"target": target})


def test_a_title_moves_to_another_folder(house: House, tmp_path: Path) -> None:
    there = to(house, str(tmp_path / "there")).model_copy(update={"public_url": "https://media.example.com"})
    planned = transfer(MOVE.model_copy(update={"dry_run": True}), there)
    assert (planned.record, planned.objects, planned.dry_run) == (None, len(house.inventory.entries), True)
    assert not (tmp_path / "there" / TITLE).exists()
    done = transfer(MOVE, there)
    assert done.record
    assert target_of(done.record) == str(tmp_path / "there")
    assert done.record.playback.url == f"https://media.example.com/{TITLE}/{done.record.version}/master.m3u8"
    assert done.record.encryption == house.record.encryption
    assert house.states == {done.record.version: "live", FIRST: "superseded"}
    for path in house.inventory.entries:
        new = tmp_path / "there" / TITLE / done.record.version / path
        assert new.read_bytes() == house.file(FIRST, path).read_bytes()
    assert scrub(ScrubRequest(title=TITLE, full=True), there).address
    assert house.shown == FIRST, "the old address plays what lies beside it"
    (tmp_path / "there" / TITLE / "master.m3u8").unlink()  # killed before it was written
    again = transfer(MOVE, there)
    assert (again.record, again.objects, again.bytes, again.dry_run) == (again.replaced, 0, 0, False)
    assert transfer(MOVE.model_copy(update={"dry_run": True}), there).dry_run
    assert scrub(ScrubRequest(title=TITLE), there).address
    withdraw(TitleRequest(content_id=TITLE), there)
    assert house.shown is None, "nor does the old address play it any more"


def test_a_damaged_object_moves_nowhere(house: House, tmp_path: Path) -> None:
    file = house.file(FIRST, next(path for path in house.inventory.entries if path.endswith(".m4s")))
    with pytest.raises(UsageError, match="no such ffmpeg"):  # what has arrived is decoded
        transfer(MOVE, to(house, str(tmp_path / "there")).model_copy(update={"ffmpeg": "/no/ffmpeg"}))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(VerificationFailed, match="not the one that was published") as failed:
        transfer(MOVE, to(house, str(tmp_path / "there")))
    assert failed.value.where == str(file)
    assert house.states == {FIRST: "live"}
    assert not list((tmp_path / "there" / TITLE).glob("*/"))


def test_a_move_that_failed_goes_on_and_what_names_others_comes_last(
    tmp_path: Path, encoded_title: Encoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    relative, absolute = (key_uri(template, TITLE, KEY.key_id) for template in (None, "https://keys.example.com/{key_id}"))
    title = {"scheme": "cbcs", "alter": lambda _, text: text.replace(f'URI="{relative}"', f'URI="{absolute}"')}
    house = House(tmp_path, encoded_title, title=title)
    there = to(house, str(tmp_path / "there")).model_copy(update={"upload_workers": 1})
    put = LocalStorage.put

    def fails(self: LocalStorage, path: str, data: object, **options: object) -> None:
        if path.endswith((".m3u8", ".mpd")):
            raise PublishFailed("the disk is full")
        put(self, path, data, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "put", fails)
        with pytest.raises(PublishFailed, match="the disk is full"):
            transfer(MOVE, there)
    (version,) = (tmp_path / "there" / TITLE).iterdir()
    names = {path for path in house.inventory.entries if path.endswith((".m3u8", ".mpd"))}
    assert {file.relative_to(version).as_posix() for file in version.rglob("*") if file.is_file()} == {*house.inventory.entries} - names
    damaged = house.inventory.video[0].segments[0].uri
    (version / damaged).write_bytes(b"x")
    recorder = Recorder()
    done = transfer(MOVE, there, recorder)
    assert done.record
    assert (done.record.version, target_of(done.record)) == (version.name, str(tmp_path / "there"))
    assert {event.path for event in recorder.named("uploaded")} & {*house.inventory.entries} == names | {damaged}
    assert [event.version for event in recorder.named("live")] == [version.name]
    assert {event.content_id for event in recorder.events} == {TITLE}
    assert [event.stage for event in recorder.named("stage_started")][:2] == ["copy", "verify"]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    with servers.moto() as running:
        running.use(monkeypatch, tmp_path)
        yield f"s3://{running.bucket}/{tmp_path.name}"


def test_from_s3_to_a_folder_and_back(bucket: str, tmp_path: Path, encoded_title: Encoded) -> None:
    house = House(tmp_path, encoded_title)
    up = transfer(MOVE, to(house, bucket))
    assert up.record
    with closing(open_storage(bucket)) as storage:
        head = storage.head(f"{TITLE}/{up.record.version}/master.m3u8")
    assert head
    assert head.content_type == "application/vnd.apple.mpegurl"
    down = transfer(MOVE, to(house, str(tmp_path / "back")))
    assert down.record
    assert scrub(ScrubRequest(title=TITLE, full=True), house.settings).version == down.record.version


PACKED = "video-low.m3u8"


def with_packed(bucket: str, folder: Path, encoded: Encoded) -> tuple[House, bytes]:
    """Return a house whose title, live in its second version, has an object that lies compressed at S3; and what the object says."""
    house, second = House(folder, encoded, target=bucket), "20261121T000000Z-222222"
    with closing(open_storage(bucket)) as storage:
        text = storage.get(f"{TITLE}/{FIRST}/{PACKED}")

        def packed(version: str) -> PublishedObject:
            return publish_object(storage, f"{TITLE}/{version}", PACKED, text, reporter=Silent(), gzip=True)

        house.publish(second, age=1, inventory=house.inventory.with_objects([packed("first")]))
        assert packed(second).content_encoding == "gzip"
    return house, text


def test_what_lies_compressed_at_s3_is_unpacked_for_a_folder(bucket: str, tmp_path: Path, encoded_title: Encoded) -> None:
    house, text = with_packed(bucket, tmp_path, encoded_title)
    done = transfer(MOVE, to(house, str(tmp_path / "there")))
    assert done.record
    assert (tmp_path / "there" / TITLE / done.record.version / PACKED).read_bytes() == text


@pytest.mark.nightly
def test_what_lies_compressed_at_s3_stays_so_in_every_version_there(
    bucket: str, tmp_path: Path, encoded_title: Encoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, _ = with_packed(bucket, tmp_path, encoded_title)

    def encoding(record: Record | None) -> str | None:
        assert record
        with closing(storage_of(record)) as storage:
            stored = storage.head(f"{TITLE}/{record.version}/{PACKED}")
        return stored.content_encoding if stored else None

    copied = S3Storage.copy
    with monkeypatch.context() as patch:  # what is not copied is read and sent
        patch.setattr(S3Storage, "copy", lambda self, source, at, *, size: not at.endswith(PACKED) and copied(self, source, at, size=size))
        sent = redescribe(RedescribeRequest(content_id=TITLE, title="B"), house.settings).record
    assert encoding(sent) == "gzip"
    with closing(open_storage(bucket)) as storage:
        storage.delete(f"{TITLE}/{sent.version if sent else ''}/{PACKED}")
    assert [found.deed for found in repair(RepairRequest(content_id=TITLE), house.settings).found] == ["copied"], "of the version before"
    assert encoding(transfer(MOVE, to(house, f"{bucket}-there")).record) == "gzip"


def test_an_unknown_title(house: House, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no title 'flim'"):
        transfer(TransferRequest(content_id="flim"), to(house, str(tmp_path / "there")))
