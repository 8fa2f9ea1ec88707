"""The keys of titles: which there are and what for, and their way into another home. On the command line, too, which shows none."""

from __future__ import annotations

import base64
import io
import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretBytes

from tests.key_server import certificate
from tests.lifecycle_support import FIRST, TITLE, House
from tests.title_support import KEY, Encoded, with_tracks
from vidpipe.catalog.states import adopt, forget, give_up, give_up_all, withdraw
from vidpipe.cli import exits
from vidpipe.cli.app import invoke
from vidpipe.doctor import examine
from vidpipe.errors import UsageError
from vidpipe.inventory import Objects
from vidpipe.lifecycle.scrub import ScrubRequest, scrub
from vidpipe.lifecycle.title_keys import export_keys, import_keys, list_keys, rotate, show_keys
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.master_key import FILE

SECOND = "20261121T000000Z-222222"
SECRETS = (KEY.key.hex(), base64.b64encode(KEY.key).decode(), repr(KEY.key)[2:-1])


@pytest.fixture
def house(tmp_path: Path, encoded_title: Encoded) -> House:
    return House(tmp_path, encoded_title)


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("VIDPIPE_HOME", str(house.settings.home))

    def start(*arguments: str) -> tuple[int, str, str]:
        code = exits.run(invoke, ["keys", *arguments])
        written = capsys.readouterr()
        return code, written.out, written.err

    return start


def test_keys_are_listed_with_what_needs_them(house: House) -> None:
    house.publish(SECOND, age=1)
    unused = house.keys.create(TITLE)
    alone = house.keys.create("never-published")
    held = {key.key_id: key for key in list_keys(house.settings)}
    assert held.keys() == {KEY.key_id, unused.key_id, alone.key_id}
    assert [(each.version, each.status) for each in held[KEY.key_id].versions] == [(SECOND, "live"), (FIRST, "superseded")]
    assert {key.state for key in held.values()} == {"usable"}
    assert {key.key_id: key.created_at for key in held.values()} == {info.key_id: info.created_at for info in house.keys.find()}
    assert held[unused.key_id].versions == ()
    assert {key.key_id for key in list_keys(house.settings, TITLE)} == {KEY.key_id, unused.key_id}
    assert [key.key_id for key in list_keys(house.settings, "never-published")] == [alone.key_id]
    with pytest.raises(UsageError, match="no title"):
        list_keys(house.settings, "titel")


def test_what_is_lost_or_cannot_be_opened_is_said(house: House) -> None:
    other = KeyStore(house.settings.keys, b"x" * 32).create("theirs")
    house.keys.remove(KEY.key_id)
    held = {key.key_id: key for key in list_keys(house.settings)}
    for rules in ((), (withdraw,), (give_up_all,), (forget(FIRST), adopt(house.record, "f", "superseded"))):
        with house.catalog() as catalog:
            for rule in rules:
                catalog.change(TITLE, rule)
        assert [key.key_id for key in list_keys(house.settings) if key.state == "missing"] == [KEY.key_id], "whatever becomes of its title"
        with pytest.raises(UsageError, match="no title") as unknown:
            list_keys(house.settings, "titel")
        assert unknown.value.fix == f"did you mean {TITLE}?"
    assert (held[KEY.key_id].state, held[KEY.key_id].created_at) == ("missing", None)
    assert held[other.key_id].state == "another master key"


def test_damaged_keys_are_listed_beside_the_others(house: House, run: Run) -> None:
    cut, altered, usable = (house.keys.create(title) for title in ("cut", "altered", "usable"))
    for key, change in ((cut, lambda text: text[:40]), (altered, lambda text: text.replace('"altered"', '"other"'))):
        file = house.settings.keys / f"{key.key_id}.json"
        file.write_text(change(file.read_text()))
    held = {key.key_id: key for key in list_keys(house.settings)}
    assert {key_id: (key.content_id, key.state) for key_id, key in held.items()} == {
        KEY.key_id: (TITLE, "usable"),
        cut.key_id: (None, "damaged"),
        altered.key_id: ("other", "damaged"),
        usable.key_id: ("usable", "usable"),
    }
    code, out, _ = run("list")
    assert (code, out.count("damaged")) == (0, 2)
    file = house.settings.keys / f"{KEY.key_id}.json"
    file.write_text("")
    (key,) = list_keys(house.settings, TITLE)
    assert (key.state, key.created_at) == ("damaged", None)
    (check,) = [check for check in examine(house.settings, {}) if check.name == "keys"]
    assert (check.state, check.detail.split(" in ")[0]) == ("error", "3 of 4")


def test_what_a_key_is_for_is_read_from_the_inventory(house: House) -> None:
    for name in (TITLE, KEY.key_id, KEY.key_id.upper(), str(UUID(KEY.key_id))):
        (key,) = show_keys(house.settings, name)
        (version,) = key.versions
        assert (version.track_type, version.first) == ("ALL", 0)
        assert version.segments == len(list(house.inventory.segments))
        assert set(version.tracks) == {track.id for track in house.inventory.tracks}
    file = house.file(FIRST, "inventory.json")
    file.unlink()
    for text in (None, Objects(objects=house.inventory.entries).model_dump_json()):  # of an earlier vidpipe, which named no tracks
        if text is not None:
            file.write_text(text)
        (key,) = show_keys(house.settings, TITLE)
        assert (key.state, key.versions[0].segments) == ("usable", None)
        with pytest.raises(UsageError, match="has no inventory that can be read"):
            export_keys(house.settings, TITLE)
    for name, what in (("0" * 32, "there is no key"), ("nothing", "there is no title")):
        with pytest.raises(UsageError, match=what):
            show_keys(house.settings, name)


def test_a_title_that_is_not_encrypted_has_no_keys(house: House) -> None:
    clear = with_tracks(
        house.inventory,
        lambda track: {"scheme": "none", "segments": tuple(replace(each, key_id=None, iv=None) for each in track.segments)},
    )
    house.publish(SECOND, age=1, inventory=clear.model_copy(update={"keys": ()}))
    with pytest.raises(UsageError, match=f"{TITLE} has no keys: it is not encrypted"):
        export_keys(house.settings, TITLE)
    with house.catalog() as catalog:
        catalog.change(TITLE, give_up({FIRST}))
        catalog.change(TITLE, forget(FIRST))
    house.keys.remove(KEY.key_id)
    with pytest.raises(UsageError, match=f"{TITLE} has no keys: it is not encrypted"):
        show_keys(house.settings, TITLE)


def test_keys_go_to_another_home_and_open_the_title_there(house: House, tmp_path: Path) -> None:
    document = export_keys(house.settings, TITLE)
    house.keys.remove(KEY.key_id)
    with pytest.raises(UsageError, match="there is no key"):
        export_keys(house.settings, TITLE)
    done = import_keys(house.settings, document, "film.xml")
    assert (done.content_id, done.added, done.known) == (TITLE, (KEY.key_id,), ())
    assert scrub(ScrubRequest(title=TITLE, full=True), house.settings)
    again = import_keys(house.settings, document, "film.xml")
    assert (again.added, again.known) == ((), (KEY.key_id,))
    house.keys.remove(KEY.key_id)
    house.keys.create(TITLE, KEY.key_id)
    with pytest.raises(UsageError, match="another key"):
        import_keys(house.settings, document, "film.xml")
    with pytest.raises(UsageError, match="content id"):
        import_keys(house.settings, document, "film.xml", "../film")


def test_a_title_without_keys_has_none_to_export(house: House) -> None:
    with pytest.raises(UsageError, match="no title"):
        export_keys(house.settings, "other")


# --- on the command line ----------------------------------------------------------------------------------------------


def test_no_command_but_export_shows_a_key(run: Run, house: House, tmp_path: Path) -> None:
    commands = (("list",), ("list", TITLE), ("show", TITLE), ("show", KEY.key_id), ("rotate-master", "--dry-run"), ("rotate-master",))
    for arguments in commands:
        for more in ((), ("--json",)):
            code, out, err = run(*arguments, *more)
            assert code == 0, err
            assert not any(secret in out + err for secret in SECRETS)
            assert (house.settings.keys / FILE).read_text().strip() not in out + err
            assert not more or json.loads(out) is not None
    assert KEY.key_id in run("list")[1]
    assert house.keys.get(KEY.key_id) == KEY


def test_export_warns_and_writes_for_its_user_alone(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "film.xml"
    code, out, err = run("export", TITLE, "--cpix", str(file))
    assert (code, out) == (0, "")
    assert "in clear" in err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert SECRETS[1] in file.read_text()
    code, out, err = run("export", TITLE, "--cpix", "-")
    assert (code, out) == (0, file.read_text())
    assert "in clear" in err
    assert run("export", TITLE)[0] == 2, "where to is said by the user"
    assert run("export", TITLE, "--cpix", str(tmp_path / "no" / "folder"))[0] == 2


def test_keys_are_exchanged_encrypted(run: Run, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, file = certificate(tmp_path / "own.pem"), tmp_path / "film.xml"
    code, out, err = run("export", TITLE, "--cpix", str(file), "--recipient", str(own))
    assert (code, out, "in clear" in err) == (0, "", False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not any(secret in file.read_text() for secret in SECRETS)
    house.keys.remove(KEY.key_id)
    code, _, err = run("import", str(file))
    assert (code, "encrypted to a certificate" in err, "delivery_certificate" in err) == (2, True, True)
    monkeypatch.setenv("VIDPIPE_DELIVERY_CERTIFICATE", str(certificate(tmp_path / "other.pem")))
    assert "another certificate" in run("import", str(file))[2]
    monkeypatch.setenv("VIDPIPE_DELIVERY_CERTIFICATE", str(own))
    assert "1 key stored, 0 were there already" in run("import", str(file))[1]
    assert house.keys.get(KEY.key_id) == KEY
    past = certificate(tmp_path / "past.pem", days=-1)
    code, _, err = run("export", TITLE, "--cpix", str(tmp_path / "no.xml"), "--recipient", str(past))
    assert (code, "has expired" in err, (tmp_path / "no.xml").exists()) == (2, True, False)


def test_import_reads_a_file_or_standard_input(run: Run, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = export_keys(house.settings, TITLE)
    (tmp_path / "film.xml").write_bytes(document)
    assert "0 keys stored, 1 was there already" in run("import", str(tmp_path / "film.xml"))[1]
    house.keys.remove(KEY.key_id)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(document)))
    code, out, _ = run("import", "-", "--json")
    assert (code, json.loads(out)["added"]) == (0, [KEY.key_id])
    code, _, err = run("import", str(tmp_path / "nothing.xml"))
    assert (code, "cannot be read" in err) == (2, True)


def test_a_rotation_is_no_dry_run_unless_it_is_asked_for(house: House) -> None:
    assert rotate(house.settings, dry_run=True).dry_run
    done = rotate(house.settings)
    assert (done.keys, done.dry_run) == (1, False)
    assert KeyStore(house.settings.keys).get(KEY.key_id) == KEY


def test_the_new_master_key_is_named_and_never_given(run: Run, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    new = bytes(range(32))
    code, out, err = run("rotate-master", "--new-master", new.hex())
    assert code == 2
    assert new.hex() not in out + err, "not repeated"
    monkeypatch.setenv("NEW_MASTER_KEY", "too short")
    code, out, err = run("rotate-master", "--new-master", "NEW_MASTER_KEY")
    assert (code, "NEW_MASTER_KEY" in err, "too short" in err) == (2, True, False)
    monkeypatch.setenv("NEW_MASTER_KEY", new.hex())
    code, out, err = run("rotate-master", "--new-master", "NEW_MASTER_KEY")
    assert (code, "set VIDPIPE_MASTER_KEY to what NEW_MASTER_KEY has" in out) == (0, True)
    assert KeyStore(house.settings.keys, new).get(KEY.key_id) == KEY


# --- a lost or wrong master key is an error, and never garbage ----------------------------------------------------------


def lost(house: House) -> Any:
    (house.settings.keys / FILE).unlink()
    return house.settings


def wrong(house: House) -> Any:
    return house.settings.model_copy(update={"master_key": SecretBytes(b"x" * 32)})


@pytest.mark.parametrize(("how", "what"), [(lost, "the master key is missing"), (wrong, "wrapped with another master key")])
def test_without_the_master_key_nothing_is_done(how: Callable[[House], Any], what: str, house: House) -> None:
    from vidpipe.lifecycle.redescription import RedescribeRequest, redescribe
    from vidpipe.lifecycle.rollback import RollbackRequest, rollback
    from vidpipe.lifecycle.transfer import TransferRequest, transfer
    from vidpipe.preview import playing

    house.publish(SECOND, age=1)
    settings, before = how(house), house.objects()
    elsewhere = settings.model_copy(update={"target": str(settings.home / "elsewhere")})

    def preview() -> None:
        with playing(TITLE, settings):
            pass

    for command in (
        lambda: export_keys(settings, TITLE),
        lambda: scrub(ScrubRequest(title=TITLE), settings),
        lambda: redescribe(RedescribeRequest(content_id=TITLE, title="x"), settings),
        lambda: rollback(RollbackRequest(content_id=TITLE), settings),
        lambda: transfer(TransferRequest(content_id=TITLE), elsewhere),
        preview,
    ):
        with pytest.raises(UsageError, match=what) as refused:
            command()
        assert refused.value.fix
    assert house.objects() == before
    assert house.states == {SECOND: "live", FIRST: "superseded"}
