"""Compare what was published with what ffmpeg itself shows of the source: ``python -m tests.oracle FILE|FOLDER``.

Nothing here uses vidpipe's code: a published title is checked by its playlists, its key file and a bare ffmpeg.
"""
