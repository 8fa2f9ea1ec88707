"""What many test files need: the ffmpeg that vidpipe uses, a Dask cluster."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.cluster_support import Dask
from vidpipe.media.ffmpeg import FFmpeg, find

for _name in [name for name in os.environ if name.startswith("VIDPIPE_")]:
    del os.environ[_name]  # settings of whoever runs the tests, such as a real target; variables of the tests begin with TEST_

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each of a thousand children compiles vidpipe anew: a fifth of its time
sys.dont_write_bytecode = False  # and so does pytest the tests, in each of its workers

hypothesis.settings.register_profile("shared machine", deadline=None)  # a slow moment of a busy machine is no fault
hypothesis.settings.load_profile("shared machine")


@pytest.fixture(scope="session")
def program() -> FFmpeg:
    """The ffmpeg that vidpipe finds on this machine; a missing one fails every test that asks for it."""
    return find()


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Put the signal handlers back: a command that made a title live leaves its own until the process ends."""
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Dask]:
    """A scheduler on loopback; the test starts its workers."""
    folder = tmp_path / "dask"
    folder.mkdir()
    cluster = Dask(folder)
    try:
        yield cluster
    finally:
        cluster.close()
