"""Prove the audio groups of a master playlist: each track in each group, in the best layout for it, and every rung with every group.

In:   the Readback, the audio of the inventory as it was measured, the master playlist.
Out:  GROUP-ID -> ids of the renditions in the group.
Wrong: VerificationFailed with the line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from vidpipe.inventory.model import AudioTrack
from vidpipe.manifest.groups import CHARACTERISTICS
from vidpipe.manifest.parse import MasterPlaylist, Rendition
from vidpipe.verify.readback import Readback


@dataclass(frozen=True, slots=True)
class MeasuredAudio:
    """An audio rendition. channels: as measured."""

    track: AudioTrack
    channels: int

    @property
    def stream(self) -> tuple[int, int]:
        """Input and index of its stream."""
        return self.track.input, self.track.stream


def check_audio(
    target: Readback, path: str, master: MasterPlaylist, video: Collection[str], audio: Mapping[str, MeasuredAudio]
) -> dict[str | None, list[str]]:
    """Compare the audio that the master playlist offers with what was published.

    path: of the master playlist.  video: media playlists of the rungs.  audio: media playlist -> what it holds.
    """
    groups: dict[str | None, list[Rendition]] = {}
    for member in master.renditions:
        if member.type == "AUDIO":
            groups.setdefault(member.group, []).append(member)
    listed = {str(member.uri) for members in groups.values() for member in members}
    target.same(path, "the list of audio renditions", sorted(audio), sorted(listed))
    names: dict[tuple[int, int], str] = {}
    for members in groups.values():
        tracks = [audio[str(member.uri)].stream for member in members]
        expected = list(dict.fromkeys(made.stream for made in audio.values()))
        target.same(f"{path}:{members[0].line}", "the list of tracks in the audio group", expected, tracks)
        widest = max(audio[str(member.uri)].channels for member in members)
        for member, stream in zip(members, tracks, strict=True):
            where = f"{path}:{member.line}"
            target.same(where, "NAME", names.setdefault(stream, member.name), member.name)  # a track has one in all groups
            _check_member(target, where, member, audio, widest)
    target.same(path, "the number of names of audio tracks", len(names), len(set(names.values())))
    _check_variants(target, path, master, video, groups)
    first = master.variants[0]
    if groups and any(made.channels == 2 for made in audio.values()):
        channels = sorted({audio[str(member.uri)].channels for member in groups[first.audio]})
        target.same(f"{path}:{first.line}", "the number of channels of the first variant", [2], channels)
    return {group: [audio[str(member.uri)].track.id for member in members] for group, members in groups.items()}


def _check_variants(
    target: Readback, path: str, master: MasterPlaylist, video: Collection[str], groups: Mapping[str | None, list[Rendition]]
) -> None:
    """Every rung is there once with every group, and with no other."""
    wanted = [(uri, group) for uri in video for group in groups or [None]]
    for variant in master.variants:
        if (variant.uri, variant.audio) not in wanted:
            known = " or ".join(sorted(str(group) for group in groups)) or "none"
            raise target.wrong(f"{path}:{variant.line}", "the audio group is wrong", known, variant.audio)
    found = Counter((variant.uri, variant.audio) for variant in master.variants)
    for uri, group in wanted:
        target.same(path, f"the number of variants with {uri} and audio group {group}", 1, found[uri, group])


def _check_member(target: Readback, where: str, member: Rendition, audio: Mapping[str, MeasuredAudio], widest: int) -> None:
    """Compare what is said of one member. widest: channels of its group."""
    track, channels = audio[str(member.uri)].track, audio[str(member.uri)].channels
    others = [made for made in audio.values() if made.stream == audio[str(member.uri)].stream]
    default = any(made.track.default for made in others)
    target.same(where, "CHANNELS", str(channels), member.channels)
    target.same(where, "the layout in this group", max(made.channels for made in others if made.channels <= widest), channels)
    target.same(where, "LANGUAGE", track.language or "und", member.language)
    target.same(where, "DEFAULT", default, member.default)
    target.same(where, "CHARACTERISTICS", CHARACTERISTICS.get(track.role), member.characteristics)
    if default and not member.autoselect:
        raise target.wrong(where, "the default track has AUTOSELECT=NO", "AUTOSELECT=YES", "NO")
    if track.role != "main" and not default and member.autoselect:
        raise target.wrong(where, f"players may choose this track by themselves ({track.role})", "AUTOSELECT=NO", "YES")
