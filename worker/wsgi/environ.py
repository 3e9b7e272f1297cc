"""The PEP 3333 environ of a call."""

import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, Protocol, cast

from ...protocol.messages import Scope
from ..app.request_scope import UnknownCallType, below_root, path_bytes

_FILE_BLOCK: Final = 65_536


class FileWrapper:
    """`wsgi.file_wrapper`: a file as an iterable of blocks (PEP 3333, platform-specific files)."""

    def __init__(self, filelike: "Readable", block_size: int = _FILE_BLOCK) -> None:
        self.file = filelike
        self._block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        while block := self.file.read(self._block_size):
            yield block


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def close(self) -> None: ...


_CONSTANT: Final[dict[str, object]] = {
    "wsgi.version": (1, 0),
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    # The input knows the body's end: a read behind it gives b"".
    "wsgi.input_terminated": True,
    "wsgi.file_wrapper": FileWrapper,
    "SERVER_SOFTWARE": "propylon",
}


@lru_cache(maxsize=1024)
def _key(name: bytes) -> str:
    """The environ's key for a header; "" for a header that must not get there."""
    # X_Forwarded_For would collide with X-Forwarded-For.
    return "" if b"_" in name else _key_of_any(name)


@lru_cache(maxsize=1024)
def _key_of_any(name: bytes) -> str:
    """The environ's key for a header, also for a name with underscores."""
    if name == b"proxy":
        # HTTP_PROXY would direct outgoing requests of the app's libraries (httpoxy, CVE-2016-5385).
        return ""
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def wsgi_environ(scope: Scope, *, underscores: bool = False) -> dict[str, object]:
    """The environ without `wsgi.input`. Its texts are "native": bytes decoded as latin-1.

    `underscores` says whether fields with an underscore in their names are taken, which is so if
    the gateway passes them on (`--header-map dangerous`).
    """
    kind, version, method, scheme, raw_path, query, root, headers, client, server, more = scope
    if kind != "http":
        raise UnknownCallType(f"a worker of this release serves no {kind!r} calls")
    path = path_bytes(raw_path).decode("latin-1")
    uri = raw_path.decode("latin-1")
    query_string = query.decode("latin-1")
    # root_path is a text; all texts of an environ are bytes decoded as latin-1.
    script_name = root.encode().decode("latin-1").rstrip("/")
    rest = below_root(path, script_name)
    environ: dict[str, object] = _CONSTANT.copy()
    environ["wsgi.errors"] = sys.stderr
    environ["wsgi.url_scheme"] = scheme
    environ["REQUEST_METHOD"] = method
    environ["SCRIPT_NAME"] = script_name
    environ["PATH_INFO"] = path if rest is None else rest
    environ["QUERY_STRING"] = query_string
    # Both names are in use for the target as the client sent it: uWSGI's, and gunicorn's.
    environ["REQUEST_URI"] = environ["RAW_URI"] = f"{uri}?{query_string}" if query_string else uri
    # A CGI version has two numbers (RFC 3875 section 4.1.16), and some frameworks take it apart.
    environ["SERVER_PROTOCOL"] = "HTTP/2.0" if version == "2" else f"HTTP/{version}"
    _add_headers(environ, headers, _key_of_any if underscores else _key)
    if scheme == "https":
        _add_tls(environ, (more or {}).get("tls"))
    if client is None or client[1] is None:
        environ["REMOTE_ADDR"] = ""  # a client on a Unix socket has none, but apps expect the key
    else:
        environ["REMOTE_ADDR"] = client[0]
        if client[1]:  # 0: a proxy named the address only
            environ["REMOTE_PORT"] = str(client[1])
    name, port = server if server is not None else ("", None)
    if port is None:  # a Unix socket has neither host nor port; the Host field is the next best
        name, port = _host_and_port(str(environ.get("HTTP_HOST") or "localhost"))
        port = port or ("443" if scheme == "https" else "80")
    environ["SERVER_NAME"] = name
    environ["SERVER_PORT"] = str(port)
    return environ


def _host_and_port(authority: str) -> tuple[str, str]:
    """The two parts of a Host field: an IPv6 address without its brackets, and a port or ""."""
    name, _, port = authority.partition(":")
    if name.startswith("["):
        name, _, port = authority[1:].partition("]")
        port = port.removeprefix(":")
    return name, port


_PROTOCOLS: Final = {0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}
_CIPHERS: Final = {
    0x1301: "TLS_AES_128_GCM_SHA256", 0x1302: "TLS_AES_256_GCM_SHA384",
    0x1303: "TLS_CHACHA20_POLY1305_SHA256", 0xC02B: "ECDHE-ECDSA-AES128-GCM-SHA256",
    0xC02C: "ECDHE-ECDSA-AES256-GCM-SHA384", 0xC02F: "ECDHE-RSA-AES128-GCM-SHA256",
    0xC030: "ECDHE-RSA-AES256-GCM-SHA384", 0xCCA8: "ECDHE-RSA-CHACHA20-POLY1305",
    0xCCA9: "ECDHE-ECDSA-CHACHA20-POLY1305",
}  # fmt: skip
"""OpenSSL's names of the suites that clients of today agree on (RFC 8446, RFC 5289, RFC 7905). The
tls extension has only their numbers."""


def _add_tls(environ: dict[str, object], tls: object) -> None:
    """Adds Apache's variables, as PEP 3333 asks (mod_ssl, SSLOptions +StdEnvVars +ExportCertData),
    each only where it is known. All but HTTPS exist only if the gateway itself has terminated
    TLS: a proxy that did tells nothing of it."""
    environ["HTTPS"] = "on"
    if not isinstance(tls, dict):
        return
    facts = cast("dict[str, object]", tls)
    if protocol := _PROTOCOLS.get(cast("int", facts.get("tls_version"))):
        environ["SSL_PROTOCOL"] = protocol
    if cipher := _CIPHERS.get(cast("int", facts.get("cipher_suite"))):
        environ["SSL_CIPHER"] = cipher
    if certificate := facts.get("server_cert"):
        environ["SSL_SERVER_CERT"] = certificate
    chain = cast("tuple[str, ...]", facts.get("client_cert_chain") or ())
    if error := facts.get("client_cert_error"):
        environ["SSL_CLIENT_VERIFY"] = f"FAILED:{error}"
    else:
        environ["SSL_CLIENT_VERIFY"] = "SUCCESS" if chain else "NONE"
    if chain:
        environ["SSL_CLIENT_CERT"] = chain[0]
        for number, certificate in enumerate(chain[1:]):
            environ[f"SSL_CLIENT_CERT_CHAIN_{number}"] = certificate
        # Texts of an environ are bytes decoded as latin-1.
        subject = str(facts.get("client_cert_name"))
        environ["SSL_CLIENT_S_DN"] = subject.encode().decode("latin-1")


def _add_headers(
    environ: dict[str, object],
    headers: tuple[tuple[bytes, bytes], ...],
    key_of: Callable[[bytes], str],
) -> None:
    for name, value in headers:
        key = key_of(name)
        if not key:
            continue
        text = value.decode("latin-1")
        if key in environ:
            # RFC 9110 section 5.3; cookies are joined as in RFC 6265 section 5.4.
            joint = "; " if key == "HTTP_COOKIE" else ", "
            text = f"{environ[key]}{joint}{text}"
        environ[key] = text
