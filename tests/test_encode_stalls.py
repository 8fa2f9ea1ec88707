"""A decoder that hangs, crashes or balloons inside the encode refuses the source, soon; a slow encoder is waited for."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.encode_support import clip, rung, tiny_plan
from vidpipe.encode import stalls
from vidpipe.encode.artifact_keys import Keys
from vidpipe.encode.audio import audio_command, audio_decode_arguments
from vidpipe.encode.command import chunk_command, decode_arguments
from vidpipe.encode.tasks.audio import AudioJob
from vidpipe.encode.tasks.chunk import ChunkJob
from vidpipe.encode.tasks.run import run_task
from vidpipe.encode.tasks.task import Task
from vidpipe.errors import EncodeFailed, SourceRefused, VidpipeError
from vidpipe.ladder import AudioRung
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.media.process import Limits
from vidpipe.plan import Plan

SILENT, STALLED = 2.0, 5.0  # enough for a decoder on a busy machine to begin
HURRIED = 1.0, 2.5  # where nothing real has to begin


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    source = clip(tmp_path_factory.mktemp("silence") / "source.mp4", "25", 150, beeps=2)
    return tiny_plan(source, rung("a", 96), audio=(AudioRung(),))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalls, "SILENT_SECONDS", SILENT)
    monkeypatch.setattr(stalls, "STALLED_SECONDS", STALLED)


@pytest.fixture
def hurried(_impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalls, "SILENT_SECONDS", HURRIED[0])
    monkeypatch.setattr(stalls, "STALLED_SECONDS", HURRIED[1])


class Fake:
    """An ffmpeg that answers for itself, does as asked when it encodes or only decodes the source, and notes what it was asked."""

    def __init__(self, folder: Path, program: FFmpeg, *, encodes: str, decodes: str) -> None:
        self.path, self._notes = folder / "fake-ffmpeg", folder / "notes"
        self.path.write_text(
            f'#!/bin/sh\nreal="{program.path}"\ncase "$*" in\n'
            f"*c:v*|*c:a*) echo encode >> '{self._notes}'; {encodes};;\n"
            f"*source.mp4*) echo decode >> '{self._notes}'; {decodes};;\n"
            'esac\nexec "$real" "$@"\n'
        )
        self.path.chmod(0o755)

    @property
    def asked(self) -> list[str]:
        return self._notes.read_text().split()


def chunk_task(plan: Plan, folder: Path, fake: Fake, index: int = 1) -> Task:
    chunk = plan.chunks[index]
    command = chunk_command(plan, chunk, threads=1, renditions=plan.video, pictures=True, posters=(), quality=None)
    keys = Keys(plan, threads=1, version="1", quality=None).chunk(chunk)
    keys = {name: key for name, key in keys.items() if not name.startswith("poster")}
    return Task(job=ChunkJob.of(command, plan, keys), ffmpeg=str(fake.path), store=folder / "work")


def audio_task(plan: Plan, folder: Path, fake: Fake) -> Task:
    keys = Keys(plan, threads=1, version="1", quality=None).audio(0, plan.audio[0])
    return Task(job=AudioJob.of(audio_command(plan, plan.audio, None), plan, keys), ffmpeg=str(fake.path), store=folder / "work")


FOREVER = "exec sleep 600"
MUTTERS = "while :; do echo frame=7; echo out_time_us=N/A; sleep 0.05; done"
MOVES_ON = "n=0; while :; do n=$((n+1)); echo frame=$n; sleep 0.05; done"
NORMAL = ":"


@pytest.mark.parametrize("says", [FOREVER, MUTTERS], ids=["without a word", "with the same words"])
def test_a_decoder_that_hangs_refuses_the_source(
    says: str, plan: Plan, tmp_path: Path, program: FFmpeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stalls, "SILENT_SECONDS", HURRIED[0])
    monkeypatch.setattr(stalls, "STALLED_SECONDS", 60.0)
    fake = Fake(tmp_path, program, encodes=says, decodes=says)
    started = time.monotonic()
    with pytest.raises(SourceRefused) as caught:
        run_task(chunk_task(plan, tmp_path, fake))
    error = caught.value
    assert (error.exit_code, str(error)) == (
        3,
        "chunk 2, 0:00:01.920 to 0:00:03.840 of the source source.mp4: the decoder has made no progress for 1 s",
    )
    assert fake.asked == ["encode", "decode"], "no second attempt"
    assert time.monotonic() - started < 60, "the long wait was not waited for"
    commands = {name: line for line in error.debug for name, _, _ in [line.partition(": ")] if name in ("command", "decoding alone")}
    assert commands.keys() == {"command", "decoding alone"}
    pasted = shlex.split(commands["decoding alone"].removeprefix("decoding alone: "))
    assert subprocess.run([program.path, *pasted[1:]], cwd=tmp_path, check=False, capture_output=True).returncode == 0, "a whole command"
    assert list((tmp_path / "work" / "tmp").iterdir()) == []


@pytest.mark.usefixtures("hurried")
def test_audio_whose_decoder_hangs(plan: Plan, tmp_path: Path, program: FFmpeg) -> None:
    fake = Fake(tmp_path, program, encodes=FOREVER, decodes=FOREVER)
    with pytest.raises(SourceRefused, match=r"^audio \(stream 1\) of source\.mp4: the decoder has made no progress"):
        run_task(audio_task(plan, tmp_path, fake))
    assert fake.asked == ["encode", "decode"]


def test_an_encoder_that_hangs_is_not_the_sources_fault(
    plan: Plan, tmp_path: Path, program: FFmpeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stalls, "STALLED_SECONDS", HURRIED[1])
    fake = Fake(tmp_path, program, encodes=FOREVER, decodes=NORMAL)
    started = time.monotonic()
    with pytest.raises(EncodeFailed, match=r"no progress for .* s, 2 times") as caught:
        run_task(chunk_task(plan, tmp_path, fake))
    assert caught.value.exit_code == 4
    assert time.monotonic() - started > 2 * HURRIED[1], "each attempt had its whole time"
    assert fake.asked == ["encode", "decode", "encode"], "the source is decoded once"


def test_a_slow_encoder_is_waited_for(plan: Plan, tmp_path: Path, program: FFmpeg) -> None:
    fake = Fake(tmp_path, program, encodes=f"sleep {SILENT + 0.7}", decodes=NORMAL)
    assert run_task(chunk_task(plan, tmp_path, fake)).files
    assert fake.asked == ["encode", "decode"]


def test_an_encode_that_goes_on_ends_the_look_at_its_source(plan: Plan, tmp_path: Path, program: FFmpeg) -> None:
    """The decoder would never end by itself, but nobody has to know any more."""
    fake = Fake(tmp_path, program, encodes=f"sleep {SILENT + 0.5}", decodes=MOVES_ON)
    assert run_task(chunk_task(plan, tmp_path, fake)).files
    assert fake.asked == ["encode", "decode"]


@pytest.mark.usefixtures("hurried")
def test_a_decoder_that_moves_on_hangs_not(plan: Plan, tmp_path: Path, program: FFmpeg) -> None:
    fake = Fake(tmp_path, program, encodes=FOREVER, decodes=MOVES_ON)
    with pytest.raises(EncodeFailed, match="no progress for"):
        run_task(chunk_task(plan, tmp_path, fake))
    assert fake.asked == ["encode", "decode", "encode"]


@pytest.mark.usefixtures("hurried")
def test_a_failed_encode_does_not_wait_for_ever_for_its_decoder(plan: Plan, tmp_path: Path, program: FFmpeg) -> None:
    fake = Fake(tmp_path, program, encodes="exit 1", decodes=MOVES_ON)
    with pytest.raises(EncodeFailed, match="ended with exit code 1, 2 times"):
        run_task(chunk_task(plan, tmp_path, fake))


BALLOON = f"""exec {sys.executable} -c "
import mmap, sys
try:
    held = [mmap.mmap(-1, 64 << 20) for _ in range(40)]
except OSError:
    sys.exit('[dec:av1 @ 0x1] [error] Error while decoding: Cannot allocate memory')
" """


def test_a_decoder_that_balloons(plan: Plan, tmp_path: Path, program: FFmpeg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidpipe.encode.tasks.chunk.chunk_limits", lambda job: Limits(memory_bytes=1 << 30))
    monkeypatch.setattr(stalls, "DECODER_MEMORY", 1 << 30)
    monkeypatch.setattr(stalls, "THREAD_MEMORY", 0)
    monkeypatch.setattr(stalls, "SILENT_SECONDS", 60.0)
    monkeypatch.setattr(stalls, "STALLED_SECONDS", 60.0)
    fake = Fake(tmp_path, program, encodes=BALLOON, decodes=BALLOON)
    with pytest.raises(SourceRefused, match="it cannot be decoded: the decoder asks for more than 1 GB of memory") as caught:
        run_task(chunk_task(plan, tmp_path, fake))
    assert caught.value.exit_code == 3
    assert any("Cannot allocate memory" in line for line in caught.value.details)


def test_an_encoder_that_balloons_is_not_the_sources_fault(
    plan: Plan, tmp_path: Path, program: FFmpeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidpipe.encode.tasks.chunk.chunk_limits", lambda job: Limits(memory_bytes=1 << 30))
    monkeypatch.setattr(stalls, "STALLED_SECONDS", 60.0)  # a busy machine takes its time to fill the memory
    fake = Fake(tmp_path, program, encodes=BALLOON, decodes=NORMAL)
    with pytest.raises(EncodeFailed, match="ended with exit code 1, 2 times"):
        run_task(chunk_task(plan, tmp_path, fake))


@pytest.mark.usefixtures("hurried")
def test_nothing_is_learned_from_an_ffmpeg_that_does_not_answer(plan: Plan, tmp_path: Path, program: FFmpeg) -> None:
    dead = tmp_path / "dead"
    dead.write_text("#!/bin/sh\nexec sleep 600\n")
    dead.chmod(0o755)
    fake = Fake(tmp_path, program, encodes=NORMAL, decodes=NORMAL)
    with pytest.raises(VidpipeError) as caught:
        run_task(chunk_task(plan, tmp_path, fake).model_copy(update={"ffmpeg": str(dead)}))
    assert isinstance(caught.value, EncodeFailed)


def test_only_the_range_of_the_chunk_is_decoded(plan: Plan, tmp_path: Path, program: FFmpeg) -> None:
    def frames(arguments: list[str]) -> int:
        done = subprocess.run([program.path, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        return int([line for line in done.stdout.splitlines() if line.startswith("frame=")][-1].removeprefix("frame="))

    chunk = plan.chunks[0]
    job = chunk_command(plan, chunk, threads=1, renditions=plan.video, pictures=False, posters=(), quality=None)
    assert chunk.frames <= frames(decode_arguments(job)) <= chunk.frames + 26


def test_a_large_file_may_be_silent_for_longer(plan: Plan) -> None:
    audio = AudioJob.of(audio_command(plan, plan.audio, None), plan, {})
    command = chunk_command(plan, plan.chunks[0], threads=1, renditions=plan.video, pictures=False, posters=(), quality=None)
    picture = ChunkJob.of(command, plan, {})
    for job in (audio, picture):
        assert stalls.patience(job) == pytest.approx(SILENT, abs=0.1)
        assert stalls.patience(job.model_copy(update={"size": 20_000_000})) == pytest.approx(SILENT + 1)
        assert stalls.patience(job.model_copy(update={"size": 10**12})) == STALLED
    assert audio_decode_arguments(audio).count("-map") == 1


def test_a_picture_that_has_to_be_found_first_is_waited_for(
    plan: Plan, tmp_path: Path, program: FFmpeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file without an index is read from its beginning, by the encode and by the decoder alike."""
    monkeypatch.setattr(stalls, "SILENT_SECONDS", 0.4)
    monkeypatch.setattr(stalls, "SLOWEST_READ", plan.source.size // 2)
    fake = Fake(tmp_path, program, encodes="sleep 3.2", decodes=FOREVER)
    assert run_task(chunk_task(plan, tmp_path, fake)).files
    assert fake.asked == ["encode", "decode"]


def test_the_decoder_of_a_large_file_has_its_time_too(plan: Plan, tmp_path: Path, program: FFmpeg, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins so late that the encode is given up before; only its answer shows whom to blame."""
    monkeypatch.setattr(stalls, "SLOWEST_READ", 1)
    monkeypatch.setattr(stalls, "STALLED_SECONDS", 2.0)
    fake = Fake(tmp_path, program, encodes=FOREVER, decodes=FOREVER)
    with pytest.raises(SourceRefused, match="the decoder has made no progress for 2 s"):
        run_task(chunk_task(plan, tmp_path, fake))
    assert fake.asked == ["encode", "decode"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_decoder_that_was_killed_says_nothing_of_the_source(number: int, plan: Plan, tmp_path: Path, program: FFmpeg) -> None:
    fake = Fake(tmp_path, program, encodes="exit 1", decodes=f"kill -{int(number)} $$")
    with pytest.raises(EncodeFailed, match="ended with exit code 1, 2 times"):
        run_task(chunk_task(plan, tmp_path, fake))
    assert fake.asked == ["encode", "encode", "decode"]


def test_time_in_which_nobody_looked_is_hardly_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-Z and fg, kill -STOP, docker pause: the clock goes on, and vidpipe does not."""
    now = 1000.0
    monkeypatch.setattr(stalls.time, "monotonic", lambda: now)
    heard = stalls.ProgressWatch()
    now += 0.125
    assert heard.look() == 0.125
    now += 600
    assert heard.look() == 0.375
    for _ in range(240):
        now += 2
        heard.look()
    assert heard.look() == 60.375, "on a machine that hardly gets to look, silence is found all the same"
    now += 600
    heard.line("frame=1")  # what came meanwhile is read first
    assert heard.look() == 0


def test_an_encode_that_was_stopped_goes_on(plan: Plan, tmp_path: Path, program: FFmpeg, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the encode nor a decoder that runs beside it is given up when the process has been stopped for longer than both may hang."""
    clock, stopped = time.monotonic, 0.0
    monkeypatch.setattr(stalls.time, "monotonic", lambda: clock() + stopped)
    monkeypatch.setattr(stalls, "SILENT_SECONDS", 1.0)

    def stop() -> None:
        nonlocal stopped
        stopped = 600.0

    fake = Fake(tmp_path, program, encodes="sleep 2.2", decodes="sleep 0.8")
    timer = threading.Timer(1.5, stop)
    timer.start()
    try:
        assert run_task(chunk_task(plan, tmp_path, fake)).files
    finally:
        timer.cancel()
    assert fake.asked == ["encode", "decode"]
