"""loopback: this machine, by name or number, and nothing that only looks like it."""

from __future__ import annotations

import pytest

from vidpipe.loopback import is_loopback


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "example.com", "localhost.example.com", "127.0.0.1.example.com", "10.0.0.1", "0.0.0.0", "::"])
def test_another_one(host: str) -> None:
    assert not is_loopback(host)
