"""The keys of a home, from where the settings say.

In:   settings.
Out:  KeyStore, MasterSource, KeySource. Nothing is read, and nobody asked, before a key is wanted.
Wrong: nothing; the store raises UsageError and KeyServiceFailed.
"""

from __future__ import annotations

from vidpipe.protect.key_source import KeySource, LocalKeys
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.master_source import GivenMaster, KmsMaster, LocalMaster, MasterSource
from vidpipe.settings import Settings


def master_source(settings: Settings) -> MasterSource:
    """Return where the master key comes from."""
    kind, _, name = settings.key_source.partition(":")
    if kind == "kms":
        return KmsMaster(settings.keys, name)
    return GivenMaster(settings.master_key.get_secret_value()) if settings.master_key else LocalMaster(settings.keys)


def key_source(settings: Settings, store: KeyStore, scheme: str) -> KeySource:
    """Return where the keys of new versions come from. scheme: that they are for."""
    if not asks_server(settings):
        return LocalKeys(store)
    url = settings.key_source.partition(":")[2]
    from vidpipe.protect.key_server_client import KeyServerClient
    from vidpipe.protect.speke import SpekeKeys

    server = KeyServerClient(url, settings.key_source_authorization, settings.key_source_header, settings.key_source_client_certificate)
    return SpekeKeys(server, store, scheme, settings.delivery_certificate)


def asks_server(settings: Settings) -> bool:
    """Whether new versions have their keys from a key server."""
    return settings.key_source.partition(":")[0] == "cpix"


def key_store(settings: Settings) -> KeyStore:
    """Return the key store."""
    return KeyStore(settings.keys, master_source(settings))
