"""restore: what a target has lost of a live version is put back byte for byte, or replaced by a new version."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests import servers
from tests.ingest_support import FIXTURES, Recorder, joined, live, run, settings, tree, version
from tests.inventory_support import inventory
from tests.playback import barcodes
from vidpipe.catalog.compose import record_of
from vidpipe.catalog.record import SourceFile
from vidpipe.inventory import Inventory, Objects, read_inventory
from vidpipe.inventory.model import MadeChunk
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.pipeline.ingest import IngestRequest, IngestResult, ingest, prepare
from vidpipe.pipeline.making import EncodedVersion, MadeVersion, RunContext
from vidpipe.pipeline.restore import Differs, as_made, check_put_back, restoring
from vidpipe.pipeline.sealing import Loss
from vidpipe.progress import Silent, Stages
from vidpipe.protect.key_source import DrmSignal
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.key_uses import KeyUse
from vidpipe.publish.result import PublishedObject
from vidpipe.settings import Settings
from vidpipe.storage.local import LocalStorage


def _remove(*names: str) -> Callable[[Path], int]:
    def lose(folder: Path) -> int:
        for name in names:
            (folder / name).unlink()
        return len(names)

    return lose


def _cut(name: str) -> Callable[[Path], int]:
    def lose(folder: Path) -> int:
        (folder / name).write_bytes((folder / name).read_bytes()[:-16])
        return 1

    return lose


LOSSES = {
    "a segment": _remove("video/90p/00002.m4s"),
    "a cut segment": _cut("video/90p/00001.m4s"),
    "an init section": _remove("audio/und/init.mp4"),
    "playlists": _remove("master.m3u8", "video-90p.m3u8"),
    "thumbnails": _remove("thumbnails/poster.jpg", "thumbnails/sprite-001.jpg"),
    "the record": _remove("record.json"),
    "a cut record": _cut("record.json"),
    "a segment and the record": _remove("audio/und/00001.m4s", "record.json"),
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, IngestResult]:
    """A title of two chunks that was published once; each test takes a copy of nothing and leaves it whole."""
    folder = tmp_path_factory.mktemp("original")
    configured = settings(folder, 90, threads=1)
    return configured, run(FIXTURES / "portrait-25.mp4", configured, content_id="film")


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES.keys())
def test_what_a_target_has_lost_is_put_back(lose: Callable[[Path], int], original: tuple[Settings, IngestResult]) -> None:
    configured, first = original
    before = tree(version(first))
    lost = lose(version(first))
    recorder = Recorder()
    again = ingest(IngestRequest(source=str(FIXTURES / "portrait-25.mp4"), content_id="film"), configured, recorder)
    assert again.restored == lost == len(recorder.named("uploaded"))
    assert not again.unchanged
    assert again.record == first.record == live(configured, "film")
    assert tree(version(first)) == before, "the same version, byte for byte"
    assert any("lost or damaged" in text for text in recorder.warnings)
    assert run(FIXTURES / "portrait-25.mp4", configured, content_id="film").unchanged


def test_what_lies_beside_a_version_is_no_loss(original: tuple[Settings, IngestResult]) -> None:
    configured, first = original
    (version(first) / ".DS_Store").write_bytes(b"a file manager was here")
    assert run(FIXTURES / "portrait-25.mp4", configured, content_id="film").unchanged
    (version(first) / ".DS_Store").unlink()


def test_what_is_lost_is_encoded_again_if_its_chunks_are_gone(original: tuple[Settings, IngestResult]) -> None:
    """One thread gives the same bytes each time, so the version stays the same."""
    configured, first = original
    before = tree(version(first))
    shutil.rmtree(configured.work / "chunks")
    (version(first) / "video/90p/00002.m4s").unlink()
    again = run(FIXTURES / "portrait-25.mp4", configured, content_id="film")
    assert (again.restored, again.artifacts_reused) == (1, 0)
    assert tree(version(first)) == before


@pytest.mark.parametrize(
    ("then", "now"),
    [
        pytest.param({"threads": 1}, {"threads": 3}, id="with other threads"),
        pytest.param({"threads": 1}, {"threads": 1, "chunk_seconds": Fraction(2)}, id="in other chunks"),
    ],
)
def test_it_is_encoded_as_it_once_was(then: dict[str, Any], now: dict[str, Any], tmp_path: Path) -> None:
    """Frame threads, and where a chunk begins, shape the bytes: the inventory says how it was.

    With several threads x264, held to a rate, need not give the same twice (ultrafast, 3 threads: one of six runs was as the first).
    """
    first = run(FIXTURES / "portrait-25.mp4", settings(tmp_path, 360, **then), content_id="film")
    before = tree(version(first))
    other = settings(tmp_path, 360, **now)
    shutil.rmtree(other.work / "chunks")
    (version(first) / "video/360p/00002.m4s").unlink()
    again = run(FIXTURES / "portrait-25.mp4", other, content_id="film")
    assert (again.restored, again.artifacts_reused) == (1, 0)
    assert tree(version(first)) == before


def test_a_version_that_does_not_say_how_it_was_encoded_is_encoded_as_now(original: tuple[Settings, IngestResult]) -> None:
    configured, _ = original
    made = prepare(IngestRequest(source=str(FIXTURES / "portrait-25.mp4")), configured)
    run_ = RunContext(configured, FFmpeg("ffmpeg", "1"), Stages(Silent()), threading.Event())
    plain = replace(run_, i_frames=False)
    assert as_made(made, run_, Loss(inventory(), frozenset())) == (made, plain)
    assert as_made(made, run_, Loss(Objects(objects={}), frozenset())) == (made, plain)
    frames = sum(chunk.frames for chunk in made.chunks)
    chunks = (MadeChunk(frames=50, threads=2), MadeChunk(frames=frames - 50, threads=3))
    then, so = as_made(made, run_, Loss(inventory(chunks=chunks), frozenset()))
    assert [(chunk.index, chunk.start, chunk.frames) for chunk in then.chunks] == [(0, 0, 50), (1, 50, frames - 50)]
    assert then.model_copy(update={"chunks": made.chunks}) == made
    assert so == replace(plain, threads=(2, 3))


def test_a_compressed_playlist_is_put_back_compressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with servers.moto() as server:
        server.use(monkeypatch, tmp_path)
        configured = settings(tmp_path, 90, threads=1, target=f"s3://{server.bucket}/vod", gzip_playlists=True)
        first = run(FIXTURES / "portrait-25.mp4", configured, content_id="film")
        at = {"Bucket": server.bucket, "Key": f"vod/film/{first.record.version}/video-90p.m3u8"}
        with closing(boto3.session.Session().client("s3")) as client:
            before = client.get_object(**at)["Body"].read()
            client.delete_object(**at)
            again = run(FIXTURES / "portrait-25.mp4", configured, content_id="film")
            assert (again.restored, again.record) == (1, first.record)
            stored = client.get_object(**at)
            assert (stored["Body"].read(), stored["ContentEncoding"]) == (before, "gzip")


WHY = {"other bytes": "(video/90p/00001.m4s)", "no inventory": "(inventory.json)", "no key": "there is no key"}


@pytest.mark.parametrize(("why", "says"), WHY.items(), ids=WHY.keys())
def test_what_cannot_become_whole_is_replaced_and_never_changed(why: str, says: str, tmp_path: Path) -> None:
    configured = settings(tmp_path, 90, threads=1)
    source = FIXTURES / "portrait-25.mp4"
    first = run(source, configured, content_id="film")
    lost = version(first) / "video/90p/00001.m4s"
    lost.unlink()
    if why == "other bytes":  # as of an encoder with several threads, whose chunks were cleaned away: it need not give the same again
        inventory = read_inventory((version(first) / "inventory.json").read_bytes())
        assert isinstance(inventory, Inventory)
        (track,) = inventory.video
        segments = (replace(track.segments[0], sha256="0" * 64), *track.segments[1:])
        changed = inventory.model_copy(update={"video": (track.model_copy(update={"segments": segments}),)})
        (version(first) / "inventory.json").write_text(changed.model_dump_json())
    elif why == "no inventory":
        (version(first) / "inventory.json").write_text("{")
    else:
        shutil.rmtree(configured.keys)
    before = tree(version(first))
    recorder = Recorder()
    again = ingest(IngestRequest(source=str(source), content_id="film"), configured, recorder)
    assert again.record.version != first.record.version
    assert live(configured, "film") == again.record
    assert tree(version(first)) == before, "nothing of a version that players may hold is changed"
    assert any("publishing a new version" in text and says in text for text in recorder.warnings), recorder.warnings
    assert barcodes.read_barcodes(joined(again, configured, "video-90p.m3u8", tmp_path)) == list(range(75))


def test_an_object_that_the_inventory_does_not_name_is_never_added(tmp_path: Path) -> None:
    configured, source = settings(tmp_path, 90, threads=1), FIXTURES / "portrait-25.mp4"
    first = run(source, configured, content_id="film")
    inventory = read_inventory((version(first) / "inventory.json").read_bytes())
    objects = {path: entry for path, entry in inventory.objects.items() if path != "thumbnails/poster.jpg"}
    (version(first) / "inventory.json").write_text(inventory.model_copy(update={"objects": objects}).model_dump_json())
    for name in ("thumbnails/poster.jpg", "master.m3u8"):
        (version(first) / name).unlink()
    before = tree(version(first))
    again = run(source, configured, content_id="film")
    assert live(configured, "film") == again.record != first.record
    assert tree(version(first)) == before
    known = read_inventory((version(again) / "inventory.json").read_bytes())  # nor is a version live of which nobody can make all
    more = {**known.objects, "old.m3u8": known.objects["master.m3u8"]}
    (version(again) / "inventory.json").write_text(known.model_copy(update={"objects": more}).model_dump_json())
    last = run(source, configured, content_id="film")
    assert (last.restored, live(configured, "film") == last.record != again.record) == (0, True)


def test_damage_that_a_listing_does_not_show_beside_a_loss_gives_a_new_version(tmp_path: Path) -> None:
    configured, source = settings(tmp_path, 90, threads=1), FIXTURES / "portrait-25.mp4"
    first = run(source, configured, content_id="film")
    damaged = version(first) / "video/90p/00002.m4s"
    damaged.write_bytes(bytes(damaged.stat().st_size))
    (version(first) / "thumbnails/poster.jpg").unlink()
    again = run(source, configured, content_id="film")
    assert live(configured, "film") == again.record != first.record
    assert run(source, configured, content_id="film").unchanged


def test_a_version_is_made_again_under_its_keys_with_what_drm_systems_said_of_them(tmp_path: Path) -> None:
    """Init sections and playlists hold it. Without, they would be other bytes, and the whole title would be published anew."""
    storage, keys, uses = LocalStorage(tmp_path / "vod"), KeyStore(tmp_path / "keys", bytes(32)), (KeyUse(),)
    key = keys.create("film")
    said = (DrmSignal(key_id=key.key_id, system_id="edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", pssh="AAAA"),)
    known = inventory(keys=(key.key_id,), drm=said)
    known = known.model_copy(update={"objects": known.objects | {"manifest.mpd": known.objects["master.m3u8"]}})
    source = SourceFile(name="film.mp4", sha256="ab" * 32, size=1)
    record = record_of(known, source, title="Film", metadata={}, location=storage.location)
    for objects, signals in ((known, said), (Objects(objects=dict(known.entries)), ())):  # of an older vidpipe, which knew no DRM
        segment, gone = known.video[0].segments[0], known.audio[0].segments[0]
        again = restoring(record, Loss(objects, frozenset({"master.m3u8", gone.uri})), storage, keys, uses, gzip=True)
        assert (again.storage, again.content_id, again.version, again.gzip) == (storage, "film", known.version, True)
        assert (again.protection.scheme.name, again.protection.keys.keys) == ("aes-128", (key,))
        assert again.protection.keys.signals == signals
        assert again.kept is not None
        lost = PublishedObject(path="master.m3u8", **dict(known.objects["master.m3u8"]))
        assert again.kept.object(lost) is None, "it is written"
        other = {"sha256": "0" * 64}
        with pytest.raises(Differs, match=r"master.m3u8"):
            again.kept.object(lost.model_copy(update=other))
        with pytest.raises(Differs, match="never"):
            again.kept.object(lost.model_copy(update={"path": "never"}))
        left = lost.model_copy(update={"path": "manifest.mpd"})
        assert again.kept.object(left.model_copy(update=other)) == left, "what is not lost stays as it was published"
        assert (again.kept.segment(segment), again.kept.segment(gone)) == (segment, None)
        with pytest.raises(Differs, match=gone.uri):
            again.kept.segment(replace(gone, **other))
        if isinstance(objects, Inventory):
            assert again.kept.segment(replace(segment, iv="F" * 32, **other)) == segment
        else:
            with pytest.raises(Differs, match=segment.uri):  # nobody knows its IV
                again.kept.segment(replace(segment, **other))
    with pytest.raises(Differs, match=r"master.m3u8"):  # the plan of today needs more keys than the version has
        restoring(record, Loss(known, frozenset()), storage, keys, (*uses, *uses), gzip=True)
    made = MadeVersion(record, known, EncodedVersion(), 0)
    check_put_back(Loss(known, frozenset({"master.m3u8", "record.json"})), made)
    with pytest.raises(Differs, match=r"old.m3u8"):  # nothing makes it today
        check_put_back(Loss(known, frozenset({"master.m3u8", "old.m3u8"})), made)
