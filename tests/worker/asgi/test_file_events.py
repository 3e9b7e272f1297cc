"""Files that an ASGI app answers with, over a real link: `http.response.pathsend` and
`http.response.zerocopysend`."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from propylon.protocol.hello import Greeting
from propylon.protocol.messages import (
    APP_FAILED,
    END,
    FEATURES,
    FILE,
    FILES,
    RESPONSE_BODY,
    RESPONSE_FILE,
    RESPONSE_START,
    WINDOW,
)

from ..gateway_peer import GatewayPeer, PeerCall, running, scope

START = {"type": "http.response.start", "status": 200, "headers": [["content-type", "text/x"]]}
CONTENT = b"0123456789"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


def answer(peer: GatewayPeer, *events: dict[str, Any]) -> PeerCall:
    about = scope("POST", b"/sends_file")
    return peer.call(about, json.dumps(events).encode())


def starting(length: int) -> dict[str, Any]:
    return START | {"headers": [["content-length", str(length)]]}


def path_send(path: Path) -> dict[str, Any]:
    return {"type": "http.response.pathsend", "path": str(path)}


def zero_copy(path: Path, **more: object) -> dict[str, Any]:
    return {"type": "http.response.zerocopysend", "file": str(path), **more}


def stats(peer: GatewayPeer) -> Any:
    return peer.get("/stats").json


def test_a_path_is_one_message_and_the_worker_reads_nothing(asgi: GatewayPeer, file: Path) -> None:
    call = answer(asgi, START, path_send(file))
    assert (call.status, call.body, call.file) == (200, CONTENT, (0, 10))
    assert call.header[b"content-type"] == b"text/x"
    assert call.kinds in ([RESPONSE_FILE], [RESPONSE_FILE, END])


@pytest.mark.parametrize(
    ("event", "part", "position"),
    [
        ({}, (0, 10), 10),
        ({"at": 3}, (3, 7), 10),
        ({"at": 3, "count": 2}, (3, 2), 5),
        ({"offset": 4}, (4, 6), 0),
        ({"at": 3, "offset": 4, "count": 5}, (4, 5), 3),
        ({"offset": 8, "count": 5}, (8, 2), 0),
        ({"offset": 11}, (11, 0), 0),
    ],
)
def test_a_file_object_from_where_it_stands(
    asgi: GatewayPeer, file: Path, event: dict[str, int], part: tuple[int, int], position: int
) -> None:
    call = answer(asgi, START, zero_copy(file, **event))
    assert call.file == part
    assert stats(asgi)["positions"] == [position]


def test_what_was_appended_after_the_size_was_stated_is_not_sent(
    asgi: GatewayPeer, file: Path
) -> None:
    assert answer(asgi, starting(7), path_send(file)).file == (0, 7)
    assert answer(asgi, starting(7), zero_copy(file)).file == (0, 7)
    assert answer(asgi, starting(7), zero_copy(file, count=9)).file == (0, 9)  # the app's fault


def test_a_file_behind_bytes_ends_the_response(asgi: GatewayPeer, file: Path) -> None:
    first = {"type": "http.response.body", "body": "first ", "more_body": True}
    call = answer(asgi, START, first, zero_copy(file, offset=2))
    assert call.body == b"first " + CONTENT[2:]
    assert call.kinds[:3] == [RESPONSE_START, RESPONSE_BODY, FILE]


def test_a_file_before_bytes_is_read_by_the_worker(asgi: GatewayPeer, tmp_path: Path) -> None:
    """The protocol knows a file as the end of a response only."""
    large = tmp_path / "large"
    large.write_bytes(os.urandom(3 * WINDOW))
    last = {"type": "http.response.body", "body": " last"}
    whole, part = zero_copy(large, more_body=True), zero_copy(large, count=9, more_body=True)
    call = answer(asgi, START, whole, part, last)
    assert call.body == large.read_bytes() + large.read_bytes()[:9] + b" last"
    assert call.file is None
    none = answer(asgi, START, zero_copy(large, offset=1 << 40, more_body=True), last)
    assert none.body == b" last"


def test_a_file_that_hides_its_size_is_read_by_the_worker(asgi: GatewayPeer) -> None:
    cpus = Path("/proc/sys/kernel/ostype")
    assert answer(asgi, START, path_send(cpus)).body == cpus.read_bytes()
    assert answer(asgi, START, zero_copy(cpus)).body == cpus.read_bytes()


def test_an_empty_file_object_stays_where_it_is(asgi: GatewayPeer, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    call = answer(asgi, START, zero_copy(empty))
    assert (call.status, call.body, call.complete) == (200, b"", True)
    assert stats(asgi)["positions"] == [0], "ext4 takes no position behind the end of all files"


def test_what_is_no_file(asgi: GatewayPeer, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    assert answer(asgi, START, path_send(empty)).complete
    for event, why in (
        (path_send(tmp_path / "missing"), "FileNotFoundError"),
        (path_send(tmp_path), "only regular files"),
        (path_send(fifo), "only regular files"),
        (zero_copy(empty, mode="ab"), "not open for reading"),
        (zero_copy(empty, offset=-1), "a number of bytes, not -1"),
        (zero_copy(empty, count="1"), "a number of bytes, not '1'"),
        ({"type": "http.response.pathsend", "path": 3}, "is a string, not 3"),
    ):
        call = answer(asgi, START, event)
        assert call.reset is not None
        assert (call.reset[0], call.status) == (APP_FAILED, 0)  # no head was sent: a 500
        assert why in stats(asgi)["errors"][-1]


def test_events_in_a_wrong_order(asgi: GatewayPeer, file: Path) -> None:
    body = {"type": "http.response.body", "body": "x", "more_body": True}
    for events, rule in (
        ([path_send(file)], "was sent before http.response.start"),
        ([START, body, path_send(file)], "cannot be mixed with http.response.body"),
    ):
        answer(asgi, *events)
        assert rule in stats(asgi)["errors"][-1]
    assert answer(asgi, START, path_send(file), path_send(file)).body == CONTENT
    assert f"{path_send(file)['type']} was sent after the response was complete" in (
        asgi.worker.errors
    )


@pytest.mark.slow
def test_a_gateway_that_takes_no_files_is_offered_none(run_dir: Path, file: Path) -> None:
    greeting = Greeting(who={"gateway": 1}, features=FEATURES - {FILES})
    with running("asgi_apps:app", run_dir, greeting=greeting) as (_, peer):
        assert set(eval(peer.get("/anything").body)["extensions"]) == {"propylon.shutdown"}
        assert answer(peer, START, path_send(file)).reset is not None
        assert "this scope does not offer" in stats(peer)["errors"][-1]


@pytest.mark.slow
def test_a_gateway_that_takes_no_more_descriptors_gets_bytes(run_dir: Path, file: Path) -> None:
    with running("asgi_apps:app", run_dir) as (_, peer):
        assert answer(peer, START, path_send(file)).file == (0, 10)
        files = peer.files
        assert files is not None
        files.shutdown(socket.SHUT_RDWR)
        for _ in range(2):
            call = answer(peer, START, path_send(file))
            assert (call.body, call.file) == (CONTENT, None)
