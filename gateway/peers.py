"""Sets of peers that an operator trusts: addresses, networks, `unix`, `*`. A leaf, and pure."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from ..protocol.messages import Address

Network = IPv4Network | IPv6Network


class PeerSet:
    """A set of trusted peers. Raises ValueError with a sentence for a text that names no peer."""

    def __init__(self, texts: Iterable[str]) -> None:
        names = set(texts)
        self.everybody = "*" in names
        """Whether every peer that connects is trusted. An address that a proxy only names is
        trusted if one of the networks has it."""
        self._unix = self.everybody or "unix" in names
        networks = tuple(read_network(name) for name in sorted(names - {"*", "unix"}))
        self._of_version = {
            version: tuple(network for network in networks if network.version == version)
            for version in (4, 6)
        }
        self.names = lru_cache(maxsize=4096)(self._names)

    def has(self, peer: Address | None) -> bool:
        """Whether a connection's peer is in the set; None is a peer on a Unix socket."""
        if peer is None:
            return self._unix
        return self.everybody or self.names(peer[0])

    def _names(self, host: str) -> bool:
        """Whether an address is in one of the networks; `*` has none."""
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return False
        return any(address in network for network in self._of_version[address.version])


def read_network(text: str) -> Network:
    """Reads a network; an address is a network of one. Raises ValueError with a sentence."""
    try:
        network = ip_network(text)
    except ValueError:
        pass
    else:
        mapped = network.network_address
        if isinstance(mapped, IPv6Address) and mapped.ipv4_mapped and network.prefixlen >= 96:
            return IPv4Network((mapped.ipv4_mapped, network.prefixlen - 96))
        return network
    try:
        whole = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"{text} is none of an address, a network as in 10.0.0.0/8, unix, and * for everybody"
        ) from None
    raise ValueError(f"{text} is an address in a network; the network is written {whole}")


def unmapped(host: str) -> str:
    """The IPv4 address of a client that a dual-stack socket shows as IPv6 (RFC 4291 section
    2.5.5.2); any other host as it is."""
    if host.startswith("::ffff:") and "." in host:
        return host[7:]
    return host
