"""S3 in this process: one bucket in memory, and faults as they are ordered, request by request.

It speaks what ``vidpipe/storage/s3.py`` asks: objects, listings in pages, copies, uploads in parts. It checks no signature, but whose
access key asks, so that credentials may expire. Threads, one a connection; written for speed: a schedule costs a hundred requests.
"""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import socketserver
import struct
import threading
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from tests.servers import BUCKET, S3Server

ACCESS_KEY = "AKIAFAULTS"
LATE = 0.01
"""Seconds that a slow answer takes, and pauses between its pieces: long beside a request of a millisecond."""


class Fault(StrEnum):
    """What befalls a request."""

    ERROR = "500"  # it is refused
    BUSY = "503"  # it is refused: slow down
    ERROR_AFTER = "500, though done"
    RESET = "reset"  # the connection breaks before anything is done
    RESET_AFTER = "reset, though done"  # it breaks before an answer
    RESET_INSIDE = "reset mid-body"  # it breaks inside the answer
    SLOW = "slow"  # the answer comes late, in pieces
    SHORT = "truncated"  # the body ends early, and says so itself
    FLIPPED = "flipped"  # one bit of the body is another one
    LOST = "lost"  # it is answered as if it were done
    TORN = "torn"  # half of the body is stored, and answered as if it were all
    WRONG_ETAG = "wrong ETag"
    STALE = "stale list"  # the listing is that of some changes ago
    EXPIRED = "expired"  # from now on no request is answered but by this


_ALWAYS = (Fault.ERROR, Fault.BUSY, Fault.ERROR_AFTER, Fault.RESET, Fault.RESET_AFTER, Fault.SLOW, Fault.EXPIRED)
_WRITES = (*_ALWAYS, Fault.LOST)
FITTING: dict[str, tuple[Fault, ...]] = {
    "GetObject": (*_ALWAYS, Fault.RESET_INSIDE, Fault.SHORT, Fault.FLIPPED, Fault.WRONG_ETAG),
    "HeadObject": (*_ALWAYS, Fault.WRONG_ETAG),
    "ListObjectsV2": (*_ALWAYS, Fault.RESET_INSIDE, Fault.STALE),
    "PutObject": (*_WRITES, Fault.TORN, Fault.WRONG_ETAG),
    "CopyObject": (*_WRITES, Fault.RESET_INSIDE, Fault.WRONG_ETAG),
    "DeleteObject": _WRITES,
    "CreateMultipartUpload": _ALWAYS,
    "UploadPart": (*_WRITES, Fault.TORN, Fault.WRONG_ETAG),
    "UploadPartCopy": (*_WRITES, Fault.WRONG_ETAG),
    "CompleteMultipartUpload": (*_WRITES, Fault.RESET_INSIDE, Fault.WRONG_ETAG),
    "AbortMultipartUpload": _WRITES,
    "ListMultipartUploads": (*_ALWAYS, Fault.RESET_INSIDE),
}
"""What can befall each kind of request."""

_MESSAGES = {
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "SlowDown": (503, "Please reduce your request rate."),
    "ExpiredToken": (400, "The provided token has expired."),
    "InvalidAccessKeyId": (403, "The access key is not in our records."),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchBucket": (404, "The specified bucket does not exist."),
    "NoSuchUpload": (404, "The specified upload does not exist."),
    "InvalidPart": (400, "One or more of the specified parts could not be found."),
    "BadDigest": (400, "The Content-MD5 you specified did not match what we received."),
    "InvalidRange": (416, "The requested range is not satisfiable."),
    "NotImplemented": (501, "Nobody asks this of it."),
}


@dataclass(frozen=True)
class Asked:
    """A request. number: how many of the same kind for the same key came before it, since the faults began."""

    operation: str
    key: str
    number: int


@dataclass(frozen=True)
class Kept:
    """An object. headers: those that it was sent with and is given back with.  torn: half of what was sent."""

    body: bytes
    headers: dict[str, str]
    modified: datetime
    etag: str
    torn: bool = False

    @property
    def sha256(self) -> str:
        """Of the bytes, whatever the headers say."""
        return _sha256(self.body)


_digests: dict[bytes, str] = {}


def _sha256(body: bytes) -> str:
    """The same bytes are asked for thousands of times."""
    found = _digests.get(body)
    if found is None:
        found = _digests[body] = hashlib.sha256(body).hexdigest()
        if len(_digests) > 4096:
            _digests.clear()
    return found


@dataclass(frozen=True)
class Parts:
    """An upload in parts."""

    key: str
    headers: dict[str, str]
    begun: datetime
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass
class _Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class _Refused(Exception):
    """Answered by an error code."""


class _Broken(Exception):
    """The connection is to break."""


class FaultServer:
    """The bucket, and what befalls its requests.

    objects: by key.  uploads: unfinished ones in parts, by id.  clock: when everything is written, as listings say.
    decide: which fault a request suffers.  lag: by how many changes a stale listing is behind.  page: entries of a listing.
    changed: called after each change of an object, inside the request.  log: what was asked, and befell it.
    crashes: of the server itself.
    """

    def __init__(self, clock: datetime) -> None:
        self.objects: dict[str, Kept] = {}
        self.uploads: dict[str, Parts] = {}
        self.clock = clock
        self.decide: Callable[[Asked], Fault | None] = lambda asked: None
        self.lag = 1
        self.page = 1000
        self.changed: Callable[[str], None] = lambda key: None
        self.log: list[tuple[Asked, Fault | None]] = []
        self.port = 0
        self.crashes: list[str] = []
        self._expired = False
        self._numbers: Counter[tuple[str, str]] = Counter()
        self._before: list[tuple[str, Kept | None]] = []
        self._lock = threading.RLock()

    @property
    def client(self) -> S3Server:
        """How it is reached."""
        return S3Server(f"http://127.0.0.1:{self.port}", ACCESS_KEY, "no-signature-is-checked")

    def begin(self, decide: Callable[[Asked], Fault | None]) -> None:
        """Let faults befall the requests from now on."""
        self._numbers.clear()
        self.decide = decide

    def heal(self) -> None:
        """Let no fault befall anything any more; credentials are valid again."""
        self._expired = False
        self.decide = lambda asked: None

    def reset(self, objects: dict[str, Kept]) -> None:
        """Hold these objects, and know of nothing else."""
        self.heal()
        self.objects, self.uploads, self._before, self.log = dict(objects), {}, [], []
        self.changed = lambda key: None

    def answer(self, method: str, target: str, headers: dict[str, str], read: Callable[[], bytes]) -> tuple[_Answer, Fault | None]:
        """Answer a request. read: gives its body.  Raises _Broken if the connection is to break."""
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        bucket, _, key = unquote(url.path).removeprefix("/").partition("/")
        operation = _operation(method, key, query, headers)
        name = key or query.get("prefix", "")
        with self._lock:
            asked = Asked(operation, name, self._numbers[operation, name])
            self._numbers[operation, name] += 1
            fault = Fault.EXPIRED if self._expired else self.decide(asked)
            self._expired |= fault is Fault.EXPIRED
            self.log.append((asked, fault))
        if fault is Fault.RESET:
            raise _Broken
        body = read()
        if fault is Fault.SLOW:
            time.sleep(LATE)
        try:
            if f"Credential={ACCESS_KEY}/" not in headers.get("authorization", ""):
                raise _Refused("InvalidAccessKeyId")
            if fault in _REFUSALS:
                raise _Refused(_REFUSALS[fault])
            if bucket != BUCKET:
                raise _Refused("NoSuchBucket")
            with self._lock:
                answer = self._done(operation, key, query, headers, body, fault)
            if fault is Fault.ERROR_AFTER:
                raise _Refused("InternalError")
        except _Refused as refused:
            answer = _refusal(str(refused), without_body=method == "HEAD")
        if fault is Fault.RESET_AFTER:
            raise _Broken
        if fault is Fault.WRONG_ETAG and "ETag" in answer.headers:
            answer.headers["ETag"] = '"00000000000000000000000000000000"'
        if answer.status < 300 and fault in (Fault.SHORT, Fault.FLIPPED) and answer.body:
            answer.body = _damaged(answer.body, fault, asked)
        return answer, fault

    def _done(self, operation: str, key: str, query: dict[str, str], headers: dict[str, str], body: bytes, fault: Fault | None) -> _Answer:
        done: Callable[..., _Answer] = getattr(self, f"_{operation}")
        return done(key=key, query=query, headers=headers, body=body, fault=fault)

    def _GetObject(self, *, key: str, headers: dict[str, str], **_: Any) -> _Answer:
        found = self._found(key)
        body, answer = found.body, _Answer(headers=found_headers(found))
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", "")):
            first, last = int(asked[1]), min(int(asked[2] or len(body)), len(body) - 1)
            if first > last:
                raise _Refused("InvalidRange")
            answer.status, answer.body = 206, body[first : last + 1]
            answer.headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
        else:
            answer.body = body
        return answer

    def _HeadObject(self, *, key: str, **_: Any) -> _Answer:
        found = self._found(key)
        return _Answer(headers={**found_headers(found), "Content-Length": str(len(found.body))})

    def _PutObject(self, *, key: str, headers: dict[str, str], body: bytes, fault: Fault | None, **_: Any) -> _Answer:
        if (md5 := headers.get("content-md5")) and base64.b64encode(_md5(body).digest()).decode() != md5:
            raise _Refused("BadDigest")
        etag = f'"{_md5(body).hexdigest()}"'
        if fault is not Fault.LOST:
            self._store(key, _half(body, fault), _kept_headers(headers), etag, torn=fault is Fault.TORN)
        return _Answer(headers={"ETag": etag})

    def _CopyObject(self, *, key: str, headers: dict[str, str], fault: Fault | None, **_: Any) -> _Answer:
        source = self._source(headers)
        if fault is not Fault.LOST:
            self._store(key, source.body, source.headers, source.etag)
        return _xml("CopyObjectResult", f"<ETag>{source.etag}</ETag><LastModified>{_iso(self.clock)}</LastModified>")

    def _DeleteObject(self, *, key: str, fault: Fault | None, **_: Any) -> _Answer:
        if fault is not Fault.LOST and key in self.objects:
            self._before.append((key, self.objects.pop(key)))
            self.changed(key)
        return _Answer(204)

    def _ListObjectsV2(self, *, query: dict[str, str], fault: Fault | None, **_: Any) -> _Answer:
        prefix, after = query.get("prefix", ""), query.get("continuation-token", "")
        shown = dict(self.objects)
        for key, before in reversed(self._before[-self.lag :]) if fault is Fault.STALE else ():
            if before is None:
                shown.pop(key, None)
            else:
                shown[key] = before
        keys = sorted(key for key in shown if key.startswith(prefix) and key > after)
        most = min(int(query.get("max-keys", self.page)), self.page)
        entries = "".join(
            f"<Contents><Key>{quote(key)}</Key><Size>{len(shown[key].body)}</Size><ETag>{escape(shown[key].etag)}</ETag>"
            f"<LastModified>{_iso(shown[key].modified)}</LastModified></Contents>"
            for key in keys[:most]
        )
        more = f"<NextContinuationToken>{escape(keys[most - 1])}</NextContinuationToken>" if len(keys) > most else ""
        about = f"<EncodingType>url</EncodingType><IsTruncated>{str(bool(more)).lower()}</IsTruncated>"
        return _xml("ListBucketResult", about + more + entries)

    def _CreateMultipartUpload(self, *, key: str, headers: dict[str, str], **_: Any) -> _Answer:
        id_ = f"upload-{len(self.log)}"
        self.uploads[id_] = Parts(key, _kept_headers(headers), self.clock)
        return _xml("InitiateMultipartUploadResult", f"<Bucket>{BUCKET}</Bucket><Key>{escape(key)}</Key><UploadId>{id_}</UploadId>")

    def _UploadPart(self, *, query: dict[str, str], body: bytes, fault: Fault | None, **_: Any) -> _Answer:
        upload = self._upload(query)
        if fault is not Fault.LOST:
            upload.parts[int(query["partNumber"])] = _half(body, fault)
        return _Answer(headers={"ETag": f'"{_md5(body).hexdigest()}"'})

    def _UploadPartCopy(self, *, query: dict[str, str], headers: dict[str, str], fault: Fault | None, **_: Any) -> _Answer:
        upload, source = self._upload(query), self._source(headers).body
        if asked := re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("x-amz-copy-source-range", "")):
            source = source[int(asked[1]) : int(asked[2]) + 1]
        if fault is not Fault.LOST:
            upload.parts[int(query["partNumber"])] = source
        return _xml("CopyPartResult", f'<ETag>"{_md5(source).hexdigest()}"</ETag><LastModified>{_iso(self.clock)}</LastModified>')

    def _CompleteMultipartUpload(self, *, key: str, query: dict[str, str], body: bytes, fault: Fault | None, **_: Any) -> _Answer:
        upload = self._upload(query)
        named = [
            (int(part.findtext("{*}PartNumber") or 0), (part.findtext("{*}ETag") or "").strip('"'))
            for part in ElementTree.fromstring(body).findall("{*}Part")
        ]
        if not named or any(number not in upload.parts for number, _ in named):
            raise _Refused("InvalidPart")
        if any(len(tag) != 32 or tag == "0" * 32 for _, tag in named):
            raise _Refused("InvalidPart")
        whole = b"".join(upload.parts[number] for number, _ in sorted(named))
        etag = f'"{_md5(whole).hexdigest()}-{len(named)}"'
        del self.uploads[query["uploadId"]]
        if fault is not Fault.LOST:
            self._store(key, whole, upload.headers, etag)
        return _xml("CompleteMultipartUploadResult", f"<Key>{escape(key)}</Key><ETag>{etag}</ETag>")

    def _AbortMultipartUpload(self, *, query: dict[str, str], fault: Fault | None, **_: Any) -> _Answer:
        self._upload(query)
        if fault is not Fault.LOST:
            del self.uploads[query["uploadId"]]
        return _Answer(204)

    def _ListMultipartUploads(self, *, query: dict[str, str], **_: Any) -> _Answer:
        entries = "".join(
            f"<Upload><Key>{quote(upload.key)}</Key><UploadId>{id_}</UploadId><Initiated>{_iso(upload.begun)}</Initiated></Upload>"
            for id_, upload in sorted(self.uploads.items(), key=lambda item: (item[1].key, item[0]))
            if upload.key.startswith(query.get("prefix", ""))
        )
        return _xml("ListMultipartUploadsResult", f"<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>{entries}")

    def _store(self, key: str, body: bytes, headers: dict[str, str], etag: str, *, torn: bool = False) -> None:
        self._before.append((key, self.objects.get(key)))
        self.objects[key] = Kept(body, headers, self.clock, etag, torn)
        self.changed(key)

    def _found(self, key: str) -> Kept:
        if key not in self.objects:
            raise _Refused("NoSuchKey")
        return self.objects[key]

    def _source(self, headers: dict[str, str]) -> Kept:
        return self._found(unquote(headers["x-amz-copy-source"]).removeprefix("/").partition("/")[2])

    def _upload(self, query: dict[str, str]) -> Parts:
        if query.get("uploadId", "") not in self.uploads:
            raise _Refused("NoSuchUpload")
        return self.uploads[query["uploadId"]]


_REFUSALS = {Fault.ERROR: "InternalError", Fault.BUSY: "SlowDown", Fault.EXPIRED: "ExpiredToken"}
_KEPT = ("content-type", "cache-control", "content-encoding")


def _operation(method: str, key: str, query: dict[str, str], headers: dict[str, str]) -> str:
    if not key:
        return "ListMultipartUploads" if "uploads" in query else "ListObjectsV2"
    if method == "POST":
        return "CreateMultipartUpload" if "uploads" in query else "CompleteMultipartUpload"
    copied, part = "x-amz-copy-source" in headers, "uploadId" in query
    if method == "PUT" and part:
        return "UploadPartCopy" if copied else "UploadPart"
    if method == "PUT":
        return "CopyObject" if copied else "PutObject"
    if method == "DELETE":
        return "AbortMultipartUpload" if part else "DeleteObject"
    return {"GET": "GetObject", "HEAD": "HeadObject"}[method]


def _kept_headers(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name in _KEPT or name.startswith("x-amz-meta-")}


def found_headers(found: Kept) -> dict[str, str]:
    """The headers of an object as they are given back."""
    return {**found.headers, "ETag": found.etag, "Last-Modified": format_datetime(found.modified, usegmt=True)}


def _xml(name: str, text: str) -> _Answer:
    return _Answer(body=f'<?xml version="1.0"?><{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{text}</{name}>'.encode())


def _refusal(code: str, *, without_body: bool) -> _Answer:
    status, message = _MESSAGES[code]
    if without_body:
        return _Answer(status, headers={"Content-Length": "0"})
    return _Answer(status, f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())


def _half(body: bytes, fault: Fault | None) -> bytes:
    return body[: len(body) // 2] if fault is Fault.TORN else body


def _damaged(body: bytes, fault: Fault, asked: Asked) -> bytes:
    """Return a body that ends early, or has one other bit; where depends on the request alone."""
    place = zlib.crc32(repr(asked).encode())
    at, bit = place % len(body), 1 << place % 7
    return body[:at] if fault is Fault.SHORT else body[:at] + bytes([body[at] ^ bit]) + body[at + 1 :]


def _md5(body: bytes) -> Any:
    return hashlib.md5(body, usedforsecurity=False)


def _iso(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.000Z}"


class _Connection(socketserver.BaseRequestHandler):
    """The requests of one connection, one after the other. Read by hand: http.server takes half of the time of a request."""

    faults: FaultServer

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with self.request.makefile("rb") as stream:
                while self._one(stream):
                    pass
        except _Broken:
            # Closed with a reset, not as if all were said.
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass  # the client has gone

    def _one(self, stream: Any) -> bool:
        line = stream.readline().split()
        if len(line) != 3:
            return False
        headers: dict[str, str] = {}
        while (header := stream.readline().strip()) != b"":
            name, _, value = header.decode().partition(":")
            headers[name.lower()] = value.strip()

        def read() -> bytes:
            if headers.get("expect"):
                self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            data: bytes = stream.read(int(headers.get("content-length", 0)))
            return data

        answer, fault = self.faults.answer(line[0].decode(), line[1].decode(), headers, read)
        named = {"Content-Length": str(len(answer.body)), **answer.headers}
        if answer.status == 204:
            named.pop("Content-Length")
        head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        sent = f"HTTP/1.1 {answer.status} {'OK' if answer.status < 300 else 'No'}\r\n{head}\r\n".encode() + answer.body
        if fault is Fault.RESET_INSIDE:
            self.request.sendall(sent[: len(sent) - (len(answer.body) + 1) // 2])
            raise _Broken
        if fault is Fault.SLOW and answer.body:
            middle = len(sent) - len(answer.body) // 2
            self.request.sendall(sent[:middle])
            time.sleep(LATE)
            sent = sent[middle:]
        self.request.sendall(sent)
        return True


class _Listening(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    crashes: list[str]

    def shutdown_request(self, request: Any) -> None:
        request.close()  # not the end of what is sent first: that would be an end in order

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.crashes.append(traceback.format_exc())


@contextmanager
def fault_server(clock: datetime | None = None) -> Iterator[FaultServer]:
    """A server that is well until it is asked to be otherwise. clock: when everything is written; now, by default."""
    faults = FaultServer(clock or datetime.now(UTC))
    handler = type("Connection", (_Connection,), {"faults": faults})
    with _Listening(("127.0.0.1", 0), handler) as listening:
        faults.port, listening.crashes = listening.server_address[1], faults.crashes
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield faults
        finally:
            listening.shutdown()
            thread.join()

