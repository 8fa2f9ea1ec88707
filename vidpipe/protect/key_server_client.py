"""Ask a key server: one document there, one back.

In:   the URL of the server, and how it knows us: a header, an AWS signature, a client certificate.
Out:  the bytes of its answer, which are untrusted.
Wrong: KeyServiceFailed: the server cannot be reached, is too slow or refuses; UsageError for a client certificate that cannot be used.
       None quotes the answer, the URL or a header, which may hold secrets.

A server that fails for a moment (429, 5xx, a lost connection) is asked again, as it wants by Retry-After, but none is waited for long: the
same command continues later. It may be asked any number of times, because the same ids get the same keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic, sleep
from urllib.parse import urlsplit

from vidpipe.errors import KeyServiceFailed, UsageError
from vidpipe.protect.cpix_markup import MOST_BYTES
from vidpipe.protect.key_source_setting import AWS_SIGNATURE, header_of
from vidpipe.web import Answer, BadClientCertificate, Broken, NotFollowed, Unreached, Web, WebError

SPEKE_VERSION = "2.0"
SILENCE = 20.0
"""Seconds that a key server may be silent."""
WAITS = (1.0, 3.0)
"""Seconds before it is asked once more, each time."""
MOST_WAIT = 15.0
"""Seconds that it may ask us to wait, and that tries may take before another one: a person waits, too."""
LOG_FIX = "look into the log of the key server; what it was asked is in docs/keys.md"
_AGAIN = "then run the same command again"
_PASSING = {
    429: "asks to slow down",
    500: "has failed",
    502: "cannot be reached behind its gateway",
    503: "is not available",
    504: "does not answer its gateway",
}
"""What may be over in a moment, and what each says of the server."""


@dataclass(frozen=True, slots=True)
class KeyServerClient:
    """A key server, and how it knows us.

    authorization: the header of that name, or AWS_SIGNATURE.  header: another one, "NAME: VALUE".  client_certificate: PEM file, for TLS.
    """

    url: str = field(repr=False)
    authorization: str | None = field(default=None, repr=False)
    header: str | None = field(default=None, repr=False)
    client_certificate: str | None = None

    @property
    def where(self) -> str:
        """What may be said of where it is: the rest of the URL may hold a token."""
        return urlsplit(self.url).hostname or ""

    def ask(self, document: bytes) -> bytes:
        """Return the answer to a document."""
        begun = monotonic()
        for wait in WAITS:
            try:
                return self._ask_once(document)
            except _PassingFailure as problem:
                wait = problem.wait if problem.wait is not None else wait
                if wait > MOST_WAIT or monotonic() - begun > MOST_WAIT:
                    raise problem.failure from problem.__cause__
                sleep(wait)
        try:
            return self._ask_once(document)
        except _PassingFailure as problem:
            raise problem.failure from problem.__cause__

    def reach(self) -> int:
        """Connect as ``ask`` does, and ask for nothing: any answer shows that the server is there. Return its status.

        Many servers end the connection if they do not know our certificate; others answer, and refuse a document later.
        """
        try:
            with self._answered("HEAD", {}, b"") as answer:
                return answer.status
        except _PassingFailure as problem:
            raise problem.failure from problem.__cause__

    def _ask_once(self, document: bytes) -> bytes:
        with self._answered("POST", self._headers(document), document) as answer:
            self._check(answer)
            return b"".join(_limited(answer.blocks, self.where))

    @contextmanager
    def _answered(self, method: str, headers: Mapping[str, str], content: bytes) -> Iterator[Answer]:
        try:
            web = Web(silence=SILENCE, client_certificate=self.client_certificate)
            with web, web.answered(self.url, method, headers, content) as answer:
                yield answer
        except BadClientCertificate as problem:
            fix = "give a PEM file with the certificate and its private key, without a password, in key_source_client_certificate"
            raise UsageError(problem.what, where=self.client_certificate, fix=fix) from problem
        except WebError as problem:
            failed = self._unasked(problem)
            if isinstance(problem, Unreached | Broken) and not _is_about_certificates(problem):
                raise _PassingFailure(failed) from problem
            raise failed from problem

    def _headers(self, document: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/xml", "Accept": "application/xml", "X-Speke-Version": SPEKE_VERSION}
        kind, _, region = (self.authorization or "").partition(":")
        if kind == AWS_SIGNATURE:
            from vidpipe.storage.api_gateway import signed  # boto3 is slow to import

            headers = signed(self.url, headers, document, region or None)
        elif self.authorization:
            headers["Authorization"] = self.authorization
        return headers | dict([header_of(self.header)] if self.header else [])  # not signed: botocore would log it

    def _unasked(self, problem: WebError) -> KeyServiceFailed:
        fix = f"check key_source, the network and the key server, {_AGAIN}"
        if isinstance(problem, NotFollowed):
            fix = "give the URL that it redirects to in key_source"
        elif "CERTIFICATE_VERIFY_FAILED" in problem.what:
            fix = "correct the host in key_source; for a private certificate authority set SSL_CERT_FILE to its certificate, as PEM"
        elif "WRONG_VERSION_NUMBER" in problem.what:
            fix = "correct the port in key_source: what listens there does not speak TLS"
        elif _is_about_certificates(problem):
            fix = "set key_source_client_certificate to a PEM file with a certificate that this server knows, and its private key"
        return KeyServiceFailed(f"the key server cannot be asked: {problem.what}", where=self.where, fix=fix)

    def _check(self, answer: Answer) -> None:
        """Refuse an answer that has no keys. Its body is not read: it is the server's own words, and may repeat what it was sent."""
        if answer.status != 200:
            raise self._refusal(answer)
        if answer.headers.get("content-type", "").partition(";")[0].strip().lower() == "text/html":
            fix = "give the URL of its SPEKE API in key_source, not that of a web page, and check that no sign-in stands before it"
            raise KeyServiceFailed("the key server answers with a web page", where=self.where, fix=fix)
        version = answer.headers.get("x-speke-version", SPEKE_VERSION)
        if version != SPEKE_VERSION:
            what = f"the key server answers in SPEKE {version[:20]!r} instead of {SPEKE_VERSION}"
            raise KeyServiceFailed(what, where=self.where, fix="give the URL at which it speaks SPEKE 2.0")

    def _refusal(self, answer: Answer) -> Exception:
        reason = "".join(char for char in answer.reason if char.isprintable())[:80]
        said = f"the key server answers {answer.status} {reason}".rstrip()
        if answer.status not in _PASSING:
            return KeyServiceFailed(said, where=self.where, fix=self._fix_of(answer.status))
        wait = _retry_after(answer)
        when = f"wait {wait:.0f} s" if wait else "wait a moment"
        fix = f"{when}, {_AGAIN}; if that does not help, look into the log of the key server"
        return _PassingFailure(KeyServiceFailed(f"{said}: it {_PASSING[answer.status]}", where=self.where, fix=fix), wait)

    def _fix_of(self, status: int) -> str:
        if status in (401, 403):
            if (self.authorization or "").startswith(AWS_SIGNATURE):
                return "give these AWS credentials execute-api:Invoke on it; check the region, and the clock of this machine"
            return "check key_source_authorization, key_source_header, and what this account may ask for"
        return "correct the URL in key_source" if status in (404, 405, 410) else LOG_FIX


def _is_about_certificates(problem: WebError) -> bool:
    """Whether TLS failed by a certificate, ours or the server's. OpenSSL says so in words alone."""
    what = problem.what.lower()
    return "ssl" in what and any(words in what for words in ("certificate", *_REFUSED))


_REFUSED = ("unknown ca", "access denied")
"""Alerts of a server that refuses our certificate, by its issuer or its name (RFC 8446 6.2); all others have the word in their names."""


class _PassingFailure(Exception):
    """It may be another time. failure: what it is if it is not.  wait: as the server asks for."""

    def __init__(self, failure: KeyServiceFailed, wait: float | None = None) -> None:
        super().__init__()
        self.failure = failure
        self.wait = wait


def _retry_after(answer: Answer) -> float | None:
    """Return how many seconds the server asks to wait: it says a number, or a time (RFC 9110 section 10.2.3)."""
    said = answer.headers.get("retry-after", "").strip()
    if said.isdecimal() and len(said) < 10:
        return float(said)
    try:
        until = parsedate_to_datetime(said)
    except ValueError:
        return None
    return max(0.0, (until - datetime.now(UTC)).total_seconds()) if until.tzinfo else None


def _limited(blocks: Iterator[bytes], where: str) -> Iterator[bytes]:
    size = 0
    for block in blocks:
        size += len(block)
        if size > MOST_BYTES:
            raise KeyServiceFailed(f"the key server sends more than {MOST_BYTES} bytes", where=where, fix=LOG_FIX)
        yield block
