"""Content keys that are encrypted to a certificate: others open what is written, and nothing that was altered is opened."""

from __future__ import annotations

import base64
import stat
import subprocess
import traceback
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.key_server import CPIX, DS, ENC, PSKC, added, certificate, encrypted
from vidpipe.errors import UsageError
from vidpipe.protect.cpix import cpix_document, read_cpix
from vidpipe.protect.cpix_markup import written
from vidpipe.protect.delivery_certificate import OwnCertificate, own_certificate, recipient_certificate
from vidpipe.protect.key_store import ContentKey
from vidpipe.protect.key_uses import IntendedTrackType, KeyUse

KEYS = tuple(ContentKey(f"{number:032x}", "film", bytes([64 + number]) * 16) for number in (1, 2))
KINDS: tuple[IntendedTrackType, ...] = ("AUDIO", "VIDEO")
USES = tuple(KeyUse(frozenset({kind}), track_type=kind) for kind in KINDS)


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("certificates") / "own.pem")


@pytest.fixture(scope="module")
def own(pem: Path) -> OwnCertificate:
    return own_certificate(str(pem))


@pytest.fixture
def root(own: OwnCertificate) -> ElementTree.Element:
    return ElementTree.fromstring(cpix_document("film", USES, KEYS, "cbcs", own))


def openssl(*arguments: str, data: bytes) -> bytes:
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True, timeout=30).stdout


def value_of(parent: ElementTree.Element, path: str) -> bytes:
    text = parent.findtext(path)
    assert text
    return base64.b64decode(text)


def test_what_is_written_is_opened_by_its_recipient_alone(own: OwnCertificate, tmp_path: Path) -> None:
    document = cpix_document("film", USES, KEYS, "cbcs", own)
    assert not any(secret in document for key in KEYS for secret in (key.key, base64.b64encode(key.key)))
    assert read_cpix(document, "here", own).keys == KEYS
    with pytest.raises(UsageError, match="encrypted to a certificate") as refused:
        read_cpix(document, "here")
    assert "delivery_certificate" in str(refused.value.fix)
    other = own_certificate(str(certificate(tmp_path / "other.pem")))
    with pytest.raises(UsageError, match="to another certificate"):
        read_cpix(document, "here", other)
    again = cpix_document("film", USES, KEYS, "cbcs", own)
    assert not {*base64_texts(document)} & {*base64_texts(again)} - {base64.b64encode(own.der).decode()}, "nothing is used twice"


def base64_texts(document: bytes) -> list[str]:
    return [text for each in ElementTree.fromstring(document).iter() if (text := (each.text or "").strip())]


def test_openssl_opens_what_is_written(root: ElementTree.Element, pem: Path) -> None:
    """As the specification has it, step by step, by another implementation."""
    (delivery,) = root.findall(f"{CPIX}DeliveryDataList/{CPIX}DeliveryData")
    assert [each.tag for each in root][:2] == [f"{CPIX}DeliveryDataList", f"{CPIX}ContentKeyList"], "in the order of the schema"
    assert [each.tag for each in delivery] == [f"{CPIX}{name}" for name in ("DeliveryKey", "DocumentKey", "MACMethod")]
    assert [each.get("Algorithm", "").rpartition("#")[2] for each in delivery] == ["", "aes256-cbc", "hmac-sha512"]
    rsa = ("pkeyutl", "-decrypt", "-inkey", str(pem), "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha1")
    value = f"{ENC}CipherData/{ENC}CipherValue"
    document_key = openssl(*rsa, data=value_of(delivery, f"{CPIX}DocumentKey/{CPIX}Data/{PSKC}Secret/{PSKC}EncryptedValue/{value}"))
    mac_key = openssl(*rsa, data=value_of(delivery, f"{CPIX}MACMethod/{CPIX}Key/{value}"))
    assert (len(document_key), len(mac_key)) == (32, 64)
    for element, key in zip(root.iter(f"{CPIX}ContentKey"), KEYS, strict=True):
        secret = element.find(f"{CPIX}Data/{PSKC}Secret")
        assert secret is not None
        sealed = value_of(secret, f"{PSKC}EncryptedValue/{value}")
        mac = openssl("dgst", "-sha512", "-mac", "HMAC", "-macopt", f"hexkey:{mac_key.hex()}", "-binary", data=sealed)
        assert mac == value_of(secret, f"{PSKC}ValueMAC")
        plain = openssl("enc", "-d", "-aes-256-cbc", "-K", document_key.hex(), "-iv", sealed[:16].hex(), data=sealed[16:])
        assert plain == key.key


def first(root: ElementTree.Element, path: str) -> ElementTree.Element:
    found = root.find(path)
    assert found is not None
    return found


SECRET = f".//{CPIX}ContentKey/{CPIX}Data/{PSKC}Secret"
DELIVERY = f".//{CPIX}DeliveryData"


def other_byte(path: str) -> Callable[[ElementTree.Element], None]:
    def change(root: ElementTree.Element) -> None:
        data = bytearray(base64.b64decode(first(root, path).text or ""))
        data[20] ^= 1
        first(root, path).text = base64.b64encode(data).decode()

    return change


def without(parent: str, name: str) -> Callable[[ElementTree.Element], None]:
    return lambda root: first(root, parent).remove(first(root, f"{parent}/{name}"))


def algorithm(path: str, value: str) -> Callable[[ElementTree.Element], None]:
    return lambda root: first(root, path).set("Algorithm", value)


def digest(value: str) -> Callable[[ElementTree.Element], None]:
    return lambda root: added(first(root, f"{DELIVERY}//{ENC}EncryptionMethod"), f"{DS}DigestMethod").set("Algorithm", value)


def plain(root: ElementTree.Element) -> None:
    first(root, SECRET).clear()
    added(first(root, SECRET), f"{PSKC}PlainValue").text = base64.b64encode(KEYS[0].key).decode()


def resealed(own: OwnCertificate, document_key: bytes) -> Callable[[ElementTree.Element], None]:
    """Wrap another document key."""

    def change(root: ElementTree.Element) -> None:
        value = first(root, f"{DELIVERY}/{CPIX}DocumentKey/{CPIX}Data/{PSKC}Secret/{PSKC}EncryptedValue")
        value.clear()
        encrypted(value, "rsa-oaep-mgf1p", own.encrypt(document_key))

    return change


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (other_byte(f"{SECRET}/{PSKC}EncryptedValue/{ENC}CipherData/{ENC}CipherValue"), "MAC of the key .* is wrong"),
        (other_byte(f"{SECRET}/{PSKC}ValueMAC"), "MAC of the key .* is wrong"),
        (other_byte(f"{DELIVERY}/{CPIX}MACMethod//{ENC}CipherValue"), "MAC key does not open"),
        (other_byte(f"{DELIVERY}/{CPIX}DocumentKey//{ENC}CipherValue"), "document key does not open"),
        (without(SECRET, f"{PSKC}ValueMAC"), "without a MAC"),
        (without(DELIVERY, f"{CPIX}MACMethod"), "not authenticated"),
        (without(DELIVERY, f"{CPIX}DocumentKey"), "no document key for the key"),
        (without(f"{SECRET}/{PSKC}EncryptedValue", f"{ENC}CipherData"), "no CipherValue"),
        (algorithm(f"{DELIVERY}/{CPIX}MACMethod", "http://www.w3.org/2000/09/xmldsig#hmac-sha1"), "not authenticated by HMAC-SHA512"),
        (algorithm(f"{DELIVERY}//{ENC}EncryptionMethod", f"{ENC[1:-1]}rsa-1_5"), r"another way than CPIX demands \(rsa-oaep-mgf1p\)"),
        (algorithm(f"{SECRET}//{ENC}EncryptionMethod", f"{ENC[1:-1]}aes128-cbc"), r"another way than CPIX demands \(aes256-cbc\)"),
        (without(f"{SECRET}/{PSKC}EncryptedValue", f"{ENC}EncryptionMethod"), "another way than CPIX demands"),
        (digest(f"{ENC[1:-1]}sha256"), "another way than CPIX demands"),
        (plain, "is in clear, and others are encrypted"),
    ],
)
def test_what_was_altered_or_is_encrypted_otherwise_is_refused(
    change: Callable[[ElementTree.Element], None], what: str, root: ElementTree.Element, own: OwnCertificate
) -> None:
    change(root)
    with pytest.raises(UsageError, match=what) as refused:
        read_cpix(written(root), "keys.xml", own)
    assert (refused.value.where, bool(refused.value.fix)) == ("keys.xml", True)
    text = "".join(traceback.format_exception(refused.value))
    assert not any(secret in text for key in KEYS for secret in (repr(key.key)[2:-1], base64.b64encode(key.key).decode(), key.key.hex()))


@pytest.mark.parametrize(("key", "what"), [(bytes(16), "16 bytes instead of 32"), (bytes(32), "cannot be decrypted|has .* bytes instead")])
def test_another_document_key_opens_nothing(key: bytes, what: str, root: ElementTree.Element, own: OwnCertificate) -> None:
    resealed(own, key)(root)
    with pytest.raises(UsageError, match=what):
        read_cpix(written(root), "keys.xml", own)


def test_each_key_may_have_a_document_key_of_its_own(root: ElementTree.Element, own: OwnCertificate) -> None:
    """CPIX 2.4: encryptsKey lists what a document key is for."""
    ours = first(root, f"{DELIVERY}/{CPIX}DocumentKey")
    ours.set("encryptsKey", "00000000-0000-0000-0000-000000000001 00000000-0000-0000-0000-000000000002")
    assert read_cpix(written(root), "here", own).keys == KEYS
    ours.set("encryptsKey", "00000000-0000-0000-0000-000000000001")
    with pytest.raises(UsageError, match=f"no document key for the key {2:032x}"):
        read_cpix(written(root), "here", own)


def test_a_mac_key_as_the_schema_has_it_is_read(root: ElementTree.Element, own: OwnCertificate) -> None:
    first(root, f"{DELIVERY}/{CPIX}MACMethod/{CPIX}Key").tag = f"{PSKC}MACKey"
    digest(f"{DS[1:-1]}sha1")(root)  # the default, said
    assert read_cpix(written(root), "here", own).keys == KEYS


def test_keys_in_clear_are_read_whatever_stands_beside_them(root: ElementTree.Element) -> None:
    for secret, key in zip(root.findall(SECRET), KEYS, strict=True):
        secret.clear()
        added(secret, f"{PSKC}PlainValue").text = base64.b64encode(key.key).decode()
    assert read_cpix(written(root), "here").keys == KEYS


def test_certificates_that_cannot_be_used_are_refused(pem: Path, tmp_path: Path) -> None:
    own, alone = certificate(tmp_path / "own.pem"), certificate(tmp_path / "alone.pem", with_key=False, number=1)
    key = tmp_path / "key.pem"
    key.write_text("-----BEGIN PRIVATE KEY-----" + pem.read_text().partition("-----BEGIN PRIVATE KEY-----")[2])
    mixed = tmp_path / "mixed.pem"
    mixed.write_text(alone.read_text() + key.read_text())
    locked, curve = tmp_path / "locked.pem", tmp_path / "curve.pem"
    locked.write_bytes(alone.read_bytes() + openssl("pkcs8", "-topk8", "-in", str(pem), "-passout", "pass:s3cret", data=b""))
    request = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x", "-days", "1")
    openssl(*request, "-keyout", str(curve), "-out", str(curve), data=b"")
    small = certificate(tmp_path / "small.pem", bits=1024)
    for file, what in (
        (tmp_path / "nothing.pem", "cannot be read: No such file"),
        (tmp_path, "cannot be read: Is a directory"),
        (alone, "no private key"),
        (key, "no X.509 certificate"),
        (mixed, "not that of the certificate"),
        (locked, "has a password"),
        (curve, "not an RSA key"),
        (small, "has 1024 bits"),
    ):
        if file.is_file():
            file.chmod(0o600)
        with pytest.raises(UsageError, match=what) as refused:
            own_certificate(str(file))
        assert (refused.value.where, bool(refused.value.fix)) == (str(file), True)
    own.chmod(0o604)
    with pytest.raises(UsageError, match="all users of this machine can read the private key"):
        own_certificate(str(own))
    own.chmod(0o640)
    assert "PRIVATE" not in repr(own_certificate(str(own)))
    assert stat.S_IMODE(own.stat().st_mode) == 0o640
    with pytest.raises(UsageError, match="not for RSA"):
        recipient_certificate(str(curve))


def test_a_recipient_may_give_der_and_has_to_be_valid_now(tmp_path: Path, own: OwnCertificate) -> None:
    (tmp_path / "c.cer").write_bytes(own.der)
    assert recipient_certificate(str(tmp_path / "c.cer")).valid().der == own.der
    past = recipient_certificate(str(certificate(tmp_path / "past.pem", days=-1)))
    with pytest.raises(UsageError, match="expired on 20"):
        past.valid()
