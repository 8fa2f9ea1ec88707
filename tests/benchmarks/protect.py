"""How fast segments are protected on one core: times real time of a 5 Mb/s rung for cbcs and cenc, and aes-128 beside openssl.

    .venv/bin/python -m tests.benchmarks.protect [--seconds 60] [--rate 24] [--codecs h264 av1] [--profile cbcs]

What is measured of cbcs and cenc is everything between a cut and a segment that can be uploaded: finding the protected bytes, encrypting
them, writing the fragment, hashing it. Beside each stands the same without any encryption.
"""

from __future__ import annotations

import argparse
import cProfile
import hashlib
import os
import pstats
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

from tests.package_support import grid, rung
from vidpipe.media import ffmpeg
from vidpipe.package.containers.cmaf import Cmaf
from vidpipe.package.cut import Cut
from vidpipe.package.cutting import video_cuts
from vidpipe.package.init import read_init
from vidpipe.package.result import Segment
from vidpipe.plan import Chunk
from vidpipe.protect.key_source import KeySet, KeyUse
from vidpipe.protect.key_store import ContentKey
from vidpipe.protect.protection import Protection
from vidpipe.protect.schemes import SCHEMES, scheme_of
from vidpipe.work.artifacts import Artifact

KEY = ContentKey(key_id="0" * 32, content_id="t", key=bytes(range(16)))
ENCODERS = {
    "h264": ["libx264", "-preset", "veryfast", "-flags", "+cgop", "-sc_threshold", "0"],
    "hevc": ["libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", "open-gop=0:info=0:log-level=error:scenecut=0"],
    "av1": ["libsvtav1", "-preset", "12"],
}
REPEATS = 5


def cuts_of(folder: Path, codec: str, seconds: int, rate: int) -> tuple[Cmaf, list[Cut]]:
    """Encode noisy pictures at 5 Mb/s, and cut them: GOPs of 2 s, segments of 4 s. rate: frames a second."""
    gop, segment = 2 * rate, 4 * rate
    frames = seconds * rate // segment * segment
    file = folder / f"{codec}.mp4"
    source = f"testsrc2=s=1280x720:r={rate},noise=alls=12:allf=t"
    argv = [ffmpeg.find().path, "-y", "-v", "error", "-f", "lavfi", "-i", source, "-frames:v", frames, "-pix_fmt", "yuv420p"]
    capped = [] if codec == "av1" else ["-maxrate", "5M", "-bufsize", "10M"]  # SVT-AV1 caps constant quality only
    argv += ["-c:v", *ENCODERS[codec], "-b:v", "5M", *capped, "-g", gop, "-keyint_min", gop]
    argv += ["-movflags", "+frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets", file]
    subprocess.run(list(map(str, argv)), check=True, stderr=subprocess.DEVNULL)
    on = grid(str(rate), frames, gop, segment, frames)
    init = read_init(file, "v")
    artifact = Artifact(key=codec, path=file, size=file.stat().st_size, sha256="", samples=frames)
    return Cmaf(init), list(video_cuts(artifact, rung("v", codec), Chunk(index=0, start=0, frames=frames), on, init))


def fastest(work: Callable[[], object]) -> float:
    """Return the seconds of the fastest of a few runs: what the machine can do when nothing else runs on it."""
    best = float("inf")
    for _ in range(REPEATS):
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return best


def one_by_one(work: Callable[[Segment], object], segments: Sequence[Segment]) -> None:
    """Do the work for each segment. What comes out of one is gone before the next, as in an ingest: memory is used again."""
    for segment in segments:
        work(segment)


def sealing(container: Cmaf, cuts: Sequence[Cut], scheme: str) -> Callable[[], object]:
    protection = Protection(scheme_of(scheme), KeySet((KeyUse(),), (KEY,)))
    return lambda: [protection.seal(cut, container) for cut in cuts]


def openssl(file: Path) -> float:
    """Return the CPU seconds that ``openssl enc`` takes for a file, reading and writing included."""
    argv = ["openssl", "enc", "-aes-128-cbc", "-K", KEY.key.hex(), "-iv", "0" * 32, "-in", str(file), "-out", os.devnull]
    best = float("inf")
    for _ in range(REPEATS):
        before = os.times()
        subprocess.run(argv, check=True)
        after = os.times()
        best = min(best, after.children_user + after.children_system - before.children_user - before.children_system)
    return best


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=int, default=60)
    arguments.add_argument("--rate", type=int, default=24)
    arguments.add_argument("--codecs", nargs="*", choices=ENCODERS, default=list(ENCODERS))
    arguments.add_argument("--profile", choices=SCHEMES)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for codec in given.codecs:
            container, cuts = cuts_of(folder, codec, given.seconds, given.rate)
            seconds = float(sum(cut.duration for cut in cuts))
            bits = sum(len(cut.data) for cut in cuts) * 8
            frames = sum(cut.count for cut in cuts)
            print(f"{codec}: {seconds:.0f} s at {bits / seconds / 1e6:.1f} Mb/s, {frames / seconds:.0f} frames a second")
            for scheme in ("none", "cbcs", "cenc", "aes-128"):
                took = fastest(sealing(container, cuts, scheme))
                print(f"  {scheme:8} {seconds / took:6.0f} times real time, {bits / 8e6 / took:5.0f} MB/s")
            if given.profile:
                profiler = cProfile.Profile()
                profiler.runcall(sealing(container, cuts, given.profile))
                pstats.Stats(profiler).sort_stats("tottime").print_stats(12)
        size, each = 128 << 20, 4 << 20
        data = os.urandom(size)
        file = folder / "whole"
        file.write_bytes(data)
        segments = [Segment("v", at // each, Fraction(at), Fraction(1), 1, data[at : at + each]) for at in range(0, size, each)]
        scheme = scheme_of("aes-128")
        ours = fastest(lambda: one_by_one(lambda segment: scheme.seal(segment, KEY), segments))
        hashes = fastest(lambda: one_by_one(lambda segment: hashlib.sha256(segment.data).digest(), segments))
        theirs = openssl(file)
        alone = ours - 2 * hashes  # of the clear bytes, which decides the IV, and of the stored ones
        print(f"aes-128 of whole segments: {size / alone / 1e6:.0f} MB/s, {size / ours / 1e6:.0f} MB/s with two SHA-256", end="; ")
        print(f"openssl enc: {size / theirs / 1e6:.0f} MB/s; {theirs / alone:.2f} of it, {theirs / ours:.2f} with the hashes")


if __name__ == "__main__":
    main()
