"""The master key from AWS KMS (moto): one request a run, errors that say what to do, and the way there from a file."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from pydantic import SecretBytes

from tests import servers
from tests.test_serving import code
from vidpipe import durable
from vidpipe.doctor import examine
from vidpipe.errors import KeyServiceFailed, PublishFailed, UsageError
from vidpipe.lifecycle.title_keys import list_keys, rotate
from vidpipe.pipeline.key_access import key_store, master_source
from vidpipe.protect.former_kms import FORMER, FormerKms
from vidpipe.protect.key_store import LOCK_FILE, ContentKey, KeyStore
from vidpipe.protect.master_key import FILE, KMS_FILE, KMS_NEXT, NEXT, create_next, load_master_key
from vidpipe.protect.master_rotation import rotate_master
from vidpipe.protect.master_source import KmsMaster, LocalMaster
from vidpipe.settings import Settings
from vidpipe.storage import kms


@pytest.fixture(scope="module")
def server() -> Iterator[servers.S3Server]:
    with servers.moto() as found:
        yield found


@pytest.fixture
def arn(server: servers.S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    server.use(monkeypatch, tmp_path)
    return str(boto3.client("kms", region_name="us-east-1").create_key()["KeyMetadata"]["Arn"])


@pytest.fixture
def settings(tmp_path: Path, arn: str) -> Settings:
    return Settings(home=tmp_path / "home", key_source=f"kms:{arn}")


def test_kms_wraps_the_master_key_and_that_the_content_keys(settings: Settings) -> None:
    made = [key_store(settings).create("film") for _ in range(2)]
    assert [key_store(settings).get(key.key_id) for key in made] == made
    assert not (settings.keys / FILE).exists()
    assert (settings.keys / KMS_FILE).stat().st_mode & 0o077 == 0
    master = next(master_source(settings).masters())
    everything = b"".join(file.read_bytes() for file in settings.keys.iterdir())
    assert master not in everything
    assert master.hex().encode() not in everything
    assert KeyStore(settings.keys, master).get(made[0].key_id) == made[0], "the key that KMS gives"
    (check,) = [check for check in examine(settings, {}) if check.name == "keys"]
    assert (check.state, "2 kept" in check.detail, settings.key_source in check.detail) == ("ok", True, True)


def test_kms_is_asked_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [key_store(settings).create("film") for _ in range(3)]
    asked: list[bytes] = []
    decrypt = kms.decrypt
    monkeypatch.setattr(kms, "decrypt", lambda arn, wrapped: (asked.append(wrapped), decrypt(arn, wrapped))[1])
    store = key_store(settings)
    for key in made:
        assert store.get(key.key_id) == key
    assert len(asked) == 1


def test_a_store_moves_to_kms(tmp_path: Path, settings: Settings) -> None:
    """Keys open before, in the middle and after; the file of the master key is gone then."""
    local = KeyStore(settings.keys)
    before = local.create("before")
    old = load_master_key(settings.keys)
    store = key_store(settings)
    assert store.get(before.key_id) == before
    later = store.create("later")
    done = rotate_master(settings.keys, master_source(settings))
    assert (done.keys, done.file) == (2, str(settings.keys / KMS_FILE))
    assert not (settings.keys / FILE).exists()
    assert not (settings.keys / KMS_NEXT).exists()
    for key in (before, later):
        assert key_store(settings).get(key.key_id) == key
        with pytest.raises(UsageError, match="another master key"):
            KeyStore(settings.keys, old).get(key.key_id)
    wrapped = (settings.keys / KMS_FILE).read_bytes()
    assert rotate_master(settings.keys, master_source(settings)).keys == 2
    assert (settings.keys / KMS_FILE).read_bytes() != wrapped, "a fresh master key"
    assert key_store(settings).get(before.key_id) == before


def test_a_rotation_that_was_killed_goes_on(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [key_store(settings).create("film") for _ in range(3)]

    def dies(self: KmsMaster) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(KmsMaster, "finish", dies)
        with pytest.raises(Died):
            rotate_master(settings.keys, master_source(settings))
    assert [key_store(settings).get(key.key_id) for key in made] == made
    assert rotate_master(settings.keys, master_source(settings)).already == 3
    assert [key_store(settings).get(key.key_id) for key in made] == made


@pytest.mark.skipif(os.name != "posix", reason="modes")
def test_a_store_moves_to_kms_in_the_middle_of_a_rotation(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    local = KeyStore(settings.keys)
    made = [local.create("film") for _ in range(3)]
    with monkeypatch.context() as patch:
        write, left = durable.write, [2]

        def dies(*arguments: Any, **options: Any) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(28, "No space left on device")
            write(*arguments, **options)

        patch.setattr(durable, "write", dies)
        with pytest.raises(UsageError, match="No space"):
            rotate_master(settings.keys, LocalMaster(settings.keys))
    assert (settings.keys / NEXT).exists()
    assert [key_store(settings).get(key.key_id) for key in made] == made
    done = rotate_master(settings.keys, master_source(settings))
    assert (done.keys, done.foreign) == (3, ())
    assert not {FILE, NEXT} & {file.name for file in settings.keys.iterdir()}
    assert [key_store(settings).get(key.key_id) for key in made] == made


def test_a_store_moves_from_a_given_key_to_kms(settings: Settings) -> None:
    """The way that the message and docs/keys.md name."""
    given = bytes(range(32))
    key = KeyStore(settings.keys, given).create("film")
    with pytest.raises(UsageError, match="wrapped master key is missing") as refused:
        rotate_master(settings.keys, master_source(settings))
    assert f"write it to {FILE}" in str(refused.value.fix)
    (settings.keys / FILE).write_text(given.hex())
    (settings.keys / FILE).chmod(0o600)
    assert rotate_master(settings.keys, master_source(settings)).keys == 1
    assert key_store(settings).get(key.key_id) == key


def another_key() -> str:
    return str(boto3.client("kms", region_name="us-east-1").create_key()["KeyMetadata"]["Arn"])


def moved(settings: Settings, to: str) -> Settings:
    """The settings after key_source was changed: to a file, or to another KMS key."""
    return settings.model_copy(update={"key_source": "local" if to == "local" else f"kms:{another_key()}"})


def opens(settings: Settings, keys: list[ContentKey]) -> bool:
    return [key_store(settings).get(key.key_id) for key in keys] == keys


@pytest.mark.parametrize("to", ["local", "kms"])
def test_a_store_leaves_a_kms_key(to: str, settings: Settings, arn: str) -> None:
    made = [key_store(settings).create("film") for _ in range(2)]
    old = next(master_source(settings).masters())
    there = moved(settings, to)
    planned = rotate(there, from_kms=arn, dry_run=True)
    assert planned.keys == 2
    assert {file.name for file in settings.keys.iterdir()} == {KMS_FILE, *(f"{key.key_id}.json" for key in made)}
    done = rotate(there, from_kms=arn)
    assert (done.keys, done.already, done.foreign) == (2, 0, ())
    assert done.file == str(settings.keys / (FILE if to == "local" else KMS_FILE))
    assert {file.name for file in settings.keys.iterdir()} & {FILE, KMS_FILE, NEXT, KMS_NEXT, FORMER} == {Path(done.file).name}
    assert opens(there, made)
    boto3.client("kms", region_name="us-east-1").disable_key(KeyId=arn.rpartition("/")[2])
    assert opens(there, [*made, key_store(there).create("later")]), "the KMS key that was left is not asked any more"
    with pytest.raises(UsageError, match="was replaced by another one"):
        KeyStore(settings.keys, old).create("late")
    assert rotate(there).keys == 3
    assert opens(there, made)


class Died(BaseException):
    """The machine."""


@pytest.mark.parametrize("to", ["local", pytest.param("kms", marks=pytest.mark.nightly)])
def test_wherever_it_is_killed_all_keys_open_and_the_same_command_goes_on(
    to: str, settings: Settings, arn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before each change of a file: written, moved, removed."""
    there, made = moved(settings, to), [key_store(settings).create("film") for _ in range(2)]
    before = {file: file.read_bytes() for file in settings.keys.iterdir()}
    monkeypatch.setattr(kms, "decrypt", cache(kms.decrypt))
    killed = 0
    while True:
        for file in settings.keys.iterdir():
            file.unlink()
        for file, data in before.items():
            file.write_bytes(data)
        left = [killed]

        def dying(change: Any, left: list[int] = left) -> Any:
            def changes(*arguments: Any, **options: Any) -> Any:
                if arguments[0].name != LOCK_FILE:  # which the kernel would let go
                    left[0] -= 1
                    if left[0] < 0:
                        raise Died
                return change(*arguments, **options)

            return changes

        with monkeypatch.context() as patch:
            for name in ("write", "create", "move"):
                patch.setattr(durable, name, dying(getattr(durable, name)))
            patch.setattr(Path, "unlink", dying(Path.unlink))
            try:
                rotate(there, from_kms=arn)
            except Died:
                killed += 1
            else:
                break
        if (settings.keys / FORMER).exists():  # it has begun: whoever is at work meanwhile opens them all, and makes others
            assert (settings.keys / FORMER).stat().st_mode & 0o077 == 0
            assert opens(there, made), killed
            assert opens(there, [key_store(there).create("meanwhile"), *made])
            assert opens(settings, made), "and so does who is still at the KMS key that is left"
        else:
            assert opens(settings, made), "nothing has begun, for master.former is the first file and the last"
            continue
        assert not rotate(there, from_kms=arn if killed % 2 else None).foreign
        assert opens(there, made), killed
        assert not (settings.keys / FORMER).exists()
    assert killed > 6


def test_a_store_that_changes_its_mind_half_way(settings: Settings, arn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From one KMS key to another, killed, and then to a file: by order only, and with all keys."""
    made, there, third = [key_store(settings).create("film") for _ in range(2)], moved(settings, "kms"), moved(settings, "local")
    with monkeypatch.context() as patch:
        patch.setattr(KmsMaster, "finish", lambda _: (_ for _ in ()).throw(Died))
        with pytest.raises(Died):
            rotate(there, from_kms=arn)
    assert opens(third, made)
    with pytest.raises(UsageError, match="is moving to kms:arn") as refused:
        rotate(third)
    assert refused.value.where == str(settings.keys / FORMER)
    assert f"--from-kms {there.key_source[4:]}" in str(refused.value.fix)
    assert rotate(third, from_kms=there.key_source[4:]).keys == 2
    assert opens(third, made)
    assert not {KMS_FILE, KMS_NEXT, FORMER} & {file.name for file in settings.keys.iterdir()}


def test_a_store_leaves_kms_by_order_only(settings: Settings, arn: str) -> None:
    key_store(settings).create("film")
    here, before = settings.model_copy(update={"key_source": "local"}), (settings.keys / KMS_FILE).read_bytes()
    for wanted in (lambda: rotate(here), lambda: key_store(here).create("late"), lambda: list_keys(here)):
        with pytest.raises(UsageError, match="is wrapped by AWS KMS") as refused:
            wanted()
        assert refused.value.where == str(settings.keys / KMS_FILE)
        assert "--from-kms" in str(refused.value.fix)
    with pytest.raises(KeyServiceFailed):
        key_store(moved(settings, "kms")).create("late")
    given = here.model_copy(update={"master_key": SecretBytes(bytes(32))})
    for configured, wrong, what in (
        (settings, {"from_kms": arn}, "still names"),
        (here, {"from_kms": "alias/film"}, "not the ARN"),
        (here, {"from_kms": arn, "new": bytes(32)}, "to a file of the key store first"),
        (given, {"from_kms": arn}, "to a file of the key store first"),
    ):
        with pytest.raises(UsageError, match=what):
            rotate(configured, **wrong)
    with pytest.raises(KeyServiceFailed):
        rotate(here, from_kms=another_key())
    assert (settings.keys / KMS_FILE).read_bytes() == before
    assert rotate(here, from_kms=arn).keys == 1


@pytest.mark.parametrize("to", ["local", "kms"])
def test_a_setting_that_is_wrong_for_once_makes_no_key_while_the_store_moves(
    to: str, settings: Settings, arn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a master key in clear, nor one that the new setting cannot open; and no wrapped master key is removed."""
    made, there = [key_store(settings).create("film") for _ in range(2)], moved(settings, to)
    with monkeypatch.context() as patch:
        patch.setattr(KmsMaster if to == "kms" else LocalMaster, "finish", lambda _: (_ for _ in ()).throw(Died))
        with pytest.raises(Died):
            rotate(there, from_kms=arn)
    before = {file: file.read_bytes() for file in settings.keys.iterdir()}
    for late in (settings, moved(settings, "local" if to == "kms" else "kms")):
        with pytest.raises(UsageError, match=f"is moving to {there.key_source}") as refused:
            key_store(late).create("late")
        assert f"set key_source to {there.key_source}" in str(refused.value.fix)
        leave = "vidpipe keys rotate-master" if to == "local" else f"--from-kms {there.key_source[4:]}"
        assert str(refused.value.fix).endswith(f"leave it: {leave}")
        assert {file: file.read_bytes() for file in settings.keys.iterdir()} == before
    FormerKms(settings.keys, settings.key_source).clear()
    assert {file: file.read_bytes() for file in settings.keys.iterdir()} == before, "a wrapped master key in use exists nowhere else"
    assert opens(there, [*made, key_store(there).create("meanwhile")])
    assert not rotate(there, from_kms=arn).foreign
    assert opens(there, made)


def test_without_any_content_key_no_setting_puts_a_master_key_into_a_file(settings: Settings) -> None:
    store, here = key_store(settings), settings.model_copy(update={"key_source": "local"})
    store.remove(store.create("film").key_id)
    with pytest.raises(UsageError, match="is wrapped by AWS KMS") as refused:
        key_store(here).create("late")
    assert "remove this file" in str(refused.value.fix)
    assert not (settings.keys / FILE).exists()
    (settings.keys / KMS_FILE).unlink()
    key_store(here).create("film")


@pytest.mark.parametrize("to", ["local", "kms"])
def test_a_move_that_is_done_is_said_and_changes_nothing(to: str, settings: Settings, arn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it was killed in the last moment: the master key of before is retired by then."""
    made, there = [key_store(settings).create("film") for _ in range(2)], moved(settings, to)
    old, forget = next(master_source(settings).masters()), FormerKms.forget

    def dies(former: FormerKms) -> None:
        forget(former)
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(FormerKms, "forget", dies)
        with pytest.raises(Died):
            rotate(there, from_kms=arn)
    if to == "local":  # nor does it undo what a rotation has begun since
        with key_store(there).locked():
            key_store(there).rewrap(create_next(settings.keys))
    before = {file: file.read_bytes() for file in settings.keys.iterdir()}
    for dry_run in (True, False):
        done = rotate(there, from_kms=arn, dry_run=dry_run)
        assert (done.keys, done.already, done.foreign, done.dry_run) == (0, 2, (), dry_run)
        assert done.file == str(settings.keys / (FILE if to == "local" else KMS_FILE))
    assert {file: file.read_bytes() for file in settings.keys.iterdir()} == before
    assert opens(there, made)
    with pytest.raises(UsageError, match="was replaced by another one"):
        KeyStore(settings.keys, old).create("late")


def test_keys_of_a_process_with_the_old_setting_come_over_too(settings: Settings, arn: str) -> None:
    """docs/keys.md: the command has to run once more."""
    made, there = [key_store(settings).create("film")], moved(settings, "local")
    rotate(there, from_kms=arn)
    late = key_store(settings).create("late")
    with pytest.raises(UsageError, match="another master key"):
        key_store(there).get(late.key_id)
    assert rotate(there, from_kms=arn).keys == 2
    assert opens(there, [*made, late])


def test_a_damaged_list_of_former_master_keys_is_said(settings: Settings) -> None:
    key_store(settings).create("film")
    (settings.keys / FORMER).write_text("{}")
    with pytest.raises(UsageError, match="altered or damaged") as refused:
        list_keys(settings)
    assert refused.value.where == str(settings.keys / FORMER)
    assert "\n" not in str(refused.value)


def test_who_only_looks_makes_no_master_key(settings: Settings) -> None:
    KeyStore(settings.keys).create("film")
    assert rotate_master(settings.keys, master_source(settings), dry_run=True).keys == 1
    assert {key.state for key in list_keys(settings)} == {"usable"}
    examine(settings, {})
    assert not (settings.keys / KMS_FILE).exists()


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KMS"])
def test_the_master_key_does_not_come_in_clear(variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    servers.S3Server("http://minio.example:9000", "test", "test-secret").use(monkeypatch, tmp_path)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv(variable, "http://minio.example:9000")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(KeyServiceFailed, match="in clear over the network") as refused:
        kms.generate(NOWHERE)
    assert "AWS_ENDPOINT_URL_S3" in str(refused.value.fix)


def test_the_server_of_s3_is_not_asked_for_keys(server: servers.S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server.use(monkeypatch, tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", server.endpoint)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://minio.example:9000")
    arn = str(boto3.client("kms", region_name="us-east-1").create_key()["KeyMetadata"]["Arn"])
    assert len(kms.generate(arn)[0]) == 32


def test_the_key_service_of_the_guide_opens_keys_that_kms_keeps(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, while and after they move from a file; a key that cannot be opened is no missing one."""
    key = KeyStore(settings.keys).create("film")
    (settings.home / "vidpipe.toml").write_text(f'key_source = "{settings.key_source}"\n')
    monkeypatch.setenv("VIDPIPE_HOME", str(settings.home))
    service: dict[str, Any] = {"__name__": "key_service"}
    exec(code("python"), service)  # the example as it stands

    def asked(key_id: str) -> tuple[str, list[bytes]]:
        said: list[str] = []
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": f"/{key_id}", "HTTP_AUTHORIZATION": "Bearer let-me-in"}
        body = service["application"](environ, lambda status, headers: said.append(status))
        return said[0][:3], body

    def killed(self: KmsMaster) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(KmsMaster, "finish", killed)
        assert asked(key.key_id) == ("200", [key.key])
        with pytest.raises(ZeroDivisionError):
            rotate_master(settings.keys, master_source(settings))
        assert asked(key.key_id) == ("200", [key.key]), "in the middle"
    rotate_master(settings.keys, master_source(settings))
    assert asked(key.key_id) == ("200", [key.key])
    assert asked("0" * 32) == asked("../master.kms") == ("404", [])
    (settings.keys / f"{key.key_id}.json").write_text("half")
    assert asked(key.key_id) == ("503", [])


def spoil(folder: Path) -> None:
    data = bytearray((folder / KMS_FILE).read_bytes())
    data[-1] ^= 1
    (folder / KMS_FILE).write_bytes(data)


def test_an_altered_master_key_opens_nothing(settings: Settings, arn: str) -> None:
    key = key_store(settings).create("film")
    spoil(settings.keys)
    with pytest.raises(KeyServiceFailed, match="the wrapped master key was altered") as failed:
        key_store(settings).get(key.key_id)
    assert failed.value.where == arn
    assert failed.value.fix
    assert isinstance(failed.value, PublishFailed), "the same command continues: no new key is made in its place"


def test_another_kms_key_opens_nothing(settings: Settings, tmp_path: Path) -> None:
    key = key_store(settings).create("film")
    other = str(boto3.client("kms", region_name="us-east-1").create_key()["KeyMetadata"]["Arn"])
    with pytest.raises(KeyServiceFailed):
        key_store(settings.model_copy(update={"key_source": f"kms:{other}"})).get(key.key_id)
    missing = f"{other[:-4]}0000"
    with pytest.raises(KeyServiceFailed, match="there is no such KMS key"):
        key_store(Settings(home=tmp_path / "other", key_source=f"kms:{missing}")).create("film")


def test_a_lost_wrapped_master_key_is_not_made_anew(settings: Settings) -> None:
    key_store(settings).create("film")
    (settings.keys / KMS_FILE).unlink()
    with pytest.raises(UsageError, match="wrapped master key is missing") as missing:
        key_store(settings).create("film")
    assert missing.value.where == str(settings.keys / KMS_FILE)
    assert not (settings.keys / KMS_FILE).exists()
    (settings.keys / KMS_FILE).mkdir()
    with pytest.raises(UsageError, match="cannot be read or stored: Is a directory") as failed:
        key_store(settings).create("film")
    assert failed.value.where == str(settings.keys / KMS_FILE)


class Refusing(BaseHTTPRequestHandler):
    """AWS KMS that answers every request with one error."""

    code, asked = "", 0

    def do_POST(self) -> None:
        type(self).asked += 1
        body = json.dumps({"__type": self.code, "message": "User: arn:aws:iam::1:user/x is not authorized"}).encode()
        self.send_response(400)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Refusing]]:
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        servers.S3Server(f"http://127.0.0.1:{server.server_port}", "test", "test-secret").use(monkeypatch, tmp_path)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        yield Refusing
        server.shutdown()


NOWHERE = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.mark.parametrize(
    ("code", "what", "fix"),
    [
        ("AccessDeniedException", "access denied", "kms:GenerateDataKey"),
        ("DisabledException", "the KMS key is disabled", "enable it"),
        ("ThrottlingException", "asks to slow down", "wait a moment"),
        ("KMSInvalidStateException", "present state", "deletion"),
    ],
)
def test_what_kms_answers_is_explained(code: str, what: str, fix: str, refusing: type[Refusing]) -> None:
    refusing.code = code
    with pytest.raises(KeyServiceFailed, match=what) as failed:
        kms.generate(NOWHERE)
    assert fix in str(failed.value.fix)
    assert "s3:" not in "".join(failed.value.lines()), "these are not the rights that S3 needs"


def test_no_network_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    servers.S3Server("http://127.0.0.1:1", "test", "test-secret").use(monkeypatch, tmp_path)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(KeyServiceFailed, match="cannot be reached"):
        kms.decrypt(NOWHERE, b"wrapped")


@pytest.mark.parametrize("source", ["aws", "kms:", "kms:alias/film", "kms:arn:aws:s3:::bucket", "local:", "speke"])
def test_what_is_no_source_of_keys_is_refused(source: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a source of keys"):
        Settings(home=tmp_path, key_source=source)


def test_two_master_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two master keys"):
        Settings(home=tmp_path, key_source=f"kms:{NOWHERE}", master_key=SecretBytes(bytes(32)))


def test_a_key_that_somebody_gives_has_no_place_in_kms(settings: Settings) -> None:
    key_store(settings).create("film")
    with pytest.raises(UsageError, match="none can be given"):
        rotate_master(settings.keys, master_source(settings), bytes(32))
