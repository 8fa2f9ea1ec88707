"""CPIX documents (DASH-IF, version 2.3): content keys, and what each is for, as packagers and key servers exchange them.

In:   the keys of a version; or the bytes of a document, which is untrusted.
Out:  the bytes of a document, with its keys in clear; or the keys of one.
Wrong: UsageError for what is no CPIX document, holds a key that vidpipe cannot use, or is encrypted to a certificate. None quotes a key.

Keys are told apart by their id, classes by intendedTrackType, and periods of rotation by ContentKeyPeriod@index, as SPEKE v2 has it.
Documents come without a DTD, so that no entity can grow or fetch anything. The package cpix is not used: it writes with lxml what is a
page here, and leaves the reading of what a server sends, and all checks, to its caller.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from vidpipe.errors import UsageError
from vidpipe.protect.key_store import KEY_BYTES, ContentKey
from vidpipe.protect.key_uses import HD_PIXELS, SD_PIXELS, IntendedTrackType, KeyUse
from vidpipe.protect.schemes import iv_of_key, scheme_of

CPIX = "urn:dashif:org:cpix"
PSKC = "urn:ietf:params:xml:ns:keyprov:pskc"
VERSION = "2.3"
MOST_BYTES = 4_000_000
"""A document with thousands of keys is smaller."""

_FILTERS: dict[IntendedTrackType, tuple[tuple[str, dict[str, int]], ...]] = {
    "ALL": (("AudioFilter", {}), ("VideoFilter", {})),
    "AUDIO": (("AudioFilter", {}),),
    "VIDEO": (("VideoFilter", {}),),
    "SD": (("VideoFilter", {"maxPixels": SD_PIXELS}),),
    "HD": (("VideoFilter", {"minPixels": SD_PIXELS + 1, "maxPixels": HD_PIXELS}),),
    "UHD": (("VideoFilter", {"minPixels": HD_PIXELS + 1}),),
}


@dataclass(frozen=True, slots=True)
class CpixDocument:
    """What a document says. content_id: None if it does not say for what its keys are."""

    content_id: str | None
    keys: tuple[ContentKey, ...]


def cpix_document(content_id: str, uses: Sequence[KeyUse], keys: Sequence[ContentKey], scheme: str) -> bytes:
    """Return a document with keys in clear. uses: of each of them.  scheme: that they are for."""
    root = contract(content_id, uses, [key.key_id for key in keys], scheme)
    for element, key in zip(root.iter(f"{{{CPIX}}}ContentKey"), keys, strict=True):
        secret = ElementTree.SubElement(child(element, "Data"), f"{{{PSKC}}}Secret")
        ElementTree.SubElement(secret, f"{{{PSKC}}}PlainValue").text = base64.b64encode(key.key).decode()
    return written(root)


def contract(content_id: str, uses: Sequence[KeyUse], ids: Sequence[str], scheme: str) -> ElementTree.Element:
    """Return a document that says which keys there are, by their ids, and what each is for; it has none of them.

    scheme: of Common Encryption, which is said, and the IV of a key if it has one; others are not.
    """
    for prefix, name in (("cpix", CPIX), ("pskc", PSKC)):
        ElementTree.register_namespace(prefix, name)
    root = ElementTree.Element(f"{{{CPIX}}}CPIX", {"contentId": content_id, "version": VERSION})
    listed = child(root, "ContentKeyList")
    protection = scheme_of(scheme)
    for key_id in ids:
        said = {"commonEncryptionScheme": protection.mp4_scheme} if protection.mp4_scheme else {}
        if protection.ivs == "key":
            said["explicitIV"] = base64.b64encode(iv_of_key(key_id)).decode()
        child(listed, "ContentKey", kid=kid_of(key_id), **said)
    firsts = sorted({use.first for use in uses})
    if len(firsts) > 1:
        periods = child(root, "ContentKeyPeriodList")
        for index, first in enumerate(firsts):
            child(periods, "ContentKeyPeriod", id=period_of(first), index=str(index))
    rules = child(root, "ContentKeyUsageRuleList")
    for use, key_id in zip(uses, ids, strict=True):
        rule = child(rules, "ContentKeyUsageRule", kid=kid_of(key_id), intendedTrackType=use.track_type)
        if len(firsts) > 1:
            child(rule, "KeyPeriodFilter", periodId=period_of(use.first))
        for name, limits in _FILTERS[use.track_type]:
            child(rule, name, **{limit: str(pixels) for limit, pixels in limits.items()})
    return root


def period_of(first: int) -> str:
    """Return the id of the period that begins with a segment."""
    return f"period-{first}"


def written(root: ElementTree.Element) -> bytes:
    """Return the bytes of a document."""
    ElementTree.indent(root, " ")
    data: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return data + b"\n"


def read_cpix(data: bytes, where: str) -> CpixDocument:
    """Read a document. where: it comes from, for messages."""
    root = parsed(data, where)
    content_id = root.get("contentId")
    keys = [_content_key(element, content_id or "", where) for element in root.iter(f"{{{CPIX}}}ContentKey")]
    if not keys:
        raise refused("it has no content keys", where)
    if len({key.key_id for key in keys}) != len(keys):
        raise refused("it has two keys with one id", where)
    return CpixDocument(content_id, tuple(keys))


def parsed(data: bytes, where: str) -> ElementTree.Element:
    """Return the root of a document. Raises UsageError if it is none."""
    if len(data) > MOST_BYTES:
        raise refused(f"it is larger than {MOST_BYTES} bytes", where)
    try:
        root: ElementTree.Element = fromstring(data, forbid_dtd=True)
    except (ElementTree.ParseError, ValueError) as problem:
        # "from None": what the parser says may quote the document.
        raise refused("it has a DTD" if isinstance(problem, DefusedXmlException) else "it is no XML", where) from None
    if root.tag != f"{{{CPIX}}}CPIX":
        raise refused("its root is not CPIX", where)
    return root


def key_of(element: ElementTree.Element, where: str) -> tuple[str, bytes]:
    """Return id and bytes of a ContentKey. Raises UsageError."""
    key_id = key_id_of(element.get("kid"), where)
    secret = element.find(f"{{{CPIX}}}Data/{{{PSKC}}}Secret")
    plain = secret.find(f"{{{PSKC}}}PlainValue") if secret is not None else None
    if plain is None:
        how = "is encrypted to a certificate, which vidpipe cannot open" if secret is not None and len(secret) else "has no value"
        raise refused(f"the key {key_id} {how}", where)
    try:
        key = base64.b64decode("".join((plain.text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise refused(f"the value of the key {key_id} is not base64", where) from None
    if len(key) != KEY_BYTES:
        raise refused(f"the key {key_id} has {len(key)} bytes instead of {KEY_BYTES}", where)
    return key_id, key


def key_id_of(kid: str | None, where: str) -> str:
    """Return a key id as vidpipe writes it. Raises UsageError if it is no UUID."""
    try:
        return uuid.UUID(kid or "").hex
    except ValueError:
        raise refused("a kid is not a UUID", where) from None


def _content_key(element: ElementTree.Element, content_id: str, where: str) -> ContentKey:
    key_id, key = key_of(element, where)
    return ContentKey(key_id, content_id, key)


def kid_of(key_id: str) -> str:
    """Return a key id as CPIX writes it."""
    return str(uuid.UUID(key_id))


def child(parent: ElementTree.Element, name: str, **attributes: str) -> ElementTree.Element:
    """Add an element."""
    return ElementTree.SubElement(parent, f"{{{CPIX}}}{name}", attributes)


def refused(what: str, where: str) -> UsageError:
    """Return the error that says why a document cannot be used."""
    fix = "ask whoever made it for CPIX 2.3 with clear keys"
    return UsageError(f"this is no CPIX document that can be used: {what}", where=where, fix=fix)


def titled(keys: Iterable[ContentKey], content_id: str) -> tuple[ContentKey, ...]:
    """Return the same keys, for a title."""
    return tuple(ContentKey(key.key_id, content_id, key.key) for key in keys)
