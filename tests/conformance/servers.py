"""The servers that are checked, each by a command as somebody would type it, with its defaults.

One worker process each, since an app's notes are in its memory (`calls.py`). In a command `{app}`
is the application's address, `{port}` the port on 127.0.0.1, `{folder}` a directory of its own, and
`{python}` this interpreter.
"""

import importlib.util
from dataclasses import dataclass
from typing import Literal

from ..compare.versions import version_of

TLS = "--ssl-certfile {chain} --ssl-keyfile {key}"


@dataclass(frozen=True, kw_only=True)
class Server:
    interface: Literal["asgi", "wsgi"]
    package: str
    command: str
    tls: str = ""
    """What is added so that it speaks TLS with the certificate {chain} and its {key}; "": it
    cannot."""

    @property
    def absent(self) -> str:
        """Why it cannot be checked, "" if it can."""
        found = importlib.util.find_spec(self.package)
        return "" if found else f"{self.package} is not installed: pip install {self.package}"

    @property
    def version(self) -> str:
        return version_of(self.package)


_PROPYLON = (
    "{python} -m propylon serve {app} -b 127.0.0.1:{port} --run-dir {folder}/run --early-hints all"
)
"""Hints go to clients of HTTP/1.1 only where the operator says so."""
_GUNICORN = "{python} -m gunicorn {app} -b 127.0.0.1:{port} --worker-tmp-dir {folder}"
_GRANIAN = "{python} -m granian {app} --port {port}"
_HYPERCORN = "{python} -m hypercorn {app} -b 127.0.0.1:{port}"

SERVERS: dict[str, Server] = {
    "propylon": Server(
        interface="asgi", package="propylon", tls=TLS, command=_PROPYLON + " --loop asyncio"
    ),
    "propylon-uvloop": Server(
        interface="asgi", package="propylon", tls=TLS, command=_PROPYLON + " --loop uvloop"
    ),
    "propylon-trio": Server(
        interface="asgi", package="propylon", tls=TLS, command=_PROPYLON + " --loop trio"
    ),
    "uvicorn": Server(
        interface="asgi", package="uvicorn", tls=TLS,
        command="{python} -m uvicorn {app} --port {port}",
    ),
    "hypercorn": Server(
        interface="asgi", package="hypercorn", command=_HYPERCORN,
        tls="--certfile {chain} --keyfile {key}",
    ),
    "granian": Server(
        interface="asgi", package="granian", command=_GRANIAN + " --interface asgi",
        tls="--ssl-certificate {chain} --ssl-keyfile {key}",
    ),
    "daphne": Server(
        interface="asgi", package="daphne", command="{python} -m daphne -p {port} {app}",
    ),
    "gunicorn": Server(
        interface="asgi", package="gunicorn", command=_GUNICORN + " -k asgi",
        tls="--certfile {chain} --keyfile {key}",
    ),
    "propylon-wsgi": Server(
        interface="wsgi", package="propylon", command=_PROPYLON + " --interface wsgi", tls=TLS
    ),
    "gunicorn-wsgi": Server(
        interface="wsgi", package="gunicorn", command=_GUNICORN + " -k gthread --threads 8",
        tls="--certfile {chain} --keyfile {key}",
    ),
    "waitress": Server(
        interface="wsgi", package="waitress",
        command="{python} -m waitress --listen=127.0.0.1:{port} {app}",
    ),
    "granian-wsgi": Server(
        interface="wsgi", package="granian",
        command=_GRANIAN + " --interface wsgi --blocking-threads 8",
        tls="--ssl-certificate {chain} --ssl-keyfile {key}",
    ),
    "hypercorn-wsgi": Server(
        interface="wsgi", package="hypercorn",
        command="{python} -m hypercorn wsgi:{app} -b 127.0.0.1:{port}",
        tls="--certfile {chain} --keyfile {key}",
    ),
}  # fmt: skip
