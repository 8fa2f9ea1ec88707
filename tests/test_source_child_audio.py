"""Audio whose format changes mid-stream is seen in its packets, or heard in a decode."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import pytest

from tests.encode_support import tiny_plan
from tests.source_support import X264, pieces, run
from vidpipe.diagnostics import Diagnostic
from vidpipe.encode.scheduler import encode
from vidpipe.errors import UsageError
from vidpipe.media.ffmpeg import find
from vidpipe.media.process import run as run_program
from vidpipe.source.audio_changes import unifying_filters
from vidpipe.source.child.audio import SIGNS, Listener
from vidpipe.source.facts import AudioFormat, AudioStream
from vidpipe.source.policy import load_policy
from vidpipe.source.probe import probe
from vidpipe.source.validate import validate
from vidpipe.work.artifacts import Store

STEREO, MONO, SURROUND = ("stereo", "48000"), ("mono", "48000"), ("5.1", "48000")
SEEN = {
    "AAC in ADTS": ("aac", [STEREO, SURROUND, ("mono", "44100"), STEREO]),
    "AC-3": ("ac3", [STEREO, ("5.1(side)", "48000"), MONO, ("stereo", "32000")]),
    "E-AC-3": ("eac3", [("5.1(side)", "48000"), STEREO, ("stereo", "44100")]),
    "MP2": ("mp2", [STEREO, MONO, ("stereo", "44100")]),
    "MP3": ("libmp3lame", [MONO, STEREO, ("stereo", "32000")]),
}


def described(audio: AudioStream) -> list[tuple[str, int]]:
    formats = [change.before for change in audio.changes[:1]] + [change.after for change in audio.changes]
    return [(each.layout, each.sample_rate) for each in formats]


@pytest.mark.parametrize("kind", SEEN)
def test_a_change_is_seen_without_decoding(kind: str, tmp_path: Path) -> None:
    codec, formats = SEEN[kind]
    (audio,) = probe(str(pieces(tmp_path, codec, formats))).audio
    assert described(audio) == [(layout, int(hertz)) for layout, hertz in formats]
    assert [float(change.at) for change in audio.changes] == pytest.approx([2.56 * n for n in range(1, len(formats))], abs=0.06)


@pytest.mark.parametrize("kind", SEEN)
def test_audio_that_stays_as_it_is_has_no_changes(kind: str, tmp_path: Path) -> None:
    codec, formats = SEEN[kind]
    assert probe(str(pieces(tmp_path, codec, [formats[0], formats[0]]))).audio[0].changes == ()


def later(flv: bytes, milliseconds: int) -> bytes:
    """Return the tags of a Flash video, without the file header, with their times moved."""
    tags, place = b"", 13
    while place < len(flv):
        size = int.from_bytes(flv[place + 1 : place + 4], "big")
        time = int.from_bytes(flv[place + 4 : place + 7], "big") + milliseconds
        tags += flv[place : place + 4] + time.to_bytes(3, "big") + flv[place + 7 : place + 15 + size]
        place += 15 + size
    return tags


def test_a_container_that_announces_another_configuration(tmp_path: Path) -> None:
    parts = []
    for number, layout in enumerate(("stereo", "mono")):
        part = tmp_path / f"{number}.flv"
        tone = f"sine=r=44100:d=2,aformat=channel_layouts={layout}"
        run(["-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=2", "-f", "lavfi", "-i", tone, *X264, "-c:a", "aac"], part)
        parts.append(part.read_bytes())
    both = tmp_path / "both.flv"
    both.write_bytes(parts[0] + later(parts[1], 2000))  # its second header appears as another stream, which is left out
    (audio,) = probe(str(both)).audio
    assert described(audio) == [("stereo", 44100), ("mono", 44100)]
    assert float(audio.changes[0].at) == pytest.approx(2, abs=0.06)


def changes(found: tuple[Diagnostic, ...]) -> list[tuple[str, float, float, str]]:
    assert all(each.measured and each.limit == "0 changes" for each in found if each.id == "changing-audio")
    changing = [each for each in found if each.id == "changing-audio"]
    return [(each.severity, round(float(each.at.start or 0)), round(float(each.at.end or 0)), each.measured or "") for each in changing]


def test_what_packets_do_not_say_is_heard_in_a_decode(tmp_path: Path) -> None:
    source = probe(str(pieces(tmp_path, "aac", [STEREO, SURROUND, STEREO], "-mpegts_flags", "latm")))
    assert source.audio[0].changes == ()
    assert changes(validate(source, load_policy(), "no-such-ffmpeg", quick=True).findings) == []
    heard = validate(source, load_policy(), find()).findings
    assert changes(heard) == [
        ("warning", 3, 5, "stereo at 48000 Hz -> 5.1 at 48000 Hz"),
        ("warning", 5, 8, "5.1 at 48000 Hz -> stereo at 48000 Hz"),
    ]


@pytest.mark.parametrize("flags", [(), ("-mpegts_flags", "latm")], ids=["seen", "heard"])
def test_a_change_takes_nothing_from_the_measurements(flags: tuple[str, ...], tmp_path: Path) -> None:
    """The filters would begin anew, and print into an emptied file: the pictures before the change, and the silence, would be lost."""
    source = probe(str(pieces(tmp_path, "aac", [STEREO, SURROUND], *flags, silent=(0,))))
    policy = load_policy()
    policy = policy.model_copy(update={"silence": policy.silence.model_copy(update={"longest": 2})})
    found = {each.id: each for each in validate(source, policy, find()).findings}
    assert (float(found["silence"].at.start or 0), float(found["silence"].at.end or 0)) == pytest.approx((0, 2.56), abs=0.05)
    assert not {"missing-pictures", "decode-errors"} & set(found)


def test_a_change_in_a_packet_without_a_time_is_seen_in_the_next(tmp_path: Path) -> None:
    with av.open(str(pieces(tmp_path, "ac3", [STEREO, ("5.1(side)", "48000")]))) as container:
        stream = container.streams.audio[0]
        listener = Listener(stream.codec_context)
        timeless = 0
        for packet in container.demux(stream):
            if packet.size:
                new = not timeless and float((packet.pts or 0) * Fraction(packet.time_base)) > 12.5
                timeless += new
                listener.hear(packet, None if new else packet.pts)
    assert timeless == 1
    assert [(before.layout, after.layout) for _, before, after in listener.changes] == [("stereo", "5.1(side)")]


def test_an_ffmpeg_that_is_too_old_is_refused_clearly(tmp_path: Path) -> None:
    old = tmp_path / "ffmpeg"
    refuses = """case " $* " in *" -dec "*) echo "Unrecognized option 'dec'." >&2; exit 8;; esac"""
    old.write_text(f'#!/bin/sh\n{refuses}\nexec "{imageio_ffmpeg.get_ffmpeg_exe()}" "$@"\n')
    old.chmod(0o755)
    source = pieces(tmp_path, "ac3", [STEREO, ("5.1(side)", "48000")])
    with pytest.raises(UsageError, match=r"7\.0 or newer"):
        validate(probe(str(source)), load_policy(), str(old))
    with pytest.raises(UsageError, match=r"7\.0 or newer"):
        list(encode(tiny_plan(source, chunk=1000), Store(tmp_path / "work"), ffmpeg=replace(find(), path=str(old))))


def test_headers_that_are_none() -> None:
    for sign in set(SIGNS.values()):
        assert sign(bytes(8)) is None
        assert sign(b"\xff" * 8) is None or sign is SIGNS["mp3"]


STEADY = {
    "5.1(side)": (6, "aresample=osr=48000:ochl=5.1(side):osf=flt"),
    "mono": (1, "aresample=osr=48000:ochl=mono:osf=flt"),
    "stereo": (2, "aresample=osr=48000:osf=flt,pan=stereo|FL=FL+FC|FR=FR+FC"),
    "4 channels (FL+FR+LFE+BC)": (4, "aresample=osr=48000:ochl=4.0:osf=flt"),
    "12 channels": (12, "aresample=osr=48000:ochl=7.1:osf=flt"),
}


@pytest.mark.parametrize("layout", STEADY)
def test_any_audio_can_be_converted_to_one_format(layout: str) -> None:
    channels, expected = STEADY[layout]
    filters = unifying_filters(AudioFormat(sample_rate=48000, channels=channels, layout=layout))
    assert filters == expected
    for given in ("mono", "stereo", "5.1(side)", "7.1"):
        tone = f"sine=d=0.1:r=44100,aformat=channel_layouts={given}"
        argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", tone, "-filter_complex", f"[0:0]{filters}[a]"]
        done = run_program([*argv, "-map", "[a]", "-f", "null", "-"])
        assert (done.returncode, done.stderr_tail) == (0, "")


def test_the_widest_format() -> None:
    before, after = AudioFormat(sample_rate=48000, channels=2, layout="stereo"), AudioFormat(sample_rate=44100, channels=6, layout="5.1")
    audio = AudioStream.model_validate(
        {
            **{"index": 1, "codec": "ac3", "start": 0, "duration": 9, "packets": 9, **before.model_dump()},
            "changes": [{"at": Fraction(4), "before": before, "after": after}],
        }
    )
    assert audio.widest == AudioFormat(sample_rate=48000, channels=6, layout="5.1")
