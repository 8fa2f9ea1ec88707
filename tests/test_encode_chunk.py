"""A chunk is what was planned or an error that says everything; ffmpeg's exit code alone proves nothing."""

from __future__ import annotations

import pickle
import re
import shlex
import subprocess
import threading
from fractions import Fraction
from pathlib import Path

import pytest

from tests.encode_support import FAST, FIXTURES, clip, ffmpeg, rung, tiny_plan
from vidpipe.cli.exits import failure
from vidpipe.encode import stalls
from vidpipe.encode.artifact_keys import Keys, posters_in
from vidpipe.encode.check import check_pictures, check_video
from vidpipe.encode.command import PICTURES, chunk_command, poster_file
from vidpipe.encode.output import video_file
from vidpipe.encode.tasks.chunk import ChunkJob
from vidpipe.encode.tasks.remarks import note_damage
from vidpipe.encode.tasks.run import run_task
from vidpipe.encode.tasks.task import Task, Watch
from vidpipe.errors import EncodeFailed, Interrupted, SourceRefused
from vidpipe.media import process
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.media.process import Completed
from vidpipe.plan import Plan


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("chunk") / "it's a source.mp4", "25", 150)


def task_of(plan: Plan, index: int, folder: Path, program: FFmpeg, **changes: object) -> Task:
    chunk = plan.chunks[index]
    command = chunk_command(plan, chunk, threads=1, renditions=plan.video, pictures=True, posters=posters_in(plan, chunk), quality=None)
    keys = Keys(plan, threads=1, version=program.version, quality=None).chunk(chunk)
    task = Task(job=ChunkJob.of(command, plan, keys), ffmpeg=program.path, store=folder / "work")
    return task.model_copy(update=changes)


def test_everything_missing_comes_from_one_decode(source: Path, tmp_path: Path, program: FFmpeg) -> None:
    plan = tiny_plan(source, rung("a", 96), rung("b", 72))
    task = task_of(plan, 1, tmp_path, program)
    seen: list[int] = []
    made = run_task(pickle.loads(pickle.dumps(task)), Watch(threading.Event(), seen.append))
    frames = plan.chunks[1].frames
    posters = {poster_file(frame) for frame in posters_in(plan, plan.chunks[1])}
    assert posters
    assert set(made.files) == {video_file(plan.video[0]), video_file(plan.video[1]), PICTURES, *posters}
    assert [made.files[f"{name}.mp4"].samples for name in "ab"] == [frames, frames]
    assert seen == sorted(seen)
    assert seen[-1] == frames
    assert not list((tmp_path / "work" / "tmp").iterdir())


def test_frames_are_reported_although_a_poster_begins_late(
    source: Path, tmp_path: Path, program: FFmpeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ffmpeg's -progress waits until every output has begun: minutes of silence, after which the encode was taken for one that hangs."""
    monkeypatch.setattr(process, "GATHERED", 0)  # the encode is over within a tenth of a second
    plan = tiny_plan(source)
    task = task_of(plan, 1, tmp_path, program)
    chunk = plan.chunks[1]
    last = chunk.start + chunk.frames - 1
    outputs = {video_file(plan.video[0]): "1" * 64, poster_file(last): "2" * 64}
    seen: list[int] = []
    job = task.job.model_copy(update={"posters": (last,), "pictures": 0, "outputs": outputs})
    run_task(task.model_copy(update={"job": job}), Watch(threading.Event(), seen.append))
    assert len(set(seen)) > chunk.frames / 2


def test_a_source_that_is_shorter_than_it_claims(tmp_path: Path, program: FFmpeg) -> None:
    """ffmpeg makes half a chunk of half a file and exits with 0."""
    whole = clip(tmp_path / "whole.mp4", "25", 150, options=[*FAST, "-movflags", "+faststart"])
    plan = tiny_plan(whole)
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2])
    with pytest.raises(SourceRefused, match=r"decodes to \d+ frames, not \d+, fewer than its packets promise|cannot be decoded"):
        run_task(task_of(plan, len(plan.chunks) - 1, tmp_path, program))
    assert list((tmp_path / "work").rglob("*.mp4")) == []


def test_the_error_names_the_time_in_the_source(source: Path, tmp_path: Path, program: FFmpeg) -> None:
    """A source whose first picture comes at 10 s, by a clock that began at an hour: a person finds the place in a player."""
    task = task_of(tiny_plan(source, rung("a", 96, preset="impossible")), 0, tmp_path, program)
    video = task.job.video.model_copy(update={"start": Fraction(3610), "lead_in": Fraction(10)})
    job = task.job.model_copy(update={"video": video})
    with pytest.raises(EncodeFailed, match=r"^chunk 1, 0:00:10\.000 to 0:00:1\d\.\d{3} of the source it's a source\.mp4: "):
        run_task(task.model_copy(update={"job": job}))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_reported_when_damage_is_noted() -> None:
    complaint = Completed(argv=("ffmpeg",), returncode=0, stdout=b"", stderr_tail="[h264 @ 0x1] [error] concealing errors")
    with pytest.raises(EncodeFailed, match="the disk is full"):
        note_damage(complaint, Path("/dev/full"))


def test_the_error_says_everything(source: Path, tmp_path: Path, program: FFmpeg) -> None:
    plan = tiny_plan(source, rung("a", 96, preset="impossible"))
    with pytest.raises(EncodeFailed) as caught:
        run_task(task_of(plan, 2, tmp_path, program))
    error = caught.value
    assert re.fullmatch(
        r"chunk 3, 0:00:0\d\.\d{3} to 0:00:06\.000 of the source it's a source\.mp4: ffmpeg ended with exit code \d+, 2 times", str(error)
    )
    assert any("impossible" in line for line in error.details if line.startswith("ffmpeg: "))
    assert "finished chunks are kept" in (error.fix or "")
    assert len("\n".join(error.lines())) < 1000, "no command, and a few of ffmpeg's words"
    assert failure(error, debug=False).lines == tuple(error.lines())
    assert any("debug: command: " in line for line in failure(error, debug=True).lines)
    (command,) = [line.removeprefix("command: ") for line in error.debug if line.startswith("command: ")]
    pasted = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert pasted.returncode != 0, "the same command fails in the same way"
    assert "impossible" in pasted.stderr
    assert shlex.split(command)[0] == program.path


def test_a_failure_that_passes_is_tried_again(source: Path, tmp_path: Path, program: FFmpeg) -> None:
    flaky = tmp_path / "flaky"
    flaky.write_text(f'#!/bin/sh\nif mkdir "{tmp_path}/once" 2>/dev/null; then exit 1; fi\nexec "{program.path}" "$@"\n')
    flaky.chmod(0o755)
    plan = tiny_plan(source)
    assert run_task(task_of(plan, 0, tmp_path, program, ffmpeg=str(flaky))).files


@pytest.mark.parametrize(
    ("script", "says"),
    [
        pytest.param("exit 0", "90p.mp4 was not made", id="says yes and makes nothing"),
        pytest.param("kill -SEGV $$", "ffmpeg was killed by signal 11", id="crashes"),
        pytest.param("printf rubbish > 90p.mp4", "90p.mp4 is not what was planned: a box header is cut off|wrong size", id="rubbish"),
    ],
)
def test_a_broken_ffmpeg(script: str, says: str, source: Path, tmp_path: Path, program: FFmpeg) -> None:
    broken = tmp_path / "broken"
    broken.write_text(f"#!/bin/sh\n{script}\n")
    broken.chmod(0o755)
    with pytest.raises(EncodeFailed, match=says):
        run_task(task_of(tiny_plan(source), 0, tmp_path, program, ffmpeg=str(broken)))


def test_a_full_disk_is_not_tried_again(source: Path, tmp_path: Path, program: FFmpeg) -> None:
    full = tmp_path / "full"
    full.write_text(f"#!/bin/sh\necho x >> '{tmp_path}/tries'\necho 'av_write_frame(): No space left on device' >&2; exit 228\n")
    full.chmod(0o755)
    with pytest.raises(EncodeFailed, match="the disk is full"):
        run_task(task_of(tiny_plan(source), 0, tmp_path, program, ffmpeg=str(full)))
    assert (tmp_path / "tries").read_text() == "x\n"


def test_a_hanging_ffmpeg_ends(source: Path, tmp_path: Path, program: FFmpeg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalls, "STALLED_SECONDS", 0.2)
    hangs = tmp_path / "hangs"
    hangs.write_text("#!/bin/sh\nwhile :; do echo frame=1; sleep 0.05; done\n")
    hangs.chmod(0o755)
    with pytest.raises(EncodeFailed, match="no progress for"):
        run_task(task_of(tiny_plan(source), 0, tmp_path, program, ffmpeg=str(hangs)))


def test_the_end_of_the_run_stops_a_task_elsewhere(source: Path, tmp_path: Path, program: FFmpeg) -> None:
    with pytest.raises(Interrupted):
        run_task(task_of(tiny_plan(source), 0, tmp_path, program, alive=tmp_path / "gone"))


@pytest.mark.parametrize(
    ("options", "filters", "says"),
    [
        pytest.param(["-g", "12"], "trim=end_frame=47", "47 frames, not 48", id="a frame lacks"),
        pytest.param(["-g", "12"], "trim=end_frame=49", "49 frames, not 48", id="a frame too many"),
        pytest.param(["-g", "12"], "trim=end_frame=48,scale=80:48", "80x48, not 150x90", id="another size"),
        pytest.param(["-g", "250"], "trim=end_frame=48,scale=150:90", r"segments have \[48\] frames", id="key frames lack"),
        pytest.param(["-g", "12"], "trim=end_frame=48,scale=150:90,setpts='N+gt(N,20)'", "do not last|decoded at", id="uneven times"),
    ],
)
def test_output_is_compared_with_the_plan(
    options: list[str], filters: str, says: str, source: Path, tmp_path: Path, program: FFmpeg
) -> None:
    plan = tiny_plan(source, rung("x"))
    job = task_of(plan, 0, tmp_path, program).job
    flags = "+frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets"
    out = tmp_path / "out.mp4"
    if "scale" not in filters:
        filters += ",scale=150:90"
    encoder = [*FAST, *options, "-sc_threshold", "0", "-fps_mode", "passthrough", "-video_track_timescale", "25000"]
    fragments = ["-movflags", flags, "-min_frag_duration", "720000"]
    ffmpeg("-i", source, "-vf", f"settb=1/25,setpts=N,{filters}", "-enc_time_base", "1/25", *encoder, *fragments, out)
    with pytest.raises(ValueError, match=says):
        check_video(out, plan.video[0], job)


def test_pictures_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "p.mjpeg"
    ffmpeg("-i", FIXTURES / "one-second.mp4", "-frames:v", "3", "-f", "mjpeg", path)
    assert check_pictures(path, 3) == 3
    with pytest.raises(ValueError, match="3 pictures, not 4"):
        check_pictures(path, 4)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match="2 pictures, not 3"):
        check_pictures(path, 3)


def test_times_in_errors_are_the_chunks(source: Path) -> None:
    plan = tiny_plan(source)
    assert [plan.grid.time(chunk.start) for chunk in plan.chunks] == [Fraction(0), Fraction(48, 25), Fraction(96, 25)]


def test_a_source_that_crashes_the_decoder_is_refused(source: Path, tmp_path: Path, program: FFmpeg) -> None:
    """A program that works, but for this source: a stand-in for a decoder with a bug."""
    picky = tmp_path / "picky"
    picky.write_text(f'#!/bin/sh\ncase "$*" in *source.mp4*) kill -SEGV $$;; esac\nexec "{program.path}" "$@"\n')
    picky.chmod(0o755)
    with pytest.raises(SourceRefused, match="cannot be decoded: ffmpeg was killed by signal 11") as caught:
        run_task(task_of(tiny_plan(source), 0, tmp_path, program, ffmpeg=str(picky)))
    assert caught.value.exit_code == 3
    assert any(line.startswith("command: ") for line in caught.value.debug)
