"""The settings: what each of them means, as ``--help`` and docs/settings.md say it, its default, and who may give it.

In:   nothing.
Out:  SETTINGS by name; ``settings.py`` makes fields and messages of it, ``cli/options.py`` help texts. Every default stands here, once.
Wrong: nothing. Imports nothing that takes time: ``vidpipe --help`` loads this module, and not pydantic.

A new setting is an entry here, its type in ``settings.py`` and, if it has a flag, an option. The default of ``home`` depends on the
machine, that of ``limits`` is a table of its own (``source/limits.py``).
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from vidpipe.manifest.format_choice import CHOICES
from vidpipe.protect.key_source_setting import LOCAL_KEYS
from vidpipe.protect.key_uses import KEY_CLASSES, ONE_KEY
from vidpipe.protect.schemes import DEFAULT_SCHEME, SCHEMES, SCHEMES_FOR_PEOPLE

MASTER_KEY_VARIABLE = "VIDPIPE_MASTER_KEY"

PRUNE_KEEP = 2
PRUNE_OLDER_THAN_DAYS = 30
GARBAGE_OLDER_THAN_DAYS = 7
"""Of ``vidpipe catalog prune``: superseded versions of a title that stay, and days for which all of them stay."""


class Setting(NamedTuple):
    """One setting.

    form, example: what a value may be, and one, for messages that refuse another (limits are numbers, the master key is secret).
    anywhere: whether the vidpipe.toml of a working directory may give it, which may be somebody else's.
    """

    description: str
    default: object = None
    form: str = ""
    example: object = None
    anywhere: bool = False


SETTINGS: dict[str, Setting] = {
    "home": Setting(
        "Folder of vidpipe's state: catalog, keys, work files. Default: the user's data folder, such as ~/.local/share/vidpipe.",
        form="a folder",
        example="/srv/vidpipe",
    ),
    "target": Setting(
        "Where to publish: a folder or s3://BUCKET/PREFIX. Default: HOME/library.",
        default="",  # HOME/library
        form="a folder or s3://BUCKET/PREFIX",
        example="s3://media/vod",
    ),
    "ladder": Setting(
        "Bitrate ladder: a shipped one by name, or a YAML file.",
        default="streaming",
        form="a shipped ladder (vidpipe ladders list) or a YAML file",
        example="streaming",
        anywhere=True,
    ),
    "encrypt": Setting(
        f"Encryption: {SCHEMES_FOR_PEOPLE}.",
        default=DEFAULT_SCHEME,
        form=f"{', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}",
        example=DEFAULT_SCHEME,
    ),
    "formats": Setting(
        "Manifests to write: hls, or hls,dash. Default: both where the encryption allows it (cbcs, cenc and none).",
        form=" or ".join(CHOICES),
        example="hls,dash",
    ),
    "key_url": Setting(
        "URL where players get the key, with {key_id} or {content_id} in it. Default: keys/{key_id}, relative to the playlist.",
        form="a URL with {key_id} or {content_id} in it",
        example="https://keys.example.com/{key_id}",
    ),
    "key_classes": Setting(
        f"Keys of a title: {', '.join(KEY_CLASSES)}. One for everything, or one for each class of tracks.",
        default=ONE_KEY,
        form=" or ".join(KEY_CLASSES),
        example="audio-video",
    ),
    "key_rotation": Setting(
        "How long a key is used within a title: seconds, or a number of segments. Default: the whole title.",
        form='seconds, or a number of segments ("100 segments")',
        example="3600",
    ),
    "session_keys": Setting(
        "Also name the keys with which a title begins in the master playlist (EXT-X-SESSION-KEY), so that players may load them early. "
        "Default: false.",
        default=False,
        form="true or false",
        example=True,
    ),
    "key_source": Setting(
        "Where keys come from: local; kms:KEY_ARN, where AWS KMS wraps the master key; or cpix:URL, a key server that speaks SPEKE v2.",
        default=LOCAL_KEYS,
        form="local, kms:KEY_ARN or cpix:URL",
        example="kms:arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    ),
    "key_source_authorization": Setting(
        "Authorization header for the key server of key_source, such as Bearer TOKEN; or aws-sigv4[:REGION], which signs each request with "
        "the AWS credentials that S3 uses. Default: none.",
        form="the text of the header, or aws-sigv4[:REGION]",
        example="Bearer TOKEN",
    ),
    "key_source_header": Setting(
        "Another header for the key server of key_source, such as x-api-key: KEY. Default: none.",
        form="NAME: VALUE",
        example="x-api-key: KEY",
    ),
    "key_source_client_certificate": Setting(
        "PEM file with a certificate and its private key, by which the key server of key_source knows this client (mutual TLS). "
        "Default: none.",
        form="a PEM file",
        example="/etc/vidpipe/client.pem",
    ),
    "delivery_certificate": Setting(
        "PEM file with an RSA certificate and its private key: key servers, and whoever makes CPIX documents, encrypt content keys to it. "
        "Default: none; key servers give keys in clear, over TLS.",
        form="a PEM file",
        example="/etc/vidpipe/delivery.pem",
    ),
    "public_url": Setting(
        "URL where a CDN or web server serves the target, such as https://media.example.com/vod. Default: none.",
        form="a URL",
        example="https://media.example.com/vod",
    ),
    "cdn": Setting(
        "How to purge changed files from a CDN: cloudfront:DISTRIBUTION_ID, the URL of a webhook, or command:PATH. "
        "Default: no purge; caches keep the address of a title for a minute.",
        form="cloudfront:DISTRIBUTION_ID, the URL of a webhook, or command:PATH",
        example="cloudfront:E2EXAMPLE",
    ),
    "policy": Setting(
        "YAML file with the thresholds of the quality checks. Default: the built-in policy.",
        form="a YAML file",
        example="policy.yaml",
        anywhere=True,
    ),
    "ffmpeg": Setting(
        "The ffmpeg program to use. Default: the one that comes with vidpipe.",
        form="a program",
        example="/usr/bin/ffmpeg",
    ),
    "chunk_seconds": Setting(
        "Length of a chunk: the unit of encoding, and of resuming.",
        default=Fraction(30),
        form="a number of seconds above 0",
        example=30,
        anywhere=True,
    ),
    "segment_seconds": Setting(
        "Length of a media segment.",
        default=Fraction(6),
        form="a number of seconds above 0",
        example=6,
        anywhere=True,
    ),
    "gop_seconds": Setting(
        "Time between two key frames.",
        default=Fraction(2),
        form="a number of seconds above 0",
        example=2,
        anywhere=True,
    ),
    "workers": Setting(
        "Chunks to encode in parallel. Default: one per core, if memory allows.",
        form="a whole number, 1 or more",
        example=4,
        anywhere=True,
    ),
    "threads": Setting(
        "Encoder threads of the largest rung in a chunk; smaller ones get fewer. Default: one, or more for the last if these are few.",
        form="a whole number, 1 or more",
        example=2,
        anywhere=True,
    ),
    "cluster": Setting(
        "Encode on a Dask cluster: the address of its scheduler, such as tcp://HOST:8786. Default: encode on this machine.",
        form="the address of a Dask scheduler",
        example="tcp://scheduler:8786",
    ),
    "cluster_work": Setting(
        "Where the machines of a cluster exchange files: s3://BUCKET/PREFIX. Default: they share a file system.",
        form="s3://BUCKET/PREFIX",
        example="s3://media/work",
    ),
    "gzip_playlists": Setting(
        "Store playlists in S3 compressed (Content-Encoding: gzip), as Apple recommends. Default: false; a CDN can do it.",
        default=False,
        form="true or false",
        example=True,
    ),
    "upload_workers": Setting(
        "Parallel uploads.",
        default=4,
        form="a whole number from 1 to 64",
        example=4,
        anywhere=True,
    ),
    "catalog_url": Setting(
        "Database of the catalog: sqlite:///FILE or postgresql://USER@HOST/NAME. Default: SQLite in HOME/catalog.db.",
        default="",  # HOME/catalog.db
        form="sqlite:///FILE or postgresql://USER@HOST/NAME",
        example="sqlite:////srv/vidpipe/catalog.db",
    ),
    "limits": Setting(
        "Limits of a source and of the processes that read it: the table [limits] of vidpipe.toml, or VIDPIPE_LIMITS_<NAME>.",
    ),
    "master_key": Setting(
        f"Wraps the content keys: 32 bytes as hex or base64, only from {MASTER_KEY_VARIABLE}. "
        "Default: HOME/keys/master.key, made on first use.",
    ),
}
