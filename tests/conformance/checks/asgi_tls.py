"""tls.rst, and what else is different over TLS."""

import re
import ssl
from typing import Any

from ..calls import AsgiCall, WsgiCall
from ..check import TLS, Check, NotOffered, expect
from ..faults import Fault
from ..target import Visit
from .scopes import HttpScope, WebSocketScope, scope_check

PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.S)
_WRONG: dict[str, Any] = {"extensions": {"tls": {"server_cert": 1}}}

for _kind, _secure, _plain in ((HttpScope, "https", "http"), (WebSocketScope, "wss", "ws")):
    scope_check(
        _kind, "scheme-over-tls", "must",
        f'``scheme`` (*Unicode string*) -- URL scheme portion (likely ``"{_plain}"`` or '
        f'``"{_secure}"``).',
        lambda seen, secure=_secure: seen.scope.get("scheme") == secure,
        {"scheme": _plain}, tls=True,
    )  # fmt: skip


class _Tls(Check):
    family, text, section, tls = "tls", TLS, "TLS Connection Scope", True
    level = "must"

    async def app(self, call: AsgiCall) -> None:
        await call.tell(call.scope.get("extensions") or {})

    def extension(self, visit: Visit) -> dict[str, Any]:
        extensions = visit.told()
        if "tls" not in extensions:
            raise NotOffered("no tls in the scope's extensions")
        return extensions["tls"]


def wrong(**entries: Any) -> Fault:
    return Fault(scope={"extensions": {"tls": {
        "server_cert": None, "tls_version": None, "cipher_suite": None, **entries,
    }}})  # fmt: skip


class TlsIsForbiddenWithoutTls(_Tls):
    section, tls = "When to use this extension", False
    says = "For non-TLS connections, the ASGI server is forbidden from providing this extension."
    fault = wrong()

    def ask(self, visit: Visit) -> None:
        expect("tls" not in visit.told(), "the scope has the extension tls")


class TlsServerCertificate(_Tls):
    says = (
        "``server_cert`` (*Unicode string or None*) -- The PEM-encoded conversion of the x509 "
        "certificate sent by the server when establishing the TLS connection. … Mandatory."
    )
    fault = wrong(server_cert="")

    def ask(self, visit: Visit) -> None:
        cert = self.extension(visit)["server_cert"]
        if cert is None:
            return  # "may be unable to provide this"
        own = PEM.search(visit.target.certificate)
        assert own
        expect(ssl.PEM_cert_to_DER_cert(cert) == ssl.PEM_cert_to_DER_cert(own[0]), f"{cert!r}")


class TlsVersion(_Tls):
    says = (
        "``tls_version`` (*integer or None*) -- The TLS version in use. … Common values include "
        "``0x0303`` for TLS 1.2 or ``0x0304`` for TLS 1.3. … Mandatory."
    )
    fault = wrong(tls_version=1.3)

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            used = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}[connection.sock.version()]
        version = self.extension(visit)["tls_version"]
        expect(version in (None, used), f"{version} instead of {used}")


class TlsCipherSuite(_Tls):
    says = (
        "``cipher_suite`` (*integer or None*) -- The TLS cipher suite that is being used. This is "
        "a 16-bit unsigned integer that encodes the pair of 8-bit integers specified in the "
        "relevant RFC, in network byte order. … Mandatory."
    )
    fault = wrong(cipher_suite="TLS_AES_256_GCM_SHA384")

    def ask(self, visit: Visit) -> None:
        context = visit.target.context
        assert context
        numbers = {one["name"]: one["id"] & 0xFFFF for one in context.get_ciphers()}
        with visit.connect() as connection:
            used = numbers[connection.sock.cipher()[0]]
        suite = self.extension(visit)["cipher_suite"]
        expect(suite in (None, used), f"{suite} instead of {used:#x}")


class TlsWithoutAClientCertificate(_Tls):
    says = (
        "If the client did not provide a client certificate then it will be an empty iterable. … "
        "If the client did not provide a client certificate then it will be ``None``. … ``None`` "
        "if a client certificate was provided and successfully verified, or was not provided."
    )
    fault = wrong(client_cert_chain=[""], client_cert_name="", client_cert_error="none")

    def ask(self, visit: Visit) -> None:
        found = self.extension(visit)
        expect(not list(found.get("client_cert_chain") or ()), f"{found}")
        expect(found.get("client_cert_name") is None, f"{found}")
        expect(found.get("client_cert_error") is None, f"{found}")


class _WsgiTls(Check):
    family, text, section, tls = "wsgi", "pep-3333", "environ Variables", True

    def wsgi(self, call: WsgiCall) -> Any:
        keys = ("wsgi.url_scheme", "HTTPS", "SSL_PROTOCOL", "SSL_CIPHER")
        return call.tell({key: call.environ.get(key) for key in keys})


class UrlSchemeOverTls(_WsgiTls):
    level = "must"
    says = (
        '``wsgi.url_scheme`` … Normally, this will have the value ``"http"`` or ``"https"``, as '
        "appropriate."
    )
    fault = Fault(environ={"wsgi.url_scheme": "http"})

    def ask(self, visit: Visit) -> None:
        scheme = visit.told()["wsgi.url_scheme"]
        expect(scheme == "https", f"wsgi.url_scheme is {scheme!r}")


class SslVariablesOverTls(_WsgiTls):
    level = "should"
    says = (
        "In addition, if SSL is in use, the server or gateway **should** also provide as many of "
        "the Apache SSL environment variables [5]_ as are applicable, such as ``HTTPS=on`` and "
        "``SSL_PROTOCOL``."
    )
    fault = Fault(environ={"HTTPS": "", "SSL_PROTOCOL": None})

    def ask(self, visit: Visit) -> None:
        found = visit.told()
        expect(found["HTTPS"] == "on", f"HTTPS is {found['HTTPS']!r}")
        with visit.connect() as connection:
            used = connection.sock.version()
        expect(found["SSL_PROTOCOL"] == used, f"SSL_PROTOCOL is {found['SSL_PROTOCOL']!r}")
