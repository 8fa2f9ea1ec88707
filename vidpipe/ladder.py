"""Read a bitrate ladder: strict YAML -> Ladder of Rungs. Knows nothing of ffmpeg.

In:   a name of a shipped ladder ("streaming") or the path of a YAML file.
Out:  a Ladder.
Wrong: UsageError that names file, line and key: unknown key, duplicate rung, a bad number, an unknown codec.

The file is read as a tree of YAML nodes, each of which knows its line; nothing is converted silently.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from vidpipe.data import Data, Rational
from vidpipe.encoders import Codec, codec_meant, codecs, encoder_of
from vidpipe.errors import UsageError

_T = TypeVar("_T")

_MAX_BYTES = 1_000_000
_MAX_RUNGS = 32
_RATE = re.compile(r"(\d+(?:\.\d+)?)([kM]?)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


class Rung(Data):
    """One wish of a ladder. height: lines of the short side's target for landscape.  bitrate, max_bitrate: bits/s.  buffer: bits.

    crf: constant quality capped by max_bitrate.  max_frame_rate: frames a second that are not exceeded.
    """

    name: str
    height: int
    codec: Codec
    bitrate: int
    max_bitrate: int
    buffer: int
    crf: float | None = None
    preset: str
    profile: str | None = None
    max_frame_rate: Rational | None = None


class AudioRung(Data):
    """An audio wish. bitrate: bits/s.  channels: 2 or 6."""

    codec: Literal["aac"] = "aac"
    bitrate: int = 128_000
    channels: int = 2
    sample_rate: int = 48_000


class Ladder(Data):
    """A named set of rungs, ascending, and the audio that goes with them."""

    name: str
    description: str
    rungs: tuple[Rung, ...]
    audio: tuple[AudioRung, ...] = (AudioRung(),)


def shipped() -> list[str]:
    """Return the names of the ladders that come with vidpipe, sorted."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def load(name_or_path: str) -> Ladder:
    """Read a shipped ladder by name, or a YAML file. A shipped name wins over a file of that name.  Raises UsageError."""
    return _read(find(name_or_path))


def find(name_or_path: str) -> Path:
    """Return the file of a ladder, without reading it.  Raises UsageError if there is none."""
    names = shipped()
    if name_or_path in names:
        return _folder() / f"{name_or_path}.yaml"
    path = Path(name_or_path)
    if path.is_file():
        return path
    if path.suffix.lower() in (".yaml", ".yml") or path.name != name_or_path:
        what = "is a folder, not a ladder file" if path.is_dir() else "there is no such ladder file"
        raise UsageError(what, where=name_or_path, fix=f"give a YAML file or a shipped ladder: {', '.join(names)}")
    suggested = _suggest(name_or_path, names)
    other = " Or give the path of a YAML file" if suggested.endswith("?") else ", or give the path of a YAML file"
    raise UsageError(f"there is no ladder {name_or_path!r}", fix=suggested + other)


def _folder() -> Path:
    """The shipped ladders: inside the installed package, or beside it in a checkout."""
    package = Path(str(files("vidpipe")))
    installed = package / "ladders"
    return installed if installed.is_dir() else package.parent / "ladders"


def _suggest(word: str, allowed: Collection[str]) -> str:
    close = difflib.get_close_matches(word, allowed, 1)
    return f"did you mean {close[0]}?" if close else f"use one of: {', '.join(allowed)}"


def _read(path: Path) -> Ladder:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path), fix="check the path and its permissions") from error
    if len(data) > _MAX_BYTES:
        raise UsageError(f"is {len(data)} bytes long, too long for a ladder", where=str(path), fix=f"keep it under {_MAX_BYTES} bytes")
    try:
        node = YAML().compose(data.decode())
    except UnicodeDecodeError as error:
        raise UsageError("is not UTF-8 text", where=str(path), fix="save it as UTF-8") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UsageError(
            f"is not YAML: {error.problem or error.context}",
            where=str(path),
            line=mark.line + 1 if mark else None,
            fix="check the indentation, colons and quotes of this line and the one before",
        ) from error
    except (YAMLError, RecursionError) as error:
        raise UsageError(f"is not YAML: {str(error).splitlines()[0]}", where=str(path), fix="compare it with a shipped ladder") from error
    if node is None:
        raise UsageError("is empty", where=str(path), fix="start from a shipped ladder: vidpipe ladders show streaming --yaml")
    return _ladder(_Table(path, node, "the ladder", ("name", "description", "rungs", "audio")))


class _Table:
    """A YAML mapping whose keys are known: every value is asked for by key and refused with its line."""

    def __init__(self, path: Path, node: Node, what: str, allowed: Collection[str]) -> None:
        self.path = path
        self.node = node
        self.what = what
        self.values: dict[str, Node] = {}
        if not isinstance(node, MappingNode):
            self.refuse(node, f"{what} must be a mapping of keys", f"write lines key: value, with the keys {', '.join(allowed)}")
        for key, value in node.value:
            name = str(key.value) if isinstance(key, ScalarNode) else "?"
            if name not in allowed:
                self.refuse(key, f"unknown key {name!r} in {what}", _suggest(name, allowed))
            if name in self.values:
                self.refuse(key, f"the key {name!r} is given twice in {what}", "keep one of them")
            self.values[name] = value

    def refuse(self, node: Node, what: str, fix: str) -> NoReturn:
        """Raise the UsageError for the line of ``node``."""
        raise UsageError(what, where=str(self.path), line=node.start_mark.line + 1, fix=fix)

    def get(self, key: str, read: Callable[[str], _T | None], allowed: str) -> _T:
        """Return the value of a key that must be there. read: text -> value, None (or ValueError) if it is not allowed."""
        node = self.values.get(key)
        if node is None:
            self.refuse(self.node, f"{self.what} has no {key!r}", f"add {key}: {allowed}")
        text = node.value if isinstance(node, ScalarNode) else None
        try:
            value = None if text is None else read(text)
        except (ValueError, ZeroDivisionError):
            value = None
        if value is None:
            shown = "a list or mapping" if text is None else repr(text)
            self.refuse(node, f"{key} of {self.what} is {shown}", f"{key} must be {allowed}")
        return value

    def optional(self, key: str, read: Callable[[str], _T | None], allowed: str) -> _T | None:
        """Return the value of a key, None if the key is not there."""
        return self.get(key, read, allowed) if key in self.values else None

    def choice(self, key: str, allowed: Collection[str]) -> str:
        """Return one of the allowed words."""
        listed = f"one of: {', '.join(allowed)}"
        text = self.get(key, lambda value: value or None, listed)
        if text not in allowed:
            other = codec_meant(text) if key == "codec" else None
            fix = f"did you mean {other}?" if other in allowed else _suggest(text, allowed)
            self.refuse(self.values[key], f"{key} of {self.what} is {text!r}", f"{fix} ({key} is {listed})" if "mean" in fix else fix)
        return text

    def items(self, key: str) -> list[Node]:
        """Return the entries of a list that must not be empty."""
        node = self.values.get(key)
        if node is None:
            self.refuse(self.node, f"{self.what} has no {key!r}", f"add {key}: and below it one entry a line, each beginning with a dash")
        if not isinstance(node, SequenceNode) or not 0 < len(node.value) <= _MAX_RUNGS:
            self.refuse(node, f"{key} of {self.what} is not a list of 1 to {_MAX_RUNGS} entries", "begin each entry with a dash")
        return list(node.value)


def _ladder(table: _Table) -> Ladder:
    name = table.get("name", _name, "letters, digits, - and _")
    description = table.get("description", lambda text: text.strip() or None, "a sentence")
    rungs: list[Rung] = []
    for index, node in enumerate(table.items("rungs"), 1):
        rung = _rung(table.path, node, index)
        for other in rungs:
            if rung.name.lower() == other.name.lower():
                table.refuse(node, f"duplicate rung {rung.name!r}", "give every rung its own name")
            if (rung.codec, rung.height, rung.bitrate) == (other.codec, other.height, other.bitrate):
                table.refuse(
                    node, f"rung {rung.name!r} repeats {other.name!r}: same codec, height and bitrate", "remove one or change its bitrate"
                )
        rungs.append(rung)
    rungs.sort(key=lambda rung: (rung.height, rung.bitrate))
    if "audio" not in table.values:
        return Ladder(name=name, description=description, rungs=tuple(rungs))
    audio: list[AudioRung] = []
    for index, node in enumerate(table.items("audio"), 1):
        entry = _audio(table.path, node, index)
        if entry.channels in [other.channels for other in audio]:
            table.refuse(node, f"audio entry {index} repeats channels: {entry.channels}", "keep one entry for each number of channels")
        audio.append(entry)
    return Ladder(name=name, description=description, rungs=tuple(rungs), audio=tuple(audio))


def _rung(path: Path, node: Node, index: int) -> Rung:
    table = _Table(path, node, f"rung {index}", tuple(Rung.model_fields))
    name = table.get("name", _name, "letters, digits, - and _")
    table.what = f"rung {name!r}"
    codec = table.choice("codec", codecs())
    encoder = encoder_of(codec)
    height = table.get("height", _whole(64, 4320, step=2), "an even number of lines from 64 to 4320")
    rates = "bits a second, such as 300k, 5000k or 15M"
    bitrate = table.get("bitrate", _rate(16_000, 400_000_000), rates + " (16k to 400M)")
    max_bitrate = table.get("max_bitrate", _rate(bitrate, 800_000_000), f"{rates}, not below bitrate")
    buffer = table.get("buffer", _rate(bitrate // 4, 3_200_000_000), "bits, such as 7500k, and at least a quarter of bitrate")
    values: dict[str, Any] = {
        "codec": codec,
        "crf": table.optional("crf", _number(encoder.highest_crf), f"a number from 0 to {encoder.highest_crf}"),
        "preset": table.choice("preset", encoder.presets),
        "profile": table.choice("profile", encoder.profiles) if "profile" in table.values else None,
        "max_frame_rate": table.optional("max_frame_rate", _frame_rate, "frames a second from 1 to 300, such as 30 or 30000/1001"),
    }
    return Rung(name=name, height=height, bitrate=bitrate, max_bitrate=max_bitrate, buffer=buffer, **values)


def _audio(path: Path, node: Node, index: int) -> AudioRung:
    table = _Table(path, node, f"audio entry {index}", tuple(AudioRung.model_fields))
    given: dict[str, Any] = {
        "codec": table.choice("codec", ("aac",)) if "codec" in table.values else None,
        "bitrate": table.optional("bitrate", _rate(16_000, 1_024_000), "bits a second, such as 128k (16k to 1024k)"),
        "channels": table.optional("channels", {"2": 2, "6": 6}.get, "2 (stereo) or 6 (5.1)"),
        "sample_rate": table.optional("sample_rate", {"44100": 44_100, "48000": 48_000}.get, "44100 or 48000"),
    }
    return AudioRung(**{key: value for key, value in given.items() if value is not None})


def _name(text: str) -> str | None:
    """A name that is safe in paths and URLs: it becomes the rendition's id."""
    return text if _NAME.fullmatch(text) else None


def _whole(low: int, high: int, *, step: int = 1) -> Callable[[str], int | None]:
    def read(text: str) -> int | None:
        number = int(text) if text.isascii() and text.isdigit() else -1
        return number if low <= number <= high and number % step == 0 else None

    return read


def _rate(low: int, high: int) -> Callable[[str], int | None]:
    """Reader of a bitrate or a number of bits: 300000, 300k, 1.5M. k is 1,000 and M 1,000,000."""

    def read(text: str) -> int | None:
        match = _RATE.fullmatch(text) if text.isascii() else None
        if match is None:
            return None
        bits = Fraction(match[1]) * {"": 1, "k": 1_000, "M": 1_000_000}[match[2]]
        return int(bits) if bits.denominator == 1 and low <= bits <= high else None

    return read


def _number(high: int) -> Callable[[str], float | None]:
    def read(text: str) -> float | None:
        return number if 0 <= (number := float(text)) <= high else None  # NaN compares false

    return read


def _frame_rate(text: str) -> Fraction | None:
    rate = Fraction(text)
    return rate if 1 <= rate <= 300 else None
