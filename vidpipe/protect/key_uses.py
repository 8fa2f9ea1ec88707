"""Which key protects what: keys for classes of tracks, and keys that change with time.

In:   the settings ``key_classes`` and ``key_rotation``, a plan.
Out:  KeyUses, one for each key of a version, in an order that depends on nothing but the plan.
Wrong: UsageError for a setting that says no rotation, or for one that does not go with another.

The classes are those that DRM services license apart. Their names are CPIX's intendedTrackType, their limits those of the SPEKE v2 presets
(SD up to 1024x576, HD up to 1920x1080, UHD above), counted in pixels as CPIX's VideoFilter does, so that a portrait picture is in the class
of the same picture turned round. Every viewer gets the key of the audio; so subtitles are under that one, too, and never under one that a
viewer of SD lacks.

A period of rotation begins with a segment, the same in all tracks: segment n of each begins at the border of the grid that n has. So it
does not matter in which order chunks are finished, nor how often a run is resumed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, get_args

from vidpipe.errors import UsageError
from vidpipe.protect.schemes import CLEAR

if TYPE_CHECKING:
    from vidpipe.plan import Grid, Plan

KeyClasses = Literal["all", "audio-video", "audio-sd-hd-uhd"]
"""As the setting is written: one key for everything, or one for each of these."""
KEY_CLASSES: tuple[KeyClasses, ...] = get_args(KeyClasses)
ONE_KEY: KeyClasses = "all"

IntendedTrackType = Literal["ALL", "AUDIO", "VIDEO", "SD", "HD", "UHD"]
"""CPIX's word for what a key is for."""
SD_PIXELS = 1024 * 576
HD_PIXELS = 1920 * 1080
"""Most pixels of a picture that is SD or HD: https://docs.aws.amazon.com/mediapackage/latest/userguide/drm-content-speke-v2-presets.html."""

_ROTATION = re.compile(r"(?P<number>\d{1,9}(\.\d{1,6})?) ?(?P<unit>s|segments?)?")


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What one key is for.

    tracks: ids of renditions, None for all.
    first: 0-based index of the first segment.
    track_type: the class that the tracks are of.
    """

    tracks: frozenset[str] | None = None
    first: int = 0
    track_type: IntendedTrackType = "ALL"

    def covers(self, track: str, index: int) -> bool:
        """Whether it is for a segment, unless a later use is."""
        return index >= self.first and (self.tracks is None or track in self.tracks)


@dataclass(frozen=True, slots=True)
class Rotation:
    """How long a key is used: for so many seconds, or for so many segments."""

    seconds: Fraction | None = None
    segments: int | None = None

    def firsts(self, grid: Grid) -> Iterator[int]:
        """Yield the first segment of each period. One that begins before the seconds are over belongs to them whole."""
        if self.segments:
            yield from range(0, grid.segments, self.segments)
            return
        before = -1
        for index in range(grid.segments):
            period = int(grid.time(grid.start(index)) / (self.seconds or grid.duration))
            if period > before:
                yield index
            before = period


def read_rotation(text: str, where: str = "key_rotation") -> Rotation:
    """Read the setting: "3600", "3600s" or "100 segments". Raises UsageError. where: for the message."""
    found = _ROTATION.fullmatch(text.strip().lower())
    number = Fraction(found["number"]) if found else Fraction(0)
    segments = bool(found and found["unit"] and found["unit"] != "s")
    if not number or (segments and number.denominator != 1):
        fix = 'give seconds, such as 3600, or "100 segments"'
        raise UsageError(f"{text!r} is neither a time nor a number of segments", where=where, fix=fix)
    return Rotation(segments=int(number)) if segments else Rotation(seconds=number)


def check_key_rotation(text: str, where: str) -> str:
    """Return the setting as it is kept, whoever wrote it. Raises UsageError."""
    rotation = read_rotation(text, where)
    if rotation.segments:
        return f"{rotation.segments} segment{'s' if rotation.segments > 1 else ''}"
    return f"{float(rotation.seconds or 0):.6f}".rstrip("0").rstrip(".") + "s"


def check_key_settings(scheme: str, classes: KeyClasses, rotation: str | None, key_url: str | None) -> None:
    """Raise UsageError for settings that do not go together: what cannot be done is refused before any work starts."""
    if scheme == CLEAR:
        return
    if key_url and "{key_id}" not in key_url and (rotation or classes != ONE_KEY):
        raise UsageError(
            "the URL would be the same for all keys of a title, which has several",
            where="key_url",
            fix="put {key_id} into key_url, or leave key_classes and key_rotation out",
        )


def planned_uses(made: Plan, scheme: str, classes: KeyClasses = ONE_KEY, rotation: str | None = None) -> tuple[KeyUse, ...]:
    """Return the uses of keys that a title under a scheme has, period by period."""
    if scheme == CLEAR:
        return ()
    types = _classes(made, classes)
    firsts = read_rotation(rotation).firsts(made.grid) if rotation else (0,)
    return tuple(KeyUse(tracks, first, track_type) for first in firsts for track_type, tracks in types.items())


def _classes(made: Plan, classes: KeyClasses) -> dict[IntendedTrackType, frozenset[str] | None]:
    """Return the classes of which the title has tracks."""
    if classes == ONE_KEY:
        return {"ALL": None}
    found: dict[IntendedTrackType, set[str]] = {"AUDIO": {track.id for track in (*made.audio, *made.subtitles)}}
    for rung in made.video:
        of_its_own: IntendedTrackType = video_class(rung.width, rung.height) if classes == "audio-sd-hd-uhd" else "VIDEO"
        found.setdefault(of_its_own, set()).add(rung.id)
    return {track_type: frozenset(found[track_type]) for track_type in _TRACK_TYPES if found.get(track_type)}


_TRACK_TYPES: tuple[IntendedTrackType, ...] = get_args(IntendedTrackType)


def video_class(width: int, height: int) -> Literal["SD", "HD", "UHD"]:
    """Return the class of a picture."""
    pixels = width * height
    return "SD" if pixels <= SD_PIXELS else "HD" if pixels <= HD_PIXELS else "UHD"
