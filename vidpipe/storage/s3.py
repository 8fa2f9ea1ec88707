"""S3 and S3-compatible servers as a target (and as a place of sources). The only importer of boto3.

In:   a bucket and a prefix; credentials, region, profile and AWS_ENDPOINT_URL come from where every AWS tool takes them.
Out:  objects with Content-Type, Cache-Control and their SHA-256 as x-amz-meta-sha256.
Wrong: PublishFailed that names bucket, object and remedy. No exception of boto3, botocore, s3transfer or urllib3 leaves here.

A custom endpoint is addressed path-style (botocore's default for it), because a server on one host name has no bucket host names.
Nothing hangs: every connection and read has a timeout and the number of attempts is bounded.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import boto3
import botocore.session
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.auth import AUTH_TYPE_MAPS, S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    IncompleteReadError,
    NoCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
    UndefinedModelAttributeError,
)
from botocore.loaders import Loader, create_loader
from urllib3.exceptions import HTTPError

from vidpipe.errors import PublishFailed
from vidpipe.storage.base import Damaged, Stored, clean_path
from vidpipe.storage.faults import explain_code, explain_failure

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import CopySourceTypeDef, GetObjectOutputTypeDef, HeadObjectOutputTypeDef

ATTEMPTS = 4
"""Tries of one request, the first included, unless AWS_MAX_ATTEMPTS or the profile says otherwise."""
CONNECT_TIMEOUT = 10
READ_TIMEOUT = 30
"""Seconds without an answer before a try is given up."""
CONNECTIONS = 16
"""Connections kept open: more than the upload threads, so that none waits for another."""
MULTIPART = 64 << 20
"""Bytes from which an upload goes in parts. Segments stay below it: one request with one Content-MD5 is simplest and safest."""
PART = 16 << 20
"""Bytes of a part, and of a range when downloading; at most 4 of them are in memory."""
LARGEST_COPY = 5 << 30
"""Bytes of the largest object that S3 copies in one request."""
COPIED_PART = 512 << 20
"""Bytes of a part of a larger one; the server does the work."""
_NOT_COPIED = frozenset(
    ("NoSuchKey", "NotFound", "404", "AccessDenied", "403", "InvalidObjectState", "NotImplemented", "501", "MethodNotAllowed", "405")
)
"""Answers that mean that this object is not copied here: it is gone, archived, or not ours to read; or the server cannot copy."""
_READS = 3
"""Tries of reading a whole answer; botocore retries a request, but not a body that breaks off."""


class _KnownHash(S3SigV4Auth):
    """Signs an upload by the SHA-256 that comes with the object, and that is never computed twice: a third of what an upload computes."""

    def payload(self, request: Any) -> Any:
        """Return the hash of the body. With TLS it is not signed; botocore knows what stands in its place."""
        known = request.headers.get("x-amz-meta-sha256")
        return known if known and not request.url.startswith("https") else super().payload(request)


AUTH_TYPE_MAPS["vidpipe-s3v4"] = _KnownHash


def _signature(signing_name: str, signature_version: str, **_: Any) -> str | None:
    """Choose it where botocore would choose its own of the same version, which it calls v4 at first."""
    return "vidpipe-s3v4" if signing_name == "s3" and signature_version in ("v4", "s3v4") else None


class _Encoding(TypedDict, total=False):
    ContentEncoding: str


class S3Storage:
    """Objects below ``s3://bucket/prefix``. Contacts nothing until the first call."""

    keeps_headers = True

    def __init__(self, bucket: str, prefix: str) -> None:
        self.bucket = bucket
        self.prefix = prefix
        with self._translated("open the target", f"s3://{bucket}"):
            self._client: S3Client = client_of("s3")
        self._client.meta.events.register("choose-signer.s3.PutObject", _signature)
        self._transfer = TransferConfig(multipart_threshold=MULTIPART, multipart_chunksize=PART, max_concurrency=4, max_io_queue=16)

    def check(self) -> None:
        """See Storage.check: asks for one entry. That credentials may write, but not list, is fine."""
        with self._translated("use the target", self.location(), allow=("AccessDenied", "AllAccessDisabled")):
            self._client.list_objects_v2(Bucket=self.bucket, Prefix=self._key("", empty=True), MaxKeys=1)

    def put(
        self,
        path: str,
        data: bytes | Path,
        *,
        content_type: str,
        cache_control: str,
        sha256: str,
        content_encoding: str | None = None,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        """See Storage.put. The server compares Content-MD5 with what arrived; an upload in parts, or a watched one, is compared by size."""
        key = self._key(path)
        encoding: _Encoding = {"ContentEncoding": content_encoding} if content_encoding else {}
        with self._translated("upload", self.location(path)):
            size = data.stat().st_size if isinstance(data, Path) else len(data)
            if size < MULTIPART and on_bytes is None:
                body = data.read_bytes() if isinstance(data, Path) else data
                self._client.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=body,
                    ContentMD5=base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode(),
                    ContentType=content_type,
                    CacheControl=cache_control,
                    Metadata={"sha256": sha256},
                    **encoding,
                )
                return
            extra = {"ContentType": content_type, "CacheControl": cache_control, "Metadata": {"sha256": sha256}, **encoding}
            with data.open("rb") if isinstance(data, Path) else io.BytesIO(data) as stream, _stoppable(on_bytes) as sent:
                self._client.upload_fileobj(stream, self.bucket, key, ExtraArgs=extra, Callback=sent, Config=self._transfer)
        stored = self.head(path)
        if stored is None or stored.size != size:
            found = "nothing" if stored is None else f"{stored.size} bytes"
            raise PublishFailed(
                f"{size} bytes were uploaded, but the server holds {found}", where=self.location(path), fix="run the same command again"
            )

    def copy(self, source: str, path: str, *, size: int) -> bool:
        """See Storage.copy. The server copies the headers and the hash too; in parts it has to be given them again."""
        key = self._key(path)
        with self._translated("copy", self.location(path)):
            try:
                if size <= LARGEST_COPY:
                    self._client.copy_object(Bucket=self.bucket, Key=key, CopySource={"Bucket": self.bucket, "Key": self._key(source)})
                else:
                    self._copy_in_parts(source, key)
            except ClientError as problem:
                if _code(problem) in _NOT_COPIED:
                    return False
                raise
        return True

    def get(self, path: str, sha256: str | None = None, *, size: int | None = None) -> bytes:
        """See Storage.get."""
        data = b""
        with self._translated("read", self.location(path)):
            for attempt in range(_READS):
                answer = self._client.get_object(Bucket=self.bucket, Key=self._key(path))
                try:
                    data = answer["Body"].read()
                except (IncompleteReadError, ReadTimeoutError, ResponseStreamingError, ConnectionClosedError):
                    if attempt + 1 == _READS:
                        raise
                    continue
                finally:
                    answer["Body"].close()
                if hashlib.sha256(data).hexdigest() == (sha256 or _sha256(answer)) or not (sha256 or _sha256(answer)):
                    return data
        raise Damaged.of(data, self.location(path))

    def download(self, path: str, file: Path, on_bytes: Callable[[int], None] | None = None) -> None:
        """See Storage.download. Reads ranges in parallel; s3transfer writes beside ``file`` and renames.

        A range that has to be read again is first taken back: on_bytes gets a negative number.
        """
        with self._translated("read", self.location(path)):
            self._client.download_file(self.bucket, self._key(path), str(file), Callback=on_bytes, Config=self._transfer)

    def head(self, path: str) -> Stored | None:
        """See Storage.head."""
        with self._translated("read", self.location(path)):
            try:
                answer = self._client.head_object(Bucket=self.bucket, Key=self._key(path))
            except ClientError as problem:
                if _code(problem) in ("404", "NoSuchKey", "NotFound"):
                    return None
                raise
        return Stored(
            path=clean_path(path),
            size=answer["ContentLength"],
            content_type=answer.get("ContentType"),
            cache_control=answer.get("CacheControl"),
            content_encoding=answer.get("ContentEncoding") or None,
            sha256=_sha256(answer),
            tag=_tag(answer) if answer.get("ETag") else None,
        )

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """See Storage.list."""
        folder = self._key(prefix, empty=True)
        skip = len(self.prefix) + 1 if self.prefix else 0
        with self._translated("list", self.location(prefix)):
            paginator = self._client.get_paginator("list_objects_v2")
            pages = iter(paginator.paginate(Bucket=self.bucket, Prefix=f"{folder}/" if folder else ""))
        while True:
            with self._translated("list", self.location(prefix)):
                page = next(pages, None)
            if page is None:
                return
            for entry in page.get("Contents", ()):
                if not entry["Key"].endswith("/"):  # some tools put an empty object where a folder would be
                    yield Stored(path=entry["Key"][skip:], size=entry["Size"], modified=entry.get("LastModified"))

    def tidy(self, prefix: str) -> None:
        """See Storage.tidy. S3 shows whole objects only; parts of unfinished uploads are a matter of the bucket's lifecycle rule."""
        self._key(prefix)

    def delete(self, path: str) -> None:
        """See Storage.delete."""
        key = self._key(path)
        with self._translated("delete", self.location(path)):
            self._client.delete_object(Bucket=self.bucket, Key=key)

    def unfinished_uploads(self, before: datetime) -> Iterator[Stored]:
        """See Storage.unfinished_uploads: uploads in parts. A server that does not list them has none that we could know of."""
        folder = self._key("", empty=True)
        skip = len(self.prefix) + 1 if self.prefix else 0
        found: list[Stored] = []
        unknown = ("NotImplemented", "501", "MethodNotAllowed", "405", "NoSuchUpload")
        with translated("list the unfinished uploads of", self.location(), self.bucket, unknown):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=f"{folder}/" if folder else "")
            for page in pages:
                for entry in page.get("Uploads", ()):
                    if entry["Initiated"] < before:
                        found.append(Stored(path=entry["Key"][skip:], size=0, tag=entry["UploadId"]))
        yield from found

    def abort_upload(self, left: Stored) -> None:
        """See Storage.abort_upload."""
        with translated("abort an upload to", self.location(left.path), self.bucket, ("NoSuchUpload", "404")):
            self._client.abort_multipart_upload(Bucket=self.bucket, Key=self._key(left.path), UploadId=left.tag or "")

    def delete_prefix(self, prefix: str) -> None:
        """See Storage.delete_prefix. One request an object: several S3-compatible servers lack DeleteObjects or its checksums."""
        clean_path(prefix)
        with ThreadPoolExecutor(CONNECTIONS // 2, thread_name_prefix="vidpipe-delete") as pool:
            for _ in pool.map(self.delete, [stored.path for stored in self.list(prefix)]):
                pass

    def location(self, path: str = "") -> str:
        """See Storage.location."""
        return "/".join(part for part in (f"s3://{self.bucket}", self.prefix, clean_path(path, empty=True)) if part)

    def close(self) -> None:
        """See Storage.close."""
        self._client.close()

    def _copy_in_parts(self, source: str, key: str) -> None:
        origin: CopySourceTypeDef = {"Bucket": self.bucket, "Key": self._key(source)}
        known: dict[str, Any] = {**self._client.head_object(Bucket=self.bucket, Key=self._key(source))}
        kept = {name: known[name] for name in ("ContentType", "CacheControl", "ContentEncoding", "Metadata") if known.get(name)}
        parts = TransferConfig(multipart_threshold=1, multipart_chunksize=COPIED_PART, max_concurrency=4)
        self._client.copy(origin, self.bucket, key, ExtraArgs=kept, Config=parts)

    def _key(self, path: str, *, empty: bool = False) -> str:
        path = clean_path(path, empty=empty)
        return "/".join(part for part in (self.prefix, path) if part)

    def _translated(self, verb: str, where: str, allow: tuple[str, ...] = ()) -> AbstractContextManager[None]:
        return translated(verb, where, self.bucket, allow)


@contextmanager
def translated(verb: str, where: str, bucket: str, allow: tuple[str, ...] = ()) -> Iterator[None]:
    """Turn what boto3 and the network raise into PublishFailed. allow: error codes that are none."""
    try:
        yield
    except (BotoCoreError, UndefinedModelAttributeError, ClientError, Boto3Error, HTTPError, OSError, ValueError) as problem:
        cause = _cause(problem)
        if isinstance(cause, ClientError):
            code = _code(cause)
            if code in allow:
                return
            what, fix = explain_code(code, bucket, str(cause.response.get("Error", {}).get("Message") or ""))
        else:
            what, fix = explain_failure(cause)
        raise PublishFailed(f"cannot {verb}: {what}", where=where, fix=fix) from problem


@contextmanager
def _stoppable(on_bytes: Callable[[int], None] | None) -> Iterator[Callable[[int], None] | None]:
    """Give a callback for an upload whose exception ends it at once: botocore takes any but CancelledError for a reason to try again."""
    if on_bytes is None:
        yield None
        return
    raised: list[Exception] = []

    def sent(number: int) -> None:
        try:
            on_bytes(number)
        except Exception as error:
            raised.append(error)
            raise CancelledError from error

    try:
        yield sent
    except CancelledError:
        if raised:
            raise raised[0] from None
        raise


def _cause(problem: Exception) -> Exception:
    """What lies inside boto3's wrappers: the answer of the server or the broken connection says more than they do."""
    if not isinstance(problem, Boto3Error):
        return problem
    inner = getattr(problem, "last_exception", None) or problem.__cause__ or problem.__context__
    return inner if isinstance(inner, Exception) else problem


def _code(problem: ClientError) -> str:
    return str(problem.response.get("Error", {}).get("Code", ""))


def _sha256(answer: HeadObjectOutputTypeDef | GetObjectOutputTypeDef) -> str | None:
    """Return the hash that an object was written with. Header names have no case: some servers give "Sha256" back."""
    return next((value for name, value in answer.get("Metadata", {}).items() if name.lower() == "sha256"), None)


def _tag(answer: HeadObjectOutputTypeDef) -> str:
    """Return what changes when an object is written again. The ETag alone would do on AWS; other servers take less care with it."""
    return json.dumps([answer["ETag"], answer["ContentLength"], str(answer.get("LastModified")), answer.get("VersionId")])


@functools.cache
def _descriptions(places: str | None) -> Loader:
    """Return what reads the descriptions of S3 that boto3 carries: a megabyte, and a worker makes a client for each task.

    places: where else this user keeps some (AWS_DATA_PATH).
    """
    return create_loader(places)


def invalidate(distribution: str, paths: Sequence[str]) -> None:
    """Make a CloudFront distribution forget paths, each as viewers ask for it ("/vod/film/*").  Raises PublishFailed.

    It stands here because this is the only module that uses boto3: credentials, attempts, timeouts, what failures mean.
    """
    batch = {"Paths": {"Quantity": len(paths), "Items": list(paths)}, "CallerReference": uuid.uuid4().hex}
    where = f"CloudFront distribution {distribution}"
    try:
        with translated("ask for an invalidation", where, distribution), closing(client_of("cloudfront")) as client:
            client.create_invalidation(DistributionId=distribution, InvalidationBatch=batch)
    except PublishFailed as problem:
        problem.fix = "check the id of the distribution, and that these credentials have cloudfront:CreateInvalidation"
        raise


def client_of(service: str, region: str | None = None) -> Any:
    """Return a client of boto3 for a service. region: None is that of the user's configuration."""
    settings = botocore.session.Session()
    loader = _descriptions(settings.get_config_variable("data_path"))
    loader.search_paths[:] = dict.fromkeys(loader.search_paths)  # boto3 adds its own place for each session
    settings.register_component("data_loader", loader)
    attempts = settings.get_config_variable("max_attempts") or ATTEMPTS
    config = Config(
        # A checksum trailer (boto3's default since 1.36) is refused by many S3-compatible servers; Content-MD5 is understood by all.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        max_pool_connections=CONNECTIONS,
        user_agent_extra="vidpipe",
    )
    session: Any = boto3.Session(botocore_session=settings)  # its types know each service by name
    return session.client(service, config=config, region_name=region)


def configured_region() -> str | None:
    """Return the region of the user's AWS configuration."""
    region: str | None = botocore.session.Session().get_config_variable("region")
    return region


def signed_headers(service: str, region: str, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """Return the headers of a request with an AWS signature (version 4) by the user's credentials. Raises what boto3 raises.

    headers: all that are to be signed; Host is among them.
    """
    credentials = botocore.session.Session().get_credentials()
    if credentials is None:
        raise NoCredentialsError
    request = AWSRequest(method, url, headers=headers, data=body)
    SigV4Auth(credentials.get_frozen_credentials(), service, region).add_auth(request)
    return dict(request.headers.items())
