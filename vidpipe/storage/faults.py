"""What the failures of S3 mean and what helps. The texts of storage/s3.py; knows the exceptions by name only, imports no boto3.

In:   an error code of the server, or an exception of botocore, boto3 or the operating system.
Out:  (what is wrong, what to do). Neither ever holds a credential.
"""

from __future__ import annotations

import errno
import re

_CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or choose a profile with AWS_PROFILE"
_AGAIN = "run the same command again: finished work is reused"
_RIGHTS = "give these credentials s3:PutObject, s3:GetObject, s3:ListBucket and s3:DeleteObject on the bucket and its prefix"
_REACH = "check the network, the proxy and AWS_ENDPOINT_URL (unset it for AWS itself), then " + _AGAIN

_CODES: dict[str, tuple[str, str]] = {
    "NoSuchBucket": ("the bucket does not exist", "create the bucket, or correct its name or AWS_ENDPOINT_URL"),
    "NoSuchKey": ("there is no such object", "check the path; if it was published, something has removed it since"),
    "NoSuchUpload": ("the server no longer knows the multipart upload", _AGAIN),
    "AccessDenied": ("access denied", _RIGHTS),
    "AllAccessDisabled": ("access denied", _RIGHTS),
    "InvalidAccessKeyId": ("the server does not know the access key", _CREDENTIALS),
    "SignatureDoesNotMatch": ("the secret key does not match the access key", _CREDENTIALS),
    "InvalidToken": ("the session token is not valid", "renew the credentials (aws sso login, or a new AWS_SESSION_TOKEN)"),
    "ExpiredToken": ("the credentials have expired", "renew the credentials (aws sso login, or a new AWS_SESSION_TOKEN), then " + _AGAIN),
    "RequestTimeTooSkewed": ("the clock of this machine is wrong by more than 15 minutes", "set the clock (NTP), then " + _AGAIN),
    "RequestExpired": ("the clock of this machine is wrong by more than 15 minutes", "set the clock (NTP), then " + _AGAIN),
    "PermanentRedirect": ("the bucket is in another region", "set AWS_DEFAULT_REGION to the region of the bucket"),
    "AuthorizationHeaderMalformed": ("the bucket is in another region", "set AWS_DEFAULT_REGION to the region of the bucket"),
    "IllegalLocationConstraintException": ("the bucket is in another region", "set AWS_DEFAULT_REGION to the region of the bucket"),
    "InvalidBucketName": ("the bucket name is not valid", "write s3://BUCKET/PREFIX; a bucket name is 3 to 63 of a-z, 0-9, '-' and '.'"),
    "SlowDown": ("the server asks to slow down, even after several tries", "wait a moment or lower the number of uploads, then " + _AGAIN),
    "ServiceUnavailable": ("the server is not available, even after several tries", _AGAIN),
    "InternalError": ("the server failed, even after several tries", _AGAIN),
    "RequestTimeout": ("the server waited too long for the data", "check the network, then " + _AGAIN),
    "BadDigest": ("the data was damaged in transit", _AGAIN),
    "InvalidDigest": ("the server refused the Content-MD5", "report the server and its version"),
    "QuotaExceeded": ("the quota of the bucket is used up", "free some space, then " + _AGAIN),
    "XMinioStorageFull": ("the storage is full", "free some space, then " + _AGAIN),
    "EntityTooLarge": ("the object is larger than the server allows", "raise the server's limit"),
    "KMS.DisabledException": ("the KMS key of the bucket is disabled", "enable the key, or choose another bucket"),
    "InvalidObjectState": ("the object is archived", "restore it from the archive first"),
    "NotImplemented": ("the server does not support this request", "use a server that speaks the S3 object API"),
}
_ALIASES = {
    "400": "BadRequest",
    "401": "AccessDenied",
    "403": "AccessDenied",
    "404": "NoSuchKey",
    "301": "PermanentRedirect",
    "500": "InternalError",
    "502": "ServiceUnavailable",
    "503": "ServiceUnavailable",
    "504": "ServiceUnavailable",
    "Forbidden": "AccessDenied",
    "NotFound": "NoSuchKey",
    "ExpiredTokenException": "ExpiredToken",
    "InvalidClientTokenId": "InvalidAccessKeyId",
    "UnrecognizedClientException": "InvalidAccessKeyId",
    "InvalidSecurity": "InvalidAccessKeyId",
    "Throttling": "SlowDown",
    "ThrottlingException": "SlowDown",
    "TooManyRequests": "SlowDown",
}

_FAILURES: dict[str, tuple[str, str]] = {
    "NoCredentialsError": ("no AWS credentials were found", _CREDENTIALS),
    "PartialCredentialsError": ("the AWS credentials are incomplete", _CREDENTIALS),
    "CredentialRetrievalError": ("the AWS credentials could not be fetched", "renew them (aws sso login), or " + _CREDENTIALS),
    "SSOError": ("the AWS single sign-on has failed", "run aws sso login, or " + _CREDENTIALS),
    "LoginError": ("the AWS login has failed", "run aws login, or " + _CREDENTIALS),
    "TokenRetrievalError": ("the AWS single sign-on token could not be fetched", "run aws sso login, or " + _CREDENTIALS),
    "ProfileNotFound": ("the AWS profile does not exist", "correct AWS_PROFILE, or add the profile to ~/.aws/config"),
    "ConfigParseError": ("the AWS configuration file cannot be read", "repair ~/.aws/config and ~/.aws/credentials"),
    "NoRegionError": ("no AWS region is set", "set AWS_DEFAULT_REGION to the region of the bucket"),
    "InvalidRegionError": ("the AWS region is not a valid name", "correct AWS_DEFAULT_REGION"),
    "SSLError": ("the TLS connection failed", "check the certificate of the server, AWS_CA_BUNDLE and the clock"),
    "ProxyConnectionError": ("the proxy cannot be reached", "check HTTPS_PROXY and NO_PROXY"),
    "ConnectTimeoutError": ("the server does not answer", _REACH),
    "ReadTimeoutError": ("the server stopped answering", _REACH),
    "EndpointConnectionError": ("the server cannot be reached", _REACH),
    "ConnectionClosedError": ("the server closed the connection", _REACH),
    "HTTPClientError": ("the connection failed", _REACH),
    "ResponseStreamingError": ("the server's response was cut off", _AGAIN),
    "ProtocolError": ("the server's response was cut off", _AGAIN),  # urllib3's, while a body is read
    "IncompleteReadError": ("the server's response was cut off", _AGAIN),
    "ParamValidationError": ("the bucket name or the path is not valid for S3", "write s3://BUCKET/PREFIX"),
}


def explain_code(code: str, bucket: str, message: str) -> tuple[str, str]:
    """Explain an answer of the server. code: its <Code>, or the HTTP status where an answer has no body.  message: its <Message>."""
    known = _CODES.get(_ALIASES.get(code, code))
    if known is None:
        said = f": {_tame(message)}" if message else ""
        return (
            f"the server answered {_tame(code) or 'with an error'}{said}",
            f"check the bucket {bucket} and AWS_ENDPOINT_URL, then {_AGAIN}",
        )
    return known


def explain_failure(problem: Exception) -> tuple[str, str]:
    """Explain an exception that is no answer of the server: no credentials, no connection, a local file."""
    for kind in type(problem).__mro__:
        if kind.__name__ in _FAILURES:
            what, fix = _FAILURES[kind.__name__]
            detail = _detail(problem)
            return (f"{what} ({detail})" if detail else what), fix
    if isinstance(problem, OSError) and not isinstance(problem, TimeoutError | ConnectionError):
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            return "the disk of this machine is full", "free some space, then " + _AGAIN
        where = f" ({problem.filename})" if problem.filename else ""
        return (
            f"a local file failed: {problem.strerror or _tame(str(problem))}{where}",
            "check the file and its permissions, then " + _AGAIN,
        )
    if isinstance(problem, ValueError) and "endpoint" in str(problem).lower():
        return (
            f"the endpoint is not a URL ({_tame(_without_user(str(problem)))})",
            "set AWS_ENDPOINT_URL to http(s)://HOST[:PORT], or unset it",
        )
    return f"{type(problem).__name__}: {_tame(_without_user(str(problem)))}", _REACH


def _detail(problem: Exception) -> str:
    """The parts of botocore's text that help and cannot hold a secret: an endpoint, a profile or a region name."""
    values = getattr(problem, "kwargs", {})
    for name in ("endpoint_url", "profile", "profile_name", "region_name", "proxy_url", "path"):
        if values.get(name):
            return _tame(_without_query(_without_user(str(values[name]))))
    return ""


def _without_user(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)


def _without_query(url: str) -> str:
    return url.split("?", 1)[0]


def _tame(text: str) -> str:
    """One line without control characters, of a length that fits a message."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:300]
