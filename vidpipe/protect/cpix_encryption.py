"""Content keys that are encrypted within a CPIX document (CPIX 2.3 section 8.1), for one recipient.

In:   the root of a document; the certificate of a recipient, or our own.
Out:  the document with its keys encrypted; what opens those of another one.
Wrong: UsageError for a document that is encrypted to somebody else, in another way than CPIX demands, or was altered. None quotes a key.

RSA encrypts a document key and a MAC key to the certificate, and the document key (AES-256-CBC) each content key, with an IV of its own
before it. HMAC-SHA512 over both is compared before anything is opened. Whoever has the certificate can make such a document: it proves
nothing of who did, which TLS does for a key server.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from vidpipe.protect.cpix_markup import CPIX, PSKC, XMLDSIG, XMLENC, child, decoded, key_id_of, refused
from vidpipe.protect.delivery_certificate import OwnCertificate, RecipientCertificate

DOCUMENT_KEY_BYTES = 32
MAC_KEY_BYTES = 64
IV_BYTES = BLOCK_BYTES = 16
_RSA = f"{XMLENC}rsa-oaep-mgf1p"
_AES = f"{XMLENC}aes256-cbc"
_HMAC = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha512"
_SHA1 = f"{XMLDSIG}sha1"
_ALL = ""
"""Stands for the id of every key, where one document key encrypts all of them."""


@dataclass(frozen=True, slots=True)
class DocumentSecrets:
    """What encrypts the keys of one document. document_keys: by the id of the content key, or one for all."""

    document_keys: Mapping[str, bytes] = field(repr=False)
    mac_key: bytes = field(repr=False)

    def seal(self, key: bytes) -> tuple[bytes, bytes]:
        """Return a content key encrypted, and its MAC."""
        iv, padder = secrets.token_bytes(IV_BYTES), PKCS7(8 * BLOCK_BYTES).padder()
        encryptor = Cipher(algorithms.AES(self.document_keys[_ALL]), modes.CBC(iv)).encryptor()
        sealed = iv + encryptor.update(padder.update(key) + padder.finalize()) + encryptor.finalize()
        return sealed, self._mac(sealed)

    def open(self, key_id: str, value: ElementTree.Element, mac: bytes | None, where: str) -> bytes:
        """Return a content key. value: its EncryptedValue.  mac: beside it."""
        sealed = _cipher_value(value, _AES, f"the key {key_id}", where)
        if not mac:
            raise refused(f"the key {key_id} is encrypted without a MAC, so that nobody knows whether it was altered", where)
        if not hmac.compare_digest(mac, self._mac(sealed)):
            fix = "get the document again; if that does not help, whoever makes it computes ValueMAC wrongly: HMAC-SHA512 of CipherValue"
            raise refused(f"the MAC of the key {key_id} is wrong: it was altered, or made with another MAC key", where, fix)
        document_key = self.document_keys.get(key_id) or self.document_keys.get(_ALL)
        if document_key is None:
            raise refused(f"there is no document key for the key {key_id}", where)
        try:
            decryptor = Cipher(algorithms.AES(document_key), modes.CBC(sealed[:IV_BYTES])).decryptor()
            unpadder = PKCS7(8 * BLOCK_BYTES).unpadder()
            padded = decryptor.update(sealed[IV_BYTES:]) + decryptor.finalize()
            return unpadder.update(padded) + unpadder.finalize()
        except ValueError:
            raise refused(f"the key {key_id} cannot be decrypted with its document key", where) from None

    def _mac(self, sealed: bytes) -> bytes:
        return hmac.digest(self.mac_key, sealed, hashlib.sha512)


def add_recipient(root: ElementTree.Element, recipient: RecipientCertificate) -> ElementTree.Element:
    """Say in a document whom its keys are, or are to be, encrypted to. Return the DeliveryData."""
    listed = ElementTree.Element(f"{{{CPIX}}}DeliveryDataList")
    root.insert(0, listed)
    delivery = child(listed, "DeliveryData")
    data = child(child(delivery, "DeliveryKey"), "X509Data", XMLDSIG)
    child(data, "X509Certificate", XMLDSIG).text = base64.b64encode(recipient.der).decode()
    return delivery


def new_secrets(root: ElementTree.Element, recipient: RecipientCertificate) -> DocumentSecrets:
    """Make the keys of a document and write them into it, for one recipient."""
    document_key, mac_key = secrets.token_bytes(DOCUMENT_KEY_BYTES), secrets.token_bytes(MAC_KEY_BYTES)
    delivery = add_recipient(root, recipient)
    secret = child(child(child(delivery, "DocumentKey", Algorithm=_AES), "Data"), "Secret", PSKC)
    _encrypted(child(secret, "EncryptedValue", PSKC), _RSA, recipient.encrypt(document_key))
    # The schema of CPIX calls it pskc:MACKey and allows this one as well, which is what those who wrote readers took from its examples.
    _encrypted(child(child(delivery, "MACMethod", Algorithm=_HMAC), "Key"), _RSA, recipient.encrypt(mac_key))
    return DocumentSecrets({_ALL: document_key}, mac_key)


def add_key(secret: ElementTree.Element, key: bytes, opens: DocumentSecrets) -> None:
    """Write a content key into its Secret."""
    sealed, mac = opens.seal(key)
    _encrypted(child(secret, "EncryptedValue", PSKC), _AES, sealed)
    child(secret, "ValueMAC", PSKC).text = base64.b64encode(mac).decode()


def read_secrets(root: ElementTree.Element, own: OwnCertificate | None, where: str) -> DocumentSecrets | None:
    """Return what opens the keys of a document; None if they are in clear. own: None if there is no certificate of ours."""
    if all(key.find(f".//{{{PSKC}}}EncryptedValue") is None for key in root.iter(f"{{{CPIX}}}ContentKey")):
        return None
    if own is None:
        fix = "set delivery_certificate to the file with that certificate and its private key, or ask for a document with keys in clear"
        raise refused("its keys are encrypted to a certificate", where, fix)
    deliveries = [each for each in root.iter(f"{{{CPIX}}}DeliveryData") if own.der in map(decoded, _certificates(each))]
    if not deliveries:
        raise refused("its keys are encrypted to another certificate than that of delivery_certificate", where)
    method = deliveries[0].find(f"{{{CPIX}}}MACMethod")
    if method is None or method.get("Algorithm") != _HMAC:
        raise refused("its keys are not authenticated by HMAC-SHA512", where)
    documents: dict[str, bytes] = {}
    for element in deliveries[0].iter(f"{{{CPIX}}}DocumentKey"):
        key = _unwrapped(element, own, "the document key", where)
        if len(key) != DOCUMENT_KEY_BYTES:
            raise refused(f"the document key has {len(key)} bytes instead of {DOCUMENT_KEY_BYTES}", where)
        documents |= {key_id_of(kid, where): key for kid in element.get("encryptsKey", "").split()} or {_ALL: key}
    return DocumentSecrets(documents, _unwrapped(method, own, "the MAC key", where))


def _certificates(delivery: ElementTree.Element) -> list[str | None]:
    return [each.text for each in delivery.iter(f"{{{XMLDSIG}}}X509Certificate")]


def _unwrapped(element: ElementTree.Element, own: OwnCertificate, what: str, where: str) -> bytes:
    try:
        return own.decrypt(_cipher_value(element, _RSA, what, where))
    except ValueError:
        raise refused(f"{what} does not open with the private key in delivery_certificate", where) from None


def _cipher_value(element: ElementTree.Element, algorithm: str, what: str, where: str) -> bytes:
    """Return encrypted bytes. SPEKE has one element more around those of the MAC key than CPIX, so that they are looked for."""
    method = next(element.iter(f"{{{XMLENC}}}EncryptionMethod"), None)
    digest = next(element.iter(f"{{{XMLDSIG}}}DigestMethod"), None)
    if method is None or method.get("Algorithm") != algorithm or (digest is not None and digest.get("Algorithm") != _SHA1):
        raise refused(f"{what} is encrypted in another way than CPIX demands ({algorithm.rpartition('#')[2]})", where)
    value = next(element.iter(f"{{{XMLENC}}}CipherValue"), None)
    data = decoded(value.text) if value is not None else None
    if not data:
        raise refused(f"{what} has no CipherValue that is base64", where)
    return data


def _encrypted(element: ElementTree.Element, algorithm: str, data: bytes) -> None:
    child(element, "EncryptionMethod", XMLENC, Algorithm=algorithm)
    child(child(element, "CipherData", XMLENC), "CipherValue", XMLENC).text = base64.b64encode(data).decode()
