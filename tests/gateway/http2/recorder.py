"""Records what good clients send: a small HTTP/2 server that writes each connection's frames down.

    python -m tests.gateway.http2.recorder FOLDER [--port N] [--cert FILE --key FILE]

A connection's file has a line for each frame of the client, `kind flags length stream` in decimal,
and lines `> N` for N frames of responses (HEADERS and DATA) that were sent since. It is written
when the connection ends. `test_good_clients.py` has the guard look at such files, and says how each
was made.
"""

import argparse
import asyncio
import itertools
import ssl
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset, WindowUpdated
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

PAGE = (
    b"<title>hundred images</title>"
    + b"".join(b'<img src="/part?size=3000&wait=20&n=%d" width=9>' % n for n in range(100))
    + b'<img src="/part?size=300000&n=big">'
    + b"""<script>
onload = async () => {  // a map that is moved: most tiles are not waited for
  for (let round = 0; round < 20; round++) {
    const moved = new AbortController()
    for (let n = 0; n < 30; n++)
      fetch(`/part?size=5000&wait=${n % 3 ? 100 : 1}&n=${round}-${n}`, moved).catch(() => 0)
    await new Promise(then => setTimeout(then, 50))
    moved.abort()
  }
  document.title = "done"
}
</script>"""
)
"""What a browser is given."""
PREFACE_SIZE = 24
Parameters = dict[str, list[str]]


class Connection:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, file: Path
    ) -> None:
        self.reader, self.writer, self.file = reader, writer, file
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.local_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 100
        self.lines = list[str]()
        self.sent = 0
        self.raw = b""
        self.room = asyncio.Event()
        self.tasks = dict[int, asyncio.Task[None]]()

    async def run(self) -> None:
        self.h2.initiate_connection()
        self.flush()
        try:
            while data := await self.reader.read(65_536):
                self.note(data)
                for event in self.h2.receive_data(data):
                    self.hear(event)
                self.flush()
                self.room.set()
                self.room.clear()
        except (ProtocolError, OSError) as error:
            print(type(error).__name__, error)
        for task in self.tasks.values():
            task.cancel()
        self.writer.close()
        self.file.write_text("".join(f"{line}\n" for line in self.lines))
        print(self.file, len(self.lines))

    def note(self, data: bytes) -> None:
        """Writes the headers of whole frames down."""
        if self.sent:
            self.lines.append(f"> {self.sent}")
            self.sent = 0
        begun = bool(self.lines)
        self.raw += data
        at = 0 if begun else PREFACE_SIZE
        while at + 9 <= len(self.raw):
            size, kind, flags = int.from_bytes(self.raw[at : at + 3]), *self.raw[at + 3 : at + 5]
            stream = int.from_bytes(self.raw[at + 5 : at + 9]) & 0x7FFF_FFFF
            if at + 9 + size > len(self.raw):
                break
            self.lines.append(f"{kind} {flags} {size} {stream}")
            at += 9 + size
        self.raw = self.raw[at:]

    def hear(self, event: object) -> None:
        match event:
            case RequestReceived(stream_id=stream, headers=headers):
                fields = dict(headers)
                task = asyncio.create_task(self.answer(stream, fields))
                self.tasks[stream] = task
            case DataReceived(stream_id=stream, flow_controlled_length=size):
                with suppress(ProtocolError):
                    self.h2.acknowledge_received_data(size, stream)
            case StreamReset(stream_id=stream):
                if stream in self.tasks:
                    self.tasks[stream].cancel()
            case WindowUpdated() | StreamEnded() | _:
                pass

    async def answer(self, stream: int, fields: dict[str, str]) -> None:
        address = urlsplit(fields[":path"])
        asked = parse_qs(address.query)
        number = lambda name, other: int(asked.get(name, [other])[0])  # noqa: E731
        with suppress(ProtocolError):
            if fields.get("content-type", "").startswith("application/grpc"):
                await self.answer_grpc(stream)
                return
            await asyncio.sleep(number("wait", 0) / 1e3)
            body = PAGE if address.path == "/" else bytes(number("size", 100))
            kind = "text/html" if address.path == "/" else "application/octet-stream"
            self.head(stream, [(":status", "200"), ("content-type", kind)])
            pieces = number("pieces", 1)
            for piece in range(pieces):
                await self.send(stream, body, piece == pieces - 1)
                await asyncio.sleep(number("every", 0) / 1e3)

    async def answer_grpc(self, stream: int) -> None:
        """200 messages of 10,000 bytes, and OK."""
        self.head(stream, [(":status", "200"), ("content-type", "application/grpc")])
        message = b"\0" + (10_000).to_bytes(4) + bytes(10_000)
        for _ in range(200):
            await self.send(stream, message, False)
        self.h2.send_headers(stream, [("grpc-status", "0")], end_stream=True)
        self.sent += 1
        self.flush()

    def head(self, stream: int, fields: list[tuple[str, str]]) -> None:
        self.h2.send_headers(stream, fields)
        self.sent += 1
        self.flush()

    async def send(self, stream: int, body: bytes, ended: bool) -> None:
        while body or ended:
            room = min(
                self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, 16_384
            )
            if room <= 0 and body:
                await self.room.wait()
                continue
            part, body = body[:room], body[room:]
            self.h2.send_data(stream, part, ended and not body)
            self.sent += 1
            self.flush()
            with suppress(OSError):
                await self.writer.drain()
            if not body:
                return

    def flush(self) -> None:
        if data := self.h2.data_to_send():
            self.writer.write(data)


async def serve(options: argparse.Namespace) -> None:
    numbers = itertools.count(1)
    context = None
    if options.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.cert, options.key)
        context.set_alpn_protocols(["h2"])

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        file = options.folder / f"{next(numbers)}.txt"
        await Connection(reader, writer, file).run()

    server = await asyncio.start_server(connected, "127.0.0.1", options.port, ssl=context)
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=8443)
    parser.add_argument("--cert", default="")
    parser.add_argument("--key", default="")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
