"""inventory: what finishes a version is read back before it is live, and what a target loses of it later is noticed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import pytest

from tests.faults.server import Asked, Fault, FaultServer, fault_server
from tests.ingest_support import FIXTURES, key_of, live, run, settings, tree, version
from vidpipe.catalog.record import Record
from vidpipe.errors import VerificationFailed
from vidpipe.inventory import Inventory, read_inventory
from vidpipe.manifest.hls import playlists
from vidpipe.pipeline.ingest import IngestRequest, prepare
from vidpipe.pipeline.sealing import loss
from vidpipe.storage import open_storage

CLIP = FIXTURES / "one-second.mp4"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FaultServer]:
    with fault_server() as running:
        running.client.use(monkeypatch, tmp_path)
        yield running


@pytest.mark.parametrize(
    ("name", "fault", "times"),
    [
        ("record.json", Fault.LOST, 99),
        ("inventory.json", Fault.TORN, 1),
    ],  # others befall in tests/test_fault_schedules.py
)
def test_a_put_that_is_answered_and_not_done_is_never_live(
    name: str, fault: Fault, times: int, server: FaultServer, tmp_path: Path
) -> None:
    left = [times]

    def some(asked: Asked) -> Fault | None:
        if asked.operation == "PutObject" and asked.key.endswith(name) and left[0]:
            left[0] -= 1
            return fault
        return None

    server.begin(some)
    configured = settings(tmp_path, 90, target="s3://titles/vod", encrypt="none")
    if times > 1:
        with pytest.raises(VerificationFailed) as refused:
            run(CLIP, configured, content_id="film")
        assert name in str(refused.value)
        assert live(configured, "film") is None
        return
    result = run(CLIP, configured, content_id="film")
    with closing(open_storage(configured.target)) as storage:
        found = loss(storage, result.record)
        assert found is not None
        assert not found.paths
        assert Record.model_validate_json(storage.get(f"film/{result.record.version}/record.json")) == result.record
    assert left == [0]


def test_the_inventory_names_every_object(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    result = run(CLIP, configured)
    names = set(tree(version(result)))
    inventory = read_inventory((version(result) / "inventory.json").read_bytes())
    assert isinstance(inventory, Inventory)
    assert set(inventory.entries) == names - {"inventory.json", "record.json"}
    assert all((version(result) / name).stat().st_size == entry.size for name, entry in inventory.entries.items())


def test_each_chunk_has_the_threads_that_it_was_encoded_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidpipe.encode.scheduler.cores_here", lambda: 2)
    lengths = dict.fromkeys(("gop_seconds", "segment_seconds", "chunk_seconds"), Fraction(5))
    result = run(FIXTURES / "landscape-24.mp4", settings(tmp_path, 90, **lengths))
    inventory = read_inventory((version(result) / "inventory.json").read_bytes())
    assert isinstance(inventory, Inventory)
    assert [chunk.threads for chunk in inventory.chunks] == [1, 1, 3]


def test_the_inventory_says_how_the_video_was_encoded(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90, threads=2)
    result = run(CLIP, configured)
    made = prepare(IngestRequest(source=str(CLIP)), configured)
    inventory = read_inventory((version(result) / "inventory.json").read_bytes())
    assert isinstance(inventory, Inventory)
    assert [(chunk.frames, chunk.threads) for chunk in inventory.chunks] == [(chunk.frames, 2) for chunk in made.chunks]
    titled = run(CLIP, settings(tmp_path, 90, threads=1), title="Another one")
    assert titled.copied
    later = read_inventory((version(titled) / "inventory.json").read_bytes())
    assert isinstance(later, Inventory)
    assert later.chunks == inventory.chunks, "of the version that it was taken over from"


def test_playlists_are_a_function_of_the_inventory_alone(tmp_path: Path) -> None:
    template = "https://keys.example.com/{content_id}/{key_id}"
    result = run(CLIP, settings(tmp_path, 90, key_url=template), content_id="film")
    data = (version(result) / "inventory.json").read_bytes()
    inventory = read_inventory(data)
    assert isinstance(inventory, Inventory)
    texts = playlists(inventory, template)
    assert texts == {name: text.decode() for name, text in tree(version(result)).items() if name.endswith(".m3u8")}
    assert list(texts)[-1] == "master.m3u8"
    assert data == inventory.model_dump_json(indent=1, exclude_none=True).encode(), "written in pieces, it is the same"
    assert read_inventory(inventory.model_dump_json().encode()) == inventory


def test_it_has_relative_paths_and_neither_keys_nor_words(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    result = run(CLIP, configured, content_id="film")
    text = (version(result) / "inventory.json").read_text()
    (key_id,) = result.record.encryption.key_ids
    assert key_of(configured)(key_id).hex() not in text.lower()
    assert str(tmp_path) not in text
    value = json.loads(text)
    assert (value["schema"], value["content_id"], value["version"], value["keys"]) == (
        *("vidpipe.inventory/1", "film", result.record.version),
        [key_id],
    )
    segment = value["video"][0]["segments"][0]
    assert segment["uri"] == "video/90p/00001.m4s"
    assert Fraction(segment["duration"]) == 1


def test_a_reader_ignores_what_a_later_version_adds(tmp_path: Path) -> None:
    result = run(CLIP, settings(tmp_path, 90), content_id="film")
    file = version(result) / "inventory.json"
    inventory, value = read_inventory(file.read_bytes()), json.loads(file.read_text())
    value["later"] = value["video"][0]["later"] = value["video"][0]["segments"][0]["later"] = [1]
    assert read_inventory(json.dumps(value).encode()) == inventory


def test_an_unchanged_title_on_s3_costs_five_requests(server: FaultServer, tmp_path: Path) -> None:
    configured = settings(tmp_path, 90, target="s3://titles/vod")
    first = run(CLIP, configured, content_id="film")
    server.log.clear()
    assert run(CLIP, configured, content_id="film").unchanged
    asked = [asked.operation for asked, _ in server.log]
    assert asked == ["ListObjectsV2", "GetObject", "GetObject", "HeadObject", "HeadObject"], "and both addresses"
    lost = f"vod/film/{first.record.version}/video/90p/00001.m4s"
    del server.objects[lost]
    server.log.clear()
    again = run(CLIP, configured, content_id="film")
    assert (again.restored, again.record) == (1, first.record)
    assert [asked.key for asked, _ in server.log if asked.operation == "PutObject"] == [lost]
