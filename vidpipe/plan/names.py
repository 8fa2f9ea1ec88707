"""Name tracks for people: by their own titles, else by their languages ("English"), with what distinguishes two of one language.

In:   tracks of a source.
Out:  names that are unique within a kind of track, as a playlist can say them.
Wrong: nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Sequence

from vidpipe.language_tags import language_name
from vidpipe.source.facts import AudioRole, AudioStream

ROLE_NAMES: dict[AudioRole, str] = {"description": "Audio description", "clear-speech": "Clear speech", "commentary": "Commentary"}


def audio_names(tracks: Sequence[AudioStream]) -> list[str]:
    """Return a name for each audio track."""
    names: list[str] = []
    layouts: dict[str, set[str]] = {}
    for number, track in enumerate(tracks, 1):
        name = track_name(track.title, track.language, "Main" if len(tracks) == 1 else f"Track {number}")
        name = qualified(name, ROLE_NAMES.get(track.role, ""))
        layout, before = _layout(track), layouts.setdefault(name, set())
        if before and layout not in before:  # two of one layout are distinguished by a number only
            name = qualified(name, layout)
        before.add(layout)
        names.append(unique(name, names, " "))
    return names


def track_name(title: str | None, language: str | None, otherwise: str) -> str:
    """Return the title of a track, else the name of its language, as playlists can say it.

    Composed (NFC), so that names which look the same are the same, and without quotation marks.
    """
    text = title or (language_name(language) if language else otherwise)
    return unicodedata.normalize("NFC", text).replace('"', "'")


def qualified(name: str, qualifier: str) -> str:
    """Return "English (SDH)", or the name as it is if it says so already."""
    return name if qualifier.lower() in name.lower() else f"{name} ({qualifier})"


def unique(name: str, taken: Container[str], joint: str) -> str:
    """Return the name, with a number if it is taken."""
    number = 1
    candidate = name
    while candidate in taken:
        number += 1
        candidate = f"{name}{joint}{number}"
    return candidate


def _layout(track: AudioStream) -> str:
    """Return the layout of a track as people say it: "5.1" for FFmpeg's "5.1(side)"."""
    return track.widest.layout.partition("(")[0]
