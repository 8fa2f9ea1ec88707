"""Titles with several keys, in whole ingests: each segment is under the key of its class and period, and stays under it."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.encode_support import ffmpeg
from tests.ingest_support import FIXTURES, Recorder, joined, key_of, run, settings, tree, version
from tests.playback.barcodes import read_barcodes
from tests.subtitle_support import srt
from vidpipe.cli.app import invoke
from vidpipe.errors import UsageError
from vidpipe.inventory import Inventory, read_inventory
from vidpipe.lifecycle.redescription import RedescribeRequest, redescribe
from vidpipe.lifecycle.scrub import ScrubRequest, scrub
from vidpipe.manifest.parse import MasterPlaylist, parse
from vidpipe.pipeline.ingest import IngestRequest, IngestResult, ingest
from vidpipe.preview import playing
from vidpipe.progress import Event
from vidpipe.protect import key_uses
from vidpipe.protect.key_store import KeyStore
from vidpipe.settings import Settings

CLIP = FIXTURES / "portrait-25.mp4"  # three seconds
BETWEEN = 20_000
"""Pixels: more than those of 90p, fewer than those of 180p."""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Picture, audio and subtitles."""
    folder = tmp_path_factory.mktemp("film")
    (folder / "words.srt").write_text(srt(("00:00:00,200", "00:00:02,800", "over all segments")))
    maps = ["-map", "0:v", "-map", "1:a", "-map", "2:s", "-c:v", "copy", "-c:a", "aac", "-c:s", "srt", "-metadata:s:1", "language=en"]
    ffmpeg("-i", CLIP, "-f", "lavfi", "-i", "sine=300:d=3", "-i", folder / "words.srt", *maps, folder / "film.mkv")
    return folder / "film.mkv"


@pytest.fixture(autouse=True)
def _small_pictures_have_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_uses, "SD_PIXELS", BETWEEN)


def several(folder: Path, *heights: int, **changes: Any) -> Settings:
    """Settings with all that makes several keys: segments of half a second, periods of two."""
    wanted = {"key_classes": "audio-sd-hd-uhd", "key_rotation": "2 segments", "session_keys": True, "chunk_seconds": Fraction(1)}
    lengths = {"segment_seconds": Fraction(1, 2), "gop_seconds": Fraction(1, 2)}
    return settings(folder, *(heights or (90, 180)), **{**wanted, **lengths, "threads": 1, **changes})


def inventory_of(result: IngestResult) -> Inventory:
    found = read_inventory((version(result) / "inventory.json").read_bytes())
    assert isinstance(found, Inventory)
    return found


def schedule(known: Inventory) -> dict[str, list[str | None]]:
    return {track.id: [segment.key_id for segment in track.segments] for track in known.tracks}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, film: Path) -> tuple[Settings, IngestResult]:
    configured = several(tmp_path_factory.mktemp("several"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_uses, "SD_PIXELS", BETWEEN)
        return configured, run(film, configured, content_id="film")


@pytest.fixture
def again(home: tuple[Settings, IngestResult], film: Path, tmp_path: Path) -> tuple[Settings, IngestResult]:
    """The same title in a home of its own, to be changed; nothing of it is encoded anew."""
    shutil.copytree(home[0].work, several(tmp_path).work)
    return several(tmp_path), run(film, several(tmp_path), content_id="film")


def test_each_segment_has_the_key_of_its_class_and_period(home: tuple[Settings, IngestResult], tmp_path: Path) -> None:
    configured, result = home
    known = inventory_of(result)
    used = [(each.track_type, each.first) for each in known.key_uses]
    assert used == [(kind, first) for first in (0, 2, 4) for kind in ("AUDIO", "SD", "HD")]
    key = {(each.track_type, each.first): each.key_id for each in known.key_uses}
    assert known.keys == result.record.encryption.key_ids == tuple(key.values())
    assert len({*known.keys}) == 9
    periods = {kind: [key[kind, index // 2 * 2] for index in range(6)] for kind in ("AUDIO", "SD", "HD")}
    (audio,), (text,) = known.audio, known.subtitles
    assert schedule(known) == {"90p": periods["SD"], "180p": periods["HD"], audio.id: periods["AUDIO"], text.id: periods["AUDIO"]}
    assert len({segment.iv for segment in known.segments}) == len(list(known.segments))
    for rung in known.video:  # an independent player reads the tags and decrypts
        assert read_barcodes(joined(result, configured, rung.playlist, tmp_path)) == list(range(75))


def test_the_master_playlist_names_the_keys_that_a_player_begins_with(home: tuple[Settings, IngestResult]) -> None:
    _, result = home
    for file, folder in ((Path(result.manifest), ""), (Path(result.address), f"{result.record.version}/")):
        master = parse(file.read_bytes())
        assert isinstance(master, MasterPlaylist)
        assert [(key.method, key.uri, key.iv) for key in master.session_keys] == [
            ("AES-128", f"{folder}keys/{key_id}", None) for key_id in result.record.encryption.key_ids[:3]
        ]


def test_the_same_command_again_does_nothing(home: tuple[Settings, IngestResult], film: Path) -> None:
    configured, _ = home
    assert run(film, configured, content_id="film").unchanged
    assert scrub(ScrubRequest(title="film", full=True), configured)


def test_the_preview_serves_and_uses_every_key(home: tuple[Settings, IngestResult]) -> None:
    configured, result = home
    known = inventory_of(result)
    with playing("film", configured) as server:
        base = server.master_url.removesuffix("master.m3u8")
        for key_id in known.keys:
            assert urlopen(f"{base}keys/{key_id}").read() == key_of(configured)(key_id)
        assert read_barcodes(server.master_url) == list(range(75)), "a player that knows nothing of vidpipe"
        clear = base.replace(server.url, f"{server.url}clear/")
        for name in ("master.m3u8", known.video[0].playlist):
            assert b"KEY" not in urlopen(clear + name).read()
        for track in known.tracks:
            for segment in track.segments:
                assert urlopen(clear + segment.uri).read()[:8][4:] in (b"styp", b"moof", b"TT\nX", b"TT\n\n")


def test_another_title_keeps_every_key(again: tuple[Settings, IngestResult], film: Path) -> None:
    configured, first = again
    second = run(film, configured, content_id="film", title="Another")
    assert second.record.encryption == first.record.encryption
    assert (second.artifacts, inventory_of(second).key_uses) == (0, inventory_of(first).key_uses)
    said = redescribe(RedescribeRequest(content_id="film", title="A third"), configured)
    assert said.record
    assert said.record.encryption == first.record.encryption


def test_a_rung_of_another_class_takes_no_key_away(
    again: tuple[Settings, IngestResult], film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Audio and SD go on under their keys, and are copied; HD is gone, and UHD is new."""
    configured, first = again
    monkeypatch.setattr(key_uses, "HD_PIXELS", BETWEEN)
    other = configured.model_copy(update={"ladder": several(configured.home.parent, 90, 200).ladder})
    second, before = inventory_of(run(film, other, content_id="film")), inventory_of(first)
    kept = {"90p", second.audio[0].id, second.subtitles[0].id}
    found, was = schedule(second), schedule(before)
    assert {name: found[name] for name in kept} == {name: was[name] for name in kept}
    assert not {*found["200p"]} & {*before.keys}
    assert {each.track_type for each in second.key_uses} == {"AUDIO", "SD", "UHD"}


def test_what_is_lost_is_put_back_under_its_key(again: tuple[Settings, IngestResult], film: Path) -> None:
    configured, first = again
    before = tree(version(first))
    for path in ("video/90p/00003.m4s", "video/180p/00006.m4s", "master.m3u8"):
        (version(first) / path).unlink()
    assert run(film, configured, content_id="film").restored == 3
    assert tree(version(first)) == before


@pytest.mark.nightly
def test_a_title_under_one_key_gets_several_and_goes_back(home: tuple[Settings, IngestResult], tmp_path: Path, film: Path) -> None:
    shutil.copytree(home[0].work, several(tmp_path).work)
    one = several(tmp_path, key_classes="all", key_rotation=None, session_keys=False)
    first = run(film, one, content_id="film")
    assert "SESSION" not in Path(first.manifest).read_text()
    changed = several(tmp_path)
    second = run(film, changed, content_id="film")
    assert second.artifacts == second.artifacts_reused, "nothing is encoded"
    assert not {*second.record.encryption.key_ids} & {*first.record.encryption.key_ids}
    third = run(film, one, content_id="film")
    assert len({*third.record.encryption.key_ids}) == 1


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


def test_a_killed_run_goes_on_under_the_same_keys(
    home: tuple[Settings, IngestResult], tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured = several(tmp_path)
    shutil.copytree(home[0].work, configured.work)
    with monkeypatch.context() as patch:
        patch.setattr("vidpipe.pipeline.ingest.abandon", lambda *_: None)
        with pytest.raises(Died):
            ingest(IngestRequest(source=str(film), content_id="film"), configured, Killed(5))
    ids = {info.key_id for info in KeyStore(configured.keys).find()}
    (left,) = (Path(configured.target) / "film").iterdir()
    sent = {path: data for path, data in tree(left).items() if path.endswith((".m4s", ".vtt"))}
    assert sent
    result = run(film, configured, content_id="film")
    assert version(result) == left
    assert {*result.record.encryption.key_ids} == ids == {info.key_id for info in KeyStore(configured.keys).find()}
    assert sent.items() <= tree(left).items()


def test_no_key_is_in_what_is_published_or_said(home: tuple[Settings, IngestResult], film: Path, tmp_path: Path) -> None:
    configured, seen = several(tmp_path), Recorder()
    shutil.copytree(home[0].work, configured.work)
    result = ingest(IngestRequest(source=str(film), content_id="film"), configured, seen)
    said = repr(seen.events) + repr(result) + repr(configured)
    keys = [key_of(configured)(key_id) for key_id in result.record.encryption.key_ids]
    assert not any(key.hex() in said for key in keys)
    for path, data in tree(Path(configured.target)).items():
        assert not any(key in data or key.hex().encode() in data.lower() for key in keys), path


def test_the_flags_reach_the_settings(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'sd' is not allowed") as refused:
        invoke(["ingest", "nothing.mov", "--key-classes", "sd", "--home", str(tmp_path)])
    assert refused.value.where == "--key-classes"
    with pytest.raises(UsageError, match="neither a time") as refused:
        invoke(["ingest", "nothing.mov", "--key-rotation", "often", "--home", str(tmp_path)])
    assert refused.value.where == "--key-rotation"
