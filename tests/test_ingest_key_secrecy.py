"""Keys are nowhere but, wrapped, in the key store: not in children, logs, reprs, events, on the screen, or in any file.

Whole ingests with each scheme and source of keys; the bytes of the keys are known afterwards, and looked for in everything that was seen.
"""

from __future__ import annotations

import base64
import gc
import logging
import secrets
import subprocess
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests import servers
from tests.ingest_support import FIXTURES, Recorder, settings, tree
from tests.key_server import certificate, key_for, key_server
from vidpipe.cli import exits
from vidpipe.cli.app import invoke
from vidpipe.doctor import examine
from vidpipe.errors import KeyServiceFailed
from vidpipe.lifecycle.title_keys import export_keys, show_keys
from vidpipe.pipeline.ingest import IngestRequest, ingest
from vidpipe.pipeline.key_access import key_store, master_source
from vidpipe.preview import playing
from vidpipe.progress import Event

CLIP = FIXTURES / "one-second.mp4"
TOKEN, API_KEY = "Bearer t0ken-of-the-key-server", "k3y-of-the-key-server"


MOMENTS = ("encode_planned", "uploaded", "verify_progress")
"""Events at whose first one all objects are looked at: before there are keys, while they encrypt, and while all is read back."""


def forms(secret: bytes) -> dict[str, bytes]:
    """Every form in which a key may be written."""
    text = base64.b64encode(secret)
    return {
        "raw": secret,
        "hex": secret.hex().encode(),
        "HEX": secret.hex().upper().encode(),
        "UUID": f"{secret.hex()[:8]}-{secret.hex()[8:12]}-{secret.hex()[12:16]}".encode(),
        "base64": text.rstrip(b"="),
        "base64url": base64.urlsafe_b64encode(secret).rstrip(b"="),
        "repr": repr(secret)[2:-1].encode(),
        "numbers": ", ".join(map(str, secret)).encode(),
    }


class Watch(Recorder):
    """Sees what a run shows of itself: each child, each event, all that is logged, and the reprs of what is in memory.

    seen: where, and the bytes.  objects: kinds whose reprs were looked at.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, bytes]] = []
        self.children = 0
        self.objects: set[str] = set()

    def emit(self, event: Event) -> None:
        if event.event in MOMENTS and not self.named(event.event):
            self.look_at_objects()
        super().emit(event)
        self.seen.append((f"event {event.event}", f"{event!r} {event.model_dump_json()}".encode()))

    def look_at_objects(self) -> None:
        """Take the repr of everything of ours that there is."""
        for each in gc.get_objects():
            kind = type(each)
            if str(kind.__module__).startswith("vidpipe."):
                self.objects.add(kind.__name__)
                self.seen.append((f"repr of {kind.__name__}", f"{each!r} {each!s}".encode()))

    def started(self, child: subprocess.Popen[bytes]) -> None:
        """Look at a child as everybody on this machine can."""
        self.children += 1
        self.seen.append((f"arguments of {child.args!r:.60}", repr(child.args).encode()))
        for name in ("cmdline", "environ"):
            with suppress(OSError):  # it has ended already
                self.seen.append((f"{name} of {child.args!r:.60}", Path(f"/proc/{child.pid}/{name}").read_bytes()))


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    watch = Watch()

    class Child(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            watch.started(self)

    class Log(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            watch.seen.append((f"log of {record.name}", f"{record.getMessage()} {record.args!r}".encode()))

    handler, root = Log(), logging.getLogger()
    level = root.level
    monkeypatch.setattr(subprocess, "Popen", Child)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield watch
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


@pytest.fixture(scope="module")
def kms() -> Iterator[servers.S3Server]:
    with servers.moto() as found:
        yield found


CASES = [(scheme, kind) for scheme in ("aes-128", "cbcs", "cenc") for kind in ("local", "variable", "kms", "cpix", "cpix encrypted")]
ORDINARY = [("aes-128", "kms")]  # what a library below said of the master key was found here


@pytest.mark.parametrize(
    ("scheme", "kind"), [pytest.param(*case, marks=() if case in ORDINARY else pytest.mark.nightly, id=" ".join(case)) for case in CASES]
)
def test_keys_are_nowhere_to_be_seen(
    scheme: str,
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    given, home = secrets.token_bytes(32), tmp_path / "run"
    own = certificate(tmp_path / "own.pem")
    private = b"".join(own.read_bytes().partition(b"-----BEGIN PRIVATE KEY-----")[2].split()[:-3])
    with key_server() as server, watched(monkeypatch) as watch:
        server.scheme, server.authorization, server.headers = (None if scheme == "aes-128" else scheme), TOKEN, {"x-api-key": API_KEY}
        changes: dict[str, Any] = {"encrypt": scheme, "key_classes": "audio-video"}
        if scheme == "aes-128":
            changes |= {"key_rotation": "1 segment", "segment_seconds": Fraction(1, 2), "gop_seconds": Fraction(1, 2)}
        if kind == "variable":
            monkeypatch.setenv("VIDPIPE_MASTER_KEY", given.hex())
            changes["master_key"] = given
        elif kind == "kms":
            found: servers.S3Server = request.getfixturevalue("kms")
            found.use(monkeypatch, tmp_path)
            arn = boto3.client("kms", region_name="us-east-1").create_key()["KeyMetadata"]["Arn"]
            changes["key_source"] = f"kms:{arn}"
        elif kind.startswith("cpix"):
            changes |= {"key_source": f"cpix:{server.url}", "key_source_authorization": TOKEN, "key_source_header": f"x-api-key: {API_KEY}"}
            changes |= {"delivery_certificate": str(own)} if kind == "cpix encrypted" else {}
        configured = settings(home, 90, **changes)
        done = ingest(IngestRequest(source=str(CLIP), content_id="film"), configured, watch)
        if kind.startswith("cpix"):
            for authorization in ("wrong", TOKEN):  # an error, and its traceback, and keys that are known
                again = configured.model_copy(update={"key_source_authorization": authorization})
                new = IngestRequest(source=str(CLIP), content_id="film", new_key=True)
                watch.seen += [("error", "".join(failure(ingest, new, again, watch)).encode())]
        for shown in (examine(configured, {}), show_keys(configured, "film"), configured, configured.model_dump_json()):
            watch.seen.append(("shown", f"{shown!r} {shown!s}".encode()))
        encrypted_export = export_keys(configured, "film", str(own))
        with playing("film", configured):
            watch.look_at_objects()
        monkeypatch.setenv("VIDPIPE_HOME", str(configured.home))
        if kind not in ("cpix", "cpix encrypted", "kms"):
            for command in ("keys list --json", "keys show film", "verify film --full --debug", "catalog show film"):
                assert exits.run(invoke, command.split()) == 0
    assert server.wrong == []
    store = key_store(configured)
    keys = {key_id: store.get(key_id).key for key_id in done.record.encryption.key_ids}
    assert len(keys) >= 2
    assert not kind.startswith("cpix") or all(key == key_for(key_id) for key_id, key in keys.items())
    master = next(master_source(configured).masters())
    assert watch.children >= 4, "probe, encodes and the rest were seen"
    assert any(where.startswith("environ of") and b"PATH=" in data for where, data in watch.seen)
    assert {"ContentKey", "KeySet", "KeyStore", "Settings", "Protection"} <= watch.objects
    assert any(where.startswith("log of ") for where, _ in watch.seen), "there are logs to look at"
    screen = capfd.readouterr()
    seen = [*watch.seen, ("stdout", screen.out.encode()), ("stderr", screen.err.encode()), ("export", encrypted_export)]
    files = [(f"file {name}", data) for name, data in tree(home).items()]
    assert {name.split("/")[1] for name in tree(home) if "/" in name} >= {"keys", "library", "work"}
    wanted = {f"key {key_id}": forms(key) for key_id, key in keys.items()} | {"master key": forms(master)}
    wanted |= {"token": {"text": TOKEN.encode()}, "API key": {"text": API_KEY.encode()}, "private key": {"text": private[-300:-236]}}
    places = [(where, data) for where, data in (*seen, *files) if where != "file home/keys/master.key"]
    everything = b"\n".join(data for _, data in places)
    found_at = [
        f"{what} as {form} in {[where for where, data in places if text in data]}"
        for what, written in wanted.items()
        for form, text in written.items()
        if text in everything
    ]
    assert found_at == []


def failure(run: Callable[..., object], *arguments: object) -> list[str]:
    """Return the traceback of what fails; nothing if it does not."""
    try:
        run(*arguments)
    except KeyServiceFailed as error:
        return [*traceback.format_exception(error), *error.lines(), *error.debug, repr(error), *map(repr, error.diagnostics())]
    return []


def test_a_key_would_be_found(tmp_path: Path) -> None:
    """The search itself: each form is one that somebody could write."""
    key = bytes(range(100, 116))
    written = f"{key.hex()} {key.hex().upper()} {base64.b64encode(key).decode()} {list(key)} {uuid.UUID(bytes=key)} {key!r}".encode()
    assert all(text in written + key for text in forms(key).values())
    assert not any(text in written[:0] + bytes(range(99, 115)) for text in forms(key).values())
