"""The adapter of OpenTelemetry: spans go out by OTLP, as protobuf over HTTP.

The packages are an extra, propylon[otel], and only the process that exports imports them. Their
exporter reads OTEL_EXPORTER_OTLP_* and retries; what it logs is kept for the one line a minute of
`export_queue`.
"""

import logging
import os
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import version
from typing import Any, Final

from .spans import SCHEMA, Span

NEEDED: Final = "propylon[otel]"
MOST_ANSWER: Final = 65_536
"""Bytes of a collector's answer that are read."""


UNRESOLVED: Final = "Failed to resolve"
"""How urllib3 begins to say that a name is not known."""


class LastLine(logging.Handler):
    """Keeps what a library has logged last."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self._text = record.getMessage()

    def take(self) -> str:
        """Returns the last line. A collector may have written a part of it."""
        text, self._text = self._text, ""
        return text


class OtlpExporter:
    """Sends spans to a collector."""

    def __init__(self, gateway: int) -> None:
        """`gateway` is the number of this gateway process. Raises ValueError if the packages are
        not there, or do not take what the environment says."""
        try:
            self._trace: Any = import_module("opentelemetry.trace")
            self._sdk: Any = import_module("opentelemetry.sdk.trace")
            resources: Any = import_module("opentelemetry.sdk.resources")
            scopes: Any = import_module("opentelemetry.sdk.util.instrumentation")
            otlp: Any = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        except ImportError as error:
            raise ValueError(
                f"--traces otlp needs more packages ({error}): pip install '{NEEDED}'"
            ) from None
        self._last_line = LastLine()
        logging.getLogger().addHandler(self._last_line)
        self._session = bounded_session()
        self._exporter = otlp.OTLPSpanExporter(session=self._session)
        self._resource = resources.Resource.create(_own_resource(gateway))
        self._scope = scopes.InstrumentationScope("propylon", version("propylon"), SCHEMA)
        self._kinds: dict[str, Any] = {
            "server": self._trace.SpanKind.SERVER,
            "internal": self._trace.SpanKind.INTERNAL,
            "client": self._trace.SpanKind.CLIENT,
        }

    def export(self, spans: Iterable[Span]) -> str:
        """Sends spans, and waits for the collector's answer. Returns "", or why it has failed."""
        result = self._exporter.export([self._readable(span) for span in spans])
        unreached, said = self._session.take_unreached(), self._last_line.take()
        if result.name == "SUCCESS":
            return ""
        return unreached or said or "the collector did not take it"

    def _readable(self, span: Span) -> Any:
        trace = self._trace
        trace_id = int(span.trace_id, 16)
        flags = trace.TraceFlags(span.flags)
        state = trace.TraceState.from_header([span.state.decode("ascii")]) if span.state else None
        parent = None
        if span.parent_id:
            parent = trace.SpanContext(
                trace_id, int(span.parent_id, 16), span.parent_is_remote, flags, state
            )
        return self._sdk.ReadableSpan(
            span.name,
            trace.SpanContext(trace_id, int(span.span_id, 16), False, flags, state),
            parent,
            self._resource,
            span.attributes,
            kind=self._kinds[span.kind],
            status=trace.Status(trace.StatusCode.ERROR, span.reason or None)
            if span.failed
            else trace.Status(),
            start_time=span.started,
            end_time=span.ended,
            instrumentation_scope=self._scope,
        )


def _own_resource(gateway: int) -> dict[str, str | int]:
    """What is said of the gateway process, whose child this process is, besides what
    OTEL_RESOURCE_ATTRIBUTES says."""
    found: dict[str, str | int] = {
        "service.instance.id": f"{os.uname().nodename}-{os.getppid()}",
        "process.pid": os.getppid(),
        "propylon.gateway": gateway,
    }
    named = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    for name in [name for name in found if f"{name}=" in named]:
        del found[name]
    if "OTEL_SERVICE_NAME" not in os.environ and "service.name=" not in named:
        found["service.name"] = "propylon"
    return found


def bounded_session() -> Any:
    """A session of `requests` that follows no redirect and reads a bounded answer: a collector is
    told much and has little to say."""
    requests: Any = import_module("requests")

    class BoundedResponse(requests.Response):
        def __init__(self, whole: Any) -> None:
            requests.Response.__init__(self)
            self.__dict__.update(whole.__dict__)
            self._content = next(whole.iter_content(MOST_ANSWER), b"")
            self.close()

    class BoundedSession(requests.Session):
        _unreached = ""

        def take_unreached(self) -> str:
            """Returns why the collector could not be reached at the last attempt. The exporter says
            only that it has tried for long enough."""
            text, self._unreached = self._unreached, ""
            return text

        def request(self, *arguments: Any, **options: Any) -> Any:
            options |= {"stream": True, "allow_redirects": False}
            try:
                whole = requests.Session.request(self, *arguments, **options)
            except requests.exceptions.ConnectionError as error:
                self._unreached = _unreached(error)
                raise
            self._unreached = ""
            answer = BoundedResponse(whole)
            if answer.is_redirect:  # the exporter would take it for a success
                raise requests.exceptions.TooManyRedirects("the collector is elsewhere")
            return answer

    return BoundedSession()


def _unreached(error: Exception) -> str:
    """What has gone wrong with a connection, without the library's name of it, which may have an
    address in memory."""
    cause: object = getattr(error.args[0] if error.args else None, "reason", None)
    said = str(cause or error)
    before, _, after = said.partition(": ")
    return after if "Connection" in before and after else said
