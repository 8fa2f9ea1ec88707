"""scrub: a published version is still what was published, or it is said what is not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.ingest_support import Recorder
from tests.lifecycle_support import FIRST, TITLE, House
from tests.title_support import Encoded
from vidpipe import layout
from vidpipe.catalog.states import give_up_all
from vidpipe.errors import PublishFailed, UsageError, VerificationFailed
from vidpipe.lifecycle import proving
from vidpipe.lifecycle.scrub import ScrubRequest, record_at, scrub
from vidpipe.lifecycle.titles import TitleRequest
from vidpipe.lifecycle.withdrawal import withdraw
from vidpipe.storage.local import LocalStorage

SECOND = "20261121T000000Z-222222"


@pytest.fixture
def house(tmp_path: Path, encoded_title: Encoded) -> House:
    made = House(tmp_path, encoded_title)
    made.publish(SECOND, age=10)
    return made


def damage(house: House, path: str, version: str = SECOND) -> None:
    """Change one byte in the middle, and not the size."""
    file = house.file(version, path)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.unlink()  # it may be another name of the same file in another version
    file.write_bytes(data)


@pytest.mark.parametrize("full", [False, True])
def test_a_live_title_is_as_it_was_published(full: bool, house: House) -> None:
    recorder = Recorder()
    done = scrub(ScrubRequest(title=TITLE, full=full), house.settings, recorder)
    assert (done.version, done.status, done.address, done.full) == (SECOND, "live", True, full)
    assert [(event.stage, event.content_id) for event in recorder.named("stage_started")] == [("verify", TITLE)]
    assert done.proof.objects == len(house.inventory.entries)
    assert done.proof.bytes is not None
    assert (done.proof.bytes == sum(entry.size for entry in house.inventory.entries.values())) == full, "every byte is read, or both ends"
    without = house.settings.model_copy(update={"ffmpeg": "/no/ffmpeg"})
    with pytest.raises(UsageError, match="no such ffmpeg") if full else nullcontext():  # nothing is decoded but in full
        scrub(ScrubRequest(title=TITLE, full=full), without)


def test_a_version_is_verified_where_it_lies(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = house.file(FIRST, "master.m3u8").parent
    monkeypatch.chdir(folder)
    for where in (folder, f"{folder}/", folder / "master.m3u8", folder / "manifest.mpd", "."):
        done = scrub(ScrubRequest(title=str(where)), house.settings)
        assert (done.version, done.status, done.address) == (FIRST, None, None)
    title = folder.parent
    for where in (title, title / "master.m3u8"):  # what its address plays
        assert scrub(ScrubRequest(title=str(where)), house.settings).version == SECOND


def test_a_version_that_was_moved_by_other_means_is_verified_where_it_lies(house: House, tmp_path: Path) -> None:
    shutil.copytree(house.file(FIRST, ".").parent, tmp_path / "elsewhere" / TITLE)
    there = tmp_path / "elsewhere" / TITLE / FIRST
    done = scrub(ScrubRequest(title=str(there)), house.settings)
    assert (done.version, done.target) == (FIRST, str(tmp_path / "elsewhere"))
    assert record_at(str(there)).playback.dash is None
    record = house.record.model_copy(update={"playback": house.record.playback.model_copy(update={"dash": "/before/manifest.mpd"})})
    (there / layout.RECORD).write_text(record.model_dump_json())
    assert record_at(str(there)).playback.dash == str(there / layout.MPD)
    renamed = there.rename(there.with_name("20261122T000000Z-333333"))
    with pytest.raises(UsageError, match=f"its record is that of {TITLE}/{FIRST}"):
        scrub(ScrubRequest(title=str(renamed)), house.settings)
    (renamed / layout.RECORD).write_text("{}")
    with pytest.raises(VerificationFailed, match="its record is damaged") as failed:
        scrub(ScrubRequest(title=str(renamed)), house.settings)
    assert failed.value.where == str(renamed / layout.RECORD)


@pytest.mark.parametrize("other", ["of one track", "of several versions", "of nothing"])
def test_an_address_that_plays_no_version(other: str, house: House) -> None:
    address = Path(house.settings.target) / layout.address(TITLE)
    head, found, rest = address.read_text().rpartition(SECOND)
    text = {
        "of one track": house.file(FIRST, house.inventory.video[0].playlist).read_text(),
        "of several versions": f"{head}{FIRST}{rest}",
        "of nothing": "",
    }[other]
    assert found
    address.write_text(text)
    with pytest.raises(UsageError, match="there is no published version here") as failed:
        scrub(ScrubRequest(title=str(address)), house.settings)
    assert failed.value.where == str(address)


@pytest.mark.parametrize("what", ["replaced", "withdrawn"])
def test_a_version_may_stop_being_live_while_it_is_read(what: str, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    prove = proving.prove

    def slow(*args: Any, **options: Any) -> proving.ProvenVersion:
        if what == "replaced":
            house.publish("20261122T000000Z-333333", age=0)
        else:
            withdraw(TitleRequest(content_id=TITLE), house.settings)
        return prove(*args, **options)

    monkeypatch.setattr("vidpipe.lifecycle.scrub.prove", slow)
    assert scrub(ScrubRequest(title=TITLE), house.settings).version == SECOND


@pytest.fixture
def site(house: House) -> Iterator[servers.Web]:
    """A web server that shows the target."""
    target = Path(house.settings.target)
    with servers.web() as server:
        files = (path for path in target.rglob("*") if path.is_file())
        server.files = {f"/vod/{path.relative_to(target).as_posix()}": path.read_bytes() for path in files}
        yield server


def test_a_version_is_verified_as_a_web_server_shows_it(site: servers.Web, house: House) -> None:
    for where, full in ((f"{TITLE}/master.m3u8", False), (f"{TITLE}/{SECOND}/master.m3u8", True), (f"{TITLE}/{SECOND}/", False)):
        recorder = Recorder()
        done = scrub(ScrubRequest(title=f"{site.url}/vod/{where}", full=full), house.settings, recorder)
        assert [event.stage for event in recorder.named("stage_started")] == ["verify"]
        assert (done.version, done.status, done.address, done.target) == (SECOND, None, None, f"{site.url}/vod")
        assert done.proof.objects == len(house.inventory.entries)


def test_a_web_server_that_shows_other_bytes_is_found(site: servers.Web, house: House) -> None:
    path = next(path for path in house.inventory.entries if path.endswith(".m4s"))
    shown = f"/vod/{TITLE}/{SECOND}/{path}"
    data = site.files[shown]
    for wrong in (data[:-1] + bytes([data[-1] ^ 1]), data[:-16], None):
        site.files = {name: content for name, content in {**site.files, shown: wrong}.items() if content is not None}
        for full in (False, True):
            with pytest.raises(VerificationFailed) as failed:
                scrub(ScrubRequest(title=f"{site.url}/vod/{TITLE}/master.m3u8", full=full), house.settings)
            assert str(failed.value.where) == f"{site.url}{shown}"


def test_what_no_web_server_can_show_is_refused(site: servers.Web, house: House) -> None:
    for address, says in {
        f"{site.url}/vod/nothing": "there is no published version here",
        f"{site.url.replace('//', '//name:secret@')}/vod/{TITLE}": "has a password, a query or a fragment",
        f"{site.url}/vod/{TITLE}?token=secret": "has a password, a query or a fragment",
        f"https://media.example.com/vod/{TITLE}?token=secret": "has a password, a query or a fragment",
    }.items():
        with pytest.raises(UsageError, match=says) as refused:
            scrub(ScrubRequest(title=address), house.settings)
        assert "secret" not in "\n".join(refused.value.lines())
    shutil.rmtree(house.settings.keys)
    with pytest.raises(UsageError, match="key"):
        scrub(ScrubRequest(title=f"{site.url}/vod/{TITLE}/master.m3u8"), house.settings)


@pytest.mark.parametrize("denied", [True, False], ids=["403", "404"])
def test_a_server_that_hides_the_record_is_named(denied: bool, site: servers.Web, house: House) -> None:
    if denied:
        site.denied = (".json",)
    else:
        site.files = {path: data for path, data in site.files.items() if not path.endswith(".json")}
    for where in (f"{TITLE}/master.m3u8", f"{TITLE}/{SECOND}/"):
        with pytest.raises(PublishFailed, match=r"the server does not show record\.json") as failed:
            scrub(ScrubRequest(title=f"{site.url}/vod/{where}"), house.settings)
        assert (failed.value.exit_code, failed.value.where) == (5, f"{site.url}/vod/{TITLE}/{SECOND}/record.json")


def test_a_server_that_shows_the_address_of_a_title_everywhere_is_no_endless_way_down(site: servers.Web, house: House) -> None:
    address = site.files[f"/vod/{TITLE}/master.m3u8"]
    everywhere = f"/vod/{TITLE}"
    for _ in range(5):
        site.files[f"{everywhere}/master.m3u8"] = address
        site.files.pop(f"{everywhere}/record.json", None)
        everywhere += f"/{SECOND}"
    site.asked.clear()
    with pytest.raises(PublishFailed, match="does not show"):
        scrub(ScrubRequest(title=f"{site.url}/vod/{TITLE}/"), house.settings)
    assert not any(path.count(SECOND) > 1 for _, path, _ in site.asked)


def test_an_object_that_never_ends_is_another_one(site: servers.Web, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    site.endless = next(path for path in house.inventory.entries if path.endswith(".m4s"))
    with pytest.raises(VerificationFailed, match="another size"):
        scrub(ScrubRequest(title=f"{site.url}/vod/{TITLE}/", full=True), house.settings)
    monkeypatch.setattr("vidpipe.storage.web_server.LARGEST", 10**6)
    monkeypatch.setattr("vidpipe.storage.web_server.LARGEST_TEXT", 10**6)
    with pytest.raises(PublishFailed, match="sends more than 1000000 bytes"):
        scrub(ScrubRequest(title=f"{site.url}/vod/{TITLE}/"), house.settings)
    site.endless = "record.json"
    with pytest.raises(PublishFailed, match="sends more than 1000000 bytes"):
        scrub(ScrubRequest(title=f"{site.url}/vod/{TITLE}/"), house.settings)


def test_everything_that_is_lost_is_named_at_once(house: House) -> None:
    lost = sorted(path for path in house.inventory.entries if path.endswith((".m4s", "init.mp4")))[:3]
    for path in lost:
        house.file(SECOND, path).unlink()
    with pytest.raises(VerificationFailed, match=rf"{len(lost)} objects of version {SECOND}") as failed:
        scrub(ScrubRequest(title=TITLE), house.settings)
    assert list(failed.value.details) == lost
    assert [found.advice for found in failed.value.diagnostics()] == [failed.value.fix] * len(lost)
    assert all(path in found.message for path, found in zip(lost, failed.value.diagnostics(), strict=True))


@pytest.mark.parametrize("more", [0, 2])
def test_of_many_that_are_lost_a_message_names_some(more: int, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = sorted([*house.inventory.entries, layout.RECORD])
    lost = [layout.RECORD, *(path for path in entries if path.endswith(".m4s"))][: 3 + more]
    monkeypatch.setattr("vidpipe.lifecycle.scrub.MOST_SHOWN", 3)
    for path in lost:
        house.file(SECOND, path).unlink()
    with pytest.raises(VerificationFailed) as failed:
        scrub(ScrubRequest(title=TITLE), house.settings)
    assert list(failed.value.details) == [*sorted(lost)[:3], *([f"and {more} more"] if more else [])]
    assert str(failed.value.where).endswith(f"{TITLE}/{SECOND}")


@pytest.mark.parametrize("full", [False, True])
def test_a_damaged_byte_is_found(full: bool, house: House) -> None:
    path = next(path for path in house.inventory.entries if path.endswith(".m4s"))
    damage(house, path)
    with pytest.raises(VerificationFailed) as failed:
        scrub(ScrubRequest(title=TITLE, full=full), house.settings)
    assert str(failed.value.where).endswith(path)


def test_an_address_that_plays_another_version_is_found(house: House) -> None:
    with closing(house.open()) as storage:
        text = storage.get(layout.address(TITLE)).replace(SECOND.encode(), FIRST.encode())
    (Path(house.settings.target) / layout.address(TITLE)).write_bytes(text)
    with pytest.raises(VerificationFailed, match="does not play its live version") as failed:
        scrub(ScrubRequest(title=TITLE), house.settings)
    assert "vidpipe repair" in str(failed.value.fix)
    assert failed.value.where == str(Path(house.settings.target) / layout.address(TITLE))


def test_a_target_that_fails_is_not_taken_for_one_without_a_version(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> bytes:
        raise PublishFailed("cannot read: the server failed")

    monkeypatch.setattr(LocalStorage, "get", fails)
    with pytest.raises(PublishFailed, match="the server failed"):
        scrub(ScrubRequest(title=str(house.file(FIRST, ""))), house.settings)


def test_a_withdrawn_title_can_be_verified_too(house: House) -> None:
    withdraw(TitleRequest(content_id=TITLE), house.settings)
    done = scrub(ScrubRequest(title=TITLE), house.settings)
    assert (done.status, done.address) == ("withdrawn", None)
    with house.catalog() as catalog:
        catalog.change(TITLE, give_up_all)
    with pytest.raises(UsageError, match=f"{TITLE} has no live version"):
        scrub(ScrubRequest(title=TITLE), house.settings)


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("flim", "there is no title 'flim'"),
        ("./nowhere", "there is no published version here"),
    ],
)
def test_what_is_no_published_version(where: str, what: str, house: House) -> None:
    with pytest.raises(UsageError, match=what):
        scrub(ScrubRequest(title=where), house.settings)
