"""The proof of what a version says of its encryption: no two samples under one counter, and init sections that name the keys there are."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests.dash_support import cuts, rung, title
from tests.package_support import encode_audio
from vidpipe.errors import VerificationFailed
from vidpipe.inventory.model import Inventory, VideoTrack
from vidpipe.mp4.encryption import TrackEncryption
from vidpipe.mp4.writing import full_box
from vidpipe.package.containers.cmaf import Cmaf
from vidpipe.package.init import read_init
from vidpipe.protect.key_source import DrmSignal
from vidpipe.protect.key_store import ContentKey
from vidpipe.protect.schemes import iv_of_key, scheme_of
from vidpipe.storage.local import LocalStorage
from vidpipe.verify.keys_and_ivs import check_inits, check_ivs
from vidpipe.verify.readback import Readback

KEY = ContentKey(key_id="0123456789abcdef" * 2, content_id="film", key=bytes(range(16)))
OTHER = ContentKey(key_id="fedcba9876543210" * 2, content_id="film", key=bytes(16))
END = 1 << 64
INIT = "video/90p/init.mp4"
BORDERS = cuts(Fraction(4), Fraction(2))


@pytest.fixture
def target(tmp_path: Path) -> Readback:
    return Readback(LocalStorage(tmp_path), "film/v", threading.Event())


def test_what_differs_is_said_as_people_write_it(target: Readback) -> None:
    with pytest.raises(VerificationFailed) as caught:
        target.same(INIT, "when frames are shown", [Fraction(1, 3)], (Fraction(5), "none"))
    assert caught.value.details == ("expected: [1/3]", "found: (5, 'none')")


def segments(height: int, *ivs: tuple[int, int, str, str], scheme: str = "cenc") -> VideoTrack:
    """Return a track of two segments. ivs: of each the first counter, the samples, the hash and the key id."""
    plain = rung(height, BORDERS)
    keyed = tuple(
        replace(one, iv=f"{first:016X}", samples=samples, sha256=sha256, key_id=key_id)
        for one, (first, samples, sha256, key_id) in zip(plain.segments, ivs, strict=True)
    )
    return plain.model_copy(update={"segments": keyed, "scheme": scheme})


def of(*tracks: VideoTrack) -> Inventory:
    return title(tracks, Fraction(4))


A, B = KEY.key_id, OTHER.key_id
SIDE_BY_SIDE = segments(90, (500, 10, "a", A), (510, 10, "b", A))


@pytest.mark.parametrize(
    "whole",
    [
        pytest.param(of(SIDE_BY_SIDE), id="one behind the other"),
        pytest.param(of(SIDE_BY_SIDE, segments(180, (490, 10, "c", A), (520, END - 530 + 490, "d", A))), id="all counters there are"),
        pytest.param(of(segments(90, (500, 10, "a", A), (505, 10, "b", B))), id="two keys"),
        pytest.param(of(SIDE_BY_SIDE, SIDE_BY_SIDE), id="the same segments in two tracks"),
        pytest.param(of(segments(90, (500, 10, "a", A), (500, 10, "b", A), scheme="cbcs")), id="one IV for a key, as cbcs has it"),
    ],
)
def test_samples_that_have_counters_of_their_own(target: Readback, whole: Inventory) -> None:
    check_ivs(target, whole)


@pytest.mark.parametrize(
    ("whole", "says"),
    [
        pytest.param(of(segments(90, (510, 10, "b", A), (500, 11, "a", A))), ("00001", "00002", "00000000000001FE"), id="the last sample"),
        pytest.param(of(segments(90, (5, 10, "a", A), (END - 3, 9, "b", A))), ("00001", "00002", "0000000000000005"), id="behind the end"),
        pytest.param(of(segments(90, (5, 10, "a", A), (5, 10, "b", A))), ("00002", "00001", "0000000000000005"), id="the same counters"),
        pytest.param(of(segments(90, (5, 10, "a", B), (5, 9, "b", B))), ("00001", "00002", "0000000000000005"), id="of another key"),
    ],
)
def test_samples_of_two_segments_under_one_counter(target: Readback, whole: Inventory, says: tuple[str, str, str], tmp_path: Path) -> None:
    """Whoever has both ciphertexts has the difference of the two plaintexts."""
    wrong, other, counter = says
    with pytest.raises(VerificationFailed) as caught:
        check_ivs(target, whole)
    assert caught.value.what == f"the counters of its samples are those of video/90p/{other}.m4s, too"
    assert caught.value.where == f"{tmp_path}/film/v/video/90p/{wrong}.m4s"
    assert caught.value.details == ("expected: counters of its own", f"found: {counter}")


def test_counters_of_two_tracks_under_one_key(target: Readback) -> None:
    with pytest.raises(VerificationFailed, match=r"those of video/90p/00002\.m4s, too"):
        check_ivs(target, of(SIDE_BY_SIDE, segments(180, (0, 10, "c", A), (519, 10, "d", A))))


# --- init sections --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Cmaf:
    return Cmaf(read_init(encode_audio(tmp_path_factory.mktemp("audio"), "0.2").path, "en"))


def pssh(data: bytes) -> bytes:
    return full_box(b"pssh", 0, 0, bytes(16), bytes(4), data)


def signal(key_id: str, *boxes: bytes) -> DrmSignal:
    return DrmSignal(key_id=key_id, system_id="s", pssh=base64.b64encode(b"".join(boxes)).decode() if boxes else None)


DRM = (signal(A, pssh(b"one"), pssh(b"two")), signal(B, pssh(b"of another key")), signal(A))


def track(container: Cmaf, scheme: str, key_id: str | None, ivs: Iterable[str | None]) -> VideoTrack:
    keyed = tuple(replace(one, key_id=key_id, iv=iv) for one, iv in zip(rung(90, BORDERS).segments, ivs, strict=True))
    return rung(90, BORDERS).model_copy(update={"segments": keyed, "scheme": scheme, "facts": container.init.facts})


def declared(container: Cmaf, scheme: str, key: ContentKey, *systems: bytes) -> bytes:
    said = scheme_of(scheme).header(container.init.facts, key)
    assert isinstance(said, TrackEncryption)
    return container.header(replace(said, systems=(*said.systems, *systems)))


IV = iv_of_key(A).hex().upper()
IVS = {"cbcs": (IV, IV), "cenc": ("0" * 16, "1" * 16)}


@pytest.mark.parametrize("scheme", ["cbcs", "cenc"])
def test_an_init_section_is_given_back_as_it_was_in_clear(target: Readback, container: Cmaf, scheme: str) -> None:
    expected = track(container, scheme, A, IVS[scheme])
    assert check_inits(target, expected, {INIT: declared(container, scheme, KEY)}, {A: KEY}) == container.header()
    written = declared(container, scheme, KEY, pssh(b"one"), pssh(b"two"))
    assert check_inits(target, expected, {INIT: written}, {A: KEY}, DRM) == container.header()
    with pytest.raises(VerificationFailed, match="what the init section says of the encryption is wrong"):
        check_inits(target, expected, {INIT: declared(container, scheme, KEY, pssh(b"two"), pssh(b"one"))}, {A: KEY}, DRM)


@pytest.mark.parametrize("scheme", ["none", "aes-128", "cbcs", "cenc"])
def test_what_is_not_encrypted_says_nothing(target: Readback, container: Cmaf, scheme: str, tmp_path: Path) -> None:
    clear = track(container, scheme, A if scheme == "aes-128" else None, (None, None))
    assert check_inits(target, clear, {INIT: container.header()}, {A: KEY}) == container.header()
    with pytest.raises(VerificationFailed, match="what the init section says of the encryption is wrong") as caught:
        check_inits(target, clear, {INIT: declared(container, "cenc", KEY)}, {A: KEY})
    assert caught.value.where == f"{tmp_path}/film/v/video/90p/init.mp4"
    assert caught.value.details[0] == "expected: None"


def test_the_iv_of_a_playlist_is_the_one_that_players_read_in_the_init_section(target: Readback, container: Cmaf, tmp_path: Path) -> None:
    """Of two players, one believes the playlist, the other the media: both must decrypt."""
    with pytest.raises(VerificationFailed) as caught:
        check_inits(target, track(container, "cbcs", A, (IV, "0" * 32)), {INIT: declared(container, "cbcs", KEY)}, {A: KEY})
    assert (caught.value.what, caught.value.where) == ("the IV is wrong", f"{tmp_path}/film/v/video/90p/00002.m4s")
    assert caught.value.details == (f"expected: {IV}", f"found: {'0' * 32}")


def test_later_init_sections_differ_in_their_key_alone(target: Readback, container: Cmaf, tmp_path: Path) -> None:
    expected = track(container, "cenc", A, IVS["cenc"])
    expected = expected.model_copy(update={"segments": (expected.segments[0], replace(expected.segments[1], key_id=B))})
    first, later = expected.inits.values()
    written = {first: declared(container, "cenc", KEY), later: declared(container, "cenc", OTHER)}
    assert check_inits(target, expected, written, {A: KEY, B: OTHER}) == container.header()
    name = written[later].index(b"hdlr") + 28  # of the handler
    written[later] = written[later][:name] + b"?" + written[later][name + 1 :]
    with pytest.raises(VerificationFailed, match="differs from the first in more than its key") as caught:
        check_inits(target, expected, written, {A: KEY, B: OTHER})
    assert (caught.value.where, caught.value.details) == (f"{tmp_path}/film/v/{later}", (f"expected: {first}", f"found: {later}"))


def test_what_is_no_init_section(target: Readback, container: Cmaf, tmp_path: Path) -> None:
    with pytest.raises(VerificationFailed) as caught:
        check_inits(target, track(container, "cenc", A, IVS["cenc"]), {INIT: container.header()[:40]}, {A: KEY})
    assert (caught.value.what, caught.value.where) == ("the init section cannot be read", f"{tmp_path}/film/v/video/90p/init.mp4")
    assert caught.value.details[0] == "expected: ftyp and moov with one track"
