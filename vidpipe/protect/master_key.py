"""The master key, which wraps every content key: read it, or create it once.

In:   VIDPIPE_MASTER_KEY as text (settings hand it in), or the folder of the key store.
Out:  32 bytes. In the folder they lie in ``master.key`` as 64 hex digits, mode 0600, so that the file's text can be used as
      VIDPIPE_MASTER_KEY on another machine.
Wrong: UsageError: not 32 bytes, readable by others, missing although wrapped keys exist. No message ever holds the key.

Uses no cryptography, so that settings can check the key cheaply.
"""

from __future__ import annotations

import base64
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from vidpipe import durable
from vidpipe.errors import UsageError

MASTER_BYTES = 32
"""AES-256 for wrapping."""
FILE = "master.key"
NEXT = "master.key.next"
"""The key that is to take its place, while ``master_rotation.py`` wraps all keys anew. Until that is done both open keys."""
KMS_FILE = "master.kms"
KMS_NEXT = "master.kms.next"
"""The same, wrapped by AWS KMS."""
_ENVIRONMENT = "VIDPIPE_MASTER_KEY"


def parse_master_key(text: str, where: str = _ENVIRONMENT) -> bytes:
    """Return the 32 bytes written as 64 hex digits or as base64 (standard or URL-safe). Raises UsageError for anything else."""
    for read in (bytes.fromhex, _from_base64):
        with suppress(ValueError):
            if len(key := read(text.strip())) == MASTER_BYTES:
                return key
    raise UsageError(
        "the master key is not 32 bytes, written as 64 hex digits or as base64", where=where, fix="make one with: openssl rand -hex 32"
    )


def load_master_key(folder: Path, *, anew: bool = False) -> bytes:
    """Return the master key of a key store, created on first use. Processes that start together get the same key.

    anew: create it even if there are keys, because another master key has wrapped those.
    Raises UsageError if it cannot be read or created, if others may read it, if it is gone while wrapped keys still need it, or if AWS KMS
    wraps the one of this key store.
    """
    file = folder / FILE
    try:
        key = _read(file)
        if key is None:
            if anew or not (any(folder.glob("*.json")) or (folder / KMS_FILE).exists()):
                _create(file)
            key = _read(file)  # another process may have created it, and content keys too, since the first look
    except OSError as problem:
        raise _unreadable(file, problem) from problem
    if key is None and (folder / KMS_FILE).exists():
        raise UsageError(
            "the master key of this key store is wrapped by AWS KMS, and key_source names no KMS key",
            where=str(folder / KMS_FILE),
            fix="set key_source to kms:KEY_ARN; to leave AWS KMS, "
            + ("run: vidpipe keys rotate-master --from-kms KEY_ARN" if any(folder.glob("*.json")) else "remove this file: no keys"),
        )
    if key is None:
        raise UsageError(
            "the master key is missing, but content keys wrapped with it are still there",
            where=str(file),
            fix=f"restore {FILE} from a backup or set {_ENVIRONMENT}; without it these titles cannot be played",
        )
    return key


def next_master_key(folder: Path) -> bytes | None:
    """Return the key of a rotation that was begun and not finished, if there is one."""
    try:
        return _read(folder / NEXT)
    except OSError as problem:
        raise _unreadable(folder / NEXT, problem) from problem


def create_next(folder: Path) -> bytes:
    """Make the key of a rotation, or return that of one that was begun."""
    try:
        if _read(folder / NEXT) is None:
            _create(folder / NEXT)
    except OSError as problem:
        raise _unreadable(folder / NEXT, problem) from problem
    return next_master_key(folder) or b""


def finish_next(folder: Path) -> None:
    """Let the key of a rotation take the place of the one before, which is gone then."""
    try:
        durable.move(folder / NEXT, folder / FILE)
    except OSError as problem:
        raise _unreadable(folder / NEXT, problem) from problem


def forget_master_key(folder: Path) -> None:
    """Remove the files of master keys that wrap nothing any more, because another one is given."""
    for file in (folder / NEXT, folder / FILE):
        try:
            file.unlink(missing_ok=True)
        except OSError as problem:
            raise _unreadable(file, problem) from problem


def _unreadable(file: Path, problem: OSError) -> UsageError:
    return UsageError(
        f"the master key cannot be read or created: {problem.strerror or problem}",
        where=str(file),
        fix=f"give this user access to it, choose another home with --home, or set {_ENVIRONMENT}",
    )


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)


def _read(file: Path) -> bytes | None:
    try:
        with file.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            if os.name == "posix" and mode & 0o077:
                raise UsageError(
                    f"other users can read the master key (mode {mode:04o})",
                    where=str(file),
                    fix=f"run chmod 600 {file}, or move the key into {_ENVIRONMENT} where the file system cannot keep modes",
                )
            text = stream.read()
    except FileNotFoundError:
        return None
    return parse_master_key(text.decode("ascii", "replace"), str(file))


def _create(file: Path) -> None:
    """Put a fresh key in place, whole or not at all; the first of several processes wins."""
    private_folder(file.parent)
    durable.create(file, (secrets.token_bytes(MASTER_BYTES).hex() + "\n").encode(), private=True)


def private_folder(folder: Path) -> None:
    """Create the folder of the key store, or take the rights of others away from it. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(folder.stat().st_mode & 0o700)
