"""Bring audio whose channels or sample rate change mid-stream to one format, so that the filters after it run through. Pure.

In:   a stream of ffmpeg's first input, and what it is at its widest.
Out:  arguments for ffmpeg, to stand before its other outputs; the stream is then called ``[dec:number]``.
Wrong: UsageError if ffmpeg's answer shows that it is too old for them.

ffmpeg begins a filter graph anew where its input changes: it would print into an emptied file and fill up from time 0 once more.
(-reinit_filter 0 ends in "Changing audio frame properties on the fly is not supported".) So the stream gets a graph of its own that
may begin anew at any time, because it holds no state. What comes out is always the same kind of audio. It is encoded as PCM to
nowhere, and a loopback decoder (FFmpeg 7.0) leads it into the graph that matters.
"""

from __future__ import annotations

import re

from vidpipe.errors import UsageError
from vidpipe.source.facts import AudioFormat

LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


def unified_stream(number: int, stream: int, widest: AudioFormat) -> list[str]:
    """Return the arguments for a stream. number: of this output; those that are converted to one format come first, from 0 on."""
    label = f"[steady{number}]"
    graph = ["-filter_complex", f"[0:{stream}]{unifying_filters(widest)}{label}", "-map", label]
    return [*graph, "-c:a", "pcm_f32le", "-f", "null", "-", "-dec", f"{number}:0"]


def wide(known: AudioFormat) -> AudioFormat:
    """Return the target format when later formats are unknown: 5.1, so that a downmix takes the channels which come later."""
    return known if known.channels >= 6 else known.model_copy(update={"channels": 6, "layout": "5.1"})


def check_understood(stderr: str, program: str) -> None:
    """Raise UsageError if ffmpeg's last words are that it does not know loopback decoders."""
    if "Unrecognized option 'dec'" in stderr:
        raise UsageError(
            "the audio changes its channels or its sample rate mid-stream, and this ffmpeg is too old for that: 7.0 or newer is needed",
            where=program,
            fix="unset VIDPIPE_FFMPEG to use the ffmpeg that comes with vidpipe, or install a newer one",
        )


def unifying_filters(wanted: AudioFormat) -> str:
    """Return the filters that bring any audio to the given format."""
    named = re.fullmatch(r"[0-9a-z.()-]+", wanted.layout)  # not "3 channels (FL+FR+LFE)"
    layout = wanted.layout if named else LAYOUTS.get(wanted.channels, "7.1")
    # flt: nothing clips, and nothing is scaled down lest it clip
    if layout == "stereo":  # mono among stereo: as loud on both sides as it was; the resampler would take 3 dB off
        return f"aresample=osr={wanted.sample_rate}:osf=flt,pan=stereo|FL=FL+FC|FR=FR+FC"
    return f"aresample=osr={wanted.sample_rate}:ochl={layout}:osf=flt"
