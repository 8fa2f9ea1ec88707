"""The key store of a home, with its master key from where the settings say.

In:   settings.
Out:  KeyStore, MasterSource. Nothing is read before a key is asked for.
Wrong: nothing; the store raises UsageError and KeyServiceFailed.
"""

from __future__ import annotations

from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.master_source import GivenMaster, KmsMaster, LocalMaster, MasterSource
from vidpipe.settings import Settings


def master_source(settings: Settings) -> MasterSource:
    """Return where the master key comes from."""
    kind, _, name = settings.key_source.partition(":")
    if kind == "kms":
        return KmsMaster(settings.keys, name)
    return GivenMaster(settings.master_key.get_secret_value()) if settings.master_key else LocalMaster(settings.keys)


def key_store(settings: Settings) -> KeyStore:
    """Return the key store."""
    return KeyStore(settings.keys, master_source(settings))
