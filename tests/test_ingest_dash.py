"""Whole ingests with a DASH manifest: what another program reads of it, where it lies, who moves it, and titles that were made before."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import pytest

from tests.dash_support import schema
from tests.ingest_support import FIXTURES, live, run, settings, tree, version
from vidpipe.catalog.published_at import storage_of
from vidpipe.cdn.objects import title_report
from vidpipe.data import report
from vidpipe.errors import UsageError, VerificationFailed
from vidpipe.inspect.inspection import inspect
from vidpipe.inventory.model import Inventory
from vidpipe.lifecycle.scrub import ScrubRequest, scrub
from vidpipe.lifecycle.titles import TitleRequest
from vidpipe.lifecycle.withdrawal import withdraw
from vidpipe.pipeline.ingest import IngestRequest, IngestResult, prepare
from vidpipe.settings import Settings

LADDER = """\
name: dash
description: Two rungs whose encoder reorders frames, one of half the rate
rungs:
  - {name: low, height: 108, codec: h264, bitrate: 60k, max_bitrate: 60k, buffer: 60k, preset: veryfast, max_frame_rate: 12}
  - {name: high, height: 180, codec: h264, bitrate: 90k, max_bitrate: 90k, buffer: 90k, preset: veryfast}
audio:
  - {codec: aac, bitrate: 64k, channels: 2}
"""


def clear(folder: Path, **changes: object) -> Settings:
    ladder = folder / "dash.yaml"
    ladder.write_text(LADDER)
    return settings(folder, encrypt="none", **changes).model_copy(update={"ladder": str(ladder)})


def clip(folder: Path) -> Path:
    """Return 5 s with a frame in every 1001/24000 s, and a tone."""
    file = folder / "clip.mp4"
    inputs = ("-f", "lavfi", "-i", "testsrc2=s=320x180:r=24000/1001", "-f", "lavfi", "-i", "sine=f=440:r=48000")
    encoded = ("-t", "5", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac")
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *inputs, *encoded, str(file)], check=True)
    return file


@pytest.fixture(scope="module")
def title(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Path, IngestResult]:
    folder = tmp_path_factory.mktemp("dash")
    configured = clear(folder, public_url="https://media.example.com/vod")
    source = clip(folder)
    return configured, source, run(source, configured, content_id="film")


def decoded(manifest: Path, stream: str) -> list[Fraction]:
    """Return when ffmpeg shows each frame of a stream of a manifest."""
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-xerror", "-copyts", "-i", str(manifest), "-map", f"0:{stream}"]
    made = subprocess.run([*argv, "-fps_mode", "passthrough", "-f", "framecrc", "-"], check=True, capture_output=True, text=True)
    assert made.stderr == ""
    lines = made.stdout.splitlines()
    base = next(Fraction(line.split()[2]) for line in lines if line.startswith("#tb"))
    return [int(line.split(",")[2]) * base for line in lines if not line.startswith("#")]


def test_another_program_reads_every_frame_at_its_time(title: tuple[Settings, Path, IngestResult]) -> None:
    _, _, made = title
    for manifest in (version(made) / "manifest.mpd", version(made).parent / "manifest.mpd"):
        schema().validate(manifest.read_text())
        high = decoded(manifest, "v:1")
        assert high == [number * Fraction(1001, 24000) for number in range(120)]
        assert decoded(manifest, "v:0") == high[::2]
        first, *_, last = decoded(manifest, "a:0")
        assert abs(first) <= Fraction(1024, 48000)  # the priming, of which ffmpeg decodes a frame
        assert last == pytest.approx(5, abs=0.05)


def test_record_address_and_inspection_know_the_manifest(title: tuple[Settings, Path, IngestResult]) -> None:
    configured, _, made = title
    playback, folder = made.record.playback, version(made)
    assert playback.dash == str(folder / "manifest.mpd")
    assert playback.dash_url == f"https://media.example.com/vod/film/{made.record.version}/manifest.mpd"
    assert playback.dash_title_url == "https://media.example.com/vod/film/manifest.mpd"
    for place in (folder, folder.parent):
        found = inspect(str(place / "manifest.mpd"))
        assert (found.kind, found.problems) == ("dash", ())
        assert found.inventory is not None
        assert found.dash is not None
        ids = [one.id for group in found.dash.sets for one in group.representations]
        assert ids == ["video-low", "video-high", "audio-und", "thumbnails"]
        measured = [(one.measured and one.measured.peak, one.bandwidth) for group in found.dash.sets[:2] for one in group.representations]
        assert measured == [(peak, pytest.approx(peak, rel=0.02)) for peak, _ in measured]  # of audio without the priming
        assert measured[0][0] == measured[0][1]
        json.dumps(report(found))
    assert scrub(ScrubRequest(title="film", full=True), configured).address
    assert scrub(ScrubRequest(title=str(folder / "manifest.mpd")), configured).proof.by == "inventory"


def test_a_cdn_serves_the_manifest_early_and_forgets_its_address(title: tuple[Settings, Path, IngestResult]) -> None:
    _, _, made = title
    with closing(storage_of(made.record)) as storage:
        found = title_report(made.record, storage)
    assert found.purge == ("film/master.m3u8", "film/manifest.mpd")
    first = {item.path: (item.priority, item.cache, item.ttl) for item in found.objects}
    assert first["film/manifest.mpd"] == (1, "address", 60)
    assert first[f"film/{made.record.version}/manifest.mpd"] == (1, "metadata", 3600)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('r="1"', 'r="0"', "the list of segments"),
        ('timescale="48000"', 'timescale="48000" presentationTimeOffset="1024"', "presentationTimeOffset"),
        ('codecs="mp4a.40.2"', 'codecs="mp4a.40.5"', "codecs"),
        ('frameRate="24000/1001"', 'frameRate="24"', "frameRate"),
        ("PT5.005S", "PT5.004S", "mediaPresentationDuration"),
        ('lang="und"', 'lang="en"', "language"),
        (r"\$Number%03d\$", "$Number%04d$", "sprite"),
        ('minBufferTime="PT', 'minBufferTime="PT1', "minBufferTime"),
        ('minBufferTime="PT', 'minBufferTime="PT0.0S" was="PT', "minBufferTime"),
        ('<AdaptationSet id="3".*?</AdaptationSet>', "", "the list of Representations"),
        ("<Period", "<Perio", "cannot be read"),
    ],
)
def test_the_proof_notices_every_number_that_is_wrong(title: tuple[Settings, Path, IngestResult], old: str, new: str, what: str) -> None:
    configured, _, made = title
    folder = version(made)
    kept = {name: (folder / name).read_bytes() for name in ("manifest.mpd", "inventory.json")}
    text = re.sub(old, lambda _: new, kept["manifest.mpd"].decode(), flags=re.DOTALL).encode()
    inventory = Inventory.model_validate_json(kept["inventory.json"])
    entry = inventory.objects["manifest.mpd"].model_copy(update={"size": len(text), "sha256": hashlib.sha256(text).hexdigest()})
    changed = inventory.model_copy(update={"objects": {**inventory.objects, "manifest.mpd": entry}})
    try:
        (folder / "manifest.mpd").write_bytes(text)
        (folder / "inventory.json").write_text(changed.model_dump_json(exclude_none=True))
        with pytest.raises(VerificationFailed, match=what):
            scrub(ScrubRequest(title=str(folder)), configured)
    finally:
        for name, data in kept.items():
            (folder / name).write_bytes(data)


def test_formats_come_and_go_with_versions_and_the_address_with_them(title: tuple[Settings, Path, IngestResult]) -> None:
    configured, source, first = title
    again = run(source, configured, content_id="film")
    assert again.unchanged
    address = version(first).parent / "manifest.mpd"
    address.unlink()
    assert run(source, configured, content_id="film").unchanged  # and puts right what the target lost
    assert address.is_file()

    only = run(source, configured.model_copy(update={"formats": "hls"}), content_id="film")
    assert not only.unchanged
    assert only.record.playback.dash is None
    assert not address.exists()
    assert not (version(only) / "manifest.mpd").exists()

    back = run(source, configured, content_id="film")
    assert (back.chunks, back.copied > 10) == (0, True)
    assert address.read_text().count(back.record.version) == 1

    withdraw(TitleRequest(content_id="film"), configured)
    assert not address.exists()
    assert not (address.parent / "master.m3u8").exists()


def test_a_title_of_an_earlier_vidpipe_gets_its_manifest_with_its_next_version(tmp_path: Path) -> None:
    configured = clear(tmp_path, formats="hls")
    source = clip(tmp_path)
    first = run(source, configured, content_id="film")
    before = version(first) / "inventory.json"
    known = json.loads(before.read_text())
    for track in (*known["video"], *known["audio"]):
        del track["delay"]
        for fact in ("colour", "layout"):
            track["facts"].pop(fact, None)
    del known["pictures"]["sprites"], known["formats"]
    before.write_text(json.dumps(known))
    assert scrub(ScrubRequest(title="film", full=True), configured).proof.by == "inventory"

    second = run(source, configured.model_copy(update={"formats": None}), content_id="film")
    assert second.chunks == second.artifacts == 0  # nothing was encoded: all was copied
    inventory = Inventory.model_validate_json((version(second) / "inventory.json").read_bytes())
    assert {track.delay for track in inventory.video} == {4004}
    assert [track.delay for track in inventory.audio] == [1024]
    assert inventory.pictures is not None
    assert inventory.pictures.sprites is not None
    assert inspect(str(version(second) / "manifest.mpd")).problems == ()
    assert second.record.playback.dash is not None


def test_what_dash_cannot_carry_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    wanted = settings(tmp_path, formats="hls,dash")
    for begin in (lambda: run("no-such-file.mov", wanted), lambda: prepare(IngestRequest(source="no-such-file.mov"), wanted)):
        with pytest.raises(UsageError, match="DASH cannot carry aes-128"):
            begin()


def test_the_plan_says_which_formats_and_why_one_is_left_out(tmp_path: Path) -> None:
    request = IngestRequest(source=str(FIXTURES / "portrait-25.mp4"))
    without = prepare(request, settings(tmp_path))
    assert without.formats == ("hls",)
    assert any("no DASH manifest" in note and "aes-128" in note for note in without.notes)
    with_both = prepare(request, settings(tmp_path, encrypt="none"))
    assert with_both.formats == ("hls", "dash")
    assert not any("DASH" in note for note in with_both.notes)


def test_an_encrypted_title_is_as_it_was(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    made = run(FIXTURES / "portrait-25.mp4", configured)
    assert not [name for name in tree(version(made).parent) if name.endswith(".mpd")]
    kept = live(configured, made.record.content_id)
    assert kept is not None
    assert (kept.playback.dash, kept.playback.dash_url) == (None, None)
