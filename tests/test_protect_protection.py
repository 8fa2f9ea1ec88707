"""protection: a scheme has its say inside the samples, in the init section and around the segment, and each segment gets its key.

The scheme that encrypts samples is the test's own (Common Encryption, whole samples under AES-CTR); ffmpeg, which knows nothing of
vidpipe, decrypts what comes out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CTR

from tests.package_support import audio_rendition, encode_audio, encode_video, grid, rung
from vidpipe.errors import UsageError
from vidpipe.media import ffmpeg, process
from vidpipe.mp4.boxes import children, find, parse_movie
from vidpipe.mp4.decryption import clear_init
from vidpipe.mp4.encryption import EncryptedSamples, SampleEncryption, TrackEncryption
from vidpipe.package.containers import Container
from vidpipe.package.containers.cmaf import Cmaf
from vidpipe.package.containers.webvtt import WebVtt
from vidpipe.package.cut import Cue, Cut
from vidpipe.package.cutting import audio_cuts, video_cuts
from vidpipe.package.init import read_init
from vidpipe.package.result import Segment, TrackFacts
from vidpipe.plan import Chunk
from vidpipe.protect.key_source import NO_KEYS, KeySet, LocalKeys, existing
from vidpipe.protect.key_store import ContentKey, KeyStore
from vidpipe.protect.key_uses import KeyUse
from vidpipe.protect.protection import Protection
from vidpipe.protect.result import ProtectedSegment, protected
from vidpipe.protect.schemes import SCHEMES, Ivs, SchemeName, check_codecs, scheme_of

KEY = ContentKey(key_id="0123456789abcdef" * 2, content_id="t", key=bytes(range(16)))
PACKAGE = Path(__file__).parent.parent / "vidpipe"
ON = grid(frames=48)
CHUNK = Chunk(index=0, start=0, frames=48)


@dataclass(frozen=True)
class WholeSamples:
    """AES-CTR over each sample, with an IV of eight bytes of its own: scheme "cenc" without subsamples."""

    subsamples: bool = False
    name: SchemeName = "none"
    hls_method: str | None = None
    mp4_scheme: str | None = "cenc"
    in_dash: bool = True
    text_scheme: SchemeName = "none"
    ivs: Ivs | None = None

    def header(self, track: TrackFacts, key: ContentKey | None) -> TrackEncryption:
        assert key
        assert track.type in ("video", "audio")
        return TrackEncryption(scheme="cenc", key_id=bytes.fromhex(key.key_id), iv_size=8)

    def samples(self, cut: Cut, key: ContentKey | None, entry: bytes) -> EncryptedSamples:
        assert key
        data, entries, at = bytearray(), [], 0
        for number, sample in enumerate(cut.samples):
            iv = (cut.index << 32 | number).to_bytes(8, "big")
            clear = min(sample.size, 8) if self.subsamples else 0
            encryptor = Cipher(AES128(key.key), CTR(iv + bytes(8))).encryptor()
            frame = cut.data[at : at + sample.size]
            data += frame[:clear] + encryptor.update(frame[clear:])
            entries.append(SampleEncryption(iv, ((clear, sample.size - clear),) if self.subsamples else ()))
            at += sample.size
        return EncryptedSamples(bytes(data), tuple(entries))

    def seal(self, segment: Segment, key: ContentKey | None, samples: EncryptedSamples | None = None) -> ProtectedSegment:
        return protected(segment, segment.data, key_id=key.key_id if key else None)

    def open(self, data: bytes, key: bytes | None, iv: bytes | None) -> bytes:
        return data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("protection")


@pytest.fixture(scope="module", params=["video", "audio"])
def track(request: pytest.FixtureRequest, folder: Path) -> tuple[Cmaf, list[Cut]]:
    if request.param == "audio":
        audio = encode_audio(folder, "2")
        return Cmaf(read_init(audio.path, "en")), list(audio_cuts(audio, audio_rendition("en"), ON))
    video = encode_video(folder, ON, CHUNK)
    init = read_init(video.path, "v")
    return Cmaf(init), list(video_cuts(video, rung("v"), CHUNK, ON, init))


def decoded(data: bytes, file: Path, *options: str) -> list[str]:
    file.write_bytes(data)
    done = process.run([ffmpeg.find().path, "-v", "error", "-xerror", *options, "-i", file, "-f", "framemd5", "-"])
    assert done.returncode == 0, done.stderr_tail
    return [line for line in done.stdout.decode().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("subsamples", [False, True], ids=["whole-samples", "subsamples"])
def test_samples_encrypted_before_the_fragment_are_decrypted_by_ffmpeg(
    track: tuple[Cmaf, list[Cut]], tmp_path: Path, subsamples: bool
) -> None:
    container, cuts = track
    facts = container.init.facts
    clear = container.header() + b"".join(container.write(cut).data for cut in cuts)
    uses = (KeyUse(frozenset({facts.id})), KeyUse(frozenset({"another track"})))
    protection = Protection(WholeSamples(subsamples), KeySet(uses, (KEY, *keys_of(1))))
    sealed = [protection.seal(cut, container) for cut in cuts]
    header = protection.header(facts, container) or b""
    assert all(segment.key_id == KEY.key_id for segment in sealed)
    shown = decoded(header + b"".join(segment.data for segment in sealed), tmp_path / "e.mp4", "-decryption_key", KEY.key.hex())
    assert shown == decoded(clear, tmp_path / "c.mp4")
    assert len(shown) >= sum(cut.count for cut in cuts) - 2
    entry = parse_movie(header).tracks[0].entry
    assert entry[4:8] == (b"encv" if facts.type == "video" else b"enca")
    assert b"frma" + (b"avc1" if facts.type == "video" else b"mp4a") in entry
    assert bytes.fromhex(KEY.key_id) in entry
    for cut, segment in zip(cuts, sealed, strict=True):
        assert cut.data[16:64] not in segment.data


def test_the_wrong_key_shows_nothing_of_it(track: tuple[Cmaf, list[Cut]], tmp_path: Path) -> None:
    container, cuts = track
    protection = Protection(WholeSamples(), KeySet((KeyUse(),), (KEY,)))
    data = (protection.header(container.init.facts, container) or b"") + b"".join(protection.seal(cut, container).data for cut in cuts)
    (tmp_path / "e.mp4").write_bytes(data)
    argv = [ffmpeg.find().path, "-v", "error", "-xerror", "-decryption_key", "ff" * 16, "-i", tmp_path / "e.mp4", "-f", "null", "-"]
    assert process.run(argv).returncode != 0


def test_systems_of_rights_stand_at_the_end_of_moov(track: tuple[Cmaf, list[Cut]]) -> None:
    container, _ = track
    pssh = bytes.fromhex("0000000c") + b"pssh" + bytes(4)
    header = container.header(TrackEncryption("cbcs", bytes(16), 0, bytes(range(16)), (1, 9), (pssh, pssh)))
    moov = find(header, "moov")
    assert moov
    assert [child.type for child in children(header, moov.body, moov.end)][-2:] == ["pssh", "pssh"]
    entry = parse_movie(header).tracks[0].entry
    at = entry.index(b"tenc")
    assert entry[at + 4] == 1, "a pattern needs version 1"
    assert entry[at + 8 : at + 12] == bytes([0, 0x19, 1, 0]), "1 of 10 blocks, encrypted, no IV of its own"
    assert entry[at + 28 : at + 45] == bytes([16, *range(16)]), "the constant IV"


def test_samples_that_need_nothing_have_no_boxes(track: tuple[Cmaf, list[Cut]]) -> None:
    container, cuts = track
    same = EncryptedSamples(cuts[0].data, tuple(SampleEncryption(b"") for _ in cuts[0].samples))
    assert container.write(cuts[0], same).data == container.write(cuts[0]).data


def test_text_has_no_samples_to_encrypt() -> None:
    cut = Cut("en", 0, Fraction(0), Fraction(2), cues=(Cue(Fraction(0), Fraction(1), "One"),))
    with pytest.raises(ValueError, match="no samples"):
        WebVtt().write(cut, EncryptedSamples(b"", ()))


def keys_under(scheme: str) -> KeySet:
    """The keys of a title that has no more than one."""
    return NO_KEYS if scheme == "none" else KeySet((KeyUse(),), (KEY,))


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_opens_what_it_sealed(name: str) -> None:
    scheme = scheme_of(name)
    assert scheme.name == name
    container: Container = WebVtt()
    cut = Cut("en", 3, Fraction(6), Fraction(2), cues=(Cue(Fraction(6), Fraction(7), "One"),))
    keys = keys_under(name)
    sealed = Protection(scheme, keys).seal(cut, container)
    assert (sealed.rendition, sealed.index, sealed.start, sealed.duration, sealed.samples) == ("en", 3, 6, 2, 1)
    own = scheme_of(scheme.text_scheme)
    assert (own.hls_method is None) == (sealed.key_id is None)
    assert own.open(sealed.data, KEY.key if sealed.key_id else None, sealed.iv) == container.write(cut).data


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_opens_the_samples_that_it_sealed(name: str, track: tuple[Cmaf, list[Cut]]) -> None:
    """What comes out is the clear segment, byte by byte, and so is the init section."""
    scheme, (container, cuts) = scheme_of(name), track
    protection = Protection(scheme, keys_under(name))
    for cut in cuts:
        sealed = protection.seal(cut, container)
        assert sealed == protection.seal(cut, container), "again the same bytes"
        assert (scheme.hls_method is None) == (sealed.key_id is None) == (sealed.data == container.write(cut).data)
        assert scheme.open(sealed.data, KEY.key if sealed.key_id else None, sealed.iv) == container.write(cut).data
    clear, declared = clear_init(protection.header(container.init.facts, container) or b"")
    assert clear == container.header()
    assert declared == scheme.header(container.init.facts, KEY)
    assert (declared.scheme if declared else None) == scheme.mp4_scheme


@pytest.mark.parametrize("name", SCHEMES)
def test_a_codec_whose_samples_are_not_read_is_refused_before_anything_is_encoded(name: str) -> None:
    check_codecs(name, ("h264", "hevc", "av1"))
    if scheme_of(name).mp4_scheme is None:
        check_codecs(name, ("h264", "toy"))
        return
    with pytest.raises(UsageError, match=f"{name} cannot encrypt toy") as caught:
        check_codecs(name, ("h264", "toy"))
    assert caught.value.place == "encrypt"
    assert "choose aes-128" in str(caught.value.fix)


def test_an_unknown_scheme_is_a_bug() -> None:
    with pytest.raises(ValueError, match="no such protection"):
        scheme_of("rot13")


def test_no_other_package_names_a_scheme() -> None:
    """A new scheme is a new module in protect/schemes, and not a change in every package. What a source says of itself is no scheme."""
    named = re.compile(r"aes-?128|sample-aes", re.IGNORECASE)
    found = [
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] != "protect"
        for line in path.read_text().splitlines()
        if named.search(line)
    ]
    assert found == []


def keys_of(count: int) -> Iterator[ContentKey]:
    return (ContentKey(key_id=f"{number:032x}", content_id="t", key=bytes([number]) * 16) for number in range(count))


def test_each_segment_has_the_key_of_its_track_and_time() -> None:
    uses = (KeyUse(frozenset({"v"})), KeyUse(frozenset({"a"})), KeyUse(frozenset({"v"}), first=1))
    first, audio, second = keys_of(3)
    keys = KeySet(uses, (first, audio, second))
    assert [keys.of("v", index) for index in range(3)] == [first, second, second]
    assert [keys.of("a", index) for index in range(3)] == [audio] * 3
    assert keys.of("v") == first, "that of its init section"
    assert keys.of("text") is None, "left clear"
    assert keys.ids == (first.key_id, audio.key_id, second.key_id)


def test_the_local_store_makes_a_key_once_and_gives_it_again(tmp_path: Path) -> None:
    source = LocalKeys(KeyStore(tmp_path))
    made = source.keys("t", (KeyUse(),), ["0" * 32])
    assert source.keys("t", (KeyUse(),), ["0" * 32]) == made == existing(source, (KeyUse(),), ["0" * 32])
    assert source.get("0" * 32) == made.of("any", 7)
    source.remove("0" * 32)
    assert source.keys("t", (KeyUse(),), ["0" * 32]) != made
    clear = source.keys("t", (), [])
    assert (clear.ids, clear.of("any")) == ((), None)


def test_a_use_without_its_key_leaves_nothing_clear() -> None:
    with pytest.raises(ValueError, match="0 keys for 1 uses"):
        KeySet((KeyUse(),), ()).of("v")


def test_each_segment_is_sealed_under_the_key_of_its_track_and_time() -> None:
    other, first, second = keys_of(3)
    keys = KeySet((KeyUse(frozenset({"de"})), KeyUse(frozenset({"en"})), KeyUse(frozenset({"en"}), first=3)), (other, first, second))
    cuts = [Cut(track, index, Fraction(2 * index), Fraction(2)) for track, index in (("en", 2), ("en", 3), ("de", 3))]
    protection = Protection(scheme_of("aes-128"), keys)
    assert [protection.seal(cut, WebVtt()).key_id for cut in cuts] == [first.key_id, second.key_id, other.key_id]
