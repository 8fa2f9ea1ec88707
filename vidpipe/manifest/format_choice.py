"""Decide which manifests a title gets: playlists of HLS always, a DASH manifest where its protection allows.

In:   the setting ``formats``, the protection scheme.
Out:  Formats: what is made, and why something is not.
Wrong: UsageError for a setting that names no format, or asks for DASH where the scheme rules it out.
"""

from __future__ import annotations

from dataclasses import dataclass

from vidpipe.errors import UsageError
from vidpipe.layout import HLS_ONLY, FormatName
from vidpipe.protect.schemes import SCHEMES, SchemeName, scheme_of

CHOICES = ("hls", "hls,dash")
"""Values of the setting."""
_BOTH: tuple[FormatName, ...] = ("hls", "dash")


@dataclass(frozen=True, slots=True)
class Formats:
    """The formats of a title. left_out: why DASH is not among them, a sentence's end; None if it is, or nobody wants it."""

    made: tuple[FormatName, ...]
    left_out: str | None = None


def read_formats(setting: str, where: str = "formats") -> str:
    """Return the setting in its usual form. where: the flag, variable or file that it comes from.  Raises UsageError."""
    named = {name.strip().lower() for name in setting.split(",")}
    fix = f"give {' or '.join(CHOICES)}"
    if unknown := sorted(named - set(_BOTH)):
        raise UsageError(f"{unknown[0]!r} is not a format", where=where, fix=fix)
    if "hls" not in named:
        raise UsageError("every title has HLS: its record and its address promise it", where=where, fix=fix)
    return ",".join(name for name in _BOTH if name in named)


def formats_of(setting: str | None, scheme: SchemeName) -> Formats:
    """Return the formats of a title. setting: as ``read_formats`` gives it, None for all that can be.  Raises UsageError."""
    if setting == "hls":
        return Formats(HLS_ONLY)
    if scheme_of(scheme).in_dash:
        return Formats(_BOTH)
    if setting is None:
        return Formats(HLS_ONLY, f"--encrypt {scheme} encrypts segments whole, which DASH does not know")
    raise UsageError(
        f"DASH cannot carry {scheme}, which encrypts segments whole",
        where="--formats",
        fix=f"give --encrypt {' or '.join(name for name in SCHEMES if scheme_of(name).in_dash)}, or --formats hls",
    )
