"""CPIX documents (DASH-IF, version 2.3): content keys, and what each is for, as packagers and key servers exchange them.

In:   the keys of a version, and whom they are for; or the bytes of a document, which is untrusted.
Out:  the bytes of a document, with its keys in clear or encrypted to a certificate; or the keys of one.
Wrong: UsageError for what is no CPIX document, or holds a key that vidpipe cannot use or open. None quotes a key.

Keys are told apart by their id, classes by intendedTrackType, and periods of rotation by ContentKeyPeriod@index, as SPEKE v2 has it.
The package cpix is not used: it writes with lxml what is a page here, encrypts nothing, and leaves the reading of what a server sends, and
all checks, to its caller.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from vidpipe.protect.cpix_encryption import DocumentSecrets, add_key, new_secrets, read_secrets
from vidpipe.protect.cpix_markup import CPIX, PSKC, child, decoded, key_id_of, kid_of, new_document, parsed, refused, written
from vidpipe.protect.delivery_certificate import OwnCertificate, RecipientCertificate
from vidpipe.protect.key_store import KEY_BYTES, ContentKey
from vidpipe.protect.key_uses import HD_PIXELS, SD_PIXELS, IntendedTrackType, KeyUse
from vidpipe.protect.schemes import iv_of_key, scheme_of

VERSION = "2.3"

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


def cpix_document(
    content_id: str, uses: Sequence[KeyUse], keys: Sequence[ContentKey], scheme: str, recipient: RecipientCertificate | None = None
) -> bytes:
    """Return a document with keys: encrypted to a recipient, or else in clear. uses: of each of them.  scheme: that they are for."""
    root = contract(content_id, uses, [key.key_id for key in keys], scheme)
    sealing = new_secrets(root, recipient) if recipient else None
    for element, key in zip(root.iter(f"{{{CPIX}}}ContentKey"), keys, strict=True):
        secret = child(child(element, "Data"), "Secret", PSKC)
        if sealing:
            add_key(secret, key.key, sealing)
        else:
            child(secret, "PlainValue", PSKC).text = base64.b64encode(key.key).decode()
    return written(root)


def contract(content_id: str, uses: Sequence[KeyUse], ids: Sequence[str], scheme: str) -> ElementTree.Element:
    """Return a document that says which keys there are, by their ids, and what each is for; it has none of them.

    scheme: of Common Encryption, which is said, and the IV of a key if it has one; others are not.
    """
    root = new_document(contentId=content_id, version=VERSION)
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


def read_cpix(data: bytes, where: str, own: OwnCertificate | None = None) -> CpixDocument:
    """Read a document. where: it comes from, for messages.  own: the certificate that its keys may be encrypted to."""
    root = parsed(data, where)
    content_id = root.get("contentId")
    keys = [ContentKey(key_id, content_id or "", key) for key_id, key in keys_in(root, where, own)]
    if not keys:
        raise refused("it has no content keys", where)
    if len({key.key_id for key in keys}) != len(keys):
        raise refused("it has two keys with one id", where)
    return CpixDocument(content_id, tuple(keys))


def keys_in(root: ElementTree.Element, where: str, own: OwnCertificate | None = None) -> list[tuple[str, bytes]]:
    """Return ids and bytes of the keys of a document. Raises UsageError."""
    opens = read_secrets(root, own, where)
    return [_key_of(element, where, opens) for element in root.iter(f"{{{CPIX}}}ContentKey")]


def _key_of(element: ElementTree.Element, where: str, opens: DocumentSecrets | None) -> tuple[str, bytes]:
    key_id = key_id_of(element.get("kid"), where)
    secret = element.find(f"{{{CPIX}}}Data/{{{PSKC}}}Secret")
    plain, encrypted = (secret.find(f"{{{PSKC}}}{name}") if secret is not None else None for name in ("PlainValue", "EncryptedValue"))
    if encrypted is not None and opens is not None and secret is not None:
        key: bytes | None = opens.open(key_id, encrypted, decoded(secret.findtext(f"{{{PSKC}}}ValueMAC")), where)
    elif plain is not None and opens is None:
        key = decoded(plain.text)
    else:
        how = "is in clear, and others are encrypted" if plain is not None else "has no value"
        raise refused(f"the key {key_id} {how}", where)
    if key is None:
        raise refused(f"the value of the key {key_id} is not base64", where)
    if len(key) != KEY_BYTES:
        raise refused(f"the key {key_id} has {len(key)} bytes instead of {KEY_BYTES}", where)
    return key_id, key


def titled(keys: Iterable[ContentKey], content_id: str) -> tuple[ContentKey, ...]:
    """Return the same keys, for a title."""
    return tuple(ContentKey(key.key_id, content_id, key.key) for key in keys)
