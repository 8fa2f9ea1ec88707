"""What a new version of a title takes over from the live one, and whether it may take its place.

In:   the title, metadata and languages as the user gave them, the live (or withdrawn) record if there is one, the source.
Out:  the Description of the new version, its languages by stream; silence if it may replace the live one.
Wrong: UsageError for text that no record can hold, for another source under the id of a live title, and for a track that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vidpipe.catalog.record import Record, SourceFile
from vidpipe.data import Data
from vidpipe.errors import UsageError
from vidpipe.plan.languages import by_stream
from vidpipe.source.facts import Source


class Description(Data):
    """What the record says for people."""

    title: str
    metadata: dict[str, str]


def check_description(title: str | None, metadata: Mapping[str, str]) -> None:
    """Raise UsageError for text that a record cannot hold: known before the encode, not when the record is written."""
    for where, text in (("--title", title or ""), *(("--meta", f"{key}={value}") for key, value in metadata.items())):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UsageError(
                f"{text!r} is not UTF-8", where=where, fix="check the encoding of the terminal or script that gave it"
            ) from error
        if "\0" in text:  # PostgreSQL refuses it
            raise UsageError("the text contains a NUL character", where=where, fix="remove it")


def check_source(live: Record | None, source: Source, *, replace: bool) -> None:
    """Raise UsageError if the live version was made of another file, or was withdrawn, unless it is to be replaced. The bytes decide,
    not the name. A title that was taken down does not come back because a script runs its ingest again.
    """
    if live is None or replace:
        return
    if live.status == "withdrawn":
        raise UsageError(
            f"{live.content_id} was withdrawn (version {live.version})",
            fix=f"make it live again with vidpipe catalog restore {live.content_id}, or publish a new version with --replace",
            id="withdrawn-title",
        )
    if live.source.sha256 == source.sha256:
        return
    raise UsageError(
        f"{live.content_id} is live and was made from another source: "
        f"{live.source.name} ({live.source.size} bytes, version {live.version}), not {source.name} ({source.size} bytes)",
        fix=f"give this source an id of its own with --id, or replace {live.content_id} with --replace",
        id="other-source",
    )


def described(live: Record | None, source: Source | SourceFile, title: str | None, metadata: Mapping[str, str]) -> Description:
    """Return the description of the new version: what was given, and what the live version has where nothing was given.

    An empty title stands for the name of the source, a key with an empty text for its removal.
    """
    if title is None and live is not None:
        title = live.title
    merged = {**(live.metadata if live else {}), **metadata}
    return Description(title=title or Path(source.name).stem, metadata={key: text for key, text in merged.items() if text})


def given_languages(live: Record | None, source: Source, given: Mapping[int | None, str]) -> dict[int, str]:
    """Return the languages that were given for tracks, by stream: those of now, and those of the live version of the same source."""
    kept = live.source.languages if live and live.source.sha256 == source.sha256 else {}
    return {**kept, **by_stream(source, given)}
