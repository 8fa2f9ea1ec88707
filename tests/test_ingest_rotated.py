"""Whole titles under cbcs and cenc whose keys change with time: what is published, who else reads it, what is found to be wrong."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.ingest_support import Recorder, key_of, run, settings, tree, version
from tests.key_server import CPIX, WIDEVINE, key_server, signalling
from tests.subtitle_support import Words, srt, subtitled
from vidpipe.catalog.published_at import storage_of
from vidpipe.cdn.objects import prefetched, title_report
from vidpipe.errors import VerificationFailed
from vidpipe.inspect.inspection import inspect
from vidpipe.inventory import Inventory, read_inventory
from vidpipe.inventory.model import MediaTrack
from vidpipe.lifecycle.scrub import ScrubRequest, scrub
from vidpipe.manifest.dash.read_mpd import read_mpd
from vidpipe.manifest.parse import MasterPlaylist, MediaPlaylist, parse
from vidpipe.media import ffmpeg
from vidpipe.mp4.decryption import clear_init, read_override
from vidpipe.pipeline.ingest import IngestRequest, IngestResult, ingest
from vidpipe.preview import playing
from vidpipe.progress import Event, Silent
from vidpipe.protect.drm_systems import common_box
from vidpipe.protect.key_store import KeyStore
from vidpipe.publish.result import PublishedObject
from vidpipe.settings import Settings
from vidpipe.storage.local import LocalStorage
from vidpipe.verify.proof import verify

SPOKEN = srt(("00:00:00,500", "00:00:01,000", "One"))
Title = tuple[Settings, IngestResult, Inventory]


def rotated(folder: Path, scheme: str, *heights: int, **changes: Any) -> Settings:
    """Settings of segments of half a second, in periods of two."""
    lengths = {"segment_seconds": Fraction(1, 2), "gop_seconds": Fraction(1, 2), "chunk_seconds": Fraction(1), "threads": 1}
    wanted = {"key_classes": "audio-video", "key_rotation": "2 segments", "session_keys": True, "encrypt": scheme}
    return settings(folder, *(heights or (90,)), **lengths, **{**wanted, **changes})


def inventory_of(result: IngestResult) -> Inventory:
    found = read_inventory((version(result) / "inventory.json").read_bytes())
    assert isinstance(found, Inventory)
    return found


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("film") / "words.mkv"
    subtitled(file, Words(SPOKEN, language="eng", disposition="default"))
    return file


@pytest.fixture(scope="module", params=["cbcs", pytest.param("cenc", marks=pytest.mark.nightly)])
def title(request: pytest.FixtureRequest, film: Path, tmp_path_factory: pytest.TempPathFactory) -> Title:
    configured = rotated(tmp_path_factory.mktemp(request.param), request.param)
    result = run(film, configured, content_id="film")
    return configured, result, inventory_of(result)


@pytest.fixture
def again(title: Title, film: Path, tmp_path: Path) -> Title:
    """The same title in a home of its own, to be changed; nothing of it is encoded anew."""
    configured = rotated(tmp_path, title[0].encrypt)
    shutil.copytree(title[0].work, configured.work)
    result = run(film, configured, content_id="film")
    return configured, result, inventory_of(result)


def runs(track: MediaTrack) -> list[tuple[str, list[Any]]]:
    """Return the segments of each key of a track."""
    return [(key_id or "", list(group)) for key_id, group in groupby(track.segments, lambda segment: segment.key_id)]


def test_all_tracks_change_their_keys_at_the_same_borders(title: Title) -> None:
    _, result, known = title
    assert [(each.track_type, each.first) for each in known.key_uses] == [
        (kind, first) for first in (0, 2, 4) for kind in ("AUDIO", "VIDEO")
    ]
    key = {(each.track_type, each.first): each.key_id for each in known.key_uses}
    assert known.keys == result.record.encryption.key_ids == tuple(key.values())
    for track, kind in ((known.video[0], "VIDEO"), (known.audio[0], "AUDIO")):
        assert [segment.key_id for segment in track.segments] == [key[kind, index // 2 * 2] for index in range(6)]
    assert {segment.key_id for segment in known.subtitles[0].segments} == {None}
    ivs = {segment.iv for segment in known.segments} - {None}
    assert len(ivs) == (6 if known.scheme == "cbcs" else 12), "one for each key, or each segment"


def test_hls_has_key_and_init_section_of_each_period(title: Title) -> None:
    _, result, known = title
    for track in known.media:
        playlist = parse((version(result) / track.playlist).read_bytes())
        assert isinstance(playlist, MediaPlaylist)
        for segment, entry in zip(track.segments, playlist.segments, strict=True):
            (key,) = entry.keys
            assert (key.uri, key.iv) == (f"keys/{segment.key_id}", segment.iv if known.scheme == "cbcs" else None)
            assert entry.init
            _, declared = clear_init((version(result) / entry.init.uri).read_bytes())
            assert declared
            assert declared.key_id.hex() == segment.key_id, "players take the id of a key from there"
            assert common_box([segment.key_id]) in declared.systems
        # hls.js takes the key of the init section for that of the segments where EXT-X-KEY stands first
        tags = [line.partition(":")[0] for line in (version(result) / track.playlist).read_text().splitlines()]
        assert [after for before, after in pairwise(tags) if before == "#EXT-X-MAP"] == ["#EXT-X-KEY"] * 3
    assert inspect(result.manifest).problems == ()


def test_the_master_playlist_names_the_keys_that_a_player_begins_with(title: Title) -> None:
    _, result, known = title
    master = parse(Path(result.manifest).read_bytes())
    assert isinstance(master, MasterPlaylist)
    assert [key.uri for key in master.session_keys] == [f"keys/{key_id}" for key_id in known.keys[:2]]


def test_a_cdn_fetches_the_init_section_before_the_segments_that_need_it(title: Title) -> None:
    _, result, known = title
    with closing(storage_of(result.record)) as storage:
        found = [item.path for item in prefetched(title_report(result.record, storage, "https://cdn.example").objects)]
    (track,) = known.video
    later, segment = (f"film/{known.version}/{path}" for path in (track.inits[2], track.segments[2].uri))
    assert found.index(later) == found.index(segment) - 1


def test_dash_has_the_first_init_section_and_says_no_key_that_it_does_not_name(title: Title) -> None:
    _, result, known = title
    found = read_mpd((version(result) / "manifest.mpd").read_bytes())
    assert found.periods == 1
    for track in known.media:
        (group, one) = next((g, r) for g in found.sets for r in g.representations if f"{r.id}.m3u8" == track.playlist)
        assert one.init == track.init
        _, declared = clear_init((version(result) / track.init).read_bytes())
        protection, clear_key = group.protection
        assert declared
        assert (protection.key_id or "").replace("-", "") == declared.key_id.hex() == track.segments[0].key_id
        (listed,) = clear_key.pssh
        assert base64.b64decode(listed) == common_box([key_id for key_id, _ in runs(track)]), "a license server is asked for all"
    assert "dash" in known.formats


def hashes(*argv: Any) -> list[str]:
    """Return what ffmpeg says of each packet that it demuxes and decrypts: the hash of its bytes."""
    done = subprocess.run([ffmpeg.find().path, "-v", "error", "-xerror", *argv, "-c", "copy", "-f", "framemd5", "-"], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    return [line.rpartition(",")[2].strip() for line in done.stdout.decode().splitlines() if not line.startswith("#")]


@pytest.mark.nightly
def test_ffmpeg_decrypts_each_period_to_the_bytes_of_the_clear_title(title: Title, film: Path, tmp_path: Path) -> None:
    configured, result, known = title
    clear = rotated(tmp_path, "none")
    shutil.copytree(configured.work, clear.work)
    other = run(film, clear, content_id="clear")
    for track in known.media:
        for (first, init), (key_id, segments) in zip(track.inits.items(), runs(track), strict=True):
            assert first == segments[0].index
            made, plain = tmp_path / "period.mp4", tmp_path / "clear.mp4"
            made.write_bytes(b"".join((version(result) / path).read_bytes() for path in (init, *(one.uri for one in segments))))
            plain.write_bytes(b"".join((version(other) / path).read_bytes() for path in (track.init, *(one.uri for one in segments))))
            assert hashes("-decryption_key", key_of(configured)(key_id).hex(), "-i", made) == hashes("-i", plain)


def test_the_preview_shows_every_period_clear(title: Title) -> None:
    configured, result, known = title
    with playing("film", configured) as server:
        clear = server.master_url.removesuffix("master.m3u8").replace(server.url, f"{server.url}clear/")
        for track in known.media:
            inits = {urlopen(clear + init).read() for init in track.inits.values()}
            assert inits == {clear_init((version(result) / track.init).read_bytes())[0]}
            for segment in track.segments:
                assert not any(kind in urlopen(clear + segment.uri).read() for kind in (b"senc", b"seig", b"pssh"))


def proof(folder: Path, known: Inventory, configured: Settings) -> None:
    keys = KeyStore(configured.keys, None)
    verify(known, LocalStorage(folder), key_for=keys.get, ffmpeg=None, reporter=Silent(), cancel=threading.Event(), workers=1)


def of_first_key(data: bytes, known: Inventory) -> bytes:
    """The key id in the sample group, and not in the pssh behind it."""
    first, second = (bytes.fromhex(key_id) for key_id, _ in runs(known.video[0])[:2])
    return data.replace(second, first, 1)


SEGMENTS: dict[str, Callable[[bytes, Inventory], bytes]] = {
    "another key": of_first_key,
    "no group": lambda data, _: data.replace(b"seig", b"roll"),
    "another system": lambda data, _: data.replace(bytes.fromhex("1077efec"), bytes(4)),
    "a group of the init section": lambda data, _: data.replace(bytes.fromhex("00010001"), bytes.fromhex("00000001")),
}


@pytest.mark.parametrize("change", SEGMENTS.values(), ids=SEGMENTS.keys())
def test_a_segment_that_names_another_key_is_found(title: Title, change: Callable[[bytes, Inventory], bytes], tmp_path: Path) -> None:
    configured, result, known = title
    prefix = f"{known.content_id}/{known.version}"
    shutil.copytree(version(result), tmp_path / prefix)
    (track,) = known.video
    segment = track.segments[3]
    before = (tmp_path / prefix / segment.uri).read_bytes()
    data = change(before, known)
    assert data != before
    (tmp_path / prefix / segment.uri).write_bytes(data)
    listed = replace(segment, sha256=hashlib.sha256(data).hexdigest())
    changed = track.model_copy(update={"segments": (*track.segments[:3], listed, *track.segments[4:])})
    with pytest.raises(VerificationFailed, match=r"what the segment says of (its|the) encryption") as caught:
        proof(tmp_path, known.model_copy(update={"video": (changed,)}), configured)
    assert caught.value.where == str(tmp_path / prefix / segment.uri)


def test_an_init_section_of_another_period_is_found(title: Title, tmp_path: Path) -> None:
    configured, result, known = title
    prefix = f"{known.content_id}/{known.version}"
    shutil.copytree(version(result), tmp_path / prefix)
    proof(tmp_path, known, configured)
    first, later = list(known.video[0].inits.values())[:2]
    data = (tmp_path / prefix / first).read_bytes()
    (tmp_path / prefix / later).write_bytes(data)
    entry = PublishedObject(path=later, size=len(data), sha256=hashlib.sha256(data).hexdigest())
    with pytest.raises(VerificationFailed, match="what the init section says of the encryption is wrong") as caught:
        proof(tmp_path, known.with_objects([entry]), configured)
    assert caught.value.where == str(tmp_path / prefix / later)


def test_what_is_lost_is_put_back_under_its_key(again: Title, film: Path) -> None:
    configured, first, known = again
    before = tree(version(first))
    lost = (known.video[0].segments[3].uri, known.audio[0].segments[5].uri, list(known.video[0].inits.values())[1])
    for path in lost:
        (version(first) / path).unlink()
    assert run(film, configured, content_id="film").restored == 3
    assert tree(version(first)) == before
    assert scrub(ScrubRequest(title="film", full=True), configured)


def test_a_new_version_takes_over_every_period(again: Title, film: Path) -> None:
    """Audio is called another language: all is copied, under its keys; the init section of each period says the language."""
    configured, first, known = again
    result = run(film, configured, content_id="film", languages={1: "de"})
    found = inventory_of(result)
    assert (result.artifacts, found.key_uses) == (0, known.key_uses)
    assert [segment.sha256 for segment in found.segments] == [segment.sha256 for segment in known.segments]
    old, new = known.audio[0], found.audio[0]
    assert (old.language, new.language) == (None, "de")
    for before, after in zip(old.inits.values(), new.inits.values(), strict=True):
        (was, said), (now, says) = (clear_init((version(r) / p).read_bytes()) for r, p in ((first, before), (result, after)))
        assert said == says
        assert was != now
    for path in found.video[0].inits.values():
        assert (version(result) / path).read_bytes() == (version(first) / path).read_bytes()


class Died(BaseException):
    """The machine."""


class Killed:
    """A Reporter that kills the run after so many uploads."""

    def __init__(self, after: int) -> None:
        self.left = after

    def emit(self, event: Event) -> None:
        self.left -= event.event == "uploaded"
        if self.left < 0:
            raise Died


def test_a_killed_run_goes_on_under_the_same_keys(title: Title, tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured = rotated(tmp_path, title[0].encrypt)
    shutil.copytree(title[0].work, configured.work)
    with monkeypatch.context() as patch:
        patch.setattr("vidpipe.pipeline.ingest.abandon", lambda *_: None)
        with pytest.raises(Died):
            ingest(IngestRequest(source=str(film), content_id="film"), configured, Killed(7))
    ids = {info.key_id for info in KeyStore(configured.keys).find()}
    (left,) = (Path(configured.target) / "film").iterdir()
    sent = {path: data for path, data in tree(left).items() if path.endswith(".m4s")}
    assert sent
    result = run(film, configured, content_id="film")
    assert version(result) == left
    assert {*result.record.encryption.key_ids} == ids
    assert sent.items() <= tree(left).items()


@pytest.mark.nightly
def test_drm_systems_have_a_say_in_each_period(film: Path, tmp_path: Path) -> None:
    """What a key server gives for a key stands in the playlists where that key begins, in its init section, and in its segments.

    If it gives something else for the same keys later, so do they.
    """
    with key_server() as server:
        server.scheme = "cbcs"
        configured = rotated(tmp_path, "cbcs", key_source=f"cpix:{server.url}")
        result = run(film, configured, content_id="film")
        assert server.wrong == []
        box = signalling("PSSH", None, WIDEVINE, "another")
        server.answer = lambda root: [setattr(each, "text", base64.b64encode(box).decode()) for each in root.iter(f"{CPIX}PSSH")]
        seen = Recorder()
        anew = ingest(IngestRequest(source=str(film), content_id="film", title="Another"), configured, seen)
    assert (anew.artifacts_reused, seen.warnings) == (anew.artifacts, []), "segments that hold it are not copied, and not encoded"
    assert anew.record.encryption == result.record.encryption
    for segment in inventory_of(anew).video[0].segments:
        assert (version(anew) / segment.uri).read_bytes().count(box) == (2 if segment.index >= 2 else 0)
    known = inventory_of(result)
    assert {signal.key_id for signal in known.drm} == {*known.keys}
    for track in known.media:
        playlist = parse((version(result) / track.playlist).read_bytes())
        assert isinstance(playlist, MediaPlaylist)
        inits = track.inits
        for segment, entry in zip(track.segments, playlist.segments, strict=True):
            assert segment.key_id
            own = {signal.pssh for signal in known.drm if signal.key_id == segment.key_id and signal.pssh}
            if segment.index in inits:
                _, declared = clear_init((version(result) / inits[segment.index]).read_bytes())
                assert declared
                assert {base64.b64encode(box).decode() for box in declared.systems[1:]} == own
            said = read_override((version(result) / segment.uri).read_bytes(), "cbcs")
            assert (said is None) == (segment.index < 2)
            if said:
                assert said.key_id.hex() == segment.key_id
                assert said.systems == declared.systems
            assert len({key.keyformat for key in entry.keys}) == 4
            assert all(segment.key_id in (key.uri or "").replace("-", "") for key in entry.keys)
