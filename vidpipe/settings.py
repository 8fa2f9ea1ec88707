"""Machine settings: where things lie and how hard to work. What to make of a source is the ladder's business, not theirs.

In:   the flags that were given, the environment, the working directory.
Out:  Settings, each value from the first of: flag > VIDPIPE_<NAME> > vidpipe.toml (working directory, then home) > default.
Wrong: UsageError that names the flag, the variable, or the file and key, with the values allowed.

The working directory may be somebody else's: an unpacked archive, a shared disk, a checkout. A vidpipe.toml there may say what to make
and how hard to work, but names no program, no address, no place that files go to, and loosens no protection. Who runs vidpipe gives those:
by flag, variable, or the file in the home folder, which no file can move.

Defaults and descriptions stand in ``defaults.py``, which ``--help`` reads without everything that is imported here.
"""

from __future__ import annotations

import difflib
import itertools
import json
import re
import tomllib
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Self

from platformdirs import user_data_dir
from pydantic import Field, PositiveInt, SecretBytes, TypeAdapter, ValidationError, model_validator
from pydantic.fields import FieldInfo

from vidpipe.cdn.purge import read_cdn
from vidpipe.data import Data, Seconds
from vidpipe.defaults import DEFAULTS, DESCRIPTIONS, MASTER_KEY_VARIABLE
from vidpipe.errors import UsageError
from vidpipe.manifest.key_uri import check_key_url
from vidpipe.protect.master_key import parse_master_key
from vidpipe.protect.schemes import SchemeName
from vidpipe.publish.addresses import check_public_url
from vidpipe.source.limits import SourceLimits
from vidpipe.storage.target import Bucket, read_target

FILE_NAME = "vidpipe.toml"
_PREFIX = "VIDPIPE_"
_FLAG_NAMES = {"target": "--to"}
_NOT_IN_FILES = frozenset({"master_key", "home"})
_ANYWHERE = frozenset(
    {"ladder", "policy", "chunk_seconds", "segment_seconds", "gop_seconds", "workers", "threads", "upload_workers"}
)
"""What a vidpipe.toml in the working directory may say. A setting that is not named here belongs to whoever runs vidpipe."""
_KUBERNETES = re.compile(rf"{_PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_[A-Z]+(_PROTO|_PORT|_ADDR)?)?)")
"""What Kubernetes puts into every container for a service named vidpipe or vidpipe-…: nobody's spelling mistake."""
_LENGTHS = ("gop_seconds", "segment_seconds", "chunk_seconds")
"""None may be longer than the next."""


def _setting(name: str, **constraints: Any) -> Any:
    return Field(default=DEFAULTS[name], description=DESCRIPTIONS[name], **constraints)


class Settings(Data):
    """The settings of one run. Paths are absolute. The master key is in no repr and no dump."""

    home: Path = Field(default_factory=lambda: Path(user_data_dir("vidpipe", appauthor=False)), description=DESCRIPTIONS["home"])
    target: str = _setting("target")
    ladder: str = _setting("ladder")
    encrypt: SchemeName = _setting("encrypt")
    key_url: str | None = _setting("key_url")
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
    limits: SourceLimits = Field(default=SourceLimits(), description=DESCRIPTIONS["limits"])
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

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_lengths({name: getattr(self, name) for name in _LENGTHS}, {})
        if self.key_url is not None:
            check_key_url(self.key_url)
        if self.public_url is not None:
            check_public_url(self.public_url)
        if self.cdn is not None:
            read_cdn(self.cdn)
        return self

    @property
    def work(self) -> Path:
        """Folder of everything unfinished: chunks, fetched sources, jobs, temporary files. Safe to delete when nothing runs."""
        return self.home / "work"

    @property
    def keys(self) -> Path:
        """Folder of the wrapped content keys."""
        return self.home / "keys"


def resolve(flags: Mapping[str, object], environ: Mapping[str, str], cwd: Path, *, any_variables: bool = False) -> Settings:
    """Decide every setting: flag > VIDPIPE_<NAME> > vidpipe.toml in ``cwd``, then in the home folder > default.

    flags: setting name -> value; None means that the flag was not given. Relative paths in flags and variables are
    relative to ``cwd``, those in a vidpipe.toml to that file.  any_variables: a VIDPIPE_ variable that no setting reads is no error.
    Raises UsageError.
    """
    if not any_variables:
        _check_variables(environ)
    given = {name: _convert(name, value, _flag(name), cwd) for name, value in flags.items() if value is not None}
    variables = {
        name: _convert(name, environ[_variable(name)], _variable(name), cwd)
        for name in Settings.model_fields
        if environ.get(_variable(name)) and name not in ("master_key", "limits")
    }
    home = Path(str(given.get("home") or variables.get("home") or _convert("home", str(Settings().home), _flag("home"), cwd)))
    there = _read_file(home / FILE_NAME)
    here = {} if _same(home, cwd) else _read_file(cwd / FILE_NAME)
    for key in sorted(set(here) - _ANYWHERE):
        raise UsageError(
            f"the key {key} may not stand in the {FILE_NAME} of a working directory, which may be somebody else's",
            where=str(cwd / FILE_NAME),
            fix=f"move it to {home / FILE_NAME}" + (f", or set {_variable(key)}" if key != "limits" else ""),
        )
    merged = {**there, **here, **variables, **given, "home": home}
    origins = {
        **{name: str(home / FILE_NAME) for name in there},
        **{name: str(cwd / FILE_NAME) for name in here},
        **{name: _variable(name) for name in variables},
        **{name: _flag(name) for name in given},
    }
    _check_lengths({name: merged.get(name, Settings.model_fields[name].default) for name in _LENGTHS}, origins)
    merged["limits"] = SourceLimits(**{**there.get("limits", {}), **_limits_of(environ)})
    if environ.get(MASTER_KEY_VARIABLE):
        merged["master_key"] = parse_master_key(environ[MASTER_KEY_VARIABLE], MASTER_KEY_VARIABLE)
    try:
        return Settings(**merged)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        name = str(problem["loc"][0]) if problem["loc"] else None
        raise UsageError(problem["msg"].removeprefix("Value error, "), where=name, fix="see vidpipe --help") from None


def unknown_variables(environ: Mapping[str, str]) -> dict[str, str | None]:
    """Return the VIDPIPE_ variables that no setting reads, usually misspelt, each with the name that was probably meant."""
    known = [name.upper() for name in (*Settings.model_fields, *(f"limits_{name}" for name in SourceLimits.model_fields))]
    known.remove("LIMITS")  # a table: it has a variable for each limit
    unknown: dict[str, str | None] = {}
    for name in sorted(environ):
        is_ours, rest = name.upper().startswith(_PREFIX), name[len(_PREFIX) :]
        if is_ours and environ[name] and not (name == _PREFIX + rest and rest in known) and not _KUBERNETES.fullmatch(name):
            close = difflib.get_close_matches(rest.upper(), known, 1)
            unknown[name] = _PREFIX + close[0] if close else None
    return unknown


def _check_variables(environ: Mapping[str, str]) -> None:
    for name, meant in unknown_variables(environ).items():
        fix = f"did you mean {meant}? Else unset it" if meant else "unset it; the variables are listed in docs/settings.md"
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


def _read_file(path: Path) -> dict[str, Any]:
    """Return the settings of one vidpipe.toml, {} if there is none."""
    if path.exists() and not path.is_file():  # reading a pipe would wait for ever
        raise UsageError("is not a file", where=str(path), fix="move it away")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(path), fix="write it as TOML, for example: workers = 4") from error
    for key in _NOT_IN_FILES & set(values):
        fix = f"remove it, and set the variable {_variable(key)}" + (f" or {_flag(key)}" if key == "home" else "")
        raise UsageError(f"the key {key} may not stand in a file", where=str(path), fix=fix)
    _known(values, set(Settings.model_fields) - _NOT_IN_FILES, path, "unknown key")
    limits = values.pop("limits", None)
    read = {key: _convert(key, value, f"{path}, key {key}", path.parent, typed=True) for key, value in values.items()}
    if limits is not None:
        if not isinstance(limits, dict):
            raise UsageError("the key limits must be a table", where=str(path), fix="write [limits] and one limit a line below it")
        _known(limits, set(SourceLimits.model_fields), path, "unknown key in [limits]:")
        read["limits"] = {key: _limit(key, value, f"{path}, key limits.{key}") for key, value in limits.items()}
    return read


def _known(values: Mapping[str, Any], allowed: set[str], path: Path, what: str) -> None:
    for key in values:
        if key not in allowed:
            close = difflib.get_close_matches(key, allowed, 1)
            fix = f"did you mean {close[0]}?" if close else f"use one of: {', '.join(sorted(allowed))}"
            raise UsageError(f"{what} {key}", where=str(path), fix=fix)


def _limits_of(environ: Mapping[str, str]) -> dict[str, int | bool]:
    """The source limits that the environment sets."""
    names = {name: _variable(f"limits_{name}") for name in SourceLimits.model_fields}
    return {name: _limit(name, environ[variable], variable, typed=False) for name, variable in names.items() if environ.get(variable)}


def _limit(name: str, value: object, origin: str, *, typed: bool = True) -> int | bool:
    switch = SourceLimits.model_fields[name].annotation is bool
    adapter: TypeAdapter[int | bool] = TypeAdapter(bool if switch else PositiveInt)
    try:
        return adapter.validate_python(value, strict=typed)
    except ValidationError:
        fix = "give true or false" if switch else "give a whole number above 0"
        raise UsageError(f"{value!r} is not allowed", where=origin, fix=fix) from None


def _convert(name: str, value: object, origin: str, base: Path, *, typed: bool = False) -> object:
    """Check one value. typed: it comes from a file that distinguishes numbers from strings; otherwise it may be text."""
    field = Settings.model_fields[name]
    if isinstance(value, str) and not value.strip():  # such as --to "$TARGET" where that is not set: the default is not what was meant
        raise UsageError("the value is empty", where=origin, fix=f"leave it out for the default, or give one: {field.description}")
    adapter: TypeAdapter[Any] = TypeAdapter(_annotated(field))
    try:
        if typed:
            exact = str(value) if isinstance(value, float) and field.annotation is Fraction else value
            checked = adapter.validate_json(json.dumps(exact, default=lambda odd: [str(odd)]), strict=True)
        else:
            checked = adapter.validate_python(value)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]["msg"]
        shown = repr(value) if field.repr else "this value"  # which may hold a password
        raise UsageError(f"{shown} is not allowed: {problem[0].lower()}{problem[1:]}", where=origin, fix=field.description) from None
    if name == "key_url" and checked is not None:
        check_key_url(checked, origin)
    if name == "public_url" and checked is not None:
        checked = check_public_url(checked, origin)
    if name == "cdn" and checked is not None:
        read_cdn(checked, origin)
    placed = _absolute(name, checked, base, origin)
    if "\0" in str(placed):
        raise UsageError("a NUL character is not allowed", where=origin, fix=field.description)
    try:
        str(placed).encode()
    except UnicodeEncodeError as error:  # records and playlists, where it may come to stand, are UTF-8
        shown = repr(str(placed)) if field.repr else "this value"
        raise UsageError(f"{shown} is not UTF-8", where=origin, fix="use another name") from error
    return placed


def _check_lengths(lengths: Mapping[str, Fraction], origins: Mapping[str, str]) -> None:
    """Raise UsageError unless GOP, segment and chunk each fit into the next. origins: where the values come from, without the defaults."""

    def shown(name: str) -> str:
        origin = f", {origins.get(name, 'the default')}" if origins else ""
        return f"{name} ({_plain(lengths[name])} s{origin})"

    for shorter, longer in itertools.pairwise(_LENGTHS):
        if lengths[shorter] > lengths[longer]:
            name, other = (longer, shorter) if longer in origins and shorter not in origins else (shorter, longer)  # blame what was given
            raise UsageError(
                f"{shown(shorter)} is longer than {shown(longer)}",
                where=origins.get(name),
                fix=f"make {name} {'at least' if name == longer else 'at most'} {_plain(lengths[other])}, or change {other} too",
            )


def _plain(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else f"{float(value):g}"


def _annotated(field: FieldInfo) -> Any:
    """The field's type with its limits, for checking one value alone."""
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def _absolute(name: str, value: Any, base: Path, origin: str) -> Any:
    """Make the paths among the settings absolute, seen from ``base``, and write addresses in one way."""
    if not value:
        return value
    if name in ("target", "cluster_work"):
        place = read_target(value, origin)
        if isinstance(place, Bucket):
            return str(place)
        if name == "cluster_work":
            raise UsageError(f"{value!r} is not allowed: it is no address at S3", where=origin, fix="write s3://BUCKET/PREFIX")
        return str((base / place.path).absolute())
    is_file = name in ("home", "policy") or (name == "ladder" and str(value).lower().endswith((".yaml", ".yml")))
    if name == "ffmpeg":
        is_file = Path(value).name != value or value.startswith("~")  # else it is looked for in PATH
    if not is_file or "://" in str(value):
        return value
    try:
        return type(value)((base / Path(value).expanduser()).absolute())
    except RuntimeError as error:  # "~nobody" has no home
        raise UsageError(f"the home directory is unknown: {str(value)!r}", where=origin, fix="write the full path") from error
