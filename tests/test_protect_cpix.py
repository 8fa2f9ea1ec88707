"""CPIX documents: what they say of keys, and what is refused of one that somebody else made."""

from __future__ import annotations

import base64
import traceback
import uuid
from xml.etree import ElementTree

import pytest

from vidpipe.errors import UsageError
from vidpipe.protect.cpix import cpix_document, read_cpix
from vidpipe.protect.cpix_markup import MOST_BYTES
from vidpipe.protect.key_store import ContentKey
from vidpipe.protect.key_uses import IntendedTrackType, KeyUse
from vidpipe.protect.schemes import iv_of_key

KEYS = tuple(ContentKey(f"{number:032x}", "film", bytes([number]) * 16) for number in range(1, 7))
NAMES = {"cpix": "urn:dashif:org:cpix", "pskc": "urn:ietf:params:xml:ns:keyprov:pskc"}
HEAD = '<CPIX xmlns="urn:dashif:org:cpix" xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc" contentId="film" version="2.3">'
SECRET = base64.b64encode(b"5ecret" * 2 + b"half").decode()


def of_classes(*types: IntendedTrackType) -> tuple[KeyUse, ...]:
    return tuple(KeyUse(frozenset({kind}), track_type=kind) for kind in types)


def listed(value: str = f"<pskc:PlainValue>{SECRET}</pskc:PlainValue>", kid: str = "0" * 32) -> str:
    data = f"<Data><pskc:Secret>{value}</pskc:Secret></Data>" if value else ""
    return f'<ContentKeyList><ContentKey kid="{kid}">{data}</ContentKey></ContentKeyList>'


def test_what_is_written_is_read() -> None:
    document = cpix_document("film", of_classes("AUDIO", "SD", "HD"), KEYS[:3], "aes-128")
    read = read_cpix(document, "here")
    assert (read.content_id, read.keys) == ("film", KEYS[:3])
    assert "\\x01" not in repr(read)


@pytest.mark.parametrize(
    ("kind", "filters"),
    [
        ("ALL", [("AudioFilter", {}), ("VideoFilter", {})]),
        ("AUDIO", [("AudioFilter", {})]),
        ("VIDEO", [("VideoFilter", {})]),
        ("SD", [("VideoFilter", {"maxPixels": "589824"})]),
        ("HD", [("VideoFilter", {"minPixels": "589825", "maxPixels": "2073600"})]),
        ("UHD", [("VideoFilter", {"minPixels": "2073601"})]),
    ],
)
def test_the_rule_of_a_class(kind: IntendedTrackType, filters: object) -> None:
    root = ElementTree.fromstring(cpix_document("film", of_classes(kind), KEYS[:1], "aes-128"))
    assert (root.tag, root.get("contentId"), root.get("version")) == ("{urn:dashif:org:cpix}CPIX", "film", "2.3")
    (rule,) = root.findall(".//cpix:ContentKeyUsageRule", NAMES)
    assert (rule.get("kid"), rule.get("intendedTrackType")) == (str(uuid.UUID(KEYS[0].key_id)), kind)
    assert [(each.tag.partition("}")[2], each.attrib) for each in rule] == filters
    assert root.find("cpix:ContentKeyPeriodList", NAMES) is None


@pytest.mark.parametrize("scheme", ["aes-128", "cenc", "cbcs"])
def test_scheme_and_iv_of_a_key_are_said(scheme: str) -> None:
    """Whoever makes licenses for cbcs needs both: FairPlay hands out the IV with the key."""
    root = ElementTree.fromstring(cpix_document("film", of_classes("ALL"), KEYS[:1], scheme))
    (key,) = root.findall(".//cpix:ContentKey", NAMES)
    said = (key.get("commonEncryptionScheme"), key.get("explicitIV"))
    iv = base64.b64encode(iv_of_key(KEYS[0].key_id)).decode()
    assert said == {"aes-128": (None, None), "cenc": ("cenc", None), "cbcs": ("cbcs", iv)}[scheme]


def test_periods_have_an_index() -> None:
    uses = tuple(KeyUse(frozenset(), first, kind) for first in (0, 100) for kind in ("AUDIO", "VIDEO"))
    root = ElementTree.fromstring(cpix_document("film", uses, KEYS[:4], "aes-128"))
    periods = {each.get("id"): each.get("index") for each in root.findall(".//cpix:ContentKeyPeriod", NAMES)}
    assert [*periods.values()] == ["0", "1"]
    named = [periods[each.get("periodId")] for each in root.findall(".//cpix:KeyPeriodFilter", NAMES)]
    assert named == ["0", "0", "1", "1"]


@pytest.mark.parametrize(
    ("document", "what"),
    [
        ("", "no XML"),
        ("<CPIX>", "no XML"),
        ("<html/>", "root is not CPIX"),
        (f"{HEAD}</CPIX>", "no content keys"),
        (f"{HEAD}{listed('')}</CPIX>", "has no value"),
        (f"{HEAD}{listed('<pskc:EncryptedValue/>')}</CPIX>", "encrypted to a certificate"),
        (f"{HEAD}{listed(kid='7')}</CPIX>", "kid is not a UUID"),
        (f"{HEAD}{listed('<pskc:PlainValue>5ecret!</pskc:PlainValue>')}</CPIX>", "not base64"),
        (f"{HEAD}{listed('<pskc:PlainValue/>')}</CPIX>", "0 bytes instead of 16"),
        (f"{HEAD}{listed('<pskc:PlainValue>c2VjcmV0</pskc:PlainValue>')}</CPIX>", "6 bytes instead of 16"),
        (f"{HEAD}{listed()}{listed()}</CPIX>", "two keys with one id"),
        (f'<!DOCTYPE x [<!ENTITY e "{"x" * 9}">]>{HEAD}{listed()}</CPIX>', "has a DTD"),
        (f'<!DOCTYPE x SYSTEM "file:///etc/passwd">{HEAD}{listed()}</CPIX>', "has a DTD"),
        (f"{HEAD}{listed()}</CPIX>" + " " * MOST_BYTES, "larger than"),
    ],
)
def test_what_cannot_be_used_is_refused_and_not_quoted(document: str, what: str) -> None:
    with pytest.raises(UsageError, match=what) as refused:
        read_cpix(document.encode(), "keys.xml")
    assert (refused.value.where, bool(refused.value.fix)) == ("keys.xml", True)
    text = "".join(traceback.format_exception(refused.value))
    assert not any(secret in text for secret in (SECRET, "5ecret", "c2VjcmV0", "passwd"))


def test_other_prefixes_and_line_breaks_are_read() -> None:
    folded = f"<pskc:PlainValue>\n {SECRET}\n</pskc:PlainValue>"
    document = HEAD + listed(folded, str(uuid.UUID(int=5)).upper()) + "</CPIX>"
    (key,) = read_cpix(document.encode(), "").keys
    assert (key.key_id, key.key) == (f"{5:032x}", b"5ecret" * 2 + b"half")
