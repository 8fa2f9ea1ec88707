"""How a key server is asked: by whom it is let known, how often it is tried, and what each failure says."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.key_server import KeyServer, certificate, key_for, key_server
from tests.servers import forget_aws, isolated_aws
from vidpipe.errors import KeyServiceFailed, UsageError
from vidpipe.protect import key_server_client
from vidpipe.protect.key_server_client import KeyServerClient
from vidpipe.protect.key_source_setting import check_authorization, check_header
from vidpipe.protect.key_store import KeyStore, new_key_id
from vidpipe.protect.key_uses import KeyUse
from vidpipe.protect.speke import SpekeKeys
from vidpipe.web import Unreached, Web


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with key_server() as found:
        yield found


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds: list[float] = []
    monkeypatch.setattr(key_server_client, "sleep", seconds.append)
    return seconds


def asked(client: KeyServerClient, folder: Path, certificate: Path | None = None) -> str:
    """Ask for one key, and return its id; it is the one of the server."""
    key_id = new_key_id()
    (key,) = SpekeKeys(client, KeyStore(folder / "keys", bytes(32)), "aes-128", str(certificate) if certificate else None).keys(
        "film", (KeyUse(),), (key_id,)
    ).keys
    assert key.key == key_for(key_id)
    return key_id


# --- encrypted keys ----------------------------------------------------------------------------------------------------


def test_keys_come_encrypted_to_the_certificate(server: KeyServer, tmp_path: Path) -> None:
    own = certificate(tmp_path / "own.pem")
    asked(KeyServerClient(server.url), tmp_path, own)
    assert server.wrong == []
    (document,) = server.asked
    assert [each.tag.partition("}")[2] for each in document] == ["DeliveryDataList", "ContentKeyList", "ContentKeyUsageRuleList"]
    server.encrypts = False
    with pytest.raises(KeyServiceFailed, match="in clear, although it was asked to encrypt") as failed:
        asked(KeyServerClient(server.url), tmp_path, own)
    assert "delivery_certificate" in str(failed.value.fix)
    past = certificate(tmp_path / "past.pem", days=-1)
    with pytest.raises(UsageError, match="expired"):
        asked(KeyServerClient(server.url), tmp_path, past)


# --- by whom it is known -------------------------------------------------------------------------------------------------


def test_a_header_is_sent_and_kept_secret(server: KeyServer, tmp_path: Path) -> None:
    server.headers, server.authorization = {"x-api-key": "k3y"}, "Bearer t0ken"
    client = KeyServerClient(server.url + "?token=s3cret", "Bearer t0ken", "X-Api-Key: k3y")
    asked(client, tmp_path)
    assert not any(secret in repr(client) for secret in ("k3y", "t0ken", "s3cret"))
    with pytest.raises(KeyServiceFailed, match="401") as failed:
        asked(KeyServerClient(server.url, "Bearer t0ken", "x-api-key: other"), tmp_path)
    assert "key_source_header" in str(failed.value.fix)
    assert "other" not in "".join(failed.value.lines())


@pytest.mark.parametrize("line", ["x-api-key", ": KEY", "x api: KEY", "x-api-key:", "x-api-key: a\nb: c", "x-api-key: ä"])
def test_what_is_no_header_is_refused(line: str) -> None:
    with pytest.raises(UsageError, match="not a header") as refused:
        check_header(line, "key_source_header")
    assert "KEY" not in refused.value.what
    assert check_header(" x-api-key:  a: b ", "") == "x-api-key:  a: b"
    for ours in ("Authorization: Bearer x", "host: x", "X-Speke-Version: 1.0"):
        with pytest.raises(UsageError, match="cannot be set"):
            check_header(ours, "")


def test_requests_are_signed_with_aws_credentials(server: KeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_aws(monkeypatch)
    for name, value in isolated_aws(tmp_path).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(KeyServiceFailed, match="no AWS credentials were found") as failed:
        asked(KeyServerClient(server.url, "aws-sigv4"), tmp_path)
    assert failed.value.fix
    assert server.asked == []
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t0ken")
    server.aws = ("AKIDEXAMPLE", "s3cret", "us-east-1")
    asked(KeyServerClient(server.url, "aws-sigv4"), tmp_path)  # the region of the user's configuration
    server.aws, server.headers = ("AKIDEXAMPLE", "s3cret", "eu-west-1"), {"x-amz-security-token": "t0ken", "x-api-key": "k3y"}
    asked(KeyServerClient(server.url, "aws-sigv4:eu-west-1", "x-api-key: k3y"), tmp_path)
    assert server.wrong == []
    with pytest.raises(KeyServiceFailed, match="401") as failed:
        asked(KeyServerClient(server.url, "aws-sigv4:eu-west-2", "x-api-key: k3y"), tmp_path)
    assert "execute-api:Invoke" in str(failed.value.fix)
    assert not any(secret in "".join(failed.value.lines()) for secret in ("s3cret", "t0ken", "k3y"))
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(KeyServiceFailed, match="no AWS region is known") as failed:
        asked(KeyServerClient(server.url, "aws-sigv4"), tmp_path)
    assert "aws-sigv4:REGION" in str(failed.value.fix)
    with pytest.raises(UsageError, match="not an AWS region"):
        check_authorization("aws-sigv4:EU West", "")


@pytest.mark.parametrize(
    ("host", "region"),
    [("a1b2.execute-api.eu-central-1.amazonaws.com", "eu-central-1"), ("a1b2.execute-api.cn-north-1.amazonaws.com.cn", "cn-north-1")],
)
def test_the_url_of_api_gateway_says_its_region(host: str, region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from vidpipe.storage.api_gateway import signed

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    for given, meant in ((None, region), ("us-west-2", "us-west-2")):
        headers = signed(f"https://{host}:443/prod/copyProtection", {"Accept": "application/xml"}, b"", given)
        assert f"/{meant}/execute-api/aws4_request" in headers["Authorization"]
        assert headers["Host"] == f"{host}:443", "what is signed is what is sent"


def test_a_client_certificate_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = certificate(tmp_path / "client.pem"), certificate(tmp_path / "server.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(theirs)
    context.load_verify_locations(ours)
    context.verify_mode = ssl.CERT_REQUIRED
    monkeypatch.setattr(key_server_client, "WAITS", ())
    with key_server(context) as server:
        with pytest.raises(KeyServiceFailed, match="CERTIFICATE_VERIFY_FAILED") as failed:
            asked(KeyServerClient(server.url, client_certificate=str(ours)), tmp_path)
        assert "SSL_CERT_FILE" in str(failed.value.fix)
        monkeypatch.setenv("SSL_CERT_FILE", str(theirs))
        asked(KeyServerClient(server.url, client_certificate=str(ours)), tmp_path)
        with pytest.raises(KeyServiceFailed, match="cannot be asked") as failed:
            asked(KeyServerClient(server.url), tmp_path)
        assert "key_source_client_certificate" in str(failed.value.fix)
        for file in (tmp_path / "nothing.pem", certificate(tmp_path / "alone.pem", with_key=False)):
            with pytest.raises(UsageError, match="client certificate cannot be used") as refused:
                asked(KeyServerClient(server.url, client_certificate=str(file)), tmp_path)
            assert refused.value.where == str(file)


@pytest.mark.parametrize("alert", ["unknown ca", "access denied", "certificate revoked"])
def test_a_certificate_that_is_refused_is_named_and_not_tried_again(
    alert: str, monkeypatch: pytest.MonkeyPatch, waited: list[float]
) -> None:
    def refused(*_: object) -> None:
        raise Unreached(f"[SSL: ALERT] tlsv1 alert {alert} (_ssl.c:2580)")

    monkeypatch.setattr(Web, "answered", refused)
    with pytest.raises(KeyServiceFailed) as failed:
        KeyServerClient("https://keys.example.com/").ask(b"")
    assert "key_source_client_certificate" in str(failed.value.fix)
    assert waited == []


# --- failures that pass, and others --------------------------------------------------------------------------------------


def test_a_server_that_fails_for_a_moment_is_asked_again(server: KeyServer, tmp_path: Path, waited: list[float]) -> None:
    server.statuses = [503, 429]
    asked(KeyServerClient(server.url), tmp_path)
    assert (len(server.asked), waited) == (3, [*key_server_client.WAITS])
    server.statuses = [500, 502, 504, 200]
    with pytest.raises(KeyServiceFailed, match="answers 504 Gateway Timeout: it does not answer its gateway") as failed:
        asked(KeyServerClient(server.url), tmp_path)
    assert len(server.asked) == 6
    assert "run the same command again" in str(failed.value.fix)


def test_it_is_waited_for_as_it_asks_but_not_for_long(server: KeyServer, tmp_path: Path, waited: list[float]) -> None:
    server.statuses, server.sent = [429], {"Retry-After": "7"}
    asked(KeyServerClient(server.url), tmp_path)
    server.statuses, server.sent = [503], {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=14), usegmt=True)}
    asked(KeyServerClient(server.url), tmp_path)
    assert waited[0] == 7
    assert waited[1] <= 14
    assert waited[1] != key_server_client.WAITS[0]
    for said in ("soon", "-1", "9" * 30):
        server.statuses, server.sent = [503], {"Retry-After": said}
        asked(KeyServerClient(server.url), tmp_path)
        assert waited[-1] == key_server_client.WAITS[0]
    server.statuses, server.sent = [429], {"Retry-After": "3600"}
    with pytest.raises(KeyServiceFailed, match="429 Too Many Requests: it asks to slow down") as failed:
        asked(KeyServerClient(server.url), tmp_path)
    assert "wait 3600 s" in str(failed.value.fix)
    assert len(waited) == 5, "nobody waits an hour"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 501])
def test_a_refusal_is_not_tried_again(status: int, server: KeyServer, tmp_path: Path, waited: list[float]) -> None:
    server.statuses = [status]
    with pytest.raises(KeyServiceFailed, match=f"answers {status}"):
        asked(KeyServerClient(server.url), tmp_path)
    assert (len(server.asked), waited) == (1, [])


def test_a_server_that_hangs_is_not_asked_thrice(server: KeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the answer, and in the middle of it: each time as long as SILENCE, which is longer than MOST_WAIT."""
    assert key_server_client.SILENCE > key_server_client.MOST_WAIT
    monkeypatch.setattr(key_server_client, "SILENCE", 0.2)
    monkeypatch.setattr(key_server_client, "MOST_WAIT", 0.1)
    for server.seconds, server.pause in ((20.0, 0.0), (0.0, 20.0)):
        server.asked.clear()
        begun = time.monotonic()
        with pytest.raises(KeyServiceFailed, match="the server sends nothing"):
            asked(KeyServerClient(server.url), tmp_path)
        assert time.monotonic() - begun < 10
        assert len(server.asked) == 1


@pytest.mark.parametrize("target", ["http://127.0.0.1:1/", "https://keys.example.com/"])
def test_what_is_sent_goes_to_no_other_server(target: str, server: KeyServer, tmp_path: Path) -> None:
    server.status, server.sent = 307, {"Location": target}
    with pytest.raises(KeyServiceFailed, match="redirects what was sent to it") as failed:
        asked(KeyServerClient(server.url), tmp_path)
    assert "key_source" in str(failed.value.fix)


def test_what_speaks_no_tls_is_said(server: KeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_server_client, "WAITS", ())
    with pytest.raises(KeyServiceFailed, match="cannot be asked") as failed:
        asked(KeyServerClient(server.url.replace("http:", "https:")), tmp_path)
    assert "does not speak TLS" in str(failed.value.fix)


@pytest.mark.parametrize("said", ["Text/HTML; charset=utf-8", "text/html"])
def test_a_web_page_is_said_to_be_one(said: str, server: KeyServer, tmp_path: Path) -> None:
    server.raw, server.sent = b"<html>Sign in</html>", {"Content-Type": said}
    with pytest.raises(KeyServiceFailed, match="with a web page") as failed:
        asked(KeyServerClient(server.url), tmp_path)
    assert "sign-in" in str(failed.value.fix)
