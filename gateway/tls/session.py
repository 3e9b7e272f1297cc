"""The adapter for OpenSSL: certificates become contexts, and each connection has a session.

A session is TLS without a socket (`SSLObject` with two memory buffers), like the other machines of
the gateway. It was measured beside a non-blocking `SSLSocket`, in microseconds of CPU for a
keep-alive request of a bare epoll loop: 7.9 against 8.3 for 5 bytes, 26.5 against 36 for 60 KB.
One `recv` takes what OpenSSL would fetch with two system calls for each record, and one `send`
takes many records. All bytes that have arrived are decrypted at once, so no byte is left where
epoll cannot see it, and writing never has to wait for reading.
"""

import errno
import os
import ssl
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from ..settings import CertificateFiles, TlsSettings
from .x509 import Certificate, certificates_in, pem_of, read_certificate

CIPHERS: Final = ":".join((
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
))  # fmt: skip
"""Ciphers of TLS 1.2: Mozilla's "intermediate" list without finite-field DHE, which costs much and
is needed only by clients without elliptic curves. TLS 1.3 has its own ciphers, and all are good."""

CERT_REQS: Final = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}
RECORD: Final = 16_384
"""Bytes of plain text in a TLS record at most (RFC 8446 section 5.1)."""

VERSIONS: Final = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


_MISMATCH: Final = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}
"""OpenSSL's reasons for a key that does not belong to the certificate. The last one means that the
key is of another type."""


class CertificateError(Exception):
    """A certificate, key or CA file cannot be used. The message is its path and the reason."""

    def __init__(self, path: str, reason: str, *, missing: bool = False) -> None:
        """`missing` says that there is no such file."""
        super().__init__(f"{path}: {reason}")
        self.missing = missing


class TlsError(ConnectionError):
    """The client's TLS does not fit ours, or was broken off. It is an OSError, as any dead
    connection raises."""


# -- certificates ----------------------------------------------------------------------------


class ServerContext(ssl.SSLContext):
    """OpenSSL's settings with one certificate, and the facts about them for ASGI's `tls` extension.
    A session asks its own context for these facts, since the certificates may have been reloaded
    after its handshake began."""

    pem: str
    cipher_suites: Mapping[str, int]
    """OpenSSL's name of a cipher -> its IANA number."""


@dataclass(frozen=True, slots=True, eq=False)
class ServerCertificate:
    """One certificate with its key, ready for handshakes."""

    files: CertificateFiles
    certificate: Certificate
    context: ServerContext


def load_certificate(
    files: CertificateFiles, settings: TlsSettings, now: float | None
) -> ServerCertificate:
    """Loads a certificate and its key. Raises CertificateError, also if `now` (in seconds since the
    epoch) is outside of the certificate's dates; None does not check them."""
    path, key_path = files.certfile, files.keyfile or files.certfile
    try:
        ders = certificates_in(_read(path, settings.copies))
        if not ders:
            raise CertificateError(path, "there is no certificate in it (PEM is expected)")
        certificate = read_certificate(ders[0])
    except ValueError:
        raise CertificateError(path, "the certificate in it is malformed") from None
    if b"PRIVATE KEY-----" not in _read(key_path, settings.copies):
        hint = "" if files.keyfile else "; name its file with --ssl-keyfile"
        raise CertificateError(key_path, f"there is no private key in it{hint}")
    context = _context(settings)
    context.pem = pem_of(ders[0])
    _load_pair(context, path, key_path, settings)
    if now is not None and now > certificate.not_after:
        raise CertificateError(path, f"the certificate expired on {_day(certificate.not_after)}")
    if now is not None and now < certificate.not_before:
        day = _day(certificate.not_before)
        raise CertificateError(path, f"the certificate is not valid before {day}")
    return ServerCertificate(files, certificate, context)


def check_ca_certs(path: str) -> None:
    """Raises CertificateError if a CA file cannot be used."""
    _trust(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), path, {})


def known_ciphers(ciphers: str) -> list[str]:
    """The ciphers that OpenSSL understands by such a text, by their names, those of TLS 1.3 among
    them; none if it knows none of TLS 1.2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.set_ciphers(ciphers)
    except ssl.SSLError:
        return []
    return [row["name"] for row in cast("list[dict[str, Any]]", context.get_ciphers())]


def _context(settings: TlsSettings) -> ServerContext:
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(settings.alpn)
    context.set_ciphers(settings.ciphers or CIPHERS)
    if settings.ca_certs:
        _trust(context, settings.ca_certs, settings.copies)
    context.verify_mode = CERT_REQS[settings.cert_reqs]
    ciphers = cast("list[dict[str, Any]]", context.get_ciphers())
    context.cipher_suites = {row["name"]: row["id"] & 0xFFFF for row in ciphers}
    return context


def _trust(context: ssl.SSLContext, path: str, copies: Mapping[str, str]) -> None:
    _read(path, copies)
    try:
        context.load_verify_locations(copies.get(path, path))
    except ssl.SSLError:
        reason = "there is no certificate in it (PEM is expected)"
        raise CertificateError(path, reason) from None


def _load_pair(context: ssl.SSLContext, path: str, key_path: str, settings: TlsSettings) -> None:
    password, copies = settings.keyfile_password, settings.copies
    asked = False

    def give_password() -> str:
        # A password is always given. Without one OpenSSL would ask for it at the terminal.
        nonlocal asked
        asked = True
        return password

    try:
        context.load_cert_chain(
            copies.get(path, path), copies.get(key_path, key_path), give_password
        )
    except ssl.SSLError as exc:
        if exc.reason in _MISMATCH:
            where = "the key in the same file" if path == key_path else f"the key in {key_path}"
            raise CertificateError(path, f"the certificate does not match {where}") from None
        if asked:
            why = ", and the password is wrong" if password else ": give --ssl-keyfile-password"
            raise CertificateError(key_path, f"the key is encrypted{why}") from None
        if not exc.reason:  # the certificate has been read, so the key is at fault
            raise CertificateError(key_path, "the key in it is malformed") from None
        reason = f"OpenSSL does not take certificate and key: {_reason(exc)}"
        raise CertificateError(path, reason) from None
    except (OSError, ValueError) as exc:
        raise CertificateError(key_path, f"the key cannot be used: {exc}") from None


def _read(path: str, copies: Mapping[str, str]) -> bytes:
    try:
        # Opening a FIFO would wait without end, also in the thread that looks for renewals.
        opened = copies.get(path, path)
        with open(os.open(opened, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise CertificateError(path, "cannot be read: it is no regular file")
            return file.read()
    except OSError as exc:
        reason = f"cannot be read: {os.strerror(exc.errno or 0)}"
        raise CertificateError(path, reason, missing=exc.errno == errno.ENOENT) from None


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


class CertificateSet:
    """Certificates, of which a client gets the one for the name that it asks for (SNI, RFC 6066
    section 3), or else the first. A set never changes; a reload makes another."""

    def __init__(self, certificates: Iterable[ServerCertificate]) -> None:
        self.all = tuple(certificates)
        self._named: dict[str, ServerCertificate] = {}
        for one in self.all:
            for name in one.certificate.names:
                self._named.setdefault(name, one)
        self._default = self.all[0].context
        # Every handshake begins with one context, because session tickets need its keys.
        self._default.sni_callback = self._server_name if len(self.all) > 1 else None

    def choose(self, server_name: str) -> ServerCertificate:
        name = server_name.lower().rstrip(".")
        found = self._named.get(name)
        if found is None:  # a wildcard matches one label (RFC 9525 section 6.3)
            found = self._named.get("*." + name.partition(".")[2])
        return found or self.all[0]

    def _server_name(
        self, session: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext
    ) -> None:
        if name is not None:
            session.context = self.choose(name).context

    def wrap(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        return self._default.wrap_bio(incoming, outgoing, server_side=True)


def _facts(session: ssl.SSLObject) -> dict[str, object]:
    """The content of ASGI's `tls` extension (version 0.2 of its specification)."""
    context = session.context
    assert isinstance(context, ServerContext)
    chain = _client_chain(session) if context.verify_mode else []
    cipher = session.cipher()
    return {
        "server_cert": context.pem,
        "client_cert_chain": [pem_of(der) for der in chain],
        "client_cert_name": read_certificate(chain[0]).subject if chain else None,
        # A certificate that does not verify ends the handshake, so this is never an error.
        "client_cert_error": None,
        "tls_version": VERSIONS.get(session.version() or ""),
        "cipher_suite": context.cipher_suites.get(cipher[0]) if cipher else None,
    }


def _client_chain(session: ssl.SSLObject) -> list[bytes]:
    """The certificates that the client has sent, its own first, as DER. Python 3.13 has a public
    method for it, earlier versions only the inner C object. A resumed session remembers only the
    client's own."""
    own = session.getpeercert(binary_form=True)
    if own is None:
        return []
    inner: Any = getattr(session, "_sslobj", None)
    chain: Any = inner.get_unverified_chain() if hasattr(inner, "get_unverified_chain") else None
    if not chain:
        return [own]
    return certificates_in("".join(one.public_bytes() for one in chain).encode())


# -- sessions --------------------------------------------------------------------------------


class TlsSession:
    """The TLS of one connection: encrypted bytes in, plain bytes out, and the other way round."""

    __slots__ = ("_closing", "_incoming", "_outgoing", "_session", "ended")

    def __init__(self, certificates: CertificateSet) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._session = certificates.wrap(self._incoming, self._outgoing)
        self._closing = False
        self.ended = False
        """Whether the client has announced that it will send no more (close_notify)."""

    def handshake(self, data: bytes) -> bool:
        """Takes bytes of the handshake and returns whether it is complete. Raises TlsError. After
        any call, also one that raises, there may be `output` to send."""
        self._incoming.write(data)
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as exc:
            raise TlsError(_reason(exc)) from None
        return True

    def facts(self) -> dict[str, object]:
        """The content of ASGI's `tls` extension. The handshake must be complete."""
        return _facts(self._session)

    @property
    def version(self) -> str:
        """The version of TLS that both sides have agreed on, as OpenSSL names it: TLSv1.3."""
        return self._session.version() or ""

    @property
    def alpn(self) -> str:
        """The protocol that both sides have agreed on (RFC 7301); "" for none."""
        return self._session.selected_alpn_protocol() or ""

    @property
    def cipher(self) -> str:
        """The cipher that both sides have agreed on, as OpenSSL names it."""
        cipher = self._session.cipher()
        return "" if cipher is None else cipher[0]

    def decrypt(self, data: bytes) -> bytes:
        """Takes encrypted bytes and returns all plain text that they complete. Raises TlsError."""
        incoming = self._incoming
        incoming.write(data)
        if self._closing:
            incoming.read()  # after `close` nothing is read any more
            return b""
        read = self._session.read
        try:
            plain = read(RECORD)
            if not incoming.pending:
                self.ended = not plain
                return plain
            pieces = [plain]
            try:
                while incoming.pending and plain:
                    plain = read(RECORD)
                    pieces.append(plain)
            except ssl.SSLWantReadError:
                pass
            self.ended = not plain
            return b"".join(pieces)
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLError as exc:
            raise TlsError(_reason(exc)) from None

    def encrypt(self, data: bytes) -> bytes:
        """Returns the records to send, behind any `output` that waits. Raises TlsError."""
        write = self._session.write
        try:
            sent = write(data) if data else 0
            if sent < len(data):  # each `write` makes one record
                rest = memoryview(data)[sent:]
                while rest:
                    rest = rest[write(rest) :]
        except ssl.SSLError as exc:
            raise TlsError(_reason(exc)) from None
        return self._outgoing.read()

    @property
    def output(self) -> bytes:
        """Bytes to send that are not the connection's own data: handshake, tickets, key updates,
        alerts. Reading it takes them."""
        return self._outgoing.read() if self._outgoing.pending else b""

    def close(self) -> bytes:
        """Returns our close_notify, to be sent. Nothing is decrypted or encrypted afterwards."""
        if not self._closing:
            self._closing = True
            try:
                self._session.unwrap()
            except (ssl.SSLError, ValueError):
                pass  # the client's own close_notify is not waited for
        return self._outgoing.read()


def _reason(exc: ssl.SSLError) -> str:
    """OpenSSL's reason as the log writes it: "no shared cipher"."""
    if isinstance(exc, ssl.SSLEOFError):
        return "the client broke off"
    return (exc.reason or str(exc)).lower().replace("_", " ")
