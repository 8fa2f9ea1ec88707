"""Cut what the encode has finished into segments and protect them, while later chunks are still being encoded.

In:   the results of the encode, as they come.
Out:  ProtectedSegments, one at a time. Beside them, for the stages that need all: pictures, counts, and what packaging knows.
Wrong: SourceRefused by quality control, EncodeFailed for an artifact that cannot be cut. Subtitles that cannot be used are left out with
       a warning, because a title can do without them.

At most one segment is held at a time: whoever asks for the next one has uploaded, or is uploading, those before it. Of a result that is
cut, no more is kept than later stages need: a title of hours has thousands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

from vidpipe import layout
from vidpipe.encode.quality_gate import QualityGate
from vidpipe.encode.result import Encoded, EncodedAudio, EncodedChunk, EncodedSubtitles
from vidpipe.encode.tasks.remarks import lacks_cues
from vidpipe.package.containers import Container
from vidpipe.package.containers.cmaf import Cmaf
from vidpipe.package.containers.webvtt import WebVtt
from vidpipe.package.cut import Cut
from vidpipe.package.cutting import audio_cuts, video_cuts
from vidpipe.package.init import read_init, rungs_of
from vidpipe.package.packaged import Packaged
from vidpipe.package.subtitles import Unusable, cues_of, subtitle_cuts
from vidpipe.plan import Plan
from vidpipe.progress import Note, Stages
from vidpipe.protect.result import ProtectedSegment


@dataclass
class Tally:
    """What has come of an encode. artifacts: one for each rung of a chunk and each audio or subtitle track.

    chunks_reused, artifacts_reused: of them, those that were there already (a chunk: in every rung).
    """

    chunks: int = 0
    chunks_reused: int = 0
    artifacts: int = 0
    artifacts_reused: int = 0

    def add(self, result: Encoded) -> None:
        """Count a result."""
        if isinstance(result, EncodedChunk):
            made = [*result.video.values()]
            self.chunks += 1
            self.chunks_reused += all(artifact.reused for artifact in made)
        else:
            made = [result.artifact] if result.artifact else []
        self.artifacts += len(made)
        self.artifacts_reused += sum(artifact.reused for artifact in made)


class Segmenter:
    """Cuts the results of one encode.

    chunks: those that have come so far, with their pictures, but without their video.  tally: counts all results.
    packaged: what is known of them.
    """

    def __init__(self, made: Plan, gate: QualityGate, protect: Callable[[Cut, Container], ProtectedSegment], stages: Stages) -> None:
        self.chunks: list[EncodedChunk] = []
        self.tally = Tally()
        self.packaged = Packaged()
        self._plan, self._gate, self._protect, self._stages = made, gate, protect, stages

    def segments(self, encoded: Generator[Encoded, None, None]) -> Iterator[ProtectedSegment]:
        """Yield the segments of each result, if quality control has nothing against it."""
        with closing(encoded):  # whoever stops listening stops every ffmpeg
            for result in encoded:
                if not isinstance(result, EncodedSubtitles):
                    self._gate.add(result)
                self.tally.add(result)
                if isinstance(result, EncodedChunk):
                    self.chunks.append(result.model_copy(update={"video": {}, "quality": None}))
                for cut, container in self._cuts(result):
                    self.packaged.sizes.add(cut)
                    begun = time.monotonic()
                    protected = self._protect(cut, container)
                    self._stages.add("protect", time.monotonic() - begun)
                    yield protected

    def path(self, rendition: str, index: int) -> str:
        """Return where a segment lies below its version."""
        if any(rendition == r.id for r in self._plan.subtitles):
            return layout.subtitle_segment(rendition, index)
        return layout.segment("video" if any(rendition == r.id for r in self._plan.video) else "audio", rendition, index)

    def _cuts(self, result: Encoded) -> Iterator[tuple[Cut, Container]]:
        for cuts, container in self._runs(result):
            begun = time.monotonic()
            for cut in cuts:
                self._stages.add("package", time.monotonic() - begun)
                yield cut, container
                begun = time.monotonic()

    def _runs(self, result: Encoded) -> list[tuple[Iterator[Cut], Container]]:
        """Return the cuts of each rendition that the result holds, and what writes them."""
        made, inits = self._plan, self.packaged.inits
        if isinstance(result, EncodedSubtitles):
            return self._subtitles(result)
        if isinstance(result, EncodedAudio):
            rendition = result.rendition
            inits[rendition.id] = read_init(result.artifact.path, rendition.id)
            self.packaged.frames[rendition.id] = result.artifact.samples
            return [(audio_cuts(result.artifact, rendition, made.grid), Cmaf(inits[rendition.id]))]
        if made.video[0].id not in inits:  # from the first chunk that came; every other chunk must have the same
            inits.update(rungs_of(made, result.video))
        return [(video_cuts(result.video[r.id], r, result.chunk, made.grid, inits[r.id]), Cmaf(inits[r.id])) for r in made.video]

    def _subtitles(self, result: EncodedSubtitles) -> list[tuple[Iterator[Cut], Container]]:
        rendition = result.rendition
        what = f"subtitle stream {rendition.stream} ({rendition.name})"
        try:
            cues = cues_of(self._plan, result)
        except Unusable as problem:
            self.packaged.unusable[rendition.id] = str(problem).partition(": ")[0]  # what follows are ffmpeg's own words
            self._stages.reporter.emit(Note(level="warning", text=f"{what} is not published: {problem}"))
            return []
        if result.artifact and lacks_cues(result.artifact):
            text = f"{what} is missing some cues, which cannot be decoded"
            self._stages.reporter.emit(Note(level="warning", text=text))
        self.packaged.cues[rendition.id] = cues
        return [(subtitle_cuts(cues, rendition.id, self._plan.grid), WebVtt())]
