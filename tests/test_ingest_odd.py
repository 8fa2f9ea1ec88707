"""Sources that change in mid-stream, surround sound, and sources from elsewhere: the whole ingest, and what the title then is."""

from __future__ import annotations

import hashlib
import http.server
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import imageio_ffmpeg
import pytest

from tests.ingest_support import joined, onsets, run, settings, version
from tests.playback import barcodes
from tests.servers import BUCKET, moto
from tests.source_support import X264, make, pieces
from tests.source_support import run as ffmpeg
from vidpipe.errors import SourceRefused
from vidpipe.media.ffmpeg import find
from vidpipe.pipeline.ingest import IngestRequest, prepare
from vidpipe.source.policy import load_policy
from vidpipe.source.probe import probe
from vidpipe.source.validate import validate
from vidpipe.storage import open_storage

FIXTURES = Path(__file__).parent.parent / "fixtures"

FIRST = {"size": "320x180", "rate": "25", "audio": "stereo", "pixels": "yuv420p", "codec": "aac", "hertz": "48000"}
CHANGES: dict[str, dict[str, str]] = {
    "smaller": {"size": "160x90"},
    "larger": {"size": "640x360"},
    "another shape": {"size": "240x180"},
    "ten bits": {"pixels": "yuv420p10le"},
    "another rate": {"rate": "50"},
}
STEREO, MONO, SURROUND = ("stereo", "48000"), ("mono", "48000"), ("5.1", "48000")
# codec, the formats one after the other, loudness of the tone in each, ffmpeg's options
CHANGING: dict[str, tuple[str, list[tuple[str, str]], list[float], list[str]]] = {
    "mono in between": ("aac", [STEREO, MONO, STEREO], [0.3, 0.3, 0.3], []),
    "surround in between": ("ac3", [STEREO, ("5.1(side)", "48000"), STEREO], [0.3, 0.3, 0.3], []),
    "surround, mono and other samples": ("aac", [SURROUND, ("mono", "44100"), ("stereo", "44100"), STEREO], [0.3, 0.21, 0.3, 0.3], []),
    "packets that do not say so": ("aac", [STEREO, SURROUND, STEREO], [0.3, 0.3, 0.3], ["-mpegts_flags", "latm"]),
}


@cache
def part(start: int, size: str, rate: str, audio: str, pixels: str, codec: str, hertz: str) -> bytes:
    """Make two seconds of transport stream that begin at ``start``, once a process."""
    noise = f"anoisesrc=a=0.3:d=2:r={hertz},aformat=channel_layouts={audio}"
    inputs = ["-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d=2", "-f", "lavfi", "-i", noise]
    options = [*X264, "-pix_fmt", pixels, "-c:a", codec, "-aac_coder", "fast", "-output_ts_offset", str(start), "-muxdelay", "0"]
    with tempfile.TemporaryDirectory() as folder:
        ffmpeg([*inputs, *options], Path(folder) / "part.ts")
        return (Path(folder) / "part.ts").read_bytes()


def changing(folder: Path, change: dict[str, str]) -> Path:
    """Make four seconds of transport stream that change after two."""
    before, after = {**FIRST, "codec": change.get("codec", "aac")}, {**FIRST, **change}
    source = folder / "changes.ts"
    source.write_bytes(part(10, **before) + part(12, **after))
    return source


@pytest.mark.parametrize("kind", CHANGING)
def test_audio_that_changes_in_mid_stream(kind: str, tmp_path: Path) -> None:
    """A tone at the first three seconds of each piece of 2.56 s is heard when and as loud as it was, from start to end."""
    codec, formats, levels, options = CHANGING[kind]
    configured = settings(tmp_path, 90)
    source = pieces(tmp_path, codec, formats, *options)
    noted = [note for note in prepare(IngestRequest(source=str(source)), configured).notes if "changes mid-stream" in note]
    assert len(noted) == (0 if options else 1)
    result = run(source, configured)
    found = [finding for finding in result.findings if finding.id == "changing-audio"]
    assert [finding.severity for finding in found] == ["warning"] * (len(formats) - 1)
    assert [float(finding.at.start or 0) for finding in found] == pytest.approx([2.56 * n for n in range(1, len(formats))], abs=0.06)
    raw = barcodes.read_samples(joined(result, configured, "audio-und.m3u8", tmp_path))
    samples = memoryview(raw).cast("h")
    planned = 48 * round(2560 * len(formats))
    assert planned <= len(samples) < planned + 1024  # the last AAC frame is whole
    assert max(map(abs, samples[planned:]), default=0) < 100
    tones = [2.56 * number + second for number in range(len(formats)) for second in range(3)]
    # Each piece overlaps the one before it by up to two frames, the delay of its encoder and the end of the last one: a tone at the very
    # beginning of a piece may lose so much. All others are where they were.
    apart = [abs(onset - time) for onset, time in zip(onsets(raw), [time for time in tones if time], strict=True)]
    begins = [round(time / 2.56 % 1, 6) == 0 for time in tones if time]
    assert max(apart) < 0.018
    assert max(off for off, first in zip(apart, begins, strict=True) if not first) <= 0.001
    for number, level in enumerate(levels):
        begin = round(48000 * (2.56 * number + 1.05))
        assert max(map(abs, samples[begin : begin + 4800])) / 32768 == pytest.approx(level, rel=0.1)


@pytest.mark.parametrize("on", [(2,), (4, 5)], ids=["centre", "surround"])
def test_audio_that_is_surround_later_and_does_not_say_so_is_mixed_whole(on: tuple[int, ...], tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    result = run(pieces(tmp_path, "aac", [STEREO, SURROUND], "-mpegts_flags", "latm", on=on), configured)
    assert not [finding for finding in result.findings if finding.id == "dead-channel"]
    samples = memoryview(barcodes.read_samples(joined(result, configured, "audio-und.m3u8", tmp_path))).cast("h")
    begin = round(48000 * (2.56 + 1.05))
    assert max(map(abs, samples[begin : begin + 4800])) / 32768 == pytest.approx(0.3 * 0.707, rel=0.1)


def test_a_surround_rendition_of_audio_that_is_stereo_later(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    with Path(str(configured.ladder)).open("a") as ladder:
        ladder.write("  - {codec: aac, bitrate: 384k, channels: 6}\n")
    result = run(pieces(tmp_path, "ac3", [("5.1(side)", "48000"), STEREO]), configured)
    heard = channels(joined(result, configured, "audio-und-6ch.m3u8", tmp_path))
    assert heard[0] == pytest.approx(heard[1], rel=0.05)
    assert heard[0] > 0.1 > 100 * max(heard[2:])


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.nightly] if kind == "smaller" else []) for kind in CHANGES])
def test_a_picture_that_changes_in_mid_stream(kind: str, tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    source = changing(tmp_path, CHANGES[kind])
    assert not validate(probe(str(source)), load_policy(), find()).refused
    result = run(source, configured)
    assert result.record.duration == pytest.approx(4, abs=0.1)
    (video,) = [rendition for rendition in result.record.renditions if rendition.type == "video"]
    shown = joined(result, configured, f"video-{video.id}.m3u8", tmp_path)
    times = barcodes.read_times(shown, "v:0")
    assert len(times) / float(video.frame_rate or 0) == pytest.approx(result.record.duration, abs=1e-3)
    # The picture before the change is there, and not the one before it a second time.
    moved = [sum(abs(a - b) for a, b in zip(*two, strict=True)) for two in pairwise(barcodes.read_small(shown))]
    assert kind == "another rate" or min(moved) > median(moved) / 4
    samples = memoryview(barcodes.read_samples(joined(result, configured, "audio-und.m3u8", tmp_path))).cast("h")
    assert len(samples) / 48000 == pytest.approx(result.record.duration, abs=0.05)
    for second in (1, 3):  # both parts are heard
        assert max(map(abs, samples[second * 48000 : second * 48000 + 4800])) > 1000


def channels(file: Path) -> list[float]:
    """Return the amplitude of the tone on each channel of the decoded audio, by its mean power."""
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(file), "-map", "0:a:0"]
    printed = subprocess.run([*argv, "-f", "framecrc", "-"], stdout=subprocess.PIPE, check=True, text=True).stdout
    layout = next(line.split(":")[1].strip() for line in printed.splitlines() if line.startswith("#channel_layout_name"))
    raw = memoryview(subprocess.run([*argv, "-f", "s16le", "-"], stdout=subprocess.PIPE, check=True).stdout).cast("h")
    count = {"stereo": 2, "5.1": 6}[layout]
    return [(2 * sum((value / 32768) ** 2 for value in raw[n::count]) / (len(raw) // count)) ** 0.5 for n in range(count)]


def test_a_surround_rendition_where_the_ladder_asks(tmp_path: Path) -> None:
    """Each channel of the source has a loudness of its own, so that swapped or missing channels show."""
    source = tmp_path / "surround.mp4"
    levels = [0.5, 0.4, 0.3, 0.2, 0.15, 0.1]
    tones = "|".join(f"{level}*sin({60 if n == 3 else 500}*2*PI*t)" for n, level in enumerate(levels))  # the fourth is the LFE
    inputs = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=2", "-f", "lavfi", "-i", f"aevalsrc='{tones}':s=48000:c=5.1:d=2"]
    ffmpeg([*inputs, *X264, "-c:a", "pcm_s16le", "-f", "mov"], source)
    configured = settings(tmp_path, 90)
    with Path(str(configured.ladder)).open("a") as ladder:
        ladder.write("  - {codec: aac, bitrate: 384k, channels: 6}\n")
    result = run(source, configured)
    assert [(track.id, track.channels) for track in result.record.audio] == [("und", 2), ("und-6ch", 6)]
    master = (version(result) / "master.m3u8").read_text()
    media = {barcodes.attribute("URI", line): line for line in master.splitlines() if line.startswith("#EXT-X-MEDIA")}
    assert barcodes.attribute("CHANNELS", media["audio-und.m3u8"]) == "2"
    assert barcodes.attribute("CHANNELS", media["audio-und-6ch.m3u8"]) == "6"
    assert len(channels(joined(result, configured, "audio-und.m3u8", tmp_path))) == 2
    heard = channels(joined(result, configured, "audio-und-6ch.m3u8", tmp_path))
    assert heard == pytest.approx(levels, abs=0.03)


def test_surround_is_not_made_up(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    with Path(str(configured.ladder)).open("a") as ladder:
        ladder.write("  - {codec: aac, bitrate: 384k, channels: 6}\n")
    result = run(FIXTURES / "one-second.mp4", configured)
    assert [track.channels for track in result.record.audio] == [2]


# Sources from elsewhere


@contextmanager
def web(folder: Path, certificate: Path | None = None) -> Iterator[str]:
    """Serve a folder on the loopback, with TLS if there is a certificate; yields the address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that turns away from a certificate is what is tested

    with Server(("127.0.0.1", 0), Handler) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def certified(folder: Path, name: str = "IP:127.0.0.1", days: int = 2) -> Path:
    """Make a certificate that signs itself, with its key."""
    file = folder / "server.pem"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=test"]
    request += ["-days", str(days), "-addext", f"subjectAltName={name}", "-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run(request, check=True, capture_output=True)
    file.write_text((folder / "key").read_text() + (folder / "cert").read_text())
    return file


def titled(source: str, folder: Path) -> None:
    configured = settings(folder, 90)
    result = run(source, configured, content_id="film")
    assert result.record.source.sha256 == hashlib.sha256((FIXTURES / "one-second.mp4").read_bytes()).hexdigest()
    assert result.record.source.name == "one-second.mp4"
    assert barcodes.read_barcodes(joined(result, configured, "video-90p.m3u8", folder)) == list(range(30))
    assert list((configured.work / "tmp").iterdir()) == []
    assert run(source, configured, content_id="film").unchanged


def test_a_source_from_the_web_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    certificate = certified(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with web(FIXTURES, certificate) as address:
        titled(f"{address}/one-second.mp4?signature=secret", tmp_path)
    held = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    assert b"signature=secret" not in held


@pytest.mark.parametrize(("name", "says"), [("IP:127.0.0.1", "self[- ]signed certificate"), ("DNS:elsewhere.example", "127.0.0.1|match")])
def test_a_wrong_certificate_is_a_sentence(name: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    certificate = certified(tmp_path, name)
    if name.startswith("DNS"):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with web(FIXTURES, certificate) as address, pytest.raises(SourceRefused, match=says) as caught:
        run(f"{address}/one-second.mp4", settings(tmp_path, 90))
    assert "certificate" in caught.value.what
    assert caught.value.fix


def test_a_source_from_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with moto() as server:
        server.use(monkeypatch, tmp_path)
        data = (FIXTURES / "one-second.mp4").read_bytes()
        storage = open_storage(f"s3://{BUCKET}/films")
        storage.put("one-second.mp4", data, content_type="video/mp4", cache_control="", sha256=hashlib.sha256(data).hexdigest())
        storage.close()
        titled(f"s3://{BUCKET}/films/one-second.mp4", tmp_path)


def test_a_source_is_never_written_to(tmp_path: Path) -> None:
    source = make("plain-mp4", tmp_path)
    source.chmod(0o444)
    facts = source.stat()
    run(source, settings(tmp_path, 90))
    after = source.stat()
    assert (after.st_mtime_ns, after.st_ctime_ns, after.st_size, after.st_mode) == (
        facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size, facts.st_mode,
    )  # fmt: skip


def test_audio_before_the_picture_is_cut_with_a_word(tmp_path: Path) -> None:
    """Less than a second of it was cut in silence."""
    source = tmp_path / "early.mkv"
    delayed = ["-itsoffset", "0.4", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=2"]
    ffmpeg([*delayed, "-f", "lavfi", "-i", "sine=1000:d=2.4", *X264, "-c:a", "aac"], source)
    configured = settings(tmp_path)
    note = "starts 0.400 s before the video: that much of it is cut"
    assert sum(note in each for each in prepare(IngestRequest(source=str(source)), configured).notes) == 1
    result = run(source, configured)
    assert [finding.id for finding in result.findings if note in finding.message] == ["early-audio"]
    assert result.record.audio[0].cut == pytest.approx(0.4, abs=0.001)


@pytest.mark.parametrize(
    ("delay", "reason"), [("-5", "it ends before the video starts"), ("5", "it starts after the video ends")]
)
def test_audio_outside_the_picture_is_left_out_with_a_word(delay: str, reason: str, tmp_path: Path) -> None:
    """Players show the picture of such a file, in silence."""
    source = tmp_path / "apart.ts"
    pictures = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=2"]
    ffmpeg([*pictures, "-itsoffset", delay, "-f", "lavfi", "-i", "sine=1000:d=2", *X264, "-c:a", "aac", "-copyts"], source)
    configured = settings(tmp_path)
    result = run(source, configured)
    assert result.record.audio == ()
    assert [(track.stream, track.kind, track.reason) for track in result.record.left_out] == [(1, "audio", reason)]
    assert [finding.at.stream for finding in result.findings if finding.id == "audio-outside-picture"] == [1]
    assert any("this title will be silent" in warning for warning in prepare(IngestRequest(source=str(source)), configured).warnings)


def test_audio_whose_times_do_not_fit_its_length_is_refused(tmp_path: Path) -> None:
    """An AVI that says ten times fewer samples a second: nine tenths of its audio would come after the picture, the rest chopped."""
    source = tmp_path / "rate.avi"
    ffmpeg(["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=2", "-f", "lavfi", "-i", "sine=1000:d=2", "-c:a", "pcm_s16le"], source)
    data = bytearray(source.read_bytes())
    header = data.index(b"auds") - 8  # the stream header: its name, its size, then this
    data[header + 28 : header + 32] = (10).to_bytes(4, "little")  # dwScale
    source.write_bytes(data)
    with pytest.raises(SourceRefused) as caught:
        run(source, settings(tmp_path))
    assert any(line.startswith("discarded-audio: only 10% of audio stream 1") for line in caught.value.details)
