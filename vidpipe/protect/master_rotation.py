"""Wrap every content key with a new master key. No segment is touched, and viewers notice nothing.

In:   the folder of the key store; where the master key comes from; the new one, or nothing for a fresh one from there.
Out:  MasterRotation.
Wrong: UsageError: no keys, or none of the present master key; a damaged key file; the same key; another rotation that is not finished.

It may be killed at any moment. A fresh key lies in ``master.key.next`` before the first content key is wrapped with it, and takes the place
of ``master.key`` after the last one; between the two, both open keys, and the same command goes on. A key that is given is the user's to
keep: until all is done, both are needed, and the same command goes on, too. A master key that was replaced wraps no new key
(``KeyStore.retire``). Between AWS KMS and a file, and from one KMS key to another, all keys move by the same means.
"""

from __future__ import annotations

from pathlib import Path

from vidpipe.data import Data
from vidpipe.errors import KeyServiceFailed, UsageError
from vidpipe.protect.former_kms import FORMER
from vidpipe.protect.key_store import KeyInfo, KeyStore
from vidpipe.protect.master_key import FILE, KMS_FILE, KMS_NEXT, NEXT, forget_master_key
from vidpipe.protect.master_source import KmsMaster, LocalMaster, MasterSource
from vidpipe.quantities import count


class MasterRotation(Data):
    """What was wrapped anew, or would be.

    keys: wrapped now.
    already: wrapped with the new key before, by a run that was interrupted.
    foreign: wrapped with a third master key; they stay as they are.
    file: where the new master key lies; None if it was given.
    """

    keys: int
    already: int
    foreign: tuple[KeyInfo, ...] = ()
    file: str | None = None
    dry_run: bool = False


def rotate_master(folder: Path, source: MasterSource, new: bytes | None = None, *, dry_run: bool = False) -> MasterRotation:
    """Wrap every key with a new master key.

    source: of the present one.  new: None makes a fresh one where it lies.
    """
    store = KeyStore(folder, source)
    if not store.ids():
        raise UsageError("there are no keys in this key store", where=str(folder), fix="choose the home that has them with --home")
    with store.locked():
        if new is not None:
            _check_new(new, source, folder)
        wanted = new or source.coming() or bytes(32)  # stands for a key that nobody has
        keys, already, foreign = store.rewrap(wanted, dry_run=True)  # nothing is begun that cannot go on
        if len(foreign) == len(store.ids()):
            raise UsageError(
                f"not one of the {count(len(foreign), 'key')} in this key store was wrapped with this master key",
                where=str(folder),
                fix=f"set VIDPIPE_MASTER_KEY to the one that was used, or unset it if that lies in {FILE}, or restore {FILE} from a backup",
            )
        if dry_run:
            return MasterRotation(keys=keys, already=already, foreign=foreign, dry_run=True)
        wanted = new or source.begin()
        before = [master for master in source.masters() if master != wanted]
        if new is not None:
            store.retire(before, new)  # first: who still has one of them may be at work before an interrupted rotation goes on
        keys, already, foreign = store.rewrap(wanted)
        file = source.finish() if new is None else None
        if new is None:
            store.retire(before, wanted)  # not before: until it is finished, the one before wraps what is made meanwhile
            source.forget()  # last: whoever kills it before this can run it again, and all of before are retired then
        elif isinstance(source, LocalMaster):
            forget_master_key(folder)  # it wraps nothing any more, and would wrap the next key
    return MasterRotation(keys=keys, already=already, foreign=foreign, file=file)


def finished_move(folder: Path, source: MasterSource, *, dry_run: bool = False) -> MasterRotation | None:
    """Return what a move away from a KMS key has come to if it has nothing left to do; None if it has.

    source: where the keys should be by now, which knows nothing of the KMS key that is left.
    """
    store, in_kms = KeyStore(folder, source), isinstance(source, KmsMaster)
    left = (FORMER, FILE, NEXT) if in_kms else (FORMER, KMS_FILE, KMS_NEXT)
    if not store.ids() or any((folder / name).exists() for name in left):
        return None
    with store.locked():
        try:
            present = next(source.masters())
        except (KeyServiceFailed, UsageError):  # it is not this source's, or does not exist
            return None
        keys, already, foreign = store.rewrap(present, dry_run=True)
    if foreign:
        return None
    return MasterRotation(keys=0, already=keys + already, file=str(folder / (KMS_FILE if in_kms else FILE)), dry_run=dry_run)


def _check_new(new: bytes, source: MasterSource, folder: Path) -> None:
    """Raise UsageError unless a master key that is given may take the place of the present one."""
    if isinstance(source, KmsMaster):
        fix = "run this without --new-master; to leave AWS KMS, set key_source to local, and run this with --from-kms KEY_ARN"
        raise UsageError("AWS KMS makes the master key, so that none can be given", fix=fix)
    coming = source.coming()
    if coming is not None and new != coming:
        fix = "finish it first: run this without --new-master and without VIDPIPE_MASTER_KEY"
        raise UsageError("a rotation to another master key is not finished", where=str(folder / NEXT), fix=fix)
    if new == next(source.masters()):
        raise UsageError("the new master key is the present one", fix="make another with: openssl rand -hex 32")
