"""Run bare ffmpeg: which streams does a file have, which pictures does it show and when, what is heard and when.

In:   a media file.
Out:  Listing (as ``ffmpeg -i`` prints it); Decoded: small RGB pictures with times, mono audio with times, all in seconds of one clock.
Wrong: Unreadable if ffmpeg shows no picture at all.

ffmpeg keeps its own clock here (no -copyts): the file begins at 0, jumps of a transport stream's clock are bridged as every player
does, edit lists and rotation are obeyed. Pictures and audio come from one run, so they stay in relation to each other.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import imageio_ffmpeg
import numpy as np

GRID = (64, 36)
"""Pictures are compared at this size, whatever their shape: an average over blocks forgives compression, not position or colour."""

AUDIO_RATE = 8000
TIMEOUT = 600
HD_LINES = 720
"""Short side from which players take untagged video for BT.709."""

MATRICES = {"bt709", "fcc", "bt470bg", "smpte170m", "smpte240m", "bt2020nc", "bt2020c", "ycgco", "gbr"}
PRIMARIES = {"bt470m", "bt470bg", "smpte170m", "smpte240m", "film", "bt2020", "smpte431", "smpte432"}
HDR = {"smpte2084", "arib-std-b67"}


class Unreadable(Exception):
    """ffmpeg shows nothing of a file."""


@dataclass(frozen=True)
class Stream:
    """A line of ffmpeg's listing. kind: "video", "audio", "subtitle" or what else it says.  text: the line behind the kind."""

    index: int
    kind: str
    text: str
    flags: frozenset[str]
    language: str | None = None

    @property
    def size(self) -> tuple[int, int]:
        found = re.search(r", (\d+)x(\d+)", self.text)
        return (int(found[1]), int(found[2])) if found else (0, 0)

    @property
    def channels(self) -> int:
        found = re.search(r"Hz, (mono|stereo|\d+ channels|\d\.\d)", self.text)
        if not found:
            return 0
        word = found[1]
        return {"mono": 1, "stereo": 2}.get(word) or (int(word.split()[0]) if "channels" in word else sum(map(int, word.split("."))))


@dataclass(frozen=True)
class Colour:
    """What a decoded picture says of its colours; "" where it says nothing that has a meaning."""

    matrix: str
    primaries: str
    transfer: str

    @property
    def hdr(self) -> bool:
        return self.transfer in HDR


@dataclass(frozen=True)
class Listing:
    """The streams of a file. container: the names of its demuxer."""

    container: str
    streams: tuple[Stream, ...]

    def of(self, kind: str) -> list[Stream]:
        return [stream for stream in self.streams if stream.kind == kind]

    def shown(self) -> Stream | None:
        """The video stream that ffmpeg shows unless asked otherwise: no cover; marked default; the largest."""
        videos = [s for s in self.of("video") if not s.flags & {"attached pic", "still image", "timed thumbnails"} and s.size[0]]
        return max(videos, key=lambda s: ("default" in s.flags, s.size[0] * s.size[1], -s.index), default=None)


@dataclass(frozen=True)
class Pictures:
    """Decoded pictures. rgb: count x 36 x 64 x 3.  times, lengths: seconds.  width, height: as displayed, pixels made square."""

    rgb: np.ndarray
    times: np.ndarray
    lengths: np.ndarray
    width: float
    height: float

    @property
    def end(self) -> float:
        """When the last picture has been shown."""
        steps = np.diff(self.times[-10:])
        usual = float(np.median(steps)) if len(steps) else 0.04
        last = float(self.lengths[-1])
        return float(self.times[-1]) + (last if 0 < last < 10 * usual else usual)


@dataclass(frozen=True)
class Audio:
    """A track on the file's clock. start: seconds of the first sample.  samples: mono, -1 to 1, silence where nothing is.

    jitter: the most by which the packets' times differ from counting samples, seconds.  late: by how much counting falls behind in all.
    """

    start: float
    samples: np.ndarray
    jitter: float = 0.0
    late: float = 0.0

    @property
    def end(self) -> float:
        return self.start + len(self.samples) / AUDIO_RATE


@dataclass(frozen=True)
class Decoded:
    """What a file shows and plays. complaints: what ffmpeg had to say."""

    pictures: Pictures
    colour: Colour
    audio: dict[int, Audio] = field(default_factory=dict)
    complaints: str = ""


def ffmpeg(*argv: str | Path, timeout: float = TIMEOUT) -> subprocess.CompletedProcess[bytes]:
    """Run ffmpeg and return how it ended; nothing is checked."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-y", *map(str, argv)]
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=timeout, check=False)


STREAM = re.compile(r"^\s*Stream #0:(\d+)(?:\[0x[0-9a-f]+\])?(?:\((\w+)\))?: (\w+): (.*)$")


def listing(file: Path) -> Listing:
    """Return the streams that ffmpeg finds."""
    printed = ffmpeg("-i", f"file:{file}").stderr.decode(errors="replace").split("\nAt least one output")[0]
    container = re.search(r"Input #0, ([\w,]+), from", printed)
    streams = []
    for line in printed.splitlines():
        found = STREAM.match(line)
        if found:
            flags = frozenset(re.findall(r"\(([a-z ]+)\)", found[4]))
            streams.append(Stream(int(found[1]), found[3].lower(), found[4], flags, found[2]))
    return Listing(container[1] if container else "", tuple(streams))


def colour(file: Path, video: Stream) -> Colour:
    """Return the colours of the first picture: decoders know what no header says."""
    show = ["-map", f"0:{video.index}", "-vf", "showinfo", "-frames:v", "1", "-f", "null", "-"]
    printed = ffmpeg("-i", f"file:{file}", *show).stderr.decode(errors="replace")
    said = dict(re.findall(r"color_(space|primaries|trc):(\S+)", printed))
    matrix, primaries = said.get("space", ""), said.get("primaries", "")
    return Colour(matrix if matrix in MATRICES else "", primaries if primaries in PRIMARIES else "", said.get("trc", ""))


def decode(file: Path, video: Stream, audio: Sequence[Stream] = (), seconds: float | None = None) -> Decoded:
    """Decode a video stream and audio streams in one run."""
    with tempfile.TemporaryDirectory(prefix="oracle-") as name:
        folder = Path(name)
        tint = colour(file, video)
        shown = [f"[0:{video.index}]split[whole][all]", f"[all]{small(video, tint)},split[rgb][time]", "[whole]trim=end_frame=1[first]"]
        # A graph for each stream: where the size of the picture changes, ffmpeg makes the whole graph anew, and a resampler in it would
        # lose the audio that it holds, more or less of it by how the threads run.
        outputs: list[str | Path] = [
            *("-filter_complex", ";".join(shown)),
            *("-map", "[rgb]", "-fps_mode", "passthrough", "-f", "rawvideo", folder / "rgb"),
            # demux: the file's own ticks, so that no time is rounded to a frame rate that was guessed
            *("-map", "[time]", "-fps_mode", "passthrough", "-enc_time_base", "demux", "-f", "framecrc", folder / "times"),
            *("-map", "[first]", "-fps_mode", "passthrough", "-f", "framecrc", folder / "first"),
        ]
        for track in audio:
            outputs += ["-filter_complex", _mono(track.index, f"0:{track.index}"), *_mono_files(track.index, folder)]
        # A stretch that cannot be decoded is no reason to end before the rest is seen.
        options = ["-v", "error", "-max_error_rate", "1", *(["-t", f"{seconds:g}"] if seconds else [])]
        done = ffmpeg(*options, "-i", f"file:{file}", *outputs)
        complaints = done.stderr.decode(errors="replace")
        pictures = _pictures(folder)
        tracks = {track.index: _audio(folder, track.index) for track in audio}
    if pictures is None:
        raise Unreadable(complaints.strip().splitlines()[-1] if complaints.strip() else "no picture")
    return Decoded(pictures, tint, {n: track for n, track in tracks.items() if track}, complaints)


def plays(file: Path, stream: Stream) -> bool:
    """Whether anything comes out of a stream."""
    done = ffmpeg("-v", "error", "-i", f"file:{file}", "-map", f"0:{stream.index}", "-t", "5", "-f", "null", "-")
    return done.returncode == 0


def decode_audio(file: Path, seconds: float | None = None) -> tuple[Audio, str]:
    """Decode a file that holds one audio track; return it and what ffmpeg complained of."""
    with tempfile.TemporaryDirectory(prefix="oracle-") as name:
        folder = Path(name)
        options = ["-v", "error", *(["-t", f"{seconds:g}"] if seconds else [])]
        done = ffmpeg(*options, "-i", f"file:{file}", "-filter_complex", _mono(0, "0:a:0"), *_mono_files(0, folder))
        track = _audio(folder, 0)
    complaints = done.stderr.decode(errors="replace")
    if track is None:
        raise Unreadable(complaints.strip() or "no audio")
    return track, complaints


def _mono(number: int, stream: str) -> str:
    steady = f"aformat=sample_fmts=s16:sample_rates={AUDIO_RATE}:channel_layouts=mono"
    return f"[{stream}]{steady},asplit[x{number}][y{number}]"


def _mono_files(number: int, folder: Path) -> list[str | Path]:
    samples: list[str | Path] = ["-map", f"[x{number}]", "-f", "s16le", folder / f"{number}.pcm"]
    return [*samples, "-map", f"[y{number}]", "-f", "framecrc", folder / f"{number}.times"]


def small(video: Stream, colour: Colour) -> str:
    """Return the filters that make a small RGB picture as a screen would show it."""
    width, height = GRID
    # Every shortcut of swscale off: each costs up to a level.
    flags = "flags=area+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"
    primaries = colour.primaries
    matrix = colour.matrix or ("bt709" if min(video.size) >= HD_LINES else "smpte170m")
    if colour.hdr:
        known = f"tin={colour.transfer}:pin={primaries or 'bt2020'}:min={matrix}:rin=limited"
        # peak: 1000 nits in units of npl, so that white is white. Without it HLG's white comes out as grey.
        light = f"zscale={known}:t=linear:npl=203,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0:peak=4.926"
        tiny = f"scale={width}:{height}:{flags}:out_range=tv,format=yuv444p10le"
        return f"{tiny},{light},zscale=t=bt709:m=gbr:r=full,format=gbrp,format=rgb24"
    # Primaries and transfer are replaced first: codes without a meaning stop the scaler.
    tags = "setparams=color_primaries=bt709:color_trc=bt709" + ("" if matrix == "gbr" else f":colorspace={matrix}")
    if re.search(r"(?:^|[ ,])(?:rgb|bgr|gbr|argb|abgr|pal8|gray|mono)", video.text):
        tags = "setparams=color_primaries=bt709:color_trc=bt709"
    if primaries and matrix != "gbr":
        # Before the picture becomes small: the mean of converted colours is not the converted mean.
        larger = f"scale={4 * width}:{4 * height}:{flags},format=yuv444p12le"
        convert = f"zscale=min={matrix}:pin={primaries}:tin=bt709:m=gbr:p=bt709:t=bt709:r=full,format=gbrp"
        return f"{tags},{larger},{convert},scale={width}:{height}:{flags},format=gbrp,format=rgb24"
    return f"{tags},scale={width}:{height}:{flags},format=gbrp,format=rgb24"


def _lines(file: Path) -> tuple[dict[str, str], list[list[float]]]:
    """Read framecrc: the header's words, and the numbers of each line."""
    header: dict[str, str] = {}
    rows: list[list[float]] = []
    for line in file.read_text().splitlines() if file.exists() else []:
        if line.startswith("#"):
            name, _, value = line[1:].partition(":")
            header.setdefault(name, value.strip())
        else:
            rows.append([float(word) for word in line.split(",")[1:5]])
    return header, rows


def _ratio(text: str) -> float:
    upper, lower = text.split("/")
    return float(upper) / float(lower) if float(lower) else 0.0


def _pictures(folder: Path) -> Pictures | None:
    header, rows = _lines(folder / "times")
    first, _ = _lines(folder / "first")
    size = GRID[0] * GRID[1] * 3
    raw = np.fromfile(folder / "rgb", np.uint8) if (folder / "rgb").exists() else np.zeros(0, np.uint8)
    count = min(len(rows), len(raw) // size)
    if not count:
        return None
    base = _ratio(header["tb 0"])
    table = np.array(rows[:count])
    times, rgb = table[:, 1] * base, raw[: count * size].reshape(count, GRID[1], GRID[0], 3)
    # A player drops what comes after its time.
    kept = np.concatenate([[True], times[1:] > np.maximum.accumulate(times)[:-1]])
    width, height = map(int, first["dimensions 0"].split("x"))
    return Pictures(rgb[kept], times[kept], table[kept, 2] * base, width * (_ratio(first.get("sar 0", "1/1")) or 1.0), height)


LARGEST_JITTER = 0.045
"""Seconds by which packets' times may wander around the count of samples; what goes beyond is a gap or an overlap."""


def _audio(folder: Path, index: int) -> Audio | None:
    header, rows = _lines(folder / f"{index}.times")
    if not rows:
        return None
    raw = np.fromfile(folder / f"{index}.pcm", "<i2").astype(np.float32) / 32768
    return place([row[1] * _ratio(header["tb 0"]) for row in rows], [int(row[3] // 2) for row in rows], raw)


def place(times: list[float], counts: list[int], raw: np.ndarray) -> Audio:
    """Put frames of audio on the clock: by counting samples, and anew at each real gap."""
    pieces: list[tuple[int, int, int]] = []  # where it goes, where it comes from, how many
    at, begin, taken, jitter, late = times[0], times[0], 0, 0.0, 0.0
    for number, (time, count) in enumerate(zip(times, counts, strict=True)):
        deviation = time - at
        ahead = times[number + 1 : number + 4]
        if abs(deviation) > LARGEST_JITTER and all(t - time > -LARGEST_JITTER for t in ahead):
            late += deviation
            at = time
        else:
            jitter = max(jitter, abs(deviation))
        pieces.append((round((at - begin) * AUDIO_RATE), taken, count))
        taken += count
        at += count / AUDIO_RATE
    first = min(piece[0] for piece in pieces)
    samples = np.zeros(max(where + count for where, _, count in pieces) - first, np.float32)
    for where, source, count in pieces:
        part = raw[source : source + count]
        samples[where - first : where - first + len(part)] = part
    return Audio(begin + first / AUDIO_RATE, samples, jitter, late + max(0.0, times[-1] + counts[-1] / AUDIO_RATE - at))
