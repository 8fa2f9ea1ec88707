"""Machine settings: where files are kept and how many processes run. What to encode is the ladder's business.

In:   the flags that were given, the environment, the working directory.
Out:  Settings, each value from the first of: flag > VIDPIPE_<NAME> > vidpipe.toml (working directory, then home) > default.
Wrong: UsageError that names the flag, the variable, or the file and its line, and gives a value that is allowed.

The working directory may belong to somebody else: an unpacked archive, a shared disk, a checkout. A vidpipe.toml there may choose ladders
and use the machine, but cannot name a program, an address or an output folder, nor weaken protection. The user gives those by flag,
variable, or the file in the home folder; no file can change which folder that is.

Defaults and descriptions are in ``defaults.py``, which ``--help`` reads without importing what this module needs.
"""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Self

from platformdirs import user_data_dir
from pydantic import (
    Field,
    PositiveInt,
    SecretBytes,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from vidpipe.cdn.purge import read_cdn
from vidpipe.data import Data, Seconds
from vidpipe.defaults import MASTER_KEY_VARIABLE, SETTINGS
from vidpipe.errors import UsageError
from vidpipe.manifest.format_choice import read_formats
from vidpipe.manifest.key_uri import check_key_url
from vidpipe.near import nearest, suggestion
from vidpipe.protect.key_source_setting import check_authorization, check_header, check_key_source
from vidpipe.protect.key_uses import KeyClasses, check_key_rotation, check_key_settings
from vidpipe.protect.master_key import parse_master_key
from vidpipe.protect.schemes import SchemeName
from vidpipe.publish.addresses import check_public_url
from vidpipe.source.limits import SourceLimits
from vidpipe.storage.target import Bucket, read_target

FILE_NAME = "vidpipe.toml"
_PREFIX = "VIDPIPE_"
_FLAG_NAMES = {"target": "--to"}
_FILES = frozenset({"home", "policy", "key_source_client_certificate", "delivery_certificate"})
_NOT_IN_FILES = frozenset({"master_key", "home"})
_ANYWHERE = frozenset(name for name, setting in SETTINGS.items() if setting.anywhere)
"""What a vidpipe.toml in the working directory may say. A setting that is not named here belongs to whoever runs vidpipe."""
_KUBERNETES = re.compile(rf"{_PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_[A-Z]+(_PROTO|_PORT|_ADDR)?)?)")
"""What Kubernetes puts into every container for a service named vidpipe or vidpipe-…: nobody's spelling mistake."""
_CLUSTER = re.compile(r"((tcp|tls|ucx|ws|wss)://)?(\[[^\]]+\]|[^\s/:\[\]]+):\d+/?", re.IGNORECASE)
_LENGTHS = ("gop_seconds", "segment_seconds", "chunk_seconds")
"""None may be longer than the next."""


def _setting(name: str, **constraints: Any) -> Any:
    return Field(default=SETTINGS[name].default, description=SETTINGS[name].description, **constraints)


def _cdn(value: str, where: str) -> str:
    read_cdn(value, where)
    return value


_CHECKS: Mapping[str, Callable[[str, str], str]] = {
    "formats": read_formats,
    "key_url": check_key_url,
    "key_rotation": check_key_rotation,
    "key_source": check_key_source,
    "key_source_authorization": check_authorization,
    "key_source_header": check_header,
    "public_url": check_public_url,
    "cdn": _cdn,
}
"""What more is asked of a value than its type: value, where it was given -> the value as it is kept. They raise UsageError."""


class Settings(Data):
    """The settings of one run. Paths are absolute. The master key is in no repr and no dump."""

    home: Path = Field(default_factory=lambda: Path(user_data_dir("vidpipe", appauthor=False)), description=SETTINGS["home"].description)
    target: str = _setting("target")
    ladder: str = _setting("ladder")
    encrypt: SchemeName = _setting("encrypt")
    formats: str | None = _setting("formats")
    key_url: str | None = _setting("key_url")
    key_classes: KeyClasses = _setting("key_classes")
    key_rotation: str | None = _setting("key_rotation")
    session_keys: bool = _setting("session_keys")
    key_source: str = _setting("key_source")
    key_source_authorization: str | None = _setting("key_source_authorization", exclude=True, repr=False)
    key_source_header: str | None = _setting("key_source_header", exclude=True, repr=False)
    key_source_client_certificate: str | None = _setting("key_source_client_certificate")
    delivery_certificate: str | None = _setting("delivery_certificate")
    public_url: str | None = _setting("public_url")
    cdn: str | None = _setting("cdn", repr=False)
    policy: str | None = _setting("policy")
    ffmpeg: str | None = _setting("ffmpeg")
    chunk_seconds: Seconds = _setting("chunk_seconds", gt=0)
    segment_seconds: Seconds = _setting("segment_seconds", gt=0)
    gop_seconds: Seconds = _setting("gop_seconds", gt=0)
    workers: int | None = _setting("workers", ge=1)
    threads: int | None = _setting("threads", ge=1)
    cluster: str | None = _setting("cluster")
    cluster_work: str | None = _setting("cluster_work")
    gzip_playlists: bool = _setting("gzip_playlists")
    upload_workers: int = _setting("upload_workers", ge=1, le=64)
    catalog_url: str | Path = _setting("catalog_url", repr=False)
    limits: SourceLimits = Field(default=SourceLimits(), description=SETTINGS["limits"].description)
    master_key: SecretBytes | None = _setting("master_key", exclude=True, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, values: Any) -> Any:
        """Fill in what depends on the home folder."""
        if not isinstance(values, dict):
            return values
        home = Path(values.get("home") or cls.model_fields["home"].get_default(call_default_factory=True)).absolute()
        # The path of a file, not a URL made of it: in a URL "%" and "?" mean something else.
        derived = {"target": str(home / "library"), "catalog_url": home / "catalog.db"}
        return {**values, "home": home, **{name: value for name, value in derived.items() if not values.get(name)}}

    @field_validator(*_CHECKS)
    @classmethod
    def _checked(cls, value: str | None, info: ValidationInfo) -> str | None:
        name = str(info.field_name)
        return None if value is None else _CHECKS[name](value, name)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_lengths({name: getattr(self, name) for name in _LENGTHS}, {})
        if self.key_source.startswith("kms:") and self.master_key is not None:
            fix = f"unset {MASTER_KEY_VARIABLE}, or leave key_source out"
            raise UsageError("two master keys are set: the one that is given, and that of AWS KMS", where="key_source", fix=fix)
        check_key_settings(self.encrypt, self.key_classes, self.key_rotation, self.key_url)
        return self

    @property
    def work(self) -> Path:
        """Folder of everything unfinished: chunks, fetched sources, jobs, temporary files. Safe to delete when nothing runs."""
        return self.home / "work"

    @property
    def keys(self) -> Path:
        """Folder of the wrapped content keys."""
        return self.home / "keys"


@dataclass(frozen=True)
class ValueLocation:
    """Where a value was given. where: a flag, a variable, or a file, and then also its line and the key there."""

    where: str
    line: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        return f"{self.where}:{self.line}" if self.line is not None else self.where

    def shown(self, value: object) -> str:
        """Return the value as it was written."""
        return f"{self.key} = {_toml(value)}" if self.key else repr(value)

    def example(self, value: object) -> str:
        """Return what to write instead."""
        if self.key:
            return f"{self.key} = {_toml(value)}"
        text = _toml(value).strip('"')
        return f"{self.where} {text}" if self.where.startswith("--") else f"{self.where}={text}"

    def error(self, what: str, fix: str | None) -> UsageError:
        """Return the error that names it."""
        return UsageError(what, where=self.where, line=self.line, fix=fix)


def _toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def resolve(flags: Mapping[str, object], environ: Mapping[str, str], cwd: Path, *, any_variables: bool = False) -> Settings:
    """Decide every setting: flag > VIDPIPE_<NAME> > vidpipe.toml in ``cwd``, then in the home folder > default.

    flags: setting name -> value; None means that the flag was not given. Relative paths in flags and variables are
    relative to ``cwd``, those in a vidpipe.toml to that file.  any_variables: a VIDPIPE_ variable that no setting reads is no error.
    Raises UsageError.
    """
    if not any_variables:
        _check_variables(environ)
    given = {name: _convert(name, value, ValueLocation(_flag(name)), cwd) for name, value in flags.items() if value is not None}
    variables = {
        name: _convert(name, environ[_variable(name)], ValueLocation(_variable(name)), cwd)
        for name in Settings.model_fields
        if environ.get(_variable(name)) and name not in ("master_key", "limits")
    }
    default_home = _convert("home", str(Settings().home), ValueLocation(_flag("home")), cwd)
    home = Path(str(given.get("home") or variables.get("home") or default_home))
    there, there_lines = _read_file(home / FILE_NAME)
    here, here_lines = ({}, {}) if _same(home, cwd) else _read_file(cwd / FILE_NAME)
    for key in sorted(set(here) - _ANYWHERE):
        raise here_lines[key].error(
            f"{key} cannot be set in the {FILE_NAME} of a working directory, which may be somebody else's",
            fix=f"move it to {home / FILE_NAME}" + (f", or set {_variable(key)}" if key != "limits" else ""),
        )
    merged = {**there, **here, **variables, **given, "home": home}
    locations = {
        **there_lines,
        **here_lines,
        **{name: ValueLocation(_variable(name)) for name in variables},
        **{name: ValueLocation(_flag(name)) for name in given},
    }
    _check_lengths({name: merged.get(name, Settings.model_fields[name].default) for name in _LENGTHS}, locations)
    merged["limits"] = SourceLimits(**{**there.get("limits", {}), **_limits_of(environ)})
    if environ.get(MASTER_KEY_VARIABLE):
        merged["master_key"] = parse_master_key(environ[MASTER_KEY_VARIABLE], MASTER_KEY_VARIABLE)
    return Settings(**merged)


def unknown_variables(environ: Mapping[str, str]) -> dict[str, str | None]:
    """Return the VIDPIPE_ variables that no setting reads, usually misspelt, each with the name that was probably meant."""
    known = [name.upper() for name in (*Settings.model_fields, *(f"limits_{name}" for name in SourceLimits.model_fields))]
    known.remove("LIMITS")  # a table: it has a variable for each limit
    unknown: dict[str, str | None] = {}
    for name in sorted(environ):
        is_ours, rest = name.upper().startswith(_PREFIX), name[len(_PREFIX) :]
        if is_ours and environ[name] and not (name == _PREFIX + rest and rest in known) and not _KUBERNETES.fullmatch(name):
            close = nearest(rest, known)
            unknown[name] = _PREFIX + close if close else None
    return unknown


def _check_variables(environ: Mapping[str, str]) -> None:
    for name, meant in unknown_variables(environ).items():
        fix = f"did you mean {meant}? Otherwise unset it" if meant else "unset it; docs/settings.md lists the variables"
        raise UsageError("no setting reads this variable", where=name, fix=fix)


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them does not exist
        return False


def _flag(name: str) -> str:
    return _FLAG_NAMES.get(name, "--" + name.replace("_", "-"))


def _variable(name: str) -> str:
    return _PREFIX + name.upper()


def _read_file(path: Path) -> tuple[dict[str, Any], dict[str, ValueLocation]]:
    """Return the settings of one vidpipe.toml and where each of them stands; nothing if there is no such file."""
    if path.exists() and not path.is_file():  # reading a pipe would wait for ever
        raise UsageError("is not a file", where=str(path), fix="move it away")
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except FileNotFoundError:
        return {}, {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(path), fix="write it as TOML, for example: workers = 4") from error
    locations = {key: ValueLocation(str(path), _line(text, key), key) for key in values}
    for key in _NOT_IN_FILES & set(values):
        fix = f"remove it, and set the variable {_variable(key)}" + (f" or {_flag(key)}" if key == "home" else "")
        raise locations[key].error(f"{key} cannot be set in a file", fix)
    _known(locations, set(Settings.model_fields) - _NOT_IN_FILES, "unknown key")
    limits = values.pop("limits", None)
    read = {key: _convert(key, value, locations[key], path.parent, typed=True) for key, value in values.items()}
    if limits is not None:
        if not isinstance(limits, dict):
            raise locations["limits"].error("limits must be a table", fix="write [limits], and below it one limit per line")
        inner = {key: ValueLocation(str(path), _line(text, key, table="limits"), key) for key in limits}
        _known(inner, set(SourceLimits.model_fields), "unknown key in [limits]:")
        read["limits"] = {key: _limit(key, value, inner[key]) for key, value in limits.items()}
    return read, locations


def _line(text: str, key: str, table: str = "") -> int | None:
    """Return the line of a key, which ``tomllib`` does not keep; None if it is written in an unusual way."""
    name = rf"[\"']?{re.escape(key)}[\"']?"
    inside = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
            inside = header[1]
            found = not table and inside == key
        else:
            found = bool(re.match(rf"\s*{name}\s*[=.]" if inside == table else rf"\s*{table}\s*\.\s*{name}\s*=", line))
        if found:
            return number
    return None


def _known(locations: Mapping[str, ValueLocation], allowed: set[str], what: str) -> None:
    for key, location in locations.items():
        if key not in allowed:
            raise location.error(f"{what} {key}", suggestion(key, sorted(allowed)))


def _limits_of(environ: Mapping[str, str]) -> dict[str, int | bool]:
    """The source limits that the environment sets."""
    names = {name: _variable(f"limits_{name}") for name in SourceLimits.model_fields}
    given = {name: variable for name, variable in names.items() if environ.get(variable)}
    return {name: _limit(name, environ[variable], ValueLocation(variable), typed=False) for name, variable in given.items()}


def _limit(name: str, value: object, location: ValueLocation, *, typed: bool = True) -> int | bool:
    switch = SourceLimits.model_fields[name].annotation is bool
    adapter: TypeAdapter[int | bool] = TypeAdapter(bool if switch else PositiveInt)
    try:
        return adapter.validate_python(value, strict=typed)
    except ValidationError:
        form = "true or false" if switch else "a whole number, 1 or more"
        example = location.example(SourceLimits.model_fields[name].default)
        raise location.error(f"{location.shown(value)} is not allowed", f"give {form}, such as {example}") from None


def _convert(name: str, value: object, location: ValueLocation, base: Path, *, typed: bool = False) -> object:
    """Check one value. typed: it comes from a file that distinguishes numbers from strings; otherwise it may be text."""
    field = Settings.model_fields[name]
    fix = f"give {SETTINGS[name].form}, such as {location.example(SETTINGS[name].example)}"
    if isinstance(value, str) and not value.strip():  # such as --to "$TARGET" where that is not set: the default is not what was meant
        raise location.error("the value is empty", f"{fix}, or leave it out for the default")
    adapter: TypeAdapter[Any] = TypeAdapter(_annotated(field))
    try:
        if typed:
            exact = str(value) if isinstance(value, float) and field.annotation is Fraction else value
            checked = adapter.validate_json(json.dumps(exact, default=lambda odd: [str(odd)]), strict=True)
        else:
            checked = adapter.validate_python(value)
    except ValidationError:
        shown = location.shown(value) if field.repr else "this value"  # which may hold a password
        raise location.error(f"{shown} is not allowed", fix) from None
    if name == "cluster" and not _CLUSTER.fullmatch(str(checked)):  # Dask would wait half a minute before it says so
        raise location.error(f"{location.shown(value)} is not the address of a Dask scheduler", fix)
    try:
        if name in _CHECKS and checked is not None:
            checked = _CHECKS[name](checked, location.where)
        placed = _absolute(name, checked, base, location.where)
    except UsageError as error:
        raise location.error(error.what, error.fix) from error
    if "\0" in str(placed):
        raise location.error("a NUL character is not allowed", fix)
    try:
        str(placed).encode()
    except UnicodeEncodeError as error:  # records and playlists, where it may come to stand, are UTF-8
        shown = repr(str(placed)) if field.repr else "this value"
        raise location.error(f"{shown} is not UTF-8", fix) from error
    return placed


def _check_lengths(lengths: Mapping[str, Fraction], locations: Mapping[str, ValueLocation]) -> None:
    """Raise UsageError unless GOP, segment and chunk each fit into the next. locations: of the given ones."""
    for shorter, longer in itertools.pairwise(_LENGTHS):
        if lengths[shorter] > lengths[longer]:
            name, other = (longer, shorter) if longer in locations and shorter not in locations else (shorter, longer)  # the given one
            shown = {each: f"{each} ({_plain(lengths[each])} s)" for each in (shorter, longer)}
            if locations:
                shown[other] = f"{other} ({_plain(lengths[other])} s, {locations.get(other, 'the default')})"
            what = f"{shown[shorter]} is longer than {shown[longer]}"
            fix = f"make {name} {'at least' if name == longer else 'at most'} {_plain(lengths[other])}, or change {other} too"
            raise locations[name].error(what, fix) if name in locations else UsageError(what, fix=fix)


def _plain(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else f"{float(value):g}"


def _annotated(field: FieldInfo) -> Any:
    """The field's type with its limits, for checking one value alone."""
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def _absolute(name: str, value: Any, base: Path, location: str) -> Any:
    """Make the paths among the settings absolute, seen from ``base``, and write addresses in one way."""
    if not value:
        return value
    if name in ("target", "cluster_work"):
        target = read_target(value, location)
        if isinstance(target, Bucket):
            return str(target)
        if name == "cluster_work":
            raise UsageError(f"{value!r} is not allowed: it is not an S3 URL", where=location, fix="give s3://BUCKET/PREFIX, such as s3://media/work")
        return str((base / target.path).absolute())
    is_file = name in _FILES or (name == "ladder" and str(value).lower().endswith((".yaml", ".yml")))
    if name == "ffmpeg":
        is_file = Path(value).name != value or value.startswith("~")  # else it is looked for in PATH
    if not is_file or "://" in str(value):
        return value
    try:
        return type(value)((base / Path(value).expanduser()).absolute())
    except RuntimeError as error:  # "~nobody" has no home
        raise UsageError(f"the home directory is unknown: {str(value)!r}", where=location, fix="write the full path") from error
