"""doctor: what an ingest would meet hours later is named at once. (What the command prints is in test_cli.py.)"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.key_server import KeyServer, certificate, key_server
from vidpipe.doctor import CheckResult, examine
from vidpipe.settings import Settings


@pytest.fixture
def client(tmp_path: Path) -> Path:
    return certificate(tmp_path / "client.pem")


@pytest.fixture
def server(tmp_path: Path, client: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyServer]:
    """A key server that wants to see the certificate of its client."""
    theirs = certificate(tmp_path / "server.pem", number=1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(theirs)
    context.load_verify_locations(client)
    context.verify_mode = ssl.CERT_REQUIRED
    monkeypatch.setenv("SSL_CERT_FILE", str(theirs))
    with key_server(context) as found:
        yield found


def checks(home: Path, **settings: str) -> dict[str, CheckResult]:
    return {check.name: check for check in examine(Settings.model_validate({"home": home, **settings}), {})}


def test_a_key_server_is_reached_and_asked_for_no_key(server: KeyServer, client: Path, tmp_path: Path) -> None:
    url = f"cpix:{server.url}?token=s3cret"
    given = {"key_source_authorization": "aws-sigv4", "key_source_header": "x-api-key: k3y"}
    check = checks(tmp_path / "home", key_source=url, key_source_client_certificate=str(client), **given)["key_source"]
    assert (check.state, check.detail) == ("ok", f"a server answers at 127.0.0.1, shown {client}: 200 to a request for nothing")
    assert (server.asked, server.wrong) == ([], [])


@pytest.mark.parametrize(
    ("shown", "says", "fix"),
    [
        pytest.param(None, "127.0.0.1: the key server cannot be asked", "key_source_client_certificate", id="no certificate"),
        pytest.param("other.pem", "127.0.0.1: the key server cannot be asked", "key_source_client_certificate", id="another one"),
        pytest.param("none.pem", "the client certificate cannot be used: No such file", "PEM file", id="no file"),
    ],
)
def test_a_client_certificate_that_the_server_does_not_take(
    shown: str | None, says: str, fix: str, server: KeyServer, tmp_path: Path
) -> None:
    certificate(tmp_path / "other.pem", number=2)
    given = {"key_source_client_certificate": str(tmp_path / shown)} if shown else {}
    check = checks(tmp_path / "home", key_source=f"cpix:{server.url}", **given)["key_source"]
    assert check.state == "error"
    assert says in check.detail
    assert fix in str(check.fix)
    assert server.asked == []


def test_a_key_server_that_is_not_there(tmp_path: Path) -> None:
    check = checks(tmp_path / "home", key_source="cpix:http://127.0.0.1:1/speke?token=s3cret")["key_source"]
    assert (check.state, "s3cret" in f"{check.detail} {check.fix}") == ("error", False)
    assert "cannot be asked" in check.detail
    assert "check key_source" in str(check.fix)


def test_a_key_server_that_fails_for_a_moment_is_there(tmp_path: Path) -> None:
    """No key is asked for, so what it answers to that says nothing; and it is not waited for."""
    with key_server() as found:
        found.status = 503
        assert checks(tmp_path / "home", key_source=f"cpix:{found.url}")["key_source"].state == "ok"
        found.status, found.sent = 302, {"Location": "https://keys.example.com/"}
        moved = checks(tmp_path / "home", key_source=f"cpix:{found.url}")["key_source"]
        assert (moved.state, moved.fix) == ("error", "give the URL that it redirects to in key_source")


def test_a_delivery_certificate_is_looked_at(tmp_path: Path) -> None:
    own, past = certificate(tmp_path / "own.pem", days=30), certificate(tmp_path / "past.pem", days=-1)
    check = checks(tmp_path / "home", delivery_certificate=str(own))["delivery_certificate"]
    assert check.state == "ok"
    assert check.detail.startswith(f"{own}, valid until 20")
    check = checks(tmp_path / "home", delivery_certificate=str(past))["delivery_certificate"]
    assert (check.state, "has expired" in check.detail) == ("error", True)
    assert not {"delivery_certificate", "key_source"} & checks(tmp_path / "home").keys()
