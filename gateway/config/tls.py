"""The options of TLS: what they mean together, and whether their files can be used."""

import os
from collections.abc import Sequence
from typing import Final

from ..listen.address import Address, UnixAddress, speaks_tls
from ..settings import CertificateFiles, TlsSettings
from ..tls.certificates import expiring, unusable
from ..tls.http2_ciphers import forbidden
from ..tls.session import known_ciphers
from .faults import Fault
from .option import GATEWAY_SIDE, Verb
from .options import Options
from .sources import Sources

_NEED_A_CERTIFICATE: Final = (
    "ssl_keyfile", "ssl_keyfile_password", "ssl_ca_certs", "redirect_to_https",
)  # fmt: skip
"""Options that have no meaning without a certificate. An operator who gives one of them expects
TLS, so a missing certificate is a fault."""

MOST_NAMED: Final = 4
"""Ciphers that a note names."""


def tls_settings(options: Options) -> TlsSettings:
    """The settings that the options make. Paths become absolute; symbolic links in them are not
    resolved, because a renewal may replace the link."""
    keys = options.ssl_keyfile or ("",) * len(options.ssl_certfile)
    return TlsSettings(
        certificates=tuple(
            CertificateFiles(certfile=_absolute(certfile), keyfile=_absolute(keyfile))
            for certfile, keyfile in zip(options.ssl_certfile, keys, strict=False)
        ),
        keyfile_password=options.ssl_keyfile_password,
        ca_certs=_absolute(options.ssl_ca_certs),
        cert_reqs=options.ssl_cert_reqs,
        ciphers=options.ssl_ciphers,
        alpn=("h2", "http/1.1") if options.http2 else ("http/1.1",),
        handshake_timeout=options.ssl_handshake_timeout,
        max_handshakes=options.ssl_max_handshakes,
        redirect=options.redirect_to_https,
        https_port=options.https_port,
    )


def _absolute(path: str) -> str:
    return os.path.abspath(path) if path else ""


def check_tls(options: Options, found: Sources, addresses: Sequence[Address]) -> list[Fault]:
    """Returns every fault of these options and of the files that they name."""
    if not options.ssl_certfile:
        return [
            Fault(found[name].origin, "it needs a certificate: --ssl-certfile")
            for name in _NEED_A_CERTIFICATE
            if getattr(options, name)
        ]
    faults: list[Fault] = []
    certificates, keys = len(options.ssl_certfile), len(options.ssl_keyfile)
    if keys not in (0, certificates):
        problem = f"found {keys} for {certificates} certificates; each has its own, in their order"
        faults.append(Fault(found["ssl_keyfile"].origin, problem))
    if options.ssl_cert_reqs != "none" and not options.ssl_ca_certs:
        problem = f"found {options.ssl_cert_reqs!r}; say whose, with --ssl-ca-certs"
        faults.append(Fault(found["ssl_cert_reqs"].origin, problem))
    if options.ssl_ciphers and not known_ciphers(options.ssl_ciphers):
        problem = f"found {options.ssl_ciphers!r}, of which OpenSSL knows none"
        faults.append(Fault(found["ssl_ciphers"].origin, problem))
    if options.redirect_to_https and not any(map(speaks_tls, addresses)):
        problem = "nothing listens with TLS: a Unix socket never does"
        faults.append(Fault(found["redirect_to_https"].origin, problem))
    if keys in (0, certificates):
        settings = tls_settings(options)
        faults += [Fault("", sentence) for sentence in unusable(settings)]
    return faults


def notes_on_tls(verb: Verb, options: Options, addresses: Sequence[Address]) -> list[str]:
    """Notes about what is allowed, but perhaps not meant. The options have no fault."""
    if verb not in GATEWAY_SIDE or not options.ssl_certfile:
        return []
    notes = expiring(tls_settings(options))
    if options.ssl_ca_certs and options.ssl_cert_reqs == "none":
        notes.append("clients are not asked for certificates: --ssl-cert-reqs is none")
    if not any(map(speaks_tls, addresses)):
        notes.append("nothing listens with TLS: a Unix socket never does")
    notes += _notes_on_ciphers(options)
    plain = [one for one in addresses if not speaks_tls(one) and not isinstance(one, UnixAddress)]
    if options.redirect_to_https and not plain:
        notes.append("nothing is redirected to https: there is no --insecure-bind")
    return notes


def _notes_on_ciphers(options: Options) -> list[str]:
    listed = forbidden(known_ciphers(options.ssl_ciphers)) if options.ssl_ciphers else []
    if not options.http2 or not listed:
        return []
    names = ", ".join(listed[:MOST_NAMED]) + (", ..." if len(listed) > MOST_NAMED else "")
    return [
        f"--ssl-ciphers has {names}: HTTP/2 forbids "
        f"{'it' if len(listed) == 1 else 'them'} (RFC 9113 appendix A), and its clients that get "
        "no other are refused; leave out what HTTP/2 forbids, or say --no-http2"
    ]
