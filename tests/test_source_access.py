"""Sources from elsewhere in whole ingests: an unchanged one is not fetched again, a killed run keeps its copy, nothing doubtful is used."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests import servers
from tests.ingest_support import FIXTURES, Recorder, joined, ladder, run, settings
from tests.playback import barcodes
from tests.servers import Web, isolated_aws
from tests.test_ingest_process import VIDPIPE, slow_settings, start, wait_for_chunks
from vidpipe.errors import EncodeFailed, SourceRefused, UsageError
from vidpipe.pipeline.ingest import IngestRequest, ingest, prepare
from vidpipe.progress import Silent, Stages
from vidpipe.settings import Settings
from vidpipe.source.access import copy_key, opened
from vidpipe.source.fetch import look
from vidpipe.storage.s3 import S3Storage
from vidpipe.validation import validate_files
from vidpipe.work.fetched import PARTIAL
from vidpipe.work.tree import FETCHED
from vidpipe.work.usage import clean, usage

FILM = (FIXTURES / "one-second.mp4").read_bytes()
OTHER = (FIXTURES / "silent-video.mp4").read_bytes()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A web server with one film."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with servers.web() as running:
        running.files["/film.mp4"] = FILM
        yield running


def copies(configured: Settings) -> list[str]:
    """The names of the files among the copies."""
    return sorted(file.name for file in (configured.work / FETCHED).rglob("*") if file.is_file())


def left_behind(web: Web, configured: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an ingest fail after the fetch, so that its copy stays."""
    with monkeypatch.context() as patch:
        patch.setattr("vidpipe.pipeline.ingest.make_sharing", _full)
        with pytest.raises(EncodeFailed):
            run(f"{web.url}/film.mp4", configured)
    web.asked.clear()


def _full(*_: Any) -> None:
    raise EncodeFailed("the disk is full")


@pytest.mark.parametrize("proof", ["tag", "date"])
def test_an_unchanged_file_is_not_fetched_again(proof: str, web: Web, tmp_path: Path) -> None:
    if proof == "date":
        web.tags, web.age = "none", 3600.0
    configured = settings(tmp_path, 90)
    first = run(f"{web.url}/film.mp4", configured)
    assert web.bodies() == [None]
    assert copies(configured) == [], "the title is live: the copy has done its work"
    assert first.record.source.name == "film.mp4"
    web.asked.clear()

    again = run(f"{web.url}/film.mp4", configured)
    assert again.unchanged
    assert [method for method, _, _ in web.asked] == ["HEAD"]
    assert again.timings["total"] < 5  # a second where nothing else runs
    assert copies(configured) == []
    assert prepare(IngestRequest(source=f"{web.url}/film.mp4"), configured).source.sha256 == first.record.source.sha256
    assert web.bodies() == []


def test_a_changed_file_is_noticed(web: Web, tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    first = run(f"{web.url}/film.mp4", configured)
    web.files["/film.mp4"] = OTHER
    with pytest.raises(UsageError, match="was made from another source"):
        run(f"{web.url}/film.mp4", configured)
    second = run(f"{web.url}/film.mp4", configured, replace=True)
    assert not second.unchanged
    assert second.record.source.sha256 == hashlib.sha256(OTHER).hexdigest() != first.record.source.sha256
    assert web.bodies() == [None, None]


@pytest.mark.parametrize("doubt", [{"tags": "weak"}, {"tags": "none"}, {"head": False}, {"drift": True}], ids=str)
def test_a_server_that_proves_nothing_is_asked_anew(doubt: dict[str, Any], web: Web, tmp_path: Path) -> None:
    for name, value in doubt.items():
        setattr(web, name, value)
    configured = settings(tmp_path, 90)
    run(f"{web.url}/film.mp4", configured)
    fetched = len(web.bodies())
    assert run(f"{web.url}/film.mp4", configured).unchanged
    assert len(web.bodies()) == 2 * fetched
    assert copies(configured) == []


def test_a_title_fetches_nothing_and_a_key_compares_the_bytes(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured = settings(tmp_path, 90)
    run(f"{web.url}/film.mp4", configured)
    assert run(f"{web.url}/film.mp4", configured, title="New").copied
    assert web.bodies() == [None]
    assert run(f"{web.url}/film.mp4", configured, new_key=True).artifacts_reused
    assert web.bodies() == [None, None]

    monkeypatch.setattr(Web, "etag", lambda *_: '"always the same"')
    run(f"{web.url}/film.mp4", configured, title="Newer")
    web.files["/film.mp4"] = FILM[:-1] + b"x"
    with pytest.raises(SourceRefused, match="different bytes for the same version"):
        run(f"{web.url}/film.mp4", configured, new_key=True)
    assert copies(configured) == []
    last = run(f"{web.url}/film.mp4", configured, title="Newest", replace=True)
    assert last.record.source.sha256 == hashlib.sha256(web.files["/film.mp4"]).hexdigest()


def test_a_copy_left_behind_is_used_and_removed_when_the_title_is_live(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured = settings(tmp_path, 90)
    left_behind(web, configured, monkeypatch)
    assert copies(configured) == [".lock", "film.mp4"]
    recorder = Recorder()
    prepare(IngestRequest(source=f"{web.url}/film.mp4"), configured, recorder)
    assert not next(validate_files([f"{web.url}/film.mp4"], configured, quick=True, cancel=threading.Event())).refused
    assert copies(configured) == [".lock", "film.mp4"], "only the ingest is done with it"
    ingest(IngestRequest(source=f"{web.url}/film.mp4"), configured, recorder)
    assert web.bodies() == []
    assert recorder.named("fetched") == []
    assert copies(configured) == []


def test_a_home_that_was_moved_reads_the_copy_that_is_there_now(web: Web, tmp_path: Path) -> None:
    """What is remembered of the source names the copy of that time."""
    before, after = settings(tmp_path / "a", 90), settings(tmp_path / "b", 90)
    run(f"{web.url}/film.mp4", before)
    before.home.rename(after.home)
    shutil.rmtree(after.work / "chunks")
    assert run(f"{web.url}/film.mp4", after).artifacts_reused == 0


def test_commands_that_only_look_leave_no_copy(web: Web, tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    for _ in range(2):
        prepare(IngestRequest(source=f"{web.url}/film.mp4"), configured)
    assert web.bodies() == [None], "the second plan knows the facts"
    assert not next(validate_files([f"{web.url}/film.mp4"], configured, quick=True, cancel=threading.Event())).refused
    assert copies(configured) == []
    web.cut = 100
    refused = next(validate_files([f"{web.url}/film.mp4"], configured, quick=True, cancel=threading.Event()))
    assert refused.refused
    assert copies(configured) == []


def test_a_plan_that_refuses_leaves_the_copy_of_an_ingest(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured = settings(tmp_path, 90)
    left_behind(web, configured, monkeypatch)
    strict = configured.model_copy(update={"limits": configured.limits.model_copy(update={"max_pixels": 16})})
    with pytest.raises(SourceRefused):
        prepare(IngestRequest(source=f"{web.url}/film.mp4"), strict)
    assert copies(configured) == [".lock", "film.mp4"]
    run(f"{web.url}/film.mp4", configured)
    assert web.bodies() == []


def test_a_note_that_a_server_belies_is_forgotten(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its HEAD goes on to describe the file that was there; what it sends is another one."""
    configured, address = settings(tmp_path, 90), f"{web.url}/film.mp4"
    run(address, configured)
    before = look(address)
    monkeypatch.setattr("vidpipe.source.access.look", lambda *_: before)
    web.files["/film.mp4"] = OTHER
    with pytest.raises(SourceRefused, match="different bytes for the same version"):
        run(address, configured, new_key=True)
    assert run(address, configured, new_key=True, replace=True).record.source.sha256 == hashlib.sha256(OTHER).hexdigest()


@pytest.mark.parametrize("source", ["-", "/film.mp4"])
def test_nothing_is_noted_of_a_file_that_is_gone_with_the_run(source: str, web: Web, tmp_path: Path) -> None:
    web.tags = "none"
    address = source if source == "-" else f"{web.url}{source}"
    assert command(tmp_path, "ingest", address, "--id", "film", input=FILM).returncode == 0
    assert not list((tmp_path / "home" / "work").glob("sources/*"))


def test_a_source_that_is_being_read_is_not_cleaned_away(web: Web, tmp_path: Path) -> None:
    web.tags = "none"
    configured = settings(tmp_path, 90)
    with opened(f"{web.url}/film.mp4", configured.work, limits=configured.limits, stages=Stages(Silent()), looking=True) as origin:
        origin.facts()
        gone = configured.work / "tmp" / "host-gone"
        gone.mkdir()
        for name in (".lock", "film.mp4"):
            (gone / name).write_bytes(b"x")
        assert {share.kind: share.files for share in clean(configured.work)}["tmp"] == 1, "a lock is no file of anybody"
        assert origin.path.read_bytes() == FILM
        assert not gone.exists()


def test_a_refused_source_leaves_no_copy(web: Web, tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    web.files["/film.mp4?token=secret"] = b"not a film" * 1000
    with pytest.raises(SourceRefused) as caught:
        run(f"{web.url}/film.mp4?token=secret", configured)
    assert caught.value.where == f"{web.url}/film.mp4", "the copy is gone: the address says more than its path"
    assert copies(configured) == []


def test_what_broke_off_is_never_used_and_continued(web: Web, tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    web.cut = 5000
    with pytest.raises(SourceRefused, match=r"stopped after 5000"):
        run(f"{web.url}/film.mp4", configured)
    assert copies(configured) == [".lock", PARTIAL]
    web.cut = None
    recorder = Recorder()
    result = ingest(IngestRequest(source=f"{web.url}/film.mp4"), configured, recorder)
    assert web.bodies() == [None, "bytes=5000-"]
    assert result.record.source.sha256 == hashlib.sha256(FILM).hexdigest()
    steps = [(event.bytes, event.total) for event in recorder.named("fetched")]
    assert (steps[0], steps[-1]) == ((5000, len(FILM)), (len(FILM), len(FILM)))
    assert [event.stage for event in recorder.named("stage_started")][:2] == ["validate", "fetch"]
    assert copies(configured) == []


@pytest.mark.parametrize("size", [5000, len(FILM) + 1], ids=["short", "long"])
def test_an_altered_copy_is_not_used(size: int, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured = settings(tmp_path, 90)
    left_behind(web, configured, monkeypatch)
    (copy,) = (configured.work / FETCHED).rglob("film.mp4")
    copy.write_bytes((FILM + b"x")[:size])
    assert run(f"{web.url}/film.mp4", configured).record.source.sha256 == hashlib.sha256(FILM).hexdigest()
    assert web.bodies() == [None]


def test_the_copy_of_an_older_version_goes(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured = settings(tmp_path, 90)
    left_behind(web, configured, monkeypatch)
    web.files["/other.mp4"] = FILM
    with monkeypatch.context() as patch:
        patch.setattr("vidpipe.pipeline.ingest.make_sharing", _full)
        with pytest.raises(EncodeFailed):
            run(f"{web.url}/other.mp4", configured)
    web.files["/film.mp4"] = OTHER
    left_behind(web, configured, monkeypatch)
    assert sorted(file.read_bytes() for file in (configured.work / FETCHED).rglob("*.mp4")) == sorted([OTHER, FILM])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_not_the_fault_of_the_source(web: Web, tmp_path: Path) -> None:
    configured, address = settings(tmp_path, 90), f"{web.url}/film.mp4"
    version = look(address)
    assert version
    folder = configured.work / FETCHED / "-".join(copy_key(address, version))
    folder.mkdir(parents=True)
    (folder / PARTIAL).symlink_to("/dev/full")
    with pytest.raises(EncodeFailed, match="the disk is full"):
        run(address, configured)
    (folder / PARTIAL).unlink()
    assert not run(address, configured).unchanged


def test_no_secret_of_an_address_is_written_down(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured = settings(tmp_path, 90)
    address = f"{web.url}/film.mp4?signature=hush"
    web.files["/film.mp4?signature=hush"] = FILM
    with monkeypatch.context() as patch:
        patch.setattr("vidpipe.pipeline.ingest.make_sharing", _full)
        with pytest.raises(EncodeFailed):
            run(address, configured)
    files = [file for file in configured.home.rglob("*") if file.is_file()]
    assert any(file.name == "film.mp4" for file in files)
    assert not any("hush" in str(file) or b"hush" in file.read_bytes() for file in files)
    with pytest.raises(UsageError) as caught:
        run(f"{web.url}/?signature=hush", configured)
    assert "hush" not in "\n".join(caught.value.lines())


def test_two_runs_never_share_a_copy(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured = settings(tmp_path, 90)
    left_behind(web, configured, monkeypatch)
    with opened(f"{web.url}/film.mp4", configured.work, limits=configured.limits, stages=Stages(Silent()), looking=True) as origin:
        assert run(f"{web.url}/film.mp4", configured).record.source.sha256 == hashlib.sha256(FILM).hexdigest()
        assert web.bodies() == [None], "it fetched a copy of its own"
        assert origin.path.read_bytes() == FILM
        assert sum(share.bytes for share in clean(configured.work) if share.kind == FETCHED) == 0
        assert origin.path.exists(), "in use"


def test_the_work_commands_show_and_free_copies(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured = settings(tmp_path, 90)
    left_behind(web, configured, monkeypatch)
    shown = {share.kind: share for share in usage(configured.work).shares}[FETCHED]
    assert shown.bytes == len(FILM)
    assert "copies" in shown.meaning
    assert not any(share.bytes for share in clean(configured.work, older_than_days=1))
    for dry in (True, False):
        assert copies(configured)
        assert {share.kind: share.bytes for share in clean(configured.work, dry_run=dry)}[FETCHED] == len(FILM)
    assert not list((configured.work / FETCHED).iterdir())
    run(f"{web.url}/film.mp4", configured)
    assert web.bodies() == [None]


def test_kill_9_during_the_encode_does_not_fetch_again(web: Web, tmp_path: Path) -> None:
    web.files["/film.mp4"] = (FIXTURES / "landscape-24.mp4").read_bytes()
    configured = slow_settings(tmp_path)
    address = f"{web.url}/film.mp4"
    process = start(tmp_path, address, "--progress", "none")
    wait_for_chunks(configured.home, 2, process)
    process.kill()
    process.communicate()
    assert web.bodies() == [None]
    assert copies(configured) == [".lock", "film.mp4"]

    result = run(address, configured)
    assert web.bodies() == [None]
    assert result.chunks_reused >= 2
    assert barcodes.read_barcodes(joined(result, configured, "video-180p.m3u8", tmp_path)) == list(range(336))
    assert copies(configured) == []


def test_kill_9_during_the_fetch_continues_it(web: Web, tmp_path: Path) -> None:
    web.cut, web.hangs = 5000, True
    configured = slow_settings(tmp_path)
    with start(tmp_path, f"{web.url}/film.mp4", "--progress", "none") as process:
        try:
            deadline = time.monotonic() + 60
            while not any(file.stat().st_size == 5000 for file in (configured.work / FETCHED).rglob(PARTIAL)):
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.02)
        finally:
            process.kill()
    web.cut, web.hangs = None, False
    run(f"{web.url}/film.mp4", configured)
    begin, rest = web.bodies()
    assert (begin, rest) == (None, "bytes=5000-")


@pytest.mark.parametrize("server", [pytest.param(servers.moto, marks=pytest.mark.nightly), servers.rclone], ids=["moto", "rclone"])
def test_an_unchanged_object_is_not_read_again(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    download = S3Storage.download

    def counted(self: S3Storage, path: str, *arguments: Any) -> None:
        reads.append(path)
        download(self, path, *arguments)

    monkeypatch.setattr(S3Storage, "download", counted)
    try:
        with server() as running:
            running.use(monkeypatch, tmp_path)
            configured, address = settings(tmp_path, 90), f"s3://{running.bucket}/film.mp4"
            with closing(boto3.session.Session().client("s3")) as client:
                client.put_object(Bucket=running.bucket, Key="film.mp4", Body=FILM)
                recorder = Recorder()
                ingest(IngestRequest(source=address), configured, recorder)
                assert recorder.named("fetched")[-1].bytes == recorder.named("fetched")[-1].total == len(FILM)
                assert run(address, configured).unchanged
                assert reads == ["film.mp4"]
                time.sleep(1.1)  # S3's times are whole seconds
                client.put_object(Bucket=running.bucket, Key="film.mp4", Body=OTHER)
                assert run(address, configured, replace=True).record.source.sha256 == hashlib.sha256(OTHER).hexdigest()
            assert reads == ["film.mp4", "film.mp4"]
            assert copies(configured) == []
    except servers.Unavailable as reason:
        pytest.skip(str(reason))


def command(folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command line with everything below ``folder``."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("VIDPIPE_")} | isolated_aws(folder)
    environ |= {"VIDPIPE_HOME": str(folder / "home"), "VIDPIPE_LADDER": ladder(folder, 90)}
    return subprocess.run([*VIDPIPE, *arguments], env=environ, capture_output=True, check=False, timeout=120, **options)


def test_standard_input_becomes_a_title(tmp_path: Path) -> None:
    first = command(tmp_path, "ingest", "-", "--id", "clip", "--json", "--progress", "json", input=FILM)
    assert first.returncode == 0, first.stderr
    record = json.loads(first.stdout)
    assert record["source"] == {"name": "clip", "sha256": hashlib.sha256(FILM).hexdigest(), "size": len(FILM), "languages": {}}
    events = [json.loads(line) for line in first.stderr.splitlines()]
    assert [event["bytes"] for event in events if event["event"] == "fetched"][-1] == len(FILM)

    again = command(tmp_path, "ingest", "-", "--id", "clip", input=FILM)
    assert b"is unchanged" in again.stderr, "the same bytes are the same source"
    other = command(tmp_path, "ingest", "-", "--id", "clip", "--title", "Clip", input=FILM)
    assert b"others have the size and hash" in other.stderr, "nothing is made again"
    assert not list((tmp_path / "home" / "work" / "tmp").iterdir())


def test_a_pipe_is_planned_and_validated(tmp_path: Path) -> None:
    planned = command(tmp_path, "plan", "-", input=FILM)
    assert planned.returncode == 0, planned.stderr
    assert b"read from standard input into a file first" in planned.stdout
    validated = command(tmp_path, "validate", "-", "--quick", "--json", input=FILM)
    assert validated.returncode == 0, validated.stderr
    report = json.loads(validated.stdout)
    assert (report["file"], report["source"]["sha256"]) == ("-", hashlib.sha256(FILM).hexdigest())
    nothing = command(tmp_path, "validate", "-", input=b"")
    assert nothing.returncode == 3
    assert b"standard input: no data arrived" in nothing.stdout


def test_what_standard_input_needs(tmp_path: Path) -> None:
    nameless = command(tmp_path, "ingest", "-", input=FILM)
    assert (nameless.returncode, b"--id" in nameless.stderr) == (2, True)
    master, slave = pty.openpty()
    terminal = command(tmp_path, "ingest", "-", "--id", "clip", stdin=slave)
    os.close(master)
    os.close(slave)
    assert (terminal.returncode, b"is a terminal" in terminal.stderr) == (2, True)
    os.mkfifo(tmp_path / "pipe")
    pipe = command(tmp_path, "ingest", str(tmp_path / "pipe"))
    assert (pipe.returncode, b"vidpipe ingest - --id X < PIPE" in pipe.stderr) == (3, True)
