"""HTTP/1.1 as a client writes and reads it, for rows that another version can play as well."""

from dataclasses import dataclass, field

from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.serve.begin import HttpVersions
from propylon.gateway.serve.service_state import ServiceState
from propylon.gateway.transport.transport import Transport

Pairs = tuple[tuple[bytes, bytes], ...]


@dataclass
class Response:
    status: int
    reason: bytes | None
    """None in a version that sends none."""
    fields: list[tuple[bytes, bytes]]
    """Lower-case names."""
    body: bytes = b""
    complete: bool = False
    cut: bool = False
    """Whether it is over and not complete, though the connection goes on."""
    interim: list[int] = field(default_factory=list[int])
    """1xx responses before it."""
    hints: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    """Their fields, of all together."""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    """The fields behind the body."""


class Http1Framing:
    def __init__(self) -> None:
        self._methods: list[str] = []
        self._chunked = False

    def begin(self, state: ServiceState, transport: Transport, endpoint: Endpoint) -> None:
        HttpVersions(state).begin(transport, endpoint, "http/1.1")

    def ask(
        self, method: str, path: str, fields: Pairs, body: bytes, size: int | None, last: bool
    ) -> bytes:
        self._methods.append(method)
        self._chunked = size is None
        lines = [f"{method} {path} HTTP/1.1".encode(), b"Host: h"]
        lines += [b"%b: %b" % pair for pair in fields]
        if self._chunked:
            lines.append(b"Transfer-Encoding: chunked")
        elif size or body:
            lines.append(b"Content-Length: %d" % (size or len(body)))
        head = b"\r\n".join([*lines, b"", b""])
        return head + (self.upload(body, last) if self._chunked else body)

    def upload(self, data: bytes, last: bool) -> bytes:
        if not self._chunked:
            return data
        chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        return chunk + (b"0\r\n\r\n" if last else b"")

    def read(self, received: bytes, end: str) -> list[Response]:
        found: list[Response] = []
        interim: list[int] = []
        hints: list[tuple[bytes, bytes]] = []
        while received:
            head, empty, rest = received.partition(b"\r\n\r\n")
            if not empty:
                break
            start, *lines = head.split(b"\r\n")
            version, status, reason = start.split(b" ", 2)
            assert version == b"HTTP/1.1"
            if b"100" <= status < b"200" and status != b"101":
                assert not lines or status == b"103"
                hints += fields_of(lines)
                interim.append(int(status))
                received = rest
                continue
            fields = fields_of(lines)
            assert len(fields) == len(dict(fields)), "a field stands twice"
            response = Response(int(status), reason, fields, interim=interim, hints=hints)
            interim, hints = [], []
            # What answers no request that was made by `ask` answers a GET.
            method = self._methods[len(found)] if len(found) < len(self._methods) else "GET"
            found.append(response)
            received = self._body(response, method, rest, end)
            if not response.complete:
                response.cut = bool(end)
                break
        return found

    def _body(self, response: Response, method: str, data: bytes, end: str) -> bytes:
        """Reads the response's body from the data, and returns what is left."""
        fields = dict(response.fields)
        if method == "HEAD" or response.status in (101, 204, 304):
            response.complete = True
            return data
        if fields.get(b"transfer-encoding") == b"chunked":
            assert b"content-length" not in fields
            while True:
                size, line_end, rest = data.partition(b"\r\n")
                if not line_end or len(rest) < int(size, 16) + 2:
                    response.body += rest[: int(size, 16)] if line_end else b""
                    return b""
                count = int(size, 16)
                if not count:
                    lines, _, data = data.partition(b"\r\n\r\n")
                    response.trailers = fields_of(lines.split(b"\r\n")[1:])
                    response.complete = True
                    return data
                response.body += rest[:count]
                assert rest[count : count + 2] == b"\r\n"
                data = rest[count + 2 :]
        if b"content-length" in fields:
            size = int(fields[b"content-length"])
            response.body = data[:size]
            response.complete = len(response.body) == size
            return data[size:]
        response.body = data
        response.complete = end == "closed"
        return b""


def fields_of(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines)]
