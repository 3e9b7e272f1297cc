"""A collector: it takes OTLP over HTTP, decodes the real protobuf, and keeps the spans."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")

KINDS = {1: "internal", 2: "server", 3: "client"}


class ReceivedSpan:
    """One span, with its resource and scope, as plain values."""

    def __init__(self, resource: Any, scope: Any, span: Any) -> None:
        self.resource = values(resource.attributes)
        self.scope = scope.name
        self.name: str = span.name
        self.kind = KINDS[span.kind]
        self.trace_id: str = span.trace_id.hex()
        self.span_id: str = span.span_id.hex()
        self.parent_id: str = span.parent_span_id.hex()
        self.state: str = span.trace_state
        self.started: int = span.start_time_unix_nano
        self.ended: int = span.end_time_unix_nano
        self.attributes = values(span.attributes)
        self.failed: bool = span.status.code == 2
        self.reason: str = span.status.message

    def __repr__(self) -> str:
        return f"<{self.resource.get('service.name')}: {self.kind} {self.name} {self.attributes}>"


def values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


class OtlpReceiver:
    def __init__(self) -> None:
        self.spans: list[ReceivedSpan] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        """Path and fields of each request, with names in lower case."""
        self.refuses_with = 0
        """The status that it answers instead of taking spans; 0 means that it takes them."""
        self.changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                fields = {name.lower(): value for name, value in self.headers.items()}
                status = receiver.take(self.path, fields, body)
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def take(self, path: str, fields: dict[str, str], body: bytes) -> int:
        """Takes a request. Returns the status of the answer."""
        with self.changed:
            self.requests.append((path, fields))
            self.changed.notify_all()
            if self.refuses_with:
                return self.refuses_with
            request = service.ExportTraceServiceRequest.FromString(body)
            self.spans += [
                ReceivedSpan(one.resource, scope.scope, span)
                for one in request.resource_spans
                for scope in one.scope_spans
                for span in scope.spans
            ]
            return 200

    def of(self, trace_id: str, *names: str, seconds: float = 20.0) -> list[ReceivedSpan]:
        """Waits for spans of a trace with these names, and returns all of the trace."""

        def found() -> list[ReceivedSpan]:
            return [span for span in self.spans if span.trace_id == trace_id]

        with self.changed:
            assert self.changed.wait_for(
                lambda: {span.name for span in found()} >= set(names), seconds
            ), found()
            return found()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def otlp_receiver() -> Iterator[OtlpReceiver]:
    receiver = OtlpReceiver()
    try:
        yield receiver
    finally:
        receiver.close()
