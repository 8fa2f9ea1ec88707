"""Many ingests in one process share a pool of workers: together they encode no more than it has room for, and each ends alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.ingest_support import FIXTURES, Recorder, settings
from vidpipe import WorkerPool
from vidpipe.errors import Interrupted
from vidpipe.media.ffmpeg import find
from vidpipe.pipeline.ingest import IngestRequest, IngestResult, ingest
from vidpipe.progress import Event
from vidpipe.settings import Settings

COUNTING = """\
#!/bin/sh
case "$*" in
*libx264*) echo {begin} >>{log}; sleep 0.1; {ffmpeg} "$@"; code=$?; echo end >>{log}; exit $code;;
*) exec {ffmpeg} "$@";;
esac
"""


def counting(folder: Path, begin: str = "begin") -> tuple[str, Path]:
    """Write an ffmpeg that notes when an encode of the picture begins and ends; return it and its notes. begin: what it notes then."""
    program, log = folder / "ffmpeg", folder / "encodes.log"
    program.write_text(COUNTING.format(begin=begin, log=log, ffmpeg=find().path))
    program.chmod(0o755)
    return str(program), log


def most_at_once(log: Path) -> int:
    running = most = 0
    for line in log.read_text().split():
        running += 1 if line == "begin" else -1
        most = max(most, running)
    return most


def test_three_ingests_encode_no_more_at_once_than_the_pool_has_room_for(tmp_path: Path) -> None:
    ffmpeg, log = counting(tmp_path)
    pool = WorkerPool(2)

    def one(name: str) -> IngestResult:
        request = IngestRequest(source=str(FIXTURES / f"{name}.mp4"), content_id=name)
        return ingest(request, settings(tmp_path / name, 90, ffmpeg=ffmpeg, encrypt="none"), workers=pool)

    names = ("landscape-24", "ntsc-29.97", "portrait-25")
    with ThreadPoolExecutor(len(names)) as threads:
        results = list(threads.map(one, names))
    assert [result.record.content_id for result in results] == list(names)
    assert sum(result.chunks for result in results) >= 6, "there was something to share"
    assert log.read_text().split().count("begin") == sum(result.chunks for result in results)
    assert most_at_once(log) == 2


class CancelAfter:
    """Sets a cancel event when the first chunk is done."""

    def __init__(self, cancel: threading.Event) -> None:
        self.cancel = cancel

    def emit(self, event: Event) -> None:
        if event.event == "chunk_finished":
            self.cancel.set()


def test_a_cancelled_ingest_leaves_the_others_alone(tmp_path: Path) -> None:
    pool, cancel, heard = WorkerPool(1), threading.Event(), Recorder()
    source = str(FIXTURES / "landscape-24.mp4")

    def configured(name: str) -> Settings:
        return settings(tmp_path / name, 90, encrypt="none")

    with ThreadPoolExecutor(2) as threads:
        stopped = threads.submit(
            ingest, IngestRequest(source=source, content_id="a"), configured("a"), CancelAfter(cancel), cancel, workers=pool
        )
        kept = threads.submit(ingest, IngestRequest(source=source, content_id="b"), configured("b"), heard, workers=pool)
        with pytest.raises(Interrupted):
            stopped.result(120)
        assert kept.result(120).record.status == "live"
    assert len(heard.named("chunk_finished")) == kept.result().chunks
    assert (pool.chunks._running, pool.chunks._waiting, pool.beside._running, pool.beside._waiting) == ([], [], [], [])
    again = ingest(IngestRequest(source=source, content_id="a"), configured("a"), workers=pool)
    assert again.chunks_reused >= 1, "what was finished is kept"
