"""What headers declare: encryption is said by name, Dolby Vision without a base layer is refused, WebVTT in Matroska is text."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import pytest

from tests.encode_support import ffmpeg, remux, tiny_plan
from tests.oracle.traps import TRAPS
from tests.oracle.traps.trap import make as trap_file
from tests.source_support import X264, X265, run
from vidpipe.errors import SourceRefused
from vidpipe.source.declared import Crop, Declared, Dolby, declared
from vidpipe.source.picture_facts import dolby_in
from vidpipe.source.probe import probe

MEDIA = Path(__file__).parent.parent.parent / "shared" / "media"
LOSSLESS_TEN = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=0.4,format=yuv420p10le"]


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def boxes_changed(data: bytes, change: object) -> bytes:
    """Rebuild a movie whose moov comes last; each sample entry goes through ``change``."""
    assert callable(change)
    out, place = b"", 0
    while place < len(data):
        size, kind = struct.unpack(">I4s", data[place : place + 8])
        body = data[place + 8 : place + size]
        if kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
            body = boxes_changed(body, change)
        elif kind == b"stsd":
            body = body[:8] + change(body[8:])
        out += box(kind, body)
        place += size
    return out


def dolby_vision(source: Path, target: Path, profile: int, compatibility: int, tag: bytes) -> Path:
    """Add a Dolby Vision configuration record, and give the sample entry a name."""

    def change(entry: bytes) -> bytes:
        flags = profile << 9 | 6 << 3 | 0b101  # level 6; RPU and base layer are there
        record = b"\1\0" + struct.pack(">H", flags) + bytes([compatibility << 4]) + bytes(19)
        body = tag + entry[8:] + box(b"dvcC" if profile < 8 else b"dvvC", record)
        return struct.pack(">I", 4 + len(body)) + body

    target.write_bytes(boxes_changed(source.read_bytes(), change))
    return target


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A clip in HEVC with ten bits, and one in H.264."""
    folder = tmp_path_factory.mktemp("pictures")
    run([*LOSSLESS_TEN, *X265, "-x265-params", "log-level=none"], folder / "hevc.mp4")
    run(["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=0.4", *X264], folder / "avc.mp4")
    return {path.stem: path for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("codec", "profile", "compatibility", "tag", "dynamic_range"),
    [
        ("hevc", 5, 0, "dvh1", None),
        ("hevc", 5, 0, "dvhe", None),
        ("hevc", 5, 0, "hvc1", None),
        ("hevc", 8, 0, "hvc1", None),
        ("hevc", 3, 0, "dvhe", None),
        ("hevc", 8, 1, "hvc1", "HDR10"),
        ("hevc", 8, 4, "hev1", "HLG"),
        ("hevc", 8, 2, "dvh1", "SDR"),
        ("hevc", 7, 6, "dvhe", "HDR10"),
        ("hevc", 7, 0, "dvhe", "SDR"),
        ("hevc", 4, 2, "dvhe", "SDR"),
        ("avc", 9, 2, "dvav", "SDR"),
        ("avc", 9, 2, "dva1", "SDR"),
        ("avc", 9, 0, "avc1", "SDR"),
    ],
)
def test_dolby_vision_is_known_by_its_profile(
    codec: str, profile: int, compatibility: int, tag: str, dynamic_range: str | None, pictures: dict[str, Path], tmp_path: Path
) -> None:
    source = dolby_vision(pictures[codec], tmp_path / "dolby.mp4", profile, compatibility, tag.encode())
    if dynamic_range is None:
        with pytest.raises(SourceRefused, match=f"Dolby Vision profile {profile}") as caught:
            probe(str(source))
        assert "purple" in caught.value.what
        assert f"ffmpeg -i {source} " in (caught.value.fix or "")
        return
    colour = probe(str(source)).video.colour
    assert (colour.dolby_vision, colour.dynamic_range) == (True, dynamic_range)


def test_dolby_vision_in_matroska(pictures: dict[str, Path], tmp_path: Path) -> None:
    source = dolby_vision(pictures["hevc"], tmp_path / "dolby.mp4", 5, 0, b"hvc1")
    copied = remux(source, tmp_path / "dolby.mkv", "-strict", "unofficial")
    with pytest.raises(SourceRefused, match="Dolby Vision profile 5"):
        probe(str(copied))


def transport_packet(pid: int, payload: bytes, control: int = 0x10) -> bytes:
    return bytes([0x47, 0x40 | pid >> 8, pid & 0xFF, control]) + payload.ljust(184, b"\xff")


@pytest.mark.parametrize("lead", [b"", bytes(4)], ids=["ts", "m2ts"])
@pytest.mark.parametrize(("body", "found"), [("0100" "0a35" "00", Dolby(5, 0)), ("0100" "1035" "10", Dolby(8, 1))])
def test_dolby_vision_in_a_transport_stream(lead: bytes, body: str, found: Dolby) -> None:
    descriptor = b"\xb0\x05" + bytes.fromhex(body)
    stream = b"\x24\xe1\x00" + struct.pack(">H", 0xF000 | len(descriptor)) + descriptor
    table = b"\x02" + struct.pack(">H", 0xB000 | 9 + len(stream) + 4) + b"\0\1\xc1\0\0\xe1\0\xf0\0" + stream + bytes(4)
    data = b"".join(lead + packet for packet in [transport_packet(0x1000, b"\0" + table)] * 6)
    assert declared(io.BytesIO(data)) == Declared(None, found)


class Frame:
    """A decoded picture with Dolby Vision's metadata beside it."""

    def __init__(self, header: bytes) -> None:
        kind = type("Kind", (), {"name": "DOVI_METADATA"})
        data = (48).to_bytes(8, "little") + bytes(40) + header.ljust(32, b"\0")
        self.side_data = [type("Item", (bytes,), {"type": kind})(data)]


def test_profile_5_is_known_by_the_picture_alone() -> None:
    """A raw or rewrapped stream has no record. The second header is that of a real picture of profile 8.4."""
    assert dolby_in(Frame(bytes([2, 0, 18, 0, 0, 0, 0, 0, 23, 1, 1, 10, 10, 12]))) == Dolby(5, 0)
    assert dolby_in(Frame(bytes([2, 0, 18, 0, 1, 0, 0, 0, 23, 1, 0, 10, 10, 12]))) is None


ENCRYPTION = ["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "0" * 31 + "1", "-encryption_kid", "0" * 31 + "2"]


def encrypted(kind: str, folder: Path) -> Path:
    """Make a file that is encrypted, or says so."""
    plain = folder / {"asf": "plain.asf", "playready": "plain.asf", "matroska": "plain.mkv", "scrambled": "plain.ts"}.get(kind, "plain.mp4")
    video = ["-c:v", "wmv2", "-c:a", "wmav2"] if plain.suffix == ".asf" else [*X264, "-c:a", "aac"]
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=1", "-f", "lavfi", "-i", "sine=d=1", *video, plain)
    if kind == "cenc":
        return remux(plain, folder / "cenc.mp4", *ENCRYPTION)
    data = bytearray(plain.read_bytes())
    if kind in ("drmi", "drms"):
        name = b"avc1" if kind == "drmi" else b"mp4a"
        place = data.rindex(name, 0, len(data)) if kind == "drms" else data.index(name, data.index(b"stsd"))
        data[place : place + 4] = kind.encode()
    elif kind in ("asf", "playready"):
        size = int.from_bytes(data[16:24], "little")
        guid = "fbb3112223bdd211b4b700a0c955fc6e" if kind == "asf" else "338505438169e6499b74ad12cb86d58c"
        data[30:30] = bytes.fromhex(guid) + (24 + 16).to_bytes(8, "little") + bytes(16)
        data[16:24] = (size + 40).to_bytes(8, "little")
    elif kind == "matroska":
        place = data.index(b"\x1f\x43\xb6\x75")
        tracks = data.index(b"\x16\x54\xae\x6b", 200)
        entry = b"\xd7\x81\x09\x83\x81\x02" + b"\x6d\x80\x88" + b"\x62\x40\x85" + b"\x50\x35\x82\x47\xe0"
        width = 8 if data[tracks + 4] == 1 else 9 - data[tracks + 4].bit_length()
        size = int.from_bytes(data[tracks + 4 : tracks + 4 + width], "big") - (1 << 7 * width)
        end = tracks + 4 + width + size
        more = b"\xae" + bytes([0x80 | len(entry)]) + entry
        data[end:end] = more
        data[tracks + 4 : tracks + 4 + width] = (size + len(more) + (1 << 7 * width)).to_bytes(width, "big")
        assert place
    else:
        for at in range(0, len(data), 188):
            if int.from_bytes(data[at + 1 : at + 3], "big") & 0x1FFF == 0x100:
                data[at + 3] |= 0x80
    target = folder / f"{kind}{plain.suffix}"
    target.write_bytes(data)
    return target


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("cenc", "Common Encryption, scheme cenc"),
        ("drmi", "FairPlay"),
        ("drms", "FairPlay"),
        ("asf", "Windows Media DRM"),
        ("playready", "PlayReady"),
        ("matroska", "Matroska ContentEncryption"),
        ("scrambled", "conditional access, transport stream scrambling"),
    ],
)
def test_an_encrypted_file_says_that_it_is_encrypted(kind: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(SourceRefused) as caught:
        probe(str(encrypted(kind, tmp_path)))
    assert caught.value.what == f"it is encrypted ({name}), and can be decoded only with its key"
    assert "without encryption" in (caught.value.fix or "")


def scrambled(stream: bytes, pids: set[int]) -> bytes:
    """Scramble the packets of these PIDs in a transport stream."""
    data = bytearray(stream)
    for at in range(0, len(data), 188):
        if int.from_bytes(data[at + 1 : at + 3], "big") & 0x1FFF in pids and data[at + 3] & 0x10:
            begin = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)
            data[at + 3] |= 0x80
            data[begin : at + 188] = bytes(byte ^ 0xA5 for byte in data[begin : at + 188])
    return bytes(data)


@pytest.mark.parametrize(
    ("pids", "picture"),
    [
        pytest.param({0x102, 0x103}, 0, id="the other programme"),
        pytest.param({0x100, 0x101}, 2, id="the first programme"),
        pytest.param({0x101}, None, id="audio of the first"),
        pytest.param({0x100, 0x102}, None, id="both pictures"),
    ],
)
def test_a_programme_in_the_clear_is_not_encrypted_because_others_are(pids: set[int], picture: int | None, tmp_path: Path) -> None:
    """As in recordings of all that a satellite's transponder sends."""
    film = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=1", "-f", "lavfi", "-i", "sine=d=1"]
    both = ["-map", "0", "-map", "1", "-map", "2", "-map", "3", "-program", "st=0:st=1", "-program", "st=2:st=3"]
    ffmpeg(*film, *film, *both, *X264, "-c:a", "aac", tmp_path / "both.ts")
    source = tmp_path / "source.ts"
    source.write_bytes(scrambled((tmp_path / "both.ts").read_bytes(), pids))
    if picture is None:
        with pytest.raises(SourceRefused, match="it is encrypted"):
            probe(str(source))
    else:
        assert probe(str(source)).video.index == picture


@pytest.mark.parametrize("name", sorted(path.name for path in MEDIA.glob("*.*")) if MEDIA.is_dir() else ["none"])
def test_no_real_clip_is_taken_for_encrypted(name: str) -> None:
    if not (MEDIA / name).is_file():
        pytest.skip("the real clips are not here")
    with (MEDIA / name).open("rb") as file:
        found = declared(file)
    assert found == Declared(None, Dolby(8, 4) if name == "editlist-hevc10-vfr.mp4" else None)


@pytest.mark.parametrize("cut", [0, 1, 7, 30, 100, 600, 900])
def test_what_is_cut_or_nonsense_declares_nothing(cut: int, pictures: dict[str, Path]) -> None:
    whole = pictures["avc"].read_bytes()
    for data in (whole[:cut], whole[cut:], b"\x1a\x45\xdf\xa3" + bytes(cut), b"\x1a\x45\xdf\xa3" + b"\xff" * cut):
        assert declared(io.BytesIO(data)).encrypted is None


def test_matroska_s_webvtt_is_text(tmp_path: Path) -> None:
    """libav knows WebM's name for it only, and took it for pictures."""
    words = tmp_path / "words.vtt"
    words.write_text("WEBVTT\n\n00:00.200 --> 00:00.900\nHello\n")
    source = tmp_path / "words.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=1", "-i", words, *X264, "-c:s", "webvtt", source)
    source.write_bytes(source.read_bytes().replace(b"D_WEBVTT/SUBTITLES", b"S_TEXT/WEBVTT\0\0\0\0\0").replace(b"\n\nHello", b"Hello!!"))
    (stream,) = probe(str(source)).subtitles
    assert (stream.codec, stream.text) == ("S_TEXT/WEBVTT", True)
    (rendition,) = tiny_plan(source).subtitles
    assert rendition.codec == "S_TEXT/WEBVTT"


@pytest.mark.parametrize("name", ["cropped-in-stream", "cropped-by-the-container", "cropped-by-matroska"])
def test_a_cropped_picture_has_the_size_that_ffmpeg_shows(name: str, tmp_path: Path) -> None:
    source = probe(str(trap_file(TRAPS[name], tmp_path)))
    shown = tmp_path / "shown.png"
    ffmpeg("-i", source.location, "-frames:v", "1", shown)
    assert struct.pack(">2I", source.video.width, source.video.height) == shown.read_bytes()[16:24]
    assert source.video.display_aspect == Fraction(source.video.width, source.video.height)
    assert source.video.cropped == (name != "cropped-in-stream")


@pytest.mark.parametrize(
    ("aperture", "left", "right", "top", "bottom"),
    [
        ((240, 1, 160, 1, 8, 1, -4, 1), 48, 32, 6, 14),
        ((318, 1, 180, 1, 0, 1, 0, 1), 1, 1, 0, 0),
        ((319, 1, 180, 1, 1, 2, 0, 1), 1, 0, 0, 0),
        ((635, 2, 180, 1, 0, 1, 0, 1), 1, 2, 0, 0),  # rounded as ffmpeg shows it
    ],
)
def test_the_clean_aperture(aperture: tuple[int, ...], left: int, right: int, top: int, bottom: int, pictures: dict[str, Path]) -> None:
    assert crops(pictures["avc"], aperture) == {0: Crop(left, right, top, bottom)}


@pytest.mark.parametrize("aperture", [(320, 1, 180, 1, 0, 1, 0, 1), (330, 1, 180, 1, 0, 1, 0, 1), (240, 0, 160, 1, 0, 1, 0, 1), (0,) * 8])
def test_an_aperture_that_crops_nothing_or_makes_no_sense(aperture: tuple[int, ...], pictures: dict[str, Path]) -> None:
    assert crops(pictures["avc"], aperture) == {}


def crops(clip: Path, aperture: tuple[int, ...]) -> Mapping[int, Crop]:
    """Read the cropping of a clip that got such a clean aperture."""

    def change(entry: bytes) -> bytes:
        return box(entry[4:8], entry[8:] + box(b"clap", struct.pack(">8i", *aperture)))

    return declared(io.BytesIO(boxes_changed(clip.read_bytes(), change))).crops
