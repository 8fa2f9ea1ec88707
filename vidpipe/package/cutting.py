"""Cut encoded tracks where the segments of the title begin and end, on its grid, with absolute times.

In:   an artifact (video: one rung of one chunk; audio: the whole track), its rendition, the grid.
Out:  Cuts, lazily and in order; only one is held in memory.
Wrong: EncodeFailed if the artifact is not what was planned: frames missing, a segment that does not begin with a key frame,
       a gap in its decode times, an instant of the grid that is no whole tick.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from vidpipe.mp4 import codecs
from vidpipe.mp4.boxes import BoxError, Movie, Sample, Track, read_fragments
from vidpipe.package.cut import Cut
from vidpipe.package.init import InitSection, broken, read_init, read_track
from vidpipe.plan import AudioRendition, Chunk, Grid, VideoRendition
from vidpipe.work.artifacts import Artifact

_AVC_VCL, _AVC_IDR = range(1, 6), (5,)  # ITU-T H.264 table 7-1
_HEVC_VCL, _HEVC_IDR = range(0, 32), (19, 20)  # ITU-T H.265 table 7-1: IDR_W_RADL, IDR_N_LP


def video_cuts(
    artifact: Artifact, rendition: VideoRendition, chunk: Chunk, grid: Grid, init: InitSection | None = None
) -> Iterator[Cut]:
    """Yield the cuts of one rung of one chunk. init: of the title; what the encoder wrote of this chunk must be byte-identical to it.

    Every segment begins with an IDR frame that is also the first one shown, so it plays without its predecessor (HLS-SEG-001, -002).
    Composition offsets are raised by what the edit list of the init section skips; then none is negative. All rungs end at the same
    instant: of a rung with every second frame of an odd number, the last frame lasts half as long.
    """
    movie, track = read_track(artifact.path, rendition.id)
    own = read_init(artifact.path, rendition.id)
    init = init or own
    if own.moov != init.moov:
        raise broken(rendition.id, f"the init section of chunk {chunk.index} differs from the first chunk's")
    if any(edit.media_time for edit in track.edits):
        raise broken(rendition.id, "its edit list shifts the first frame")
    picture = codecs.video(track.entry)
    tick = track.timescale / grid.frame_rate
    frame_ticks = _whole(tick * rendition.frame_step, rendition.id)
    with _open(artifact.path, rendition.id) as file:
        samples = _samples(file, movie, rendition.id)
        for index in grid.segments_of(chunk):
            start = grid.start(index)
            end = min(grid.start(index + 1), chunk.start + chunk.frames)
            count = rendition.frames(end - start)
            taken = list(itertools.islice(samples, count))
            where = f"{rendition.id}, segment {index + 1}"
            if len(taken) != count:
                raise broken(where, f"{len(taken)} frames instead of {count}")
            if any(sample.duration != frame_ticks for sample in taken):
                raise broken(where, f"a frame does not last {frame_ticks} ticks of 1/{track.timescale} s")
            if not taken[0].sync or not _idr(file, taken[0], picture):
                raise broken(where, "it does not begin with an IDR frame")
            if min(number * frame_ticks + sample.cts for number, sample in enumerate(taken)) != 0 or taken[0].cts != 0:
                raise broken(where, "its first frame is not shown at its start")
            delayed = [replace(sample, cts=sample.cts + init.delay) for sample in taken]
            if any(sample.cts < 0 for sample in delayed):
                raise broken(where, f"a frame is reordered by more than the {picture.reorder} that its parameter set allows")
            beyond = _whole((start + count * rendition.frame_step - end) * tick, where)
            yield _cut(file, rendition.id, index, _whole(start * tick, where), track, _shortened(delayed, beyond))
        if next(samples, None) is not None:
            raise broken(rendition.id, f"chunk {chunk.index} has more frames than planned")


def audio_cuts(artifact: Artifact, rendition: AudioRendition, grid: Grid) -> Iterator[Cut]:
    """Yield the cuts of an audio track, made at the frame nearest to each video segment's boundary; the last takes the rest.

    The edit list says how many samples of priming precede time zero; they stay in the first segment, and decode times start at 0.
    Segments without a frame are not made: audio that ends early has fewer segments than the video.
    """
    movie, track = read_track(artifact.path, rendition.id)
    if len(track.edits) > 1 or any(edit.media_time < 0 for edit in track.edits):
        raise broken(rendition.id, "its edit list does more than skip the priming")
    priming = track.edits[0].media_time if track.edits else 0
    with _open(artifact.path, rendition.id) as file:
        samples = _samples(file, movie, rendition.id)
        decode_time, total, index = 0, 0, 0
        following = next(samples, None)
        for number in range(grid.segments):
            last = number == grid.segments - 1
            boundary = grid.time(grid.start(number + 1)) * track.timescale + priming
            taken: list[Sample] = []
            end = decode_time
            while following is not None and (last or not taken or end + Fraction(following.duration, 2) <= boundary):
                taken.append(following)
                end += following.duration
                following = next(samples, None)
            if not taken:
                break
            yield _cut(file, rendition.id, index, decode_time, track, taken)
            decode_time, total, index = end, total + len(taken), index + 1
    if total == 0 or artifact.samples not in (0, total):
        raise broken(rendition.id, f"{total} audio frames instead of {artifact.samples}")


def _cut(file: BinaryIO, rendition: str, index: int, decode_time: int, track: Track, samples: Sequence[Sample]) -> Cut:
    return Cut(
        track=rendition,
        index=index,
        start=Fraction(decode_time, track.timescale),
        duration=Fraction(sum(sample.duration for sample in samples), track.timescale),
        samples=tuple(samples),
        data=_media_data(file, samples),
    )


def _shortened(samples: Sequence[Sample], ticks: int) -> Sequence[Sample]:
    """Let the frame that is shown last end earlier. Those decoded after it are then decoded earlier, and shown when they were before."""
    if not ticks:
        return samples
    decoded = itertools.accumulate((sample.duration for sample in samples), initial=0)
    shown = [time + sample.cts for time, sample in zip(decoded, samples, strict=False)]
    last = shown.index(max(shown))
    shortened = replace(samples[last], duration=samples[last].duration - ticks)
    return [*samples[:last], shortened, *(replace(sample, cts=sample.cts + ticks) for sample in samples[last + 1 :])]


def _samples(file: BinaryIO, movie: Movie, rendition: str) -> Iterator[Sample]:
    """Yield the samples of an artifact; its decode times must run on from 0."""
    time = 0
    try:
        for fragment in read_fragments(file, movie):
            if fragment.decode_time != time:
                raise broken(rendition, f"decode time {fragment.decode_time} follows {time}")
            time += fragment.duration
            yield from fragment.samples
    except (BoxError, OSError) as error:
        raise broken(rendition, str(error)) from error


def _media_data(file: BinaryIO, samples: Sequence[Sample]) -> bytes:
    """Read the samples' bytes, in as few reads as they lie in pieces."""
    pieces: list[tuple[int, int]] = []
    for sample in samples:
        if pieces and pieces[-1][1] == sample.offset:
            pieces[-1] = (pieces[-1][0], sample.offset + sample.size)
        else:
            pieces.append((sample.offset, sample.offset + sample.size))
    data = bytearray()
    for start, end in pieces:
        file.seek(start)
        data += file.read(end - start)
    return bytes(data)


def _idr(file: BinaryIO, sample: Sample, picture: codecs.Video) -> bool:
    """True if the first coded picture data of the sample is an IDR. An AV1 sync sample is a key frame by definition."""
    if not picture.nal_length:
        return True
    hevc = picture.codecs.startswith("hvc1")
    vcl, idr = (_HEVC_VCL, _HEVC_IDR) if hevc else (_AVC_VCL, _AVC_IDR)
    file.seek(sample.offset)
    data = file.read(sample.size)
    at = 0
    while at + picture.nal_length < len(data):
        size = int.from_bytes(data[at : at + picture.nal_length], "big")
        header = data[at + picture.nal_length]
        kind = header >> 1 & 63 if hevc else header & 31
        if kind in vcl:
            return kind in idr
        at += picture.nal_length + size
    return False


def _whole(ticks: Fraction, where: str) -> int:
    if ticks.denominator != 1:
        raise broken(where, f"{ticks} is not a whole number of ticks; its timescale does not fit the frame rate")
    return ticks.numerator


def _open(path: Path, rendition: str) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise broken(rendition, str(error)) from error
