"""inheritance: a new version of a title costs what has changed. What is the same is copied inside the target, and proven there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import pytest

from tests import servers
from tests.encode_support import ffmpeg
from tests.fault_proxy import Proxy, counted
from tests.faults.server import Fault, fault_server
from tests.ingest_support import FIXTURES, Recorder, joined, key_of, live, run, settings, tree, version
from tests.playback import barcodes
from tests.subtitle_support import srt
from vidpipe.inventory import Inventory, read_inventory
from vidpipe.media.ffmpeg import find
from vidpipe.pipeline.ingest import IngestRequest, IngestResult, ingest
from vidpipe.pipeline.versions import give_up
from vidpipe.preview import playing
from vidpipe.protect.key_store import KeyStore
from vidpipe.settings import Settings
from vidpipe.storage import open_storage
from vidpipe.storage.local import LocalStorage

CLIP = FIXTURES / "portrait-25.mp4"  # three segments


def quick(folder: Path, **changes: object) -> Settings:
    return settings(folder, 90, segment_seconds=Fraction(1), threads=1, **changes)


def inventory_of(result: IngestResult) -> Inventory:
    found = read_inventory((version(result) / "inventory.json").read_bytes())
    assert isinstance(found, Inventory)
    return found


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Picture, two languages that nobody named, and subtitles; the picture's frames have numbers."""
    folder = tmp_path_factory.mktemp("film")
    (folder / "words.srt").write_text(srt(("00:00:00,500", "00:00:02,500", "over all three segments")))
    sines = ["-f", "lavfi", "-i", "sine=300:d=3", "-f", "lavfi", "-i", "sine=900:d=3"]
    maps = ["-map", "0:v", "-map", "1:a", "-map", "2:a", "-map", "3:s", "-c:v", "copy", "-c:a", "aac", "-c:s", "srt"]
    ffmpeg("-i", CLIP, *sines, "-i", folder / "words.srt", *maps, folder / "film.mkv")
    return folder / "film.mkv"


def gone(configured: Settings) -> None:
    """Let nothing of the first encode be reused."""
    shutil.rmtree(configured.work / "chunks")


# --- what is the same is copied -------------------------------------------------------------------------------------


def test_a_new_title_copies_every_object_and_makes_none(tmp_path: Path) -> None:
    configured = quick(tmp_path)
    first = run(CLIP, configured, content_id="film")
    before = tree(version(first))
    gone(configured)
    recorder = Recorder()
    again = ingest(IngestRequest(source=str(CLIP), content_id="film", title="A new name", metadata={"a": "b"}), configured, recorder)
    changed = {"inventory.json", "record.json"}
    after = tree(version(again))
    assert {name: data for name, data in after.items() if name not in changed} == {n: d for n, d in before.items() if n not in changed}
    assert (again.copied, again.artifacts, again.chunks) == (len(before) - 2, 0, 0)
    assert (again.record.title, again.record.metadata) == ("A new name", {"a": "b"})
    assert again.record.renditions[0].bandwidth == first.record.renditions[0].bandwidth
    assert again.record.encryption == first.record.encryption
    assert {event.path for event in recorder.named("copied")} == after.keys() - changed
    assert {event.path for event in recorder.named("uploaded")} == changed
    assert not recorder.named("encode_planned")
    sheets = [found.pictures.sheets for found in (inventory_of(first), inventory_of(again)) if found.pictures]
    assert sheets == [("thumbnails/sprite-001.jpg",)] * 2
    assert any("4 others have the size and hash of what was proven before" in note.text for note in recorder.named("note"))
    assert tree(version(first)) == before
    assert run(CLIP, configured, content_id="film").unchanged
    assert barcodes.read_barcodes(joined(again, configured, "video-90p.m3u8", tmp_path)) == list(range(75))


def test_on_a_folder_nothing_is_stored_twice_and_nothing_written_through(tmp_path: Path) -> None:
    configured = quick(tmp_path)
    first = run(CLIP, configured, content_id="film")
    again = run(CLIP, configured, content_id="film", title="New")
    files = [version(result) / "video/90p/00002.m4s" for result in (first, again)]
    one, other = (file.stat() for file in files)
    if one.st_ino != other.st_ino:
        pytest.skip("this file system clones")
    with closing(LocalStorage(Path(configured.target))) as storage:
        path = str(files[1].relative_to(configured.target))
        storage.put(path, b"something else", content_type="a/b", cache_control="", sha256="")
        assert files[0].stat().st_size == one.st_size
        storage.delete_prefix(str(version(again).relative_to(configured.target)))
    assert files[0].stat().st_size == one.st_size


def test_a_playlist_setting_changes_playlists_alone(tmp_path: Path) -> None:
    configured = quick(tmp_path)
    first = run(CLIP, configured, content_id="film")
    gone(configured)
    again = run(CLIP, configured.model_copy(update={"key_url": "https://keys.example.com/{key_id}"}), content_id="film")
    before, after = tree(version(first)), tree(version(again))
    assert {name for name in before if before[name] != after[name]} == {
        *("video-90p.m3u8", "audio-und.m3u8", "inventory.json", "record.json"),
    }
    assert (again.copied, again.artifacts) == (len(before) - 4, 0)


def test_languages_rename_tracks_and_change_nothing_else(film: Path, tmp_path: Path) -> None:
    configured = quick(tmp_path)
    first = run(film, configured, content_id="film")
    gone(configured)
    again = run(film, configured, content_id="film", languages={1: "pt-BR", 3: "de"})
    fresh = run(film, quick(tmp_path / "fresh"), content_id="film", languages={1: "pt-BR", 3: "de"})
    assert again.artifacts == 0
    assert [track.id for track in inventory_of(again).audio] == ["pt-BR", "track2"]
    assert [(track.language, track.name) for track in again.record.subtitles] == [("de", "German")]
    old, new, made = (tree(version(result)) for result in (first, again, fresh))
    assert new.keys() == made.keys()
    # Segments have another key in the fresh title, and playlists name it; everything else is what a fresh ingest gives.
    for name in ("audio/pt-BR/init.mp4", "video/90p/init.mp4", "thumbnails/poster.jpg", "thumbnails/thumbnails.vtt"):
        assert new[name] == made[name], name
    assert new["audio/pt-BR/init.mp4"] != old["audio/track1/init.mp4"]
    assert b"pt-BR" in new["audio/pt-BR/init.mp4"]
    assert new["audio/pt-BR/00002.m4s"] == old["audio/track1/00002.m4s"]
    for name in ("audio-pt-BR.m3u8", "audio-track2.m3u8", "video-90p.m3u8"):
        first_track = joined(again, configured, name, tmp_path)
        assert barcodes.read_samples(first_track) if name.startswith("audio") else barcodes.read_barcodes(first_track) == list(range(75))
    back = run(film, configured, content_id="film", languages={1: "en", 3: "de"})
    assert b"pt-BR" not in tree(version(back))["audio/en/init.mp4"]
    assert back.artifacts == 0


def test_a_stricter_policy_judges_again(tmp_path: Path) -> None:
    configured = quick(tmp_path)
    run(CLIP, configured, content_id="film")
    policy = tmp_path / "policy.yaml"
    policy.write_text("true_peak:\n  severity: warning\n  highest: -60\n")
    again = run(CLIP, configured.model_copy(update={"policy": str(policy)}), content_id="film", title="New")
    assert again.artifacts == again.artifacts_reused > 0
    assert "true-peak" in {finding.id for finding in again.findings}
    assert again.copied > 5, "what came out the same was not sent again"


# --- what is not the same is made -----------------------------------------------------------------------------------


def test_an_ffmpeg_of_another_version_makes_everything_anew(tmp_path: Path) -> None:
    configured = quick(tmp_path)
    first = run(CLIP, configured, content_id="film")
    newer = tmp_path / "ffmpeg"
    bundled = find().path
    newer.write_text(f'#!/bin/sh\n[ "$2" = -version ] && {bundled} -version | sed "s/^ffmpeg version /&99/" && exit\nexec {bundled} "$@"\n')
    newer.chmod(0o755)
    again = run(CLIP, configured.model_copy(update={"ffmpeg": str(newer)}), content_id="film")
    assert (again.artifacts, again.artifacts_reused) == (first.artifacts, 0)


def lose(path: str) -> Callable[[Path], None]:
    return lambda folder: (folder / path).unlink()


def rot(path: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        data = (folder / path).read_bytes()
        (folder / path).unlink()
        (folder / path).write_bytes(data[:-20] + bytes(20))

    return spoil


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        pytest.param(lose("audio/und/00002.m4s"), "cannot be copied", id="a segment is lost"),
        pytest.param(lose("thumbnails/poster.jpg"), "cannot be copied", id="a picture is lost"),
        pytest.param(lose("thumbnails/thumbnails.vtt"), "cannot be copied", id="a text is lost"),
        pytest.param(rot("video/90p/00002.m4s"), "cannot be proven", id="a middle segment has rotted"),
        pytest.param(rot("video/90p/00003.m4s"), "cannot be proven", id="a last segment has rotted"),
        pytest.param(rot("video/90p/init.mp4"), "cannot be proven", id="an init section has rotted"),
        pytest.param(lambda folder: (folder / "inventory.json").write_text("{"), None, id="no inventory"),
    ],
)
def test_what_the_live_version_has_lost_is_made_again(damage: Callable[[Path], None], said: str | None, tmp_path: Path) -> None:
    configured = quick(tmp_path)
    first = run(CLIP, configured, content_id="film")
    before = tree(version(first))
    damage(version(first))
    recorder = Recorder()
    again = ingest(IngestRequest(source=str(CLIP), content_id="film", title="New"), configured, recorder)
    changed = {"inventory.json", "record.json"}
    after = tree(version(again))
    assert {name: data for name, data in after.items() if name not in changed} == {n: d for n, d in before.items() if n not in changed}
    assert again.artifacts == again.artifacts_reused > 0
    warnings = recorder.warnings
    assert said is None or any(said in text for text in warnings), warnings
    assert run(CLIP, configured, content_id="film").unchanged


# --- S3 -------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[pytest.param("moto", marks=pytest.mark.nightly), "rclone"])
def between(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[str, Proxy]]:
    try:
        with getattr(servers, request.param)() as server, counted(server) as (reached, proxy):
            reached.use(monkeypatch, tmp_path)
            yield f"s3://{server.bucket}/vod", proxy
    except servers.Unavailable as reason:
        pytest.skip(str(reason))


def test_a_server_copies_and_nothing_but_texts_leaves_this_machine(between: tuple[str, Proxy], tmp_path: Path) -> None:
    target, proxy = between
    configured = quick(tmp_path, target=target, gzip_playlists=True)
    first = run(CLIP, configured, content_id="film")
    sent, proxy.sent = proxy.sent, 0
    gone(configured)
    again = run(CLIP, configured, content_id="film", title="New")
    assert again.artifacts == 0
    with closing(open_storage(target)) as storage:
        texts = sum(len(storage.get(f"film/{again.record.version}/{name}")) for name in ("inventory.json", "record.json"))
        assert proxy.sent <= texts + 4096 < sent
        for old in storage.list(f"film/{first.record.version}"):
            new = old.path.replace(first.record.version, again.record.version)
            if not old.path.endswith(("inventory.json", "record.json")):
                one, other = storage.head(old.path), storage.head(new)
                assert one
                assert other
                assert one.model_dump(exclude={"path", "tag"}) == other.model_dump(exclude={"path", "tag"})
    proxy.sent = 0
    plain = run(CLIP, configured.model_copy(update={"gzip_playlists": False}), content_id="film")
    assert plain.artifacts == 0
    assert proxy.sent < sent / 2
    with closing(open_storage(target)) as storage:
        stored = storage.head(f"film/{plain.record.version}/thumbnails/thumbnails.vtt")
        assert stored
        assert stored.content_encoding is None


def test_a_server_that_answers_and_does_not_copy_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fault_server() as server:
        server.client.use(monkeypatch, tmp_path)
        configured = quick(tmp_path, target="s3://titles/vod")
        first = run(CLIP, configured, content_id="film")
        name = "video/90p/00002.m4s"
        server.begin(lambda asked: Fault.LOST if asked.operation == "CopyObject" and asked.key.endswith(name) else None)
        again = run(CLIP, configured, content_id="film", title="New")
        assert [fault for _, fault in server.log if fault] == [Fault.LOST]
        old, new = (server.objects[f"vod/film/{result.record.version}/{name}"].body for result in (first, again))
        assert old == new
        assert live(configured, "film") == again.record


# --- keys -----------------------------------------------------------------------------------------------------------


def keys_in(configured: Settings) -> set[str]:
    return {info.key_id for info in KeyStore(configured.keys).find()}


def test_a_key_stays_with_what_it_protects_until_a_new_one_is_asked_for(tmp_path: Path) -> None:
    configured = quick(tmp_path)
    first = run(CLIP, configured, content_id="film")
    renamed = run(CLIP, configured, content_id="film", title="New")
    rekeyed = run(CLIP, configured, content_id="film", new_key=True)
    later = run(CLIP, configured, content_id="film", title="Newer")
    clear = run(CLIP, configured.model_copy(update={"encrypt": "none"}), content_id="film")
    other = run(FIXTURES / "one-second.mp4", configured, content_id="film", replace=True)
    ids = [result.record.encryption.key_ids for result in (first, renamed, rekeyed, later, clear, other)]
    assert ids[0] == ids[1] != ids[2] == ids[3]
    assert ids[4] == ()
    assert ids[5] not in (ids[0], ids[2])
    assert rekeyed.artifacts_reused == rekeyed.artifacts > 0
    old, new = (tree(version(result)) for result in (first, rekeyed))
    assert old["video/90p/00001.m4s"] != new["video/90p/00001.m4s"]
    assert rekeyed.copied >= 4, "init sections and pictures are clear, and the same"


def start(configured: Settings, folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """Begin an ingest that stops for ever where it should copy, as if the machine were slow just there."""
    code = (
        "import time, vidpipe.pipeline.making as pipeline\n"
        "from vidpipe.cli import main\n"
        "made = pipeline.verify\n"
        "def wait(*given, **options):\n"
        f"    open({str(folder / 'reached')!r}, 'w').close()\n"
        "    time.sleep(600)\n"
        "pipeline.verify = wait\n"
        "main()\n"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("VIDPIPE_")}
    environ |= {"VIDPIPE_GOP_SECONDS": "1", "VIDPIPE_SEGMENT_SECONDS": "1", "VIDPIPE_CHUNK_SECONDS": "4", "VIDPIPE_THREADS": "1"}
    argv = ["ingest", str(CLIP), "--id", "film", "--home", str(configured.home), "--ladder", configured.ladder, "--progress", "none"]
    return subprocess.Popen([sys.executable, "-c", code, *argv, *options], env=environ, cwd=folder)


AT_NIGHT = [pytest.param(then, marks=pytest.mark.nightly) for then in ("another title", "a new key", "another source")]


@pytest.mark.parametrize("then", ["given up", "continued", *AT_NIGHT])
def test_kill_9_of_a_version_under_the_live_key_never_costs_the_live_one_its_key(then: str, tmp_path: Path) -> None:
    configured = quick(tmp_path)
    first = run(CLIP, configured, content_id="film")
    before = tree(version(first))
    process = start(configured, tmp_path, "--title", "New")
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "reached").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    (key_id,) = first.record.encryption.key_ids
    assert keys_in(configured) == {key_id}
    assert live(configured, "film") == first.record
    if then == "given up":
        assert give_up(configured) == ("film",)
    elif then == "continued":
        again = run(CLIP, configured, content_id="film", title="New")
        assert again.record.encryption == first.record.encryption
    else:
        changes = {"another title": {"title": "Newer"}, "a new key": {"new_key": True}, "another source": {"replace": True}}[then]
        run(FIXTURES / "one-second.mp4" if then == "another source" else CLIP, configured, content_id="film", **changes)
    assert key_id in keys_in(configured)
    assert tree(version(first)) == before
    assert barcodes.read_barcodes(joined(first, configured, "video-90p.m3u8", tmp_path)) == list(range(75))
    assert len([*version(first).parent.glob("*/")]) == (1 if then == "given up" else 2), "nothing is left of the killed one"
    with playing("film", configured) as server:
        assert all(len(key_of(configured)(used)) == 16 for used in server.key_ids)
