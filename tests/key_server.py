"""A stand-in for a key server: SPEKE v2 on loopback. It checks what it is asked, gives each id its key, and can be told to fail."""

from __future__ import annotations

import base64
import hashlib
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xml.etree import ElementTree

CPIX, PSKC = "{urn:dashif:org:cpix}", "{urn:ietf:params:xml:ns:keyprov:pskc}"
TYPES = {"ALL", "AUDIO", "VIDEO", "SD", "HD", "UHD"}
FILTERS = {"ALL": ["AudioFilter", "VideoFilter"], "AUDIO": ["AudioFilter"]}
WIDEVINE, PLAYREADY = "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", "9a04f079-9840-4286-ab92-e65be0885f95"
FAIRPLAY = "94ce86fb-07ff-4f43-adb8-93d2fa968ca2"
SYSTEMS = {WIDEVINE, PLAYREADY, FAIRPLAY}


def key_for(kid: str) -> bytes:
    """The key of an id: always the same."""
    return hashlib.sha256(b"stand-in" + uuid.UUID(kid).bytes).digest()[:16]


@dataclass
class KeyServer:
    """url: to ask.  asked: the documents that came.  wrong: what was wrong with requests.  answer: changes a document before it is sent.

    status: to answer with.  seconds: to wait first.  raw: to send instead of a document.  authorization: that is asked for.
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
        for key in root.iter(f"{CPIX}ContentKey"):
            secret = ElementTree.SubElement(ElementTree.SubElement(key, f"{CPIX}Data"), f"{PSKC}Secret")
            ElementTree.SubElement(secret, f"{PSKC}PlainValue").text = base64.b64encode(key_for(key.get("kid") or "")).decode()
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


@contextmanager
def key_server() -> Iterator[KeyServer]:
    """Run a key server while the block runs."""
    state = KeyServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = (self.headers.get("Content-Type"), self.headers.get("X-Speke-Version"))
            if headers != ("application/xml", "2.0"):
                state.wrong.append(f"headers {headers}")
            status = state.status
            if state.authorization and self.headers.get("Authorization") != state.authorization:
                status = 401
            root = ElementTree.fromstring(body)
            state.asked.append(ElementTree.fromstring(body))
            state.wrong += state.check(root)
            time.sleep(state.seconds)
            state.fill(root)
            state.answer(root)
            data = state.raw if state.raw is not None else ElementTree.tostring(root)
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("X-Speke-Version", state.version)
            self.send_header("X-Speke-User-Agent", "stand-in")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(ConnectionError):
                self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        state.url = f"http://127.0.0.1:{server.server_port}/speke/v2.0/copyProtection"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield state
        server.shutdown()
