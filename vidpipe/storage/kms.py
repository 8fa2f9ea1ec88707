"""Keys that AWS KMS makes and opens: envelope encryption. It goes through ``s3.py``, which knows boto3, credentials and timeouts.

In:   the ARN of a KMS key; what KMS wrapped before.
Out:  32 bytes, and the same wrapped by KMS.
Wrong: KeyServiceFailed: no rights, no such key, a disabled one, no network, an endpoint without TLS, or bytes that this KMS key did not
       wrap. It never holds a key.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

from vidpipe.errors import KeyServiceFailed, PublishFailed
from vidpipe.loopback import is_loopback
from vidpipe.storage.s3 import client_of, translated

ARN = re.compile(r"arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):\d{12}:(key|alias)/[\w/:-]+")
CONTEXT = {"vidpipe": "master key"}
"""Stands in the log of KMS (CloudTrail), and has to be the same when the key is opened."""
_LOG = logging.getLogger("botocore.parsers")
_AGAIN = "run the same command again"
_FAULTS = {
    "AccessDeniedException": ("access denied", "give these credentials kms:GenerateDataKey and kms:Decrypt on the key"),
    "NotFoundException": ("there is no such KMS key", "correct the ARN in key_source, and look which account the credentials are of"),
    "DisabledException": ("the KMS key is disabled", "enable it: aws kms enable-key"),
    "KMSInvalidStateException": ("the KMS key cannot be used in its present state", "cancel its deletion, or enable it, in AWS KMS"),
    "InvalidCiphertextException": (
        "the wrapped master key was altered, or another KMS key has wrapped it",
        "restore the key store from a backup, or name the KMS key that was used in key_source; to leave that one, run: "
        "vidpipe keys rotate-master --from-kms KEY_ARN",
    ),
    "IncorrectKeyException": (
        "another KMS key has wrapped the master key",
        "name the KMS key that was used in key_source; to leave that one, run: vidpipe keys rotate-master --from-kms KEY_ARN",
    ),
    "ThrottlingException": ("AWS KMS asks to slow down, even after several tries", "wait a moment, then " + _AGAIN),
    "KMSInternalException": ("AWS KMS has failed, even after several tries", _AGAIN),
    "DependencyTimeoutException": ("AWS KMS has failed, even after several tries", _AGAIN),
}


def generate(arn: str) -> tuple[bytes, bytes]:
    """Return 32 fresh bytes, and the same wrapped by a KMS key."""
    with _asked("make a master key", arn) as client:
        answer = client.generate_data_key(KeyId=arn, NumberOfBytes=32, EncryptionContext=CONTEXT)
    return answer["Plaintext"], answer["CiphertextBlob"]


def decrypt(arn: str, wrapped: bytes) -> bytes:
    """Return the bytes that a KMS key has wrapped."""
    with _asked("open the master key", arn) as client:
        opened: bytes = client.decrypt(KeyId=arn, CiphertextBlob=wrapped, EncryptionContext=CONTEXT)["Plaintext"]
    return opened


@contextmanager
def _asked(verb: str, arn: str) -> Iterator[Any]:
    found, unlogged = ARN.fullmatch(arn), _Unlogged()
    _LOG.addFilter(unlogged)
    try:
        with translated(verb, arn, arn), closing(client_of("kms", found["region"] if found else None)) as client:
            _check_endpoint(client.meta.endpoint_url, arn)
            yield client
    except KeyServiceFailed:
        raise
    except PublishFailed as problem:
        code = getattr(problem.__cause__, "response", {}).get("Error", {}).get("Code", "")
        what, fix = _FAULTS.get(code, ("", ""))
        said = f"cannot {verb}: {what}" if what else problem.what
        raise KeyServiceFailed(said, where=arn, fix=fix or "check the network, the credentials and AWS_ENDPOINT_URL_KMS") from problem
    finally:
        _LOG.removeFilter(unlogged)


class _Unlogged(logging.Filter):
    """Keeps answers with a master key out of logs: at DEBUG, which a program that uses this library may have set, botocore logs them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log."""
        return "Plaintext" not in record.getMessage()


def _check_endpoint(url: str, arn: str) -> None:
    """KMS answers with the master key in clear: over TLS, or on this machine. AWS_ENDPOINT_URL, meant for S3, names KMS as well."""
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        fix = "name the S3 server in AWS_ENDPOINT_URL_S3 and unset AWS_ENDPOINT_URL, or give AWS_ENDPOINT_URL_KMS with https://"
        raise KeyServiceFailed("the master key would come in clear over the network", where=arn, fix=fix)
