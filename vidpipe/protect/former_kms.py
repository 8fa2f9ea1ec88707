"""The master keys of AWS KMS that a key store is leaving: for a file, or for another KMS key.

In:   the folder of the key store; what its master key is to come from; the ARN of the KMS key that is left, if that begins now.
Out:  master keys that may still have wrapped keys.
Wrong: UsageError for a file that cannot be used, or a move that nobody has asked for; KeyServiceFailed from KMS.

``master.former`` holds them, wrapped as they were, with the ARNs that open them. It is written before anything is wrapped otherwise, and
removed when they wrap nothing any more, so that all keys can be opened at each moment, whatever is killed. A store leaves KMS by order
only, never because a setting is missing for once: its master key would lie in a file from then on.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from vidpipe import durable
from vidpipe.data import Data
from vidpipe.errors import KeyServiceFailed, UsageError
from vidpipe.protect.key_source_setting import LOCAL_KEYS
from vidpipe.protect.master_key import KMS_FILE, KMS_NEXT, MASTER_BYTES

FORMER = "master.former"
_KMS = "kms:"


class _Wrapped(Data):
    """A master key. arn: of the KMS key that opens it.  wrapped: hex."""

    arn: str
    wrapped: str


class _Former(Data):
    """to: the ``key_source`` that it is left for."""

    schema_version: Literal["vidpipe.former-master/1"] = "vidpipe.former-master/1"
    to: str
    keys: tuple[_Wrapped, ...]


class OpenedByKms:
    """Asks KMS once for each wrapped key. Safe for several threads."""

    def __init__(self) -> None:
        self._opened: dict[bytes, bytes] = {}
        self._lock = threading.Lock()

    def __call__(self, arn: str, wrapped: bytes) -> bytes:
        """Return the key."""
        from vidpipe.storage.kms import decrypt  # boto3 is slow to import

        with self._lock:
            if wrapped not in self._opened:
                key = decrypt(arn, wrapped)
                if len(key) != MASTER_BYTES:
                    what = f"AWS KMS gave {len(key)} bytes instead of {MASTER_BYTES}"
                    raise KeyServiceFailed(what, where=arn, fix="restore the key store")
                self._opened[wrapped] = key
            return self._opened[wrapped]


class FormerKms:
    """What is left of KMS in a key store. to: "local", or the ``key_source`` with a KMS key.  leaving: ARN, None if nothing begins now."""

    def __init__(self, folder: Path, to: str = LOCAL_KEYS, leaving: str | None = None) -> None:
        self.folder, self.to, self.leaving = folder, to, leaving
        self._opened = OpenedByKms()

    @property
    def is_there(self) -> bool:
        """Whether there is anything."""
        return bool(self._all())

    def has(self, wrapped: bytes) -> bool:
        """Whether a wrapped master key is one of them."""
        return any(each.wrapped == wrapped.hex() for each in self._all())

    def masters(self) -> Iterator[bytes]:
        """Yield the master keys."""
        for each in self._all():
            yield self._opened(each.arn, bytes.fromhex(each.wrapped))

    def keep(self) -> None:
        """Begin to leave KMS, or go on: from now on the files of the present master key are free for another one."""
        kept, wanted = self._kept(), self._all()
        begun = kept is not None and kept.to == self.to
        if kept is not None and not begun and self.leaving is None and kept.to.startswith(_KMS):
            raise self._elsewhere(kept.to)
        if self.leaving is not None and not begun and not wanted:
            fix = "run this without --from-kms, or choose the home that has it with --home"
            raise UsageError("there is no master key of AWS KMS in this key store", where=str(self.folder), fix=fix)
        if not wanted:
            return
        for _ in self.masters():  # proves that KMS opens them, before anything depends on it
            pass
        if not begun:
            try:
                durable.write(self.folder / FORMER, _Former(to=self.to, keys=wanted).model_dump_json().encode(), private=True)
            except OSError as problem:
                raise unusable(self.folder / FORMER, problem) from problem
        self.clear()

    def check_place(self) -> None:
        """Raise UsageError if the key store is moving elsewhere: a master key made here would open nothing there."""
        kept = self._kept()
        if kept is not None and kept.to != self.to:
            raise self._elsewhere(kept.to)

    def clear(self) -> None:
        """Remove the files of master keys that are kept here. Others stay: keys may be wrapped with them already."""
        kept = self._kept()
        known = {each.wrapped for each in kept.keys} if kept else set()
        for name in (KMS_FILE, KMS_NEXT):
            file = self.folder / name
            if (wrapped := read_wrapped(file)) is not None and wrapped.hex() in known:
                _remove(file)

    def forget(self) -> None:
        """Be done with them: they wrap nothing any more."""
        _remove(self.folder / FORMER)

    def _all(self) -> tuple[_Wrapped, ...]:
        """Return those that were kept, and those that lie in the place of the present one and are of the KMS key that is left."""
        kept = self._kept()
        known = kept.keys if kept else ()
        if kept is not None and kept.to == self.to:
            return known
        arn = self.leaving or (kept.to.removeprefix(_KMS) if kept and kept.to.startswith(_KMS) else None)
        if arn is None:
            return known
        found = {wrapped.hex() for name in (KMS_FILE, KMS_NEXT) if (wrapped := read_wrapped(self.folder / name)) is not None}
        return (*known, *(_Wrapped(arn=arn, wrapped=each) for each in sorted(found - {each.wrapped for each in known})))

    def _elsewhere(self, to: str) -> UsageError:
        leave = f"--from-kms {to.removeprefix(_KMS)}" if to.startswith(_KMS) else "vidpipe keys rotate-master"
        return UsageError(
            f"the key store is moving to {to}, and key_source is another one",
            where=str(self.folder / FORMER),
            fix=f"set key_source to {to} and run this again, or leave it: {leave}",
        )

    def _kept(self) -> _Former | None:
        data = read_wrapped(self.folder / FORMER)
        if data is None:
            return None
        try:
            return _Former.model_validate_json(data)
        except ValidationError:
            fix = "restore it from a backup of the key store"
            raise UsageError("the file was altered or damaged", where=str(self.folder / FORMER), fix=fix) from None


def read_wrapped(file: Path) -> bytes | None:
    """Return a wrapped master key; None if there is no such file. Raises UsageError if it cannot be read."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise unusable(file, problem) from problem


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as problem:
        raise unusable(file, problem) from problem


def unusable(file: Path, problem: OSError) -> UsageError:
    """Return what is said of a file that cannot be read or written."""
    return UsageError(
        f"the wrapped master key cannot be read or stored: {problem.strerror or problem}",
        where=str(file),
        fix="give this user access to it, free some space, or choose another home with --home",
    )
