"""The harness sees what it is there to see: servers that are wrong in one way each."""

import asyncio
import socket
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from .. import http2_frames as frames
from ..compare import strict_client
from ..compare.strict_client import Failed
from ..http2_frames import END_HEADERS, END_STREAM, ErrorCode
from . import http2, streams
from .apps.size import BLOCKS, block
from .clients import KeepAlive, NewConnections, NewPosts, Pipelining, Posts
from .http2 import Multiplexing
from .scene import Scene
from .servers import Ground
from .streams import Downloads, Echoes, Events, Uploads
from .tally import Tally
from .trial import Client, counted, records
from .variants import VARIANTS, Allowed, Settings

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_client, "PATIENCE", 0.5)
    monkeypatch.setattr(streams, "PATIENCE", 0.5)
    monkeypatch.setattr(streams, "DOWNLOAD_SECONDS", 0.0)
    monkeypatch.setattr(streams, "UPLOAD_SECONDS", 0.2)


def new_scene() -> Scene:
    return Scene(("127.0.0.1", 1), Tally(lambda client, failure: None))


def met(kind: Callable[[Scene, str], Client], handler: Handler) -> Scene:
    """What a client saw of a server whose connections are handled like that."""

    async def meet() -> Scene:
        scene = new_scene()
        done = asyncio.Event()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError, EOFError):  # the client may have seen enough
                await handler(reader, writer)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            done.set()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        async with server:
            scene.address = server.sockets[0].getsockname()
            await asyncio.wait_for(counted(scene, kind(scene, "x0")), 10)
            await done.wait()
        return scene

    return asyncio.run(meet())


def failures(scene: Scene) -> list[str]:
    return [what for _, what in scene.tally.failures.elements()]


# -- wrong servers -------------------------------------------------------------------------------


def reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


def answer(*answers: bytes, end: Callable[[asyncio.StreamWriter], None] | None = None) -> Handler:
    """One answer for each request's head; after the last one the connection ends. `#` at an
    answer's end stands for what the request said, which is right."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for one in answers:
            head = await reader.readuntil(b"\r\n\r\n")
            number = head.split(b" ")[1].partition(b"n=")[2]
            if b"/record" in head:
                number = await reader.read(100)
            right = b"Content-Length: %d\r\n\r\n%b" % (len(number), number)
            writer.write(one[:-1] + right if one.endswith(b"#") else one)
            await writer.drain()
        await asyncio.sleep(0.05)
        (end or asyncio.StreamWriter.close)(writer)

    return handle


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(-1)
    writer.close()


def refuse(status: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status


def chunks(*pieces: bytes) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return OK + b"Transfer-Encoding: chunked\r\n\r\n" + body


def blocks(*left_out: int) -> list[bytes]:
    return [block(number) for number in range(BLOCKS) if number not in left_out]


LAST = b"0\r\n\r\n"
WRONG = {
    "reset": (NewConnections, answer(b"", end=reset), "reset"),
    "nothing": (NewConnections, answer(b""), "closed without an answer"),
    "half a head": (NewConnections, answer(OK), "truncated"),
    "half a body": (NewConnections, answer(OK + b"Content-Length: 10\r\n\r\n12345"), "truncated"),
    "half a body, reset": (
        NewConnections, answer(OK + b"Content-Length: 9\r\n\r\n1", end=reset), "reset in an answer",
    ),
    "no length": (NewConnections, answer(OK + b"\r\nx"), "truncated invisibly"),
    "another's answer": (
        NewConnections, answer(OK + b"Content-Length: 1\r\n\r\ny"), "wrong answer",
    ),
    "no HTTP": (NewConnections, answer(b"hello\r\n\r\n"), "not HTTP"),
    "silence": (NewConnections, silent, "silence"),
    "500": (NewConnections, answer(refuse(b"500 x")), "status 500"),
    "502": (NewPosts, answer(refuse(b"502 x")), "status 502"),
    "503": (KeepAlive, answer(refuse(b"503 x")), "status 503"),
    "503 in order": (
        KeepAlive, answer(refuse(b"503 x\r\nRetry-After: 1")), "status 503 with Retry-After",
    ),
    "close behind a POST": (Posts, answer(OK + b"#", b""), "closed without an answer"),
    "pipelining cut": (
        Pipelining, answer(OK + b"#", OK + b"#"), "closed without an answer",
    ),
    "answers swapped": (Pipelining, answer(OK + b"Content-Length: 1\r\n\r\n2"), "wrong answer"),
    "upload reset": (Uploads, answer(b"", end=reset), "reset"),
    "upload turned away": (Uploads, answer(refuse(b"502 x")), "status 502"),
    "upload garbled": (Uploads, answer(OK + b"Content-Length: 1\r\n\r\n2"), "wrong answer"),
    "no last chunk": (Downloads, answer(chunks(*blocks())), "truncated"),
    "a block missing": (Downloads, answer(chunks(*blocks(7)) + LAST), "truncated invisibly"),
    "blocks swapped": (
        Downloads, answer(chunks(*reversed(blocks())) + LAST), "truncated invisibly",
    ),
    "stream without last chunk": (Events, answer(chunks(b"data: 0\n\n")), "truncated"),
    "stream too short": (Events, answer(chunks(b"data: 0\n") + LAST), "truncated invisibly"),
    "an event missing": (Events, answer(chunks(b"data: 1\n\n") + LAST), "wrong answer"),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "handler", "what"), WRONG.values(), ids=WRONG)
def test_a_wrong_server_is_seen(
    kind: Callable[[Scene, str], Client], handler: Handler, what: str
) -> None:
    assert failures(met(kind, handler)) == [what]


def test_a_refusal_is_seen_unless_expected() -> None:
    scene = new_scene()
    asyncio.run(counted(scene, NewConnections(scene, "x0")))
    assert failures(scene) == ["refused"]
    scene.refusal_expected = True
    asyncio.run(counted(scene, NewConnections(scene, "x0")))
    assert failures(scene) == ["refused"]
    assert scene.tally.notes["refused while stopped"] == 1


RIGHT = {
    "a close between two requests": (KeepAlive, answer(OK + b"#")),
    "an announced close": (KeepAlive, answer(OK + b"Connection: close\r\n#")),
    "an announced close before what was pipelined": (
        Pipelining, answer(OK + b"#", OK + b"Connection: close\r\n#"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "handler"), RIGHT.values(), ids=RIGHT)
def test_what_a_client_must_expect_is_no_failure(
    kind: Callable[[Scene, str], Client], handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.nothing_dropped.clients.PAUSES", (0.2,))
    scene = met(kind, handler)
    assert failures(scene) == []
    assert scene.tally.answers.total() >= 1


# -- HTTP/2 --------------------------------------------------------------------------------------

Says = Callable[[int, bytes], bytes]
"""(stream, what the request said) to what is sent; b"" at the end closes."""
HEAD = frames.block([(b":status", b"200")])


BYE = frames.go_away(1, debug=b"bye")
"""Behind it the server closes."""


def half(stream: int, said: bytes, *, end: bool = False) -> bytes:
    head = frames.frame(frames.Kind.HEADERS, END_HEADERS, stream, HEAD)
    return head + frames.data(stream, said, end=end)


def right(stream: int, said: bytes) -> bytes:
    return half(stream, said, end=True)


def status(code: bytes) -> Says:
    fields = frames.block([(b":status", code), (b"retry-after", b"1")])
    return lambda stream, said: frames.frame(
        frames.Kind.HEADERS, END_HEADERS | END_STREAM, stream, fields
    )


def then(first: Says, last: Says) -> Says:
    """`first` for the first request, `last` for all others."""
    return lambda stream, said: (first if stream == 1 else last)(stream, said)


def speaks_http2(says: Says) -> Handler:
    """A server that answers requests without a body like that, until it has nothing to say."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(frames.PREFACE))
        writer.write(frames.settings())
        while True:
            begin = await reader.readexactly(9)
            payload = await reader.readexactly(int.from_bytes(begin[:3]))
            if begin[3] == frames.Kind.HEADERS:
                said = payload.partition(b"?n=")[2].partition(b"\0")[0]
                answer = says(int.from_bytes(begin[5:]), said)
                writer.write(answer)
                if not answer or answer.endswith(BYE):
                    return

    return handle


INTERNAL = ErrorCode.INTERNAL_ERROR
WRONG_HTTP2 = {
    "reset before the head": (lambda stream, said: frames.reset(stream, INTERNAL), "stream reset"),
    "reset behind the head": (
        lambda stream, said: half(stream, said) + frames.reset(stream, INTERNAL), "truncated",
    ),
    "refused behind the head": (
        lambda stream, said: half(stream, said) + frames.reset(stream, ErrorCode.REFUSED_STREAM),
        "truncated",
    ),
    "no end": (half, "silence"),
    "silence": (lambda stream, said: frames.ping(), "silence"),
    "another's answer": (lambda stream, said: right(stream, b"x"), "wrong answer"),
    "503": (status(b"503"), "status 503 with Retry-After"),
    "closed without GOAWAY": (then(right, lambda stream, said: b""), "closed without an answer"),
    "closed in spite of GOAWAY": (lambda stream, said: BYE, "closed without an answer"),
    "not HTTP/2": (lambda stream, said: frames.frame(frames.Kind.PUSH_PROMISE, 0, 1), "not HTTP"),
}  # fmt: skip


@pytest.fixture
def two_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """With short requests, who come one after another, and leave at the first failure."""
    count = Scene.fail

    def fail(scene: Scene, client: str, failure: Failed) -> None:
        count(scene, client, failure)
        scene.ending.set()

    monkeypatch.setattr(Scene, "fail", fail)
    monkeypatch.setattr(http2, "STREAMS", 2)
    monkeypatch.setattr(http2, "PAUSES", (0.1,))
    monkeypatch.setattr(Multiplexing, "upload", Multiplexing.quick)
    monkeypatch.setattr(Multiplexing, "events", Multiplexing.quick)


@pytest.mark.usefixtures("two_callers")
@pytest.mark.parametrize(("says", "what"), WRONG_HTTP2.values(), ids=WRONG_HTTP2)
def test_a_wrong_server_of_http2_is_seen(says: Says, what: str) -> None:
    assert failures(met(Multiplexing, speaks_http2(says)))[0].startswith(what)


def refused(stream: int, said: bytes) -> bytes:
    return frames.reset(stream, ErrorCode.REFUSED_STREAM)


@pytest.mark.usefixtures("two_callers")
@pytest.mark.parametrize(
    "says",
    [
        then(right, lambda stream, said: frames.go_away(1)),
        then(right, lambda stream, said: right(stream, said) + frames.go_away(2**31 - 1)),
        then(refused, lambda stream, said: right(stream, said) + frames.go_away(stream)),
    ],
    ids=["above the last stream", "a last stream that is not known yet", "REFUSED_STREAM"],
)
def test_what_a_client_of_http2_must_expect_is_no_failure(says: Says) -> None:
    assert failures(met(Multiplexing, speaks_http2(says))) == []


# -- WebSockets ------------------------------------------------------------------------------------


async def leaves(code: int, websocket: ServerConnection) -> None:
    await websocket.send(await websocket.recv())
    await websocket.close(code)


async def cut(websocket: ServerConnection) -> None:
    await websocket.recv()
    websocket.transport.abort()


async def loses_one(websocket: ServerConnection) -> None:
    await websocket.recv()
    async for message in websocket:
        await websocket.send(message)


WEBSOCKETS = {
    "1012": (partial(leaves, 1012), []),
    "1011": (partial(leaves, 1011), ["close code 1011"]),
    "1001": (partial(leaves, 1001), ["close code 1001"]),
    "cut": (cut, ["cut without a close frame"]),
    "a message lost": (loses_one, ["wrong answer"]),
}


@pytest.mark.parametrize(("handler", "what"), WEBSOCKETS.values(), ids=WEBSOCKETS)
def test_ends_of_websockets(
    handler: Callable[[ServerConnection], Awaitable[None]], what: list[str]
) -> None:
    async def meet() -> Scene:
        scene = new_scene()
        async with serve(handler, "127.0.0.1", 0) as server:
            scene.address = next(iter(server.sockets)).getsockname()
            await asyncio.wait_for(counted(scene, Echoes(scene, "x0")), 10)
        return scene

    scene = asyncio.run(meet())
    assert failures(scene) == what
    if not what:
        assert scene.tally.notes["websocket: unanswered at 1012"] == streams.WINDOW


def test_a_refused_handshake_is_seen() -> None:
    assert failures(met(Echoes, answer(refuse(b"502 x")))) == ["status 502"]
    assert failures(met(Echoes, answer(b""))) == ["closed without an answer"]


# -- the record ------------------------------------------------------------------------------


def test_what_was_lost_or_done_twice_is_seen(tmp_path: Path) -> None:
    scene = new_scene()
    scene.posted = {
        "a": "status 200", "b": "status 200", "c": "status 200", "d": "",
        "e": "status 502", "f": "status 503 with Retry-After",
    }  # fmt: skip
    (tmp_path / "record").write_text("a\nc\nc\nd\nf\nz\n")
    records(scene, Ground(folder=tmp_path, settings=Settings(), port=1))
    assert Counter(failures(scene)) == Counter(
        ["lost", "done twice", "done in spite of 503", "never sent"]
    )
    assert scene.tally.notes["post: done and not answered"] == 1


# -- what a variant allows -------------------------------------------------------------------

ALLOWANCES = [
    ("reload", "events", Failed("truncated", age=10.0), True),
    ("reload", "events", Failed("truncated", age=5.0), False),
    ("reload", "slow download", Failed("truncated", age=10.0), False),
    ("reload", "post", Failed("status 503 with Retry-After"), False),
    ("killed", "post", Failed("status 502"), True),
    ("killed", "keep-alive", Failed("status 502"), False),
    ("killed", "post", Failed("done twice"), False),
    ("gateway", "post", Failed("reset", born=7.0), True),
    ("gateway", "post", Failed("reset", born=9.0), False),
    ("gateway", "post", Failed("refused", born=7.0), False),
    ("overload", "crowd", Failed("status 503 with Retry-After"), True),
    ("overload", "crowd", Failed("status 503"), False),
]


@pytest.mark.parametrize(("variant", "client", "failure", "allowed"), ALLOWANCES)
def test_what_a_variant_allows(variant: str, client: str, failure: Failed, allowed: bool) -> None:
    allows = VARIANTS[variant].allows([8.0])
    assert (allows(client, failure) is not None) is allowed


@pytest.mark.parametrize(
    ("failure", "allowed"),
    [
        (Failed("status 502", born=1.0, age=5.0), True),
        # Its connection is old, and it was sent after the kill.
        (Failed("status 502", born=1.0, age=1.0), False),
        # A WebSocket has no request: its connection counts.
        (Failed("close code 1011", born=1.0), True),
    ],
)
def test_what_was_under_way_when_a_process_died(failure: Failed, allowed: bool) -> None:
    """The process died three seconds ago."""
    allowance = Allowed(what="*", under_way=True, why="-")
    died = time.monotonic() - 3.0
    assert allowance.covers("post", failure, 10.0, [died]) is allowed
