"""Documents of SPEKE without a server: the order of a question, and answers that say more, or less, than was asked for."""

from __future__ import annotations

import base64
from collections.abc import Callable
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

import pytest

from tests.key_server import CPIX, PLAYREADY, SYSTEMS, WIDEVINE, KeyServer, key_for
from vidpipe.errors import UsageError
from vidpipe.protect.cpix import cpix_document, read_cpix
from vidpipe.protect.cpix_markup import MOST_BYTES
from vidpipe.protect.drm_systems import common_box
from vidpipe.protect.key_source import DrmSignal
from vidpipe.protect.key_store import ContentKey
from vidpipe.protect.key_uses import KeyUse
from vidpipe.protect.schemes import iv_of_key
from vidpipe.protect.speke import read_answer, speke_request

IDS = ("0" * 31 + "1", "0" * 31 + "2")
USES = (KeyUse(frozenset({"en"}), 0, "AUDIO"), KeyUse(frozenset({"low"}), 0, "VIDEO"))
EXTRA = "00000000-0000-0000-0000-000000000009"


def answer(change: Callable[[Element], object], scheme: str = "cbcs") -> tuple[tuple[ContentKey, ...], tuple[DrmSignal, ...]]:
    """Return what is read of an answer that a key server gives, changed."""
    root = fromstring(speke_request("film", USES, IDS, scheme))
    KeyServer().fill(root)
    change(root)
    return read_answer(tostring(root), "film", USES, IDS, "keys.example.com", scheme)


def at(root: Element, tag: str, number: int = 0) -> Element:
    return root.findall(f".//{CPIX}{tag}")[number]


def test_a_question_has_its_parts_in_the_order_of_the_schema() -> None:
    """Servers that validate what they are asked refuse any other: DASH-IF CPIX 2.3, 5.2."""
    data = speke_request(
        "film", (*USES, *(KeyUse(use.tracks, 9, use.track_type) for use in USES)), (*IDS, "0" * 31 + "3", "0" * 31 + "4"), "cbcs"
    )
    names = [child.tag.removeprefix(CPIX) for child in fromstring(data)]
    assert names == ["ContentKeyList", "DRMSystemList", "ContentKeyPeriodList", "ContentKeyUsageRuleList"]
    assert data.startswith(b"<?xml version='1.0' encoding='utf-8'?>\n")


def with_another_key(root: Element) -> None:
    """A key that nobody asked for, before all others: of another scheme, and with a word for a DRM system."""
    other = fromstring(tostring(at(root, "ContentKey")))
    other.attrib |= {"kid": EXTRA, "commonEncryptionScheme": "cenc", "explicitIV": "AAAA"}
    other.findall(".//{*}PlainValue")[0].text = base64.b64encode(bytes(16)).decode()
    at(root, "ContentKeyList").insert(0, other)
    system = fromstring(tostring(at(root, "DRMSystem")))
    system.set("kid", EXTRA)
    at(root, "DRMSystemList").insert(0, system)


def test_keys_that_nobody_asked_for_do_not_matter() -> None:
    """Some servers always send those of all classes."""
    keys, signals = answer(with_another_key)
    assert [key.key for key in keys] == [key_for(key_id) for key_id in IDS]
    assert {(each.key_id, each.system_id) for each in signals} == {(key_id, system) for key_id in IDS for system in SYSTEMS}

    def wrong_behind_it(root: Element) -> None:
        with_another_key(root)
        at(root, "ContentKey", 2).set("commonEncryptionScheme", "cenc")

    with pytest.raises(UsageError, match=f"the key {IDS[1]} was asked for cbcs, and is for another scheme"):
        answer(wrong_behind_it)


def test_of_segments_that_are_encrypted_whole_no_drm_system_has_a_say() -> None:
    def volunteered(root: Element) -> None:
        systems = SubElement(root, f"{CPIX}DRMSystemList")
        SubElement(SubElement(systems, f"{CPIX}DRMSystem", kid=IDS[0], systemId=WIDEVINE), f"{CPIX}PSSH").text = "AAAA"

    assert answer(volunteered, "aes-128")[1] == ()


def test_a_system_that_would_play_only_some_tracks_is_named() -> None:
    def silent(root: Element) -> None:
        for system in root.iter(f"{CPIX}DRMSystem"):
            if system.get("systemId") == PLAYREADY and system.get("kid", "").endswith("2"):
                system.clear()
                system.attrib |= {"kid": IDS[1], "systemId": PLAYREADY}

    with pytest.raises(UsageError, match=f"what PlayReady wants to be said of some keys, and not of the key {IDS[1]}"):
        answer(silent)

    def volunteered(root: Element, said: bytes | None = None) -> None:
        """A system that nobody asked for, of one key."""
        added = SubElement(at(root, "DRMSystemList"), f"{CPIX}DRMSystem", kid=IDS[0], systemId=EXTRA)
        SubElement(added, f"{CPIX}PSSH" if said else f"{CPIX}ContentProtectionData").text = base64.b64encode(said or b"words").decode()

    with pytest.raises(UsageError, match=f"what {EXTRA} wants to be said of some keys, and not of the key {IDS[1]}"):
        answer(volunteered)
    with pytest.raises(UsageError, match=f"the pssh that {EXTRA} wants for the key {IDS[0]} is that of another DRM system"):
        answer(lambda root: volunteered(root, common_box([IDS[0]])))


@pytest.mark.parametrize("tag", ["PSSH", "ContentProtectionData", "HLSSignalingData"])
def test_what_a_drm_system_wants_to_be_said_is_base64(tag: str) -> None:
    def spoiled(root: Element) -> None:
        element = at(root, tag)
        element.text = f"?{element.text}"

    with pytest.raises(UsageError, match="what a DRM system wants to be said is not base64"):
        answer(spoiled)


def test_what_is_for_which_playlist_is_said_in_two_ways() -> None:
    """The word of CPIX 2.4 for the master playlist may stand beside the empty element that we ask with."""

    def both(root: Element) -> None:
        for system in root.iter(f"{CPIX}DRMSystem"):
            for each in system.findall(f"{CPIX}HLSSignalingData[@playlist='master']"):
                SubElement(system, f"{CPIX}HLSSignalingData", playlist="multiVariant").text, each.text = each.text, None

    wanted = {(each.key_id, each.system_id): each.hls_master for each in answer(lambda _: None)[1]}
    assert {(each.key_id, each.system_id): each.hls_master for each in answer(both)[1]} == wanted
    assert all(wanted.values())

    def without(root: Element) -> None:
        for each in root.findall(f".//{CPIX}HLSSignalingData[@playlist='media']"):
            del each.attrib["playlist"]

    assert answer(without) == answer(lambda _: None), "media is what a missing attribute means"


def test_line_breaks_in_an_iv_do_not_matter() -> None:
    iv = base64.b64encode(iv_of_key(IDS[0])).decode()
    assert answer(lambda root: at(root, "ContentKey").set("explicitIV", f"{iv[:9]}\n {iv[9:]}"))
    with pytest.raises(UsageError, match="has another IV than was asked for"):
        answer(lambda root: at(root, "ContentKey").set("explicitIV", f"?{iv}"))


def test_a_document_may_be_as_large_as_it_may_be() -> None:
    document = cpix_document("film", USES, [ContentKey(key_id, "film", key_for(key_id)) for key_id in IDS], "cbcs")
    assert len(read_cpix(document + b" " * (MOST_BYTES - len(document)), "here").keys) == 2
