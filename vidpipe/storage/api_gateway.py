"""Requests to AWS API Gateway with IAM: each is signed. It goes through ``s3.py``, which knows botocore and the user's credentials.

In:   the URL, headers and body of a POST, and the region if neither the URL nor the user's AWS configuration says it.
Out:  the headers with a signature (version 4) for execute-api.
Wrong: KeyServiceFailed: no credentials, or no region.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from vidpipe.errors import KeyServiceFailed, PublishFailed
from vidpipe.storage.s3 import configured_region, signed_headers, translated

_HOST = re.compile(r"[a-z0-9-]+\.execute-api(?:-fips)?\.(?P<region>[a-z0-9-]+)\.(?:amazonaws\.com|api\.aws)(?:\.cn)?")


def signed(url: str, headers: Mapping[str, str], body: bytes, region: str | None = None) -> dict[str, str]:
    """Return the headers of a request, signed."""
    parts = urlsplit(url)
    host, named = parts.hostname or "", _HOST.fullmatch(parts.hostname or "")
    try:
        with translated("sign the request", host, host):
            region = region or (named["region"] if named else configured_region())
            if not region:
                fix = "give it: key_source_authorization = aws-sigv4:REGION"
                raise KeyServiceFailed("the key server cannot be asked: no AWS region is known", where=host, fix=fix)
            return signed_headers("execute-api", region, "POST", url, {**headers, "Host": parts.netloc}, body)
    except KeyServiceFailed:
        raise
    except PublishFailed as problem:
        raise KeyServiceFailed(f"the key server cannot be asked: {problem.what}", where=problem.where, fix=problem.fix) from problem
