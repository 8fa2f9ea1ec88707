"""Whole titles under cbcs and cenc: what is published, what the verification compares, what is taken over, what the preview shows."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.ingest_support import FIXTURES, key_of, run, settings, version
from tests.subtitle_support import Words, srt, subtitled
from tests.title_support import with_tracks
from vidpipe.errors import VerificationFailed
from vidpipe.inspect.inspection import inspect
from vidpipe.inventory import Inventory, read_inventory
from vidpipe.mp4.boxes import parse_movie
from vidpipe.mp4.decryption import clear_init
from vidpipe.pipeline.ingest import IngestResult
from vidpipe.preview import playing
from vidpipe.progress import Silent
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.schemes import cenc
from vidpipe.publish.result import PublishedObject
from vidpipe.settings import Settings
from vidpipe.storage.local import LocalStorage
from vidpipe.verify.proof import verify

SPOKEN = srt(("00:00:00,500", "00:00:01,000", "One"), ("00:00:01,200", "00:00:02,400", "Two"))
Title = tuple[Settings, IngestResult, Inventory]


def ingest_of(folder: Path, scheme: str, **request: Any) -> Title:
    configured = settings(folder, 90, encrypt=scheme)
    source = folder / "words.mkv"
    if not source.exists():
        subtitled(source, Words(SPOKEN, language="eng", disposition="default"))
    result = run(source, configured, **request)
    inventory = read_inventory((version(result) / "inventory.json").read_bytes())
    assert isinstance(inventory, Inventory)
    return configured, result, inventory


@pytest.fixture(scope="module", params=["cbcs", "cenc"])
def title(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Title:
    return ingest_of(tmp_path_factory.mktemp(request.param), request.param)


def key_lines(result: IngestResult, playlist: str) -> list[str]:
    return [line for line in (version(result) / playlist).read_text().splitlines() if line.startswith("#EXT-X-KEY")]


def test_audio_and_video_are_encrypted_and_text_is_clear(title: Title) -> None:
    configured, result, inventory = title
    (key_id,) = result.record.encryption.key_ids
    assert result.record.encryption.method == inventory.scheme == configured.encrypt
    assert [(track.scheme, {segment.key_id for segment in track.segments}) for track in inventory.tracks] == [
        (configured.encrypt, {key_id}),
        (configured.encrypt, {key_id}),
        ("none", {None}),
    ]
    (iv,) = {track.segments[0].iv for track in inventory.media} if configured.encrypt == "cbcs" else {""}
    named = {"cbcs": f'METHOD=SAMPLE-AES,URI="keys/{key_id}",IV=0x{iv}', "cenc": f'METHOD=SAMPLE-AES-CTR,URI="keys/{key_id}"'}
    for track in inventory.media:
        assert key_lines(result, track.playlist) == [f"#EXT-X-KEY:{named[configured.encrypt]}"]
    assert key_lines(result, inventory.subtitles[0].playlist) == []
    assert "One" in (version(result) / inventory.subtitles[0].segments[0].uri).read_text()
    key = key_of(configured)(key_id)
    assert not [file for file in version(result).rglob("*") if file.is_file() and (key in file.read_bytes())]


def test_inspect_reads_it(title: Title) -> None:
    _, result, inventory = title
    found = inspect(result.manifest)
    assert (found.problems, found.notes) == ((), ())
    reports = {report.uri: report for report in found.playlists}
    for track in inventory.media:
        (key,) = reports[track.playlist].keys
        assert (key.method[:10], key.keyformat, key.segments) == ("SAMPLE-AES", "identity", len(track.segments))
        assert not reports[track.playlist].encrypted_init
    assert reports[inventory.subtitles[0].playlist].keys == ()


def test_the_preview_shows_it_clear(title: Title) -> None:
    configured, result, inventory = title
    track = inventory.video[0]
    with playing(result.record.content_id, configured) as server:

        def clear(path: str) -> bytes:
            with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
                connection.request("GET", f"/clear/{server.prefix}/{path}")
                return connection.getresponse().read()

        init = clear(track.init)
        assert parse_movie(init).tracks[0].entry[4:8] == b"avc1"
        assert init == clear_init((version(result) / track.init).read_bytes())[0]
        segment = clear(track.segments[0].uri)
        assert b"senc" not in segment
        assert len(segment) < track.segments[0].size
        assert b"EXT-X-KEY" not in clear(track.playlist)
        assert b"I-FRAME" not in clear("master.m3u8"), "its ranges are those of encrypted segments"


def test_another_name_encodes_encrypts_and_sends_nothing(title: Title, tmp_path: Path) -> None:
    configured, result, inventory = title
    source = Path(configured.home).parent / "words.mkv"
    again = run(source, configured, title="Another name", replace=True)
    new = read_inventory((version(again) / "inventory.json").read_bytes())
    assert isinstance(new, Inventory)
    assert version(again) != version(result)
    assert [track.segments for track in new.tracks] == [track.segments for track in inventory.tracks]
    assert again.chunks == 0
    assert again.copied >= sum(len(track.segments) for track in inventory.tracks)


def proof(folder: Path, inventory: Inventory, configured: Settings) -> None:
    keys = KeyStore(configured.keys, None)
    verify(inventory, LocalStorage(folder), key_for=keys.get, ffmpeg=None, reporter=Silent(), cancel=threading.Event(), workers=1)


def other_key_id(init: bytes) -> bytes:
    at = init.index(b"tenc") + 12
    return init[:at] + bytes(16) + init[at + 16 :]


def other_scheme(init: bytes) -> bytes:
    return init.replace(b"schm\0\0\0\0c", b"schm\0\0\0\0x")


def no_system(init: bytes) -> bytes:
    return init.replace(bytes.fromhex("1077efec"), bytes(4))


@pytest.mark.parametrize(
    "change", [other_key_id, other_scheme, no_system, lambda init: clear_init(init)[0]], ids=["key id", "scheme", "system", "clear"]
)
def test_an_init_section_that_says_something_else_is_found(title: Title, change: Callable[[bytes], bytes], tmp_path: Path) -> None:
    configured, result, inventory = title
    folder = tmp_path / "target"
    prefix = f"{inventory.content_id}/{inventory.version}"
    shutil.copytree(version(result), folder / prefix)
    proof(folder, inventory, configured)
    init = inventory.video[0].init
    data = change((folder / prefix / init).read_bytes())
    (folder / prefix / init).write_bytes(data)
    entry = PublishedObject(path=init, size=len(data), sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(VerificationFailed, match="what the init section says of the encryption is wrong") as caught:
        proof(folder, inventory.with_objects([entry]), configured)
    assert caught.value.where == str(folder / prefix / init)


def test_an_iv_that_is_not_that_of_the_media_is_found(title: Title) -> None:
    configured, result, inventory = title
    (track,) = inventory.video
    wrong = "0" * len(track.segments[0].iv or "")

    def change(track: Any) -> dict[str, Any]:
        return {"segments": tuple(replace(segment, iv=wrong) for segment in track.segments)} if track.id == inventory.video[0].id else {}

    said = "EXT-X-KEY is wrong" if configured.encrypt == "cbcs" else "do not count on from the one"
    with pytest.raises(VerificationFailed, match=said):
        proof(version(result).parent.parent, with_tracks(inventory, change), configured)


def test_samples_of_two_tracks_under_one_counter_are_never_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if chance had it: the counter of one track runs over its end, and into that of the other."""
    monkeypatch.setattr(cenc, "first_iv", lambda cut, key: 5 if cut.track == "90p" else (1 << 64) - 3)
    with pytest.raises(VerificationFailed, match="the counters of its samples are those of"):
        run(FIXTURES / "one-second.mp4", settings(tmp_path, 90, encrypt="cenc"))
