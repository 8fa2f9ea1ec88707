"""Let a Dask cluster encode the chunks: an Executor like any other, after every worker has been looked at.

In:   the address of a scheduler, the ffmpeg of this machine, the source and the store; optionally s3://BUCKET/PREFIX.
      Without it all workers must see the source and the store at the same paths; with it they share nothing else (staging.py).
Out:  Cluster: an Executor for ``encode`` and the number of tasks that run in parallel.
Wrong: UsageError if ``distributed`` is not installed, the scheduler does not answer, there is no worker, or a worker (by name) has no
       ffmpeg, another version of it or of vidpipe, lacks an encoder, or does not see the source and the work, or cannot use the prefix.

Dask does what a cluster needs: it deals out tasks, and gives those of a worker that died to others. A task is a function of
this package with plain data, so workers need vidpipe installed, and nothing else is sent.

connect.py looks at the workers, worker.py runs there, executors.py takes tasks on this machine, second_copies.py does not wait for slow
workers at the end, staging.py is the shared S3 prefix.
"""
