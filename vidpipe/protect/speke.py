"""Keys from a key server that speaks SPEKE v2: CPIX documents over HTTP.

In:   the URL of the server, what its Authorization header says; the uses of keys of a title, and their ids.
Out:  a KeySet, its keys stored in the local key store, with what DRM systems want manifests to say.
Wrong: KeyServiceFailed: the server cannot be reached, refuses, or answers something other than what it was asked for.

vidpipe chooses the ids (they stand in the note of the run before anybody is asked) and says what each key is for: the encryption contract
of SPEKE v2, one ContentKeyUsageRule a key. The answer must have every key, of 16 bytes, in clear (over TLS, or on this machine), and the
same contract. A server that is asked again gives the same keys; another one under a known id is an error, and never used.

DRM systems are asked for where samples are encrypted: players know no DRM for segments that are encrypted whole. For these the document
names no Common Encryption scheme either, which SPEKE v2 otherwise wants.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from xml.etree import ElementTree

from vidpipe.errors import KeyServiceFailed, UsageError
from vidpipe.protect.cpix import CPIX, MOST_BYTES, child, contract, key_id_of, key_of, kid_of, parsed, refused, written
from vidpipe.protect.key_source import DrmSignal, KeySet
from vidpipe.protect.key_store import ContentKey, KeyStore
from vidpipe.protect.key_uses import KeyUse
from vidpipe.protect.schemes import WHOLE_SEGMENTS
from vidpipe.web import Answer, Web, WebError

SPEKE_VERSION = "2.0"
SILENCE = 20.0
"""Seconds that a key server may be silent."""
DRM_SYSTEMS = {
    "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed": "widevine",
    "9a04f079-9840-4286-ab92-e65be0885f95": "playready",
    "94ce86fb-07ff-4f43-adb8-93d2fa968ca2": "fairplay",
}
"""By their id: https://dashif.org/identifiers/content_protection/."""
_FIX = "look into the log of the key server; what it was asked is in docs/keys.md"


@dataclass(frozen=True, slots=True)
class SpekeKeys:
    """The KeySource that is a key server. What it gave is kept in the local store, so that a title can be read without it.

    scheme: that the keys are for.  authorization: the header of that name, secret.
    """

    url: str
    store: KeyStore
    scheme: str
    authorization: str | None = field(default=None, repr=False)

    def keys(self, content_id: str, uses: Sequence[KeyUse], ids: Sequence[str]) -> KeySet:
        """See KeySource."""
        if not uses:
            return KeySet()
        answer = self._asked(speke_request(content_id, uses, ids, self.scheme))
        try:
            found, signals = read_answer(answer, content_id, uses, ids, self._where, drm=self.scheme not in WHOLE_SEGMENTS)
        except UsageError as problem:
            raise KeyServiceFailed(f"the key server answers wrongly: {problem.what}", where=self._where, fix=_FIX) from problem
        for key in found:  # none is stored if one cannot be
            if self.store.holds(key.key_id) and self.store.get(key.key_id) != key:
                what = f"the key server gives another key for {key.key_id} than the one that is in the key store"
                raise KeyServiceFailed(what, where=self._where, fix="segments may be encrypted under that one: " + _FIX)
        for key in found:
            self.store.add(key)
        return KeySet(tuple(uses), found, signals)

    def get(self, key_id: str) -> ContentKey:
        """See KeySource."""
        return self.store.get(key_id)

    def remove(self, key_id: str) -> None:
        """See KeySource."""
        self.store.remove(key_id)

    @property
    def _where(self) -> str:
        return urlsplit(self.url).hostname or ""  # the rest of the URL may hold a token

    def _asked(self, document: bytes) -> bytes:
        headers = {"Content-Type": "application/xml", "Accept": "application/xml", "X-Speke-Version": SPEKE_VERSION}
        if self.authorization:
            headers["Authorization"] = self.authorization
        try:
            with Web(silence=SILENCE) as web, web.answered(self.url, "POST", headers, document) as answer:
                self._check(answer)
                return b"".join(_limited(answer.blocks, self._where))
        except WebError as problem:
            fix = "check key_source, the network and the key server, then run the same command again"
            raise KeyServiceFailed(f"the key server cannot be asked: {problem.what}", where=self._where, fix=fix) from problem

    def _check(self, answer: Answer) -> None:
        """Refuse an answer that has no keys. Its body is not read: it is the server's own words, and may repeat what it was sent."""
        if answer.status != 200:
            fix = "check key_source_authorization, and what this account may ask for" if answer.status in (401, 403) else _FIX
            reason = "".join(char for char in answer.reason if char.isprintable())[:80]
            raise KeyServiceFailed(f"the key server answers {answer.status} {reason}".rstrip(), where=self._where, fix=fix)
        version = answer.headers.get("x-speke-version", SPEKE_VERSION)
        if version != SPEKE_VERSION:
            what = f"the key server answers in SPEKE {version[:20]!r} instead of {SPEKE_VERSION}"
            raise KeyServiceFailed(what, where=self._where, fix="give the URL at which it speaks SPEKE 2.0")


def speke_request(content_id: str, uses: Sequence[KeyUse], ids: Sequence[str], scheme: str) -> bytes:
    """Return the document that asks for keys: ids and contract, and empty elements for what is wanted of each DRM system."""
    root = contract(content_id, uses, ids)
    if scheme not in WHOLE_SEGMENTS:
        for key in root.iter(f"{{{CPIX}}}ContentKey"):
            key.set("commonEncryptionScheme", scheme)
        systems = ElementTree.Element(f"{{{CPIX}}}DRMSystemList")
        for key_id in ids:
            for system, name in DRM_SYSTEMS.items():
                wanted = child(systems, "DRMSystem", kid=kid_of(key_id), systemId=system)
                if name != "fairplay":
                    child(wanted, "PSSH")
                    child(wanted, "ContentProtectionData")
                for playlist in ("media", "master"):
                    child(wanted, "HLSSignalingData", playlist=playlist)
        root.insert(1, systems)
    return written(root)


def read_answer(
    data: bytes, content_id: str, uses: Sequence[KeyUse], ids: Sequence[str], where: str, *, drm: bool
) -> tuple[tuple[ContentKey, ...], tuple[DrmSignal, ...]]:
    """Return the keys of an answer, in the order in which they were asked for, and what DRM systems want to be said of them.

    Raises UsageError for an answer to another question.
    """
    root = parsed(data, where)
    if root.get("contentId") != content_id:
        raise refused("it is for another title", where)
    elements = [key_of(element, where) for element in root.iter(f"{{{CPIX}}}ContentKey")]
    found = dict(elements)
    if len(found) != len(elements):
        raise refused("it has two keys with one id", where)
    missing = [key_id for key_id in ids if key_id not in found]
    if missing:
        other = next(iter(found.keys() - set(ids)), None)
        raise refused(f"the key {missing[0]} is missing" + (f"; it has {other}, which was not asked for" if other else ""), where)
    if len({found[key_id] for key_id in ids}) != len(ids):
        raise refused("two keys are the same", where)
    rules = {key_id_of(rule.get("kid"), where): rule.get("intendedTrackType") for rule in root.iter(f"{{{CPIX}}}ContentKeyUsageRule")}
    for use, key_id in zip(uses, ids, strict=True):
        given = rules.get(key_id)
        if given != use.track_type:
            raise refused(f"the key {key_id} was asked for {use.track_type}, and is for {'another class' if given else 'nothing'}", where)
    signals = tuple(_signals(root, set(ids), where)) if drm else ()
    return tuple(ContentKey(key_id, content_id, found[key_id]) for key_id in ids), signals


def _signals(root: ElementTree.Element, ids: set[str], where: str) -> Iterator[DrmSignal]:
    for system in root.iter(f"{{{CPIX}}}DRMSystem"):
        key_id = key_id_of(system.get("kid"), where)
        if key_id not in ids:
            continue
        hls = {each.get("playlist", "media"): _text(each, where) for each in system.findall(f"{{{CPIX}}}HLSSignalingData")}
        yield DrmSignal(
            key_id=key_id,
            system_id=kid_of(key_id_of(system.get("systemId"), where)),
            pssh=_text(system.find(f"{{{CPIX}}}PSSH"), where),
            content_protection=_text(system.find(f"{{{CPIX}}}ContentProtectionData"), where),
            hls_media=hls.get("media"),
            hls_master=hls.get("master"),
        )


def _text(element: ElementTree.Element | None, where: str) -> str | None:
    """Return what an element has, as base64; None if it has nothing."""
    text = "".join((element.text or "").split()) if element is not None else ""
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise refused("what a DRM system wants to be said is not base64", where) from None
    return text or None


def _limited(blocks: Iterator[bytes], where: str) -> Iterator[bytes]:
    size = 0
    for block in blocks:
        size += len(block)
        if size > MOST_BYTES:
            raise KeyServiceFailed(f"the key server sends more than {MOST_BYTES} bytes", where=where, fix=_FIX)
        yield block
