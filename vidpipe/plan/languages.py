"""Say what language tracks are in, where their file does not: Source + languages that a person gave -> Source.

In:   a Source; languages by stream index, or for the one track that says none.
Out:  the languages by stream; the Source with them.
Wrong: UsageError that names the tracks that could be meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vidpipe.errors import UsageError
from vidpipe.language_tags import language_tag
from vidpipe.source.facts import Source

_FORM = "give a BCP 47 tag such as de or pt-BR, for one stream with its number: --language 2=de"


def read_languages(texts: Sequence[str]) -> dict[int | None, str]:
    """Read "de" and "2=de" into stream index -> tag; None stands for the one track that says no language.

    Raises UsageError for anything else, and for a stream that is named twice.
    """
    read: dict[int | None, str] = {}
    for text in texts:
        stream, equals, tag = text.rpartition("=")
        language = language_tag(tag)
        number = stream.strip()
        if language is None or (equals and not (number.isascii() and number.isdigit() and len(number) < 10)):
            raise UsageError(f"{text!r} does not name a language", where="--language", fix=_FORM)
        index = int(number) if equals else None
        if index in read:
            what = "a language without a stream" if index is None else f"the language of stream {index}"
            raise UsageError(f"{what} is given twice", where="--language", fix=_FORM)
        read[index] = language
    return read


def by_stream(source: Source, languages: Mapping[int | None, str]) -> dict[int, str]:
    """Return what was given, each for its stream. Raises UsageError if a track is not there, or if it is not clear which one is meant."""
    audio = {track.index: track.language for track in source.audio}
    # closed captions lie in the stream of the picture: they are named by it, but not meant by a language without a stream
    captions = {track.index: track.language for track in source.subtitles if track.channel}
    said = audio | captions | {track.index: track.language for track in source.subtitles if not track.channel}
    kinds = {index: "audio" if index in audio else "subtitles" for index in said}
    listed = ", ".join(f"{index} ({kinds[index]}, {language or 'no language'})" for index, language in said.items()) or "none"
    given = {index: tag for index, tag in languages.items() if index is not None}
    for index in given:
        if index not in said:
            raise UsageError(f"stream {index} is neither audio nor subtitles", where=source.name, fix=f"its tracks are: {listed}")
    if None in languages:
        mute = [index for index, language in said.items() if language is None and index not in (*given, *captions)]
        if len(mute) != 1:
            what = f"{len(mute)} tracks have no language, and --language names no stream" if mute else "every track has a language"
            fix = f"write for example --language {(mute or list(said) or [1])[0]}={languages[None]}; its tracks are: {listed}"
            raise UsageError(what, where=source.name, fix=fix)
        given[mute[0]] = languages[None]
    return given


def with_languages(source: Source, languages: Mapping[int, str]) -> Source:
    """Return the source with these languages, by stream."""
    if not languages:
        return source
    return source.model_copy(
        update={
            "audio": tuple(track.model_copy(update={"language": languages.get(track.index, track.language)}) for track in source.audio),
            "subtitles": tuple(
                track.model_copy(update={"language": languages.get(track.index, track.language)}) for track in source.subtitles
            ),
        }
    )
