"""Wrap every content key with a new master key. No segment is touched, and viewers notice nothing.

In:   the folder of the key store; the present master key, if it is given; the new one, or nothing for a fresh one in the folder.
Out:  MasterRotation.
Wrong: UsageError: no keys, a damaged key file, the same key, another rotation that is not finished.

It may be killed at any moment. A fresh key lies in ``master.key.next`` before the first content key is wrapped with it, and takes the place
of ``master.key`` after the last one; between the two, both open keys, and the same command goes on. A key that is given is the user's to
keep: until all is done, both are needed, and the same command goes on, too.
"""

from __future__ import annotations

from pathlib import Path

from vidpipe.data import Data
from vidpipe.errors import UsageError
from vidpipe.protect.key_store import KeyInfo, KeyStore
from vidpipe.protect.master_key import FILE, NEXT, create_next, finish_next, forget_master_key, load_master_key, next_master_key


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


def rotate_master(folder: Path, given: bytes | None = None, new: bytes | None = None, *, dry_run: bool = False) -> MasterRotation:
    """Wrap every key with a new master key.

    given: the present one, if it does not lie in the folder.  new: None makes a fresh one there.
    """
    store = KeyStore(folder, given)
    if not store.find():
        raise UsageError("there are no keys in this key store", where=str(folder), fix="choose the home that has them with --home")
    with store.locked():
        coming = next_master_key(folder)
        if new is None and given is not None:
            fix = "put the new key into another variable and name it: --new-master NEW_MASTER_KEY"
            raise UsageError("the master key comes from VIDPIPE_MASTER_KEY, so the new one has to be given, too", fix=fix)
        if new is not None and coming is not None and new != coming:
            fix = "finish it first: run this without --new-master and without VIDPIPE_MASTER_KEY"
            raise UsageError("a rotation to another master key is not finished", where=str(folder / NEXT), fix=fix)
        if new is not None and new == (given or load_master_key(folder)):
            raise UsageError("the new master key is the present one", fix="make another with: openssl rand -hex 32")
        file = None if new is not None else str(folder / FILE)
        if dry_run:
            wanted = new or coming or bytes(32)  # stands for a key that nobody has
            keys, already, foreign = store.rewrap(wanted, dry_run=True)
            return MasterRotation(keys=keys, already=already, foreign=foreign, file=file, dry_run=True)
        keys, already, foreign = store.rewrap(new or create_next(folder))
        if new is None:
            finish_next(folder)
        elif given is None:
            forget_master_key(folder)  # it wraps nothing any more, and would wrap the next key
    return MasterRotation(keys=keys, already=already, foreign=foreign, file=file)
