"""Decide what will be made, before anything is: Asset + Ladder -> Plan. Pure; touches no file and no process.

In:   an Asset (measured facts of its inputs) and a Ladder (wishes).
Out:  a Plan: one rational time grid for all rungs, the renditions with their exact sizes, the chunks, and for each
      rung of the ladder why it was kept or dropped.
Wrong: UsageError if the ladder cannot give a single rendition.

The grid: frame n of the timeline is shown at n / frame_rate. A GOP is a whole number of frames, a segment a whole number
of GOPs, a chunk a whole number of segments, so that every rung cuts at the same instants and nothing drifts.

The last segment is never a short tail. Decoding of video is delayed by the depth of its reordering, which an edit list takes away
again; hls.js 1.7 ignores edit lists, so it expects a segment to begin later than it does, by that delay. A segment that has ended
by then adds nothing in its eyes, and it waits for the end for ever.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from vidpipe.encoders import encoder_of, encoders
from vidpipe.ladder import Ladder
from vidpipe.plan.model import AudioRendition, Chunk, Grid, Picture, Plan, ThumbnailPlan, ToneMap, VideoRendition
from vidpipe.plan.rungs import choose, fit, slowdown, text
from vidpipe.plan.tracks import audio_renditions, heard_streams, left_out, subtitle_notes, subtitle_renditions
from vidpipe.source.asset import Asset
from vidpipe.source.facts import Source

MAX_FRAME_RATE = 60
"""Frames a second that no rendition exceeds (HLS-SEG-008, Apple 1.14)."""

LOOKUP_TOLERANCE = Fraction(1, 4)
"""Seconds by which hls.js may miss a place (maxFragLookUpTolerance): segments are longer than the delay by at least as much."""

SPRITE_BOX = (160, 90)
SPRITE_COLUMNS, SPRITE_ROWS = 10, 10
SPRITE_COUNT, SPRITE_SECONDS = 100, (1, 10)
"""About 100 sprites a title, but none closer than 1 s and none further apart than 10 s."""

POSTER_BOX = (1920, 1080)
POSTER_AT = (Fraction(1, 10), Fraction(3, 10), Fraction(1, 2))
"""Where poster candidates are taken, as shares of the duration; the one that shows most is used."""


def plan(made_of: Asset | Source, ladder: Ladder, *, gop_seconds: Fraction, segment_seconds: Fraction, chunk_seconds: Fraction) -> Plan:
    """Decide everything that will be made of an asset, or of a source alone. All times in seconds, rounded to whole frames.

    Raises UsageError if the ladder has no rungs to choose from.
    """
    asset = made_of if isinstance(made_of, Asset) else Asset(inputs=(made_of,))
    source, picture = asset.main, _picture(asset.main)
    nth = slowdown(source.video.frame_rate, Fraction(MAX_FRAME_RATE))
    rate = source.video.frame_rate / nth
    video, decisions = choose(source, ladder, rate, picture)
    audio = audio_renditions(asset, ladder)
    subtitles = subtitle_renditions(asset, {rung.name for rung in ladder.rungs} | {rendition.id for rendition in audio})
    grid = _grid(source, rate, [rendition.frame_step for rendition in video], gop_seconds, segment_seconds, chunk_seconds)
    return Plan(
        asset=asset,
        ladder=ladder.name,
        grid=grid,
        picture=picture,
        video=tuple(video),
        audio=tuple(audio),
        subtitles=tuple(subtitles),
        chunks=tuple(_chunks(grid, whole=not source.video.exact_seek)),
        thumbnails=_thumbnails(source, grid),
        decisions=tuple(decisions),
        left_out=tuple(left_out(asset, audio, subtitles)),
        warnings=tuple(_warnings(asset, ladder, video, audio)),
        notes=(*_notes(asset, grid, nth), *_codec_notes(video), *subtitle_notes(asset, subtitles)),
    )


def _grid(source: Source, rate: Fraction, steps: list[int], gop: Fraction, segment: Fraction, chunk: Fraction) -> Grid:
    """Round the wished times to whole frames; a GOP is whole in the slower rungs too."""
    unit = math.lcm(*steps)
    gop_frames = max(1, round(gop * rate / unit)) * unit
    # Of all encoders, not only of those in this plan: one rung more must not move the grid of the others.
    reordering = max(encoder.reordering for encoder in encoders())
    shortest = reordering * max(steps) / rate + LOOKUP_TOLERANCE
    segment_frames = max(round(segment / gop), math.ceil(shortest * rate / gop_frames)) * gop_frames
    chunk_frames = max(1, round(chunk * rate / segment_frames)) * segment_frames
    frames = max(1, _rounded(source.duration * rate))
    return Grid(
        frame_rate=rate,
        frames=frames,
        gop_frames=gop_frames,
        segment_frames=segment_frames,
        chunk_frames=chunk_frames,
        borrowed=_borrowed(frames, gop_frames, segment_frames, rate, shortest),
    )


def _borrowed(frames: int, gop: int, segment: int, rate: Fraction, shortest: Fraction) -> int:
    """Return how many frames the last segment takes from the one before it. shortest: seconds that it has to last.

    All of them, if the two together still count as no longer than the others (EXT-X-TARGETDURATION is rounded); otherwise as many
    GOPs as it takes, which only segments of a single GOP cannot give.
    """
    tail = (frames - 1) % segment + 1
    if tail == frames or tail / rate >= shortest:
        return 0
    if _rounded((segment + tail) / rate) <= _rounded(segment / rate):
        return segment
    return min(segment, math.ceil((shortest * rate - tail) / gop) * gop)


def _rounded(value: Fraction) -> int:
    """Half up, unlike round()."""
    return math.floor(value + Fraction(1, 2))


def _chunks(grid: Grid, *, whole: bool) -> list[Chunk]:
    """Share the segments evenly among chunks of about the wished length, so that parallel chunks end together."""
    segments = grid.segments
    count = 1 if whole else min(segments, max(1, round(Fraction(grid.frames, grid.chunk_frames))))
    edges = [grid.start(i * segments // count) for i in range(count)] + [grid.frames]
    return [Chunk(index=i, start=start, frames=end - start) for i, (start, end) in enumerate(pairwise(edges))]


def _picture(source: Source) -> Picture:
    tone_map: dict[str, ToneMap] = {"HDR10": "pq", "HLG": "hlg"}
    video = source.video
    return Picture(
        deinterlace=video.interlaced,
        rotation=video.rotation,
        mirrored=video.mirrored,
        tone_map=tone_map.get(video.colour.dynamic_range, "none"),
    )


def _thumbnails(source: Source, grid: Grid) -> ThumbnailPlan:
    seconds = min(max(grid.duration / SPRITE_COUNT, Fraction(SPRITE_SECONDS[0])), Fraction(SPRITE_SECONDS[1]))
    width, height = fit(source.video.display_size, SPRITE_BOX)
    poster_width, poster_height = fit(source.video.display_size, POSTER_BOX)
    return ThumbnailPlan(
        interval=max(1, round(seconds * grid.frame_rate)),
        width=width,
        height=height,
        columns=SPRITE_COLUMNS,
        rows=SPRITE_ROWS,
        poster_width=poster_width,
        poster_height=poster_height,
        posters=tuple(sorted({math.floor(share * grid.frames) for share in POSTER_AT})),
    )


def _warnings(asset: Asset, ladder: Ladder, video: Sequence[VideoRendition], audio: Sequence[AudioRendition]) -> list[str]:
    warnings = []
    made = [encoder_of(rendition.make.codec) for rendition in video]
    if not any(encoder.plays_everywhere for encoder in made):
        safe = " or ".join(encoder.title for encoder in encoders() if encoder.plays_everywhere)
        named = " and ".join(sorted({encoder.title for encoder in made}))
        warnings.append(
            f"no {safe} rung: browsers and devices that cannot decode {named}, most often those without a hardware decoder, "
            f"will not play this title; add {safe} rungs to the ladder, or use --ladder streaming"
        )
    if len(video) == 1 and len(ladder.rungs) > 1:
        width, height = (text(side) for side in asset.main.video.display_size)
        warnings.append(
            f"only one of {len(ladder.rungs)} rungs is used, because the source is only {width}x{height}: "
            "players cannot adapt to a slower connection"
        )
    if any(source.audio for source in asset.inputs) and not audio:
        warnings.append("the source has audio, but this title will be silent: none of its tracks can be used")
    return warnings


def _notes(asset: Asset, grid: Grid, nth: int) -> list[str]:
    video = asset.main.video
    notes = []
    if video.interlaced:
        unflagged = "" if video.flagged_interlaced else " although the file does not say so"
        notes.append(f"interlaced source{unflagged}: deinterlaced with bwdif")
        if video.measured_fields == "progressive":
            notes.append("its fields look like progressive frames where they were measured; deinterlacing softens them slightly")
    if video.colour.dynamic_range != "SDR":
        notes.append(f"{video.colour.dynamic_range} source: tone-mapped to SDR (BT.709) for every rung")
    if video.variable_frame_rate:
        notes.append(f"variable frame rate: converted to a constant {text(grid.frame_rate)} fps; audio stays in sync")
    if nth > 1:
        notes.append(f"{text(video.frame_rate)} fps source: every {_ordinal(nth)} frame is used, HLS allows at most {MAX_FRAME_RATE} fps")
    if video.rotation:
        notes.append(f"rotated {video.rotation} degrees clockwise, as its metadata says")
    if video.mirrored:
        notes.append("mirrored left to right, as its metadata says")
    if video.sample_aspect != 1:
        notes.append(f"pixels of {video.sample_aspect.numerator}:{video.sample_aspect.denominator} made square")
    if not any(source.audio for source in asset.inputs):
        notes.append("no audio in the source: the title is silent")
    for ref, stream in heard_streams(asset).items():  # the others are named with the tracks that are left out
        if stream.widest.channels > 2:
            notes.append(f"audio stream {ref} ({stream.widest.layout}) is downmixed to stereo")
        if stream.cut:
            notes.append(f"audio stream {ref} starts {float(stream.cut):.3f} s before the video: that much of it is cut")
        if stream.changes:
            notes.append(f"audio stream {ref} changes mid-stream: all of it is first converted to {stream.widest}")
    if not video.exact_seek and grid.frames > grid.chunk_frames:
        notes.append(f"encoded as one chunk: {video.seek_problem or 'the source does not seek accurately'}")
    return notes


def _codec_notes(video: Sequence[VideoRendition]) -> list[str]:
    """Name codecs that many players never get to: hls.js and Shaka Player choose one at the start, by its lowest rung, and keep to it."""
    lowest: dict[str, VideoRendition] = {}
    for rendition in sorted(video, key=lambda rendition: rendition.make.bitrate):
        lowest.setdefault(rendition.make.codec, rendition)
    first, *others = lowest.values()
    plays = encoder_of(first.make.codec).title
    return [
        f"{encoder_of(other.make.codec).title} begins at {other.id}: players that keep to one codec, such as hls.js and Shaka Player, "
        f"play {plays} alone unless told otherwise; a rung of it as low as {first.id} would change that"
        for other in others
        if other.make.bitrate > first.make.bitrate
    ]


def _ordinal(number: int) -> str:
    """Return "2nd" for 2; below 21, as all numbers here."""
    return f"{number}{({2: 'nd', 3: 'rd'}).get(number, 'th')}"
