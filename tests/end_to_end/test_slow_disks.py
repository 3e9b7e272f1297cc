"""A static folder behind a server that does not answer: its readers wait, and nobody else does."""

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ..fakes.slow_file_system import SlowFiles, slow_files
from .server import Propylon, wait_for

CONTENT = os.urandom(1_000_000)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0 or not os.path.exists("/dev/fuse"), reason="needs root and /dev/fuse"
    ),
]


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[SlowFiles]:
    (tmp_path / "slow").mkdir()
    try:
        with slow_files(tmp_path / "slow", {b"a.bin": CONTENT, b"b.txt": b"small"}) as server:
            yield server
    except PermissionError:
        pytest.skip("may not mount")


@pytest.mark.parametrize("what", ["lookup", "open", "read"])
def test_nobody_else_waits_for_it(tmp_path: Path, slow: SlowFiles, what: str) -> None:
    (tmp_path / "fast").mkdir()
    (tmp_path / "fast/c.txt").write_text("fast")
    flags = ["--static", f"/slow={tmp_path / 'slow'}", "--static", f"/fast={tmp_path / 'fast'}"]
    with (
        Propylon("asgi_raw:app", *flags) as propylon,
        ThreadPoolExecutor(8) as threads,
        propylon.client() as http,
    ):
        assert http.get("/slow/a.bin").content == CONTENT
        assert http.get("/slow/b.txt").text == "small"
        slow.hold(what)
        waits = [threads.submit(http.get, "/slow/b.txt") for _ in range(2)]
        waits.append(threads.submit(http.get, "/slow/a.bin", headers={"range": "bytes=9-"}))
        wait_for(lambda: slow.waiting, "somebody who waits for the server")
        for _ in range(20):
            assert http.get("/fast/c.txt").text == "fast"
            assert http.get("/").status_code == 200
        leave(propylon.address, "/slow/a.bin")
        assert not any(each.done() for each in waits)
        slow.let_go()
        assert [each.result().status_code for each in waits] == [200, 200, 206]
        assert waits[2].result().content == CONTENT[9:]
        assert http.get("/slow/missing").status_code == 404


@pytest.mark.parametrize("what", ["lookup", "open"])
def test_nor_for_a_file_that_an_app_names(tmp_path: Path, slow: SlowFiles, what: str) -> None:
    flags = ["--internal-files", f"/protected={tmp_path / 'slow'}"]
    env = {"FILES_FOLDER": str(tmp_path)}
    with (
        Propylon("files_wsgi:application", *flags, env=env) as propylon,
        ThreadPoolExecutor(8) as threads,
        propylon.client() as http,
    ):
        assert http.get("/accel/a.bin").content == CONTENT
        slow.hold(what)
        wait = threads.submit(http.get, "/accel/b.txt")
        wait_for(lambda: slow.waiting, "somebody who waits for the server")
        for _ in range(20):
            assert http.get("/x/y").status_code == 404
        leave(propylon.address, "/accel/a.bin")
        assert not wait.done()
        slow.let_go()
        assert (wait.result().status_code, wait.result().text) == (200, "small")


def leave(address: tuple[str, int], path: str) -> None:
    """Asks, and is gone before there is an answer."""
    with socket.create_connection(address) as sock:
        sock.sendall(b"GET %b HTTP/1.1\r\nhost: a\r\n\r\n" % path.encode())
