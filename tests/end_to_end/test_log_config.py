"""--log-config: the app's loggers, our own log and the access log, in every process."""

import contextlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from ..cases import some_slow
from .server import DEADLINE, Propylon, command, environment, wait_for

APP = """
import logging

log = logging.getLogger("shop.orders")
log.info("imported")

async def app(scope, receive, send):
    assert scope["type"] == "http"
    log.info("asked for %s", scope["path"])
    if scope["path"] == "/raises":
        raise RuntimeError("no such order")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""
FORMATTER = """
import json, logging

class Lines(logging.Formatter):
    def format(self, record):
        return json.dumps({"at": record.name, "said": record.getMessage()})
"""
CONFIG = {
    "version": 1,
    "formatters": {"plain": {"format": "<%(name)s> %(message)s"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "plain"},
        "access": {"class": "logging.FileHandler", "filename": "access.log", "formatter": "plain"},
    },
    "loggers": {"propylon.access": {"handlers": ["access"]}},
    "root": {"level": "INFO", "handlers": ["console"]},
}
INI = """
[loggers]
keys=root
[handlers]
keys=console
[formatters]
keys=plain
[logger_root]
level=INFO
handlers=console
[handler_console]
class=StreamHandler
args=(sys.stderr,)
formatter=plain
[formatter_plain]
format=<%(name)s> %(message)s
"""
TOML = """
version = 1
[formatters.plain]
format = "<%(name)s> %(message)s"
[handlers.console]
class = "logging.StreamHandler"
formatter = "plain"
[root]
level = "INFO"
handlers = ["console"]
"""
YAML = """
version: 1
formatters: {plain: {format: "<%(name)s> %(message)s"}}
handlers: {console: {class: logging.StreamHandler, formatter: plain}}
root: {level: INFO, handlers: [console]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("log.json", json.dumps(CONFIG)),
        ("log.ini", INI),
        pytest.param("log.toml", TOML, marks=pytest.mark.slow),
        pytest.param("log.yaml", YAML, marks=pytest.mark.slow),
        pytest.param("json:anything", json.dumps(CONFIG), marks=pytest.mark.slow),
    ],
)
def test_every_process_heeds_it(folder: Path, name: str, text: str) -> None:
    if name.endswith("yaml"):
        pytest.importorskip("yaml")
    (folder / name.rpartition(":")[2]).write_text(text)
    arguments = ("shop:app", "--lifespan=off", "--log-config", name)
    with Propylon(*arguments, cwd=folder) as server, server.client() as client:
        server.stderr.find(r"^<propylon> Serving on")
        server.stderr.find(r"^<shop.orders> imported")
        assert client.get("/one").status_code == 200
        server.stderr.find(r"^<shop.orders> asked for /one")
        assert client.get("/raises").status_code == 500
        server.stderr.find(r"^<propylon.worker> [^\n]*\n(.*\n)+RuntimeError: no such order")
        if "json" in name:
            wait_for((folder / "access.log").exists, "the access log")
            wait_for(lambda: "/raises" in (folder / "access.log").read_text(), "its lines")
            assert "<propylon.access> 127.0.0.1 - - [" in (folder / "access.log").read_text()
            assert server.stdout.text == ""
        else:
            server.stdout.find(r'"GET /raises HTTP/1.1" 500')


def test_a_formatter_of_the_apps_own(folder: Path) -> None:
    """Which only its workers can import: the others say so once, and log as without."""
    (folder / "lines.py").write_text(FORMATTER)
    config = {**CONFIG, "formatters": {"plain": {"()": "lines.Lines"}}}
    (folder / "log.json").write_text(json.dumps(config))
    arguments = ("shop:app", "--lifespan=off", "--log-config=log.json")
    with Propylon(*arguments, cwd=folder) as server, server.client() as client:
        assert client.get("/one").status_code == 200
        server.stderr.find(r'^{"at": "shop.orders", "said": "asked for /one"}')
        server.stderr.find(
            r"warning --log-config: handlers cannot be used outside of the app: .*'l"
        )
        server.stdout.find(r'"GET /one HTTP/1.1" 200')


@pytest.mark.slow
def test_uvicorns_own_configuration(folder: Path) -> None:
    uvicorn = pytest.importorskip("uvicorn.config")
    config = json.loads(json.dumps(uvicorn.LOGGING_CONFIG))
    (folder / "log.json").write_text(json.dumps(config))
    arguments = ("shop:app", "--lifespan=off", "--log-config=log.json")
    with Propylon(*arguments, cwd=folder) as server, server.client() as client:
        assert client.get("/one?two").status_code == 200
        server.stdout.find(r'INFO: +127\.0\.0\.1 - "GET /one\?two HTTP/1\.1" 200')
        assert client.get("/raises").status_code == 500
        server.stderr.find(r"ERROR: (.*\n)+RuntimeError: no such order")


@pytest.mark.parametrize(
    ("text", "says"),
    some_slow(
        2,
        [
            ('{"version": 1, "root": {"handlers": ["x"]}}', "'root' names the handler 'x'"),
            (None, "cannot be read: No such file"),
            ("{", "is not JSON"),
            ("[]", "is no table of logging's"),
            ("{}", '"version": 1'),
            (
                '{"version": 1, "handlers": {"x": {"formatter": "y"}}}',
                "'x' names the formatter 'y', which is not there",
            ),
        ],
    ),
)
def test_what_check_says_of_a_wrong_one(folder: Path, text: str | None, says: str) -> None:
    if text is not None:
        (folder / "log.json").write_text(text)
    done = subprocess.run(
        command("check", "shop:app", "--log-config", "log.json"),
        capture_output=True, text=True, cwd=folder, env=environment(), timeout=DEADLINE,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--log-config: found 'log.json'; " in done.stderr
    assert says in done.stderr


def test_a_handler_that_the_app_cannot_have(folder: Path) -> None:
    config = {**CONFIG, "handlers": {"console": {"class": "nowhere.Handler"}}, "loggers": {}}
    (folder / "log.json").write_text(json.dumps(config))
    done = subprocess.run(
        command("serve", "shop:app", "-b", "127.0.0.1:0", "--log-config", "log.json"),
        capture_output=True, text=True, cwd=folder, env=environment(), timeout=DEADLINE,
        check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "--log-config cannot be used: " in done.stderr
    assert "nowhere" in done.stderr


def test_a_stalled_handler_holds_up_no_stop(tmp_path: Path) -> None:
    config = {
        "version": 1,
        "handlers": {"err": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["err"], "level": "DEBUG"},
    }
    (tmp_path / "log.json").write_text(json.dumps(config))
    unread, full = os.pipe()
    os.set_blocking(full, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(full, b"x" * 1024)
    os.set_blocking(full, True)
    process = subprocess.Popen(
        command(
            "gateway", "-b", "127.0.0.1:0", "--log-config", str(tmp_path / "log.json"),
            "--run-dir", str(tmp_path / "run"),
        ),
        stderr=full,
        env=environment(),
        cwd=tmp_path,
    )  # fmt: skip
    try:
        wait_for((tmp_path / "run" / "default" / "1.sock").exists, "the gateway")
        process.terminate()
        assert process.wait(DEADLINE) == 0
    finally:
        process.kill()
        process.wait()
        os.close(unread)
        os.close(full)
