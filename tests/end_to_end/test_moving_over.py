"""Command lines of other servers, and programs that call uvicorn.run, serve as they did there."""

import ast
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ..cases import some_slow
from .server import DEADLINE, Output, Propylon, environment

APP = """
import json, os, sys
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError
    env = {k: os.environ.get(k) for k in ("A", "B")}
    said = {"env": env, "path": sys.path, "type": scope["type"]}
    fields = [(b"server", b"mine")] if scope["path"] == "/server" else []
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": json.dumps(said).encode()})
def create_app():
    return app
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(APP)
    (tmp_path / "more").mkdir()
    return tmp_path


@pytest.mark.parametrize("parser", some_slow(1, ["httptools", "h11"]))
def test_fields_of_every_response(folder: Path, parser: str) -> None:
    options = ["--header", "X-A: b c", "--header", "x-d:e", "--no-server-header"]
    options += ["--no-date-header", "--http", parser]
    with Propylon("main:app", *options, cwd=folder) as site, site.client() as client:
        for _ in range(2):
            answer = client.get("/")
            assert (answer.headers["x-a"], answer.headers["x-d"]) == ("b c", "e")
            assert not {"server", "date"} & set(answer.headers)
        answer = client.get("/server")
        assert (answer.headers["server"], answer.headers["x-d"]) == ("mine", "e")


def test_a_server_field_of_ones_own(folder: Path) -> None:
    options = ["--header", "Server: teapot", "--header", "X-A:b"]
    with Propylon("main:app", *options, cwd=folder) as site, site.client() as client:
        assert client.get("/").headers.get_list("server") == ["teapot"]
        assert "date" in client.get("/").headers
        bad = client.get("/", headers={"host": "a b"})  # an answer of the gateway's own
        assert (bad.status_code, bad.headers["x-a"]) == (400, "b")


@pytest.mark.parametrize("preload", some_slow(1, [[], ["--preload"]]))
def test_the_apps_environment_and_its_path(folder: Path, preload: list[str]) -> None:
    (folder / ".env").write_text("A=from the file\nB=from the file\n")
    options = ["--env-file", ".env", "-e", "B=typed", "--pythonpath", "more", *preload]
    with Propylon("main:app", *options, cwd=folder) as site, site.client() as client:
        said = client.get("/").json()
        assert said["env"] == {"A": "from the file", "B": "typed"}
        assert said["path"][:2] == [str(folder), str(folder / "more")]
        for pid in site.pids("gateway"):  # what the app is told is the app's alone
            assert b"from the file" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_without_websockets_the_request_is_a_plain_one(folder: Path) -> None:
    fields = {
        "connection": "upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "AQIDBAUGBwgJCgsMDQ4PEA==",
    }
    with Propylon("main:app", "--no-ws", cwd=folder) as site, site.client() as client:
        answer = client.get("/", headers=fields)
        assert (answer.status_code, answer.json()["type"]) == (200, "http")


def test_options_may_stand_anywhere(folder: Path) -> None:
    with (
        Propylon("--factory", "--lifespan=off", "main:create_app", cwd=folder) as site,
        site.client() as client,
    ):
        assert client.get("/").status_code == 200


@contextmanager
def running(*arguments: str, cwd: Path, **env: str) -> Iterator[tuple[str, Output]]:
    """A program that serves: its URL and its log. It is to end well on SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    output = Output(process.stdout)
    try:
        yield output.find(r"Serving on (\S+)", process)[1].rstrip(","), output
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0, output.text
    finally:
        process.kill()
        process.wait()
        output.finish()


def test_python_m_propylon_without_a_verb(folder: Path) -> None:
    arguments = ("-m", "propylon", "main:app", "-b", "127.0.0.1:0")
    with running(*arguments, cwd=folder) as (url, _):
        assert httpx.get(url, trust_env=False).status_code == 200


@pytest.mark.parametrize(
    "call",
    some_slow(
        1,
        [
            'propylon.run("main:app", host="127.0.0.1", port=0, headers=[("X-A", "b")])',
            'propylon.run(app, port=0, headers=[("x-a", "b")], workers=1, log_level="info")',
            'propylon.run("program:create_app", factory=True, port=0, header=["x-a:b"])',
        ],
    ),
)
def test_run(folder: Path, call: str) -> None:
    program = folder / "program.py"
    program.write_text(
        f"import propylon\n{APP}\n"
        f'if __name__ == "__main__":\n    {call}\n    print("returned", flush=True)\n'
    )
    elsewhere = folder / "more"
    with running(str(program), cwd=elsewhere) as (url, output):
        assert httpx.get(url, trust_env=False).headers["x-a"] == "b"
    assert output.text.endswith("returned\n")


def test_run_by_the_name_of_a_module(folder: Path) -> None:
    package = folder / "site_of_mine"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("from .start import go\ngo()\n")
    (package / "start.py").write_text(
        f"import propylon\n{APP}\ndef go():\n    propylon.run(app, port=0)\n"
    )
    with running("-m", "site_of_mine", cwd=folder) as (url, _):
        assert httpx.get(url, trust_env=False).status_code == 200


REFUSED = [
    (
        "import propylon\ndef main():\n    app = lambda s, r, e: None\n    propylon.run(app)\n"
        "main()",
        2,
        "propylon: the app, a function, is no global of a module, and workers are processes of "
        'their own that import it: name it, as in propylon.run("main:app")',
    ),
    (
        "import propylon\npropylon.run('main:app', prt=1)",
        2,
        "propylon: run(): there is no option prt; did you mean port?",
    ),
    (  # by the environment: an upgrade's command line is for everybody to read
        "import propylon\npropylon.run('main:app', keyfile_password='x')",
        2,
        "propylon: PROPYLON_SSL_KEYFILE_PASSWORD: it needs a certificate",
    ),
    (
        "import propylon\npropylon.run('main:app', port='x')",
        2,
        "propylon: --port: found 'x'",
    ),
    (
        f"import propylon\n{APP}\npropylon.run(app, port=0)",
        3,
        'call it under if __name__ == "__main__":',
    ),
]


@pytest.mark.parametrize(("program", "code", "said"), some_slow(2, REFUSED))
def test_run_refuses_with_a_sentence(folder: Path, program: str, code: int, said: str) -> None:
    (folder / "program.py").write_text(program)
    ended = subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr


def test_the_package_is_light(tmp_path: Path) -> None:
    """Workers import it in the user's process."""
    code = (
        "import sys; before = set(sys.modules); import propylon; "
        "print(sorted(set(sys.modules) - before)); "
        "assert propylon.__version__; import propylon.worker.app.load; "
        "print([n for n in sys.modules if n.startswith('propylon.gateway')])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    new, gateway = ended.stdout.splitlines()
    assert gateway == "[]"
    light = {"propylon", "typing", "_typing", "typing.io", "typing.re", "collections.abc"}
    assert set(ast.literal_eval(new)) <= light


@pytest.mark.parametrize(
    ("platform", "said"),
    [
        ("darwin", "propylon: Propylon runs on Linux, and this is macOS: use a Linux container\n"),
        (
            "win32",
            "propylon: Propylon runs on Linux, and this is Windows: use a Linux container, or WSL "
            "2\n",
        ),
    ],
)
@pytest.mark.parametrize(
    "start",
    ["runpy.run_module('propylon', run_name='__main__')", "import propylon; propylon.run('a:b')"],
)
def test_another_system_is_refused_before_an_import_fails(
    tmp_path: Path, platform: str, said: str, start: str
) -> None:
    missing = "('trio', 'fcntl', 'pwd', 'grp', 'resource', 'click', 'msgspec')"
    code = (
        "import runpy, sys\n"
        f"for name in {missing}: sys.modules[name] = None\n"
        f"sys.platform = {platform!r}\n{start}"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (1, said)


def test_the_platforms_port(folder: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Nothing else is named; a port that somebody takes meanwhile would be a fault of this test.
    arguments = ("-m", "propylon", "serve", "main:app")
    with running(*arguments, cwd=folder, PORT=str(port)) as (url, _):
        assert url.endswith(f":{port}")
