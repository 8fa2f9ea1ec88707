"""Encode all missing audio tracks, each whole. What can go wrong stands in the package.

Audio that changes without its packets saying so shows in what comes out; then it is encoded again, made steady first.
"""

from __future__ import annotations

from vidpipe.encode.audio import audio_arguments, audio_file, sound_file
from vidpipe.encode.check import ChangingSound, check_audio, check_text
from vidpipe.encode.tasks.attempt import ATTEMPTS, Failed, Watched, attempted, check_unchanged, encoded, error_of, stored
from vidpipe.encode.tasks.remarks import CHANGING, note, note_damage
from vidpipe.encode.tasks.task import AudioTask, Made, Watch, cancel_of
from vidpipe.source.audio_changes import wide
from vidpipe.work.artifacts import Store


def run_audio(task: AudioTask, watch: Watch | None = None) -> Made:
    """Encode the tracks and return their artifacts."""
    job = task.job
    watched = Watched(job, cancel_of(task, watch), lambda frames: None)
    for attempt in range(1, ATTEMPTS + 1):
        arguments = audio_arguments(job)
        changing: dict[int, Failed] = {}
        try:
            with Store(task.store).temporary() as folder:
                completed = encoded(task, arguments, folder, watched)
                samples: dict[str, int] = {}
                for number, rendition in enumerate(job.renditions):
                    try:
                        samples[audio_file(number)] = attempted(completed, check_audio, folder / audio_file(number), rendition, job)
                    except Failed as failure:
                        if not isinstance(failure.__cause__, ChangingSound):
                            raise
                        changing[rendition.stream] = failure
                        continue
                    if job.quality:
                        attempted(completed, check_text, folder / sound_file(number, job.quality))
                        note_damage(completed, folder / sound_file(number, job.quality))
                        if rendition.stream in job.steady and rendition.stream not in task.job.steady:
                            note(CHANGING, folder / sound_file(number, job.quality))
                if changing:
                    raise next(iter(changing.values()))
                check_unchanged(job, task)
                return stored(task, folder, samples)
        except Failed as failure:
            if attempt == ATTEMPTS or failure.blame:
                tracks = ", ".join(str(rendition.stream) for rendition in job.renditions)
                raise error_of(task, f"audio (stream {tracks}) of {task.title}", arguments, failure, watched) from failure
            sounds = {stream: wide(sound) if stream in changing else sound for stream, sound in job.sounds.items()}
            job = job.model_copy(update={"steady": tuple({*job.steady, *changing}), "sounds": sounds})
    raise AssertionError("unreachable")
