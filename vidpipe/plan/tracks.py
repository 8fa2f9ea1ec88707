"""Choose the audio and the subtitles of a title: Asset + Ladder -> audio and subtitle renditions. Names and ids are unique.

In:   an Asset and a Ladder.
Out:  an AudioRendition for each track that is heard and each audio rung it can fill; a SubtitleRendition for each text track that shows
      something while the picture runs.
Wrong: nothing.

Subtitles are shown unasked only if the source chose some: in MP4 and QuickTime the flag that says so means only that a track is enabled,
and in Matroska a track has it unless it is taken away, so there it counts only if another text track is without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from vidpipe.ladder import Ladder
from vidpipe.plan.model import AudioEncode, AudioRendition, LeftOut, SubtitleRendition
from vidpipe.plan.names import audio_names, qualified, track_name, unique
from vidpipe.source.asset import Asset, StreamRef
from vidpipe.source.captions import SAME_WORDS
from vidpipe.source.facts import AudioStream, Source, SubtitleStream


def heard_streams(asset: Asset) -> dict[StreamRef, AudioStream]:
    """Return every audio stream that can be decoded, and of which any falls into the time of the picture; those of the main input first."""
    return {
        StreamRef(input=number, stream=stream.index): stream
        for number, source in enumerate(asset.inputs)
        for stream in source.audio
        if _is_heard(stream, source, asset)
    }


def audio_renditions(asset: Asset, ladder: Ladder) -> list[AudioRendition]:
    """One rendition for each audio stream and audio rung; a surround rung only for streams that have the channels."""
    heard = heard_streams(asset)
    default = _default(heard)
    renditions: list[AudioRendition] = []
    rungs = {rung.name for rung in ladder.rungs}  # ids of all renditions share the published tree
    for number, ((ref, stream), name) in enumerate(zip(heard.items(), audio_names(list(heard.values())), strict=True), 1):
        for rung in sorted(ladder.audio, key=lambda rung: rung.channels):
            if rung.channels > 2 and stream.widest.channels < rung.channels:
                continue
            surround = f"-{rung.channels}ch" if rung.channels > 2 else ""
            base = (stream.language or ("und" if len(heard) == 1 else f"track{number}")) + surround
            surround_name = f"{name} ({rung.channels} channels)" if "5.1" in name else f"{name} (5.1)"
            taken_ids, taken_names = rungs | {r.id for r in renditions}, {r.name for r in renditions}
            renditions.append(
                AudioRendition(
                    id=unique(base, taken_ids, "-"),
                    stream=ref,
                    make=AudioEncode(codec=rung.codec, bitrate=rung.bitrate),
                    channels=rung.channels,
                    sample_rate=rung.sample_rate,
                    language=stream.language,
                    name=unique(surround_name if rung.channels > 2 else name, taken_names, " "),
                    role=stream.role,
                    default=ref == default and not any(r.default for r in renditions),
                )
            )
    return renditions


def _times(source: Source, asset: Asset) -> tuple[Fraction, Fraction]:
    """Return when the picture of the title begins and ends, in an input's own time."""
    return source.zero, source.zero + asset.main.duration


def _is_heard(stream: AudioStream, source: Source, asset: Asset) -> bool:
    begin, end = _times(source, asset)
    return stream.packets > 0 and stream.decodable and stream.start < end and stream.start + stream.duration > begin


def subtitle_renditions(asset: Asset, taken: set[str]) -> list[SubtitleRendition]:
    """One rendition for each text track with something to show. taken: ids of all other renditions."""
    shown = [(ref, stream) for ref, stream in _subtitles(asset) if _is_shown(stream, asset.source(ref), asset)]
    default = next((ref for ref, stream in shown if stream.default and _chooses(asset.source(ref))), None)
    renditions: list[SubtitleRendition] = []
    for number, (ref, stream) in enumerate(shown, 1):
        kind = stream.channel.lower() if stream.channel else "forced" if stream.forced else "sdh" if stream.hearing_impaired else "sub"
        language = stream.language or ("und" if len(shown) == 1 else f"track{number}")
        name = track_name(stream.title, stream.language, stream.channel or ("Subtitles" if len(shown) == 1 else f"Subtitles {number}"))
        name = qualified(name, "CC" if stream.channel else {"forced": "forced", "sdh": "SDH"}.get(kind, ""))
        own = f"{language}-{kind}" if stream.language or not stream.channel else kind
        renditions.append(
            SubtitleRendition(
                id=unique(own, taken | {r.id for r in renditions}, "-"),
                stream=ref,
                language=stream.language,
                name=unique(name, {r.name for r in renditions}, " "),
                default=ref == default,
                forced=stream.forced,
                hearing_impaired=stream.hearing_impaired,
                codec=stream.codec,
                channel=stream.channel,
            )
        )
    return renditions


def _chooses(source: Source) -> bool:
    """Return whether somebody chose subtitles that are shown unasked."""
    return source.demuxer != "mov" and not all(
        stream.default for stream in source.subtitles if stream.text and not stream.channel
    )


def _is_shown(stream: SubtitleStream, source: Source, asset: Asset) -> bool:
    """Return whether it is text, and any of it falls into the time of the picture."""
    begin, end = _times(source, asset)
    return stream.text and stream.start is not None and stream.start < end and stream.start + (stream.duration or 0) >= begin


def subtitle_notes(asset: Asset, renditions: Sequence[SubtitleRendition]) -> list[str]:
    """Say what becomes of the subtitle tracks that are published."""
    names = {(rendition.stream, rendition.channel): rendition.name for rendition in renditions}
    notes = []
    for ref, stream in _subtitles(asset):
        name, twin = names.get((ref, stream.channel)), _twin(stream)
        if twin and (ref, twin) in names:
            notes.append(f"closed captions {stream.channel} (CEA-708, in stream {ref}) have the words of {twin}")
        if name is None:
            continue  # it is named with the other tracks that are left out
        if stream.channel:
            what = f"closed captions {', '.join(filter(None, [stream.channel, stream.language]))} (CEA-608, in stream {ref})"
            notes.append(f"{what} become WebVTT {name!r}: text and italics are kept, positions and colours are not")
        else:
            what = f"subtitle stream {ref} ({', '.join(filter(None, [stream.language, stream.codec]))})"
            notes.append(f"{what} becomes WebVTT {name!r}: its text is kept, its fonts and positions are not")
    return notes


def _subtitles(asset: Asset) -> list[tuple[StreamRef, SubtitleStream]]:
    return [
        (StreamRef(input=number, stream=stream.index), stream)
        for number, source in enumerate(asset.inputs)
        for stream in source.subtitles
    ]


def left_out(asset: Asset, audio: Sequence[AudioRendition], subtitles: Sequence[SubtitleRendition]) -> list[LeftOut]:
    """Name every track that a viewer of the inputs could choose and a viewer of the title cannot, in their order."""
    heard, shown = {rendition.stream for rendition in audio}, {(rendition.stream, rendition.channel) for rendition in subtitles}
    missing = [
        LeftOut(
            input=number,
            stream=track.index,
            kind="audio",
            language=track.language,
            codec=track.codec,
            reason=_unheard(track, source, asset),
        )
        for number, source in enumerate(asset.inputs)
        for track in source.audio
        if StreamRef(input=number, stream=track.index) not in heard
    ]
    missing += [
        LeftOut(
            **dict(ref),
            kind="subtitles",
            channel=track.channel,
            language=track.language,
            codec=track.codec,
            reason=_uncaptioned(track) if track.channel else _unshown(track),
        )
        for ref, track in _subtitles(asset)
        if (ref, track.channel) not in shown and (ref, _twin(track)) not in shown
    ]
    # The picture of a side file is no track that anybody would miss.
    main = asset.main
    missing += [
        LeftOut(stream=other.index, kind="video", codec=other.codec, reason=f"a title has one video track, stream {main.video.index}")
        for other in main.others
        if other.kind == "video"
    ]
    return sorted(missing, key=lambda each: (each.input, each.stream))


def _uncaptioned(track: SubtitleStream) -> str:
    """Say why a channel of closed captions is not published."""
    if track.text:
        return "it shows nothing during the video"
    if (track.channel or "").startswith("CC"):
        return "the container does not declare the display order of the frames that carry it"
    return "only the channels CC1 to CC4 of CEA-608 can be published"


def _twin(track: SubtitleStream) -> str | None:
    """Return the channel of CEA-608 that has the words of a service of CEA-708."""
    return SAME_WORDS.get(track.channel or "")


def _unheard(track: AudioStream, source: Source, asset: Asset) -> str:
    if not track.packets:
        return "it is empty"
    if not track.decodable:
        return "it cannot be decoded: its codec is unknown, or it does not declare its number of channels"
    if _is_heard(track, source, asset):
        return f"the ladder has no audio for {track.widest.channels} channels"
    return "it starts after the video ends" if track.start > source.zero else "it ends before the video starts"


def _unshown(track: SubtitleStream) -> str:
    if not track.packets:
        return "it is empty"
    return "it shows nothing during the video" if track.text else "only text can become WebVTT; this is bitmap or unknown"


def _default(heard: Mapping[StreamRef, AudioStream]) -> StreamRef | None:
    """Return the stream that is played unasked: one that the main input chose, but never one for the few while there is one for all.

    What a side file chooses (in MP4, all of its tracks) it chooses among its own.
    """
    ordinary = [ref for ref, stream in heard.items() if stream.role == "main"] or list(heard)
    ordinary = [ref for ref in ordinary if ref.input == 0] or ordinary
    return next((ref for ref in ordinary if heard[ref].default), ordinary[0] if ordinary else None)
