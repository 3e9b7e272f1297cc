"""Odd starts: names that are not UTF-8, closed standard descriptors, a fault of ours. Each is
served, or refused with a sentence; nothing leaves an open port that nobody serves."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from .server import DEADLINE, Propylon, command, environment, wait_for

NOT_UTF_8 = os.fsdecode(b"caf\xe9")
APP = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / NOT_UTF_8
    folder.mkdir()
    (folder / "plain.py").write_text(APP)
    return folder


@pytest.mark.slow
def test_names_of_files_that_are_not_utf_8(folder: Path) -> None:
    """The app's directory, the run directory, the logs and a socket; and over an upgrade."""
    options = ("--app-dir", str(folder), "--run-dir", str(folder / "r"), "-b", "127.0.0.1:0")
    log, sock = folder / NOT_UTF_8, folder / "s.sock"
    with Propylon(
        "plain:app", *options, "-b", f"unix:{sock}", "--access-logfile", str(log), cwd="/"
    ) as propylon:
        url = propylon.url
        with propylon.client(base_url=url) as client:
            assert client.get("/").text == "hello"
            wait_for(lambda: log.exists() and log.read_text(), "a line of the access log")
            assert sock.is_socket()
            done = subprocess.run(
                command("upgrade", "--run-dir", str(folder / "r")),
                capture_output=True,
                text=True,
                env=environment(),
                cwd="/",
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert client.get("/").text == "hello"
        status = subprocess.run(
            command("status", "--run-dir", str(folder / "r")), capture_output=True, cwd="/"
        )
        assert status.returncode == 0, status.stderr


@pytest.mark.parametrize("verb", ["check", "serve"])
def test_a_name_with_a_nul_is_refused(tmp_path: Path, verb: str) -> None:
    (tmp_path / "p.toml").write_text('app = "plain:app\\u0000"\nbind = ["127.0.0.1:0"]\n')
    (tmp_path / "plain.py").write_text(APP)
    done = subprocess.run(
        command(verb, "-c", "p.toml"),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(),
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 2
    assert "NUL" in done.stderr


FAULT = """
import sys
from propylon.gateway.supervisor.process import launcher
def broken(*_, **__):
    raise RuntimeError("a fault of ours")
launcher.Launcher.{method} = broken
from propylon.gateway.cli import main
main(["serve", "plain:app", "-b", "127.0.0.1:0"])
"""


@pytest.mark.parametrize("method", ["gateway", "worker"])
def test_a_fault_of_ours_while_a_child_is_started_ends_the_start(
    tmp_path: Path, method: str
) -> None:
    (tmp_path / "plain.py").write_text(APP)
    done = subprocess.run(
        [sys.executable, "-c", FAULT.format(method=method)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(),
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode in (1, 3)
    assert "could not be started: RuntimeError: a fault of ours" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "closed",
    [
        pytest.param("<&-", marks=pytest.mark.slow),
        pytest.param(">&-", marks=pytest.mark.slow),
        "<&- >&- 2>&-",
    ],
)
@pytest.mark.slow
def test_closed_standard_descriptors(tmp_path: Path, closed: str) -> None:
    (tmp_path / "plain.py").write_text(APP)
    sock, run_dir = tmp_path / "s.sock", str(tmp_path / "r")
    serve = " ".join(command("serve", "plain:app", "-b", f"unix:{sock}", "--run-dir", run_dir))
    process = subprocess.Popen(
        ["sh", "-c", f"exec {serve} {closed}"],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.DEVNULL,
    )
    ready = command("status", "--run-dir", run_dir)

    def serves() -> bool:
        done = subprocess.run(ready, capture_output=True, cwd="/", check=False)
        return done.returncode == 0

    try:
        wait_for(serves, "it serves")
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(sock))) as client:
            assert client.get("http://test/").text == "hello"
        for number in range(3):
            assert "socket" not in os.readlink(f"/proc/{process.pid}/fd/{number}")
    finally:
        process.terminate()
        assert process.wait(DEADLINE) == 0


SHOWS = """
import os
async def app(scope, receive, send):
    assert scope["type"] == "http"
    with open("/proc/self/environ", "rb") as file:
        found = b"s3cret" in file.read() or "s3cret" in str(os.environ)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(found).encode()})
"""


@pytest.mark.parametrize(
    "options", [(), pytest.param(("--preload",), marks=pytest.mark.slow)], ids=["", "preload"]
)
def test_the_password_of_a_key_is_for_the_gateway_alone(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    (tmp_path / "shows.py").write_text(SHOWS)
    issued = trustme.CA().issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"s3cret"),
        )
    )
    tls = ("--ssl-certfile", "cert.pem", "--ssl-keyfile", "key.pem")
    env = {"PROPYLON_SSL_KEYFILE_PASSWORD": "s3cret"}
    with (
        Propylon("shows:app", *tls, *options, cwd=tmp_path, env=env) as server,
        server.client(verify=False) as client,
    ):
        assert client.get("/").text == "False"


@pytest.mark.slow
def test_a_pool_s_socket_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    """As cleaners of temporary files do it; even with its directory."""
    (tmp_path / "plain.py").write_text(APP)
    run_dir = tmp_path / "r"
    with Propylon("plain:app", "--run-dir", str(run_dir), cwd=tmp_path) as propylon:
        (sock,) = (run_dir / "default").glob("*.sock")
        sock.unlink()
        sock.parent.rmdir()
        propylon.stderr.find("was removed by somebody, and is made anew")
        (worker,) = propylon.pids("worker")
        os.kill(worker, 9)
        with propylon.client() as client:
            assert client.get("/").text == "hello"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a namespace of process ids")
def test_process_1_that_is_told_to_stop_while_it_starts() -> None:
    """In a container: the kernel would keep the signal from it."""
    told = "propylon.stop_while_starting(); os.kill(1, signal.SIGTERM); print('goes on')"
    code = f"import os, signal, propylon.__main__ as propylon; {told}"
    namespace = ["unshare", "--fork", "--pid", "--kill-child"]
    done = subprocess.run(
        [*namespace, sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE
    )
    if "unshare failed" in done.stderr:
        pytest.skip(f"this root may not make namespaces: {done.stderr}")
    assert (done.returncode, done.stdout) == (143, ""), done.stderr
    assert "SIGTERM before it had started" in done.stderr
