"""What is said of a track by descriptors: its role, whom it is for, its colours, its layout of channels.

In:   a track of an inventory.  Out: elements.  Wrong: nothing.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from vidpipe.inventory.model import AudioTrack, SubtitleTrack, VideoTrack
from vidpipe.manifest.dash.markup import element
from vidpipe.mp4.parameters import UNSPECIFIED
from vidpipe.source.facts import AudioRole

ROLE = "urn:mpeg:dash:role:2011"
PURPOSE = "urn:tva:metadata:cs:AudioPurposeCS:2007"
"""Scheme of Accessibility that players know (DASH-IF IOP 4.3, 3.9.4.5): 1 for viewers who do not see, 2 for those who do not hear."""
CHANNELS = "urn:mpeg:mpegB:cicp:ChannelConfiguration"
_CICP = tuple(f"urn:mpeg:mpegB:cicp:{name}" for name in ("ColourPrimaries", "TransferCharacteristics", "MatrixCoefficients"))

_ROLES: dict[AudioRole, str] = {
    "description": "description",
    "clear-speech": "enhanced-audio-intelligibility",
    "commentary": "commentary",
}
_FOR: dict[AudioRole, tuple[str, str]] = {
    "description": (PURPOSE, "1"),
    "clear-speech": (ROLE, "enhanced-audio-intelligibility"),
}


def audio_roles(track: AudioTrack, *, chosen: bool) -> list[Element]:
    """Return Accessibility and Role. chosen: a player may take it by itself, for its language."""
    role = _ROLES.get(track.role, "main" if chosen else "alternate")
    who = _FOR.get(track.role)
    return [
        *([element("Accessibility", schemeIdUri=who[0], value=who[1])] if who else []),
        element("Role", schemeIdUri=ROLE, value=role),
    ]


def text_roles(track: SubtitleTrack) -> list[Element]:
    """Return Accessibility and Role: "caption" is text that also says what is heard; "main" is shown by default."""
    role = "forced-subtitle" if track.forced else "caption" if track.hearing_impaired else "subtitle"
    return [
        *([element("Accessibility", schemeIdUri=PURPOSE, value="2")] if track.hearing_impaired else []),
        element("Role", schemeIdUri=ROLE, value=role),
        *([element("Role", schemeIdUri=ROLE, value="main")] if track.default else []),
    ]


def colours(track: VideoTrack) -> list[Element]:
    """Return the colour of a rung by ITU-T H.273, as far as its parameter sets say it.

    Whoever does not understand HDR must not show it: there the descriptors are essential.
    """
    tag = "SupplementalProperty" if track.facts.video_range in (None, "SDR") else "EssentialProperty"
    codes = track.facts.colour or UNSPECIFIED
    return [
        element(tag, schemeIdUri=scheme, value=code) for scheme, code in zip(_CICP, codes, strict=True) if code != UNSPECIFIED[0]
    ]


def channels(track: AudioTrack) -> Element | None:
    """Return AudioChannelConfiguration; None for a layout that has no code."""
    layout = track.facts.layout
    return element("AudioChannelConfiguration", schemeIdUri=CHANNELS, value=layout) if layout else None
