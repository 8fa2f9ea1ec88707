"""The certificates that content keys are encrypted to (RSA-OAEP), so that a document with keys opens for one recipient alone.

In:   files that the settings or a user name: PEM, with the private key in the same file if it is our own; DER for somebody else's.
Out:  RecipientCertificate, which encrypts; OwnCertificate, which also opens.
Wrong: UsageError for a file that cannot be used, or that all users of this machine can read although it has a private key; ValueError for
       bytes that were not encrypted to a certificate. No message quotes a file, and no repr shows a private key.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from vidpipe.errors import UsageError

LEAST_BITS = 2048
"""Of an RSA key: those of SPEKE v2. CPIX recommends 3072."""
MOST_BYTES = 1_000_000
_FIX = "give a PEM file with the certificate and its private key: cat certificate.pem private-key.pem > FILE"
_MAKE = "make one, such as: openssl req -x509 -newkey rsa:3072 -nodes -days 365 -subj /CN=vidpipe -keyout FILE -out FILE"


@dataclass(frozen=True, slots=True)
class RecipientCertificate:
    """Whom keys are encrypted to. where: its file."""

    certificate: x509.Certificate
    where: str

    @property
    def der(self) -> bytes:
        """The certificate as documents carry it."""
        return self.certificate.public_bytes(Encoding.DER)

    def encrypt(self, secret: bytes) -> bytes:
        """Encrypt something short to it."""
        return _rsa_of(self.certificate, self.where).encrypt(secret, _oaep())

    def valid(self) -> Self:
        """Return it. Raises UsageError unless it is valid now; what was encrypted to it once is opened for ever."""
        now = datetime.now(UTC)
        if now > self.certificate.not_valid_after_utc:
            what = f"the certificate has expired on {self.certificate.not_valid_after_utc:%Y-%m-%d}"
            raise UsageError(what, where=self.where, fix="ask whoever it is of for the present one, or renew it")
        if now < self.certificate.not_valid_before_utc:
            what = f"the certificate is not valid before {self.certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
            raise UsageError(what, where=self.where, fix="wait until then, or correct the clock of this machine")
        return self


@dataclass(frozen=True, slots=True)
class OwnCertificate(RecipientCertificate):
    """A certificate whose private key we have."""

    private_key: rsa.RSAPrivateKey = field(repr=False)

    def decrypt(self, data: bytes) -> bytes:
        """Return what was encrypted to it. Raises ValueError."""
        return self.private_key.decrypt(data, _oaep())


def recipient_certificate(file: str) -> RecipientCertificate:
    """Read the certificate of somebody else: the first one of a PEM file, or DER."""
    fix = "ask the recipient for an X.509 certificate with an RSA key, as PEM or DER"
    found = _certificates(_read(file)[0], file, fix)[0]
    _rsa_of(found, file)
    return RecipientCertificate(found, file)


def own_certificate(file: str) -> OwnCertificate:
    """Read our own certificate and its private key, from one PEM file."""
    data, mode = _read(file)
    try:
        private_key = load_pem_private_key(data, password=None)
    except TypeError:
        fix = "decrypt it: openssl pkey -in private-key.pem -out FILE, put the certificate beside it, and chmod 600 FILE"
        raise UsageError("the private key has a password", where=file, fix=fix) from None
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError("there is no private key in this file", where=file, fix=_FIX) from None
    if os.name == "posix" and mode & 0o007:  # a group may be the one of a service
        fix = f"run chmod 600 {file}"
        raise UsageError(f"all users of this machine can read the private key (mode {mode:04o})", where=file, fix=fix)
    found = _certificates(data, file, _FIX)
    if not isinstance(private_key, rsa.RSAPrivateKey):
        raise UsageError("the private key is not an RSA key", where=file, fix=_MAKE)
    own = [each for each in found if each.public_key() == private_key.public_key()]
    if not own:
        raise UsageError("the private key is not that of the certificate", where=file, fix=_FIX)
    _rsa_of(own[0], file)
    return OwnCertificate(own[0], file, private_key)


def _read(file: str) -> tuple[bytes, int]:
    try:
        with Path(file).open("rb") as stream:
            return stream.read(MOST_BYTES), stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
    except OSError as problem:
        fix = "check the path and its permissions"
        raise UsageError(f"the certificate cannot be read: {problem.strerror}", where=file, fix=fix) from problem


def _certificates(data: bytes, file: str, fix: str) -> list[x509.Certificate]:
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except (ValueError, UnsupportedAlgorithm):
        # "from None": what the reader says may quote the file.
        raise UsageError("there is no X.509 certificate in this file", where=file, fix=fix) from None


def _rsa_of(certificate: x509.Certificate, file: str) -> rsa.RSAPublicKey:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < LEAST_BITS:
        what = f"has {key.key_size} bits" if isinstance(key, rsa.RSAPublicKey) else "is not for RSA"
        wanted = f"CPIX encrypts keys by RSA of {LEAST_BITS} bits or more"
        raise UsageError(f"the key of the certificate {what}; {wanted}", where=file, fix=_MAKE)
    return key


def _oaep() -> padding.OAEP:
    """What XML Encryption calls rsa-oaep-mgf1p, the one that CPIX demands. OAEP needs no hash that resists collisions."""
    sha1 = hashes.SHA1()  # noqa: S303 - as above
    return padding.OAEP(mgf=padding.MGF1(sha1), algorithm=sha1, label=None)
