"""transfer: a title lies at another target, under the same keys, and nothing was encoded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests import servers
from tests.lifecycle_support import FIRST, TITLE, House
from tests.title_support import Encoded
from vidpipe.catalog.published_at import target_of
from vidpipe.errors import UsageError, VerificationFailed
from vidpipe.lifecycle.scrub import ScrubRequest, scrub
from vidpipe.lifecycle.titles import TitleRequest
from vidpipe.lifecycle.transfer import TransferRequest, transfer
from vidpipe.lifecycle.withdrawal import withdraw
from vidpipe.settings import Settings
from vidpipe.storage import open_storage

MOVE = TransferRequest(content_id=TITLE)


@pytest.fixture
def house(tmp_path: Path, encoded_title: Encoded) -> House:
    return House(tmp_path, encoded_title)


def to(house: House, target: str) -> Settings:
    return house.settings.model_copy(update={"target": target})


def test_a_title_moves_to_another_folder(house: House, tmp_path: Path) -> None:
    there = to(house, str(tmp_path / "there"))
    planned = transfer(MOVE.model_copy(update={"dry_run": True}), there)
    assert (planned.record, planned.objects) == (None, len(house.inventory.entries))
    assert not (tmp_path / "there" / TITLE).exists()
    done = transfer(MOVE, there)
    assert done.record
    assert target_of(done.record) == str(tmp_path / "there")
    assert done.record.encryption == house.record.encryption
    assert house.states == {done.record.version: "live", FIRST: "superseded"}
    for path in house.inventory.entries:
        new = tmp_path / "there" / TITLE / done.record.version / path
        assert new.read_bytes() == house.file(FIRST, path).read_bytes()
    assert scrub(ScrubRequest(title=TITLE, full=True), there).address
    assert house.shown == FIRST, "the old address plays what lies beside it"
    (tmp_path / "there" / TITLE / "master.m3u8").unlink()  # killed before it was written
    again = transfer(MOVE, there)
    assert (again.record, again.objects) == (again.replaced, 0)
    assert scrub(ScrubRequest(title=TITLE), there).address
    withdraw(TitleRequest(content_id=TITLE), there)
    assert house.shown is None, "nor does the old address play it any more"


def test_a_damaged_object_moves_nowhere(house: House, tmp_path: Path) -> None:
    file = house.file(FIRST, next(path for path in house.inventory.entries if path.endswith(".m4s")))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(VerificationFailed, match="not the one that was published"):
        transfer(MOVE, to(house, str(tmp_path / "there")))
    assert house.states == {FIRST: "live"}
    assert not list((tmp_path / "there" / TITLE).glob("*/"))


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


def test_an_unknown_title(house: House, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no title 'flim'"):
        transfer(TransferRequest(content_id="flim"), to(house, str(tmp_path / "there")))
