"""The markup of CPIX documents: names, reading and writing of XML. What the elements mean is in ``cpix.py`` and ``cpix_encryption.py``.

In:   the bytes of a document, which are untrusted; elements.
Out:  elements; the bytes of a document.
Wrong: UsageError for what is no CPIX document. None quotes the document.

Documents come without a DTD, so that no entity can grow or fetch anything.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from xml.etree import ElementTree

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from vidpipe.errors import UsageError

CPIX = "urn:dashif:org:cpix"
PSKC = "urn:ietf:params:xml:ns:keyprov:pskc"
XMLENC = "http://www.w3.org/2001/04/xmlenc#"
XMLDSIG = "http://www.w3.org/2000/09/xmldsig#"
_PREFIXES = {"cpix": CPIX, "pskc": PSKC, "enc": XMLENC, "ds": XMLDSIG}
MOST_BYTES = 4_000_000
"""A document with thousands of keys is smaller."""
NOT_USABLE = "this is no CPIX document that can be used: "
DOCUMENT_FIX = "ask whoever made it for CPIX 2.3, with keys in clear or encrypted to the certificate in delivery_certificate"


def new_document(**attributes: str) -> ElementTree.Element:
    """Return the root of a new document."""
    for prefix, name in _PREFIXES.items():
        ElementTree.register_namespace(prefix, name)
    return ElementTree.Element(f"{{{CPIX}}}CPIX", attributes)


def child(parent: ElementTree.Element, name: str, space: str = CPIX, **attributes: str) -> ElementTree.Element:
    """Add an element."""
    return ElementTree.SubElement(parent, f"{{{space}}}{name}", attributes)


def written(root: ElementTree.Element) -> bytes:
    """Return the bytes of a document."""
    ElementTree.indent(root, " ")
    data: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return data + b"\n"


def parsed(data: bytes, where: str) -> ElementTree.Element:
    """Return the root of a document. Raises UsageError if it is none."""
    if len(data) > MOST_BYTES:
        raise refused(f"it is larger than {MOST_BYTES} bytes", where)
    try:
        root: ElementTree.Element = fromstring(data, forbid_dtd=True)
    except (ElementTree.ParseError, ValueError) as problem:
        # "from None": what the parser says may quote the document.
        raise refused("it has a DTD" if isinstance(problem, DefusedXmlException) else "it is no XML", where) from None
    if root.tag != f"{{{CPIX}}}CPIX":
        raise refused("its root is not CPIX", where)
    return root


def decoded(text: str | None) -> bytes | None:
    """Return what base64 says; None if it is none."""
    try:
        return base64.b64decode("".join((text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def key_id_of(kid: str | None, where: str, name: str = "kid") -> str:
    """Return a key id as vidpipe writes it. Raises UsageError if it is no UUID. name: of the attribute."""
    try:
        return uuid.UUID(kid or "").hex
    except ValueError:
        raise refused(f"a {name} is not a UUID", where) from None


def kid_of(key_id: str) -> str:
    """Return a key id as CPIX writes it."""
    return str(uuid.UUID(key_id))


def refused(what: str, where: str, fix: str = DOCUMENT_FIX) -> UsageError:
    """Return the error that says why a document cannot be used."""
    return UsageError(f"{NOT_USABLE}{what}", where=where, fix=fix)
