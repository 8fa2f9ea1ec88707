"""Keys from a key server that speaks SPEKE v2: CPIX documents over HTTP.

In:   the server; the uses of keys of a title, and their ids; our certificate, if the keys are to be encrypted to it.
Out:  a KeySet, its keys stored in the local key store, with what DRM systems want manifests to say.
Wrong: KeyServiceFailed: the server cannot be asked (``key_server_client.py``), or answers something other than what it was asked for;
       UsageError for a certificate that cannot be used.

vidpipe chooses the ids (they stand in the note of the run before anybody is asked) and says what each key is for: the encryption contract
of SPEKE v2, one ContentKeyUsageRule a key. The answer must have every key, of 16 bytes, and the same contract. Its keys are in clear, over
TLS or on this machine, or encrypted to our certificate; where that was asked for, keys in clear are refused. A server that is asked again
gives the same keys; another one under a known id is an error, and never used.

DRM systems are asked for where samples are encrypted: players know no DRM for segments that are encrypted whole. For these the document
names no Common Encryption scheme either, which SPEKE v2 otherwise wants. FairPlay, which plays "cbcs" alone, is asked for with no other,
and left out if it is given unasked. A server that gives a system for one key has to give it for all, or some tracks of the title would not
play. One that it gives for no key it does not serve.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from xml.etree import ElementTree

from vidpipe.errors import KeyServiceFailed, UsageError
from vidpipe.protect.cpix import contract, keys_in, period_of
from vidpipe.protect.cpix_encryption import add_recipient
from vidpipe.protect.cpix_markup import CPIX, DOCUMENT_FIX, NOT_USABLE, PSKC, child, decoded, key_id_of, kid_of, parsed, refused, written
from vidpipe.protect.delivery_certificate import OwnCertificate, own_certificate
from vidpipe.protect.drm_systems import DRM_SYSTEMS, FAIRPLAY, boxes_of, may_play, systems_for
from vidpipe.protect.key_server_client import LOG_FIX, KeyServerClient
from vidpipe.protect.key_source import DrmSignal, KeySet
from vidpipe.protect.key_store import ContentKey, KeyStore
from vidpipe.protect.key_uses import KeyUse
from vidpipe.protect.schemes import iv_of_key, scheme_of


@dataclass(frozen=True, slots=True)
class SpekeKeys:
    """The KeySource that is a key server. What it gave is kept in the local store, so that a title can be read without it.

    scheme: that the keys are for.  certificate: PEM file with our certificate and its private key; None asks for keys in clear.
    afresh: how to have keys of the server in place of those that are in the store.
    """

    server: KeyServerClient
    store: KeyStore
    scheme: str
    certificate: str | None = None
    afresh: str = "run the ingest with --new-key"

    def keys(self, content_id: str, uses: Sequence[KeyUse], ids: Sequence[str]) -> KeySet:
        """See KeySource."""
        if not uses:
            return KeySet()
        own = own_certificate(self.certificate) if self.certificate else None
        answer, where = self.server.ask(speke_request(content_id, uses, ids, self.scheme, own)), self.server.where
        try:
            found, signals = read_answer(answer, content_id, uses, ids, where, self.scheme, own)
        except UsageError as problem:
            fix = LOG_FIX if problem.fix == DOCUMENT_FIX else problem.fix
            what = f"the key server answers wrongly: {problem.what.removeprefix(NOT_USABLE)}"
            raise KeyServiceFailed(what, where=where, fix=fix) from problem
        self._check_new(content_id, found)
        for key in found:  # none is stored if one cannot be
            if self.store.holds(key.key_id) and self.store.get(key.key_id) != key:
                what = f"the key server gives another key for {key.key_id} than the one that is in the key store"
                fix = f"segments may be encrypted under that one; for keys of the server, {self.afresh}. Else {LOG_FIX}"
                raise KeyServiceFailed(what, where=where, fix=fix)
        for key in found:
            self.store.add(key)
        return KeySet(tuple(uses), found, signals)

    def _check_new(self, content_id: str, found: Sequence[ContentKey]) -> None:
        """Refuse a key that the title has already under another id: new keys are asked for because others may have the old ones."""
        new = [key for key in found if not self.store.holds(key.key_id)]
        if not new:
            return  # the files of all titles are not read for nothing
        opened: dict[bytes, str] = {}
        for info in self.store.find(content_id):
            with suppress(UsageError):  # one that cannot be opened any more
                opened[self.store.get(info.key_id).key] = info.key_id
        for key in new:
            if key.key in opened:
                what = f"the key server gives for {key.key_id} the very key that {content_id} has already, as {opened[key.key]}"
                raise KeyServiceFailed(what, where=self.server.where, fix=LOG_FIX)

    def get(self, key_id: str) -> ContentKey:
        """See KeySource."""
        return self.store.get(key_id)

    def remove(self, key_id: str) -> None:
        """See KeySource."""
        self.store.remove(key_id)


def speke_request(
    content_id: str, uses: Sequence[KeyUse], ids: Sequence[str], scheme: str, own: OwnCertificate | None = None
) -> bytes:
    """Return the document that asks for keys: ids and contract, and empty elements for what is wanted of each DRM system."""
    root = contract(content_id, uses, ids, scheme)
    if wanted_systems := systems_for(scheme):
        systems = ElementTree.Element(f"{{{CPIX}}}DRMSystemList")
        for key_id in ids:
            for system, name in wanted_systems.items():
                wanted = child(systems, "DRMSystem", kid=kid_of(key_id), systemId=system)
                if name != FAIRPLAY:
                    child(wanted, "PSSH")
                    child(wanted, "ContentProtectionData")
                for playlist in ("media", "master"):
                    child(wanted, "HLSSignalingData", playlist=playlist)
        root.insert(1, systems)
    if own:
        add_recipient(root, own.valid())
    return written(root)


def read_answer(
    data: bytes,
    content_id: str,
    uses: Sequence[KeyUse],
    ids: Sequence[str],
    where: str,
    scheme: str,
    own: OwnCertificate | None = None,
) -> tuple[tuple[ContentKey, ...], tuple[DrmSignal, ...]]:
    """Return the keys of an answer, in the order in which they were asked for, and what DRM systems want to be said of them.

    Raises UsageError for an answer to another question.
    """
    root = parsed(data, where)
    if root.get("contentId") != content_id:
        raise refused("it is for another title", where)
    if own and root.find(f".//{{{PSKC}}}PlainValue") is not None:
        fix = "ask for content key encryption there (SPEKE DeliveryDataList), or unset delivery_certificate if TLS is enough"
        raise refused("its keys are in clear, although it was asked to encrypt them", where, fix)
    elements = keys_in(root, where, own)
    found = dict(elements)
    if len(found) != len(elements):
        raise refused("it has two keys with one id", where)
    missing = [key_id for key_id in ids if key_id not in found]
    if missing:
        other = next(iter(found.keys() - set(ids)), None)
        raise refused(f"the key {missing[0]} is missing" + (f"; it has {other}, which was not asked for" if other else ""), where)
    if len({found[key_id] for key_id in ids}) != len(ids):
        raise refused("two keys are the same", where)
    _check_rules(root, uses, ids, where)
    _check_encryption(root, set(ids), where, scheme)
    signals = tuple(_signals(root, set(ids), where, scheme)) if systems_for(scheme) else ()
    if len({(signal.key_id, signal.system_id) for signal in signals}) != len(signals):
        raise refused("it says twice what a DRM system wants to be said of a key", where)
    for system in dict.fromkeys(signal.system_id for signal in signals):
        without = set(ids) - {signal.key_id for signal in signals if signal.system_id == system}
        if without:
            named = DRM_SYSTEMS.get(system, system)
            raise refused(f"it says what {named} wants to be said of some keys, and not of the key {min(without)}", where)
    return tuple(ContentKey(key_id, content_id, found[key_id]) for key_id in ids), signals


def _check_rules(root: ElementTree.Element, uses: Sequence[KeyUse], ids: Sequence[str], where: str) -> None:
    """Compare class and period of each key with what was asked for. A server may leave periods out, and name them anew."""
    rules: dict[str, list[ElementTree.Element]] = {}
    for rule in root.iter(f"{{{CPIX}}}ContentKeyUsageRule"):
        rules.setdefault(key_id_of(rule.get("kid"), where), []).append(rule)
    indexes = {each.get("id"): each.get("index") for each in root.iter(f"{{{CPIX}}}ContentKeyPeriod")}
    firsts = sorted({use.first for use in uses})
    for use, key_id in zip(uses, ids, strict=True):
        given = rules.get(key_id, [])
        if {rule.get("intendedTrackType") for rule in given} != {use.track_type}:
            said = "is for another class" if given else "has no ContentKeyUsageRule"
            raise refused(f"the key {key_id} was asked for {use.track_type}, and {said}", where)
        periods = {each.get("periodId") for rule in given for each in rule.iter(f"{{{CPIX}}}KeyPeriodFilter")}
        named = {indexes.get(period) or period for period in periods}
        if not named <= {str(firsts.index(use.first)), period_of(use.first)}:
            raise refused(f"the key {key_id} is for another period than it was asked for", where)


def _check_encryption(root: ElementTree.Element, ids: set[str], where: str, scheme: str) -> None:
    """Compare scheme and IV with those that were asked for, where the answer says them."""
    protection = scheme_of(scheme)
    for element in root.iter(f"{{{CPIX}}}ContentKey"):
        key_id = key_id_of(element.get("kid"), where)
        if key_id not in ids or protection.mp4_scheme is None:
            continue
        if element.get("commonEncryptionScheme", protection.mp4_scheme) != protection.mp4_scheme:
            raise refused(f"the key {key_id} was asked for {scheme}, and is for another scheme", where)
        explicit = element.get("explicitIV")
        if explicit is not None and protection.ivs == "key" and decoded(explicit) != iv_of_key(key_id):
            raise refused(f"the key {key_id} has another IV than was asked for", where)


def _signals(root: ElementTree.Element, ids: set[str], where: str, scheme: str) -> Iterator[DrmSignal]:
    for system in root.iter(f"{{{CPIX}}}DRMSystem"):
        key_id, system_id = key_id_of(system.get("kid"), where), kid_of(key_id_of(system.get("systemId"), where, "systemId"))
        if key_id not in ids or not may_play(system_id, scheme):
            continue
        hls = {each.get("playlist", "media"): _text(each, where) for each in system.findall(f"{{{CPIX}}}HLSSignalingData")}
        said = {
            "pssh": _text(system.find(f"{{{CPIX}}}PSSH"), where),
            "content_protection": _text(system.find(f"{{{CPIX}}}ContentProtectionData"), where),
            "hls_media": hls.get("media"),
            "hls_master": hls.get("master") or hls.get("multiVariant"),  # so CPIX 2.4 calls it, beside our empty element
        }
        if any(said.values()):  # else it repeats the question: the server does not serve this system
            signal = DrmSignal(key_id=key_id, system_id=system_id, **said)
            _check_pssh(signal, where)
            yield signal


def _check_pssh(signal: DrmSignal, where: str) -> None:
    """Refuse boxes for another system: players of this one would find nothing. More than its own may be there."""
    try:
        boxes = boxes_of(signal)
    except ValueError as problem:
        raise refused(str(problem), where) from problem
    if boxes and not any(box[12:28] == uuid.UUID(signal.system_id).bytes for box in boxes):  # behind size, type, version and flags
        named = DRM_SYSTEMS.get(signal.system_id, signal.system_id)
        raise refused(f"the pssh that {named} wants for the key {signal.key_id} is that of another DRM system", where)


def _text(element: ElementTree.Element | None, where: str) -> str | None:
    """Return what an element has, as base64; None if it has nothing."""
    text = "".join((element.text or "").split()) if element is not None else ""
    if decoded(text) is None:
        raise refused("what a DRM system wants to be said is not base64", where)
    return text or None
