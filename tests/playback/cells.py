"""The matrix as data: ladder x protection x audio x player x manifest, and why some of it cannot be.

A cell that cannot be played is not left out: ``refusal`` gives the sentence, and the page lists it. What a player cannot decode of a ladder
(a rung in H.265) is no reason to leave the cell out: the other rungs are played, and ``undecodable`` says why that one is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from vidpipe.ladder import Rung, load

SECONDS = 6
"""Of every title: three segments of 2 s."""


@dataclass(frozen=True)
class Clip:
    """The picture of a source. width: of its picture, eight times as wide as high.  rate: frames a second."""

    width: int
    rate: int

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.width // 8

    @property
    def frames(self) -> int:
        return SECONDS * self.rate


# Rungs are chosen by the box of 16:9 that a picture fits into, so a strip that is as wide as the top rung gets all rungs of the ladder as
# it stands, and an encode of 2160p costs a quarter. At 640x360 the ladders would shrink to their lowest rungs, and three of the six would
# be alike. 50 frames a second make rungs of half the rate where a ladder has max_frame_rate. Only apple-hevc is cut, at 540p: its seven
# larger rungs would be more of the same codec, and H.265 is slow to encode.
CLIPS = {
    "apple-avc": Clip(1920, 50),
    "apple-hevc": Clip(960, 50),
    "fast": Clip(1280, 25),
    "mobile": Clip(854, 25),
    "premium": Clip(3840, 12),
    "streaming": Clip(3840, 12),
}
PROTECTIONS = ("none", "aes-128", "cbcs", "cenc")
AUDIO = ("one audio", "many languages", "surround", "subtitles")
MANIFESTS = ("hls", "dash")


@dataclass(frozen=True)
class Limit:
    """What a player cannot do. why: a sentence.  The others: which cells, or rungs, it is about; empty means any."""

    why: str
    manifests: tuple[str, ...] = ()
    protections: tuple[str, ...] = ()
    audio: tuple[str, ...] = ()
    codecs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Player:
    """A player of the matrix. manifests: those that it can read.  about: what exactly is tested."""

    name: str
    about: str
    manifests: tuple[str, ...]
    limits: tuple[Limit, ...] = ()


NO_HEVC = Limit("Debian's Chromium has no decoder for H.265.", codecs=("hevc",))
IN_CHROMIUM = (NO_HEVC,)
IN_GSTREAMER = (
    Limit("GStreamer's hlsdemux2 decrypts the init section, too, which is clear.", manifests=("hls",), protections=("aes-128",)),
    Limit("GStreamer's hlsdemux2 takes SAMPLE-AES for AES-128 of whole segments.", manifests=("hls",), protections=("cbcs", "cenc")),
    Limit("GStreamer decrypts Common Encryption only with elements of a DRM system, and comes with none.", protections=("cbcs", "cenc")),
)
IN_MPV = (
    Limit("FFmpeg 5.1, below mpv 0.35, does not read subtitles in HLS; the title plays without.", manifests=("hls",), audio=("subtitles",)),
    Limit("FFmpeg 5.1, below mpv 0.35, ends a DASH title when the second segment of a chosen text track ends; it plays without the track.",
          manifests=("dash",), audio=("subtitles",)),
)  # fmt: skip
IN_VLC = (
    Limit("VLC 3.0 does not decrypt Common Encryption: its MP4 demuxer finds no avcC in an encrypted sample entry.",
          protections=("cbcs", "cenc")),
    Limit("VLC 3.0 ends before it has shown the last second of H.265, which FFmpeg shows; the reason has not been found.",
          codecs=("hevc",)),
    Limit("VLC 3.0 never ends a DASH title with a chosen text track; it plays without the track.",
          manifests=("dash",), audio=("subtitles",)),
)  # fmt: skip
PLAYERS = (
    Player("hls.js", "hls.js in headless Chromium", ("hls",), IN_CHROMIUM),
    Player("Shaka Player", "Shaka Player in headless Chromium", ("hls", "dash"), IN_CHROMIUM),
    Player("dash.js", "dash.js in headless Chromium", ("dash",), IN_CHROMIUM),
    Player(
        "video.js",
        "video.js with videojs-contrib-eme in headless Chromium",
        ("hls", "dash"),
        (
            NO_HEVC,
            Limit(
                "In HLS, video.js takes every key with the identity format for one of AES-128, and decrypts whole segments with it.",
                manifests=("hls",),
                protections=("cbcs", "cenc"),
            ),
            Limit(
                "In DASH, video.js asks for an init section of WebVTT, which has none, and drops the track; the title plays without.",
                manifests=("dash",),
                audio=("subtitles",),
            ),
        ),
    ),
    Player(
        "Chromium",
        "the HLS player of headless Chromium itself, <video src=master.m3u8>",
        ("hls",),
        (
            NO_HEVC,
            Limit("Chromium's own HLS joins the init section to the first segment before it decrypts.", protections=("aes-128",)),
            Limit("Chromium's own HLS has no SAMPLE-AES.", protections=("cbcs", "cenc")),
            Limit("Chromium's own HLS has no text tracks; the title plays without.", audio=("subtitles",)),
        ),
    ),
    Player("FFmpeg", "the FFmpeg of imageio-ffmpeg; in DASH it is given the key, in HLS it asks for it", ("hls", "dash")),
    Player("GStreamer", "playbin3; hlsdemux2 keeps to one variant where a ladder has several codecs", ("hls", "dash"), IN_GSTREAMER),
    Player("mpv", "mpv without a screen; in DASH it is given the key, in HLS it asks for it", ("hls", "dash"), IN_MPV),
    Player("VLC", "libvlc without a screen, which keeps to the level that it begins with", ("hls", "dash"), IN_VLC),
)
EVERYWHERE = (Limit("AES-128 of whole segments is HLS only: DASH has no word for it.", manifests=("dash",), protections=("aes-128",)),)


@dataclass(frozen=True, order=True)
class Cell:
    """One title in one player, from one manifest."""

    player: str
    manifest: str
    ladder: str
    protection: str
    audio: str

    @property
    def id(self) -> str:
        return " ".join((self.player, self.manifest, self.ladder, self.protection, self.audio))


def cells(player: Player) -> Iterator[Cell]:
    """Yield all of a player, those that cannot be played as well; the cells of one title and its relatives follow each other."""
    for ladder in CLIPS:
        for audio in AUDIO:
            for protection in PROTECTIONS:
                for manifest in player.manifests:
                    yield Cell(player.name, manifest, ladder, protection, audio)


def player_of(cell: Cell) -> Player:
    return next(player for player in PLAYERS if player.name == cell.player)


def refusal(cell: Cell) -> str | None:
    """Return why a cell cannot be played; None if it can."""
    for limit in (*EVERYWHERE, *player_of(cell).limits):
        asked = ((limit.manifests, cell.manifest), (limit.protections, cell.protection), (limit.audio, cell.audio))
        if not limit.codecs and all(value in values for values, value in asked if values):
            return limit.why
    reasons = [undecodable(cell, rung.codec) for rung in rungs(cell.ladder)]
    return f"The ladder has no other codec. {reasons[0]}" if all(reasons) else None


def undecodable(cell: Cell, codec: str) -> str | None:
    """Return why the player of a cell cannot play a rung of a codec; None if it can."""
    return next((limit.why for limit in player_of(cell).limits if codec in limit.codecs), None)


@cache
def rungs(ladder: str) -> tuple[Rung, ...]:
    """Return the rungs of a ladder that its clip is large enough for."""
    width = CLIPS[ladder].width
    return tuple(rung for rung in load(ladder).rungs if Fraction(16, 9) * rung.height <= width * Fraction(101, 100))


def frames(ladder: str, rung: Rung) -> int:
    """Return how many frames a rung has: all of the clip, or every second where the ladder limits the rate."""
    clip = CLIPS[ladder]
    return clip.frames if not rung.max_frame_rate or clip.rate <= rung.max_frame_rate else clip.frames // 2
