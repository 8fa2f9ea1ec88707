"""Read a bitrate ladder: strict YAML -> Ladder of Rungs. Knows nothing of ffmpeg.

In:   a name of a shipped ladder ("streaming") or the path of a YAML file.
Out:  a Ladder.
Wrong: UsageError that names file, line and key of everything that is wrong: unknown key, duplicate rung, a bad number, an unknown codec.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from vidpipe.data import Data, Rational
from vidpipe.encoders import Codec, codec_meant, codecs, encoder_of
from vidpipe.errors import UsageError
from vidpipe.near import suggestion
from vidpipe.strict_yaml import Table, read_file, read_table

_MAX_RUNGS = 32
_RATE = re.compile(r"(\d+(?:\.\d+)?)([kM]?)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


class Rung(Data):
    """One wish of a ladder."""

    name: str
    height: int = Field(description="Lines of the short side's target for landscape.")
    codec: Codec
    bitrate: int = Field(description="Bits a second.")
    max_bitrate: int = Field(description="Bits a second.")
    buffer: int = Field(description="Bits.")
    crf: float | None = Field(default=None, description="Constant quality, capped by max_bitrate.")
    preset: str
    profile: str | None = None
    max_frame_rate: Rational | None = Field(default=None, description="Frames a second that are not exceeded.")


class AudioRung(Data):
    """An audio wish."""

    codec: Literal["aac"] = "aac"
    bitrate: int = Field(default=128_000, description="Bits a second.")
    channels: int = Field(default=2, description="2 or 6.")
    sample_rate: int = Field(default=48_000, description="Hz.")


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
    suggested = suggestion(name_or_path, names)
    other = " Or give the path of a YAML file" if suggested.endswith("?") else ", or give the path of a YAML file"
    raise UsageError(f"there is no ladder {name_or_path!r}", fix=suggested + other)


def _folder() -> Path:
    """The shipped ladders: inside the installed package, or beside it in a checkout."""
    package = Path(str(files("vidpipe")))
    installed = package / "ladders"
    return installed if installed.is_dir() else package.parent / "ladders"


def _read(path: Path) -> Ladder:
    table = read_table(read_file(path, "ladder"), str(path), "ladder", ("name", "description", "rungs", "audio"))
    if table is None:
        raise UsageError("is empty", where=str(path), fix="start from a shipped ladder: vidpipe ladders show streaming --yaml")
    return _ladder(table)


def _ladder(table: Table) -> Ladder:
    values: dict[str, Any] = {
        "name": table.get("name", _name, "letters, digits, - and _"),
        "description": table.get("description", lambda text: text.strip() or None, "a sentence"),
    }
    rungs: list[Rung] = []
    names: set[str] = set()
    for entry in table.tables("rungs", "rung {}", tuple(Rung.model_fields), _MAX_RUNGS):
        name = entry.get("name", _name, "letters, digits, - and _")
        if name is not None:
            entry.what = f"rung {name!r}"
            if name.lower() in names:
                entry.note(f"duplicate rung {name!r}", "give every rung its own name")
            names.add(name.lower())
        if rung := _rung(name, entry):
            _compare(rung, rungs, entry)
            rungs.append(rung)
    audio: list[AudioRung] = []
    for entry in table.tables("audio", "audio entry {}", tuple(AudioRung.model_fields), _MAX_RUNGS) if "audio" in table else ():
        wish = _audio(entry)
        if wish.channels in [other.channels for other in audio]:
            entry.note(f"{entry.what} repeats channels: {wish.channels}", "keep one entry for each number of channels")
        audio.append(wish)
    table.mistakes.check()
    rungs.sort(key=lambda rung: (rung.height, rung.bitrate))
    values |= {"audio": tuple(audio)} if audio else {}
    return Ladder(**values, rungs=tuple(rungs))


def _compare(rung: Rung, others: Sequence[Rung], entry: Table) -> None:
    """Note that a rung is the same as one of another name."""
    for other in others:
        same = (rung.codec, rung.height, rung.bitrate) == (other.codec, other.height, other.bitrate)
        if same and rung.name.lower() != other.name.lower():
            what = f"rung {rung.name!r} repeats {other.name!r}: same codec, height and bitrate"
            entry.note(what, "remove one or change its bitrate")


def _rung(name: str | None, table: Table) -> Rung | None:
    """Read a rung; None if a value is missing or wrong. What depends on a value that is wrong is not judged."""
    codec = table.choice("codec", codecs(), codec_meant)
    rates = "bits a second, such as 300k, 5000k or 15M"
    bitrate = table.get("bitrate", _rate(16_000, 400_000_000), rates + " (16k to 400M)")
    least = bitrate or 0
    needed: dict[str, Any] = {
        "name": name,
        "codec": codec,
        "height": table.get("height", _whole(64, 4320, step=2), "an even number of lines from 64 to 4320"),
        "bitrate": bitrate,
        "max_bitrate": table.get("max_bitrate", _rate(least, 800_000_000), f"{rates}, not below bitrate"),
        "buffer": table.get("buffer", _rate(least // 4, 3_200_000_000), "bits, such as 7500k, and at least a quarter of bitrate"),
    }
    more: dict[str, Any] = {
        "max_frame_rate": table.optional("max_frame_rate", _frame_rate, "frames a second from 1 to 300, such as 30 or 30000/1001"),
    }
    if codec is None:
        needed["preset"] = table.get("preset", str, "one that the codec has")
    else:
        encoder = encoder_of(codec)
        needed["preset"] = table.choice("preset", encoder.presets)
        more["crf"] = table.optional("crf", _number(encoder.highest_crf), f"a number from 0 to {encoder.highest_crf}")
        more["profile"] = table.choice("profile", encoder.profiles) if "profile" in table else None
    return None if None in needed.values() else Rung(**needed, **more)


def _audio(table: Table) -> AudioRung:
    given: dict[str, Any] = {
        "codec": table.choice("codec", ("aac",)) if "codec" in table else None,
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
