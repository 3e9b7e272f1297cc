"""The toy version as a client writes and reads it, for the rows of `exchange_rows`."""

from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.serve.service_state import ServiceState
from propylon.gateway.transport.transport import Transport

from .http1_framing import Pairs, Response, fields_of
from .toy_version import DATA, END, HEAD, RESET, WINDOW, ToyConnection, frame, frames


class ToyFraming:
    """Each request is a stream, whose client takes all that comes."""

    def __init__(self) -> None:
        self._number = 0
        self._left: int | None = 0
        """Of the last request's body; None: that is not told."""

    def begin(self, state: ServiceState, transport: Transport, endpoint: Endpoint) -> None:
        ToyConnection(transport, endpoint, state).open()

    def ask(
        self, method: str, path: str, fields: Pairs, body: bytes, size: int | None, last: bool
    ) -> bytes:
        assert not fields, "the toy version has no fields in its requests"
        self._number += 1
        self._left = None if size is None else size or len(body)
        told = "-" if size is None else str(self._left)
        head = frame(self._number, HEAD, f"{method} {path} {told}".encode())
        window = frame(self._number, WINDOW, b"1000000000")
        return head + window + (self.upload(body, last) if told != "0" else b"")

    def upload(self, data: bytes, last: bool) -> bytes:
        if self._left is not None:
            self._left -= len(data)
        body = frame(self._number, DATA, data) if data else b""
        return body + frame(self._number, END) if last or self._left == 0 else body

    def read(self, received: bytes, end: str) -> list[Response]:
        found: dict[int, Response] = {}
        bodies: dict[int, list[bytes]] = {}
        interim: dict[int, list[int]] = {}
        hints: dict[int, list[tuple[bytes, bytes]]] = {}
        for number, kind, payload in frames(received):
            if kind == HEAD:
                line, *lines = payload.split(b"\n")
                status, _, reason = line.partition(b" ")
                if status == b"103":
                    interim.setdefault(number, []).append(103)
                    hints.setdefault(number, []).extend(fields_of(lines))
                elif status == b"trailers":
                    found[number].trailers = fields_of(lines)
                else:
                    found[number] = Response(int(status), reason, fields_of(lines))
                    found[number].interim = interim.get(number, [])
                    found[number].hints = hints.get(number, [])
            elif kind == DATA:
                bodies.setdefault(number, []).append(payload)
            elif kind == END:
                found[number].complete = True
            elif kind == RESET:
                found[number].cut = True
        for number, pieces in bodies.items():
            found[number].body = b"".join(pieces)
        return list(found.values())
