"""What goes wrong: one clear sentence and an exit code at the start; nobody else's loss later."""

import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from os import kill
from pathlib import Path

import httpx
import pytest

from ..cases import some_slow
from .server import APPS, DEADLINE, Propylon, command, environment, traceback_of_ours, wait_for


def refused(*arguments: str, cwd: Path = APPS) -> tuple[int, str]:
    """The exit code and the output of a start that must fail."""
    done = subprocess.run(
        command("serve", *arguments),
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(),
        timeout=DEADLINE,
        check=False,
    )
    assert not traceback_of_ours(done.stderr), done.stderr
    return done.returncode, done.stderr


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    (tmp_path / "raises.py").write_text("def f():\n    raise KeyError('DATABASE_URL')\n\nf()\n")
    (tmp_path / "syntax.py").write_text("def f(:\n")
    (tmp_path / "number.py").write_text("app = 7\nApp = application = 8\n")
    (tmp_path / "needs.py").write_text("import a_library_that_is_not_there\n")
    (tmp_path / "lifespan.py").write_text(
        "async def app(scope, receive, send):\n"
        "    assert scope['type'] == 'lifespan'\n"
        "    await receive()\n"
        "    await send({'type': 'lifespan.startup.failed', 'message': 'no database at db:5432'})\n"
    )
    return tmp_path


APPS_THAT_CANNOT_BE_SERVED = {
    "no such module": ("nowhere:app", r"nowhere"),
    "no such attribute": ("number:apq", r"number.*apq"),
    "no app at all": ("number:app", r"app.*(int|7)"),
    "raises at import": ("raises:app", r"KeyError: 'DATABASE_URL'"),
    "syntax error": ("syntax:app", r"SyntaxError"),
    "needs what is not there": ("needs:app", r"a_library_that_is_not_there"),
    "fails in lifespan": ("lifespan:app", r"no database at db:5432"),
}


@pytest.mark.parametrize(
    ("app", "says"),
    some_slow(1, APPS_THAT_CANNOT_BE_SERVED.values()),
    ids=APPS_THAT_CANNOT_BE_SERVED,
)
def test_an_app_that_cannot_be_served(broken: Path, app: str, says: str) -> None:
    code, output = refused(app, "-b", "127.0.0.1:0", "--app-dir", str(broken))
    assert code == 3, output
    assert re.search(says, output), output
    assert "Serving on" not in output


def test_where_an_import_failed_is_shown(broken: Path) -> None:
    _, output = refused("raises:app", "-b", "127.0.0.1:0", "--app-dir", str(broken))
    assert re.search(r'raises\.py", line 4', output), output
    assert "importlib" not in output


WRONG_WORDS = {
    "an unknown option": (["asgi_raw:app", "--wrokers", "2"], r"--workers"),
    "no number": (["asgi_raw:app", "-w", "many"], r"many"),
    "no app": ([], r"(?i)app"),
    "no colon": (["asgi_raw:"], r"asgi_raw:"),
    "no such loop": (["asgi_raw:app", "--loop", "curio"], r"curio"),
    "no such port": (["asgi_raw:app", "-b", "127.0.0.1:99999"], r"99999"),
    "no such file": (["asgi_raw:app", "-c", "none.toml"], r"none\.toml"),
}


@pytest.mark.parametrize(("arguments", "says"), some_slow(1, WRONG_WORDS.values()), ids=WRONG_WORDS)
def test_wrong_words(arguments: list[str], says: str) -> None:
    code, output = refused(*arguments)
    assert code == 2, output
    assert re.search(says, output), output


def test_a_wrong_key_says_its_path_and_the_right_one(tmp_path: Path) -> None:
    config = tmp_path / "propylon.toml"
    config.write_text('app = "asgi_raw:app"\nwrokers = 2\n[[pools]]\nname = "a"\nthread = 3\n')
    code, output = refused("-c", str(config))
    assert code == 2
    assert re.search(r"wrokers.*workers", output), output
    assert re.search(r"pools.*thread.*threads", output), output  # all faults at once


def test_a_taken_port() -> None:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        code, output = refused("asgi_raw:app", "-b", f"127.0.0.1:{port}")
    assert code == 1
    assert re.search(rf"127\.0\.0\.1:{port}.*", output), output
    assert len(output.strip().splitlines()) <= 2


def test_a_run_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """A file in its place: root may write everywhere."""
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "run"
    code, output = refused("asgi_raw:app", "-b", "127.0.0.1:0", "--run-dir", str(place))
    assert code == 1
    assert str(place) in output or str(place.parent) in output, output


# -- while it serves ---------------------------------------------------------------------------


@pytest.fixture
def two_workers() -> Iterator[Propylon]:
    with Propylon("asgi_raw:app", "-w", "2", "--access-logfile", "-") as propylon:
        yield propylon


def test_a_worker_killed_in_the_middle_of_a_response(two_workers: Propylon) -> None:
    """Its client sees the cut; a client of the other worker nothing; a new worker comes at once."""
    before = set(two_workers.pids("worker"))
    with two_workers.client() as victim, two_workers.client() as other:
        with (
            victim.stream("GET", "/trickle?n=100") as first,
            other.stream("GET", "/trickle?n=10") as second,
        ):
            cut, whole = first.iter_bytes(), second.iter_bytes()
            victims, others = int(next(cut).split()[0]), int(next(whole).split()[0])
            assert {victims, others} == before
            kill(victims, signal.SIGKILL)
            killed = time.monotonic()
            with pytest.raises(httpx.RemoteProtocolError):
                list(cut)

            def renewed() -> bool:
                return len(two_workers.pids("worker")) == 2

            wait_for(renewed, "a new worker", deadline=5)
            assert b"".join(whole).count(b".") == 10
        new = (set(two_workers.pids("worker")) - before).pop()
        with other.stream("GET", "/trickle?n=30"):  # keeps the other one busy

            def new_one_answers() -> bool:
                return f"pid={new}" in victim.get("/facts").text

            wait_for(new_one_answers, "an answer of the new worker", deadline=5)
        assert time.monotonic() - killed < 2.5  # of which its start takes about one
    assert "SIGKILL" in two_workers.stderr.text


def test_a_request_waits_for_the_only_worker_to_come_back() -> None:
    with Propylon("asgi_raw:app", "-w", "1") as propylon, propylon.client() as client:
        (pid,) = propylon.pids("worker")
        kill(pid, signal.SIGKILL)
        assert [client.get("/").text for _ in range(5)] == ["hello"] * 5


@pytest.mark.parametrize("number", some_slow(1, [signal.SIGTERM, signal.SIGINT]))
def test_a_running_request_is_finished_before_the_end(number: int, tmp_path: Path) -> None:
    began = tmp_path / "began"
    with Propylon("asgi_raw:app") as propylon, propylon.client() as client:
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(client.get, "/slow", params={"s": 1, "file": str(began)})
            wait_for(began.exists, "the app's call")
            assert propylon.stop(number) == 0
            response = answer.result(DEADLINE)
        assert response.text == "slept"
        with pytest.raises(httpx.ConnectError):
            client.get("/")


def test_a_running_wsgi_request_is_finished_before_the_end(tmp_path: Path) -> None:
    began = tmp_path / "began"
    with (
        Propylon("wsgi_raw:app") as propylon,
        propylon.client() as client,
        ThreadPoolExecutor() as pool,
    ):
        answer = pool.submit(client.get, "/slow", params={"s": 1, "file": str(began)})
        wait_for(began.exists, "the app's call")
        assert propylon.stop() == 0
        assert answer.result(DEADLINE).text == "slept"


def test_the_time_to_finish_is_bounded(tmp_path: Path) -> None:
    began = tmp_path / "began"
    flags = ["--timeout-graceful-shutdown", "0.5"]
    with (
        Propylon("asgi_raw:app", *flags) as propylon,
        propylon.client() as client,
        ThreadPoolExecutor() as pool,
    ):
        answer = pool.submit(client.get, "/slow", params={"s": 60, "file": str(began)})
        wait_for(began.exists, "the app's call")
        start = time.monotonic()
        propylon.stop()
        assert time.monotonic() - start < 8
        assert answer.exception(DEADLINE) or answer.result().status_code >= 500


def test_a_killed_gateway_is_replaced() -> None:
    """With its listening socket: what was queued there is answered by the new one."""
    with Propylon("asgi_raw:app") as propylon:
        (pid,) = propylon.pids("gateway")
        kill(pid, signal.SIGKILL)

        def answers() -> bool:
            try:
                return httpx.get(f"{propylon.url}/", timeout=DEADLINE).text == "hello"
            except httpx.RemoteProtocolError:
                return False  # it reached the dying one's end

        wait_for(answers, "a new gateway")
        assert pid not in propylon.pids("gateway")
        assert len(propylon.pids("worker")) == 1


def test_a_killed_supervisor_leaves_nobody() -> None:
    propylon = Propylon("asgi_raw:app", "-w", "2")
    with propylon:
        children = propylon.pids("gateway") + propylon.pids("worker")
        propylon.process.kill()
        propylon.process.wait()
        wait_for(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() and
                                 Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children),
                 "the end of its children")  # fmt: skip
        propylon.stop = lambda number=0: 0  # pyright: ignore: it has ended already


def test_a_slow_reader_slows_its_own_call_only(two_workers: Propylon) -> None:
    with closing(socket.create_connection(two_workers.address, DEADLINE)) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        slow.sendall(b"GET /stream?n=100000000 HTTP/1.1\r\nHost: h\r\n\r\n")
        assert slow.recv(100)
        with two_workers.client() as client:
            for _ in range(50):
                assert client.get("/").text == "hello"
            assert len(client.get("/stream?n=3000000").content) == 3_000_000


def test_reload(tmp_path: Path) -> None:
    app = tmp_path / "changing.py"
    text = (
        "def app(environ, start):\n"
        "    start('200 OK', [])\n"
        "    return [b'{}']\n"
    )  # fmt: skip
    app.write_text(text.format("one"))
    flags = ["--reload", "--app-dir", str(tmp_path)]
    with Propylon("changing:app", *flags, cwd=tmp_path) as propylon, propylon.client() as client:
        assert client.get("/").text == "one"
        app.write_text(text.format("two"))
        wait_for(lambda: client.get("/").text == "two", "the new answer")
        app.write_text("def app(:\n")
        propylon.stderr.find("SyntaxError")
        app.write_text(text.format("three"))
        wait_for(lambda: client.get("/").text == "three", "the answer after the repair")


def test_clients_that_keep_asking_do_not_stop_the_end() -> None:
    """Clients that keep asking while it stops see answers or the end, never garbage."""
    bad: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(trust_env=False, timeout=DEADLINE) as client:
            while not stop.is_set():
                try:
                    if client.get(propylon.url).text != "hello":
                        bad.append("wrong answer")
                except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError):
                    return

    with Propylon("asgi_raw:app", "--no-access-log") as propylon:
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        assert propylon.stop() == 0
        stop.set()
        for thread in threads:
            thread.join()
    assert not bad


# -- what a client can bring about in an app -----------------------------------------------------

HOSTS = {
    "asyncio": ["asgi_raw:app"],
    "trio": ["asgi_raw:app", "--loop", "trio"],
    "threads": ["wsgi_raw:app", "--threads", "2", "--queue-timeout", "5", "--buffer-requests=off"],
}


@pytest.mark.parametrize("host", some_slow(1, HOSTS.values()), ids=HOSTS)
def test_an_exception_with_a_lone_surrogate_costs_its_request_only(host: list[str]) -> None:
    with Propylon(*host) as propylon, propylon.client() as client:
        workers = propylon.pids("worker")
        for _ in range(3):
            assert client.post("/parrot", content=b'"\\ud800"').status_code == 500
        assert client.get("/").text == "hello"
        assert propylon.pids("worker") == workers


@pytest.mark.parametrize("host", some_slow(1, HOSTS.values()), ids=HOSTS)
def test_a_request_that_never_ends_holds_no_slot_once_it_was_answered(host: list[str]) -> None:
    with Propylon(*host) as propylon, propylon.client() as client:
        for _ in range(3):
            with closing(socket.create_connection(propylon.address, DEADLINE)) as sock:
                sock.sendall(b"POST /late HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nabc")
                assert b"200 OK" in sock.recv(1000)
        assert client.get("/").text == "hello"
        if "wsgi_raw:app" not in host:
            wait_for(lambda: client.get("/count_late").text == "0", "calls leave the app")
