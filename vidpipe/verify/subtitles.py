"""Prove the subtitles of a version: every segment holds exactly the cues that are shown in it, and all of them are those that were planned.

In:   the Readback, the subtitle tracks of the inventory, the cues that were planned.
Out:  the cues of each segment as found.
Wrong: VerificationFailed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from vidpipe.inventory.model import SubtitleTrack
from vidpipe.manifest.cues import CueError, read_subtitles
from vidpipe.manifest.master import HEARING_IMPAIRED
from vidpipe.manifest.parse import MasterPlaylist, Rendition, Variant
from vidpipe.package.cut import Cue
from vidpipe.protect.schemes import scheme_of
from vidpipe.publish.result import PublishedSegment
from vidpipe.verify.readback import Readback, keys_of

if TYPE_CHECKING:
    from vidpipe.protect.key_store import ContentKey

_CLEAR = ("WebVTT", lambda data: data.startswith(b"WEBVTT"))


class SubtitleReader:
    """Reads the segments of one track, on any thread."""

    def __init__(self, target: Readback, expected: SubtitleTrack, key_for: Callable[[str], ContentKey], copied: Collection[str]) -> None:
        self._target, self._copied = target, copied
        self._scheme = scheme_of(expected.scheme)
        self._last = len(expected.segments) - 1
        self._keys = keys_of(expected.segments, key_for)

    def read(self, segment: PublishedSegment) -> list[Cue]:
        """Read one segment back, decrypt it, parse it. Every cue in it is shown in its time. A copy between the ends is only compared."""
        if segment.uri in self._copied:
            self._target.compare(segment.uri, segment.entry)
            if segment.index not in (0, self._last):
                return []
        data = self._target.opened(segment, self._scheme, self._keys, _CLEAR)
        try:
            cues = read_subtitles(data)
        except CueError as error:
            raise self._target.wrong(segment.uri, "the segment cannot be read", "WebVTT on the title's time line", error) from error
        self._target.same(segment.uri, "the number of cues", segment.samples, len(cues))
        for cue in cues:
            if cue.start >= segment.start + segment.duration or cue.end <= segment.start:
                times = f"{float(cue.start):.3f} to {float(cue.end):.3f} s"
                raise self._target.wrong(segment.uri, "a cue is not shown in this segment", f"a cue after {float(segment.start)} s", times)
        return cues


def check_cues(target: Readback, track: SubtitleTrack, planned: Sequence[Cue] | None, found: Sequence[Sequence[Cue]]) -> None:
    """Compare the cues of all segments with the plan: each is there, whole, in as many segments as it is shown in, and no other is.

    planned: None where nobody knows the plan any more.
    """
    counts = Counter(cue for cues in found for cue in cues)
    if planned is not None:
        target.same(track.playlist, "the number of cues", len(planned), len(counts))
        for cue, other in zip(planned, counts, strict=True):  # a Counter keeps the order of first sight
            target.same(track.playlist, "a cue (start, end, text)", _shown(cue), _shown(other))
    starts = [segment.start for segment in track.segments]
    for cue, count in counts.items():
        segments = bisect_left(starts, cue.end) - (bisect_right(starts, cue.start) - 1)
        target.same(track.playlist, f"the number of segments with the cue at {float(cue.start):.3f} s", segments, count)


def check_members(target: Readback, path: str, expected: Sequence[SubtitleTrack], master: MasterPlaylist) -> None:
    """Compare what the master playlist says of each subtitle track."""
    members = {str(member.uri): member for member in master.renditions if member.type == "SUBTITLES"}
    target.same(path, "the list of subtitle renditions", sorted(track.playlist for track in expected), sorted(members))
    for track in expected:
        member = members[track.playlist]
        where = f"{path}:{member.line}"
        target.same(where, "LANGUAGE", track.language or "und", member.language)
        target.same(where, "DEFAULT and FORCED", (track.default, track.forced), (member.default, member.forced))
        target.same(where, "CHARACTERISTICS", HEARING_IMPAIRED if track.hearing_impaired else None, member.characteristics)
        if (track.default or track.forced or track.hearing_impaired) and not member.autoselect:
            raise target.wrong(where, "a default, forced or SDH track has AUTOSELECT=NO", "AUTOSELECT=YES", "NO")


def group_of(members: Sequence[Rendition], variant: Variant) -> list[str]:
    """Return the playlists of the subtitle group that a variant names."""
    return [str(member.uri) for member in members if member.type == "SUBTITLES" and member.group == variant.subtitles]


def _shown(cue: Cue) -> tuple[float, float, str]:
    return float(cue.start), float(cue.end), cue.text
