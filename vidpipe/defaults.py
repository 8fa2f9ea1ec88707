"""The defaults of the settings, and what each of them is, in the words of ``--help`` and docs/settings.md. Every default stands here, once.

In:   nothing.
Out:  DEFAULTS and DESCRIPTIONS by the name of the setting; ``settings.py`` makes fields of them, ``cli/options.py`` help texts.
Wrong: nothing. Imports nothing that takes time: ``vidpipe --help`` loads this module, and not pydantic.

The default of ``home`` depends on the machine, that of ``limits`` is a table of its own (``source/limits.py``).
"""

from __future__ import annotations

from fractions import Fraction

from vidpipe.protect.schemes import DEFAULT_SCHEME

MASTER_KEY_VARIABLE = "VIDPIPE_MASTER_KEY"

DEFAULTS: dict[str, object] = {
    "target": "",  # HOME/library
    "ladder": "streaming",
    "encrypt": DEFAULT_SCHEME,
    "key_url": None,
    "public_url": None,
    "cdn": None,
    "policy": None,
    "ffmpeg": None,
    "chunk_seconds": Fraction(30),
    "segment_seconds": Fraction(6),
    "gop_seconds": Fraction(2),
    "workers": None,
    "threads": None,
    "cluster": None,
    "cluster_work": None,
    "gzip_playlists": False,
    "upload_workers": 4,
    "catalog_url": "",  # HOME/catalog.db
    "master_key": None,
}

DESCRIPTIONS: dict[str, str] = {
    "home": "Folder of vidpipe's state: catalog, keys, work, and the default target.",
    "target": "Where titles are published: a folder or s3://BUCKET/PREFIX. Default: HOME/library.",
    "ladder": "Name of a shipped ladder, or a YAML file.",
    "encrypt": "Encryption of the segments.",
    "key_url": "Absolute URL template of keys, with {key_id} or {content_id}. Default: keys/{key_id}, relative to the playlist.",
    "public_url": "URL at which a CDN or web server serves the target, such as https://media.example.com/vod. Default: none.",
    "cdn": (
        "How a CDN is asked to forget what has changed: cloudfront:DISTRIBUTION_ID, the URL of a webhook, or command:PATH. "
        "Default: not at all; caches keep the address of a title for a minute."
    ),
    "policy": "YAML file with the thresholds of quality control. Default: the built-in policy.",
    "ffmpeg": "The ffmpeg program to use. Default: the one that comes with vidpipe.",
    "chunk_seconds": "Length of a chunk, the unit of encoding and of resuming.",
    "segment_seconds": "Length of a media segment.",
    "gop_seconds": "Time between two key frames.",
    "workers": "Chunks encoded in parallel. Default: one a core, if memory allows.",
    "threads": "Encoder threads of one chunk. Default: one, more for the last chunks.",
    "cluster": "Address of a Dask scheduler (tcp://HOST:8786) that encodes the chunks. Default: this machine.",
    "cluster_work": (
        "s3://BUCKET/PREFIX through which the machines of a cluster share source and work. Default: they share file systems."
    ),
    "gzip_playlists": "Store playlists at S3 compressed (Content-Encoding: gzip), as Apple asks. Default: no; a CDN may do it.",
    "upload_workers": "Parallel uploads.",
    "catalog_url": "Database of the catalog. Default: SQLite in HOME/catalog.db.",
    "limits": "Limits of a source and of the processes that read it: the table [limits] of vidpipe.toml, or VIDPIPE_LIMITS_<NAME>.",
    "master_key": (
        f"Wraps the content keys: 32 bytes as hex or base64, only from {MASTER_KEY_VARIABLE}. "
        "Default: HOME/keys/master.key, made on first use."
    ),
}
