"""Where published objects lie: a local directory or S3. boto3 is imported only when an s3:// target is opened.

In:   a target as the user wrote it: DIR, file:///DIR or s3://BUCKET/PREFIX.
Out:  a Storage.
Wrong: UsageError for a target of another kind.
"""

from __future__ import annotations

from vidpipe.storage.base import Storage, Stored
from vidpipe.storage.local import LocalStorage
from vidpipe.storage.target import Folder, read_target

__all__ = ["Storage", "Stored", "open_storage"]


def open_storage(target: str) -> Storage:
    """Open a target: a directory, a file:// URL or s3://BUCKET[/PREFIX]. Nothing is created or contacted yet.

    Raises UsageError for anything else.
    """
    place = read_target(target)
    if isinstance(place, Folder):
        return LocalStorage(place.path)
    from vidpipe.storage.s3 import S3Storage

    return S3Storage(place.name, place.prefix)
