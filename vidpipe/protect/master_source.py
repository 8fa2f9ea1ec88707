"""Where the master key comes from: given, in a file of the key store, or from AWS KMS. Each can be rotated.

In:   the folder of the key store; a key, or the ARN of a KMS key.
Out:  master keys, the present one first.
Wrong: UsageError for a file that cannot be used, KeyServiceFailed from KMS.

KMS wraps the master key, and the master key the content keys: one request for each run, and none for each key (envelope encryption). The
wrapped master key lies in ``master.kms``. While a store moves to KMS, from it, or from one KMS key to another (``former_kms.py``), or a
rotation is not finished, keys of the master key before are opened, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from vidpipe import durable
from vidpipe.errors import UsageError
from vidpipe.protect.former_kms import FormerKms, OpenedByKms, read_wrapped, unusable
from vidpipe.protect.master_key import (
    FILE,
    KMS_FILE,
    KMS_NEXT,
    MASTER_BYTES,
    create_next,
    finish_next,
    forget_master_key,
    load_master_key,
    next_master_key,
    private_folder,
)


class MasterSource(Protocol):
    """Gives the master key. Safe for several threads."""

    def present(self) -> bytes:
        """Return the master key that wraps new keys, made now if there is none."""

    def masters(self) -> Iterator[bytes]:
        """Yield the master keys that may have wrapped keys, the present one first. Where there are keys, none is made."""

    def coming(self) -> bytes | None:
        """Return the key of a rotation that is not finished."""

    def begin(self) -> bytes:
        """Return the key of a rotation: a fresh one, or that of one that was begun. It lasts before anything is wrapped with it."""

    def finish(self) -> str | None:
        """Let it take the place of the one before. Return where it lies."""

    def forget(self) -> None:
        """Be done with those of before, which wrap nothing any more. Until then the same rotation can be run again."""


@dataclass(frozen=True, slots=True)
class GivenMaster:
    """A master key that somebody else keeps."""

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != MASTER_BYTES:
            raise ValueError("a master key has 32 bytes")

    def present(self) -> bytes:
        """See MasterSource."""
        return self.key

    def masters(self) -> Iterator[bytes]:
        """See MasterSource."""
        yield self.key

    def coming(self) -> None:
        """See MasterSource."""

    def begin(self) -> bytes:
        """See MasterSource."""
        fix = "put the new key into another variable and name it: --new-master NEW_MASTER_KEY"
        raise UsageError("the master key comes from VIDPIPE_MASTER_KEY, so the new one has to be given, too", fix=fix)

    def finish(self) -> None:
        """See MasterSource."""

    def forget(self) -> None:
        """See MasterSource."""


class LocalMaster:
    """The master key in ``master.key``, created on first use. former: those of KMS that it takes the place of."""

    def __init__(self, folder: Path, former: FormerKms | None = None) -> None:
        self.folder = folder
        self._former = former or FormerKms(folder)

    def present(self) -> bytes:
        """See MasterSource. Raises UsageError while the key store is moving to a KMS key: none is made in clear then."""
        self._former.check_place()
        if (self.folder / FILE).exists() or not self._former.is_there:
            return load_master_key(self.folder)
        return self.coming() or load_master_key(self.folder, anew=True)

    def masters(self) -> Iterator[bytes]:
        """See MasterSource."""
        if (self.folder / FILE).exists() or not self._former.is_there:
            yield load_master_key(self.folder)
        if coming := self.coming():
            yield coming
        yield from self._former.masters()

    def coming(self) -> bytes | None:
        """See MasterSource."""
        return next_master_key(self.folder)

    def begin(self) -> bytes:
        """See MasterSource."""
        self._former.keep()
        return create_next(self.folder)

    def finish(self) -> str:
        """See MasterSource."""
        finish_next(self.folder)
        return str(self.folder / FILE)

    def forget(self) -> None:
        """See MasterSource."""
        self._former.forget()


class KmsMaster:
    """The master key that a KMS key wraps. KMS is asked once for each wrapped key. former: those of other KMS keys before it."""

    def __init__(self, folder: Path, arn: str, former: FormerKms) -> None:
        self.folder, self.arn, self._former = folder, arn, former
        self._opened = OpenedByKms()

    def present(self) -> bytes:
        """See MasterSource. Raises UsageError while the key store is moving elsewhere."""
        self._former.check_place()
        return self._found() or self._make(KMS_FILE)

    def masters(self) -> Iterator[bytes]:
        """See MasterSource."""
        if present := self._found():
            yield present
        if coming := self.coming():
            yield coming
        yield from self._former.masters()
        if (self.folder / FILE).exists():  # the store is moving to KMS
            yield load_master_key(self.folder)
        if local := next_master_key(self.folder):  # and was in the middle of a rotation
            yield local

    def coming(self) -> bytes | None:
        """See MasterSource."""
        return self._open(KMS_NEXT)

    def begin(self) -> bytes:
        """See MasterSource."""
        self._former.keep()
        return self._open(KMS_NEXT) or self._make(KMS_NEXT)

    def finish(self) -> str:
        """See MasterSource."""
        try:
            durable.move(self.folder / KMS_NEXT, self.folder / KMS_FILE)
        except OSError as problem:
            raise unusable(self.folder / KMS_NEXT, problem) from problem
        return str(self.folder / KMS_FILE)

    def forget(self) -> None:
        """See MasterSource."""
        forget_master_key(self.folder)
        self._former.forget()

    def _found(self) -> bytes | None:
        """Return the present master key; None if KMS has made none yet. Raises UsageError if content keys lack theirs."""
        present = self._open(KMS_FILE)
        others = (self.folder / FILE).exists() or self._former.is_there
        if present is None and any(self.folder.glob("*.json")) and not others:
            raise UsageError(
                "the wrapped master key is missing, and so is the master key in a file, but content keys are there",
                where=str(self.folder / KMS_FILE),
                fix=f"restore {KMS_FILE} from a backup. If VIDPIPE_MASTER_KEY has wrapped them, write it to {FILE} there (mode 0600), "
                "unset it, and run: vidpipe keys rotate-master",
            )
        return present

    def _open(self, name: str) -> bytes | None:
        wrapped = read_wrapped(self.folder / name)
        return None if wrapped is None or self._former.has(wrapped) else self._opened(self.arn, wrapped)

    def _make(self, name: str) -> bytes:
        from vidpipe.storage.kms import generate  # boto3 is slow to import

        _, wrapped = generate(self.arn)
        self._former.clear()
        try:
            private_folder(self.folder)
            durable.create(self.folder / name, wrapped, private=True)
        except OSError as problem:
            raise unusable(self.folder / name, problem) from problem
        # Of processes that start together one has won: its file counts. Opening it proves that KMS can, before anything depends on it.
        return self._open(name) or b""
