"""cdn/purge: a CDN is asked to forget the address of a title when another version is live."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import boto3
import pytest

from tests import servers
from tests.ingest_support import FIXTURES, Recorder, run, settings
from vidpipe.cdn.purge import PurgeFailed, flipped, purge, taken_down
from vidpipe.errors import UsageError
from vidpipe.pipeline.ingest import IngestRequest, ingest
from vidpipe.settings import resolve

BASE = "https://media.example.com/vod"


@contextmanager
def webhook(status: int = 200, location: str | None = None) -> Iterator[tuple[str, list[tuple[str, object]]]]:
    """A web server that keeps what is sent to it."""
    heard: list[tuple[str, object]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((self.headers["Content-Type"], json.loads(body)))
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as site:
        Thread(target=site.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{site.server_address[1]}/purge?token=secret", heard
        site.shutdown()


def test_a_webhook_gets_paths_and_urls() -> None:
    with webhook() as (url, heard):
        purge(url, "film", flipped("film"), BASE)
        purge(url, "film", taken_down("film"), None)
    assert heard == [
        ("application/json", {"content_id": "film", "paths": ["film/master.m3u8"], "urls": [f"{BASE}/film/master.m3u8"]}),
        ("application/json", {"content_id": "film", "paths": ["film/*"], "urls": []}),
    ]


@pytest.mark.parametrize(("status", "location"), [(500, None), (404, None), (307, "http://127.0.0.1:1/"), (302, "/")])
def test_a_webhook_that_does_not_do_it_is_named_without_its_secrets(status: int, location: str | None) -> None:
    with webhook(status, location) as (url, heard), pytest.raises(PurgeFailed) as failed:
        purge(url, "film", flipped("film"), BASE)
    assert len(heard) == 1
    assert "secret" not in "\n".join(failed.value.lines())
    assert str(status) in failed.value.what or "redirects" in failed.value.what


def test_a_webhook_that_is_not_there() -> None:
    with pytest.raises(PurgeFailed, match="the webhook cannot be asked"):
        purge(f"http://127.0.0.1:{servers.free_port()}/", "film", flipped("film"), None)


def test_a_command_gets_the_urls(tmp_path: Path) -> None:
    program = tmp_path / "purge"
    program.write_text(f'#!/bin/sh\n{{ echo "$1"; cat; }} > {tmp_path}/heard\n')
    program.chmod(0o755)
    purge(f"command:{program}", "film", taken_down("film"), BASE)
    assert (tmp_path / "heard").read_text() == f"film\n{BASE}/film/*\n"
    purge(f"command:{program}", "film", flipped("film"), None)
    assert (tmp_path / "heard").read_text() == "film\nfilm/master.m3u8\n"


def test_a_command_that_fails_says_what_it_said(tmp_path: Path) -> None:
    program = tmp_path / "purge"
    program.write_text("#!/bin/sh\necho no such zone >&2\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(PurgeFailed, match="the command ended with 3") as failed:
        purge(f"command:{program}", "film", flipped("film"), None)
    assert failed.value.details == ("no such zone",)
    with pytest.raises(PurgeFailed, match="no such program"):
        purge(f"command:{tmp_path}/none", "film", flipped("film"), None)


@pytest.fixture
def distribution(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A CloudFront distribution of moto."""
    with servers.moto() as running:
        running.use(monkeypatch, tmp_path)
        origin = {"Id": "o", "DomainName": "titles.s3.amazonaws.com", "S3OriginConfig": {"OriginAccessIdentity": ""}}
        behaviour = {
            "TargetOriginId": "o",
            "ViewerProtocolPolicy": "allow-all",
            "MinTTL": 0,
            "ForwardedValues": {"QueryString": False, "Cookies": {"Forward": "none"}},
        }
        config = {
            "CallerReference": uuid.uuid4().hex,
            "Origins": {"Quantity": 1, "Items": [origin]},
            "DefaultCacheBehavior": behaviour,
            "Comment": "",
            "Enabled": True,
        }
        with closing(boto3.client("cloudfront")) as client:
            yield client.create_distribution(DistributionConfig=config)["Distribution"]["Id"]  # type: ignore[arg-type]


def test_cloudfront_invalidates_the_paths_that_viewers_ask_for(distribution: str) -> None:
    purge(f"cloudfront:{distribution}", "film", flipped("film"), BASE)
    purge(f"cloudfront:{distribution}", "film", taken_down("film"), "https://media.example.com")
    with pytest.raises(PurgeFailed, match="nobody knows without public_url"):
        purge(f"cloudfront:{distribution}", "film", flipped("film"), None)
    with closing(boto3.client("cloudfront")) as client:
        listed = client.list_invalidations(DistributionId=distribution)["InvalidationList"]["Items"]
        made = [client.get_invalidation(DistributionId=distribution, Id=item["Id"])["Invalidation"] for item in listed]
    paths = {tuple(each["InvalidationBatch"]["Paths"]["Items"]) for each in made}
    assert paths == {("/vod/film/master.m3u8",), ("/film/*",)}


def test_a_distribution_that_is_unknown(distribution: str) -> None:
    with pytest.raises(PurgeFailed, match=r"was not asked to forget film/master\.m3u8"):
        purge("cloudfront:E0NONE", "film", flipped("film"), BASE)


@pytest.mark.parametrize(
    "setting", ["cloudfront:", "cloudfront:../x", "command:purge", "command:", "akamai:1", "https://", "http:x", "yes", "https://[x", "https://me:token@hooks.example/"]
)
def test_a_setting_that_names_no_way_is_refused(setting: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        resolve({"home": "home"}, {"VIDPIPE_CDN": setting}, tmp_path)
    assert refused.value.where == "VIDPIPE_CDN"
    assert setting not in refused.value.what


def test_an_ingest_purges_after_the_flip_and_not_when_nothing_changed(tmp_path: Path) -> None:
    with webhook() as (url, heard):
        configured = settings(tmp_path, 90, encrypt="none", cdn=url, public_url=BASE)
        run(FIXTURES / "portrait-25.mp4", configured, content_id="film")
        paths = ["film/master.m3u8", "film/manifest.mpd"]  # without encryption it has both
        assert [body for _, body in heard] == [{"content_id": "film", "paths": paths, "urls": [f"{BASE}/{path}" for path in paths]}]
        assert run(FIXTURES / "portrait-25.mp4", configured, content_id="film").unchanged
        assert len(heard) == 1
        Path(configured.target, "film", "master.m3u8").unlink()
        assert run(FIXTURES / "portrait-25.mp4", configured, content_id="film").unchanged
        assert len(heard) == 2, "the address was put right"


def test_a_purge_that_fails_is_a_warning_of_a_live_title(tmp_path: Path) -> None:
    with webhook(503) as (url, _):
        recorder = Recorder()
        configured = settings(tmp_path, 90, encrypt="none", cdn=url)
        made = ingest(IngestRequest(source=str(FIXTURES / "portrait-25.mp4"), content_id="film"), configured, recorder)
    assert Path(made.address).is_file()
    assert [note.text for note in recorder.named("note") if "503" in note.text and "within 60 s" in note.text]
