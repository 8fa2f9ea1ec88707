"""What DRM systems want in init sections: whole pssh boxes of the key of a track, and nothing that would make it unreadable."""

from __future__ import annotations

import base64

import pytest

from vidpipe.mp4.writing import full_box
from vidpipe.package.result import TrackFacts
from vidpipe.protect.drm_systems import boxes_for, boxes_of, common_box, systems_for, without_signals
from vidpipe.protect.key_source import DrmSignal, KeySet
from vidpipe.protect.key_store import ContentKey
from vidpipe.protect.key_uses import KeyUse
from vidpipe.protect.protection import Protection
from vidpipe.protect.schemes import scheme_of

WIDEVINE, PLAYREADY, FAIRPLAY = (
    "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", "9a04f079-9840-4286-ab92-e65be0885f95", "94ce86fb-07ff-4f43-adb8-93d2fa968ca2",
)  # fmt: skip
SMALLEST = full_box(b"pssh", 0, 0, bytes(16), bytes(4))
LARGER = full_box(b"pssh", 0, 0, bytes(16), bytes((0, 0, 0, 2)), b"ab")


def signal(pssh: bytes | str | None, key_id: str = "a", system: str = WIDEVINE) -> DrmSignal:
    return DrmSignal(key_id=key_id, system_id=system, pssh=base64.b64encode(pssh).decode() if isinstance(pssh, bytes) else pssh)


def test_boxes_are_those_of_the_key() -> None:
    signals = [signal(LARGER + SMALLEST), signal(None), signal(LARGER, "b", PLAYREADY), signal(SMALLEST, system=PLAYREADY)]
    assert boxes_for(signals, "a") == (LARGER, SMALLEST, SMALLEST)
    assert boxes_for(signals, None) == ()


def test_the_common_box_lists_all_keys() -> None:
    system = "1077efecc0b24d02ace33c1e52e2fb4b"
    assert common_box(["1" * 32, "2" * 32]).hex() == f"00000044{b'pssh'.hex()}01000000{system}00000002{'1' * 32}{'2' * 32}00000000"


def test_they_stand_behind_the_one_of_every_key() -> None:
    """Of the key that the track is under; without one, an init section says nothing."""
    key = ContentKey("ab" * 16, "film", bytes(16))
    protection = Protection(scheme_of("cenc"), KeySet((KeyUse(frozenset({"v"})),), (key,), (signal(LARGER, key.key_id), signal(SMALLEST))))
    facts = TrackFacts(id="v", type="video", codecs="avc1.640028", timescale=1)
    declared = protection.declared(facts)
    assert declared
    assert (declared.systems[1:], len(declared.systems)) == ((LARGER,), 2)
    assert protection.declared(facts.model_copy(update={"id": "clear"})) is None


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(SMALLEST[:-1], id="cut off"),
        pytest.param(SMALLEST + LARGER[:-1], id="the second is cut off"),
        pytest.param(full_box(b"free", 0, 0, bytes(16), bytes(4)), id="another box"),
        pytest.param(LARGER + full_box(b"free", 0, 0, bytes(16), bytes(4)), id="another box behind"),
        pytest.param(full_box(b"pssh", 0, 0, bytes(16), bytes(3)), id="too small"),
        pytest.param("?" + base64.b64encode(LARGER).decode(), id="no base64"),
    ],
)
def test_what_is_no_box_is_refused_before_anything_is_encoded(said: bytes | str) -> None:
    with pytest.raises(ValueError, match="wants a pssh that is no box"):
        boxes_of(signal(said))


@pytest.mark.parametrize(
    ("scheme", "missing"), [("cbcs", ["Widevine", "FairPlay"]), ("cenc", ["Widevine"]), ("aes-128", [])]
)
def test_the_systems_that_no_license_server_serves_are_named(scheme: str, missing: list[str]) -> None:
    """A title without them plays nowhere where they are needed: on Android, or on Apple's devices."""
    assert without_signals(scheme, [signal(None, system=PLAYREADY)]) == missing
    assert without_signals(scheme, [signal(None, system=system) for system in systems_for(scheme)]) == []
