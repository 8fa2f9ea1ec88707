"""repair from the work space: what is lost of a live version is put back byte for byte, without its source and the flags of its ingest."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.ingest_support import FIXTURES, settings, tree, version
from tests.subtitle_support import Words, srt, subtitled
from vidpipe.encode.worker_pool import WorkerPool
from vidpipe.inventory import Inventory, read_inventory
from vidpipe.inventory.model import Objects
from vidpipe.lifecycle.repair import RepairRequest, repair
from vidpipe.lifecycle.scrub import ScrubRequest, scrub
from vidpipe.media.ffmpeg import find
from vidpipe.mp4.encryption import EncryptedSamples
from vidpipe.package.containers.webvtt import WebVtt
from vidpipe.package.cut import Cut
from vidpipe.package.result import Segment
from vidpipe.pipeline.ingest import IngestRequest, IngestResult, ingest
from vidpipe.settings import Settings
from vidpipe.work.jobs import claim

FILM = RepairRequest(content_id="film")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, IngestResult]:
    """A title of two chunks, made as one of a batch by an ffmpeg of another place, whose source is gone; later, other things are set."""
    folder = tmp_path_factory.mktemp("original")
    source = Path(shutil.copy(FIXTURES / "portrait-25.mp4", folder / "film.mp4"))
    other, bundled = folder / "ffmpeg", find().path
    other.write_text(f'#!/bin/sh\n[ "$2" = -version ] && {bundled} -version | sed "s/^ffmpeg version /&99/" && exit\nexec {bundled} "$@"\n')
    other.chmod(0o755)
    wanted = {"key_url": "https://keys.example.com/{key_id}", "session_keys": True}
    request, then = IngestRequest(source=str(source)), settings(folder, 90, ffmpeg=str(other), **wanted)
    made = ingest(request, then, workers=WorkerPool(2))
    source.unlink()
    return settings(folder, 144, chunk_seconds=8, ffmpeg=str(other)), made


def lose(folder: Path) -> dict[str, bytes]:
    """Lose objects of every kind, and damage one; return all as they were."""
    before = tree(folder)
    for name in ("video/90p/00001.m4s", "audio/und/init.mp4", "video-90p.m3u8", "thumbnails/poster.jpg"):
        (folder / name).unlink()
    data = before["audio/und/00001.m4s"]
    (folder / "audio/und/00001.m4s").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    return before


def test_what_is_lost_is_put_back_byte_for_byte(original: tuple[Settings, IngestResult]) -> None:
    configured, made = original
    folder = version(made)
    before = lose(folder)
    damaged = tree(folder)
    with claim(configured.work, "film"):  # as if its ingest were running
        (planned,) = repair(FILM.model_copy(update={"dry_run": True}), configured).found
        (busy,) = repair(FILM, configured).found
    assert (planned.deed, planned.is_well) == ("uploaded", True)
    assert (busy.deed, "they cannot be made from the work folder" in busy.what) == ("lost", True)
    assert tree(folder) == damaged
    (done,) = repair(FILM, configured).found
    assert done == planned
    assert "5 objects" in done.what
    assert done.what.endswith(", …"), "three are named"
    assert tree(folder) == before
    assert scrub(ScrubRequest(title="film", full=True), configured).version == made.record.version
    assert repair(FILM, configured).found == ()
    (folder / "master.m3u8").unlink()
    assert [found.deed for found in repair(FILM, configured).found if found.deed != "address"] == ["uploaded"]
    assert tree(folder) == before
    known = read_inventory(before["inventory.json"])
    (folder / "inventory.json").write_text(Objects(objects=dict(known.entries)).model_dump_json())
    (folder / "thumbnails/poster.jpg").unlink()
    (lost,) = repair(FILM, configured).found
    assert (lost.deed, "gives other bytes (inventory.json)" in lost.what) == ("lost", True), "one of before knows too little"
    (folder / "inventory.json").write_bytes(before["inventory.json"])
    for measured in (configured.work / "chunks").rglob("*.txt"):
        measured.unlink()
    (planned,) = repair(FILM.model_copy(update={"dry_run": True}), configured).found
    assert (planned.deed, "the work folder no longer has" in planned.what) == ("lost", True), "quality control looks at it again"


def test_what_a_later_vidpipe_writes_otherwise_stays_as_it_was_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of subtitles without the blank line after the last cue: all else can still be put back."""
    configured, write = settings(tmp_path, 90), WebVtt.write

    def as_before(self: WebVtt, cut: Cut, encrypted: EncryptedSamples | None = None) -> Segment:
        made = write(self, cut, encrypted)
        return replace(made, data=made.data[:-1]) if cut.cues else made

    words = srt(("00:00:00,200", "00:00:00,800", "Hello"))
    source = subtitled(tmp_path / "film.mkv", Words(words, language="eng"), video="one-second.mp4")
    with monkeypatch.context() as patch:
        patch.setattr(WebVtt, "write", as_before)
        folder = version(ingest(IngestRequest(source=str(source)), configured))
    before = tree(folder)
    for name in ("video/90p/00001.m4s", "subtitle-en-sub.m3u8", "master.m3u8"):
        (folder / name).unlink()
    (done,) = repair(FILM, configured).found
    assert done.deed == "uploaded", done.what
    assert tree(folder) == before, "playlists too: they name the IVs of what lies there"


def test_pieces_are_found_whatever_number_of_threads_they_had(tmp_path: Path) -> None:
    """The inventory says it: more than vidpipe would choose by itself, too."""
    source = FIXTURES / "one-second.mp4"
    folder = version(ingest(IngestRequest(source=str(source), content_id="film"), settings(tmp_path, 90, threads=17, encrypt="cbcs")))
    before = tree(folder)
    for name in ("video/90p/00001.m4s", "i-frames-90p.m3u8"):
        (folder / name).unlink()
    for dry_run in (True, False):
        (found,) = repair(FILM.model_copy(update={"dry_run": dry_run}), settings(tmp_path, 90, encrypt="cbcs")).found
        assert found.deed == "uploaded", found.what
    assert tree(folder) == before


def test_pieces_are_found_of_the_chunks_of_then(tmp_path: Path) -> None:
    """A new title takes the video over; the plan that is kept is that of its own settings."""
    request = IngestRequest(source=str(FIXTURES / "portrait-25.mp4"), content_id="film")
    ingest(request, settings(tmp_path, 90))
    later = settings(tmp_path, 90, chunk_seconds=2)
    folder = version(ingest(request.model_copy(update={"title": "Another"}), later))
    before = tree(folder)
    other = list(folder.parent.glob("*/video/90p/00002.m4s"))
    for path in other:
        path.unlink()
    (found,) = repair(FILM, later).found
    assert (len(other), found.deed) == (2, "uploaded"), found.what
    assert tree(folder) == before


def _without_chunks(configured: Settings, folder: Path) -> None:
    for file in (configured.work / "chunks").rglob("*.mp4"):
        file.unlink()


def _without_plan(configured: Settings, folder: Path) -> None:
    shutil.rmtree(configured.work / "plans")


def _without_keys(configured: Settings, folder: Path) -> None:
    shutil.rmtree(configured.keys)


def _other_bytes(configured: Settings, folder: Path) -> None:
    inventory = read_inventory((folder / "inventory.json").read_bytes())
    assert isinstance(inventory, Inventory)
    (track,) = inventory.video
    segments = (replace(track.segments[0], sha256="0" * 64), *track.segments[1:])
    changed = inventory.model_copy(update={"video": (track.model_copy(update={"segments": segments}),)})
    (folder / "inventory.json").write_text(changed.model_dump_json())


WHY: dict[str, tuple[Callable[[Settings, Path], None], str]] = {
    "no chunks": (_without_chunks, "the work folder no longer has audio (stream 1) of one-second.mp4"),
    "no plan": (_without_plan, "does not know how"),
    "no keys": (_without_keys, "cannot be made from the work folder"),
    "other bytes": (_other_bytes, "gives other bytes (video/90p/00001.m4s)"),
}


@pytest.mark.parametrize(("spoil", "why"), WHY.values(), ids=WHY.keys())
def test_what_cannot_be_put_back_is_named_and_nothing_is_changed(
    spoil: Callable[[Settings, Path], None], why: str, tmp_path: Path
) -> None:
    configured = settings(tmp_path, 90)
    made = ingest(IngestRequest(source=str(FIXTURES / "one-second.mp4"), content_id="film"), configured)
    folder = version(made)
    (folder / "video/90p/00001.m4s").unlink()
    spoil(configured, folder)
    before = tree(folder)
    (planned,) = repair(FILM.model_copy(update={"dry_run": True}), configured).found
    (done,) = repair(FILM, configured).found
    assert (done.deed, done.is_well) == ("lost", False)
    assert planned == done or why.startswith("gives other bytes"), "nothing is packaged to see what it would do"
    assert why in done.what
    assert "ingest the source again" in done.what
    assert tree(folder) == before


def test_a_lost_manifest_is_made_again_and_each_address_put_right_by_itself(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90, encrypt="none")
    folder = version(ingest(IngestRequest(source=str(FIXTURES / "one-second.mp4"), content_id="film"), configured))
    title, before = folder.parent, tree(folder.parent)
    (folder / "manifest.mpd").unlink()
    (title / "master.m3u8").unlink()
    plans = (configured.work / "plans").rename(tmp_path / "plans")
    assert [found.deed for found in repair(FILM, configured).found] == ["lost", "address", "lost"], "it cannot be made; HLS plays"
    assert (title / "master.m3u8").exists()
    plans.rename(configured.work / "plans")
    (title / "manifest.mpd").unlink()
    assert [found.deed for found in repair(FILM, configured).found] == ["uploaded", "address"]
    assert tree(title) == before
    assert repair(FILM, configured).found == ()
    assert scrub(ScrubRequest(title="film"), configured).address
