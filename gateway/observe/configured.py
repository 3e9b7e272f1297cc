"""--log-config in a supervisor or gateway process: the handlers that take our own lines.

The configuration is the app's as well, and only the part that our lines need is built here: a
handler of the app's own package may not be importable in this process, and its files are not ours
to open. Handlers may block (a stalled pipe, a socket), so a thread calls them.
"""

import configparser
import json
import logging
import logging.config
import os
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

log = logging.getLogger("propylon.gateway")

OURS: Final = (
    "propylon", "propylon.gateway", "propylon.worker", "uvicorn.error", "uvicorn", "gunicorn.error",
    "hypercorn.error", "_granian",
)  # fmt: skip
"""Loggers whose handlers take our log, the nearest first: our own names and those of other
servers, for which the configuration may have been written."""
ACCESS: Final = (
    "propylon.access", "uvicorn.access", "gunicorn.access", "hypercorn.access", "granian.access",
)  # fmt: skip
MOST_RECORDS: Final = 10_000
"""Records that wait for a handler. Further records are counted and dropped."""
_BUILT: Final = "propylon.configured"


def configured(config: str, names: Sequence[str], *, or_root: bool) -> list[logging.Handler]:
    """Returns the handlers of the first of these loggers that the configuration names, or with
    `or_root` those of the root logger. The list is empty if there are none, or if they cannot be
    built, which is logged."""
    known: dict[str, Any] = json.loads(config)
    try:
        if "ini" in known:
            return _from_ini(known["ini"], names, or_root=or_root)
        return _from_dict(known, names, or_root=or_root)
    except Exception as error:  # a handler's class may raise anything
        why = " ".join(str(error.__cause__ or error).split())
        log.warning("--log-config: handlers cannot be used outside of the app: %s", why)
        return []


def _from_dict(
    known: dict[str, Any], names: Sequence[str], *, or_root: bool
) -> list[logging.Handler]:
    loggers: dict[str, dict[str, Any]] = known.get("loggers", {})
    root: dict[str, Any] = known.get("root", {})
    chosen = next((name for name in names if name in loggers), None)
    if chosen is None and not or_root:
        return []
    one = root if chosen is None else loggers[chosen]
    used: list[str] = list(one.get("handlers", ()))
    if chosen is not None and or_root and one.get("propagate", True):
        used += [name for name in root.get("handlers", ()) if name not in used]
    if not used:
        return []
    handlers = _with_targets(used, known.get("handlers", {}))
    formatters = {handler.get("formatter") for handler in handlers.values()}
    filters = {name for handler in handlers.values() for name in handler.get("filters", ())}
    reduced: dict[str, Any] = {
        **{key: value for key, value in known.items() if key not in ("loggers", "root")},
        "handlers": handlers,
        "formatters": _only(known.get("formatters", {}), formatters),
        "filters": _only(known.get("filters", {}), filters),
        "loggers": {_BUILT: {"handlers": used, "propagate": False}},
        "disable_existing_loggers": False,
    }
    logging.config.dictConfig(reduced)
    return _taken(logging.getLogger(_BUILT))


def _with_targets(names: Iterable[str], known: dict[str, Any]) -> dict[str, Any]:
    """These handlers, and the handlers that they pass records on to (as MemoryHandler does)."""
    found: dict[str, Any] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = handler = known[name]
            further = [handler.get("target"), *(handler.get("handlers") or ())]
            waiting += [one for one in further if isinstance(one, str) and one in known]
    return found


def _only(known: dict[str, Any], names: Iterable[object]) -> dict[str, Any]:
    return {name: known[name] for name in known if name in set(names)}


def _from_ini(text: str, names: Sequence[str], *, or_root: bool) -> list[logging.Handler]:
    """Builds the whole configuration, since fileConfig cannot build a part, and picks handlers."""
    parser = configparser.ConfigParser()
    parser.read_string(text)
    logging.config.fileConfig(parser, disable_existing_loggers=False)
    named = {
        parser.get(section, "qualname", fallback="")
        for section in parser.sections()
        if section.startswith("logger_")
    }
    chosen = next((name for name in names if name in named), None)
    if chosen is None and not or_root:
        return []
    one = logging.getLogger(chosen)
    found = list(one.handlers)
    if chosen is not None and or_root and one.propagate:
        found += [handler for handler in logging.getLogger().handlers if handler not in found]
    return found


def _taken(logger: logging.Logger) -> list[logging.Handler]:
    handlers, logger.handlers = list(logger.handlers), []
    return handlers


def end_if_stalled(code: int) -> None:
    """Ends the process with this exit code if a handler still blocks. The interpreter would wait
    for that handler without end."""
    if any(thread.stalled for thread in _threads):
        os._exit(code)


class HandlerThread:
    """A thread that hands records to handlers, in their order."""

    def __init__(self, handlers: Sequence[logging.Handler], name: str) -> None:
        self._handlers = handlers
        self._name = name
        self._changed = threading.Condition()
        self._records: deque[logging.LogRecord] = deque()
        self._busy = False
        self._dropped = 0
        threading.Thread(target=self._run, name=name, daemon=True).start()
        _threads.append(self)

    @property
    def stalled(self) -> bool:
        """Whether a record still waits or is being handled. To be asked after `flush`."""
        return bool(self._records) or self._busy

    def add(self, record: logging.LogRecord) -> None:
        """Hands a record to the thread. It never blocks."""
        with self._changed:
            if len(self._records) >= MOST_RECORDS:
                self._dropped += 1
            else:
                self._records.append(record)
                self._changed.notify_all()

    def flush(self, seconds: float) -> None:
        """Waits until every record was handled, or until the seconds are over."""
        with self._changed:
            self._changed.wait_for(lambda: not self._records and not self._busy, seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._records)
                record = self._records.popleft()
                self._busy = True
            for handler in self._handlers:
                if record.levelno >= handler.level:
                    try:
                        handler.handle(record)
                    except Exception:  # a fault of one handler: the others go on
                        handler.handleError(record)
            with self._changed:
                dropped, self._dropped = self._dropped, 0
            if dropped:
                log.error("%s is too slow: %d lines were dropped", self._name, dropped)


_threads: Final[list[HandlerThread]] = []


class ConfiguredLog(logging.Handler):
    """Hands our own records to the handlers of --log-config."""

    def __init__(self, handlers: Sequence[logging.Handler]) -> None:
        super().__init__()
        self._thread = HandlerThread(handlers, "the log")

    def emit(self, record: logging.LogRecord) -> None:
        self._thread.add(record)

    def flush(self) -> None:
        self._thread.flush(0.5)


FIELDS: Final = "%(h)s\t%(m)s\t%(target)s\t%(version)s\t%(s)s\t%(request_id)s\t"
"""The format of what stands in front of each line that a `RecordWriter` gets. No field of it can
contain a tab."""


class RecordWriter:
    """Turns lines of the access log into log records; it takes the place of a `LineWriter`.

    A formatter made for uvicorn (`uvicorn.logging.AccessFormatter`) expects five arguments in a
    record: client, method, target, HTTP version, status. So each record has them. Its message is
    the line that --access-logformat makes, and its `request_id` the request's id or "-".
    """

    fault: Final[OSError | None] = None
    """What goes wrong with a handler is its own to say."""

    def __init__(self, handlers: Sequence[logging.Handler]) -> None:
        self._thread = HandlerThread(handlers, "the access log")

    def write(self, lines: Sequence[bytes]) -> None:
        """Takes lines that begin with FIELDS."""
        for line in lines:
            client, method, target, version, status, name, text = line.decode().split("\t", 6)
            arguments = client, method, target, version, int(status)
            record = _AccessRecord(text.rstrip("\n"), arguments, name)
            self._thread.add(record)

    def use(self, fd: int) -> None:
        """Does nothing: handlers open their files themselves."""

    @property
    def settled(self) -> bool:
        return True

    def close(self, seconds: float) -> None:
        self._thread.flush(seconds)


class _AccessRecord(logging.LogRecord):
    """A record whose arguments stand beside its message and are not formatted into it."""

    def __init__(
        self, line: str, arguments: tuple[str, str, str, str, int], request_id: str
    ) -> None:
        super().__init__("propylon.access", logging.INFO, "", 0, line, arguments, None)
        self.request_id = request_id

    def getMessage(self) -> str:
        return cast("str", self.msg)
