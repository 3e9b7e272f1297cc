"""The options of trust: which peers are proxies of ours, and which of their fields are used."""

from ..listen.address import Address, UnixAddress
from ..settings import TrustSettings
from .options import Options
from .sources import Sources


def trust_settings(options: Options) -> TrustSettings:
    """The settings that the options make.

    Most proxies set X-Forwarded-For and X-Forwarded-Proto, and pass on the other fields as clients
    wrote them. So only these two are trusted by default, as in uvicorn; others have to be named.
    """
    return TrustSettings(
        forwarded_allow_ips=options.forwarded_allow_ips if options.proxy_headers else (),
        forwarded_fields=options.forwarded_fields,
        proxy_protocol=options.proxy_protocol,
        proxy_allow_from=options.proxy_allow_from,
    )


def notes_on_trust(
    trust: TrustSettings, found: Sources, addresses: tuple[Address, ...]
) -> list[str]:
    """Notes about what is allowed, but perhaps not meant."""
    trusted = trust.forwarded_allow_ips
    notes: list[str] = []
    if "*" in trusted:
        notes.append(
            "--forwarded-allow-ips=* believes whoever connects: anybody who can reach this port "
            "without the proxy can say who and where it is"
        )
    elif (
        trusted
        and "unix" not in trusted
        and any(isinstance(address, UnixAddress) for address in addresses)
    ):
        notes.append(
            "a proxy on the Unix socket is not believed: --forwarded-allow-ips does not name unix"
        )
    if "proxy_allow_from" in found and not trust.proxy_protocol:
        notes.append(f"{found['proxy_allow_from'].origin} does nothing without --proxy-protocol")
    return notes
