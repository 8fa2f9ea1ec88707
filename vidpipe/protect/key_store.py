"""The local key store: a fresh AES-128 content key for every title, wrapped by the master key.

In:   the folder of the store and, optionally, the master key, or where it comes from (else ``master.key`` in the folder).
Out:  ContentKey, and one file for each key: ``{key_id}.json``, mode 0600, in a folder of mode 0700.
Wrong: UsageError: wrong or retired master key, altered or unreadable key file, unknown key id. No message ever holds a key.

A key file holds the key wrapped (AES key wrap, RFC 3394), the content id, the time, a fingerprint of the master key (to distinguish a wrong
master key from an altered file) and an HMAC over all of it (RFC 3394 protects the key alone, not what the key is for).

``master.retired`` holds the fingerprints of master keys that a rotation has replaced, one a line: a process that was started before the
rotation still has one, and what it wrapped with it would be lost with that key.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from pydantic import ValidationError

from vidpipe import durable
from vidpipe.data import Data
from vidpipe.errors import UsageError
from vidpipe.protect.master_key import private_folder
from vidpipe.protect.master_source import GivenMaster, LocalMaster, MasterSource
from vidpipe.work.locks import held

KEY_BYTES = 16
"""AES-128 (RFC 8216 section 4.3.2.4)."""
RETIRED = "master.retired"
LOCK_FILE = ".lock"
LOCK_SECONDS = 60.0
"""So long is waited for another process that makes a key or wraps all of them anew."""
_KEY_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class ContentKey:
    """The key of a title. key_id: 32 hex digits, public, stands in playlists and records.  key: 16 secret bytes, in no repr."""

    key_id: str
    content_id: str
    key: bytes = field(repr=False)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a content key stays in the process that opened it")


class KeyInfo(Data):
    """What may be shown of a key."""

    key_id: str
    content_id: str
    created_at: datetime


KeyFileState = Literal["usable", "another master key", "damaged"]


class _KeyFile(Data):
    schema_version: Literal["vidpipe.key/1"] = "vidpipe.key/1"
    key_id: str
    content_id: str
    created_at: datetime
    wrapped: str
    master: str
    mac: str = ""


class KeyStore:
    """The keys in one folder. Safe for several threads and processes at once. Nothing is created before the first ``create``."""

    def __init__(self, folder: Path, master: bytes | MasterSource | None = None) -> None:
        self.folder = folder
        self._source = LocalMaster(folder) if master is None else GivenMaster(master) if isinstance(master, bytes) else master

    def create(self, content_id: str, key_id: str | None = None) -> ContentKey:
        """Make, store and return a fresh random key for a title. key_id: a ``new_key_id`` that was written down before."""
        key = ContentKey(key_id=key_id or new_key_id(), content_id=content_id, key=secrets.token_bytes(KEY_BYTES))
        self.add(key)
        return key

    def add(self, key: ContentKey) -> None:
        """Store a key that was made elsewhere, or the same one again. Raises UsageError if another one has its id."""
        if not _KEY_ID.fullmatch(key.key_id) or len(key.key) != KEY_BYTES:
            raise ValueError(f"not a key of {KEY_BYTES} bytes with an id of 32 hex digits: {key!r}")
        file = self._file(key.key_id)
        try:
            private_folder(self.folder)
            durable.sweep(self.folder)
            with self.locked():
                if file.exists():
                    if self.get(key.key_id) != key:
                        fix = f"see what has it: vidpipe keys show {key.key_id}"
                        raise UsageError("another key with this id is in the key store", where=str(file), fix=fix)
                    return
                master = self._source.present()
                self._check_not_retired(master)
                now = datetime.now(UTC).replace(microsecond=0)
                self._write(KeyInfo(key_id=key.key_id, content_id=key.content_id, created_at=now), key.key, master)
        except OSError as problem:
            raise self._unusable("a content key cannot be stored", file, problem) from problem

    def get(self, key_id: str) -> ContentKey:
        """Return the key with this id. Raises UsageError if it is unknown, altered, or wrapped with another master key."""
        if not _KEY_ID.fullmatch(key_id):
            raise UsageError(
                f"{key_id[:80]!r} is not a key id", where=str(self.folder), fix="a key id has 32 hex digits; see `catalog show`"
            )
        file = self._file(key_id)
        for _ in range(2):  # between reading the key and reading the master key, both may have been replaced
            entry = self._read(file)
            for master in self._source.masters():
                if entry.master == _fingerprint(master):
                    return ContentKey(key_id, entry.content_id, self._unwrapped(file, entry, master))
        raise UsageError(
            "this key was wrapped with another master key",
            where=str(file),
            fix="set VIDPIPE_MASTER_KEY to the master key that was used when the title was ingested, or key_source to its KMS key, or use "
            "that home (--home)",
        )

    def rewrap(self, new: bytes, *, dry_run: bool = False) -> tuple[int, int, tuple[KeyInfo, ...]]:
        """Wrap every key with another master key that the present one opens. Only for a holder of ``locked``.

        Return how many were wrapped, how many were already, and those that neither opens, which stay as they are. A file that is damaged is
        an error before any is touched: restored from a backup later, it would need the master key that is to be given up.
        """
        present, old, already, foreign = _fingerprint(new), list[tuple[Path, _KeyFile, bytes]](), 0, []
        masters = {_fingerprint(master): master for master in (*self._source.masters(), new)}
        for file in sorted(self._files()):
            entry = self._read(file)
            if entry.master not in masters:
                foreign.append(_info(entry))
                continue
            key = self._unwrapped(file, entry, masters[entry.master])
            if entry.master == present:
                already += 1
            else:
                old.append((file, entry, key))
        for file, entry, key in old if not dry_run else ():
            try:
                self._write(_info(entry), key, new)
            except OSError as problem:
                raise self._unusable("a content key cannot be stored", file, problem) from problem
        return len(old), already, tuple(foreign)

    def retire(self, masters: Iterable[bytes], new: bytes) -> None:
        """Let ``add`` refuse master keys that another one has replaced. Only for a holder of ``locked``."""
        file = self.folder / RETIRED
        try:
            known = self._retired()
            listed = {*known, *map(_fingerprint, masters)} - {_fingerprint(new)}
            if listed != set(known):
                durable.write(file, "".join(f"{each}\n" for each in sorted(listed)).encode(), private=True)
        except OSError as problem:
            raise self._unusable("the list of retired master keys cannot be stored", file, problem) from problem

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let no other process make a key, or wrap keys anew, while the block runs: none is wrapped with a master key that is given up."""
        file = self.folder / LOCK_FILE
        with ExitStack() as lock:
            try:
                free = lock.enter_context(held(file, seconds=LOCK_SECONDS, passing=True))
            except OSError as problem:
                raise self._unusable("the key store cannot be written", file, problem) from problem
            if not free:
                fix = "wait for it to end, then run this again"
                raise UsageError("another process holds the key store", where=str(self.folder), fix=fix)
            yield

    def holds(self, key_id: str) -> bool:
        """Return whether there is a key of this id."""
        return _KEY_ID.fullmatch(key_id) is not None and self._file(key_id).exists()

    def foreign(self, most: int | None = None) -> tuple[KeyInfo, ...]:
        """Return which keys another master key than the present one has wrapped. most: look at so many keys only."""
        files = list(itertools.islice(self._files(), most))
        if not files:
            return ()  # and no master key is made
        present = {_fingerprint(master) for master in self._source.masters()}
        entries = []
        for file in files:
            with suppress(UsageError):  # damaged, or just removed: whoever needs it gets the error
                entries.append(self._read(file))
        return tuple(_info(entry) for entry in entries if entry.master not in present)

    def states(self) -> dict[str, KeyFileState]:
        """Open every key, and return for each id whether it can be. damaged: the file cannot be read, or was altered."""
        files = list(self._files())
        masters = {_fingerprint(master): master for master in self._source.masters()} if files else {}
        states: dict[str, KeyFileState] = {}
        for file in files:
            try:
                entry = self._read(file)
                if entry.master in masters:
                    self._unwrapped(file, entry, masters[entry.master])
                states[file.stem] = "usable" if entry.master in masters else "another master key"
            except UsageError:
                if file.exists():  # else it was just removed
                    states[file.stem] = "damaged"
        return states

    def remove(self, key_id: str) -> None:
        """Forget the key of a version that was never published. Nothing there is no error."""
        if not _KEY_ID.fullmatch(key_id):
            raise ValueError(f"not a key id: {key_id!r}")
        file = self._file(key_id)
        if not file.exists():  # nor is a folder made for the lock
            return
        try:
            with self.locked():  # a rotation that has read the file would write it anew
                file.unlink(missing_ok=True)
        except OSError as problem:
            raise self._unusable("a content key cannot be removed", file, problem) from problem

    def find(self, content_id: str | None = None) -> tuple[KeyInfo, ...]:
        """Return which keys there are (for one title, or all), oldest first. Unwraps nothing and needs no master key.

        Files that cannot be read are left out; ``states`` names them.
        """
        known = []
        for file in list(self._files()):
            with suppress(UsageError):
                known.append(_info(self._read(file)))
        return tuple(
            sorted((info for info in known if content_id in (None, info.content_id)), key=lambda info: (info.created_at, info.key_id))
        )

    def ids(self) -> tuple[str, ...]:
        """Return the ids of all keys, without a look into their files."""
        return tuple(sorted(file.stem for file in self._files()))

    def _retired(self) -> tuple[str, ...]:
        try:
            return tuple((self.folder / RETIRED).read_text(encoding="ascii", errors="replace").split())
        except FileNotFoundError:
            return ()

    def _check_not_retired(self, master: bytes) -> None:
        if _fingerprint(master) in self._retired():
            raise UsageError(
                f"this master key (fingerprint {_fingerprint(master)}) was replaced by another one, so that no new key is wrapped with it",
                where=str(self.folder / RETIRED),
                fix="finish the rotation, set VIDPIPE_MASTER_KEY to the new master key (or unset it, if that lies in the key store), "
                "and start this process again",
            )

    def _files(self) -> Iterator[Path]:
        try:
            yield from (file for file in self.folder.iterdir() if file.suffix == ".json" and _KEY_ID.fullmatch(file.stem))
        except FileNotFoundError:
            return  # no key was made yet
        except OSError as problem:  # which glob would pass over, as if there were no keys
            raise self._unusable("the key store cannot be read", self.folder, problem) from problem

    def _write(self, info: KeyInfo, key: bytes, master: bytes) -> None:
        """Write a key file, or write it anew with another master key. Raises OSError."""
        entry = _KeyFile(
            key_id=info.key_id,
            content_id=info.content_id,
            created_at=info.created_at,
            wrapped=aes_key_wrap(master, key).hex(),
            master=_fingerprint(master),
        )
        entry = entry.model_copy(update={"mac": _mac(master, entry)})
        durable.write(self._file(info.key_id), entry.model_dump_json().encode(), private=True)

    def _unwrapped(self, file: Path, entry: _KeyFile, master: bytes) -> bytes:
        """Return the key in a file. Raises UsageError if anything in the file was altered."""
        altered = UsageError(
            "the key file was altered or damaged", where=str(file), fix="restore it from a backup, or ingest the title again"
        )
        if entry.key_id != file.stem or not hmac.compare_digest(entry.mac, _mac(master, entry)):
            raise altered
        try:
            return aes_key_unwrap(master, bytes.fromhex(entry.wrapped))
        except (InvalidUnwrap, ValueError) as problem:
            raise altered from problem

    def _file(self, key_id: str) -> Path:
        return self.folder / f"{key_id}.json"

    def _read(self, file: Path) -> _KeyFile:
        try:
            return _KeyFile.model_validate_json(file.read_bytes())
        except FileNotFoundError as problem:
            raise UsageError(
                f"there is no key {file.stem} in this key store",
                where=str(self.folder),
                fix="use the home that the title was ingested with (--home)",
            ) from problem
        except OSError as problem:
            raise self._unusable("a content key cannot be read", file, problem) from problem
        except ValidationError:
            # "from None": pydantic's message would quote the file.
            raise UsageError(
                "the key file was altered or damaged", where=str(file), fix="restore it from a backup, or ingest the title again"
            ) from None

    def _unusable(self, what: str, file: Path, problem: OSError) -> UsageError:
        return UsageError(
            f"{what}: {problem.strerror or problem}",
            where=str(file),
            fix="give this user access to it, free some space, or choose another home with --home",
        )


def new_key_id() -> str:
    """Return a fresh id for a content key: 128 random bits."""
    return secrets.token_hex(16)


def _info(entry: _KeyFile) -> KeyInfo:
    return KeyInfo(key_id=entry.key_id, content_id=entry.content_id, created_at=entry.created_at)


def _fingerprint(master: bytes) -> str:
    """Eight bytes that distinguish master keys and give nothing away."""
    return hmac.digest(master, b"vidpipe master key fingerprint v1", hashlib.sha256)[:8].hex()


def _mac(master: bytes, entry: _KeyFile) -> str:
    """HMAC-SHA256 over every other field, under a key of its own that is derived from the master key."""
    fields = json.dumps(entry.model_dump(mode="json", exclude={"mac"}), sort_keys=True).encode()
    return hmac.digest(hmac.digest(master, b"vidpipe key file v1", hashlib.sha256), fields, hashlib.sha256).hex()
