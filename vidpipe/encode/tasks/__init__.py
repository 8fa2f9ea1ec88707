"""Run one task (a chunk of the picture, audio, subtitles, captions) to its end: run its program, compare with the plan, store; retry.

In:   a Task: a Job of any kind, the program, the store. All can be pickled.
Out:  Made: file name -> Artifact.
Wrong: EncodeFailed that names the chunk, its time range in the source, the command to paste and ffmpeg's last lines; SourceRefused
       with the same if the source gives fewer frames than its packets promise, cannot be decoded, or its decoder hangs; UsageError if
       ffmpeg is too old for audio that changes mid-stream; Interrupted.

``run.py`` runs whatever job it is given (``encode/job.py``); chunk.py, audio.py, subtitles.py and captions.py are the four kinds.

ffmpeg's exit code is not trusted: of a source cut in half it makes half a chunk and says 0. Whatever it wrote is counted.
"""
