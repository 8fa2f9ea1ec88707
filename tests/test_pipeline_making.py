"""making: a run that is to stop stops at every step, and what was copied wrongly is found, removed and made again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import boto3
import pytest

from tests import servers
from tests.encode_support import remux
from tests.ingest_support import FIXTURES, Recorder, live, run, settings, version
from tests.subtitle_support import Words, srt, subtitled
from tests.test_ingest_together import counting, most_at_once
from vidpipe.errors import Interrupted, PublishFailed, VerificationFailed
from vidpipe.media.ffmpeg import find
from vidpipe.package.subtitles import subtitle_cuts
from vidpipe.pipeline.ingest import IngestRequest, ingest
from vidpipe.progress import Event
from vidpipe.settings import Settings

CLIP, OTHER = FIXTURES / "portrait-25.mp4", FIXTURES / "one-second.mp4"


def quick(folder: Path, **changes: object) -> Settings:
    """Three segments of each track."""
    return settings(folder, 90, segment_seconds=Fraction(1), threads=1, **changes)


class When(Recorder):
    """A Recorder that also does something once: at the first event that is asked for."""

    def __init__(self, wanted: Callable[[Event], bool], action: Callable[[], object]) -> None:
        super().__init__()
        self.wanted, self.action, self.done = wanted, action, False

    def emit(self, event: Event) -> None:
        super().emit(event)
        if not self.done and self.wanted(event):
            self.done = True
            self.action()

    def stages(self) -> set[str]:
        return {event.stage for event in self.named("stage_started")}


def stage(name: str) -> Callable[[Event], bool]:
    return lambda event: event.event == "stage_started" and getattr(event, "stage", "") == name


def uploaded(path: str) -> Callable[[Event], bool]:
    return lambda event: event.event == "uploaded" and getattr(event, "path", "") == path


def stopped(configured: Settings, wanted: Callable[[Event], bool], **request: str) -> When:
    """Ingest the clip, and stop at an event; return what was heard."""
    cancel = threading.Event()
    heard = When(wanted, cancel.set)
    with pytest.raises(Interrupted):
        ingest(IngestRequest(source=str(CLIP), content_id="film", **request), configured, heard, cancel)
    assert heard.done
    return heard


def test_a_stop_ends_a_chunk_in_the_middle(tmp_path: Path) -> None:
    configured = settings(tmp_path, 180, segment_seconds=Fraction(60), chunk_seconds=Fraction(60))
    Path(configured.ladder).write_text(Path(configured.ladder).read_text().replace("ultrafast", "placebo"))
    silent = remux(FIXTURES / "landscape-24.mp4", tmp_path / "silent.mp4", "-an")  # between audio and chunk a stop is noticed anyway
    cancel = threading.Event()
    heard = When(lambda event: event.event == "chunk_progress", cancel.set)
    with pytest.raises(Interrupted):
        ingest(IngestRequest(source=str(silent)), configured, heard, cancel)
    assert heard.done
    assert heard.named("chunk_finished") == []


def test_a_stop_ends_the_search_for_damage(tmp_path: Path) -> None:
    """Where a decoder complained, the source is decoded once more, to say where: it is refused only if that search came to its end."""
    silent = remux(FIXTURES / "landscape-24.mp4", tmp_path / "silent.mp4", "-an")  # damaged audio would be searched before the chunk ends
    data = bytearray(silent.read_bytes())
    for place in range(len(data) // 2, len(data) - 60_000, 5_000):
        data[place] ^= 0xFF
    (tmp_path / "damaged.mp4").write_bytes(data)
    cancel = threading.Event()
    heard = When(lambda event: event.event == "chunk_finished", cancel.set)
    configured = settings(tmp_path, 90, segment_seconds=Fraction(60), chunk_seconds=Fraction(60))
    with pytest.raises(Interrupted):
        ingest(IngestRequest(source=str(tmp_path / "damaged.mp4")), configured, heard, cancel)
    assert heard.done


def test_a_stop_holds_back_the_small_objects_that_are_not_sent_yet(tmp_path: Path) -> None:
    one = quick(tmp_path, upload_workers=1)
    heard = stopped(one, lambda event: event.event == "uploaded" and str(getattr(event, "path", "")).endswith("init.mp4"))
    names = [event.path for event in heard.named("uploaded") if not event.path.endswith(".m4s")]
    assert "verify" not in heard.stages()
    assert [name for name in names if name.endswith("init.mp4")] == names[-1:], "nothing came after the first init section"


def test_a_stop_ends_the_proof(tmp_path: Path) -> None:
    assert "inventory.json" not in [event.path for event in stopped(quick(tmp_path), stage("verify")).named("uploaded")]


def test_a_stop_ends_the_seal(tmp_path: Path) -> None:
    heard = stopped(quick(tmp_path), uploaded("inventory.json"))
    assert heard.named("uploaded")[-1].path == "inventory.json"


def test_a_stop_ends_the_thumbnails(tmp_path: Path) -> None:
    assert "manifest" not in stopped(quick(tmp_path), stage("thumbnails")).stages()


def test_a_stop_ends_the_copies(tmp_path: Path) -> None:
    configured = quick(tmp_path, upload_workers=1)
    first = run(CLIP, configured, content_id="film")
    heard = stopped(configured, lambda event: event.event == "copied", title="New")
    assert len(heard.named("copied")) <= 2
    assert "copy" in heard.stages()
    assert live(configured, "film") == first.record


def test_the_playlist_that_players_open_is_sent_last(tmp_path: Path) -> None:
    heard = Recorder()
    ingest(IngestRequest(source=str(CLIP)), quick(tmp_path), heard)
    assert [event.path for event in heard.named("uploaded")][-3:] == ["master.m3u8", "inventory.json", "record.json"]


def test_what_is_removed_after_its_proof_is_missed_before_the_version_is_live(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    folder = Path(configured.target) / "film"
    heard = When(uploaded("record.json"), lambda: next(folder.glob("*/video/90p/00001.m4s")).unlink())
    with pytest.raises(PublishFailed, match="was removed after it had been read back"):
        ingest(IngestRequest(source=str(OTHER), content_id="film"), configured, heard)
    assert live(configured, "film") is None
    (left,) = folder.iterdir()
    assert version(run(OTHER, configured, content_id="film")) == left, "the next run puts it there again"
    assert (left / "video/90p/00001.m4s").is_file()


def spoil(folder: Path, pattern: str) -> None:
    """Change the last bytes of a file below the newest version."""
    (file,) = max(folder.glob("*/"), key=lambda path: path.stat().st_mtime_ns).glob(pattern)
    data = file.read_bytes()
    file.write_bytes(data[:-20] + bytes(20))


def test_what_was_sent_and_cannot_be_proven_is_not_made_twice(tmp_path: Path) -> None:
    """Only copies are doubted: here all that the two versions share is their id."""
    configured = quick(tmp_path)
    first = run(CLIP, configured, content_id="film")
    heard = When(stage("verify"), lambda: spoil(Path(configured.target) / "film", "video/90p/00001.m4s"))
    with pytest.raises(VerificationFailed, match="not those that were sent"):
        ingest(IngestRequest(source=str(OTHER), content_id="film", replace=True), configured, heard)
    assert len(heard.named("encode_planned")) == 1
    assert [path.name for path in (Path(configured.target) / "film").glob("*/")] == [first.record.version], "nothing is left of it"


def test_a_wrong_copy_is_removed_before_all_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server still states the hash of what was sent: whoever only asks it takes what has rotted for what is to be there."""
    with servers.moto() as server:
        server.use(monkeypatch, tmp_path)
        configured = quick(tmp_path, target=f"s3://{server.bucket}/vod")
        first = run(CLIP, configured, content_id="film")
        at = {"Bucket": server.bucket, "Key": f"vod/film/{first.record.version}/video/90p/00003.m4s"}
        with closing(boto3.session.Session().client("s3")) as client:
            stored = client.get_object(**at)
            headers = {name: stored[name] for name in ("ContentType", "CacheControl", "Metadata")}
            sound = stored["Body"].read()
            client.put_object(**at, **headers, Body=sound[:-20] + bytes(20))
            heard = Recorder()
            again = ingest(IngestRequest(source=str(CLIP), content_id="film", title="New"), configured, heard)
            assert any("cannot be proven" in note.text for note in heard.named("note"))
            assert live(configured, "film") == again.record
            at["Key"] = at["Key"].replace(first.record.version, again.record.version)
            assert client.get_object(**at)["Body"].read() == sound


def test_segments_that_do_not_decode_are_no_title(tmp_path: Path) -> None:
    fails = tmp_path / "ffmpeg"
    fails.write_text(f'#!/bin/sh\ncase "$*" in *framecrc*) exit 1;; esac\nexec {find().path} "$@"\n')
    fails.chmod(0o755)
    with pytest.raises(VerificationFailed, match="does not decode"):
        run(OTHER, settings(tmp_path, 90, ffmpeg=str(fails)))


def test_what_was_left_out_of_a_version_is_left_out_of_the_next(tmp_path: Path) -> None:
    source = subtitled(tmp_path / "film.mkv", Words(srt(("00:00:00,500", "00:00:01,000", "<i></i>")), language="fra"), video=OTHER.name)
    first, again = (run(source, settings(tmp_path, 90), title=title) for title in ("Old", "New"))
    assert again.artifacts == 0, "it is not tried again"
    assert [track.reason for track in again.record.left_out] == ["it has no text that is shown during the video"]
    assert again.record.left_out == first.record.left_out


def test_cues_that_are_lost_on_the_way_are_missed_by_the_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = subtitled(tmp_path / "film.mkv", Words(srt(("00:00:00,500", "00:00:01,000", "One"), ("00:00:02,000", "00:00:02,500", "Two"))))
    monkeypatch.setattr("vidpipe.pipeline.segmenter.subtitle_cuts", lambda cues, *rest: subtitle_cuts(cues[:-1], *rest))
    with pytest.raises(VerificationFailed, match="the number of cues"):
        run(source, settings(tmp_path, 90))


def test_the_threads_of_an_encode_are_those_that_were_set(tmp_path: Path) -> None:
    """Chunks are kept by the number of their threads: another one may give other bytes."""
    one = settings(tmp_path, 90, threads=1)
    assert run(OTHER, one).chunks == 1
    assert run(OTHER, one, new_key=True).chunks_reused == 1
    assert run(OTHER, one.model_copy(update={"threads": 3}), new_key=True).chunks_reused == 0


def test_no_more_chunks_are_encoded_at_once_than_workers_were_set(tmp_path: Path) -> None:
    ffmpeg, log = counting(tmp_path)
    assert run(FIXTURES / "landscape-24.mp4", settings(tmp_path, 90, ffmpeg=ffmpeg, workers=1, threads=1)).chunks > 2
    assert most_at_once(log) == 1
