"""X-Accel-Redirect and X-Sendfile: which files an app may name, and what the client sees of it."""

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from propylon.gateway.exchange.exchange import Exchange, Request
from propylon.gateway.files import disk_threads
from propylon.gateway.files.disk_threads import DiskThreads
from propylon.gateway.handlers.internal_files import InternalFiles
from propylon.protocol.messages import WINDOW, Pairs

from ...end_to_end.server import wait_for
from ...fakes.exchange_sides import FakeClient, FakeSource

HTML = (b"Content-Type", b"text/html; charset=utf-8")


@dataclass
class App:
    """An app whose pool may send the files of two folders."""

    root: Path
    source: FakeSource
    fields: Pairs = ()
    status: int = 200
    streams: bool = False
    calls: deque[Callable[[], None]] = field(default_factory=deque[Callable[[], None]])
    """What threads have handed over for the loop."""

    def __post_init__(self) -> None:
        folders = [f"/files={self.root}/files", f"/files/more={self.root}/more"]
        self.files = InternalFiles(folders, self.answer, DiskThreads(self.calls.append))

    def answer(self, exchange: Exchange) -> None:
        exchange.connect(self.source, 0.0)
        if self.streams:
            exchange.sink.head(exchange, self.status, self.fields)
            if self.source.why is None:
                exchange.sink.body(exchange, b"the app's")
                exchange.sink.end(exchange)
        else:
            exchange.sink.respond(exchange, self.status, self.fields, b"the app's")

    def ask(self, method: str = "GET", **headers: bytes) -> FakeClient:
        client, exchange = self.begin(method, **headers)
        while not client.status:
            self.hear()
        while not client.over:
            client.take(exchange)
        return client

    def hear(self) -> None:
        wait_for(lambda: self.calls, "a thread")
        self.calls.popleft()()

    def begin(self, method: str = "GET", **headers: bytes) -> tuple[FakeClient, Exchange]:
        request = Request(method, b"/download", "1.1")
        request.headers = tuple((name.encode(), value) for name, value in headers.items())
        client = FakeClient()
        exchange = Exchange(request, client, opened=1.0)
        self.files.answer(exchange)
        return client, exchange


@pytest.fixture
def app(tmp_path: Path) -> App:
    for name, content in (
        ("files/a b.txt", b"text"),
        ("files/big", b"x" * (2 * WINDOW)),
        ("files/100%25.txt", b"percent"),
        ("more/x", b"more"),
        ("secret", b"secret"),
        ("files-old/x", b"secret"),
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "files/out").symlink_to(tmp_path / "secret")
    return App(tmp_path, FakeSource())


def accel(value: bytes) -> Pairs:
    return ((b"X-Accel-Redirect", value),)


@pytest.mark.parametrize("streams", [False, True])
def test_the_file_is_sent_with_the_fields_of_the_app(app: App, streams: bool) -> None:
    app.streams = streams
    app.fields = (
        HTML, (b"Content-Length", b"9"), (b"content-encoding", b"gzip"), (b"set-cookie", b"a=1"),
        (b"ETag", b'"app"'), (b"x-accel-expires", b"60"), (b"content-disposition", b"attachment"),
        *accel(b"/files/a%20b.txt?query"),
    )  # fmt: skip
    client = app.ask()
    assert (client.status, client.data) == (200, b"text")
    seen = dict(client.fields)
    assert len(seen) == len(client.fields)
    assert seen[b"content-type"] == HTML[1]
    assert (seen[b"set-cookie"], seen[b"content-disposition"]) == (b"a=1", b"attachment")
    assert seen[b"content-length"] == b"4"
    assert seen[b"etag"] != b'"app"'
    assert not {b"content-encoding", b"X-Accel-Redirect", b"x-accel-expires", b"ETag"} & set(seen)
    assert (app.source.why is not None) is streams, "nobody waits for the rest of the app's"


def test_a_type_that_the_app_has_not_stated_is_told_from_the_name(app: App) -> None:
    for fields in ((), ((b"content-type", b""),)):
        app.fields = (*fields, *accel(b"/files/a%20b.txt"))
        assert app.ask().fields[0] == (b"content-type", b"text/plain; charset=utf-8")


def test_what_a_client_asks_about_a_file_is_answered(app: App) -> None:
    app.fields = accel(b"/files/big")
    client = app.ask()
    assert client.data == b"x" * (2 * WINDOW)
    etag = dict(client.fields)[b"etag"]
    part = app.ask(range=b"bytes=3-5")
    assert (part.status, part.data) == (206, b"xxx")
    assert app.ask(**{"if-none-match": etag}).status == 304
    head = app.ask("HEAD")
    assert (head.data, dict(head.fields)[b"content-length"]) == (b"", b"%d" % (2 * WINDOW))
    post = app.ask("POST", range=b"bytes=3-5", **{"if-none-match": etag})
    assert (post.status, len(post.data)) == (200, 2 * WINDOW)


def test_x_sendfile_names_a_path_of_a_folder(app: App) -> None:
    for name, data in (("files/100%25.txt", b"percent"), ("more/x", b"more")):
        app.fields = ((b"x-sendfile", f"{app.root}/{name}".encode()),)
        client = app.ask()
        assert (client.status, client.data) == (200, data)
        assert b"x-sendfile" not in dict(client.fields)


def test_the_longest_prefix_wins(app: App) -> None:
    app.fields = accel(b"/files/more/x")
    assert app.ask().data == b"more"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-accel-redirect", "/files/missing"),
        ("x-accel-redirect", "/files/"),
        ("x-accel-redirect", "/files"),
        ("x-accel-redirect", "/files/../secret"),
        ("x-accel-redirect", "/files/%2e%2e/secret"),
        ("x-accel-redirect", "/files/a%20b.txt%00"),
        ("x-accel-redirect", "/files-old/x"),
        ("x-accel-redirect", "/files/out"),
        ("x-accel-redirect", "/elsewhere/x"),
        ("x-accel-redirect", "http://example.org/files/x"),
        ("x-sendfile", "{root}/secret"),
        ("x-sendfile", "{root}/files/../secret"),
        ("x-sendfile", "{root}/files/out"),
        ("x-sendfile", "{root}/files-old/x"),
        ("x-sendfile", "files/big"),
        ("x-sendfile", "/etc/passwd"),
        ("x-sendfile", "/files/big"),
    ],
)
def test_nothing_else_is_sent(
    app: App, name: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    app.fields = ((name.encode(), value.format(root=app.root).encode()),)
    client = app.ask()
    assert client.failed == (404, "The file cannot be sent.")
    assert client.data == b""
    assert "GET /download" in caplog.text
    assert "is no file below --internal-files" in caplog.text


def test_other_responses_are_the_app_s(app: App) -> None:
    app.fields = (HTML,)
    assert (app.ask().data, app.ask().fields) == (b"the app's", (HTML,))
    app.status, app.fields = 403, (HTML, *accel(b"/files/big"))
    refused = app.ask()
    assert (refused.status, refused.data, refused.fields) == (403, b"the app's", (HTML,))


@pytest.mark.parametrize("streams", [False, True])
def test_what_is_not_at_hand_is_opened_in_a_thread(app: App, streams: bool) -> None:
    """As where nobody has looked yet what the folder lies on."""
    app.streams, app.fields = streams, (HTML, *accel(b"/files/a%20b.txt"))
    client, exchange = app.begin()
    assert (client.status, client.over) == (0, False)
    source = exchange.source
    assert source is not None
    assert (source.send_credit, source.account()) == (0, app.source.account())
    app.hear()
    assert (client.status, client.data) == (200, b"text")
    app.streams = False
    at_once, _ = app.begin()
    assert (at_once.status, at_once.data) == (200, b"text")


def test_a_client_that_leaves_while_a_thread_opens(app: App) -> None:
    app.fields = accel(b"/files/big")
    before = set(os.listdir("/proc/self/fd"))
    client, exchange = app.begin()
    client.leave(exchange)
    app.hear()
    assert (client.status, client.data) == (0, b"")
    wait_for(lambda: not set(os.listdir("/proc/self/fd")) - before, "the file's close")


def test_more_than_may_wait_for_the_disk(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_threads, "MOST_JOBS", 0)
    app.fields = accel(b"/files/big")
    client, exchange = app.begin()
    app.hear()
    assert client.failed == (503, "The file cannot be sent.")
    assert exchange.end_code == "gateway_file_broke"
