"""Settings: one order of precedence, strict values, no secret in sight."""

from __future__ import annotations

import json
import os
import pickle
import re
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from vidpipe.defaults import SETTINGS
from vidpipe.errors import UsageError
from vidpipe.settings import Settings, _flag, resolve, unknown_variables
from vidpipe.source.limits import SourceLimits

KEY = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A working directory whose home is the folder ``home`` in it."""
    (tmp_path / "home").mkdir()
    return tmp_path


def test_defaults(here: Path) -> None:
    settings = resolve({"home": "home"}, {}, here)
    assert settings.home == here / "home"
    assert settings.target == str(here / "home" / "library")
    assert settings.catalog_url == here / "home" / "catalog.db"
    assert (settings.work, settings.keys) == (here / "home" / "work", here / "home" / "keys")
    assert (settings.ladder, settings.encrypt) == ("streaming", "aes-128")
    assert (settings.chunk_seconds, settings.segment_seconds, settings.gop_seconds) == (30, 6, 2)
    assert settings == Settings(home=here / "home")


def test_the_home_is_the_users_data_folder(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(here))
    assert Settings().home.name == "vidpipe"
    assert resolve({}, {}, here).home == Settings().home


LEVELS = ["flag", "variable", "file here", "file at home"]


@pytest.mark.parametrize("first", range(5), ids=[*LEVELS, "default"])
def test_precedence(here: Path, first: int) -> None:
    values = {level: number + 11 for number, level in enumerate(LEVELS) if number >= first}
    flags: dict[str, object] = {"home": "home", "workers": str(values["flag"]) if "flag" in values else None}
    environ = {"VIDPIPE_WORKERS": str(values["variable"])} if "variable" in values else {}
    for level, folder in (("file here", here), ("file at home", here / "home")):
        if level in values:
            (folder / "vidpipe.toml").write_text(f"workers = {values[level]}\n")
    assert resolve(flags, environ, here).workers == (first + 11 if first < 4 else None)


def test_the_home_comes_from_flag_or_variable(here: Path) -> None:
    assert resolve({}, {"VIDPIPE_HOME": "other"}, here).home == here / "other"
    assert resolve({"home": "third"}, {"VIDPIPE_HOME": "other"}, here).home == here / "third"


def test_a_working_directory_that_is_the_home(here: Path) -> None:
    (here / "vidpipe.toml").write_text('workers = 3\nencrypt = "none"\n')
    (here / "link").symlink_to(here)
    for home in (".", "link", "home/.."):
        assert resolve({"home": home}, {}, here).workers == 3
        assert resolve({"home": home}, {}, here).encrypt == "none"


KMS = "kms:arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
UNTRUSTED = {
    "home": '"mine"', "target": '"s3://theirs/x"', "encrypt": '"none"', "formats": '"hls"', "key_url": '"https://k/{key_id}"',
    "public_url": '"https://theirs/x"', "cdn": '"command:/theirs"', "ffmpeg": '"./ff"',
    "cluster": '"tcp://h:1"', "cluster_work": '"s3://theirs/x"', "catalog_url": '"sqlite:///theirs.db"', "limits": "{max_pixels = 1}",
    "master_key": f'"{KEY}"', "gzip_playlists": "true", "key_classes": '"all"', "key_rotation": '"60"',
    "key_source": f'"{KMS}"', "key_source_authorization": '"Bearer x"', "session_keys": "true",
    "key_source_header": '"x-api-key: x"', "key_source_client_certificate": '"c.pem"', "delivery_certificate": '"d.pem"',
}  # fmt: skip
TRUSTED = {
    "ladder": '"fast"', "policy": '"p.yaml"', "chunk_seconds": "30", "segment_seconds": "6", "gop_seconds": "2", "workers": "1",
    "threads": "1", "upload_workers": "1",
}  # fmt: skip


def test_every_setting_is_decided_upon() -> None:
    assert {*UNTRUSTED, *TRUSTED} == {*Settings.model_fields}


@pytest.mark.parametrize("name", UNTRUSTED)
def test_a_working_directory_names_no_program_no_address_and_no_place(here: Path, name: str) -> None:
    (here / "vidpipe.toml").write_text(f"{name} = {UNTRUSTED[name]}\n")
    for environ in ({}, {"VIDPIPE_TARGET": "lib"}):
        with pytest.raises(UsageError, match=f"{name} cannot be set in") as refused:
            resolve({"home": "home"}, environ, here)
        assert refused.value.where == str(here / "vidpipe.toml")
        assert "VIDPIPE_" in str(refused.value.fix) or str(here / "home" / "vidpipe.toml") in str(refused.value.fix)
    (here / "vidpipe.toml").rename(here / "home" / "vidpipe.toml")
    if name in ("home", "master_key"):  # a file at home that moved the home would bring in another one
        with pytest.raises(UsageError, match=f"{name} cannot be set in a file"):
            resolve({"home": "home"}, {}, here)
    else:
        resolve({"home": "home"}, {}, here)


@pytest.mark.parametrize("name", TRUSTED)
def test_a_working_directory_says_what_to_make_and_how_hard_to_work(here: Path, name: str) -> None:
    (here / "vidpipe.toml").write_text(f"{name} = {TRUSTED[name]}\n")
    resolve({"home": "home"}, {}, here)


def test_paths_are_relative_to_where_they_stand(here: Path) -> None:
    (here / "home" / "vidpipe.toml").write_text('target = "films"\npolicy = "p.yaml"\nladder = "mine.yaml"\nffmpeg = "bin/ffmpeg"\n')
    settings = resolve({"home": "home"}, {}, here)
    base = here / "home"
    assert (settings.target, settings.policy) == (str(base / "films"), str(base / "p.yaml"))
    assert (settings.ladder, settings.ffmpeg) == (str(base / "mine.yaml"), str(base / "bin/ffmpeg"))
    plain = resolve({"home": "home", "target": "s3://b/p", "ladder": "fast", "ffmpeg": "ffmpeg"}, {}, here)
    assert (plain.target, plain.ladder, plain.ffmpeg) == ("s3://b/p", "fast", "ffmpeg")


def test_numbers_are_exact(here: Path) -> None:
    (here / "vidpipe.toml").write_text("chunk_seconds = 10.1\n")
    assert resolve({"home": "home"}, {}, here).chunk_seconds == Fraction(101, 10)
    assert resolve({"chunk_seconds": "20/1"}, {}, here).chunk_seconds == 20


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name not in ("master_key", "limits")])
def test_an_empty_flag_is_not_the_default(here: Path, name: str) -> None:
    with pytest.raises(UsageError, match="the value is empty") as refused:
        resolve({"home": "home", name: ""}, {}, here)
    assert refused.value.where == _flag(name)


def test_a_file_of_settings_that_is_a_pipe_does_not_hang(here: Path) -> None:
    os.mkfifo(here / "vidpipe.toml")
    with pytest.raises(UsageError, match="is not a file"):
        resolve({"home": "home"}, {}, here)


def test_an_empty_variable_is_not_set(here: Path) -> None:
    assert resolve({"home": "home"}, {"VIDPIPE_FFMPEG": "", "VIDPIPE_TARGET": ""}, here).ffmpeg is None


FILES = {
    "unknown key": ("# mine\nworker = 2", 2, "unknown key worker", "did you mean workers?"),
    "text for a number": ('workers = "2"', 1, 'workers = "2" is not allowed', "give a whole number, 1 or more, such as workers = 4"),
    "boolean for a number": ("\nworkers = true", 2, "workers = true is not allowed", "such as workers = 4"),
    "zero": ("workers=0", 1, "workers = 0 is not allowed", "such as workers = 4"),
    "number for text": ("ladder = 5", 1, "ladder = 5 is not allowed", 'such as ladder = "streaming"'),
    "date for text": ("ladder = 2026-01-01", 1, "is not allowed", 'such as ladder = "streaming"'),
    "wrong choice": (
        'encrypt = "des"', 1, 'encrypt = "des" is not allowed', 'give aes-128, cbcs, cenc or none, such as encrypt = "aes-128"'
    ),
    "number for a switch": ("gzip_playlists = 1", 1, "gzip_playlists = 1 is not", "give true or false, such as gzip_playlists = true"),
    "wrong URL": ('threads = 1\nkey_url = "x"', 2, "the URL would be the same", "such as https://keys"),
    "wrong target": ('threads = 1\n"target" = "s3:/x"', 2, "s3:/x", "did you mean s3://x?"),
    "not toml": ("workers = ", None, "cannot be read", "write it as TOML"),
    "not utf-8": (b"\xff", None, "cannot be read", "write it as TOML"),
    "master key": (f'master_key = "{KEY}"', 1, "master_key cannot be set in a file", "VIDPIPE_MASTER_KEY"),
    "limits no table": ("limits = 5", 1, "limits must be a table", "[limits]"),
    "unknown limit": ("[limits]\nmax_pixel = 5", 2, "unknown key in [limits]: max_pixel", "did you mean max_pixels?"),
    "unknown table": ("workers = 1\n[limit]\nmax_pixels = 5", 2, "unknown key limit", "did you mean limits?"),
    "NUL in a path": ('policy = "a\\u0000b"', 1, "a NUL character is not allowed", "policy.yaml"),
    "limit as text": (
        'workers = 1\n[limits]\nopen_files = 9\nmax_pixels = "5"', 4, 'max_pixels = "5" is not allowed', "a whole number, 1 or more",
    ),
    "limit with a dot": ('limits.max_pixels = "5"', 1, 'max_pixels = "5" is not allowed', "such as max_pixels = 37748736"),
    "limit in a line": ('limits = {max_pixels = "5"}', None, 'max_pixels = "5" is not allowed', "such as max_pixels = 37748736"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_wrong_file_is_refused_by_name(here: Path, name: str) -> None:
    text, line, what, fix = FILES[name]
    file = here / "vidpipe.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as refused:
        resolve({"home": "home"}, {}, here)
    assert (refused.value.where, refused.value.line) == (str(file), line)
    assert what in refused.value.what
    assert fix in str(refused.value.fix)
    assert KEY not in str(refused.value.lines())


@pytest.mark.parametrize(
    ("flags", "environ", "where", "what"),
    [
        ({"workers": "x"}, {}, "--workers", "'x' is not allowed"),
        ({"target": "lib", "workers": "1.5"}, {}, "--workers", "'1.5' is not allowed"),
        ({"cluster": "scheduler"}, {}, "--cluster", "'scheduler' is not the address of a Dask scheduler"),
        ({}, {"VIDPIPE_CLUSTER": "http://h:1"}, "VIDPIPE_CLUSTER", "'http://h:1' is not the address of a Dask scheduler"),
        ({"cluster_work": "/mnt/work"}, {}, "--cluster-work", "'/mnt/work' is not allowed"),
        ({}, {"VIDPIPE_THREADS": "-1"}, "VIDPIPE_THREADS", "'-1' is not allowed"),
        ({}, {"VIDPIPE_LIMITS_MAX_PIXELS": "many"}, "VIDPIPE_LIMITS_MAX_PIXELS", "'many' is not allowed"),
        ({"gop_seconds": "7"}, {}, "--gop-seconds", "gop_seconds (7 s) is longer than segment_seconds (6 s, the default)"),
        (
            {},
            {"VIDPIPE_CHUNK_SECONDS": "2.5"},
            "VIDPIPE_CHUNK_SECONDS",
            "segment_seconds (6 s, the default) is longer than chunk_seconds (2.5 s)",
        ),
        ({"chunk_seconds": "1/0"}, {}, "--chunk-seconds", "'1/0' is not allowed"),
    ],
)
def test_a_wrong_value_is_refused_by_its_origin(
    here: Path, flags: dict[str, object], environ: dict[str, str], where: str | None, what: str
) -> None:
    with pytest.raises(UsageError) as refused:
        resolve({"home": "home", **flags}, environ, here)
    assert refused.value.where == where
    assert what in refused.value.what


@pytest.mark.parametrize(
    "template",
    ["https://keys.example.com/{key_id}", "https://k/{content_id}?v=1", "http://127.0.0.1:8000/{content_id}/{key_id}"],
)
def test_key_url_templates(here: Path, template: str) -> None:
    assert resolve({"home": "home", "key_url": template}, {}, here).key_url == template


@pytest.mark.parametrize(
    "template",
    [
        "keys/{key_id}", "https://k/", "https://k/{key}", "https://k/{key_id", "https://k/{key_id} x", 'https://k/{key_id}"', "{key_id}",
        "https:///{key_id}", "https://k/{key_id.__class__}", "https://k/{key_id}\n", "ftp://k/{key_id}", "https://k/{}",
        "https://k/{key_id!r}", "https://k/{key_id:>9}", "https://k/{{x}}/{key_id}", "https://k:port/{key_id}", "https://k/é/{key_id}",
    ],
)  # fmt: skip
def test_wrong_key_url_templates(here: Path, template: str) -> None:
    with pytest.raises(UsageError) as refused:
        resolve({"home": "home", "key_url": template}, {}, here)
    assert refused.value.where == "--key-url"
    with pytest.raises(UsageError) as refused:
        resolve({"home": "home"}, {"VIDPIPE_KEY_URL": template}, here)
    assert refused.value.where == "VIDPIPE_KEY_URL"
    with pytest.raises(UsageError):
        Settings(home=here, key_url=template)


@pytest.mark.parametrize("first", ["here", "home"])
def test_lengths_that_do_not_fit_are_named_with_their_file(here: Path, first: str) -> None:
    file = (here if first == "here" else here / "home") / "vidpipe.toml"
    file.write_text("segment_seconds = 40\n")
    with pytest.raises(UsageError) as refused:
        resolve({"home": "home"}, {}, here)
    assert refused.value.lines() == [
        f"{file}:1: segment_seconds (40 s) is longer than chunk_seconds (30 s, the default)",
        "fix: make segment_seconds at most 30, or change chunk_seconds too",
    ]
    with pytest.raises(UsageError, match=r"chunk_seconds \(1 s\)"):
        Settings(home=here, chunk_seconds=Fraction(1))


def test_limits_come_from_files_and_variables(here: Path) -> None:
    (here / "home" / "vidpipe.toml").write_text("[limits]\nmax_pixels = 1000\nmax_streams = 3\n")
    limits = resolve({"home": "home"}, {"VIDPIPE_LIMITS_MAX_PIXELS": "2000", "VIDPIPE_LIMITS_MAX_PACKETS": "7"}, here).limits
    assert (limits.max_pixels, limits.max_streams, limits.max_packets) == (2000, 3, 7)


TEXT = st.one_of(
    st.text(st.characters(), max_size=20),  # lone surrogates too: what an argument that is not UTF-8 becomes
    st.from_regex(r"\A(~[a-z]{0,3}|s3|file|https?|[a-z]{2,4})?[:;]{0,2}/{0,3}[\w.%?#@~-]{0,8}\Z"),
)


@hypothesis.settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from([*Settings.model_fields, "limits_max_pixels"]), text=TEXT)
def test_any_text_is_a_setting_or_a_usage_error(here: Path, name: str, text: str) -> None:
    flags = {name: text} if name in Settings.model_fields and name not in ("master_key", "limits") else {}
    for given_flags, environ in (({"home": "home", **flags}, {}), ({"home": "home"}, {f"VIDPIPE_{name.upper()}": text})):
        with suppress(UsageError):
            settings = resolve(given_flags, environ, here)
            settings.model_dump_json()
            assert settings.home.is_absolute()
            assert settings.target.startswith(("/", "s3://"))


@hypothesis.settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([*Settings.model_fields, "lader"]),
    value=st.one_of(TEXT, st.integers(), st.booleans(), st.floats(), st.lists(TEXT)),
)
def test_any_value_in_a_file_is_a_setting_or_a_usage_error(here: Path, name: str, value: object) -> None:
    toml = json.dumps(value) if not isinstance(value, float) else str(value)
    (here / "home" / "vidpipe.toml").write_text(f"{name} = {toml}\n", encoding="utf-8")
    with suppress(UsageError):
        resolve({"home": "home"}, {}, here).model_dump_json()


def test_the_secret_is_in_no_text(here: Path) -> None:
    settings = resolve({"home": "home"}, {"VIDPIPE_MASTER_KEY": KEY}, here)
    assert settings.master_key is not None
    assert settings.master_key.get_secret_value() == bytes(range(32))
    assert "master_key" not in repr(settings)
    assert "master_key" not in settings.model_dump()
    assert "master_key" not in settings.model_dump_json()
    assert "\\x01" not in repr(settings.master_key)
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_a_wrong_master_key_is_not_repeated(here: Path) -> None:
    with pytest.raises(UsageError) as refused:
        resolve({"home": "home"}, {"VIDPIPE_MASTER_KEY": "5ec7e7"}, here)
    assert refused.value.where == "VIDPIPE_MASTER_KEY"
    assert "5ec7e7" not in str(refused.value.lines())


def test_the_password_of_the_catalog_is_in_no_message(here: Path) -> None:
    for url in ("postgresql://me:hidden\udcff@host/db", "postgresql://me:hidden\0@host/db"):
        with pytest.raises(UsageError) as refused:
            resolve({"home": "home"}, {"VIDPIPE_CATALOG_URL": url}, here)
        assert "hidden" not in str(refused.value.lines())
    (here / "home" / "vidpipe.toml").write_text('catalog_url = ["postgresql://me:hidden@host/db"]\n')
    with pytest.raises(UsageError) as refused:
        resolve({"home": "home"}, {}, here)
    assert "hidden" not in str(refused.value.lines())


def test_the_password_of_the_catalog_is_not_in_the_repr() -> None:
    assert "hidden" not in repr(Settings(catalog_url="postgresql://me:hidden@host/db"))


def test_misspelt_variables_are_found() -> None:
    known = {"VIDPIPE_WORKERS": "1", "VIDPIPE_LIMITS_MAX_PIXELS": "1", "VIDPIPE_MASTER_KEY": KEY, "HOME": "/"}
    assert unknown_variables({**known, "VIDPIPE_WROKERS": "1"}) == {"VIDPIPE_WROKERS": "VIDPIPE_WORKERS"}


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("VIDPIPE_TARGT", "did you mean VIDPIPE_TARGET?"),
        ("VIDPIPE_LADER", "did you mean VIDPIPE_LADDER?"),
        ("vidpipe_target", "did you mean VIDPIPE_TARGET?"),
        ("VIDPIPE_MASTERKEY", "did you mean VIDPIPE_MASTER_KEY?"),
        ("VIDPIPE_LIMIT_MAX_PIXELS", "did you mean VIDPIPE_LIMITS_MAX_PIXELS?"),
        ("VIDPIPE_XYZZY", "settings.md"),
        ("VIDPIPE_LIMITS", ""),
    ],
)
def test_a_variable_that_nothing_reads_is_refused(here: Path, name: str, fix: str) -> None:
    with pytest.raises(UsageError, match="no setting reads this variable") as refused:
        resolve({"home": "home"}, {name: KEY}, here)
    assert refused.value.where == name
    assert fix in str(refused.value.fix)
    assert KEY not in str(refused.value.lines())
    assert resolve({"home": "home"}, {name: KEY}, here, any_variables=True) == resolve({"home": "home"}, {name: ""}, here)


def test_what_kubernetes_sets_for_a_service_is_nobodys_mistake(here: Path) -> None:
    service = {"SERVICE_HOST": "10.0.0.1", "SERVICE_PORT": "80", "SERVICE_PORT_HTTP": "80", "PORT": "tcp://10.0.0.1:80"}
    service |= {"PORT_80_TCP": "tcp://10.0.0.1:80", "PORT_80_TCP_PROTO": "tcp", "PORT_80_TCP_PORT": "80", "PORT_80_TCP_ADDR": "10.0.0.1"}
    names = {f"VIDPIPE_{between}{name}": value for between in ("", "SCHEDULER_") for name, value in service.items()}
    assert resolve({"home": "home"}, names, here) == resolve({"home": "home"}, {}, here)


@pytest.mark.parametrize(("name", "variable"), [("target", "VIDPIPE_TARGET"), ("cluster_work", "VIDPIPE_CLUSTER_WORK")])
@pytest.mark.parametrize("wrong", ["s3:/media/vod", "s3:media/vod", "s3//media/vod", "S3:///media/vod"])
def test_a_target_with_a_slip_is_refused_by_its_origin(here: Path, name: str, variable: str, wrong: str) -> None:
    for flags, environ, where in (({name: wrong}, {}, _flag(name)), ({}, {variable: wrong}, variable)):
        with pytest.raises(UsageError) as refused:
            resolve({"home": "home", **flags}, environ, here)
        assert (refused.value.where, "did you mean s3://media/vod?" in str(refused.value.fix)) == (where, True)
    (here / "home" / "vidpipe.toml").write_text(f'{name} = "{wrong}"\n')
    with pytest.raises(UsageError) as refused:
        resolve({"home": "home"}, {}, here)
    assert (refused.value.where, refused.value.line) == (str(here / "home" / "vidpipe.toml"), 1)


def test_every_setting_has_an_example_that_is_allowed(here: Path) -> None:
    assert set(SETTINGS) == set(Settings.model_fields)
    assert {name for name, setting in SETTINGS.items() if not setting.form} == {"limits", "master_key"}
    for name, example in ((name, setting.example) for name, setting in SETTINGS.items() if setting.form):
        with pytest.raises(UsageError) as refused:
            resolve({"home": "home", name: " "}, {}, here)
        assert str(refused.value.fix).split(", such as ")[1].startswith(f"{_flag(name)} {str(example).replace('True', 'true')}")
        resolve({"home": "home", name: str(example)}, {}, here)
        if name != "home":
            (here / "home" / "vidpipe.toml").write_text(f"{name} = {json.dumps(example)}\n")
            resolve({"home": "home"}, {}, here)
        (here / "home" / "vidpipe.toml").unlink(missing_ok=True)


def test_targets_are_written_in_one_way(here: Path) -> None:
    for text, meant in (("S3://b/p/", "s3://b/p"), ("s3://b/", "s3://b"), (f"file://{here}/l", f"{here}/l"), ("./s3:/x", f"{here}/s3:/x")):
        assert resolve({"home": "home", "target": text}, {}, here).target == meant
    assert resolve({"home": "home", "cluster_work": "S3://b/p/"}, {}, here).cluster_work == "s3://b/p"


@pytest.mark.parametrize("name", ["home", "target", "ladder", "policy", "ffmpeg"])
@pytest.mark.parametrize("path", ["~nosuchuser/x.yaml", "~nosuchuser", "\udcff.yaml", "\udcff/x.yaml"])
def test_a_path_that_cannot_be_used_is_refused_by_its_origin(here: Path, name: str, path: str) -> None:
    if name == "ladder" and "." not in path:
        return  # the name of a shipped one
    with pytest.raises(UsageError, match=r"home directory is unknown|is not UTF-8") as refused:
        resolve({"home": "home", name: path}, {}, here)
    assert refused.value.where == _flag(name)


def test_the_guide_lists_every_setting_as_it_is() -> None:
    guide = (Path(__file__).parent.parent / "docs" / "settings.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(\w+)` \|.*?\| (.*) \|$", guide, re.M))
    assert list(listed) == list(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        assert listed[name].startswith(str(field.description)), name


def test_the_guide_lists_every_limit_as_it_is() -> None:
    def written(value: int) -> str:
        return str(value).lower() if isinstance(value, bool) else f"{value:_}"

    guide = (Path(__file__).parent.parent / "docs" / "settings.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `limits\.(\w+)` \| (.*?) \| (.*) \|$", guide, re.M)
    fields = SourceLimits.model_fields
    assert listed == [(name, written(field.default), field.description) for name, field in fields.items()]
