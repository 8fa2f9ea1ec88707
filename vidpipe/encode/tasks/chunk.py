"""Encode a chunk of the picture in all rungs that miss it, with its pictures and measurements. What can go wrong stands in the package."""

from __future__ import annotations

import re
from fractions import Fraction

from vidpipe.encode.check import check_pictures, check_text, check_video
from vidpipe.encode.command import PICTURES, ChunkJob, chunk_arguments, poster_file
from vidpipe.encode.output import video_file
from vidpipe.encode.tasks.attempt import ATTEMPTS, Failed, Watched, attempted, check_unchanged, encoded, error_of, stored
from vidpipe.encode.tasks.remarks import note_damage
from vidpipe.encode.tasks.task import ChunkTask, Made, Watch, cancel_of
from vidpipe.media.process import Completed
from vidpipe.source.findings.wording import clock
from vidpipe.work.artifacts import Store


def run_chunk(task: ChunkTask, watch: Watch | None = None) -> Made:
    """Encode a chunk and return its artifacts."""
    job = task.job
    name = f"chunk {job.chunk.index + 1}"
    times = [clock(job.video.start + job.grid.time(frame)) for frame in (job.chunk.start, job.chunk.start + job.chunk.frames)]
    step = job.renditions[0].frame_step if job.renditions else 1

    def progress(frames: int) -> None:
        if watch:
            watch.progress(min(frames * step, job.chunk.frames))

    watched = Watched(job, cancel_of(task, watch), progress)
    for attempt in range(1, ATTEMPTS + 1):
        arguments = chunk_arguments(job)
        try:
            with Store(task.store).temporary() as folder:
                completed = encoded(task, arguments, folder, watched)
                _check_seek(job, completed)
                samples = {video_file(r): attempted(completed, check_video, folder / video_file(r), r, job) for r in job.renditions}
                if job.pictures:
                    attempted(completed, check_pictures, folder / PICTURES, job.pictures)
                for frame in job.posters:
                    attempted(completed, check_pictures, folder / poster_file(frame), 1)
                if job.quality:
                    attempted(completed, check_text, folder / job.quality.picture_file)
                    note_damage(completed, folder / job.quality.picture_file)
                check_unchanged(job, task)
                return stored(task, folder, samples)
        except Failed as failure:
            if failure.sought:
                watched.job = job = job.model_copy(update={"seek": None})  # slow, but right
            if attempt == ATTEMPTS or failure.blame:
                where = f"{name}, {times[0]} to {times[1]} of the source {task.title}"
                raise error_of(task, where, arguments, failure, watched) from failure
    raise AssertionError("unreachable")


def _check_seek(job: ChunkJob, completed: Completed) -> None:
    """Make sure that the seek landed before the chunk: a demuxer that lands after it would repeat a frame, with nothing to see."""
    if job.seek is None:
        return
    printed = re.search(r"^\[Eval @ [^\]]*\] (?:\[\w+\] )?(-?\d+(?:\.\d+)?)\s*$", completed.stderr_head, re.MULTILINE)
    if printed is None:
        raise Failed("ffmpeg did not report where the seek landed", completed, sought=True)
    landed = Fraction(printed[1]) * job.video.time_base
    if landed > job.grid.time(job.chunk.start) + 1 / (2 * job.grid.frame_rate):
        raise Failed(f"the seek landed at {clock(landed)}, after the start of the chunk", completed, sought=True)
