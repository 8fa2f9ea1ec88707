"""Name what a file is that is none of the containers which are read, and give the command that makes one of it. Runs in the child only.

In:   the short name of libav's demuxer that recognised it.
Out:  what it is, and how to fix that; FILE stands for its name.
Wrong: nothing; None for what is never followed (playlists, scripts).

A command copies where a copy works, and else converts without loss: of a raw stream whose pictures are reordered ffmpeg cannot copy
(unknown time stamps; its dts2pts loses the last ones). The tests run them.
"""

from __future__ import annotations

_RAW = "a raw {} stream: it has no timestamps"
_WHOLE = "a {} file: that container is not supported"

_COPY = "ffmpeg -i FILE -c copy FIXED.mkv"
_COUNTED = "ffmpeg -fflags +genpts -r 25 -i FILE -c copy FIXED.mkv"
_CONVERTED = "ffmpeg -i FILE -map 0:v:0 -map '0:a?' -c:v ffv1 -c:a flac FIXED.mkv"
_RATED = "ffmpeg -r 25 -i FILE -c:v ffv1 FIXED.mkv"

VIDEOS = {
    "h264": (_RAW.format("H.264"), _RATED),
    "hevc": (_RAW.format("HEVC"), _RATED),
    "vvc": (_RAW.format("VVC"), _RATED),
    "mpegvideo": (_RAW.format("MPEG-1 or MPEG-2"), _COUNTED),
    "m4v": (_RAW.format("MPEG-4"), _COPY),
    "obu": (_RAW.format("AV1"), _COPY),
    "mjpeg": (_RAW.format("Motion JPEG"), _COPY),
    "h261": (_RAW.format("H.261"), _RATED),
    "h263": (_RAW.format("H.263"), _COPY),
    "dnxhd": (_RAW.format("DNxHD"), _RATED),
    "vc1": (_RAW.format("VC-1"), _RATED),
    "cavsvideo": (_RAW.format("AVS"), _RATED),
    "avs2": (_RAW.format("AVS2"), _RATED),
    "avs3": (_RAW.format("AVS3"), _RATED),
    "dirac": (_RAW.format("Dirac"), _RATED),
    "evc": (_RAW.format("EVC"), _RATED),
    "apv": (_RAW.format("APV"), _RATED),
    "yuv4mpegpipe": (_WHOLE.format("YUV4MPEG2"), _CONVERTED),
    "rm": (_WHOLE.format("RealMedia"), _CONVERTED),
    "ivr": (_WHOLE.format("RealMedia"), _CONVERTED),
    "swf": (_WHOLE.format("Flash (SWF)"), _CONVERTED),
    "wtv": (_WHOLE.format("Windows Recorded TV"), _CONVERTED),
    "nsv": (_WHOLE.format("Nullsoft Streaming Video"), _CONVERTED),
    "pva": (_WHOLE.format("PVA"), _CONVERTED),
    "bink": (_WHOLE.format("Bink"), _CONVERTED),
    "smk": (_WHOLE.format("Smacker"), _CONVERTED),
    "flic": (_WHOLE.format("FLIC"), _CONVERTED),
    "roq": (_WHOLE.format("RoQ"), _CONVERTED),
    "vc1test": (_WHOLE.format("VC-1 test"), _CONVERTED),
    "lxf": (_WHOLE.format("LXF"), _CONVERTED),
    "gif": ("an animated picture (GIF)", _CONVERTED),
    "apng": ("an animated picture (PNG)", _CONVERTED),
}
"""Demuxer -> what the file is, and the command."""

AUDIO = frozenset(
    {"aac", "ac3", "aiff", "amr", "ape", "au", "caf", "dsf", "dts", "dtshd", "eac3", "flac", "loas", "mp3", "mpc", "mpc8", "mlp"}
    | {"oma", "opus", "shn", "spdif", "tak", "truehd", "tta", "voc", "w64", "wav", "wv", "xwma", "ac4", "adts"}
)


def named(demuxer: str) -> tuple[str, str] | None:
    """Return the sentence and the fix."""
    if demuxer in VIDEOS:
        what, command = VIDEOS[demuxer]
        rate = " (with its true rate for 25)" if "-r 25" in command else ""
        return f"it is {what}", f"put it into a container{rate}: {command}"
    if demuxer in AUDIO:
        return "it is an audio file: a title needs video", "give the video file that it belongs to"
    return None
