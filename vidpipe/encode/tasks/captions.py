"""Extract the missing channels of closed captions: one pass over the packets, in the child that may open the source. Decodes no picture.

What can go wrong stands in the package; the source is to blame if the child that reads it does not come back.
"""

from __future__ import annotations

from vidpipe.encode.check import check_text
from vidpipe.encode.subtitles import LARGEST, subtitle_file
from vidpipe.encode.tasks.attempt import check_unchanged, stored
from vidpipe.encode.tasks.task import CaptionTask, Made, Watch, cancel_of
from vidpipe.source.limits import SourceLimits
from vidpipe.source.probe import ask
from vidpipe.work.artifacts import Store, writing


def run_captions(task: CaptionTask, watch: Watch | None = None) -> Made:
    """Extract the channels and return their artifacts."""
    job = task.job
    limits = SourceLimits().child(job.size)
    answer = ask(["captions"], about=job, where=task.title, limits=limits, cancel=cancel_of(task, watch))
    problems: dict[str, str] = {}
    with Store(task.store).temporary() as folder:
        for (stream, channel), text in zip(job.channels, answer["texts"], strict=True):
            name = subtitle_file(stream, channel)
            if len(text) > LARGEST:
                problems[name] = f"it has more than {LARGEST // 1024**2} MB of text"
                continue
            with writing(folder):
                (folder / name).write_text(text, encoding="utf-8")
            check_text(folder / name)
        check_unchanged(job, task)
        keys = {name: key for name, key in task.keys.items() if name not in problems}
        return Made(files=stored(task.model_copy(update={"keys": keys}), folder, {}).files, problems=problems)
