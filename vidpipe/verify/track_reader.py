"""Read the segments of one rendition back: decrypt, parse and measure each, and decode the first and the last GOP.

In:   the Readback, a track of the inventory, its init sections as they lie at the target; a way to get content keys.
Out:  MeasuredSegment of each; the track that the init section describes.
Wrong: VerificationFailed naming the object, what was expected and what was found; Interrupted on cancel.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from vidpipe.inventory.model import MediaTrack
from vidpipe.media import process
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.mp4.boxes import BoxError, Fragment, Sample, parse_movie, read_fragments
from vidpipe.package.result import IFrame
from vidpipe.protect.schemes import scheme_of
from vidpipe.publish.result import PublishedSegment
from vidpipe.source.limits import SourceLimits
from vidpipe.verify.keys_and_ivs import check_inits, check_override
from vidpipe.verify.readback import Readback, keys_of

if TYPE_CHECKING:
    from vidpipe.protect.key_source import DrmSignal
    from vidpipe.protect.key_store import ContentKey

_CLEAR = ("a media segment", lambda data: data[4:8] in (b"styp", b"moof"))


@dataclass(frozen=True, slots=True)
class MeasuredSegment:
    """A segment as found. decode_time, duration: ticks.  frame_ticks: how long its frames last, the one shown last apart.

    decoded: frames by ffmpeg.
    """

    decode_time: int
    duration: int
    samples: int
    frame_ticks: frozenset[int]
    last_frame_ticks: int
    decoded: int


class TrackReader:
    """Reads the segments of one rendition, on any thread."""

    def __init__(
        self,
        target: Readback,
        expected: MediaTrack,
        objects: Mapping[str, bytes],
        key_for: Callable[[str], ContentKey],
        drm: Sequence[DrmSignal],
        ffmpeg: FFmpeg | None,
        copied: Collection[str],
    ) -> None:
        self._target, self._copied = target, copied
        self._scheme = scheme_of(expected.scheme)
        self.expected = expected
        self._ffmpeg = ffmpeg
        self._keys = keys_of(expected.segments, key_for)
        self._drm = drm
        self._init = check_inits(target, expected, objects, self._keys, drm)
        try:
            self._movie = parse_movie(self._init)
            (self.track,) = self._movie.tracks
            self.delay = sum(edit.media_time for edit in self.track.edits)
        except (BoxError, ValueError) as error:
            raise target.wrong(expected.init, "the init section cannot be read", "ftyp and moov with one track", error) from error

    def measure(self, segment: PublishedSegment) -> MeasuredSegment | None:
        """Read one segment back, decrypt it, parse it; decode the GOP of it that begins or ends the track.

        A copy between them is only compared. One at the ends has the hash of what was decoded before, and is not decoded again.
        """
        ends = (0, len(self.expected.segments) - 1)
        copied = segment.uri in self._copied
        if copied:
            self._target.compare(segment.uri, segment.entry)
            if segment.index not in ends:
                return None
        data = self._target.opened(segment, self._scheme, self._keys, _CLEAR, partial(self._look, segment))
        fragments = self._fragments(segment, data)
        if segment.key_id is None:
            self._check_i_frame(segment, fragments)
        self._target.same(segment.uri, "the number of fragments", 1, len(fragments))
        samples = fragments[0].samples
        self._target.same(segment.uri, "the number of frames", segment.samples, len(samples))
        if not samples or not samples[0].sync:
            raise self._target.wrong(segment.uri, "the segment does not begin with a key frame", "a sync sample", "none")
        shown = self._shown(samples)
        if shown[0][0] != self.delay:
            raise self._target.wrong(segment.uri, "the first frame is not shown at the segment's start", self.delay, shown[0][0])
        for (time, duration), (following, _) in itertools.pairwise(shown):
            self._target.same(segment.uri, "when a frame gives way to the next (ticks)", time + duration, following)
        return MeasuredSegment(
            decode_time=fragments[0].decode_time,
            duration=fragments[0].duration,
            samples=len(samples),
            frame_ticks=frozenset(duration for _, duration in shown[:-1]),
            last_frame_ticks=shown[-1][1],
            decoded=0 if self._ffmpeg is None or copied else self._decode(segment, data, self._at_an_end(segment, samples), self._ffmpeg),
        )

    def _look(self, segment: PublishedSegment, stored: bytes) -> None:
        check_override(self._target, self.expected, segment, stored, self._keys, self._drm)
        if segment.i_frame is not None:
            self._check_i_frame(segment, self._fragments(segment, stored))

    def _fragments(self, segment: PublishedSegment, data: bytes) -> list[Fragment]:
        try:
            return list(read_fragments(io.BytesIO(data), self._movie))
        except BoxError as error:
            raise self._target.wrong(segment.uri, "the segment is not fragmented MP4", "moof and mdat", error) from error

    def _check_i_frame(self, segment: PublishedSegment, stored: Sequence[Fragment]) -> None:
        """Compare the part of a segment that shows its first picture with its boxes. (That this is a key frame, ``measure`` checks.)

        stored: as it lies there, encrypted or not.
        """
        if segment.i_frame is None:
            return
        parts = [(part.offset, part.samples[0]) for part in stored[:1] if part.samples]
        found = next((IFrame(offset, first.offset + first.size - offset) for offset, first in parts), None)
        self._target.same(segment.uri, "the part that shows its first picture", segment.i_frame, found)

    def _shown(self, samples: Sequence[Sample]) -> list[tuple[int, int]]:
        """Return when each frame of a segment is shown, in ticks after its decode time, and how long; in that order.

        The edit list's delay is part of the time. Audio is decoded in order; its delay is the priming.
        """
        delay = 0 if self.expected.facts.type == "video" else self.delay
        times = itertools.accumulate((sample.duration for sample in samples), initial=delay)
        return sorted((time + sample.cts, sample.duration) for time, sample in zip(times, samples, strict=False))

    def _at_an_end(self, segment: PublishedSegment, samples: Sequence[Sample]) -> range:
        """Return which of a segment's samples are decoded: the track's first GOP or its last one; of audio, all of such a segment."""
        count = len(samples)
        begins, ends = segment.index == 0, segment.index == len(self.expected.segments) - 1
        if (begins and ends) or (self.expected.facts.type != "video" and (begins or ends)):
            return range(count)
        keys = [number for number, sample in enumerate(samples) if sample.sync]
        if begins:
            return range(next(iter(keys[1:]), count))
        return range(keys[-1], count) if ends else range(0)

    def _decode(self, segment: PublishedSegment, data: bytes, wanted: range, ffmpeg: FFmpeg) -> int:
        """Decode the wanted samples of a segment with ffmpeg, after its init section; return the number of frames."""
        if not wanted:
            return 0
        video = self.expected.facts.type == "video"
        argv = [ffmpeg.path, "-hide_banner", "-nostdin", "-v", "error", "-xerror", "-threads", "1"]
        # The loop filter smooths pictures that are decoded already: a third of the work, in which no bit of the segment is read.
        argv += ["-skip_loop_filter", "all"] if video else []
        # noise makes none if it only drops: packets before and after the wanted ones, n being their number in the segment.
        argv += ["-bsf:v", f"noise=drop=not(between(n\\,{wanted.start}\\,{wanted.stop - 1}))"] if len(wanted) < segment.samples else []
        # Only stdin is opened. passthrough: ffmpeg must neither drop nor repeat a frame before they are counted.
        argv += ["-protocol_whitelist", "pipe", "-f", "mp4", "-i", "pipe:0", "-fps_mode", "passthrough"]
        # wrapped_avframe hands pictures on as they are; framecrc would copy and add up each. Of audio, it gives a line for each frame.
        progress = ["-progress", "pipe:1", "-nostats"]
        argv += ["-c:v", "wrapped_avframe", "-f", "null", *progress, "-"] if video else ["-f", "framecrc", "pipe:1"]
        lines: list[str] = []
        # What a stranger's server shows is decoded like any other untrusted file; a busy machine is no reason to end it.
        limits = SourceLimits().decoding(float(segment.duration), 0).model_copy(update={"wall_seconds": None})
        done = process.run(argv, limits=limits, stdin=self._init + data, on_line=lines.append, cancel=self._target.cancel)
        problem = done.stderr_tail.strip()
        frames = _decoded(lines) if video else sum(1 for line in lines if line.strip() and not line.startswith("#"))
        if done.returncode or problem:
            found = problem or f"exit code {done.returncode}"
            raise self._target.wrong(segment.uri, "the segment does not decode", f"{len(wanted)} frames", found)
        # The audio decoder swallows the priming of the first frames; of video every frame must come out.
        if frames != len(wanted) if video else frames == 0:
            raise self._target.wrong(segment.uri, "the segment does not decode completely", f"{len(wanted)} frames", f"{frames} frames")
        return frames


def _decoded(lines: Iterable[str]) -> int:
    """Return the pictures that ffmpeg has counted, of the last report of -progress."""
    return next((int(count) for name, _, count in (line.partition("=") for line in reversed(list(lines))) if name == "frame"), 0)
