"""Look at the machine before work begins: can this vidpipe, with these settings, ingest a title?

In:   Settings and the environment.
Out:  a CheckResult for each thing that an ingest needs: ok, warning or error, with what to do.
Wrong: nothing: whatever fails becomes a CheckResult. Creates the home and the target folder if they are missing, and no object.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import urlsplit

from vidpipe import __version__, quantities
from vidpipe.data import Data
from vidpipe.defaults import MASTER_KEY_VARIABLE
from vidpipe.encoders import encoders
from vidpipe.errors import UsageError, VidpipeError
from vidpipe.ladder import load
from vidpipe.media.ffmpeg import find
from vidpipe.pipeline.key_access import asks_server, key_server, key_store
from vidpipe.settings import Settings, unknown_variables

LITTLE_SPACE = 5 * 1000**3
"""Bytes free in the work folder below which an ingest of a film is likely to stop for lack of space."""
CONNECT_SECONDS = 5.0


class CheckResult(Data):
    """One thing that was looked at. fix: what to do if state is not ok."""

    name: str
    state: Literal["ok", "warning", "error"]
    detail: str
    fix: str | None = None


def examine(settings: Settings, environ: Mapping[str, str]) -> list[CheckResult]:
    """Look at everything. No check stops another."""
    looks: list[tuple[str, Callable[[], CheckResult]]] = [
        ("vidpipe", lambda: _ok("vidpipe", f"{__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")),
        ("settings", lambda: _variables(environ)),
        ("ffmpeg", lambda: _ffmpeg(settings)),
        ("ladder", lambda: _ladder(settings)),
        ("home", lambda: _home(settings)),
        ("keys", lambda: _keys(settings)),
        ("target", lambda: _writable("target", settings.target)),
        ("catalog", lambda: _catalog(settings)),
    ]
    if settings.delivery_certificate:
        looks.append(("delivery_certificate", lambda: _delivery_certificate(str(settings.delivery_certificate))))
    if asks_server(settings):
        looks.append(("key_source", lambda: _key_server(settings)))
    if settings.cluster:
        looks.append(("cluster", lambda: _cluster(str(settings.cluster))))
    if settings.cluster and settings.cluster_work:
        looks.append(("cluster_work", lambda: _writable("cluster_work", str(settings.cluster_work))))
    return [_guarded(name, look) for name, look in looks]


def _ok(name: str, detail: str) -> CheckResult:
    return CheckResult(name=name, state="ok", detail=detail)


def _guarded(name: str, look: Callable[[], CheckResult]) -> CheckResult:
    try:
        return look()
    except VidpipeError as error:
        return CheckResult(name=name, state="error", detail=str(error), fix=error.fix)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return CheckResult(name=name, state="error", detail=f"{where}{error.strerror or error}", fix="check the path and its permissions")


def _variables(environ: Mapping[str, str]) -> CheckResult:
    unknown = unknown_variables(environ)
    if unknown:
        meant = [name for name in unknown.values() if name]
        fix = f"did you mean {', '.join(meant)}?" if meant else "unset it; the variables are listed in docs/settings.md"
        return CheckResult(name="settings", state="error", detail=f"no setting reads {', '.join(unknown)}", fix=fix)
    return _ok("settings", "every VIDPIPE_ variable is known")


def _ffmpeg(settings: Settings) -> CheckResult:
    found = find(settings.ffmpeg)
    found.require(encoders=["aac", *(encoder.name for encoder in encoders() if not encoder.optional)])
    missing = [encoder for encoder in encoders() if encoder.name not in found.encoders]
    detail = f"{found.version}, {found.path}"
    if missing:
        names, made = (", ".join(encoder.name for encoder in missing), " or ".join(encoder.codec for encoder in missing))
        fix = f"ladders with {made} need another ffmpeg"
        return CheckResult(name="ffmpeg", state="warning", detail=f"{detail}; without {names}", fix=fix)
    return _ok("ffmpeg", detail)


def _ladder(settings: Settings) -> CheckResult:
    ladder = load(settings.ladder)
    return _ok("ladder", f"{ladder.name}: {quantities.count(len(ladder.rungs), 'rung')}")


def _home(settings: Settings) -> CheckResult:
    settings.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=settings.work) as trial:
        trial.write(b"vidpipe")
    free = shutil.disk_usage(settings.work).free
    detail = f"{settings.home}, {quantities.size(free)} free"
    if free < LITTLE_SPACE:
        return CheckResult(
            name="home", state="warning", detail=detail, fix="free some space (vidpipe work clean), or choose another home with --home"
        )
    return _ok("home", detail)


def _keys(settings: Settings) -> CheckResult:
    from vidpipe.protect.former_kms import FORMER
    from vidpipe.protect.master_key import FILE, KMS_NEXT, NEXT, load_master_key

    folder = settings.keys
    store = key_store(settings)
    kept = len(store.ids()) if folder.is_dir() else 0
    if os.name == "posix" and folder.is_dir() and stat.S_IMODE(folder.stat().st_mode) & 0o077:
        return CheckResult(name="keys", state="warning", detail=f"other users can read {folder}", fix=f"run chmod 700 {folder}")
    damaged = [key_id for key_id, state in store.states().items() if state == "damaged"]
    if damaged:
        return CheckResult(
            name="keys",
            state="error",
            detail=f"{len(damaged)} of {kept} in {folder} cannot be read or were altered, such as {damaged[0]}",
            fix="restore their files from a backup; vidpipe keys list names them, and the titles that need them",
        )
    foreign = store.foreign() if kept else ()
    if foreign:
        titles = ", ".join(sorted({info.content_id for info in foreign})[:3])
        return CheckResult(
            name="keys",
            state="warning",
            detail=f"{len(foreign)} of {kept} in {folder} were wrapped with another master key, such as those of {titles}",
            fix=f"set {MASTER_KEY_VARIABLE} to the master key of those titles, and keep that key: they play only with it",
        )
    if any((folder / name).exists() for name in (NEXT, KMS_NEXT, FORMER)):
        return CheckResult(
            name="keys",
            state="warning",
            detail=f"{kept} kept in {folder}; all can be opened, but a rotation of the master key is not finished",
            fix="run: vidpipe keys rotate-master",
        )
    if settings.key_source.startswith("kms:"):
        return _ok("keys", f"{kept} kept in {folder}, master key from {settings.key_source}")
    if settings.master_key is not None:
        return _ok("keys", f"{kept} kept in {folder}, master key from {MASTER_KEY_VARIABLE}")
    if not kept and not (folder / FILE).exists():
        return _ok("keys", f"none yet; the master key is created on first use in {folder}")
    load_master_key(folder)  # refuses a file that others may read, or that is no key
    return _ok("keys", f"{kept} kept in {folder}, master key in {folder / FILE}")


def _delivery_certificate(file: str) -> CheckResult:
    from vidpipe.protect.delivery_certificate import own_certificate

    own = own_certificate(file).valid()
    return _ok("delivery_certificate", f"{file}, valid until {own.certificate.not_valid_after_utc:%Y-%m-%d}")


def _key_server(settings: Settings) -> CheckResult:
    """Look whether the key server can be reached. It is shown our certificate and asked for no key, so no header is tried."""
    server = key_server(settings)
    status = server.reach()
    shown = f", shown {server.client_certificate}" if server.client_certificate else ""
    return _ok("key_source", f"a server answers at {server.where}{shown}: {status} to a request for nothing")


def _writable(name: str, target: str) -> CheckResult:
    from vidpipe.storage import open_storage

    storage = open_storage(target)
    try:
        storage.check()
        return _ok(name, f"{storage.location()} can be written")
    finally:
        storage.close()


def _catalog(settings: Settings) -> CheckResult:
    from vidpipe.catalog import open_catalog

    with open_catalog(settings.catalog_url) as catalog:
        return _ok("catalog", f"live titles: {len(catalog.list())}, in {catalog.where}")


def _cluster(address: str) -> CheckResult:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise UsageError("this is not the address of a scheduler", where=address, fix="write tcp://HOST:8786")
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as error:
        raise UsageError(f"the scheduler does not answer: {error}", where=address, fix="start it, or correct --cluster") from error
    return _ok("cluster", f"a scheduler listens at {address}")
