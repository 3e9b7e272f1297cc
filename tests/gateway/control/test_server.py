"""The control socket, by real clients on a real socket."""

# ruff: noqa: ASYNC240  small files on a local disk

import collections
import json
import logging
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.lowlevel
from propylon.gateway.control import server as control
from propylon.gateway.control.commands import Command, Reload, Result, Scale, Status, Stop
from propylon.gateway.control.server import ControlServer, Handler, Say
from propylon.gateway.observe.process_log import logger

PATIENCE = 20.0


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    logger.propagate, before = True, logger.propagate
    with caplog.at_level(logging.DEBUG, logger.name):
        yield caplog
    logger.propagate = before


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "control.sock")


class Supervisor:
    """A handler with something to do: a reload lasts until it is let go."""

    def __init__(self) -> None:
        self.heard: list[Command] = []
        self.begun = trio.Event()
        self.let_go = trio.Event()
        self.committed = trio.Event()

    async def handle(self, command: Command, say: Say) -> Result:
        self.heard.append(command)
        match command:
            case Reload():
                say("canary: worker 1 starts")
                self.begun.set()
                await self.let_go.wait()
                say("rolling: 1 of 1")
                self.committed.set()
                return Result(True, "Reloaded: generation 2")
            case Status():
                return Result(True, "", {"pid": 17, "addresses": ("http://127.0.0.1:8000",)})
            case Scale():
                raise RuntimeError("the table fell over")
            case Stop():
                return Result(True, "", object())
            case _:
                return Result(False, "not here")


@asynccontextmanager
async def serving(path: str, handle: Handler) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(ControlServer(path, handle).run)
        with trio.fail_after(PATIENCE):
            yield
        nursery.cancel_scope.cancel()


async def answers(stream: trio.abc.ReceiveStream) -> list[dict[str, object]]:
    """All lines up to the end."""
    data = b""
    try:
        async for piece in stream:
            data += piece
    except trio.BrokenResourceError:
        pass  # closed with a request that it did not care to read
    return [json.loads(line) for line in data.splitlines()]


async def ask(path: str, request: bytes) -> list[dict[str, object]]:
    async with await trio.open_unix_socket(path) as stream:
        await stream.send_all(request)
        return await answers(stream)


STATUS = b'{"command":"status"}\n'
STATUS_ANSWER = [
    {"taken": "status"},
    {
        "done": True,
        "ok": True,
        "message": "",
        "data": {"pid": 17, "addresses": ["http://127.0.0.1:8000"]},
    },
]


async def test_answers_and_closes(path: str) -> None:
    async with serving(path, Supervisor().handle):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert await ask(path, STATUS) == STATUS_ANSWER
        assert await ask(path, STATUS) == STATUS_ANSWER
    assert os.listdir(os.path.dirname(path)) == []


async def test_progress_comes_as_it_is_made(path: str) -> None:
    supervisor = Supervisor()
    async with serving(path, supervisor.handle), await trio.open_unix_socket(path) as stream:
        await stream.send_all(b'{"command":"reload"}\n')
        said = b""
        while said.count(b"\n") < 2:
            said += await stream.receive_some()
        assert [json.loads(line) for line in said.splitlines()] == [
            {"taken": "reload"},
            {"say": "canary: worker 1 starts"},
        ]
        assert await ask(path, STATUS) == STATUS_ANSWER  # meanwhile
        supervisor.let_go.set()
        assert await answers(stream) == [
            {"say": "rolling: 1 of 1"},
            {"done": True, "ok": True, "message": "Reloaded: generation 2", "data": None},
        ]


async def test_a_reload_goes_on_without_its_client(path: str) -> None:
    supervisor = Supervisor()
    async with serving(path, supervisor.handle):
        async with await trio.open_unix_socket(path) as stream:
            await stream.send_all(b'{"command":"reload"}\n')
            await supervisor.begun.wait()
        supervisor.let_go.set()
        await supervisor.committed.wait()
        assert await ask(path, STATUS) == STATUS_ANSWER


async def test_a_request_in_pieces_and_one_without_a_newline(path: str) -> None:
    async with serving(path, Supervisor().handle):
        async with await trio.open_unix_socket(path) as stream:
            for byte in STATUS:
                await stream.send_all(bytes([byte]))
                await trio.testing.wait_all_tasks_blocked()
            assert await answers(stream) == STATUS_ANSWER
        async with await trio.open_unix_socket(path) as stream:
            await stream.send_all(STATUS.rstrip())
            await stream.send_eof()
            assert await answers(stream) == STATUS_ANSWER


@pytest.mark.parametrize(
    ("request_line", "sentence"),
    [
        (b"GET / HTTP/1.1\r\n", "what was asked is not one JSON object in a line"),
        (b"\n", "what was asked is not one JSON object in a line"),
        (b'{"command":"explode"}\n', "there is no command 'explode'; there are reload,"),
        (b'{"command":"stop","now":"please"}\n', "what was asked is malformed: Expected `bool`"),
        (b"x" * 100_000, "what was asked is longer than 4096 bytes"),
    ],
)
async def test_malformed(path: str, request_line: bytes, sentence: str) -> None:
    supervisor = Supervisor()
    async with serving(path, supervisor.handle):
        (answer,) = await ask(path, request_line)
        assert answer["done"]
        assert not answer["ok"]
        assert str(answer["message"]).startswith(sentence)
        assert supervisor.heard == []
        assert await ask(path, STATUS) == STATUS_ANSWER


async def test_who_connects_and_says_nothing(
    path: str, log: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    async with serving(path, Supervisor().handle):
        async with await trio.open_unix_socket(path):
            pass  # as `propylon` looks whether somebody is there
        async with await trio.open_unix_socket(path) as silent:
            assert await ask(path, STATUS) == STATUS_ANSWER
            (answer,) = await answers(silent)
            assert answer["message"] == "nothing was asked within 5 s"
        async with await trio.open_unix_socket(path) as slow:
            await slow.send_all(b'{"comm')
            (answer,) = await answers(slow)
            assert answer["message"] == "nothing was asked within 5 s"
    assert log.text == ""


async def test_who_does_not_read_holds_up_nobody(
    path: str, autojump_clock: trio.testing.MockClock
) -> None:
    all_said = trio.Event()

    async def handle(command: Command, say: Say) -> Result:
        if isinstance(command, Status):
            return Result(True, "")
        for _ in range(10_000):
            say("x" * 1_000)
        all_said.set()
        return Result(True, "all said", "y" * 1_000_000)

    async with serving(path, handle), await trio.open_unix_socket(path) as deaf:
        await deaf.send_all(b'{"command":"reload"}\n')
        await all_said.wait()
        assert len(await ask(path, STATUS)) == 2
        await trio.sleep(control.SEND_TIMEOUT + 1)  # the clock jumps
        try:
            heard = b"".join([piece async for piece in deaf])
        except trio.BrokenResourceError:
            heard = b""
        assert b"all said" not in heard  # it was given up


async def test_what_was_not_read_at_once_is_not_lost(path: str) -> None:
    async def handle(command: Command, say: Say) -> Result:
        for number in range(2_000):
            say(f"{number} {'x' * 400}")  # more than the socket takes
        return Result(True, "all said", "y" * 1_000_000)

    async with serving(path, handle), await trio.open_unix_socket(path) as late:
        await late.send_all(b'{"command":"reload"}\n')
        await trio.testing.wait_all_tasks_blocked()
        lines = await answers(late)
        assert len(lines) == 2_002
        assert str(lines[2_000]["say"]).startswith("1999 ")
        assert lines[-1]["message"] == "all said"


async def test_a_failure_of_ours_is_logged_and_answered(
    path: str, log: pytest.LogCaptureFixture
) -> None:
    async with serving(path, Supervisor().handle):
        assert await ask(path, b'{"command":"scale","workers":2}\n') == [
            {"taken": "scale"},
            {
                "done": True,
                "ok": False,
                "message": "scale failed in the supervisor: RuntimeError: the table fell over",
                "data": None,
            },
        ]
        assert "Traceback" in log.text
        assert "the table fell over" in log.text
        _, answer = await ask(path, b'{"command":"stop"}\n')
        assert str(answer["message"]).startswith("the answer is no JSON: ")
        assert await ask(path, STATUS) == STATUS_ANSWER


async def test_the_log_says_who_wanted_what(path: str, log: pytest.LogCaptureFixture) -> None:
    async with serving(path, Supervisor().handle):
        await ask(path, STATUS)
        assert log.text == ""
        await ask(path, b'{"command":"drain"}\n')
    assert f"Asked to drain (uid {os.getuid()}, pid {os.getpid()})" in log.text


async def test_too_many_at_once(path: str) -> None:
    supervisor = Supervisor()
    async with serving(path, supervisor.handle):
        waiting: list[trio.SocketStream] = []
        for _ in range(control.MAX_CONNECTIONS):
            waiting.append(await trio.open_unix_socket(path))
            await waiting[-1].send_all(b'{"command":"reload"}\n')
        await trio.testing.wait_all_tasks_blocked()
        assert len(supervisor.heard) == control.MAX_CONNECTIONS
        (answer,) = await ask(path, STATUS)
        assert answer["message"] == "refused: too many others are asking"
        supervisor.let_go.set()
        for stream in waiting:
            assert (await answers(stream))[-1]["ok"]
            await stream.aclose()
        assert await ask(path, STATUS) == STATUS_ANSWER


async def test_an_answer_reaches_the_client_of_a_server_that_ends(path: str) -> None:
    """The last thing that a supervisor does may be to answer."""
    client = socket.socket(socket.AF_UNIX)
    async with trio.open_nursery() as nursery:

        async def handle(command: Command, say: Say) -> Result:
            say("the last request has ended")
            nursery.cancel_scope.cancel()
            return Result(True, "stopped")

        await nursery.start(ControlServer(path, handle).run)
        client.connect(path)
        client.sendall(b'{"command":"stop"}\n')
        await trio.sleep(PATIENCE)
    with client:
        said = [json.loads(line) for line in client.makefile()]
    assert [list(line) for line in said] == [["taken"], ["say"], ["done", "ok", "message", "data"]]


async def test_a_successor_takes_the_path_over(path: str) -> None:
    """No moment without a listener, and the old one's end leaves the new one's socket."""
    old, new = Supervisor(), Supervisor()
    async with serving(path, new.handle):
        pass
    Path(path).touch()  # left behind by somebody
    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def serve_old(task_status: trio.TaskStatus[None]) -> None:
            with scope:
                await ControlServer(path, old.handle).run(task_status)

        await nursery.start(serve_old)
        async with serving(path, new.handle):
            scope.cancel()
            await trio.testing.wait_all_tasks_blocked()
            assert await ask(path, STATUS) == STATUS_ANSWER
            assert (old.heard, new.heard) == ([], [Status()])
    assert not os.path.exists(path)


CONNECT = """
import socket, sys
print("begun", flush=True)
for number in range(20_000):
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        try:
            client.connect(sys.argv[1])
        except BlockingIOError:
            pass  # its backlog is full
"""


async def test_a_name_that_was_removed_is_made_anew(
    path: str, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "SOUGHT_EVERY", 0.01)
    server = ControlServer(path, Supervisor().handle)
    folder = Path(path).parent
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        with trio.fail_after(20):
            away = folder.rename(folder.with_name(f"{folder.name}-away"))
            while not (seen := list(server.problems(0.0))):  # noqa: ASYNC110
                await trio.sleep(0.01)
            assert seen[0].kind == "control socket"
            assert seen[0].what.endswith("is gone, and not made anew: No such file or directory")
            (away / Path(path).name).unlink()
            away.rename(folder)
            while list(server.problems(0.0)):  # noqa: ASYNC110
                await trio.sleep(0.01)
            assert await ask(path, STATUS) == STATUS_ANSWER
        assert f"{path} was removed by somebody, and is made anew" in log.messages
        nursery.cancel_scope.cancel()
    assert not os.path.exists(path)


def test_there_is_no_moment_without_a_listener(path: str) -> None:
    before = collections.deque([control.bind(path)])
    client = subprocess.Popen([sys.executable, "-c", CONNECT, path], stdout=subprocess.PIPE)
    assert client.stdout is not None
    with client:
        client.stdout.readline()
        while client.poll() is None:
            before.append(control.bind(path))
            if len(before) > 100:  # by now nobody is about to connect to that one
                before.popleft().close()
    assert client.returncode == 0
    for listener in before:
        listener.close()


async def test_where_it_cannot_be(tmp_path: Path) -> None:
    server = ControlServer(str(tmp_path / "gone" / "control.sock"), Supervisor().handle)
    with pytest.raises(ExceptionGroup) as caught:
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
    assert caught.group_contains(FileNotFoundError)


STRANGER = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
with socket.socket(socket.AF_UNIX) as client:
    try:
        client.connect(sys.argv[1])
    except PermissionError as error:
        sys.exit(error.strerror)
    try:
        client.sendall(b'{"command":"stop"}\\n')
    except BrokenPipeError:
        pass
    try:
        while data := client.recv(65536):
            sys.stdout.write(data.decode())
    except ConnectionResetError:
        pass
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
async def test_another_user_is_refused(log: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor()
    folder = tempfile.mkdtemp()  # not below tmp_path, where only we may go
    path = os.path.join(folder, "control.sock")
    os.chmod(folder, 0o755)

    async def stranger() -> "subprocess.CompletedProcess[bytes]":
        return await trio.run_process(
            [sys.executable, "-c", STRANGER, path],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )

    try:
        async with serving(path, supervisor.handle):
            said = await stranger()
            assert said.stderr == b"Permission denied\n"  # by the file's mode
            os.chmod(path, 0o666)
            said = await stranger()
    finally:
        shutil.rmtree(folder)
    assert json.loads(said.stdout) == {
        "done": True,
        "ok": False,
        "message": "refused: you are uid 65534, and this is not yours",
        "data": None,
    }
    assert supervisor.heard == []
    assert re.search(r"refused another user \(uid 65534, pid \d+\)", log.text)
