"""The keys of a home, from where the settings say.

In:   settings.
Out:  KeyStore, MasterSource, KeySource, KeyServerClient. Nothing is read, and nobody asked, before a key is wanted.
Wrong: UsageError for a KMS key that cannot be left; the store raises it, too, and KeyServiceFailed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vidpipe.errors import UsageError
from vidpipe.protect.former_kms import FormerKms
from vidpipe.protect.key_source import KeySource, LocalKeys
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.master_source import GivenMaster, KmsMaster, LocalMaster, MasterSource
from vidpipe.settings import Settings

if TYPE_CHECKING:
    from vidpipe.protect.key_server_client import KeyServerClient


def master_source(settings: Settings, leaving: str | None = None) -> MasterSource:
    """Return where the master key comes from. leaving: ARN of the KMS key that wraps it so far, if another source is to take its place."""
    kind, _, name = settings.key_source.partition(":")
    if kind == "kms":
        if leaving == name:
            fix = "set key_source to what takes its place: another KMS key, or local"
            raise UsageError("key_source still names the KMS key that is to be left", where="--from-kms", fix=fix)
        return KmsMaster(settings.keys, name, FormerKms(settings.keys, settings.key_source, leaving))
    if settings.master_key:
        if leaving:
            fix = "unset VIDPIPE_MASTER_KEY and run this again; after that, --new-master gives the key store another one"
            raise UsageError("from AWS KMS the master key comes to a file of the key store first", where="--from-kms", fix=fix)
        return GivenMaster(settings.master_key.get_secret_value())
    return LocalMaster(settings.keys, FormerKms(settings.keys, leaving=leaving))


def key_source(settings: Settings, store: KeyStore, scheme: str, *, copied: bool = False) -> KeySource:
    """Return where the keys of new versions come from. scheme: that they are for.  copied: no ingest makes the version."""
    if not asks_server(settings):
        return LocalKeys(store)
    from vidpipe.protect.speke import SpekeKeys

    asked = SpekeKeys(key_server(settings), store, scheme, settings.delivery_certificate)
    return replace(asked, afresh="give the unfinished version up: vidpipe work clean --unfinished") if copied else asked


def key_server(settings: Settings) -> KeyServerClient:
    """Return the key server that the settings name (``asks_server``), and how it knows us."""
    from vidpipe.protect.key_server_client import KeyServerClient

    url = settings.key_source.partition(":")[2]
    return KeyServerClient(url, settings.key_source_authorization, settings.key_source_header, settings.key_source_client_certificate)


def asks_server(settings: Settings) -> bool:
    """Whether new versions have their keys from a key server."""
    return settings.key_source.partition(":")[0] == "cpix"


def key_store(settings: Settings) -> KeyStore:
    """Return the key store."""
    return KeyStore(settings.keys, master_source(settings))
