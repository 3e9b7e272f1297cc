"""Files that an app hands over: who answers a Range, and what the head says."""

import os
from pathlib import Path

import pytest
from propylon.gateway.exchange.exchange import Exchange, Request
from propylon.gateway.files.app_file import AppFile, end_with_app_file, respond_with_app_file
from propylon.gateway.files.disk_file import DiskFile
from propylon.gateway.files.disk_threads import DiskThreads
from propylon.gateway.files.ranges import Part
from propylon.protocol.messages import WINDOW, Pairs

from ...fakes.exchange_sides import FakeClient, FakeSource

CONTENT = os.urandom(WINDOW + 100_000)
DISK = DiskThreads(lambda call: call())
ETAG, WEAK = (b"ETag", b'"v1"'), (b"etag", b'W/"v1"')
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


def asked(method: str = "GET", **headers: bytes) -> tuple[FakeClient, Exchange]:
    """With an app that has answered."""
    request = Request(method, b"/x", "1.1")
    request.headers = tuple(
        (name.replace("_", "-").encode(), value) for name, value in headers.items()
    )
    client = FakeClient()
    exchange = Exchange(request, client)
    exchange.connect(FakeSource(), 0.0)
    return client, exchange


def answer(
    path: Path, fields: Pairs = (), status: int = 200, part: Part | None = None,
    method: str = "GET", **headers: bytes,
) -> FakeClient:  # fmt: skip
    client, exchange = asked(method, **headers)
    file = DiskFile(os.open(path, os.O_RDONLY), "of the app")
    sent = AppFile(file, part or Part(0, file.size))
    assert not sent.fault
    assert respond_with_app_file(exchange, status, fields, sent, DISK) == client.status
    while not client.over:
        client.take(exchange)
    assert exchange.end_code == ""
    return client


def test_a_whole_file_says_that_parts_of_it_can_be_had(path: Path) -> None:
    client = answer(path, ((b"content-type", b"video/mp4"),))
    assert (client.status, client.data) == (200, CONTENT)
    assert client.fields == (
        (b"content-type", b"video/mp4"), (b"accept-ranges", b"bytes"),
        (b"content-length", b"%d" % len(CONTENT)),
    )  # fmt: skip


@pytest.mark.parametrize("part", [None, Part(7, 1_007)])
def test_a_range_is_of_what_the_app_sends(path: Path, part: Part | None) -> None:
    """The app's file may begin where it stood."""
    whole = CONTENT if part is None else CONTENT[part.start : part.stop]
    size = len(whole)
    client = answer(path, part=part, range=b"bytes=10-19")
    assert (client.status, client.data) == (206, whole[10:20])
    assert dict(client.fields)[b"content-range"] == b"bytes 10-19/%d" % size
    client = answer(path, part=part, range=b"bytes=-5")
    assert client.data == whole[-5:]
    client = answer(path, ((b"Content-Type", b"a/b"),), part=part, range=b"bytes=0-0,500-501")
    kind = dict(client.fields)[b"content-type"]
    assert kind.startswith(b"multipart/byteranges; boundary=")
    assert len(client.fields) == len({name.lower() for name, _ in client.fields})
    assert b"Content-Type: a/b\r\nContent-Range: bytes 500-501/%d\r\n\r\n" % size in client.data
    client = answer(path, part=part, range=b"bytes=%d-" % size)
    assert (client.status, dict(client.fields)[b"content-range"]) == (416, b"bytes */%d" % size)


def test_if_range_compares_with_what_the_app_has_said(path: Path) -> None:
    for fields, condition, status in (
        ((ETAG,), b'"v1"', 206),
        ((ETAG,), b'"v2"', 200),
        ((WEAK,), b'W/"v1"', 200),
        ((), b'"v1"', 200),
        (((b"Last-Modified", DATE),), DATE, 206),
        ((), DATE, 200),
        (((b"last-modified", b"nonsense"),), DATE, 200),
    ):
        client = answer(path, fields, range=b"bytes=0-1", if_range=condition)
        assert client.status == status, (fields, condition)


@pytest.mark.parametrize(
    ("fields", "status", "method"),
    [
        (((b"Accept-Ranges", b"bytes"),), 200, "GET"),
        (((b"accept-ranges", b"none"),), 200, "GET"),
        (((b"content-encoding", b"gzip"),), 200, "GET"),
        (((b"content-range", b"bytes 0-9/10"),), 206, "GET"),
        ((), 404, "GET"),
        ((), 200, "POST"),
    ],
)
def test_an_app_that_sees_to_ranges_is_left_alone(
    path: Path, fields: Pairs, status: int, method: str
) -> None:
    client = answer(path, fields, status, method=method, range=b"bytes=0-1")
    assert (client.status, client.data) == (status, CONTENT)
    if method == "GET":
        assert client.fields == (*fields, (b"content-length", b"%d" % len(CONTENT)))


def test_no_body_where_there_is_none(path: Path) -> None:
    length = (b"content-length", b"%d" % len(CONTENT))
    head = answer(path, method="HEAD", range=b"bytes=0-1")
    assert (head.status, head.data) == (200, b"")
    assert length in head.fields
    assert answer(path, ((b"Content-Length", length[1]),), method="HEAD").fields.count(length) == 1
    nothing = answer(path, (ETAG,), 304)
    assert (nothing.data, nothing.fields) == (b"", (ETAG,))
    assert answer(path, part=Part(5, 5)).data == b""


def test_the_rest_of_a_response_that_has_begun(path: Path) -> None:
    for method, data in (("GET", CONTENT[9:]), ("HEAD", b"")):
        client, exchange = asked(method)
        client.head(exchange, 200, ())
        file = DiskFile(os.open(path, os.O_RDONLY), "of the app")
        end_with_app_file(exchange, AppFile(file, Part(9, file.size)), DISK)
        while not client.over:
            client.take(exchange)
        assert client.data == data


def test_what_can_not_be_sent(path: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for where, flags, part, fault in (
        (path, os.O_WRONLY, Part(0, 1), "is not open for reading"),
        (path, os.O_PATH, Part(0, 1), "is not open for reading"),
        (path, os.O_RDONLY, Part(5, len(CONTENT) + 1), f"has {len(CONTENT)} bytes"),
        (tmp_path, os.O_RDONLY, Part(0, 1), "is no regular file"),
        (fifo, os.O_RDWR, Part(0, 1), "is no regular file"),
        (Path("/dev/zero"), os.O_RDONLY, Part(0, 1), "is no regular file"),
    ):
        assert fault in AppFile(DiskFile(os.open(where, flags), "x"), part).fault
