"""Reads what a server must know of a certificate: names, dates, subject (RFC 5280). Pure.

Python's ssl module gives these facts only for a certificate that a peer has sent and that was
verified, and not for the server's own. They stand in nine fields of DER, which are read here.
"""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_PEM = re.compile(
    rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----(.+?)-----END (?:X509 |TRUSTED )?CERTIFICATE",
    re.DOTALL,
)

# Tags of X.690.
_OID: Final = 0x06
_UTC_TIME: Final = 0x17
_VERSION: Final = 0xA0
_EXTENSIONS: Final = 0xA3
_DNS_NAME: Final = 0x82
_STRINGS: Final = {
    0x0C: "utf-8", 0x12: "utf-8", 0x13: "utf-8", 0x14: "latin-1", 0x16: "utf-8",
    0x1C: "utf-32-be", 0x1E: "utf-16-be",
}  # fmt: skip
"""Tag of a string type -> its encoding. Types that should hold ASCII are read with what some
certificates put there."""

_SUBJECT_ALT_NAME: Final = "2.5.29.17"
_COMMON_NAME: Final = "2.5.4.3"
_SHORT_NAMES: Final = {
    _COMMON_NAME: "CN", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU",
    "2.5.4.6": "C", "2.5.4.9": "STREET", "0.9.2342.19200300.100.1.25": "DC",
    "0.9.2342.19200300.100.1.1": "UID",
}  # fmt: skip
"""OID of an attribute -> its short name (RFC 4514 section 3). An attribute without one is written
as its number, with its value in hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Certificate:
    subject: str
    """The subject as RFC 4514 writes it: "CN=example.com,O=Example"."""
    names: tuple[str, ...]
    """Host names in lower case, perhaps with a wildcard; the common name if there are none."""
    not_before: float
    """Seconds since the epoch."""
    not_after: float


def certificates_in(pem: bytes) -> list[bytes]:
    """The certificates of a PEM file, as DER, in the file's order. Raises ValueError."""
    return [base64.b64decode(match[1], validate=False) for match in _PEM.finditer(pem)]


def pem_of(der: bytes) -> str:
    text = base64.encodebytes(der).replace(b"\n", b"").decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])


def read_certificate(der: bytes) -> Certificate:
    """Reads a certificate. Raises ValueError if the bytes are not one."""
    try:
        certificate = _first(der)
        fields = list(_parts(_first(certificate.body).body))
        if fields[0].tag == _VERSION:
            del fields[0]
        validity, subject = fields[3], fields[4]
        not_before, not_after = (_time(part) for part in _parts(validity.body))
        relative = [list(_parts(one.body)) for one in _parts(subject.body)]
        attributes = [[tuple(_parts(pair.body)) for pair in one] for one in relative]
        common = [
            _text(value)
            for one in attributes
            for kind, value in one
            if _oid(kind.body) == _COMMON_NAME
        ]
        names = [_text(part) for part in _alternative_names(fields) if part.tag == _DNS_NAME]
    except (IndexError, UnicodeDecodeError) as exc:
        raise ValueError("not a certificate") from exc
    return Certificate(
        subject=",".join("+".join(_attribute(*pair) for pair in one) for one in attributes[::-1]),
        names=tuple(name.lower() for name in names or common),
        not_before=not_before,
        not_after=not_after,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    tag: int
    body: bytes
    whole: bytes


def _parts(data: bytes) -> Iterator[_Part]:
    """The elements of a constructed value, one after the other (X.690 section 8.1)."""
    start = 0
    while start < len(data):
        at = start + 2
        length = data[start + 1]
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(data[at : at + count], "big")
            at += count
        end = at + length
        if end > len(data):
            raise ValueError("not a certificate: it is cut off")
        yield _Part(data[start], data[at:end], data[start:end])
        start = end


def _first(data: bytes) -> _Part:
    for part in _parts(data):
        return part
    raise ValueError("not a certificate: it is empty")


def _alternative_names(fields: list[_Part]) -> Iterator[_Part]:
    for field in fields:
        if field.tag != _EXTENSIONS:
            continue
        for extension in _parts(_first(field.body).body):
            kind, *_, value = _parts(extension.body)
            if kind.tag == _OID and _oid(kind.body) == _SUBJECT_ALT_NAME:
                yield from _parts(_first(value.body).body)


def _time(part: _Part) -> float:
    """A time in seconds since the epoch. A year of two digits is one from 1950 to 2049 (RFC 5280
    section 4.1.2.5)."""
    text = part.body.decode("ascii")
    if part.tag == _UTC_TIME:
        text = ("19" if text >= "5" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _oid(body: bytes) -> str:
    numbers = [min(body[0] // 40, 2), body[0] - 40 * min(body[0] // 40, 2)]
    number = 0
    for byte in body[1:]:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    return ".".join(map(str, numbers))


def _text(part: _Part) -> str:
    return part.body.decode(_STRINGS.get(part.tag, "latin-1"), "replace")


def _attribute(kind: _Part, value: _Part) -> str:
    oid = _oid(kind.body)
    name = _SHORT_NAMES.get(oid)
    if name is None or value.tag not in _STRINGS:
        return f"{name or oid}=#{value.whole.hex()}"
    plain = _text(value)
    text = re.sub(r'(["+,;<>\\])', r"\\\1", plain).replace("\0", "\\00")
    if plain[1:].endswith(" "):
        text = text[:-1] + "\\ "
    if plain[:1] in ("#", " "):
        text = "\\" + text
    return f"{name}={text}"
