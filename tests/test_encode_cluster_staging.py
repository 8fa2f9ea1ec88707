"""Machines that share nothing but an S3 prefix: real Dask workers with disks of their own, a real S3 server, and deaths."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cluster_support import PATIENCE, QUIET, Dask, ffmpeg_below
from tests.encode_support import barcodes, chunks_of, clip, joined, rung, tiny_plan
from tests.ingest_support import FIXTURES, ladder, settings
from tests.servers import S3Server, Unavailable, rclone
from vidpipe.encode.cluster.connect import connect
from vidpipe.encode.cluster.staging import Staging, run_apart
from vidpipe.encode.result import EncodedAudio, EncodedChunk
from vidpipe.encode.scheduler import encode, needs
from vidpipe.errors import EncodeFailed, Interrupted, PublishFailed, UsageError
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.pipeline.ingest import IngestRequest, ingest
from vidpipe.plan import Plan
from vidpipe.progress import Event, Note
from vidpipe.storage import Stored
from vidpipe.storage.s3 import S3Storage
from vidpipe.work.artifacts import Sidecar, Store
from vidpipe.work.fetched import contents, drop_unread, folders

pytest.importorskip("distributed", reason="the extra vidpipe[cluster] is not installed")

pytestmark = QUIET


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    try:
        with rclone() as found:
            found.use(monkeypatch, tmp_path)
            yield found
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def url(server: S3Server) -> str:
    return f"s3://{server.bucket}/cluster/one"


def there(server: S3Server) -> list[str]:
    """Return the objects in the bucket."""
    assert server.folder is not None
    return sorted(str(path.relative_to(server.folder)) for path in server.folder.rglob("*") if path.is_file())


def put(folder: Path, staging: Staging, key: str, data: bytes) -> str:
    """Put a piece there as a worker does."""
    made = folder / "made.mp4"
    made.write_bytes(data)
    artifact = Store(folder / "worker").add(key, made, samples=3, source="5" * 64, title="t")
    staging.put(artifact, source="5" * 64, title="t")
    return artifact.sha256


def test_a_piece_is_taken_once(server: S3Server, url: str, tmp_path: Path) -> None:
    store, key = Store(tmp_path / "home"), "a" * 64
    with Staging(url) as staging:
        assert staging.take("x.mp4", key, store, source="5" * 64, title="t") is None
        put(tmp_path, staging, key, b"picture")
        found = staging.take("x.mp4", key, store, source="5" * 64, title="t")
        assert found is not None
        assert (found.path.read_bytes(), found.samples, found.path.is_relative_to(tmp_path / "home")) == (b"picture", 3, True)
        assert there(server) == []
        assert store.lookup(key) is not None
        assert staging.take("x.mp4", key, store, source="5" * 64, title="t") is None


@pytest.mark.parametrize("what", ["altered", "short", "missing", "of another key", "without a hash", "rubbish"])
def test_a_piece_that_is_not_what_was_made_is_not_taken(what: str, server: S3Server, url: str, tmp_path: Path) -> None:
    store, key = Store(tmp_path / "home"), "a" * 64
    with Staging(url) as staging:
        name = put(tmp_path, staging, key, b"picture")
        storage = staging._storage
        note = Sidecar.model_validate_json(storage.get(f"chunks/{key}/sidecar.json"))

        def write(path: str, data: bytes) -> None:
            staging._put(f"chunks/{key}/{path}", data)

        match what:
            case "altered":
                write(name, b"pictura")
            case "short":
                write(name, b"pict")
            case "missing":
                storage.delete_prefix(f"chunks/{key}")
                write("sidecar.json", note.model_dump_json().encode())
            case "of another key":
                write("sidecar.json", note.model_copy(update={"key": "b" * 64}).model_dump_json().encode())
            case "without a hash":
                write("sidecar.json", note.model_copy(update={"sha256": "../../x"}).model_dump_json().encode())
            case "rubbish":
                write("sidecar.json", b"{")
        assert staging.take("x.mp4", key, store, source="5" * 64, title="t") is None
        assert there(server) == [], "it is out of the way of the next one"
        assert store.lookup(key) is None


def test_a_source_is_fetched_once_and_removed_when_nobody_reads_it(server: S3Server, url: str, tmp_path: Path) -> None:
    data = {name: os.urandom(100_000) for name in "ab"}
    sums = {name: hashlib.sha256(value).hexdigest() for name, value in data.items()}
    with Staging(url) as staging:
        for name, value in data.items():
            (tmp_path / name).write_bytes(value)
            staging.put_source(tmp_path / name, len(value), sums[name])
        (tmp_path / "a").write_bytes(b"another")
        staging.put_source(tmp_path / "a", 100_000, sums["a"])  # it is there
        scratch = tmp_path / "scratch"
        copies: list[os.stat_result] = []

        def read() -> None:
            with staging.source(sums["a"], 100_000, scratch) as file:
                assert file.read_bytes() == data["a"]
                copies.append(file.stat())

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({copy.st_ino for copy in copies}) == 1
        with staging.source(sums["a"], 100_000, scratch) as first, staging.source(sums["b"], 100_000, scratch) as second:
            assert first.exists(), "in use"
            assert second.read_bytes() == data["b"]
        drop_unread(scratch)
        assert not list(scratch.rglob("source"))
        staging._put(f"sources/{sums['a']}/source", os.urandom(100_000))
        with pytest.raises(EncodeFailed, match="not the source that was uploaded"), staging.source(sums["a"], 100_000, scratch):
            pass
        assert not list(scratch.rglob("source"))


def test_a_task_of_a_run_that_is_over_stops(url: str, tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    with Staging(url) as staging, store.temporary() as folder:
        with staging.run(folder.name, "5" * 64, store) as run:
            mark = staging.alive(run, tmp_path, 0.05)
            alive = mark.__enter__()
            time.sleep(0.3)
            assert alive.is_dir()
        end = time.monotonic() + PATIENCE
        while alive.is_dir():
            assert time.monotonic() < end
            time.sleep(0.02)
        mark.__exit__(None, None, None)
        with pytest.raises(Interrupted), staging.alive(run, tmp_path, 0.05):
            pass


def test_a_machine_that_may_not_list_is_refused(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS answers 403, not 404, if it is asked for a missing object by somebody without s3:ListBucket."""
    head = S3Storage.head

    def forbidding(self: S3Storage, path: str) -> Stored | None:
        found = head(self, path)
        if found is None:
            raise PublishFailed("cannot read: access denied", where=self.location(path), fix="give these credentials s3:GetObject")
        return found

    store = Store(tmp_path / "home")
    with Staging(url) as staging, store.temporary() as folder, staging.run(folder.name, "5" * 64, store) as run:
        assert staging.arrived(run, staging.probe(run))
        staging.drop_probes(run)
        monkeypatch.setattr(S3Storage, "head", forbidding)
        with pytest.raises(EncodeFailed, match="does not report which objects are missing") as caught:
            staging.probe(run)
        assert "s3:ListBucket" in (caught.value.fix or "")


def test_the_source_stops_on_its_way(server: S3Server, url: str, tmp_path: Path) -> None:
    data, cancel = os.urandom(1_000_000), threading.Event()
    source = hashlib.sha256(data).hexdigest()
    (tmp_path / "source").write_bytes(data)
    with Staging(url) as staging:
        cancel.set()
        with pytest.raises(Interrupted):
            staging.put_source(tmp_path / "source", len(data), source, cancel)
        assert there(server) == []
        cancel.clear()
        staging.put_source(tmp_path / "source", len(data), source, cancel)
        cancel.set()
        with pytest.raises(Interrupted), staging.source(source, len(data), tmp_path / "scratch", cancel):
            pass
        assert [list(contents(folder)) for folder in folders(tmp_path / "scratch")] == [[]]


def test_a_task_whose_run_ends_stops_fetching(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(self: S3Storage, path: str, file: Path, on_bytes: Callable[[int], None]) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            on_bytes(1)
            time.sleep(0.02)

    monkeypatch.setattr(S3Storage, "download", endless)
    store = Store(tmp_path / "home")
    with Staging(url) as staging, store.temporary() as folder, staging.run(folder.name, "5" * 64, store) as run:
        task: Any = SimpleNamespace(job=SimpleNamespace(size=5, source="5" * 64))
        ending = threading.Timer(0.3, staging._storage.delete_prefix, [str(Path(run).parent)])
        ending.start()
        with pytest.raises(Interrupted):
            run_apart(task, staging, run, tmp_path / "scratch", 0.05)
        ending.join()


def test_killed_runs_are_ended_and_others_are_not(server: S3Server, url: str, tmp_path: Path) -> None:
    mine, other, source = Store(tmp_path / "home"), Store(tmp_path / "other"), "5" * 64
    with Staging(url) as staging, mine.temporary() as lives, other.temporary() as foreign, mine.temporary() as now:
        dead = staging.run("host-dead", source, mine)
        dead.__enter__()  # its process was killed: nothing holds its folder, and nobody removes what it wrote
        with staging.run(lives.name, source, mine), staging.run(foreign.name, source, other), staging.run(now.name, source, mine):
            assert [Path(name).parent.name for name in there(server)] == sorted([lives.name, foreign.name, now.name])
            staging.put_source(Path(__file__), 1, source)
            staging.drop_source(source)
            assert any("/sources/" in name for name in there(server)), "two other runs need it"
        with staging.run(now.name, source, mine):
            staging.drop_source(source)
            assert not any("/sources/" in name for name in there(server))


def worker(dask: Dask, tmp_path: Path, name: str, **env: str) -> None:
    """Start a worker with a home and a disk of its own; the server is in the environment."""
    own = tmp_path / f"machine-{name}"
    (own / "disk").mkdir(parents=True)
    dask.worker(name, env={"VIDPIPE_HOME": str(own / "home"), "HOME": str(own), **env}, folder=own / "disk")


def everything(
    plan: Plan, store: Store, program: FFmpeg, dask: Dask, url: str, cancel: threading.Event | None = None
) -> list[EncodedChunk | EncodedAudio]:
    encoders, filters, _ = needs(plan)
    with connect(
        dask.address,
        ffmpeg=program,
        setting=None,
        encoders=encoders,
        filters=filters,
        source=plan.source,
        store=store,
        work=url,
        cancel=cancel,
    ) as cluster:
        return list(encode(plan, store, ffmpeg=program, workers=cluster.slots, executor=cluster.executor, cancel=cancel))


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the worker's ffmpeg in /proc")
def test_two_machines_that_share_only_s3_and_one_dies(
    dask: Dask, server: S3Server, url: str, tmp_path: Path, program: FFmpeg
) -> None:
    worker(dask, tmp_path, "one")
    worker(dask, tmp_path, "two")
    dask.wait(2)
    source = clip(tmp_path / "source.mp4", "25", 100, beeps=2)
    # slow enough that a chunk can be caught in the middle, quick enough for a test
    plan = tiny_plan(source, rung("a", 96, codec="hevc", preset="medium"), rung("b", 72), chunk=24)
    store = Store(tmp_path / "work")
    victim = dask.workers["one"]
    seen: list[str] = []

    def kill() -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for pid in ffmpeg_below(victim):
                seen.append(command_line(pid))
                victim.kill()
                return
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    results = everything(plan, store, program, dask, url)
    killer.join()
    assert seen, "the worker was killed while its ffmpeg ran"
    assert "machine-one/disk" in seen[0]
    assert str(source) not in seen[0], "it reads its own copy"
    assert victim.wait() == -signal.SIGKILL
    assert barcodes(joined(chunks_of(results), "a", tmp_path / "out.mp4")) == list(range(100))
    files = [artifact for done in chunks_of(results) for artifact in done.video.values()]
    assert len(files) == 2 * len(plan.chunks)
    assert all(artifact.path.is_relative_to(store.root) for artifact in files)
    assert all(done.video["a"].reused for done in chunks_of(list(encode(plan, store, ffmpeg=program, threads=1))))
    assert there(server) == [], "everything was taken, and the source removed"
    assert not list((tmp_path / "machine-two").rglob("*.mp4")), "nothing is left on the disk of the worker"
    assert not list((tmp_path / "machine-two").rglob("source"))


def test_a_machine_that_cannot_use_the_prefix_is_named(
    dask: Dask, server: S3Server, url: str, tmp_path: Path, program: FFmpeg
) -> None:
    worker(dask, tmp_path, "good")
    worker(dask, tmp_path, "poor", AWS_SECRET_ACCESS_KEY="wrong")
    worker(dask, tmp_path, "lost", AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1")
    dask.wait(3)
    plan = tiny_plan(clip(tmp_path / "source.mp4", "25", 20))
    with pytest.raises(UsageError, match="2 problems with the workers") as caught:
        everything(plan, Store(tmp_path / "work"), program, dask, url)
    lost, poor = caught.value.details
    assert lost.startswith("worker lost: cannot use the work prefix in S3: cannot read: the server cannot be reached")
    assert poor.startswith("worker poor: cannot use the work prefix in S3: cannot read: ")
    assert "wrong" not in poor, "no secret"
    assert there(server) == [], "nothing was uploaded for nothing"


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the worker's ffmpeg in /proc")
def test_cancel_reaches_the_machines(
    dask: Dask, server: S3Server, url: str, tmp_path: Path, program: FFmpeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidpipe.encode.cluster.connect.LOOK_SECONDS", 0.2)
    worker(dask, tmp_path, "one")
    dask.wait(1)
    plan = tiny_plan(clip(tmp_path / "source.mp4", "25", 200), rung("a", 96, codec="hevc", preset="veryslow"), chunk=200)
    cancel = threading.Event()

    def stop_when_it_encodes() -> None:
        end = time.monotonic() + PATIENCE
        while not ffmpeg_below(dask.workers["one"]) and time.monotonic() < end:
            time.sleep(0.02)
        cancel.set()

    threading.Thread(target=stop_when_it_encodes).start()
    with pytest.raises(Interrupted):
        everything(plan, Store(tmp_path / "work"), program, dask, url, cancel)
    end = time.monotonic() + PATIENCE
    while ffmpeg_below(dask.workers["one"]):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert [name for name in there(server) if "/sources/" not in name] == [], "the source stays for the next run"
    assert len(there(server)) == 1


def test_cancel_reaches_the_source_on_its_way(dask: Dask, server: S3Server, url: str, tmp_path: Path) -> None:
    """A whole ingest, which hands its settings, its reporter and its cancel signal on."""
    worker(dask, tmp_path, "one")
    dask.wait(1)
    configured, cancel = settings(tmp_path, 90, cluster=dask.address, cluster_work=url), threading.Event()
    said: list[str] = []

    class Stops:
        def emit(self, event: Event) -> None:
            if isinstance(event, Note):
                said.append(event.text)
                cancel.set()

    with pytest.raises(Interrupted):
        ingest(IngestRequest(source=str(FIXTURES / "one-second.mp4")), configured, Stops(), cancel)
    (note,) = said
    assert note.startswith(f"the source goes to {url}")
    assert there(server) == [], "the source is not there"


def test_a_piece_that_does_not_arrive_is_made_again(
    dask: Dask, server: S3Server, url: str, tmp_path: Path, program: FFmpeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker(dask, tmp_path, "one")
    dask.wait(1)
    plan = tiny_plan(clip(tmp_path / "source.mp4", "25", 48))
    take, spoilt = Staging._taken, []

    def spoil(staging: Staging, name: str, key: str, *arguments: str) -> object:
        if name == "90p.mp4" and not spoilt:
            (piece,) = [there.path for there in staging._storage.list(f"chunks/{key}") if not there.path.endswith("sidecar.json")]
            staging._put(piece, staging._storage.get(piece)[:-1] + b"!")
            spoilt.append(name)
        return take(staging, name, key, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Staging, "_taken", spoil)
    results = everything(plan, Store(tmp_path / "work"), program, dask, url)
    assert spoilt
    assert barcodes(joined(chunks_of(results), "90p", tmp_path / "out.mp4")) == list(range(48))
    assert there(server) == []


@pytest.mark.nightly  # half a minute of waiting; that a death costs nothing but its chunk is seen by the test above
@pytest.mark.skipif(sys.platform != "linux", reason="looks for the worker's ffmpeg in /proc")
def test_what_lies_there_after_a_death_is_taken(dask: Dask, server: S3Server, url: str, tmp_path: Path, program: FFmpeg) -> None:
    """The whole command, killed with -9 while its chunks encode; its workers finish them, and the next run takes them."""
    worker(dask, tmp_path, "one")
    worker(dask, tmp_path, "two")
    dask.wait(2)
    source = clip(tmp_path / "source.mp4", "25", 250, size=(320, 192), beeps=2)
    home = tmp_path / "home"
    quick = Path(ladder(tmp_path, 180))
    quick.write_text(quick.read_text().replace("ultrafast", "veryslow"))
    flags = ["--ladder", str(quick), "--home", str(home), "--cluster", dask.address, "--cluster-work", url, "--chunk-seconds", "6"]
    command = [sys.executable, "-c", "from vidpipe.cli import main; main()", "ingest", str(source), *flags, "--progress", "json"]
    with (tmp_path / "driver.log").open("wb") as log:
        driver = subprocess.Popen(command, start_new_session=True, stdout=log, stderr=log)
    end = time.monotonic() + 2 * PATIENCE
    while not any("libx264" in command_line(pid) for name in ("one", "two") for pid in ffmpeg_below(dask.workers[name])):
        assert driver.poll() is None, (tmp_path / "driver.log").read_text()
        assert time.monotonic() < end, "no worker began"
        time.sleep(0.01)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    while any(ffmpeg_below(dask.workers[name]) for name in ("one", "two")) or not any("sidecar" in name for name in there(server)):
        assert time.monotonic() < end, "the workers finish what they had begun"
        time.sleep(0.05)
    time.sleep(1)
    assert any("/runs/" in name for name in there(server)), "nobody said that the run is over"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert any(event["reused"] for event in events if event["event"] == "chunk_finished"), "what lay there was not encoded again"
    assert there(server) == []


def test_only_s3_is_shared() -> None:
    with pytest.raises(UsageError, match="only through S3"):
        Staging("/mnt/shared")
