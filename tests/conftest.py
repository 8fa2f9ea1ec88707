"""What many test files need: the ffmpeg that vidpipe uses."""

from __future__ import annotations

import pytest

from vidpipe.media.ffmpeg import FFmpeg, find


@pytest.fixture(scope="session")
def program() -> FFmpeg:
    """The ffmpeg that vidpipe finds on this machine; a missing one fails every test that asks for it."""
    return find()
