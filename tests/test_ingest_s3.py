"""A whole ingest to S3 servers: moto and rclone. What lies there is fetched by a plain client and played without vidpipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests import servers
from tests.ingest_support import FIXTURES, joined, run, settings
from tests.playback import barcodes

CONTENT_TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".mp4": "/mp4",
    ".m4s": "/mp4",
    ".jpg": "image/jpeg",
    ".vtt": "text/vtt",
    ".json": "application/json",
}
SECONDS = {".m3u8": 3600, ".json": 3600, ".mp4": 604800, ".m4s": 604800, ".jpg": 2592000, ".vtt": 2592000}


@pytest.fixture(params=[pytest.param(servers.moto, id="moto", marks=pytest.mark.nightly), pytest.param(servers.rclone, id="rclone")])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[servers.S3Server]:
    try:
        with request.param() as running:
            running.use(monkeypatch, tmp_path)
            yield running
    except servers.Unavailable as reason:
        pytest.skip(str(reason))


def fetch(client: Any, bucket: str, prefix: str, folder: Path) -> dict[str, Any]:
    """Copy everything below a prefix into a folder; return path -> response headers."""
    headers = {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            answer = client.get_object(Bucket=bucket, Key=item["Key"])
            path = folder / item["Key"].removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(answer["Body"].read())
            headers[item["Key"].removeprefix(prefix)] = answer
    return headers


def test_a_title_on_s3_plays_and_has_the_right_headers(server: servers.S3Server, tmp_path: Path) -> None:
    configured = settings(tmp_path, target=f"s3://{server.bucket}/vod/titles", chunk_seconds=Fraction(2))
    result = run(FIXTURES / "portrait-25.mp4", configured, content_id="film")
    prefix = f"vod/titles/film/{result.record.version}/"
    assert result.manifest == f"s3://{server.bucket}/{prefix}master.m3u8"
    tree = tmp_path / "tree"
    with closing(boto3.session.Session().client("s3")) as client:
        headers = fetch(client, server.bucket, prefix, tree)
    for name, answer in headers.items():
        suffix = Path(name).suffix
        assert CONTENT_TYPES[suffix] in answer["ContentType"], name
        assert f"max-age={SECONDS[suffix]}" in answer["CacheControl"], name
    written = {name: answer["LastModified"] for name, answer in headers.items()}
    assert max(written, key=lambda name: (written[name], name == "record.json")) == "record.json"
    for rung in ("90p", "180p"):
        decoded = barcodes.decode(joined(result, configured, f"video-{rung}.m3u8", tmp_path, tree))
        assert decoded.numbers == list(range(75))
    assert run(FIXTURES / "portrait-25.mp4", configured, content_id="film").unchanged


def test_a_title_is_ingested_from_s3(server: servers.S3Server, tmp_path: Path) -> None:
    with closing(boto3.session.Session().client("s3")) as client:
        client.upload_file(str(FIXTURES / "portrait-25.mp4"), server.bucket, "masters/portrait 25.mp4")
    configured = settings(tmp_path, 90)
    result = run(f"s3://{server.bucket}/masters/portrait 25.mp4", configured)
    assert result.record.source.name == "portrait 25.mp4"
    assert barcodes.read_barcodes(joined(result, configured, "video-90p.m3u8", tmp_path)) == list(range(75))
