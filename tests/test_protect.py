"""Keys that stay secret, and segments that an independent implementation decrypts."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import pickle
import shutil
import stat
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidpipe.errors import UsageError, VerificationFailed
from vidpipe.package.result import Segment
from vidpipe.protect.key_store import ContentKey, KeyStore
from vidpipe.protect.master_key import FILE, load_master_key, parse_master_key
from vidpipe.protect.schemes.aes128 import SCHEME as AES128
from vidpipe.protect.schemes.aes128 import decrypt, encrypt
from vidpipe.protect.schemes.clear import SCHEME as CLEAR

MASTER = bytes(range(32))
KEY = ContentKey(key_id="0" * 32, content_id="t", key=bytes(range(16)))
RECORDED = Path(__file__).parent / "recorded" / "0.1.0" / "keys"


def segment(data: bytes, rendition: str = "720p", index: int = 0) -> Segment:
    return Segment(rendition=rendition, index=index, start=Fraction(0), duration=Fraction(6), samples=144, data=data)


# -- segments ----------------------------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=100))
def test_what_is_encrypted_comes_back(data: bytes) -> None:
    protected = encrypt(segment(data), KEY)
    assert protected.iv is not None
    assert len(protected.data) == len(data) // 16 * 16 + 16
    assert decrypt(protected.data, KEY.key, protected.iv) == data


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 70_000])
def test_openssl_decrypts_it(size: int) -> None:
    data = bytes(n % 251 for n in range(size))
    protected = encrypt(segment(data), KEY)
    assert protected.iv is not None
    command = ["openssl", "enc", "-d", "-aes-128-cbc", "-K", KEY.key.hex(), "-iv", protected.iv.hex()]
    assert subprocess.run(command, input=protected.data, capture_output=True, check=True).stdout == data


def test_the_facts_stay_with_the_segment() -> None:
    made = encrypt(segment(b"data", index=7), KEY)
    assert (made.rendition, made.index, made.duration, made.samples, made.key_id) == ("720p", 7, Fraction(6), 144, KEY.key_id)
    assert made.sha256 == hashlib.sha256(made.data).hexdigest()
    assert "data" not in repr(made)


def test_the_iv_repeats_only_with_its_segment() -> None:
    def iv(data: bytes, rendition: str, index: int, key: bytes) -> bytes | None:
        return encrypt(segment(data, rendition, index), ContentKey("0" * 32, "t", key)).iv

    assert iv(b"a", "r", 1, b"k" * 16) == iv(b"a", "r", 1, b"k" * 16)
    others = [
        (b"b", "r", 1, b"k" * 16),
        (b"a", "s", 1, b"k" * 16),
        (b"a", "r", 2, b"k" * 16),
        (b"a", "r", 1, b"l" * 16),
        (b"a", "r1", 1, b"k" * 16),
    ]
    assert len({iv(*arguments) for arguments in [(b"a", "r", 1, b"k" * 16), *others]}) == 6
    assert encrypt(segment(b"a"), KEY).data == encrypt(segment(b"a"), KEY).data


def test_every_vidpipe_encrypts_a_segment_alike() -> None:
    """So a new version of a title takes over what an earlier vidpipe published, and a run continues what it began."""
    made = encrypt(segment(b"data", index=7), KEY)
    assert made.iv is not None
    assert (made.iv.hex(), made.data.hex()) == ("b6c908378ba9e5da487a4d6c649ae756", "a9a1385d1443001455ae30ff228d6b0f")


def test_an_encrypted_segment_without_key_or_iv_is_refused() -> None:
    made = encrypt(segment(b"data"), KEY)
    for key, iv in ((None, made.iv), (KEY.key, None)):
        with pytest.raises(VerificationFailed, match="no key or no IV"):
            AES128.open(made.data, key, iv)


def test_a_clear_segment_passes_through() -> None:
    made = CLEAR.seal(segment(b"data"), None)
    assert (made.data, made.iv, made.key_id) == (b"data", None, None)


@pytest.mark.parametrize("data", [b"", b"x" * 15, b"x" * 17], ids=["empty", "short", "odd"])
def test_a_wrong_length_is_no_segment(data: bytes) -> None:
    with pytest.raises(VerificationFailed, match="multiple of 16"):
        decrypt(data, KEY.key, bytes(16))


def test_wrong_padding_is_no_segment() -> None:
    protected = encrypt(segment(b"x" * 32), KEY)
    assert protected.iv is not None
    for padding in (0, 17, 255):  # flips in the block before the padding change the padding byte
        broken = bytearray(protected.data)
        broken[-17] ^= 16 ^ padding
        with pytest.raises(VerificationFailed, match="does not decrypt"):
            decrypt(bytes(broken), KEY.key, protected.iv)
    broken = bytearray(protected.data)
    broken[-18] ^= 1  # the length byte is right, the one before it is not
    with pytest.raises(VerificationFailed, match="does not decrypt"):
        decrypt(bytes(broken), KEY.key, protected.iv)


# -- keys --------------------------------------------------------------------------------------------------------------------------------


def test_a_key_is_found_again(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys")
    key = store.create("title-1")
    assert KeyStore(tmp_path / "keys").get(key.key_id) == key
    assert len(key.key) == 16
    assert key.key != store.create("title-1").key
    assert [info.content_id for info in store.find("title-1")] == ["title-1", "title-1"]
    assert store.find("title-2") == ()
    assert KeyStore(tmp_path / "none").find() == ()


def test_other_files_in_its_folder_are_no_keys(tmp_path: Path) -> None:
    key = KeyStore(tmp_path).create("t")
    for name in ("notes.json", "0" * 32, f"{'0' * 32}.json.bak"):
        (tmp_path / name).write_text("mine")
    assert [info.key_id for info in KeyStore(tmp_path).find()] == [key.key_id]
    assert KeyStore(tmp_path).ids() == (key.key_id,)


def test_the_time_of_a_key_is_shown(tmp_path: Path) -> None:
    store, before = KeyStore(tmp_path), datetime.now(UTC)
    store.create("t")
    (info,) = store.find()
    assert before - timedelta(seconds=1) < info.created_at <= datetime.now(UTC)
    assert info.created_at.microsecond == 0


def test_a_key_that_an_earlier_vidpipe_made_still_opens() -> None:
    master = parse_master_key((RECORDED / FILE).read_text())
    key = KeyStore(RECORDED, master).get("b6a683d23612c0ccbb9c47396399db4d")
    assert hashlib.sha256(key.key).hexdigest() == "b63a51b128d2884f8028b9d493c67112f9b968a9ea959a5b6a54247ace9c95ec"


def test_keys_of_another_master_key_are_named(tmp_path: Path) -> None:
    ours, theirs = KeyStore(tmp_path, MASTER), KeyStore(tmp_path, bytes(32))
    ours.create("ours")
    made = {theirs.create(title).key_id: title for title in ("one", "two")}
    assert (len(theirs.foreign(most=3)), len(KeyStore(tmp_path, b"x" * 32).foreign(most=2))) == (1, 2)
    (tmp_path / f"{'0' * 32}.json").write_text("damaged: whoever needs it gets the error")
    assert {info.key_id: info.content_id for info in ours.foreign()} == made
    assert [info.content_id for info in theirs.foreign()] == ["ours"]


def test_a_look_for_foreign_keys_makes_no_master_key(tmp_path: Path) -> None:
    assert KeyStore(tmp_path).foreign() == ()
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_forgotten_once(tmp_path: Path) -> None:
    store = KeyStore(tmp_path, MASTER)
    key, other = store.create("t"), store.create("u")
    assert store.holds(key.key_id)
    store.remove(key.key_id)
    store.remove(key.key_id)
    assert not store.holds(key.key_id)
    assert [info.key_id for info in store.find()] == [other.key_id]


def test_a_key_that_two_runs_forget_at_once_is_no_error(tmp_path: Path) -> None:
    store = KeyStore(tmp_path, MASTER)
    key = store.create("t")
    with ThreadPoolExecutor() as pool:
        with store.locked():
            second = pool.submit(store.remove, key.key_id)
            time.sleep(0.1)  # it has seen the file, and waits
            (tmp_path / f"{key.key_id}.json").unlink()
        second.result(timeout=10)
    assert store.find() == ()


@pytest.mark.parametrize("key", [ContentKey("0" * 31, "t", bytes(16)), ContentKey("0" * 32, "t", bytes(15))], ids=["id", "length"])
def test_what_is_no_key_is_not_stored(key: ContentKey, tmp_path: Path) -> None:
    """A key server's answer is the only way for one to come from elsewhere: nothing would ever open with it."""
    with pytest.raises(ValueError, match="not a key of 16 bytes with an id of 32 hex digits"):
        KeyStore(tmp_path, MASTER).add(key)
    assert list(tmp_path.iterdir()) == []


def test_the_state_of_every_key_is_known(tmp_path: Path) -> None:
    """What `doctor` and `keys list` warn of: before a viewer, or an ingest of hours, needs it."""
    assert KeyStore(tmp_path).states() == {}
    assert list(tmp_path.iterdir()) == [], "no master key is made for a look"
    store = KeyStore(tmp_path, MASTER)
    usable, altered, cut = (store.create(title).key_id for title in ("usable", "altered", "cut"))
    theirs = KeyStore(tmp_path, bytes(32)).create("theirs").key_id
    for key_id, change in ((altered, lambda text: text.replace('"altered"', '"other"')), (cut, lambda text: text[:40])):
        file = tmp_path / f"{key_id}.json"
        file.write_text(change(file.read_text()))
    assert store.states() == {usable: "usable", altered: "damaged", cut: "damaged", theirs: "another master key"}


def test_nothing_is_created_before_the_first_key(tmp_path: Path) -> None:
    KeyStore(tmp_path / "keys").find()
    assert not (tmp_path / "keys").exists()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_only_the_owner_may_look(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir(mode=0o755)
    (tmp_path / "keys").chmod(0o755)  # whatever the umask
    key = KeyStore(tmp_path / "keys").create("t")
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in [tmp_path / "keys", *(tmp_path / "keys").iterdir()]}
    assert modes == {"keys": 0o700, FILE: 0o600, f"{key.key_id}.json": 0o600}
    load_master_key(tmp_path / "new" / "keys")
    assert stat.S_IMODE((tmp_path / "new" / "keys").stat().st_mode) == 0o700


def test_a_given_master_key_leaves_no_file(tmp_path: Path) -> None:
    key = KeyStore(tmp_path, MASTER).create("t")
    assert not (tmp_path / FILE).exists()
    assert KeyStore(tmp_path, MASTER).get(key.key_id) == key


def test_the_file_works_as_the_variable_elsewhere(tmp_path: Path) -> None:
    key = KeyStore(tmp_path).create("t")
    assert KeyStore(tmp_path, parse_master_key((tmp_path / FILE).read_text())).get(key.key_id) == key


def test_another_master_key_is_named_as_the_cause(tmp_path: Path) -> None:
    key = KeyStore(tmp_path, MASTER).create("t")
    with pytest.raises(UsageError, match="another master key") as failure:
        KeyStore(tmp_path, bytes(32)).get(key.key_id)
    assert failure.value.fix
    assert failure.value.where == str(tmp_path / f"{key.key_id}.json")


@pytest.mark.parametrize("change", ["wrapped", "content_id", "created_at", "key_id", "mac", "cut", "no-field", "swapped"])
def test_an_altered_key_file_is_refused(change: str, tmp_path: Path) -> None:
    store = KeyStore(tmp_path, MASTER)
    key, other = store.create("t"), store.create("u")
    file = tmp_path / f"{key.key_id}.json"
    entry = json.loads(file.read_text())
    if change == "wrapped":
        entry["wrapped"] = json.loads((tmp_path / f"{other.key_id}.json").read_text())["wrapped"]
    elif change == "no-field":
        del entry["wrapped"]
    elif change == "key_id":
        entry["key_id"] = other.key_id
    elif change == "created_at":
        entry["created_at"] = "2001-01-01T00:00:00Z"
    elif change in entry:
        entry[change] = "00" * 32 if change == "mac" else "another"
    text = (tmp_path / f"{other.key_id}.json").read_text() if change == "swapped" else json.dumps(entry)
    file.write_text(text[:40] if change == "cut" else text)
    with pytest.raises(UsageError, match="altered or damaged") as failure:
        store.get(key.key_id)
    assert failure.value.where == str(file)


IDS = {"empty": "", "path": "../master", "short": "0" * 31, "no-hex": "G" * 32, "line-end": "0" * 32 + "\n"}


@pytest.mark.parametrize("key_id", IDS.values(), ids=IDS.keys())
def test_a_strange_key_id_opens_no_file(key_id: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a key id") as failure:
        KeyStore(tmp_path, MASTER).get(key_id)
    assert failure.value.where == str(tmp_path)


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no key 0000") as failure:
        KeyStore(tmp_path, MASTER).get("0" * 32)
    assert failure.value.where == str(tmp_path)


def secrets_of(key: bytes) -> list[str]:
    return [key.hex(), key.hex().upper(), base64.b64encode(key).decode(), repr(key), repr(list(key))]


def test_a_key_shows_up_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)
    store = KeyStore(tmp_path)
    key = store.create("t")
    opened = load_master_key(tmp_path)
    texts = [repr(key), str(key), f"{key}", repr(store), str(vars(store)), repr(store.find()), repr(encrypt(segment(b"x"), key))]
    file = tmp_path / f"{key.key_id}.json"
    texts.append(file.read_text())
    file.write_text(file.read_text().replace('"t"', '"u"'))
    with pytest.raises(UsageError) as failure:
        store.get(key.key_id)
    texts += ["".join(traceback.format_exception(failure.value)), *failure.value.lines(), caplog.text, *capfd.readouterr()]
    for secret in secrets_of(key.key) + secrets_of(opened):
        assert not any(secret in text for text in texts)


def test_a_key_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="stays in the process"):
        pickle.dumps(KEY)


# -- the master key ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        MASTER.hex(),
        MASTER.hex().upper(),
        f" {MASTER.hex()}\n",
        base64.b64encode(MASTER).decode(),
        base64.urlsafe_b64encode(MASTER).decode().rstrip("="),
    ],
    ids=["hex", "upper-hex", "spaces", "base64", "url-safe"],
)
def test_a_master_key_is_read(text: str) -> None:
    assert parse_master_key(text) == MASTER


@pytest.mark.parametrize("text", ["-_" * 21 + "8", "+/" * 21 + "8="], ids=["url-safe", "standard"])
def test_both_alphabets_of_base64_are_read(text: str) -> None:
    assert parse_master_key(text) == bytes.fromhex("fbffbf" * 10 + "fbff")


@pytest.mark.parametrize(
    "text",
    [
        *("", "secret-text-of-mine", MASTER.hex()[:-2], MASTER.hex() + "00", "x" * 64),
        *(base64.b64encode(bytes(16)).decode(), "ä" * 64, "A" * 20 + "*" + "A" * 23 + "="),
    ],
    ids=["empty", "words", "short", "long", "no-hex", "16-bytes", "no-ascii", "a slip in base64"],
)
def test_a_wrong_master_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError, match="32 bytes") as failure:
        parse_master_key(text)
    assert not text or text not in "".join(traceback.format_exception(failure.value))


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_a_master_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    load_master_key(tmp_path)
    (tmp_path / FILE).chmod(0o640)
    with pytest.raises(UsageError, match="other users can read") as failure:
        load_master_key(tmp_path)
    assert "chmod 600" in str(failure.value.fix)
    assert failure.value.where == str(tmp_path / FILE)


def test_reading_the_master_key_changes_nothing(tmp_path: Path) -> None:
    key = load_master_key(tmp_path)
    before = tmp_path.stat().st_mtime_ns
    assert load_master_key(tmp_path) == key
    assert tmp_path.stat().st_mtime_ns == before


def test_a_lost_master_key_is_not_replaced(tmp_path: Path) -> None:
    KeyStore(tmp_path).create("t")
    (tmp_path / FILE).unlink()
    with pytest.raises(UsageError, match="is missing") as failure:
        KeyStore(tmp_path).create("u")
    assert failure.value.where == str(tmp_path / FILE)
    assert not (tmp_path / FILE).exists()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    key = KeyStore(tmp_path / "a", MASTER).create("t")
    file = tmp_path / "a" / f"{key.key_id}.json"
    file.unlink()
    file.mkdir()
    with pytest.raises(UsageError, match="a content key cannot be read: Is a directory") as failure:
        KeyStore(tmp_path / "a", MASTER).get(key.key_id)
    assert failure.value.where == str(file)
    with pytest.raises(UsageError, match="a content key cannot be removed: Is a directory") as failure:
        KeyStore(tmp_path / "a", MASTER).remove(key.key_id)
    assert failure.value.where == str(file)
    (tmp_path / "b" / FILE).mkdir(parents=True, mode=0o700)
    with pytest.raises(UsageError, match="the master key cannot be read or created: Is a directory") as failure:
        load_master_key(tmp_path / "b")
    assert failure.value.where == str(tmp_path / "b" / FILE)


def test_a_file_in_the_place_of_the_key_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(b"")
    store = KeyStore(tmp_path / "keys", MASTER)
    with pytest.raises(UsageError, match="a content key cannot be stored: File exists") as failure:
        store.create("t", "0" * 32)
    assert failure.value.where == str(tmp_path / "keys" / f"{'0' * 32}.json")
    with pytest.raises(UsageError, match="the key store cannot be read: Not a directory") as failure:
        store.find()
    assert failure.value.where == str(tmp_path / "keys")


@pytest.mark.parametrize("content", [b"half", b"\xff" * 64], ids=["short", "no-text"])
def test_a_damaged_master_key_is_named(content: bytes, tmp_path: Path) -> None:
    load_master_key(tmp_path)
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(UsageError, match="32 bytes") as failure:
        load_master_key(tmp_path)
    assert failure.value.where == str(tmp_path / FILE)


def test_the_first_of_two_creators_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(temporary: Path, file: Path) -> None:
        file.write_text(MASTER.hex())  # another process comes first, at the worst moment
        file.chmod(0o600)
        real(temporary, file)

    real = os.link
    monkeypatch.setattr(os, "link", link)
    assert load_master_key(tmp_path) == MASTER
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_processes_that_start_together_share_one_master_key(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from vidpipe.protect.master_key import load_master_key; sys.stdin.read(1);"
        "import hashlib; print(hashlib.sha256(load_master_key(pathlib.Path(sys.argv[1]))).hexdigest())"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "keys")]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("g")
        process.stdin.flush()
    outputs = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 6
    assert len(outputs) == 1
    assert [file.name for file in (tmp_path / "keys").iterdir()] == [FILE]
