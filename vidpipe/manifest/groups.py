"""Share the audio renditions of a title out to groups: one for each channel layout and codec, so that a variant declares what it plays.

In:   AudioTracks; the renditions of one track have the same name.
Out:  AudioGroups, the one that every device can play first.
Wrong: ValueError for two renditions of one track in one group; that is a bug of the caller.

A player chooses a variant, and with it a group; within it, it chooses a member by language, name and flags. So every group has the same
members (HLS-REND-012): a track that was not made in a group's layout stands there in stereo.
"""

from __future__ import annotations

from collections.abc import Sequence

from vidpipe.data import Data
from vidpipe.inventory.model import AudioTrack
from vidpipe.manifest.grammar import quoted
from vidpipe.source.facts import AudioRole

CHARACTERISTICS: dict[AudioRole, str] = {
    "description": "public.accessibility.describes-video",  # HLS-REND-013
    "clear-speech": "public.accessibility.enhances-speech-intelligibility",  # Apple 2.28
}
"""What audio for some viewers declares of itself."""


class AudioGroup(Data):
    """A group. id: GROUP-ID.  members: a rendition of each track, in order."""

    id: str
    members: tuple[AudioTrack, ...]


def audio_groups(audio: Sequence[AudioTrack]) -> list[AudioGroup]:
    """Return the groups: stereo first, because it plays everywhere, then by rising number of channels."""
    kinds = sorted({_kind(track) for track in audio}, key=lambda kind: (kind[0] != 2, kind))
    names = list(dict.fromkeys(track.name for track in audio))
    return [AudioGroup(id=_id(kind, kinds), members=tuple(_member(audio, name, kind, kinds) for name in names)) for kind in kinds]


def automatic(group: AudioGroup) -> list[AudioTrack]:
    """Return the members that a player may choose by itself: the default, and of each other language the first that is for everybody.

    Never audio description, clear speech or commentary, unless the title has nothing else: viewers ask for these.
    """
    default = default_of(group)
    chosen: dict[str, AudioTrack] = {language(default): default}
    for track in group.members:
        if track.role == "main":
            chosen.setdefault(language(track), track)
    return list(chosen.values())


def default_of(group: AudioGroup) -> AudioTrack:
    """Return the member that is played unless the viewer chooses: the one that says so, else the first that is for everybody."""
    ordinary = [track for track in group.members if track.role == "main"] or list(group.members)
    return next((track for track in group.members if track.default), ordinary[0])


def language(track: AudioTrack) -> str:
    """Return LANGUAGE. "und" is BCP 47 for "undetermined": LANGUAGE is required on every rendition (HLS-REND-009)."""
    return quoted(track.language or "und")


def _kind(track: AudioTrack) -> tuple[int, str]:
    return track.facts.channels or 2, track.facts.codecs


def _id(kind: tuple[int, str], kinds: Sequence[tuple[int, str]]) -> str:
    """Return "audio-6ch"; with the codec where two have as many channels."""
    channels, codecs = kind
    alone = [channels for channels, _ in kinds].count(channels) == 1
    return f"audio-{channels}ch" if alone else f"audio-{channels}ch-{codecs}"


def _member(audio: Sequence[AudioTrack], name: str, kind: tuple[int, str], kinds: Sequence[tuple[int, str]]) -> AudioTrack:
    """Return the rendition of a track for a group: that of its layout and codec, else the one that plays on most devices."""
    made = [track for track in audio if track.name == name]
    if len({_kind(track) for track in made}) != len(made):
        raise ValueError(f"names must be unique and not empty in a group: {name!r}")
    best = next((track for track in made if _kind(track) == kind), min(made, key=lambda track: kinds.index(_kind(track))))
    return best.model_copy(update={"default": any(track.default for track in made)})
