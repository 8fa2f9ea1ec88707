"""The defaults of the settings, and what each of them means, as ``--help`` and docs/settings.md say it. Every default stands here, once.

In:   nothing.
Out:  DEFAULTS, DESCRIPTIONS and ADVICE by the name of the setting; ``settings.py`` makes fields and messages of them, ``cli/options.py``
      help texts.
Wrong: nothing. Imports nothing that takes time: ``vidpipe --help`` loads this module, and not pydantic.

The default of ``home`` depends on the machine, that of ``limits`` is a table of its own (``source/limits.py``).
"""

from __future__ import annotations

from fractions import Fraction

from vidpipe.protect.schemes import DEFAULT_SCHEME, SCHEMES

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

PRUNE_KEEP = 2
PRUNE_OLDER_THAN_DAYS = 30
GARBAGE_OLDER_THAN_DAYS = 7
"""Of ``vidpipe catalog prune``: superseded versions of a title that stay, and days for which all of them stay."""

DESCRIPTIONS: dict[str, str] = {
    "home": "Folder of vidpipe's state: catalog, keys, work files. Default: the user's data folder, such as ~/.local/share/vidpipe.",
    "target": "Where to publish: a folder or s3://BUCKET/PREFIX. Default: HOME/library.",
    "ladder": "Bitrate ladder: a shipped one by name, or a YAML file.",
    "encrypt": f"Encryption of the segments: {' or '.join(SCHEMES)}.",
    "key_url": "URL where players get the key, with {key_id} or {content_id} in it. Default: keys/{key_id}, relative to the playlist.",
    "public_url": "URL where a CDN or web server serves the target, such as https://media.example.com/vod. Default: none.",
    "cdn": (
        "How to purge changed files from a CDN: cloudfront:DISTRIBUTION_ID, the URL of a webhook, or command:PATH. "
        "Default: no purge; caches keep the address of a title for a minute."
    ),
    "policy": "YAML file with the thresholds of the quality checks. Default: the built-in policy.",
    "ffmpeg": "The ffmpeg program to use. Default: the one that comes with vidpipe.",
    "chunk_seconds": "Length of a chunk: the unit of encoding, and of resuming.",
    "segment_seconds": "Length of a media segment.",
    "gop_seconds": "Time between two key frames.",
    "workers": "Chunks to encode in parallel. Default: one per core, if memory allows.",
    "threads": "Encoder threads per chunk. Default: one, and more for the last chunks.",
    "cluster": "Encode on a Dask cluster: the address of its scheduler, such as tcp://HOST:8786. Default: encode on this machine.",
    "cluster_work": "Where the machines of a cluster exchange files: s3://BUCKET/PREFIX. Default: they share a file system.",
    "gzip_playlists": "Store playlists in S3 compressed (Content-Encoding: gzip), as Apple recommends. Default: false; a CDN can do it.",
    "upload_workers": "Parallel uploads.",
    "catalog_url": "Database of the catalog: sqlite:///FILE or postgresql://USER@HOST/NAME. Default: SQLite in HOME/catalog.db.",
    "limits": "Limits of a source and of the processes that read it: the table [limits] of vidpipe.toml, or VIDPIPE_LIMITS_<NAME>.",
    "master_key": (
        f"Wraps the content keys: 32 bytes as hex or base64, only from {MASTER_KEY_VARIABLE}. "
        "Default: HOME/keys/master.key, made on first use."
    ),
}

ADVICE: dict[str, tuple[str, object]] = {
    "home": ("a folder", "/srv/vidpipe"),
    "target": ("a folder or s3://BUCKET/PREFIX", "s3://media/vod"),
    "ladder": ("a shipped ladder (vidpipe ladders list) or a YAML file", "streaming"),
    "encrypt": (" or ".join(SCHEMES), DEFAULT_SCHEME),
    "key_url": ("a URL with {key_id} or {content_id} in it", "https://keys.example.com/{key_id}"),
    "public_url": ("a URL", "https://media.example.com/vod"),
    "cdn": ("cloudfront:DISTRIBUTION_ID, the URL of a webhook, or command:PATH", "cloudfront:E2EXAMPLE"),
    "policy": ("a YAML file", "policy.yaml"),
    "ffmpeg": ("a program", "/usr/bin/ffmpeg"),
    "chunk_seconds": ("a number of seconds above 0", 30),
    "segment_seconds": ("a number of seconds above 0", 6),
    "gop_seconds": ("a number of seconds above 0", 2),
    "workers": ("a whole number, 1 or more", 4),
    "threads": ("a whole number, 1 or more", 2),
    "cluster": ("the address of a Dask scheduler", "tcp://scheduler:8786"),
    "cluster_work": ("s3://BUCKET/PREFIX", "s3://media/work"),
    "gzip_playlists": ("true or false", True),
    "upload_workers": ("a whole number from 1 to 64", 4),
    "catalog_url": ("sqlite:///FILE or postgresql://USER@HOST/NAME", "sqlite:////srv/vidpipe/catalog.db"),
}
"""What a value of each setting may be, and one: for messages that refuse another. (Limits are numbers, the master key is secret.)"""
