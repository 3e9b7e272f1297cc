"""`propylon healthcheck`, as it is typed, to a real instance and to others that are none."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ...end_to_end.server import APPS, Propylon
from .conftest import Type

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="h") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[str]:
    """The admin port of an instance whose run directory is `folder`/run, with a token."""
    (folder / "token").write_text("0123456789abcdef0123456789abcdef")
    (folder / "token").chmod(0o600)
    with Propylon(
        *("asgi_raw:app", "--lifespan", "off", "--run-dir", str(folder / "run")),
        *("--admin-bind", "127.0.0.1:0", "--admin-bind", f"unix:{folder}/a.sock?mode=600"),
        *("--admin-token-file", str(folder / "token")),
        cwd=APPS,
    ) as server:
        yield server.stderr.find(r"Admin listener on http://127.0.0.1:(\d+)")[1]


@pytest.mark.parametrize("question", ["ready", "live", "started"])
def test_the_variable_says_where_it_is(propylon: Type, port: str, question: str) -> None:
    # Nothing but the interpreter and sockets is loaded for that.
    said = propylon("healthcheck", f"--{question}", PROPYLON_ADMIN_BIND=f"0.0.0.0:{port}")
    path = {"ready": "readyz", "live": "livez", "started": "startupz"}[question]
    assert (said.code, said.out, said.err) == (0, f"{path}: ok\n", "")


def test_it_is_found_by_its_run_directory_and_by_what_is_typed(
    propylon: Type, port: str, folder: Path
) -> None:
    assert propylon("healthcheck", "--run-dir", folder / "run").out == "readyz: ok\n"
    # The variable of the image is wrong where an option of the instance overrides it.
    found = propylon("healthcheck", PROPYLON_RUN_DIR=str(folder / "run"), PROPYLON_ADMIN_BIND=":9")
    assert (found.code, found.out) == (0, "readyz: ok\n")
    for no_port in ("127.0.0.1", "fd://3"):
        found = propylon(
            "healthcheck", PROPYLON_RUN_DIR=str(folder / "run"), PROPYLON_ADMIN_BIND=no_port
        )
        assert (found.code, found.out) == (0, "readyz: ok\n")
    address = f"unix:{folder}/a.sock?mode=600"
    assert propylon("healthcheck", "--live", "--admin-bind", address).out == "livez: ok\n"


def test_what_is_wrong_is_one_line(propylon: Type, port: str, folder: Path) -> None:
    refused = propylon("healthcheck", PROPYLON_ADMIN_BIND="127.0.0.1:9")
    assert (refused.code, refused.out) == (1, "readyz: 127.0.0.1:9: Connection refused\n")
    no_address = propylon("healthcheck", "--admin-bind", "here")
    assert no_address.out == "readyz: found 'here'; expected HOST:PORT or unix:PATH\n"
    nobody = propylon("healthcheck", "--run-dir", folder)
    assert (nobody.code, nobody.out.count("\n")) == (1, 1)
    assert "no instance of Propylon runs with the run directory" in nobody.out
    assert propylon("healthcheck", "--reddy").code == 2


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            b"HTTP/1.1 503 Service Unavailable\r\n\r\n[-]pool a: no worker is ready\n[-]b: c\n",
            "readyz: [-]pool a: no worker is ready; [-]b: c\n",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "is no admin listener: it answers HTTP/1.1 200 OK\n"),
        (b"", "is no admin listener: it answers nothing\n"),
        (None, "has not answered for 0.2 s\n"),
    ],
)
def test_other_answers(propylon: Type, answer: bytes | None, sentence: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        asking = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "propylon",
                "healthcheck",
                "--admin-bind",
                address,
                "--timeout",
                "0.2" if answer is None else "20",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        with listener.accept()[0] as sock:
            if answer is not None:
                while b"\r\n\r\n" not in sock.recv(4_096):
                    pass
                sock.sendall(answer)
                sock.shutdown(socket.SHUT_WR)
            out, _ = asking.communicate(timeout=60)
        assert out.endswith(sentence)
        assert asking.returncode == 1


def test_the_usual_form_loads_little(port: str) -> None:
    """A container engine runs it every few seconds."""
    code = (
        "import sys; before = set(sys.modules); from propylon.gateway.control import healthcheck;"
        f"healthcheck.quick(['--live'], {{'PROPYLON_ADMIN_BIND': ':{port}'}});"
        "print(len(set(sys.modules) - before), 'click' in sys.modules, 'json' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    count, *heavy = ran.stdout.splitlines()[-1].split()
    assert heavy == ["False", "False"]
    assert int(count) < 40, ran.stdout
