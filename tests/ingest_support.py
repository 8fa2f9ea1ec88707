"""Run whole ingests in tests: a quick ladder, short segments, and a look at what was published."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from tests.playback import barcodes
from vidpipe.catalog.record import Record
from vidpipe.catalog.store import Catalog
from vidpipe.media import ffmpeg
from vidpipe.pipeline.ingest import IngestRequest, IngestResult, ingest
from vidpipe.progress import Event
from vidpipe.protect.key_store import KeyStore
from vidpipe.settings import Settings
from vidpipe.source.cache import remembered
from vidpipe.source.facts import Source
from vidpipe.source.limits import SourceLimits
from vidpipe.source.probe import probe
from vidpipe.work.measurements import of_programs

FIXTURES = Path(__file__).parent.parent / "fixtures"

LADDER = """\
name: quick
description: For tests
rungs:
{rungs}audio:
  - {{codec: aac, bitrate: 64k, channels: 2}}
"""
RUNG = "  - {{name: {0}p, height: {0}, codec: {1}, bitrate: {2}k, max_bitrate: {2}k, buffer: {2}k, preset: ultrafast{3}}}\n"


def ladder(folder: Path, *heights: int, codec: str = "h264", extra: str = "") -> str:
    """Write a ladder of ultrafast rungs and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"quick-{'-'.join(map(str, heights))}-{codec}.yaml"
    path.write_text(LADDER.format(rungs="".join(RUNG.format(height, codec, height, extra) for height in heights)))
    return str(path)


def settings(folder: Path, *heights: int, **changes: Any) -> Settings:
    """Settings with everything below ``folder``: segments of 2 s, GOPs of 1 s, chunks of 4 s."""
    times = {"gop_seconds": Fraction(1), "segment_seconds": Fraction(2), "chunk_seconds": Fraction(4)}
    return Settings(**{"home": folder / "home", "ladder": ladder(folder, *(heights or (90, 180))), "upload_workers": 2, **times, **changes})


class _Kept:
    """A Memory. texts: by key."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def recall(self, key: str) -> str | None:
        return self.texts.get(key)

    def keep(self, key: str, text: str) -> None:
        self.texts[key] = text


@cache
def _of_the_program() -> dict[str, str]:
    """Return what a home that has seen this ffmpeg knows of it. Three of the programs that a short ingest starts would ask for it anew."""
    kept = _Kept()
    ffmpeg.find(memory=kept)
    return kept.texts


@cache
def _of_the_fixture(clip: Path, limits: SourceLimits) -> Source:
    return probe(str(clip), limits=limits)


class Recorder:
    """A Reporter that keeps the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def named(self, name: str) -> list[Any]:
        return [event for event in self.events if event.event == name]

    @property
    def warnings(self) -> list[str]:
        return [note.text for note in self.named("note") if note.level == "warning"]


def run(source: Path | str, configured: Settings, **request: Any) -> IngestResult:
    """Ingest one source. A home has seen the clips of fixtures/ before: to measure them takes a quarter of a short ingest."""
    if (clip := Path(source)).parent == FIXTURES:
        for key, text in _of_the_program().items():
            of_programs(configured.work).keep(key, text)
        remembered(clip, configured.work, configured.limits, lambda: _of_the_fixture(clip, configured.limits))
    return ingest(IngestRequest(source=str(source), **request), configured)


def live(configured: Settings, content_id: str) -> Record | None:
    """Return the record of the live version, as the catalog has it."""
    with closing(Catalog(configured.catalog_url)) as catalog:
        found = catalog.live(content_id)
    return found[0] if found else None


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its content."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def key_of(configured: Settings) -> Any:
    """Return a function from key id to the sixteen bytes."""
    store = KeyStore(configured.keys, configured.master_key.get_secret_value() if configured.master_key else None)
    return lambda key_id: store.get(key_id).key


def keys_of(result: IngestResult, configured: Settings) -> dict[str, bytes]:
    """Return the keys of a title by their ids."""
    key = key_of(configured)
    return {key_id: key(key_id) for key_id in result.record.encryption.key_ids}


def version(result: IngestResult) -> Path:
    """Return the folder of a version that was published to a local directory."""
    return Path(result.manifest).parent


def joined(result: IngestResult, configured: Settings, playlist: str, folder: Path, tree: Path | None = None) -> Path:
    """Decrypt a rendition with openssl into one file that any player opens."""
    return barcodes.join(tree or version(result), playlist, key_of(configured), folder / f"{playlist}.mp4")


def onsets(samples: bytes) -> list[float]:
    """Return the seconds at which the fixtures' beeps begin: a tone after 0.3 s of quiet. samples: mono, 16 bit, 48 kHz."""
    levels = memoryview(samples).cast("h")
    threshold = max(map(abs, levels)) // 3
    loud = [max(map(abs, levels[i : i + 48])) > threshold for i in range(0, len(levels) - 48, 48)]
    return [i / 1000 for i in range(1, len(loud)) if loud[i] and not any(loud[max(0, i - 300) : i])]


def published(target: Path) -> list[str]:
    """Return every file below a target, relative."""
    return sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()) if target.exists() else []
