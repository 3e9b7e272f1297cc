"""Which names the admin listener answers to. Pure.

The problem is DNS rebinding. A page of a stranger, open in a browser on this machine, asks for
http://attacker.example:9180/status. The name was the stranger's server a moment ago; now its DNS
says 127.0.0.1. For the browser that is the page's own origin, so the page may read the answer. The
listener on loopback, which no other machine can reach, is then read by whoever owns a web page.

What gives it away is the Host field, which the browser sets and the page cannot change: it has the
stranger's name. So where a connection has come to a loopback address, the host must be a name that
no stranger can have: an IP address, localhost or a name below it (RFC 6761 section 6.3), the name
of this machine, or the host that the operator has written in --admin-bind. Jupyter and
webpack-dev-server do the same.

Elsewhere the check would do harm: a scraper comes by whatever name its cluster gives us. There, and
on loopback too, a token stops such a page, since a browser sends one origin's credentials to no
other; so with a token no name is checked. Nor is it where health is asked for, which tells
strangers next to nothing, and probes come by any name. A Unix socket cannot be reached by a page at
all. A client of HTTP/1.0 that sends no Host is no browser.
"""

from collections.abc import Collection
from ipaddress import ip_address

from ...protocol.messages import Address


def answers_to(host: str, server: Address | None, ours: Collection[str]) -> bool:
    """Whether a request for `host` (in lower case, without port) that came to the address `server`
    is answered. `ours` are the names that the operator or the machine has given us, in lower
    case."""
    if not host or server is None or server[1] is None or not _is_loopback(server[0]):
        return True
    name = host.rstrip(".")
    return (
        name == "localhost"
        or name.endswith(".localhost")
        or name in ours
        or _is_address(name.removeprefix("[").removesuffix("]"))
    )


def _is_loopback(text: str) -> bool:
    try:
        return ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _is_address(text: str) -> bool:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
