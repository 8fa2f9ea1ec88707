"""What is special about S3: headers, parts, every failure in plain words, and no hang."""

from __future__ import annotations

import ast
import base64
import hashlib
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3.exceptions
import botocore.exceptions
import pytest
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber

from tests import servers
from vidpipe.errors import PublishFailed, VidpipeError
from vidpipe.storage import Storage, faults, open_storage, s3
from vidpipe.storage.base import Damaged
from vidpipe.storage.s3 import S3Storage


@pytest.fixture(scope="module")
def server() -> Iterator[servers.S3Server]:
    with servers.moto() as found:
        yield found


@pytest.fixture
def storage(server: servers.S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[S3Storage]:
    server.use(monkeypatch, tmp_path)
    with closing(S3Storage(server.bucket, f"p/{tmp_path.name}")) as opened:
        yield opened


@pytest.mark.parametrize("size", [1000, 13 << 20], ids=["in one piece", "in parts"])
def test_an_upload_can_be_stopped(size: int, storage: S3Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "MULTIPART", 6 << 20)
    monkeypatch.setattr(s3, "PART", 6 << 20)
    asked: list[int] = []

    class Stop(Exception):
        pass

    def stop(number: int) -> None:
        asked.append(number)
        raise Stop

    with closing(S3Storage(storage.bucket, storage.prefix)) as small:
        with pytest.raises(Stop):
            small.put("t/x", bytes(size), content_type="a/b", cache_control="no-store", sha256="ab" * 32, on_bytes=stop)
        assert len(asked) <= 3, "no part is tried again"
        if size > s3.MULTIPART:  # what fits into one piece may have left before the callback is called
            assert small.head("t/x") is None
        sent: list[int] = []
        small.put("t/x", bytes(size), content_type="a/b", cache_control="no-store", sha256="ab" * 32, on_bytes=sent.append)
        assert sum(sent) == size


def test_a_large_object_is_copied_in_parts_with_its_headers(storage: S3Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "LARGEST_COPY", 6 << 20)
    monkeypatch.setattr(s3, "COPIED_PART", 5 << 20)
    data = bytes(range(256)) * (11 << 12)
    sha256 = hashlib.sha256(data).hexdigest()
    headers = {"content_type": "text/vtt", "cache_control": "public", "content_encoding": "gzip", "sha256": sha256}
    storage.put("t/v1/x", data, **headers)
    asked: list[str] = []
    storage._client.meta.events.register("before-call.s3", lambda model, **_: asked.append(model.name))
    assert storage.copy("t/v1/x", "t/v2/x", size=len(data))
    assert asked.count("UploadPartCopy") == 3
    assert storage.get("t/v2/x") == data
    stored = storage.head("t/v2/x")
    assert stored is not None
    assert stored.model_dump(include=headers.keys()) == headers
    assert not storage.copy("t/v1/none", "t/v2/none", size=len(data))


@pytest.mark.parametrize(
    ("code", "copied"),
    [("NoSuchKey", False), ("AccessDenied", False), ("NotImplemented", False), ("InvalidObjectState", False), ("SlowDown", None)],
)
def test_what_a_server_does_not_copy_is_no_failure(code: str, copied: bool | None, storage: S3Storage) -> None:
    with Stubber(storage._client) as stub:
        stub.add_client_error("copy_object", code)
        if copied is None:
            with pytest.raises(PublishFailed, match="slow down"):
                storage.copy("t/v1/x", "t/v2/x", size=5)
        else:
            assert storage.copy("t/v1/x", "t/v2/x", size=5) is copied


def put(storage: Storage, path: str, data: bytes | Path) -> None:
    storage.put(path, data, content_type="video/mp4", cache_control="public, max-age=604800", sha256="ab" * 32)


def test_a_put_is_one_request_with_its_md5(storage: S3Storage) -> None:
    with Stubber(storage._client) as stub:
        stub.add_response(
            "put_object",
            {},
            {
                "Bucket": "titles",
                "Key": f"{storage.prefix}/t/x",
                "Body": b"data",
                "ContentMD5": base64.b64encode(hashlib.md5(b"data").digest()).decode(),
                "ContentType": "video/mp4",
                "CacheControl": "public, max-age=604800",
                "Metadata": {"sha256": "ab" * 32},
            },
        )
        put(storage, "t/x", b"data")
        stub.assert_no_pending_responses()


def test_a_put_is_signed_by_the_hash_that_is_known(storage: S3Storage, server: servers.S3Server) -> None:
    """Computing it again is a third of what an upload computes; a server that compares it rejects a body that is another."""
    data, signed = b"x" * 1000, []
    wanted = hashlib.sha256(data).hexdigest()

    def seen(request: Any, **_: object) -> None:
        signed.append((request.method, request.headers["X-Amz-Content-SHA256"].decode()))

    storage._client.meta.events.register("before-send.s3", seen)
    for sha256 in ("ab" * 32, wanted):
        storage.put("a/b.m4s", data, content_type="video/mp4", cache_control="no-store", sha256=sha256)
    assert storage.get("a/b.m4s") == data
    assert [found for method, found in signed if method == "PUT"] == ["ab" * 32, wanted]
    assert signed[-1][1] == hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize("kind", ["bytes", "file"])
def test_a_big_object_goes_in_parts(kind: str, storage: S3Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "MULTIPART", 6 << 20)
    monkeypatch.setattr(storage, "_transfer", s3.TransferConfig(multipart_threshold=6 << 20, multipart_chunksize=5 << 20))
    data = bytes(range(256)) * (7 << 12)
    (tmp_path / "big").write_bytes(data)
    put(storage, "t/big", data if kind == "bytes" else tmp_path / "big")
    stored = storage.head("t/big")
    assert stored is not None
    assert (stored.size, stored.sha256, stored.content_type) == (len(data), "ab" * 32, "video/mp4")
    storage.download("t/big", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data


def test_a_long_list_comes_in_pages(storage: S3Storage) -> None:
    with Stubber(storage._client) as stub:
        stub.add_response(
            "list_objects_v2",
            {"IsTruncated": True, "NextContinuationToken": "next", "Contents": [{"Key": f"{storage.prefix}/t/a", "Size": 1}]},
            {"Bucket": "titles", "Prefix": f"{storage.prefix}/t/"},
        )
        stub.add_response(
            "list_objects_v2",
            {"IsTruncated": False, "Contents": [{"Key": f"{storage.prefix}/t/b", "Size": 2}, {"Key": f"{storage.prefix}/t/c/", "Size": 0}]},
            {"Bucket": "titles", "Prefix": f"{storage.prefix}/t/", "ContinuationToken": "next"},
        )
        assert [(found.path, found.size) for found in storage.list("t")] == [("t/a", 1), ("t/b", 2)]
        stub.assert_no_pending_responses()


def test_a_read_that_breaks_off_is_tried_again(storage: S3Storage) -> None:
    with Stubber(storage._client) as stub:
        stub.add_response("get_object", {"Body": StreamingBody(io.BytesIO(b"hal"), 5)}, {"Bucket": "titles", "Key": ANY})
        stub.add_response("get_object", {"Body": StreamingBody(io.BytesIO(b"whole"), 5)}, {"Bucket": "titles", "Key": ANY})
        assert storage.get("t/x") == b"whole"
        stub.assert_no_pending_responses()


@pytest.mark.parametrize("damage", ["flipped", "truncated"])
def test_what_was_damaged_on_its_way_is_read_again(damage: str, storage: S3Storage) -> None:
    data = b"what was written"
    bad, sha256 = (b"what wAs written" if damage == "flipped" else data[:9]), hashlib.sha256(data).hexdigest()

    def answers(*bodies: bytes, said: str = sha256) -> None:
        for body in bodies:
            answer = {"Body": StreamingBody(io.BytesIO(body), len(body)), "Metadata": {"Sha256": said}}
            stub.add_response("get_object", answer, {"Bucket": "titles", "Key": ANY})

    with Stubber(storage._client) as stub:
        answers(bad, bad, data)
        assert storage.get("t/x") == data
        answers(bad, bad, bad)
        with pytest.raises(Damaged) as refused:
            storage.get("t/x")
        assert (refused.value.size, refused.value.sha256) == (len(bad), hashlib.sha256(bad).hexdigest())
        answers(bad, data, said="ab" * 32)  # who knows better what it must be does not ask the target
        assert storage.get("t/x", sha256) == data
        stub.assert_no_pending_responses()


# -- failures ----------------------------------------------------------------------------------------------------------------------------

OPERATIONS: dict[str, Callable[[S3Storage, Path], object]] = {
    "check": lambda storage, folder: storage.check(),
    "put": lambda storage, folder: put(storage, "t/x", b"data"),
    "get": lambda storage, folder: storage.get("t/x"),
    "download": lambda storage, folder: storage.download("t/x", folder / "copy"),
    "head": lambda storage, folder: storage.head("t/x"),
    "list": lambda storage, folder: list(storage.list("t")),
    "delete_prefix": lambda storage, folder: storage.delete_prefix("t"),
}
ANSWERS = {
    "NoSuchBucket": (404, "the bucket does not exist"),
    "AccessDenied": (403, "access denied"),
    "InvalidAccessKeyId": (403, "access key"),
    "SignatureDoesNotMatch": (403, "secret key"),
    "ExpiredToken": (400, "expired"),
    "RequestTimeTooSkewed": (403, "clock"),
    "SlowDown": (503, "slow down"),
    "QuotaExceeded": (403, "quota"),
    "BadDigest": (400, "damaged"),
    "SomethingNew": (418, "SomethingNew: said so"),
}


@pytest.mark.parametrize("code", ANSWERS)
@pytest.mark.parametrize("operation", ["check", "put", "get", "list"])
def test_answers_of_the_server_are_explained(operation: str, code: str, storage: S3Storage, tmp_path: Path) -> None:
    status, says = ANSWERS[code]
    method = {"put": "put_object", "get": "get_object"}.get(operation, "list_objects_v2")
    with Stubber(storage._client) as stub:
        stub.add_client_error(method, code, "said so", status)
        if operation == "check" and code == "AccessDenied":
            OPERATIONS[operation](storage, tmp_path)  # credentials that may write, but not list, are good enough
            return
        with pytest.raises(PublishFailed, match=says) as failure:
            OPERATIONS[operation](storage, tmp_path)
    assert str(failure.value.where).startswith("s3://titles/p/")
    assert failure.value.fix


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_bucket_that_is_not_there(operation: str, server: servers.S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server.use(monkeypatch, tmp_path)
    with closing(S3Storage("no-such-bucket", "")) as storage:
        if operation == "head":  # an answer to HEAD has no body: nothing distinguishes a missing bucket from a missing object
            assert storage.head("t/x") is None
            return
        with pytest.raises(PublishFailed, match=r"bucket does not exist|no such object") as failure:
            OPERATIONS[operation](storage, tmp_path)
    assert "s3://no-such-bucket" in str(failure.value.where)


@contextmanager
def environment(monkeypatch: pytest.MonkeyPatch, folder: Path, **values: str) -> Iterator[None]:
    servers.forget_aws(monkeypatch)
    monkeypatch.setattr(s3, "ATTEMPTS", 2)
    monkeypatch.setattr(s3, "CONNECT_TIMEOUT", 0.3)
    monkeypatch.setattr(s3, "READ_TIMEOUT", 0.3)
    for name, value in {**servers.isolated_aws(folder), **values}.items():
        monkeypatch.setenv(name, value)
    yield


KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "TOPSECRET"}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "no AWS credentials"),
        ({"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "credentials are incomplete"),
        ({**KEYS, "AWS_PROFILE": "nowhere"}, "profile does not exist"),
        ({**KEYS, "AWS_ENDPOINT_URL": "not a url"}, "endpoint"),
        ({**KEYS, "AWS_ENDPOINT_URL": "http://user:TOPSECRET@127.0.0.1:9"}, "cannot be reached|could not|endpoint"),
        ({**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "server cannot be reached"),
        ({**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_DEFAULT_REGION": "no region!"}, "region"),
    ],
    ids=["no-credentials", "half-credentials", "no-profile", "bad-endpoint", "endpoint-with-password", "unreachable", "bad-region"],
)
def test_a_wrong_environment_is_explained(values: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with environment(monkeypatch, tmp_path, **values), pytest.raises(PublishFailed, match=says) as failure:
        put(open_storage("s3://bucket/p"), "t/x", b"data")
    assert failure.value.fix
    assert "TOPSECRET" not in " ".join(failure.value.lines())


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_silent_server_does_not_hang(operation: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection into its backlog and never answers
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with environment(monkeypatch, tmp_path, **KEYS, AWS_ENDPOINT_URL=endpoint), closing(S3Storage("bucket", "p")) as storage:
            began = time.monotonic()
            with pytest.raises(PublishFailed, match=r"stopped answering|does not answer"):
                OPERATIONS[operation](storage, tmp_path)
            assert time.monotonic() - began < 30


class _Broken(BaseHTTPRequestHandler):
    """Promises 1000 bytes and sends 10."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"0123456789")

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.mark.parametrize("operation", ["get", "download"])
def test_a_body_that_breaks_off_is_explained(operation: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = ThreadingHTTPServer(("127.0.0.1", 0), _Broken)
    thread = threading.Thread(target=broken.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        endpoint = f"http://127.0.0.1:{broken.server_address[1]}"
        with (
            environment(monkeypatch, tmp_path, **KEYS, AWS_ENDPOINT_URL=endpoint),
            closing(S3Storage("bucket", "p")) as storage,
            pytest.raises(PublishFailed, match="the server's response was cut off"),
        ):
            OPERATIONS[operation](storage, tmp_path)
        assert list(tmp_path.glob("copy*")) == []
    finally:
        broken.shutdown()
        thread.join()
        broken.server_close()


def _foreign_exceptions() -> list[type[Exception]]:
    kinds = [
        kind
        for module in (botocore.exceptions, boto3.exceptions)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, Warning)
    ]
    return sorted(set(kinds), key=lambda kind: kind.__name__)


def _instance(kind: type[Exception]) -> Exception:
    made = kind.__new__(kind)
    Exception.__init__(made, "an internal text")
    if isinstance(made, botocore.exceptions.ClientError):
        made.response = {}
    return made


def test_no_exception_of_boto_leaks(storage: S3Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[Exception] = []

    def fail(*arguments: object, **options: object) -> None:
        raise raised[-1]

    for name in ("list_objects_v2", "put_object", "get_object", "head_object", "delete_object", "download_file", "get_paginator"):
        monkeypatch.setattr(storage._client, name, fail)
    kinds = _foreign_exceptions()
    assert len(kinds) > 80
    for kind in kinds:
        for name, operation in OPERATIONS.items():
            raised.append(_instance(kind))
            with pytest.raises(VidpipeError) as failure:
                operation(storage, tmp_path)
            assert isinstance(failure.value, PublishFailed), (kind, name)
            assert failure.value.__cause__ is raised[-1], (kind, name)
            assert failure.value.fix, (kind, name)


def test_only_one_module_imports_boto3() -> None:
    package = Path(s3.__file__).parent.parent
    importers = []
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            if any(name.split(".")[0] in ("boto3", "botocore", "s3transfer") for name in names):
                importers.append(file.relative_to(package).as_posix())
    assert set(importers) == {"storage/s3.py"}


def test_explanations_have_advice() -> None:
    for table in (faults._CODES, faults._FAILURES):
        assert all(what and fix for what, fix in table.values())
    assert set(faults._ALIASES.values()) - set(faults._CODES) <= {"BadRequest"}
