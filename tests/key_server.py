"""A stand-in for a key server: SPEKE v2 on loopback. It checks what it is asked, gives each id its key, and can be told to fail."""

from __future__ import annotations

import base64
import datetime
import functools
import hashlib
import hmac
import ipaddress
import os
import ssl
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

CPIX, PSKC = "{urn:dashif:org:cpix}", "{urn:ietf:params:xml:ns:keyprov:pskc}"
TYPES = {"ALL", "AUDIO", "VIDEO", "SD", "HD", "UHD"}
FILTERS = {"ALL": ["AudioFilter", "VideoFilter"], "AUDIO": ["AudioFilter"]}
WIDEVINE, PLAYREADY = "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", "9a04f079-9840-4286-ab92-e65be0885f95"
FAIRPLAY = "94ce86fb-07ff-4f43-adb8-93d2fa968ca2"
SYSTEMS = {WIDEVINE, PLAYREADY, FAIRPLAY}
ENC, DS = "{http://www.w3.org/2001/04/xmlenc#}", "{http://www.w3.org/2000/09/xmldsig#}"


def key_for(kid: str) -> bytes:
    """The key of an id: always the same."""
    return hashlib.sha256(b"stand-in" + uuid.UUID(kid).bytes).digest()[:16]


@dataclass
class KeyServer:
    """url: to ask.  asked: the documents that came.  wrong: what was wrong with requests.  answer: changes a document before it is sent.

    status: to answer with.  statuses: that come before, one a request.  seconds: to wait first.  raw: to send instead of a document.
    authorization: that is asked for.  headers: others that are asked for.  aws: access key, secret key and region of signatures that are.
    sent: headers of the answers.  pause: seconds to wait in the middle of a body.  encrypts: whether a certificate is heeded.
    """

    url: str = ""
    asked: list[ElementTree.Element] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    answer: Callable[[ElementTree.Element], object] = lambda _: None
    status: int = 200
    seconds: float = 0
    raw: bytes | None = None
    version: str = "2.0"
    authorization: str | None = None
    scheme: str | None = None
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    aws: tuple[str, str, str] | None = None
    sent: dict[str, str] = field(default_factory=dict)
    pause: float = 0
    encrypts: bool = True

    def check(self, root: ElementTree.Element) -> Iterator[str]:
        """Yield what SPEKE v2 forbids in a request."""
        if (root.tag, root.get("version")) != (f"{CPIX}CPIX", "2.3") or not root.get("contentId"):
            yield "root"
        kids = [key.get("kid") for key in root.findall(f"{CPIX}ContentKeyList/{CPIX}ContentKey")]
        if not kids or len({*kids}) != len(kids) or any(str(uuid.UUID(kid)) != kid for kid in kids):
            yield "ids"
        if root.find(f".//{PSKC}Secret") is not None:
            yield "a key in a request"
        if {key.get("commonEncryptionScheme") for key in root.iter(f"{CPIX}ContentKey")} != {self.scheme}:
            yield "scheme"
        ivs = [base64.b64decode(key.get("explicitIV") or "") for key in root.iter(f"{CPIX}ContentKey")]
        if {len(iv) for iv in ivs} != {16 if self.scheme == "cbcs" else 0} or (self.scheme == "cbcs" and len({*ivs}) != len(ivs)):
            yield "IVs"
        rules = root.findall(f"{CPIX}ContentKeyUsageRuleList/{CPIX}ContentKeyUsageRule")
        if [rule.get("kid") for rule in rules] != kids:
            yield "a rule a key"
        periods = {each.get("id") for each in root.findall(f"{CPIX}ContentKeyPeriodList/{CPIX}ContentKeyPeriod")}
        meanings = []
        for rule in rules:
            kind, parts = rule.get("intendedTrackType") or "", [each.tag.removeprefix(CPIX) for each in rule]
            meant = [each.get("periodId") for each in rule.findall(f"{CPIX}KeyPeriodFilter")]
            meanings.append((kind, *meant))
            if kind not in TYPES or {*meant} - periods or bool(meant) != bool(periods):
                yield f"rule {kind} {meant}"
            if [part for part in parts if part != "KeyPeriodFilter"] != FILTERS.get(kind, ["VideoFilter"]):
                yield f"filters {parts}"
        if len({*meanings}) != len(meanings):
            yield "two keys for one use"
        systems = {(each.get("kid"), each.get("systemId")) for each in root.findall(f"{CPIX}DRMSystemList/{CPIX}DRMSystem")}
        playing = {"cbcs": SYSTEMS, "cenc": SYSTEMS - {FAIRPLAY}}.get(self.scheme or "", set[str]())
        if systems != {(kid, system) for kid in kids for system in playing}:
            yield "DRM systems"

    def fill(self, root: ElementTree.Element) -> None:
        """Put keys and signals in."""
        delivery = root.find(f"{CPIX}DeliveryDataList/{CPIX}DeliveryData") if self.encrypts else None
        document_key, mac_key = os.urandom(32), os.urandom(64)
        if delivery is not None:
            wrap_keys(delivery, document_key, mac_key)
        for key in root.iter(f"{CPIX}ContentKey"):
            secret, value = added(key, f"{CPIX}Data/{PSKC}Secret"), key_for(key.get("kid") or "")
            if delivery is None:
                added(secret, f"{PSKC}PlainValue").text = base64.b64encode(value).decode()
            else:
                iv = os.urandom(16)
                aes = Cipher(algorithms.AES(document_key), modes.CBC(iv)).encryptor()
                sealed = iv + aes.update(value + b"\x10" * 16) + aes.finalize()  # PKCS #7
                encrypted(added(secret, f"{PSKC}EncryptedValue"), "aes256-cbc", sealed)
                mac = hmac.digest(mac_key, sealed, "sha512")
                added(secret, f"{PSKC}ValueMAC").text = base64.b64encode(mac).decode()
        for system in root.iter(f"{CPIX}DRMSystem"):
            for element in system:
                about = system.get("systemId") or "", system.get("kid") or ""
                said = signalling(element.tag.removeprefix(CPIX), element.get("playlist"), *about)
                element.text = base64.b64encode(said).decode()


def signalling(kind: str, playlist: str | None, system: str, kid: str) -> bytes:
    """What a DRM system wants to be said of a key, in form as the real ones: a pssh box, XML for DASH, a tag for a playlist."""
    data = f"of {kid}".encode()
    box = struct.pack(">I4sI", 32 + len(data), b"pssh", 0) + uuid.UUID(system).bytes + struct.pack(">I", len(data)) + data
    if kind == "PSSH":
        return box
    if kind == "ContentProtectionData":
        return f'<pssh xmlns="urn:mpeg:cenc:2013">{base64.b64encode(box).decode()}</pssh>'.encode()
    tag = "EXT-X-KEY" if playlist == "media" else "EXT-X-SESSION-KEY"
    return f'#{tag}:METHOD=SAMPLE-AES,URI="skd://{kid}",KEYFORMAT="urn:uuid:{system}",KEYFORMATVERSIONS="1"'.encode()


def added(parent: ElementTree.Element, path: str) -> ElementTree.Element:
    """Add elements, one within the other, and return the last."""
    for tag in path.replace("/{", "\n{").split("\n"):
        parent = ElementTree.SubElement(parent, tag)
    return parent


def encrypted(element: ElementTree.Element, how: str, data: bytes) -> None:
    """Fill what XML Encryption calls EncryptedData."""
    added(element, f"{ENC}EncryptionMethod").set("Algorithm", f"{ENC[1:-1]}{how}")
    added(element, f"{ENC}CipherData/{ENC}CipherValue").text = base64.b64encode(data).decode()


def wrap_keys(delivery: ElementTree.Element, document_key: bytes, mac_key: bytes) -> None:
    """Answer a certificate as the documentation of SPEKE has it, where EncryptedValue is around both keys."""
    found = delivery.find(f"{CPIX}DeliveryKey/{DS}X509Data/{DS}X509Certificate")
    assert found is not None
    public = x509.load_der_x509_certificate(base64.b64decode(found.text or "")).public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    sha1 = hashes.SHA1()
    document, method = (ElementTree.SubElement(delivery, f"{CPIX}{name}") for name in ("DocumentKey", "MACMethod"))
    document.set("Algorithm", f"{ENC[1:-1]}aes256-cbc")
    method.set("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha512")
    for place, key in ((added(document, f"{CPIX}Data/{PSKC}Secret"), document_key), (added(method, f"{CPIX}Key"), mac_key)):
        wrapped = public.encrypt(key, padding.OAEP(padding.MGF1(sha1), sha1, None))
        encrypted(added(place, f"{PSKC}EncryptedValue"), "rsa-oaep-mgf1p", wrapped)


@functools.cache
def private_key(bits: int, number: int) -> rsa.RSAPrivateKey:
    """A fresh key in each run of the tests. number: of several."""
    return rsa.generate_private_key(65537, bits)


def certificate(
    file: Path, *, days: float = 1, bits: int = 2048, with_key: bool = True, host: str = "127.0.0.1", number: int = 0
) -> Path:
    """Write a certificate, signed by itself, and its private key, as PEM. number: of the private key."""
    key = private_key(bits, number)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "vidpipe")])
    now = datetime.datetime.now(datetime.UTC)
    end = now + datetime.timedelta(days=days)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), min(now, end) - datetime.timedelta(days=1), end)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = built.public_bytes(serialization.Encoding.PEM)
    if with_key:
        plain = serialization.NoEncryption()
        pem += key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(pem)
    file.chmod(0o600)
    return file


def signature(aws: tuple[str, str, str], method: str, path: str, headers: Message, body: bytes) -> str:
    """Return what Authorization has to say, as the documentation of AWS signature version 4 computes it."""
    access, secret, region = aws
    given = headers["Authorization"]
    names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    lines = "".join(f"{name}:{' '.join((headers[name] or '').split())}\n" for name in names)
    hashed = hashlib.sha256(body).hexdigest()
    request = "\n".join((method, quote(path, safe="/-_.~"), "", lines, ";".join(names), hashed))
    date = headers["X-Amz-Date"]
    scope = f"{date[:8]}/{region}/execute-api/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", date, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signed = hmac.digest(key, text.encode(), "sha256").hex()
    return f"AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={';'.join(names)}, Signature={signed}"


@contextmanager
def key_server(tls: ssl.SSLContext | None = None) -> Iterator[KeyServer]:
    """Run a key server while the block runs. tls: over it."""
    state = KeyServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = tuple(self.headers.get(name) for name in ("Content-Type", "Accept", "X-Speke-Version"))
            if headers != ("application/xml", "application/xml", "2.0"):
                state.wrong.append(f"headers {headers}")
            root = ElementTree.fromstring(body)
            state.asked.append(ElementTree.fromstring(body))
            state.wrong += state.check(root)
            status = state.statuses.pop(0) if state.statuses else state.status if self._known(body) else 401
            time.sleep(state.seconds)
            state.fill(root)
            state.answer(root)
            data = state.raw if state.raw is not None else ElementTree.tostring(root)
            self.send_response(status)
            about = {"Content-Type": "application/xml", "X-Speke-Version": state.version, "X-Speke-User-Agent": "stand-in"}
            for name, value in (about | {"Content-Length": str(len(data))} | state.sent).items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):
                self.wfile.write(data[: len(data) // 2])
                self.wfile.flush()
                time.sleep(state.pause)
                self.wfile.write(data[len(data) // 2 :])

        def do_HEAD(self) -> None:
            if any(self.headers.get(name) for name in ("Authorization", "X-Api-Key")):
                state.wrong.append("a secret in a request for nothing")
            self.send_response(state.status)
            for name, value in state.sent.items():
                self.send_header(name, value)
            self.end_headers()

        def _known(self, body: bytes) -> bool:
            given = self.headers.get("Authorization")
            if any(self.headers.get(name) != value for name, value in state.headers.items()):
                return False
            if state.aws:
                return bool(given) and given == signature(state.aws, "POST", self.path, self.headers, body)
            return state.authorization is None or given == state.authorization

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        state.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/speke/v2.0/copyProtection"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield state
        server.shutdown()
