"""Traps of audio and subtitles: uneven packets, gaps, drift, rates, channels, several tracks, more or less audio than picture."""

from __future__ import annotations

from pathlib import Path

from tests.oracle.traps import transport
from tests.oracle.traps.trap import AAC, X264, audio_input, clip, picture, run, trap

SPEECH = (
    "aevalsrc='0.5*sin(2*PI*(180+60*sin(2*PI*0.7*t))*t)*pow(sin(2*PI*2.3*t)\\,8)+0.6*(random(0)-0.5)*lt(mod(t\\,0.29)\\,0.01)"
    "+0.03*sin(2*PI*(300*t+40*t*t))':s={rate}:c=mono:d={seconds}"
)


def _vorbis(file: Path, *options: str, seconds: float = 8, rate: int = 44100) -> None:
    """Swelling tones with sharp attacks: the encoder takes long and short blocks in turns."""
    audio = ["-f", "lavfi", "-i", SPEECH.format(seconds=seconds, rate=rate)]
    clip(file, *options, seconds=seconds, audio=audio)


VP8 = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "800k"]
VORBIS = ["-c:a", "libvorbis", "-q:a", "4"]


@trap("vorbis-blocks.webm")
def _(file: Path) -> None:
    _vorbis(file, *VP8, *VORBIS)


@trap("vorbis-blocks.ogv", name="vorbis-blocks-ogg")
def _(file: Path) -> None:
    _vorbis(file, "-c:v", "libtheora", "-q:v", "7", *VORBIS)


@trap("vorbis-blocks-in-matroska.mkv")
def _(file: Path) -> None:
    _vorbis(file, *VORBIS)


@trap("vorbis-blocks-in-mp4.mp4")
def _(file: Path) -> None:
    plain = file.with_suffix(".plain.mkv")
    _vorbis(plain, *VORBIS)
    run("-i", plain, "-c", "copy", file)  # not encoded into it: ffmpeg fails at the trailer
    plain.unlink()


@trap("vorbis-blocks-16khz.webm")
def _(file: Path) -> None:
    _vorbis(file, *VP8, *VORBIS, rate=16000)


@trap("vorbis-blocks-22khz.ogv")
def _(file: Path) -> None:
    _vorbis(file, "-c:v", "libtheora", "-q:v", "7", *VORBIS, rate=22050)


@trap("vorbis-blocks-8khz.mkv")
def _(file: Path) -> None:
    _vorbis(file, *VORBIS, rate=8000)


@trap("vorbis-blocks-32khz-good.mkv")
def _(file: Path) -> None:
    _vorbis(file, "-c:a", "libvorbis", "-q:a", "8", rate=32000)


@trap("opus-packets-of-60ms.webm")
def _(file: Path) -> None:
    clip(file, *VP8, "-c:a", "libopus", "-frame_duration", "60")


def _gaps(file: Path, dropped: str, *codec: str) -> None:
    plain = file.with_suffix(".plain.mkv")
    clip(plain, *codec, seconds=6)
    run("-i", plain, "-c", "copy", "-bsf:a", f"noise=drop='{dropped}'", file)
    plain.unlink()


@trap("gap-of-1s-aac.mkv")
def _(file: Path) -> None:
    _gaps(file, "between(n,100,147)", *AAC)


@trap("gap-of-1s-aac-mp4.mp4")
def _(file: Path) -> None:
    _gaps(file, "between(n,100,147)", *AAC)


@trap("gap-of-1s-aac-ts.ts")
def _(file: Path) -> None:
    _gaps(file, "between(n,100,147)", *AAC)


@trap("gaps-of-one-packet.mkv")
def _(file: Path) -> None:
    _gaps(file, "eq(n,60)+eq(n,120)+eq(n,180)", *AAC)


@trap("gap-vorbis.mkv")
def _(file: Path) -> None:
    _gaps(file, "between(n,100,200)", *VORBIS)


def _drifting(file: Path, factor: str, *codec: str) -> None:
    plain = file.with_suffix(".plain.mkv")
    clip(plain, *codec, seconds=10)
    run("-i", plain, "-c", "copy", "-bsf:a", f"setts=ts=TS*{factor}", file)
    plain.unlink()


@trap("audio-drifts-behind.mkv")
def _(file: Path) -> None:
    _drifting(file, "1.01")


@trap("audio-drifts-ahead.mkv")
def _(file: Path) -> None:
    _drifting(file, "0.99")


def _restamped(file: Path, times: str, *codec: str) -> None:
    plain = file.with_suffix(".plain.mkv")
    clip(plain, *codec)
    run("-i", plain, "-c", "copy", "-bsf:a", f"setts=ts={times}", file)
    plain.unlink()


@trap("audio-jitters-18ms.mkv")
def _(file: Path) -> None:
    _restamped(file, "TS+9*mod(N\\,3)")


@trap("audio-jitters-30ms.mkv")
def _(file: Path) -> None:
    _restamped(file, "TS+15*mod(N\\,3)")


@trap("audio-uneven-packets.mkv")
def _(file: Path) -> None:
    # What older muxers wrote of Vorbis with long and short blocks: runs of packets that claim to lie later than they do.
    _restamped(file, "TS+if(mod(floor(N/9)\\,2)\\,26\\,0)", *VORBIS)


@trap("audio-uneven-packets-early.mkv")
def _(file: Path) -> None:
    _restamped(file, "TS-if(mod(floor(N/9)\\,2)\\,26\\,0)+if(N\\,0\\,26)", *VORBIS)


@trap("audio-overlaps.mkv")
def _(file: Path) -> None:
    _restamped(file, "TS-if(gt(N\\,90)\\,300\\,0)")


@trap("audio-mono.mp4")
def _(file: Path) -> None:
    clip(file, audio=audio_input(layout="mono"))


@trap("audio-51.mkv")
def _(file: Path) -> None:
    clip(file, "-c:a", "ac3", "-b:a", "384k", audio=audio_input(layout="5.1"))


@trap("audio-8khz.mp4")
def _(file: Path) -> None:
    clip(file, audio=audio_input(rate=8000, layout="mono"))


@trap("audio-11khz.avi")
def _(file: Path) -> None:
    clip(file, "-c:v", "mpeg4", "-q:v", "3", "-c:a", "pcm_s16le", audio=audio_input(rate=11025, layout="mono"))


@trap("audio-44khz.mkv")
def _(file: Path) -> None:
    clip(file, "-c:a", "flac", audio=audio_input(rate=44100))


@trap("audio-96khz.mkv")
def _(file: Path) -> None:
    clip(file, "-c:a", "flac", audio=audio_input(rate=96000))


@trap("audio-pcm.mov")
def _(file: Path) -> None:
    clip(file, "-c:a", "pcm_s24le")


@trap("audio-pcm-big-blocks.avi")
def _(file: Path) -> None:
    clip(file, "-c:v", "mpeg4", "-q:v", "3", "-c:a", "pcm_s16le")


@trap("audio-none.mp4")
def _(file: Path) -> None:
    clip(file, audio=[])


@trap("audio-shorter.mp4")
def _(file: Path) -> None:
    clip(file, audio=audio_input(2.5))


@trap("audio-longer.mp4")
def _(file: Path) -> None:
    clip(file, audio=audio_input(6))


@trap("audio-before-picture.mkv")
def _(file: Path) -> None:
    _apart(file, picture=5)


@trap("audio-before-picture-ts.ts")
def _(file: Path) -> None:
    _apart(file, picture=5)


@trap("audio-after-picture.mkv")
def _(file: Path) -> None:
    _apart(file, audio=5)


@trap("audio-mostly-before-picture.mp4")
def _(file: Path) -> None:
    _apart(file, picture=3)


@trap("tracks-one-before-picture.mkv")
def _(file: Path) -> None:
    plain = file.with_suffix(".plain.mkv")
    _apart(plain, picture=5)
    run("-i", plain, "-itsoffset", "5", *audio_input(base=900), "-map", "0", "-map", "1", "-c", "copy", *AAC[:2], "-c:v", "copy", file)
    plain.unlink()


def _apart(file: Path, *, picture: float = 0, audio: float = 0) -> None:
    """Let picture or audio begin later than the other."""
    plain = file.with_suffix(".whole.mkv")
    clip(plain, "-bf", "0")
    times = [*("-itsoffset", str(picture), "-i", str(plain)), *("-itsoffset", str(audio), "-i", str(plain))]
    run(*times, "-map", "0:v", "-map", "1:a", "-c", "copy", file)
    plain.unlink()


@trap("audio-begins-with-silence.mp4")
def _(file: Path) -> None:
    clip(file, "-af", "volume=0:enable='lt(t,2)'")


@trap("audio-padded-silence.mp4")
def _(file: Path) -> None:
    clip(file, "-af", "volume=0")


@trap("tracks-three-languages.mkv")
def _(file: Path) -> None:
    _tracks(file, "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger", "-metadata:s:a:2", "language=fra")


@trap("tracks-without-language.mp4")
def _(file: Path) -> None:
    _tracks(file)


@trap("tracks-default-is-second.mkv")
def _(file: Path) -> None:
    _tracks(file, "-metadata:s:a:1", "language=ger", "-disposition:a:0", "0", "-disposition:a:1", "default")


def _tracks(file: Path, *options: str) -> None:
    audio = [*audio_input(), *audio_input(base=900), *audio_input(base=1700)]
    run(*picture(), *audio, "-map", "0", "-map", "1", "-map", "2", "-map", "3", *X264, *AAC, *options, file)


@trap("tracks-one-pid-silent.ts")
def _(file: Path) -> None:
    _tracks(file)
    file.write_bytes(transport.without(file.read_bytes(), 0x102))


@trap("tracks-one-codec-unknown.ts")
def _(file: Path) -> None:
    _tracks(file)

    def private(section: bytearray) -> None:
        at = 12 + ((section[10] & 0x0F) << 8 | section[11])
        at += 5 + ((section[at + 3] & 0x0F) << 8 | section[at + 4])
        at += 5 + ((section[at + 3] & 0x0F) << 8 | section[at + 4])
        section[at] = 0x06  # private data, of which no descriptor says what it is

    parts = transport.packets(transport.restamp_program(file.read_bytes(), 0x1000, private))
    for packet in parts:
        if transport.pid(packet) == 0x102:
            transport.scramble(packet)
    file.write_bytes(b"".join(parts))


@trap("subtitles-text.mkv")
def _(file: Path) -> None:
    _subtitles(file, "-c:s", "srt")


@trap("subtitles-webvtt.mkv")
def _(file: Path) -> None:
    _subtitles(file, "-c:s", "webvtt")


@trap("subtitles-webvtt-as-in-the-standard.mkv")
def _(file: Path) -> None:
    _subtitles(file, "-c:s", "webvtt")
    # ffmpeg writes WebM's name of the codec; Matroska's is shorter, and its strings may end in zeros.
    ours, theirs = b"D_WEBVTT/SUBTITLES", b"S_TEXT/WEBVTT"
    file.write_bytes(file.read_bytes().replace(ours, theirs.ljust(len(ours), b"\0")))


@trap("subtitles-pictures.mkv")
def _(file: Path) -> None:
    _pictures(file, "dvdsub")


@trap("subtitles-dvb.ts")
def _(file: Path) -> None:
    _pictures(file, "dvbsub")


SRT = "1\n00:00:00,500 --> 00:00:01,500\nOne\n\n2\n00:00:02,000 --> 00:00:03,000\nTwo\n"


def _subtitles(file: Path, *codec: str) -> None:
    text = file.with_suffix(".srt")
    text.write_text(SRT)
    run(*picture(), *audio_input(), "-i", text, "-map", "0", "-map", "1", "-map", "2", *X264, *AAC, *codec, file)
    text.unlink()


def _pictures(file: Path, codec: str) -> None:
    import av

    plain = file.with_suffix(".plain.mkv")
    clip(plain, "-bf", "0")
    # A track of pictures without a packet at the right rate: the encoders take bitmaps only, which no lavfi source gives.
    with av.open(str(plain)) as source, av.open(str(file), "w") as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        extra = target.add_stream(codec)
        extra.time_base = source.streams[0].time_base
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    plain.unlink()
