"""The whole job on real parts: a source goes in, a title comes out that openssl and ffmpeg play, frame for frame."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.ingest_support import FIXTURES, Recorder, joined, key_of, ladder, live, onsets, published, run, settings, version
from tests.playback import barcodes
from vidpipe.catalog.record import Record
from vidpipe.catalog.store import Catalog
from vidpipe.errors import CatalogFailed, Interrupted, PublishFailed, SourceRefused, UsageError
from vidpipe.media.ffmpeg import ANSWER_SECONDS
from vidpipe.pipeline.ingest import IngestRequest, IngestResult, ingest, prepare
from vidpipe.progress import Event
from vidpipe.settings import Settings
from vidpipe.storage.local import LocalStorage

# name: (source, frames, frame rate, sizes of the rungs 90 and 180)
SOURCES: dict[str, tuple[str, int, str, list[tuple[int, int]]]] = {
    "24 fps in four chunks": ("landscape-24.mp4", 336, "24", [(160, 90), (320, 180)]),
    "29.97 fps": ("ntsc-29.97.mp4", 240, "30000/1001", [(160, 90), (320, 180)]),
    "portrait": ("portrait-25.mp4", 75, "25", [(90, 160), (180, 320)]),
    "rotated": ("rotated-90.mp4", 75, "25", [(90, 160), (180, 320)]),
    "no audio": ("silent-video.mp4", 75, "25", [(160, 90), (320, 180)]),
    "5.1": ("surround-51.mp4", 72, "24", [(160, 90), (320, 180)]),
    "one second": ("one-second.mp4", 30, "30", [(160, 90), (320, 180)]),
}


def in_chunks(folder: Path) -> Settings:
    """Settings that make two chunks and one rung of a clip of three seconds, which is quick to encode."""
    return settings(folder, 90, chunk_seconds=Fraction(2))


@pytest.fixture(scope="module")
def landscape(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, IngestResult]:
    """landscape-24.mp4 as it was published, for tests that only look."""
    configured = settings(tmp_path_factory.mktemp("landscape"))
    return configured, run(FIXTURES / "landscape-24.mp4", configured)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, IngestResult]:
    """one-second.mp4 as it was published, for tests that only look."""
    configured = settings(tmp_path_factory.mktemp("second"), 90)
    return configured, run(FIXTURES / "one-second.mp4", configured)


@pytest.mark.parametrize(("name", "frames", "rate", "sizes"), SOURCES.values(), ids=SOURCES.keys())
def test_a_title_plays_frame_for_frame(
    name: str, frames: int, rate: str, sizes: list[tuple[int, int]], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if name == "landscape-24.mp4":
        configured, result = request.getfixturevalue("landscape")
    else:
        configured = settings(tmp_path)
        result = run(FIXTURES / name, configured)
    record = result.record
    videos = [rendition for rendition in record.renditions if rendition.type == "video"]
    assert [(rendition.width, rendition.height) for rendition in videos] == sizes
    assert record.duration == pytest.approx(float(frames / Fraction(rate)), abs=1e-6)
    for rendition in videos:
        file = joined(result, configured, f"video-{rendition.id}.m3u8", tmp_path)
        decoded = barcodes.decode(file)
        assert decoded.times == [n / Fraction(rate) for n in range(frames)], "every frame at its exact time"
        if name != "rotated-90.mp4":  # its barcode lies on its side
            assert decoded.numbers == list(range(frames)), "every frame shows the right picture of the source"
    if record.audio:
        track = joined(result, configured, f"audio-{record.audio[0].id}.m3u8", tmp_path)
        assert_in_sync(barcodes.read_samples(track), seconds=float(record.duration))
    assert bool(record.audio) == (name != "silent-video.mp4")


def assert_in_sync(samples: bytes, *, seconds: float) -> None:
    """The fixtures beep for 0.1 s at every whole second: each beep must begin there, to within one AAC frame."""
    expected = [float(second) for second in range(1, int(seconds))]
    found = onsets(samples)
    assert len(found) >= len(expected)
    for second in expected:
        assert min(abs(onset - second) for onset in found) <= 1024 / 48000, f"the beep of second {second} is late or early"
    assert abs(len(samples) / 2 / 48000 - seconds) <= 2 * 1024 / 48000


def test_chunked_and_whole_show_the_same(tmp_path: Path) -> None:
    chunked, whole = in_chunks(tmp_path / "a"), settings(tmp_path / "b", 90)
    a, b = run(FIXTURES / "portrait-25.mp4", chunked), run(FIXTURES / "portrait-25.mp4", whole)
    assert (a.chunks, b.chunks) == (2, 1)
    first = joined(a, chunked, "video-90p.m3u8", tmp_path / "a")
    second = joined(b, whole, "video-90p.m3u8", tmp_path / "b")
    assert barcodes.decode(first) == barcodes.decode(second)


def test_manifests_state_what_was_measured(landscape: tuple[Settings, IngestResult]) -> None:
    _, result = landscape
    folder = version(result)
    master = (folder / "master.m3u8").read_text()
    streams = [line for line in master.splitlines() if line.startswith("#EXT-X-STREAM-INF")]
    assert len(streams) == 2
    assert "#EXT-X-INDEPENDENT-SEGMENTS" in master
    rates = {}
    for playlist in [*barcodes.uris(master), "audio-und.m3u8"]:
        text = (folder / playlist).read_text()
        durations = [Fraction(line[8:].rstrip(",")) for line in text.splitlines() if line.startswith("#EXTINF:")]
        sizes = [(folder / uri).stat().st_size for uri in barcodes.uris(text)]
        assert sum(durations) == pytest.approx(14, abs=0.03)
        runs = [
            (sum(sizes[i:j]) * 8 / sum(durations[i:j]))
            for i in range(len(sizes))
            for j in range(i + 1, len(sizes) + 1)
            if 1 <= sum(durations[i:j]) <= Fraction(7, 2)  # half to one and a half target durations of 2 s, and half a second
        ]
        rates[playlist] = (float(max(runs)), float(sum(sizes) * 8 / sum(durations)))
        assert text.index("#EXT-X-MAP") < text.index("#EXT-X-KEY"), "the init section is clear"
        ivs = re.findall(r"IV=0x([0-9A-F]{32})", text)
        assert len(set(ivs)) == len(sizes), "each segment has an IV of its own"
        assert all(size % 16 == 0 for size in sizes)
    for line, playlist in zip(streams, barcodes.uris(master), strict=True):
        peak, average = (rates[playlist][i] + rates["audio-und.m3u8"][i] for i in (0, 1))
        assert 0 <= int(barcodes.attribute("BANDWIDTH", line)) - peak <= 2
        assert 0 <= int(barcodes.attribute("AVERAGE-BANDWIDTH", line)) - average <= 2
        assert barcodes.attribute("FRAME-RATE", line) == "24.000"


def test_the_record_is_in_the_catalog_and_beside_the_master_playlist(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    result = run(FIXTURES / "portrait-25.mp4", configured, content_id="film-1", title="A Film", metadata={"season": "2"})
    stored = Record.model_validate_json((version(result) / "record.json").read_bytes())
    catalog = Catalog(configured.catalog_url)
    live = catalog.live("film-1")
    catalog.close()
    assert live is not None
    assert live[0] == stored == result.record
    assert (stored.title, stored.metadata, stored.status, stored.schema_) == ("A Film", {"season": "2"}, "live", "vidpipe.catalog/1")
    assert stored.cache.model_dump() == {"video": 604800, "thumbnails": 2592000, "metadata": 3600}
    assert Path(stored.playback.hls).is_file()
    assert stored.thumbnails.poster
    assert Path(stored.thumbnails.poster).read_bytes()[:2] == b"\xff\xd8"
    assert stored.thumbnails.track
    assert Path(stored.thumbnails.track).read_text().startswith("WEBVTT")


def test_keys_are_nowhere_but_in_the_key_store(second: tuple[Settings, IngestResult]) -> None:
    configured, result = second
    (key_id,) = result.record.encryption.key_ids
    key = key_of(configured)(key_id)
    for path in (path for path in configured.home.parent.rglob("*") if path.is_file()):
        data = path.read_bytes()
        assert key not in data, path
        assert key.hex().encode() not in data.lower(), path
    assert not list(version(result).rglob("keys*"))
    assert f'URI="keys/{key_id}"' in (version(result) / "video-90p.m3u8").read_text()
    assert (configured.keys / "master.key").stat().st_mode & 0o777 == 0o600


def test_without_encryption_and_with_a_key_server(tmp_path: Path) -> None:
    clear = run(FIXTURES / "one-second.mp4", settings(tmp_path / "a", 90, encrypt="none"))
    assert "EXT-X-KEY" not in (version(clear) / "video-90p.m3u8").read_text()
    assert clear.record.encryption.method == "none"
    assert barcodes.read_barcodes(barcodes.join(version(clear), "video-90p.m3u8", lambda _: b"", tmp_path / "c.mp4")) == list(range(30))
    template = "https://keys.example.com/{content_id}/{key_id}"
    remote = run(FIXTURES / "one-second.mp4", settings(tmp_path / "b", 90, key_url=template), content_id="x")
    (key_id,) = remote.record.encryption.key_ids
    assert f'URI="https://keys.example.com/x/{key_id}"' in (version(remote) / "video-90p.m3u8").read_text()


def test_the_same_again_does_nothing(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    first = run(FIXTURES / "portrait-25.mp4", configured)
    before = published(tmp_path)
    again = run(FIXTURES / "portrait-25.mp4", configured)
    assert again.unchanged
    assert again.record == first.record
    assert published(tmp_path) == before


def test_a_new_title_or_key_encodes_nothing(tmp_path: Path) -> None:
    configured = in_chunks(tmp_path)
    first = run(FIXTURES / "portrait-25.mp4", configured)
    assert (first.chunks, first.chunks_reused) == (2, 0)
    chunks = published(configured.work / "chunks")
    renamed = run(FIXTURES / "portrait-25.mp4", configured, title="Another name")
    rekeyed = run(FIXTURES / "portrait-25.mp4", configured, title="Another name", new_key=True)
    assert not renamed.unchanged
    assert not rekeyed.unchanged
    assert (renamed.chunks, renamed.artifacts) == (0, 0)
    assert rekeyed.chunks_reused == rekeyed.chunks == first.chunks
    assert published(configured.work / "chunks") == chunks
    assert len({result.record.version for result in (first, renamed, rekeyed)}) == 3
    assert first.record.encryption == renamed.record.encryption != rekeyed.record.encryption
    catalog = Catalog(configured.catalog_url)
    statuses = {record.version: record.status for record in catalog.versions("portrait-25")}
    catalog.close()
    assert statuses == {first.record.version: "superseded", renamed.record.version: "superseded", rekeyed.record.version: "live"}


def test_a_new_rung_encodes_only_that_rung(tmp_path: Path) -> None:
    run(FIXTURES / "portrait-25.mp4", settings(tmp_path, 90))
    work = tmp_path / "home" / "work" / "chunks"
    before = set(published(work))
    result = run(FIXTURES / "portrait-25.mp4", settings(tmp_path, 90, 180))
    new = [name for name in published(work) if name not in before and name.endswith(".mp4")]
    assert len(new) == result.chunks, "one new file for each chunk: the new rung's"
    assert len(result.record.renditions) == 3


def test_an_altered_chunk_is_encoded_again(tmp_path: Path) -> None:
    configured = in_chunks(tmp_path)
    first = run(FIXTURES / "silent-video.mp4", configured)
    victim = max((configured.work / "chunks").rglob("*.mp4"), key=lambda path: path.stat().st_size)
    victim.write_bytes(victim.read_bytes()[:-100] + bytes(100))
    again = run(FIXTURES / "silent-video.mp4", configured, new_key=True)
    assert (again.chunks, again.chunks_reused) == (2, 1)
    file = joined(again, configured, "video-90p.m3u8", tmp_path)
    assert barcodes.read_barcodes(file) == list(range(75))
    assert first.record.version != again.record.version


class At:
    """A Reporter that does something once: at the first event of a name."""

    def __init__(self, name: str, action: Callable[[Any], None]) -> None:
        self.name, self.action, self.done = name, action, False

    def emit(self, event: Event) -> None:
        if event.event == self.name and not self.done:
            self.done = True
            self.action(event)


def segments_below(target: Path) -> dict[str, int]:
    """Return the media segments of all versions, with the time of their last change."""
    return {path.relative_to(target).as_posix(): path.stat().st_mtime_ns for path in target.rglob("*.m4s")}


def test_a_catalog_that_refuses_keeps_the_version_and_the_next_run_makes_it_live(tmp_path: Path) -> None:
    configured, target = settings(tmp_path, 90), tmp_path / "home" / "library"
    run(FIXTURES / "portrait-25.mp4", configured, content_id="other")
    with closing(sqlite3.connect(tmp_path / "home" / "catalog.db")) as database:
        database.execute("CREATE TRIGGER refuse BEFORE INSERT ON vidpipe_versions BEGIN SELECT RAISE(ABORT, 'no room'); END")
        database.commit()
    with pytest.raises(CatalogFailed, match="no room"):
        run(FIXTURES / "one-second.mp4", configured, content_id="film")
    (left,) = (target / "film").iterdir()
    before, keys = segments_below(target / "film"), published(configured.keys)
    assert live(configured, "film") is None
    assert {"master.m3u8", "record.json"} <= {path.name for path in left.iterdir()}
    with closing(sqlite3.connect(tmp_path / "home" / "catalog.db")) as database:
        database.execute("DROP TRIGGER refuse")
        database.commit()
    again = run(FIXTURES / "one-second.mp4", configured, content_id="film")
    assert version(again) == left
    assert live(configured, "film") == again.record
    assert segments_below(target / "film") == before != {}, "nothing was sent twice"
    assert published(configured.keys) == keys


def test_a_target_that_fails_midway_keeps_what_was_sent_for_the_next_run(tmp_path: Path) -> None:
    configured, target = settings(tmp_path, 90), tmp_path / "home" / "library"

    def block(_: Event) -> None:
        (folder,) = (target / "portrait-25").iterdir()
        (folder / "thumbnails").write_text("a file where a folder should be")

    with pytest.raises(PublishFailed):
        ingest(IngestRequest(source=str(FIXTURES / "portrait-25.mp4")), configured, At("uploaded", block))
    (left,) = (target / "portrait-25").iterdir()
    before = segments_below(target)
    (left / "thumbnails").unlink()
    again = run(FIXTURES / "portrait-25.mp4", configured)
    assert version(again) == left
    assert segments_below(target) == before != {}, "nothing was sent twice"


def test_an_upload_that_fails_stops_the_encode_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next segment may be minutes away: here the audio, one segment, goes up while the only chunk is encoded, very slowly."""
    put = LocalStorage.put
    monkeypatch.setattr(LocalStorage, "put", lambda *given, **headers: (time.sleep(0.5), put(*given, **headers)))  # as a network is
    whole = {"segment_seconds": Fraction(60), "chunk_seconds": Fraction(60)}
    configured, recorder = settings(tmp_path, 180, workers=2, **whole), Recorder()
    slow = Path(configured.ladder).read_text().replace("ultrafast", "placebo")
    Path(configured.ladder).write_text(slow)

    class Blocks:
        def emit(self, event: Event) -> None:
            if event.event == "encode_planned":
                (tmp_path / "home" / "library" / "landscape-24").write_text("a file where a folder should be")
            recorder.emit(event)

    with pytest.raises(PublishFailed):
        ingest(IngestRequest(source=str(FIXTURES / "landscape-24.mp4")), configured, Blocks())
    (planned,) = recorder.named("encode_planned")
    assert (planned.chunks, recorder.named("chunk_finished")) == (1, [])


class StopAt:
    """A Reporter that cancels the run at the first event that it is asked for."""

    def __init__(self, cancel: threading.Event, name: str, **fields: Any) -> None:
        self.cancel, self.name, self.fields = cancel, name, fields

    def emit(self, event: Event) -> None:
        if event.event == self.name and all(getattr(event, key) == value for key, value in self.fields.items()):
            self.cancel.set()


STOPS = {
    "at the first finished chunk": ("chunk_finished", {}),
    "at the first upload": ("uploaded", {}),
    "when all is proven": ("stage_started", {"stage": "catalog"}),
}


@pytest.mark.parametrize(("name", "fields"), STOPS.values(), ids=STOPS.keys())
def test_an_interrupted_ingest_publishes_nothing_and_resumes(name: str, fields: dict[str, Any], tmp_path: Path) -> None:
    configured = in_chunks(tmp_path)
    cancel = threading.Event()
    with pytest.raises(Interrupted):
        ingest(IngestRequest(source=str(FIXTURES / "portrait-25.mp4")), configured, StopAt(cancel, name, **fields), cancel)
    assert published(tmp_path / "home" / "library") == []
    assert published(configured.work / "tmp") == []
    catalog = Catalog(configured.catalog_url)
    assert catalog.live("portrait-25") is None
    catalog.close()
    result = run(FIXTURES / "portrait-25.mp4", configured)
    assert result.artifacts_reused >= 1  # the first upload may be audio, before any chunk is done


def test_a_truncated_source_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    whole = (FIXTURES / "landscape-24.mp4").read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) // 2])
    configured = settings(tmp_path, 90)
    with pytest.raises(SourceRefused) as refusal:
        run(cut, configured)
    assert "truncated" in "\n".join(refusal.value.lines())
    assert published(tmp_path / "home" / "library") == []


def test_an_ffmpeg_that_hangs_does_not_hold_up_a_refusal(tmp_path: Path) -> None:
    hangs = tmp_path / "ffmpeg"
    hangs.write_text("#!/bin/sh\nexec sleep 100\n")
    hangs.chmod(0o755)
    begun = time.monotonic()
    with pytest.raises(SourceRefused, match="no such file"):
        run(tmp_path / "missing.mov", settings(tmp_path, ffmpeg=str(hangs)))
    assert time.monotonic() - begun < ANSWER_SECONDS / 2


def test_quality_control_stops_the_ingest_before_anything_is_visible(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("true_peak:\n  severity: error\n  highest: -60\n")
    configured = settings(tmp_path, 90, policy=str(policy))
    with pytest.raises(SourceRefused, match="quality control"):
        run(FIXTURES / "portrait-25.mp4", configured)
    assert published(tmp_path / "home" / "library") == []


def test_pictures_that_do_not_decode_are_found_during_the_encode_with_their_times(tmp_path: Path) -> None:
    data = bytearray((FIXTURES / "landscape-24.mp4").read_bytes())
    for place in range(len(data) // 2, len(data) - 60_000, 5_000):
        data[place] ^= 0xFF
    (tmp_path / "damaged.mp4").write_bytes(data)
    with pytest.raises(SourceRefused) as refusal:
        run(tmp_path / "damaged.mp4", settings(tmp_path, 90))
    assert re.search(r"decode-errors: .* from 0:00:\d\d\.\d{3} to 0:00", "\n".join(refusal.value.lines()))
    assert published(tmp_path / "home" / "library") == []


def test_a_source_that_changes_during_the_encode_is_refused_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    source = tmp_path / "growing.mp4"
    source.write_bytes((FIXTURES / "one-second.mp4").read_bytes())

    class Grow:
        def emit(self, event: Event) -> None:
            if event.event == "encode_planned":
                with source.open("ab") as file:
                    file.write(b"more")

    configured = settings(tmp_path, 90)
    with pytest.raises(SourceRefused, match="changed while it was being encoded"):
        ingest(IngestRequest(source=str(source)), configured, Grow())
    assert published(configured.work / "chunks") == []
    assert published(tmp_path / "home" / "library") == []


def test_a_target_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where a folder should be")
    recorder = Recorder()
    with pytest.raises(PublishFailed) as refusal:
        ingest(IngestRequest(source=str(FIXTURES / "one-second.mp4")), settings(tmp_path, 90, target=str(tmp_path / "taken")), recorder)
    assert refusal.value.exit_code == 5
    assert not recorder.named("encode_planned"), "no encode is wasted"


def test_a_catalog_that_cannot_be_written_keeps_the_uploads_for_the_next_run(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    broken = configured.model_copy(update={"catalog_url": f"sqlite:///{tmp_path / 'missing' / 'x' / 'c.db'}"})
    (tmp_path / "missing").write_text("a file where a folder should be")
    with pytest.raises(CatalogFailed) as refusal:
        run(FIXTURES / "one-second.mp4", broken)
    assert refusal.value.exit_code == 7


def test_a_home_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the home should be")
    with pytest.raises(UsageError, match="home"):
        run(FIXTURES / "one-second.mp4", settings(tmp_path, 90))


def test_prepare_writes_nothing_but_notes(tmp_path: Path) -> None:
    made = prepare(IngestRequest(source=str(FIXTURES / "landscape-24.mp4")), settings(tmp_path, 90, 180, 720))
    assert [(decision.rung, decision.kept) for decision in made.decisions] == [("90p", True), ("180p", True), ("720p", False)]
    assert not (tmp_path / "home" / "library").exists()


IDS = {"empty": "", "slash": "a/b", "up": "../up", "hidden": ".hidden", "space": "a b", "long": "x" * 200, "no ASCII": "é"}


@pytest.mark.parametrize("content_id", IDS.values(), ids=IDS.keys())
def test_content_ids_that_cannot_be_paths_are_refused(content_id: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="content id"):
        run(FIXTURES / "one-second.mp4", settings(tmp_path, 90), content_id=content_id)


def test_any_file_name_is_just_a_name(tmp_path: Path) -> None:
    """Beginning like an option, with a pattern of ffmpeg, its escapes, quotes, what is a protocol to it, spaces, and no ASCII."""
    name = "-i%d:it's \"two\" words,[a]=\\'b;$HOME naïve ✓.mp4"
    source = tmp_path / name
    source.write_bytes((FIXTURES / "one-second.mp4").read_bytes())
    configured = settings(tmp_path, 90)
    result = run(source, configured)
    assert result.record.source.name == name
    assert barcodes.read_barcodes(joined(result, configured, "video-90p.m3u8", tmp_path)) == list(range(30))


def test_events_report_the_whole_ingest(tmp_path: Path) -> None:
    recorder = Recorder()
    ingest(IngestRequest(source=str(FIXTURES / "portrait-25.mp4")), in_chunks(tmp_path), recorder)
    (planned,) = recorder.named("encode_planned")
    finished = recorder.named("chunk_finished")
    assert planned.frames == sum(event.frames for event in finished) == 75
    assert planned.chunks == len(finished) == 2
    stages = [event.stage for event in recorder.named("stage_finished")]
    assert [stage for stage in stages if stages.count(stage) == 1] == [
        "validate",
        "plan",
        "encode",
        "thumbnails",
        "manifest",
        "publish",
        "verify",
        "catalog",
    ]
    uploaded = {event.path for event in recorder.named("uploaded")}
    assert uploaded == {str(Path(*Path(name).parts[2:])) for name in published(tmp_path / "home" / "library") if Path(name).parts[2:]}


def test_hevc_and_frame_rate_limits(tmp_path: Path) -> None:
    configured = settings(tmp_path).model_copy(update={"ladder": ladder(tmp_path, 90, codec="hevc", extra=", max_frame_rate: 12")})
    result = run(FIXTURES / "surround-51.mp4", configured)
    file = joined(result, configured, "video-90p.m3u8", tmp_path)
    decoded = barcodes.decode(file)
    assert decoded.numbers == list(range(0, 72, 2))
    assert decoded.times == [Fraction(n, 12) for n in range(36)]
    assert result.record.renditions[0].codecs.startswith("hvc1.")
    assert result.record.renditions[0].frame_rate == 12


def test_results_are_json(second: tuple[Settings, IngestResult]) -> None:
    _, result = second
    again = json.loads(result.model_dump_json())
    assert again["record"]["schema"] == "vidpipe.catalog/1"
    assert set(result.timings) >= {"validate", "encode", "verify"}
