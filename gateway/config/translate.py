"""Options of other servers become values of our options, faults or notes (see `peers_options`).

A value keeps its origin and its layer. So a fault names the option that was typed, and another
server's flag wins over a variable of ours.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from .faults import Fault, shown
from .option import Option
from .options import Size
from .peers_options import PEERS_OPTIONS, PEERS_VARIABLES, PeerOption
from .reading import Reading
from .sources import Found, Sources
from .values import TRUTH

Values = Mapping[str, object]
"""Values of our options by field; each is a text or has the option's type."""

_SWITCH = Option(help="", name="switch", type=bool, default=True)
_BYTES = Option(help="", name="bytes", type=Size, default=0)
_OFFERED: Final = {"h1", "http/1.1", "h2"}
"""Protocols of HTTP as gunicorn and hypercorn name them."""


def translate(found: Sources, reading: Reading, environ: Mapping[str, str]) -> None:
    """Replaces other servers' options in `found` by ours. Faults and notes go to `reading`."""
    for name, row in PEERS_OPTIONS.items():
        given = found.pop(name.replace("-", "_"), None)
        if given is None:
            continue
        if row.verdict == "accepted":
            for field, value in _values(name, row, given, found, reading).items():
                if field not in found or found[field].layer < given.layer:
                    found[field] = Found(value, given.origin, given.layer)
        elif _asks_for_nothing(row, given):
            pass
        elif row.verdict == "refused" or row.fine:
            reading.faults.append(Fault(given.origin, row.why))
        elif row.why:
            reading.notes.append(f"{given.origin} has no effect: {row.why}")
    _granians_http(found, reading)
    _notes_on_meanings(found, reading)
    _notes_on_variables(reading, environ)


def _asks_for_nothing(row: PeerOption, given: Found) -> bool:
    """Whether the value asks for what happens anyway: a switch is off, or the value is `fine`."""
    text = shown(given.value) if isinstance(given.value, bool) else str(given.value)
    if row.takes == "nothing" and row.verdict == "refused":
        return TRUTH.get(text.lower(), text.lower()) in ("false", "0")
    return text in row.fine


def _values(name: str, row: PeerOption, given: Found, found: Sources, reading: Reading) -> Values:
    convert = _CONVERSIONS.get(name)
    if convert is None:
        return dict.fromkeys(row.means.split(), given.value)
    return convert(given, found, reading)


def _timeout(given: Found, _: Sources, reading: Reading) -> Values:
    """--timeout, as gunicorn means it: seconds without a sign of life after which a worker is
    ended. A site that sets it above our limit for a request has requests that take that long, so
    it becomes that limit as well."""
    reading.notes.append(
        f"{given.origin}: taken as gunicorn means it, for heartbeat-timeout: a worker that shows "
        "no sign of life for so long is replaced; a request may take as long, or 60 s if that is "
        "longer: to limit that alone, use request-timeout"
    )
    seconds = _number(given.value)
    if seconds is None:  # one fault is enough
        return {"heartbeat_timeout": given.value}
    if 0 < seconds < 60:
        return {"heartbeat_timeout": given.value}
    return {"heartbeat_timeout": given.value, "request_timeout": given.value}


def _head_size(given: Found, _: Sources, reading: Reading) -> Values:
    size: int = reading.value(_BYTES, given)
    return {"limit_request_line": size, "limit_request_field_size": size} if size else {}


def _milliseconds(given: Found, _: Sources, __: Reading) -> Values:
    number = _number(given.value)
    return {"header_timeout": given.value if number is None else number / 1000}


def _keep_alive(given: Found, _: Sources, reading: Reading) -> Values:
    return {} if reading.value(_SWITCH, given) else {"timeout_keep_alive": 0.0}


def _socket_mode(given: Found, found: Sources, reading: Reading) -> Values:
    """granian's --uds-permissions: the mode of the socket that --uds names."""
    path = found.pop("uds", None)
    if path is None:
        reading.notes.append(f"{given.origin} has no effect: there is no --uds")
        return {}
    mode = str(given.value).lower().removeprefix("0o").removeprefix("0").rjust(3, "0")
    return {"uds": f"{path.value}?mode={mode}"}


def _client_verify(given: Found, _: Sources, reading: Reading) -> Values:
    return {"ssl_cert_reqs": "required" if reading.value(_SWITCH, given) else "none"}


def _log(given: Found, _: Sources, reading: Reading) -> Values:
    return {} if reading.value(_SWITCH, given) else {"log_level": "critical"}


def _verbosity(given: Found, _: Sources, __: Reading) -> Values:
    """daphne's --verbosity: 0 logs warnings, 1 the usual, 2 and 3 everything."""
    words = {"0": "warning", "1": "info", "2": "debug", "3": "debug"}
    return {"log_level": words.get(str(given.value), given.value)}


def _parser(given: Found, _: Sources, __: Reading) -> Values:
    """gunicorn's --http-parser: `fast` or `python`."""
    words = {"fast": "httptools", "python": "h11"}
    return {"http": words.get(str(given.value), given.value)}


def _protocols(given: Found, _: Sources, reading: Reading) -> Values:
    """gunicorn's --http-protocols and hypercorn's alpn_protocols: what is offered by ALPN."""
    listed: Any = given.value
    words = listed.split(",") if isinstance(listed, str) else list(listed)
    spoken = {str(word).strip().lower() for word in words}
    if not spoken <= _OFFERED:
        problem = f"found {shown(given.value)}; the protocols that can be offered are h2 and h1"
        reading.faults.append(Fault(given.origin, problem))
    return {"http2": "h2" in spoken}


def _no_server_name(given: Found, _: Sources, reading: Reading) -> Values:
    return {"server_header": not reading.value(_SWITCH, given)}


def _extra_files(given: Found, found: Sources, _: Reading) -> Values:
    """gunicorn's --reload-extra-file: names of files become patterns that match absolute paths, as
    the file watcher reports them."""
    files: Any = given.value
    if isinstance(files, str):
        files = files.split(",")
    listed = tuple(f"*/{str(file).removeprefix('./').lstrip('/')}" for file in files)
    before = found.pop("reload_include", None)
    return {"reload_include": (*(before.value if before else ()), *listed)}


Convert = Callable[[Found, Sources, Reading], Values]

_CONVERSIONS: Final[Mapping[str, Convert]] = {
    "timeout": _timeout,
    "http-protocols": _protocols,
    "http1-header-read-timeout": _milliseconds,
    "http1-keep-alive": _keep_alive,
    "h11-max-incomplete-event-size": _head_size,
    "uds-permissions": _socket_mode,
    "no-server-name": _no_server_name,
    "http-parser": _parser,
    "ssl-client-verify": _client_verify,
    "log": _log,
    "verbosity": _verbosity,
    "reload-extra-file": _extra_files,
}
"""Option -> what makes our values of its value. Options that are not here keep their value."""


def _number(value: Any) -> float | None:
    """The number that a text or a number is; None if `Reading.value` will find a fault in it."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _granians_http(found: Sources, reading: Reading) -> None:
    """granian's --http, which is a version there: 1 or 2. Ours names a parser."""
    given = found.get("http")
    version = "" if given is None else str(given.value)
    if given is None or version not in ("1", "2"):
        return
    found["http"] = Found("auto", given.origin, given.layer)
    means: Values = {"http2": version == "2"}
    if version == "2":
        means = {"http2": True, "h2c": "prior-knowledge"}
        reading.notes.append(
            f"{given.origin} 2: taken as --h2c prior-knowledge; clients of HTTP/1.1 are served as "
            "well"
        )
    for field, value in means.items():
        if field not in found or found[field].layer < given.layer:
            found[field] = Found(value, given.origin, given.layer)


def _notes_on_meanings(found: Sources, reading: Reading) -> None:
    """Notes about options that have the same name elsewhere and do something else there."""
    limit = found.get("limit_concurrency")
    if (
        limit is not None
        and limit.origin.replace("_", "-").endswith("limit-concurrency")
        and str(limit.value).strip().lower() not in ("0", "auto")
        and "queue_size" not in found
    ):
        reading.notes.append(
            f"{limit.origin}: each worker runs that many requests at once, and the next wait for "
            "their turn; uvicorn answers them 503: for that, say --queue-size 0"
        )


def _notes_on_variables(reading: Reading, environ: Mapping[str, str]) -> None:
    for start, whose in PEERS_VARIABLES.items():
        names = sorted(
            name
            for name, text in environ.items()
            if text and (name == start or (start.endswith("_") and name.startswith(start)))
        )
        if names and start.endswith("_"):
            ours = ", ".join(f"PROPYLON_{name.removeprefix(start)}" for name in names)
            reading.notes.append(f"{', '.join(names)}: read by {whose} only; here say {ours}")
        elif names:
            reading.notes.append(
                f"{names[0]}: read by {whose} only; give its options to propylon itself"
            )
