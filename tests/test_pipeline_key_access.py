"""key_access: each setting of where keys come from gives the store and the source that it names, and nothing is asked yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vidpipe.pipeline.key_access import asks_server, key_source, key_store, master_source
from vidpipe.protect.key_server_client import KeyServerClient
from vidpipe.protect.key_source import LocalKeys
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.master_source import GivenMaster, KmsMaster, LocalMaster
from vidpipe.protect.speke import SpekeKeys
from vidpipe.settings import Settings

ARN = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
MASTER = bytes(range(32))
URL = "https://keys.example.com:8443/speke"


def settings(folder: Path, **changes: Any) -> Settings:
    return Settings(home=folder / "home", **changes)


def test_the_master_key_comes_from_where_the_settings_say(tmp_path: Path) -> None:
    local, given = settings(tmp_path), settings(tmp_path, master_key=MASTER)
    file = master_source(local)
    assert isinstance(file, LocalMaster)
    assert file.folder == local.keys
    assert master_source(given) == GivenMaster(MASTER)
    kms = master_source(settings(tmp_path, key_source=f"kms:{ARN}"))
    assert isinstance(kms, KmsMaster)
    assert (kms.folder, kms.arn) == (local.keys, ARN), "the whole ARN, whose parts are separated by colons, too"


def test_a_key_that_was_made_under_a_master_key_opens_under_that_one(tmp_path: Path) -> None:
    made = key_store(settings(tmp_path, master_key=MASTER)).create("film")
    assert key_store(settings(tmp_path, master_key=MASTER)).get(made.key_id) == made
    assert not (settings(tmp_path).keys / "master.key").exists(), "the given one takes the place of a file"


@pytest.mark.parametrize("source", ["local", f"kms:{ARN}"], ids=["local", "kms"])
def test_without_a_key_server_keys_are_made_here(source: str, tmp_path: Path) -> None:
    configured = settings(tmp_path, key_source=source)
    store = KeyStore(configured.keys, bytes(32))
    assert not asks_server(configured)
    assert key_source(configured, store, "aes-128") == LocalKeys(store)


def test_a_key_server_is_asked_at_its_url_with_its_header_for_the_scheme(tmp_path: Path) -> None:
    said = {"authorization": "Bearer s3cret", "header": "x-api-key: more", "client_certificate": str(tmp_path / "client.pem")}
    own = str(tmp_path / "own.pem")
    sources = {f"key_source_{name}": value for name, value in said.items()}
    configured = settings(tmp_path, key_source=f"cpix:{URL}", delivery_certificate=own, **sources)
    store = KeyStore(configured.keys, bytes(32))
    assert asks_server(configured)
    assert key_source(configured, store, "cbcs") == SpekeKeys(KeyServerClient(URL, **said), store, "cbcs", own)
    assert not configured.keys.exists(), "nothing was made or asked"
