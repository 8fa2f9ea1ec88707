"""Choose the sound and the subtitles of a title: Source + Ladder -> audio and subtitle renditions. Names and ids are unique.

In:   a Source and a Ladder.
Out:  an AudioRendition for each track that is heard and each audio rung it can fill; a SubtitleRendition for each text track that shows
      something while the picture runs.
Wrong: nothing.

Subtitles are shown unasked only if the source chose some: in MP4 and QuickTime the flag that says so means only that a track is enabled,
and in Matroska a track has it unless it is taken away, so there it counts only if another text track is without.
"""

from __future__ import annotations

import unicodedata

from vidpipe.ladder import Ladder
from vidpipe.plan.model import AudioRendition, SubtitleRendition
from vidpipe.source.facts import AudioStream, Source, SubtitleStream


def audio_renditions(source: Source, ladder: Ladder) -> list[AudioRendition]:
    """One rendition for each source track and audio rung; a surround rung only for tracks that have the channels."""
    heard = [stream for stream in source.audio if is_heard(stream, source)]
    default = next((stream.index for stream in heard if stream.default), heard[0].index if heard else -1)
    renditions: list[AudioRendition] = []
    rungs = {rung.name for rung in ladder.rungs}  # ids of all renditions share the published tree
    for number, stream in enumerate(heard, 1):
        for place, rung in enumerate(ladder.audio):
            if rung.channels > 2 and stream.widest.channels < rung.channels:
                continue
            surround = f"-{rung.channels}ch" if rung.channels > 2 else ""
            base = (stream.language or ("und" if len(heard) == 1 else f"track{number}")) + surround
            name = _name(stream.title or stream.language or ("Main" if len(heard) == 1 else f"Track {number}"))
            taken_ids, taken_names = rungs | {r.id for r in renditions}, {r.name for r in renditions}
            renditions.append(
                AudioRendition(
                    id=_unique(base, taken_ids, "-"),
                    stream=stream.index,
                    codec=rung.codec,
                    bitrate=rung.bitrate,
                    channels=rung.channels,
                    sample_rate=rung.sample_rate,
                    language=stream.language,
                    name=_unique(name + (" 5.1" if rung.channels == 6 else ""), taken_names, " "),
                    default=stream.index == default and place == 0,
                )
            )
    return renditions


def is_heard(stream: AudioStream, source: Source) -> bool:
    """Tell whether any of the sound falls into the time of the picture."""
    begin, end = source.video.start, source.video.start + source.duration
    return stream.packets > 0 and stream.start < end and stream.start + stream.duration > begin


def subtitle_renditions(source: Source, taken: set[str]) -> list[SubtitleRendition]:
    """One rendition for each text track with something to show. taken: ids of all other renditions."""
    shown = [stream for stream in source.subtitles if _is_shown(stream, source)]
    default = next((stream.index for stream in shown if stream.default), None) if _chooses(source) else None
    renditions: list[SubtitleRendition] = []
    for number, stream in enumerate(shown, 1):
        kind = stream.channel.lower() if stream.channel else "forced" if stream.forced else "sdh" if stream.hearing_impaired else "sub"
        language = stream.language or ("und" if len(shown) == 1 else f"track{number}")
        name = _name(stream.title or stream.language or stream.channel or ("Subtitles" if len(shown) == 1 else f"Subtitles {number}"))
        own = f"{language}-{kind}" if stream.language or not stream.channel else kind
        told = "CC" if stream.channel else {"forced": "forced", "sdh": "SDH"}.get(kind, "")
        if told.lower() not in name.lower():
            name = f"{name} ({told})"
        renditions.append(
            SubtitleRendition(
                id=_unique(own, taken | {r.id for r in renditions}, "-"),
                stream=stream.index,
                language=stream.language,
                name=_unique(name, {r.name for r in renditions}, " "),
                default=stream.index == default,
                forced=stream.forced,
                hearing_impaired=stream.hearing_impaired,
                codec=stream.codec,
                channel=stream.channel,
            )
        )
    return renditions


def _chooses(source: Source) -> bool:
    """Tell whether somebody chose subtitles that are shown unasked."""
    return source.demuxer != "mov" and not all(
        stream.default for stream in source.subtitles if stream.text and not stream.channel
    )


def _is_shown(stream: SubtitleStream, source: Source) -> bool:
    """Tell whether it is text, and any of it falls into the time of the picture."""
    begin, end = source.video.start, source.video.start + source.duration
    return stream.text and stream.start is not None and stream.start < end and stream.start + (stream.duration or 0) >= begin


def subtitle_note(stream: SubtitleStream, renditions: list[SubtitleRendition]) -> str:
    """Tell what becomes of a subtitle track."""
    what = f"subtitle stream {stream.index} ({', '.join(filter(None, [stream.language, stream.codec]))})"
    same = (r.name for r in renditions if (r.stream, r.channel) == (stream.index, stream.channel))
    name = next(same, None)
    if stream.channel:
        return _caption_note(stream, name)
    if name is not None:
        return f"{what} becomes WebVTT {name!r}: its words are kept, its fonts and places are not"
    return f"{what} is not published: " + ("it shows nothing while the picture runs" if stream.text else "only text can be")


def _caption_note(stream: SubtitleStream, name: str | None) -> str:
    """Say what becomes of a channel of closed captions. name: of its rendition."""
    kind = "CEA-708" if stream.codec == "eia_708" else "CEA-608"
    what = f"closed captions {', '.join(filter(None, [stream.channel, stream.language]))} ({kind}, in stream {stream.index})"
    if name is not None:
        return f"{what} become WebVTT {name!r}: words and italics are kept, places and colours are not"
    if stream.text:
        return f"{what} are not published: they show nothing while the picture runs"
    if (stream.channel or "").startswith("CC"):
        return f"{what} are not published: the container does not say in which order the pictures are shown that carry them"
    return f"{what} are not published: only the channels CC1 to CC4 of CEA-608 can be"


def _name(text: str) -> str:
    """A name as playlists can say it: composed (NFC), so that names which look the same are the same, and without quotation marks."""
    return unicodedata.normalize("NFC", text).replace('"', "'")


def _unique(name: str, taken: set[str], joint: str) -> str:
    return next(n for n in (name, *(f"{name}{joint}{i}" for i in range(2, len(taken) + 3))) if n not in taken)
