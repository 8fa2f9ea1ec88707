"""Playlists that are stored compressed: the same text for players and for every part of vidpipe that reads them, at S3 and nowhere else."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests import servers
from tests.ingest_support import FIXTURES, key_of, run, settings, version
from vidpipe.errors import VerificationFailed
from vidpipe.inspect.inspection import inspect
from vidpipe.preview import Preview
from vidpipe.progress import Silent
from vidpipe.publish.upload import publish_object
from vidpipe.storage import open_storage
from vidpipe.storage.compression import compressed, decompressed
from vidpipe.storage.local import LocalStorage
from vidpipe.storage.s3 import S3Storage
from vidpipe.verify.readback import Readback

SERVERS = {"moto": servers.moto, "rclone": servers.rclone}


@pytest.fixture(params=SERVERS.values(), ids=SERVERS.keys())
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[servers.S3Server]:
    try:
        with request.param() as running:
            running.use(monkeypatch, tmp_path)
            yield running
    except servers.Unavailable as reason:
        pytest.skip(str(reason))


def test_a_title_with_compressed_playlists(server: servers.S3Server, tmp_path: Path) -> None:
    plain = settings(tmp_path, 90, target=f"s3://{server.bucket}/vod")
    configured = plain.model_copy(update={"gzip_playlists": True})
    before = run(FIXTURES / "portrait-25.mp4", plain, content_id="film")
    result = run(FIXTURES / "portrait-25.mp4", configured, content_id="film")
    assert result.record.version != before.record.version, "another form is another version"
    assert run(FIXTURES / "portrait-25.mp4", configured, content_id="film").unchanged
    prefix = f"vod/film/{result.record.version}/"
    with closing(boto3.session.Session().client("s3")) as client:
        answers = {name: client.get_object(Bucket=server.bucket, Key=prefix + name) for name in names(client, server.bucket, prefix)}
        bodies = {name: answer["Body"].read() for name, answer in answers.items()}
        # what a player sees: every HTTP client unpacks by the header
        other = client.get_object(Bucket=server.bucket, Key=f"vod/film/{before.record.version}/master.m3u8")["Body"].read()
    packed = {name for name, answer in answers.items() if answer.get("ContentEncoding") == "gzip"}
    assert packed == {"master.m3u8", "video-90p.m3u8", "audio-und.m3u8", "thumbnails/thumbnails.vtt"}
    assert gzip.decompress(bodies["master.m3u8"]) == other
    for name, body in bodies.items():
        assert body.startswith(b"\x1f\x8b") == (name in packed), name
        # the hash beside an object is that of its stored bytes, as everybody can check it
        assert answers[name]["Metadata"].get("sha256", answers[name]["Metadata"].get("Sha256")) == hashlib.sha256(body).hexdigest()
    assert json.loads(bodies["record.json"])["version"] == result.record.version
    looked = inspect(result.manifest)
    assert looked.problems == ()
    assert [variant.bandwidth for variant in looked.variants] == [variant.measured.peak for variant in looked.variants if variant.measured]


def names(client: Any, bucket: str, prefix: str) -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [item["Key"].removeprefix(prefix) for page in pages for item in page.get("Contents", [])]


def test_the_preview_unpacks_them(server: servers.S3Server, tmp_path: Path) -> None:
    with closing(open_storage(f"s3://{server.bucket}/p")) as storage:
        publish_object(storage, "t/v", "master.m3u8", b"#EXTM3U\n# text\n", reporter=Silent(), gzip=True)
        preview = Preview(storage, "t/v", title="t", scheme="none", key_ids=(), key=lambda _: b"", locks={})
        with closing(preview.socket):
            assert preview.answer("/t/v/master.m3u8")[2] == b"#EXTM3U\n# text\n"


def test_a_folder_never_holds_compressed_playlists(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90, gzip_playlists=True)
    result = run(FIXTURES / "portrait-25.mp4", configured)
    assert (version(result) / "master.m3u8").read_text().startswith("#EXTM3U\n")
    assert run(FIXTURES / "portrait-25.mp4", configured.model_copy(update={"gzip_playlists": False})).unchanged
    assert list(version(result).parent.glob("*/")) == [version(result)], "no other version"
    assert key_of(configured)(result.record.encryption.key_ids[0])
    with pytest.raises(ValueError, match="compressed"):
        LocalStorage(tmp_path).put("x", b"", content_type="a/b", cache_control="", sha256="", content_encoding="gzip")


def test_a_server_that_forgets_the_header_is_found_out(server: servers.S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Content-Encoding, players take the compressed bytes for the playlist."""
    with closing(S3Storage(server.bucket, "p")) as storage:
        sent = publish_object(storage, "t/v", "master.m3u8", b"#EXTM3U\n", reporter=Silent(), gzip=True)
        target = Readback(storage, "t/v", threading.Event())
        assert target.keep(sent.path, sent.entry, keep=True) == ("master.m3u8", b"#EXTM3U\n")
        data = storage.get("t/v/master.m3u8")
        storage.put("t/v/master.m3u8", data, content_type="a/b", cache_control="no-store", sha256=sent.sha256)
        with pytest.raises(VerificationFailed, match="Content-Encoding"):
            target.keep(sent.path, sent.entry, keep=True)


def test_the_same_text_gives_the_same_bytes_and_comes_back() -> None:
    text = b"#EXTM3U\n" * 100
    assert compressed(text) == compressed(text)
    assert decompressed(compressed(text)) == decompressed(text) == text
    assert decompressed(b"") == b""


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(compressed(b"text" * 100)[:-4], id="cut off"),
        pytest.param(b"\x1f\x8bno gzip", id="broken"),
        pytest.param(compressed(bytes(65 << 20)), id="a bomb"),
        pytest.param(compressed(b"text") + b"more", id="something behind it"),
    ],
)
def test_gzip_that_is_wrong(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"gzip|too large"):
        decompressed(data)
