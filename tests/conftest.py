"""What many test files need: the ffmpeg that vidpipe uses, a small title, a Dask cluster."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.cluster_support import Dask
from tests.ingest_support import FIXTURES, run, settings
from tests.title_support import Encoded, encode_title
from vidpipe.media.ffmpeg import FFmpeg, find

for _name in [name for name in os.environ if name.startswith("VIDPIPE_")]:
    del os.environ[_name]  # settings of whoever runs the tests, such as a real target; variables of the tests begin with TEST_

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each of a thousand children compiles vidpipe anew: a fifth of its time
sys.dont_write_bytecode = False  # and so does pytest the tests, in each of its workers

hypothesis.settings.register_profile("shared machine", deadline=None)  # a slow moment of a busy machine is no fault
hypothesis.settings.load_profile("shared machine")


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than cores: a quarter of the time tests wait for browsers, servers, clusters and time limits."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def program() -> FFmpeg:
    """The ffmpeg that vidpipe finds on this machine; a missing one fails every test that asks for it."""
    return find()


@pytest.fixture(scope="session")
def encoded_title(tmp_path_factory: pytest.TempPathFactory) -> Encoded:
    """The encoded rungs and audio of a small title; each test file publishes them in its own way."""
    return encode_title(tmp_path_factory.mktemp("encoded"))


@pytest.fixture(scope="session")
def _chunks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    configured = settings(tmp_path_factory.mktemp("chunks"), 90)
    for name in ("one-second.mp4", "portrait-25.mp4"):
        run(FIXTURES / name, configured, content_id=name)
    return configured.work / "chunks"


@pytest.fixture
def encoded_before(_chunks: Path, tmp_path: Path) -> None:
    """The home of ``settings(tmp_path, 90)`` has encoded two fixtures before, for tests of what comes before or after the encode."""
    shutil.copytree(_chunks, tmp_path / "home" / "work" / "chunks")


@pytest.fixture(scope="session", autouse=True)
def _as_from_a_terminal() -> Iterator[None]:
    """Tests that run under nohup, or in a script's background, do not hand on that signals are ignored.

    A handler that does nothing keeps this process as it was; programs that it starts have the default.
    """
    numbers = [number for number in (signal.SIGINT, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_IGN]
    for number in numbers:
        signal.signal(number, lambda *_: None)
    yield
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Put the signal handlers back: a command that made a title live leaves its own until the process ends."""
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def _schedulers() -> Iterator[list[Dask]]:
    """The scheduler that the next test gets, if one runs: it takes a second to start."""
    running: list[Dask] = []
    yield running
    for cluster in running:
        cluster.close()


@pytest.fixture
def dask(_schedulers: list[Dask], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    """A scheduler on loopback without workers; the test starts its own, and may end it."""
    cluster = _schedulers.pop() if _schedulers else Dask(tmp_path_factory.mktemp("dask"))
    try:
        yield cluster
        if cluster.cleared():
            _schedulers.append(cluster)
    finally:
        if cluster not in _schedulers:
            cluster.close()
