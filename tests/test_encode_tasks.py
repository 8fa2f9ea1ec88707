"""All work has one shape: what runs it knows no kind of it, so a new kind is a new Job and nothing else."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.encode_support import clip, rung, tiny_plan
from vidpipe.encode.artifact_keys import Keys, posters_in
from vidpipe.encode.audio import audio_command
from vidpipe.encode.command import chunk_command
from vidpipe.encode.job import Checked, Failed, Job
from vidpipe.encode.subtitles import caption_request, subtitle_command
from vidpipe.encode.tasks.audio import AudioJob
from vidpipe.encode.tasks.captions import CaptionJob
from vidpipe.encode.tasks.chunk import ChunkJob
from vidpipe.encode.tasks.run import run_task
from vidpipe.encode.tasks.subtitles import SubtitleJob
from vidpipe.encode.tasks.task import Made, Task
from vidpipe.errors import EncodeFailed, SourceRefused
from vidpipe.media.process import Completed, Limits
from vidpipe.plan import Plan
from vidpipe.source.limits import SourceLimits
from vidpipe.work.artifacts import Store


class Copy(Job):
    """Write numbers into files.

    fails: how many of the attempts that are still to come leave nothing.  parts: each file alone the next time.

    dispensable: a title can do without it.
    """

    fails: int = 0
    parts: bool = False
    dispensable: bool = False
    attempt: int = 1

    @property
    def where(self) -> str:
        return f"numbers of {self.title}"

    def argv(self, ffmpeg: str) -> list[str]:
        lines = [f"open({name!r}, 'w').write(sys.stdin.readline())" for name in self.outputs if not self.fails]
        return [ffmpeg, "-c", "; ".join(["import sys", *lines])]

    def stdin(self) -> bytes:
        return b"".join(f"{self.attempt}{number}\n".encode() for number in range(len(self.outputs)))

    def limits(self) -> Limits:
        return Limits(wall_seconds=60)

    def check(self, folder: Path, completed: Completed) -> Checked:
        problems = {name: "it is odd" for name in self.outputs if name.startswith("odd")}
        for name in self.outputs:
            if not (folder / name).exists():
                raise Failed(f"{name} was not made", completed)
        return Checked(dict.fromkeys(self.outputs, self.attempt), problems)

    def again(self, failure: Failed) -> tuple[Job, ...]:
        later = self.model_copy(update={"fails": max(0, self.fails - 1), "attempt": self.attempt + 1})
        return tuple(later.model_copy(update={"outputs": {n: k}}) for n, k in self.outputs.items()) if self.parts else (later,)

    def given_up(self, failure: Failed) -> Mapping[str, str] | None:
        return dict.fromkeys(self.outputs, str(failure)) if self.dispensable else None


def task(folder: Path, *names: str, **changes: Any) -> Task:
    source = folder / "source"
    source.write_bytes(b"five!")
    facts = {"location": str(source), "size": 5, "mtime_ns": source.stat().st_mtime_ns, "source": "5" * 64, "title": "source"}
    job = Copy(outputs={name: name.encode().hex() * 8 for name in names}, **facts | changes)
    return Task(job=job, ffmpeg=sys.executable, store=folder / "work")


def texts(made: Made) -> dict[str, str]:
    return {name: artifact.path.read_text().strip() for name, artifact in made.files.items()}


def test_an_unknown_kind_is_done_and_kept_by_its_keys(tmp_path: Path) -> None:
    given = task(tmp_path, "a.txt", "b.txt", "odd.txt")
    made = run_task(given)
    assert texts(made) == {"a.txt": "10", "b.txt": "11"}
    assert made.problems == {"odd.txt": "it is odd"}
    assert {name: artifact.key for name, artifact in made.files.items()} == {n: given.job.outputs[n] for n in made.files}
    kept = Store(given.store).lookup(given.job.outputs["a.txt"])
    assert kept is not None
    assert kept.samples == 1
    assert not list((tmp_path / "work" / "tmp").iterdir())


def test_an_unknown_kind_travels(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1) as pool:
        assert texts(pool.submit(run_task, task(tmp_path, "a.txt")).result()) == {"a.txt": "10"}


def test_what_comes_after_a_failure_is_the_jobs_affair(tmp_path: Path) -> None:
    assert texts(run_task(task(tmp_path, "a.txt", "b.txt", fails=1))) == {"a.txt": "20", "b.txt": "21"}, "all once more"
    assert texts(run_task(task(tmp_path, "a.txt", "b.txt", fails=1, parts=True))) == {"a.txt": "20", "b.txt": "20"}, "each alone"
    lost = run_task(task(tmp_path, "a.txt", "b.txt", fails=2, parts=True, dispensable=True))
    assert (lost.files, lost.problems) == ({}, {"a.txt": "a.txt was not made", "b.txt": "b.txt was not made"})
    with pytest.raises(EncodeFailed, match=r"^numbers of source: a\.txt was not made, 2 times"):
        run_task(task(tmp_path, "a.txt", fails=2))


def test_nothing_is_kept_or_given_up_of_a_source_that_has_changed(tmp_path: Path) -> None:
    for changes in ({"mtime_ns": 1}, {"mtime_ns": 1, "fails": 2, "dispensable": True}, {"location": str(tmp_path / "gone")}):
        given = task(tmp_path, "a.txt", **changes)
        with pytest.raises(SourceRefused, match=r"changed while it was being encoded|can no longer be read"):
            run_task(given)
        assert Store(given.store).lookup(given.job.outputs["a.txt"]) is None


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return tiny_plan(clip(tmp_path_factory.mktemp("tasks") / "source.mp4", "25", 50, beeps=2), rung("a", 96), rung("b", 72))


def jobs(plan: Plan) -> list[Job]:
    keys = Keys(plan, threads=1, version="1", quality=None)
    chunk = plan.chunks[0]
    wanted: dict[str, Any] = {"renditions": plan.video, "pictures": True, "posters": posters_in(plan, chunk), "quality": None}
    return [
        ChunkJob.of(chunk_command(plan, chunk, threads=1, **wanted), plan, keys.chunk(chunk)),
        AudioJob.of(audio_command(plan, plan.audio, None), plan, keys.audio(0, plan.audio[0])),
        SubtitleJob.of(subtitle_command(plan, (2, 3)), plan, {"subtitles-2.vtt": "2" * 64, "subtitles-3.vtt": "3" * 64}),
        CaptionJob.of(caption_request(plan, ((0, "CC1"),)), plan, {"subtitles-0-cc1.vtt": "4" * 64}, reading=SourceLimits(wall_seconds=7)),
    ]


def test_every_kind_has_the_shape(plan: Plan, program: Any) -> None:
    for job in jobs(plan):
        assert pickle.loads(pickle.dumps(Task(job=job, ffmpeg="f", store=Path("s")))).job == job
        moved = job.model_copy(update={"location": "/elsewhere", "mtime_ns": 7})  # as another machine does
        asked = "\0".join(moved.argv(program.path)) + (moved.stdin() or b"").decode()
        assert "/elsewhere" in asked
        assert plan.source.location not in asked
        assert job.title in job.where
        assert job.limits().memory_bytes
        for later in job.again(Failed("it failed")):
            assert later.outputs.items() <= job.outputs.items()
            assert type(later) is type(job)
    assert [len(job.again(Failed("it failed"))) for job in jobs(plan)] == [1, 1, 2, 1]
    assert jobs(plan)[3].limits().wall_seconds == 7


def test_a_chunk_is_tried_again_without_the_seek_that_went_wrong(plan: Plan) -> None:
    job = jobs(plan)[0].model_copy(update={"seek": 1})
    (same,), (slow,) = job.again(Failed("x")), job.again(Failed("x", seek_failed=True))
    assert (same, slow) == (job, job.model_copy(update={"seek": None}))


def test_audio_that_changes_is_converted_to_one_format(plan: Plan) -> None:
    job: Any = jobs(plan)[1]
    (same,), (unified,) = job.again(Failed("x")), job.again(Failed("x", changing=frozenset({1})))
    assert same == job
    assert (unified.unified, unified.formats[1].channels, unified.found) == ((1,), 6, {1})


def test_no_way_of_doing_work_knows_a_kind_of_it() -> None:
    """The cluster, and what runs a task, must not have to change for a new kind."""
    folder = Path(__file__).parent.parent / "vidpipe" / "encode"
    for path in (*(folder / "cluster").glob("*.py"), folder / "tasks" / "run.py", folder / "tasks" / "task.py", folder / "stalls.py"):
        text = path.read_text()
        assert not [kind for kind in ("ChunkJob", "AudioJob", "SubtitleJob", "CaptionJob", "ChunkCommand") if kind in text], path.name
