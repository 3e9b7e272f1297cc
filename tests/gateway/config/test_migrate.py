"""Files as they are found in public projects and tutorials: what becomes of them is valid, and what
cannot be carried over is said."""

import tomllib
from pathlib import Path

import pytest
from propylon.gateway.config.faults import ConfigError
from propylon.gateway.config.load import Loaded, load
from propylon.gateway.config.migrate import MigrateError, migrate


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


IN_DOCKER = """
import json
import multiprocessing
import os

host = os.getenv("HOST", "0.0.0.0")
port = os.getenv("SITE_PORT", "80")
workers = max(int(os.getenv("MAX_WORKERS", "3")), 2)
loglevel = os.getenv("LOG_LEVEL", "info")
bind = f"{host}:{port}"
errorlog = "-"
worker_tmp_dir = "/dev/shm"
accesslog = os.getenv("ACCESS_LOG", "-") or None
graceful_timeout = int(os.getenv("GRACEFUL_TIMEOUT", "120"))
timeout = int(os.getenv("TIMEOUT", "120"))
keepalive = int(os.getenv("KEEP_ALIVE", "5"))
worker_class = "uvicorn.workers.UvicornWorker"
log_data = {"loglevel": loglevel, "workers": workers, "host": host}
print(json.dumps(log_data))
"""

ON_A_SERVER = '''
"""Site."""
from pathlib import Path
wsgi_app = "mysite.wsgi:application"
bind = ["unix:/run/mysite.sock", "127.0.0.1:8001"]
workers = 4
threads = 2
umask = 0o007
pidfile = "/run/mysite.pid"
proc_name = "mysite"
raw_env = ["DJANGO_SETTINGS_MODULE=mysite.settings", 'SAID="hello"']
preload_app = True
max_requests, max_requests_jitter = 1000, 50
limit_request_line = 0
forwarded_allow_ips = "10.0.0.0/8"
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
statsd_host = "localhost:8125"
daemon = True
user = None
def post_fork(server, worker):
    server.log.info("Worker spawned (pid: %s)", worker.pid)
def child_exit(server, worker):
    pass
logconfig_dict = {"version": 1}
'''

UWSGI = """
[uwsgi]
chdir           = .
module          = mysite.wsgi:application
master          = true
processes       = 10
threads = 2
socket          = /run/mysite.sock
vacuum          = true
http = :8000
env = DJANGO_SETTINGS_MODULE=mysite.settings
env = A=b
harakiri = 20
reload-on-rss = 200
; a comment
static-map = /static=/srv/static
daemonize=/var/log/uwsgi/mysite.log
frobnicate = 1
"""

HYPERCORN = """
application_path = "main:app"
bind = ["0.0.0.0:8000"]
workers = 2
accesslog = "-"
loglevel = "INFO"
keep_alive_timeout = 10
worker_class = "uvloop"
quic_bind = ["0.0.0.0:4433"]
include_server_header = false
"""


def written(name: str, text: str) -> tuple[dict[str, object], str]:
    """What is carried over, and the whole text; it is a valid configuration."""
    Path(name).write_text(text)
    made = migrate(name)
    Path("made.toml").write_text(made)
    load("check", {} if "\napp = " in made else {"app": "main:app"}, {}, "made.toml")
    return tomllib.loads(made), made


def test_a_gunicorn_file_of_a_docker_image() -> None:
    values, text = written("gunicorn_conf.py", IN_DOCKER)
    assert values == {
        "bind": ["0.0.0.0:80"],
        "workers": 3,
        "worker-class": "uvicorn.workers.uvicornworker",
        "timeout-keep-alive": 5,
        "timeout-graceful-shutdown": 120,
        "request-timeout": 120,
        "heartbeat-timeout": 120,
        "log-level": "info",
        "access-logfile": "-",
        "error-logfile": "-",
    }
    assert "# left out: worker_tmp_dir has no effect: heartbeats need no files\n" in text


def test_a_gunicorn_file_of_a_server() -> None:
    values, text = written("gunicorn.conf.py", ON_A_SERVER)
    assert values == {
        "app": "mysite.wsgi:application",
        "env": ["DJANGO_SETTINGS_MODULE=mysite.settings", 'SAID="hello"'],
        "bind": ["unix:/run/mysite.sock", "127.0.0.1:8001"],
        "forwarded-allow-ips": ["10.0.0.0/8"],
        "workers": 4,
        "threads": 2,
        "preload": True,
        "max-requests": 1000,
        "max-requests-jitter": 50,
        "pid": "/run/mysite.pid",
        "umask": "007",
        "limit-request-line": 262144,
    }
    for line in (
        "# not carried over: post_fork(): hooks are not called: do it where the app is imported",
        "# not carried over: child_exit(): hooks are not called: ",
        "# not carried over: daemon: it stays in the foreground",
        "# not carried over: secure_scheme_headers: ",
        "# not carried over: logconfig_dict: ",
        "# left out: proc_name has no effect: ",
        "# left out: statsd_host has no effect: ",
    ):
        assert f"\n{line}" in text


def test_a_uwsgi_file() -> None:
    values, text = written("uwsgi.ini", UWSGI)
    assert values == {
        "app": "mysite.wsgi:application",
        "app-dir": ".",
        "env": ["DJANGO_SETTINGS_MODULE=mysite.settings", "A=b"],
        "bind": [":8000"],
        "workers": 10,
        "threads": 2,
        "workers-max-rss": 200 * 2**20,
        "request-timeout": 20,
    }
    for line in (
        "# not carried over: socket = /run/mysite.sock: the uwsgi protocol is not spoken",
        "# not carried over: static-map = /static=/srv/static: say it as --static /PREFIX=FOLDER",
        "# not carried over: daemonize = ",
        "# not carried over: frobnicate = 1: there is no such option here",
        "# left out: master = true",
    ):
        assert f"\n{line}" in text


@pytest.mark.parametrize(
    ("lines", "app"),
    [
        ("module = site\ncallable = app", "site:app"),
        ("module = site", "site:application"),
        ("wsgi-file = pkg/site.py\ncallable = made", "pkg.site:made"),
    ],
)
def test_how_uwsgi_names_an_app(lines: str, app: str) -> None:
    values, _ = written("uwsgi.ini", f"[uwsgi]\n{lines}\n")
    assert values["app"] == app


def test_a_hypercorn_file() -> None:
    values, text = written("hypercorn.toml", HYPERCORN)
    assert values == {
        "app": "main:app",
        "bind": ["0.0.0.0:8000"],
        "workers": 2,
        "worker-class": "uvloop",
        "timeout-keep-alive": 10,
        "server-header": False,
        "log-level": "info",
        "access-logfile": "-",
    }
    assert "\n# not carried over: quic_bind: HTTP/3 is not spoken" in text


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("gunicorn.conf.py", "import nothing_of_the_kind", "gunicorn.conf.py cannot be run: Modul"),
        ("gunicorn.conf.py", "bind = (", "gunicorn.conf.py cannot be run: SyntaxError: "),
        ("uwsgi.ini", "[other]\na = 1\n", "uwsgi.ini has no section [uwsgi]"),
        ("hypercorn.toml", "a =", "hypercorn.toml is not TOML: "),
        ("site.yaml", "a: 1", "site.yaml: its name tells whose it is: "),
        ("", "", "gone.py: there is no such file"),
    ],
)
def test_what_cannot_be_read(name: str, text: str, said: str) -> None:
    if name:
        Path(name).write_text(text)
    with pytest.raises(MigrateError) as caught:
        migrate(name or "gone.py")
    assert str(caught.value).startswith(said)


def checked(file: str, text: str) -> Loaded:
    Path(file).write_text(text)
    return load("serve", {"app": "main:app"}, {}, file)


def test_a_gunicorn_file_as_the_configuration() -> None:
    result = checked("gunicorn.conf.py", "workers = 1 + 2\ndef when_ready(server): ...\n")
    assert result.config.pools[0].workers == 3
    again = load("serve", {"app": "main:app"}, {}, "file:gunicorn.conf.py")
    assert again.config.pools[0].workers == 3
    assert result.notes[0].startswith("gunicorn.conf.py is Python, and was run as gunicorn does")
    assert "propylon migrate gunicorn.conf.py > propylon.toml" in result.notes[0]
    assert result.notes[1].startswith("gunicorn.conf.py: not carried over: when_ready(): hooks")


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("a.toml", "[[pool]]\nname='a'\n", "a.toml: pool: found [{'name': 'a'}]; it is written"),
        ("a.toml", "[pools]\nname='a'\n", "a.toml: pools: found {'name': 'a'}; expected [[pools]]"),
        ("a.toml", "[[route]]\n", "a.toml: route: there is no such key; it is written [[routes]]"),
        ("a.toml", "[server]\nport = 1", "a.toml: server: there is no such key; there is no table "
         "[server]: options stand at the top of the file"),
        ("a.toml", "[tls]\na = 1", "a.toml: tls: there is no such key; there is no table [tls]"),
        ("a.toml", "[bind]\na = 1", "a.toml: bind: found {'a': 1}; expected a list of texts"),
        ("a.toml", "keepalive = 3", "a.toml: keepalive: there is no such key; here it is called "
         "keep-alive"),
        ("a.toml", "loglevel = 'x'", "a.toml: loglevel: there is no such key; here it is called"),
        ("uwsgi.ini", "[uwsgi]\na = b c", "uwsgi.ini: not TOML: "),
        ("gunicorn.conf.py", "x = 1 / 0", "--config: gunicorn.conf.py cannot be run: ZeroDivision"),
    ],
)  # fmt: skip
def test_another_file_or_another_shape(file: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked(file, text)
    assert str(caught.value.faults[0]).startswith(said)
    if file == "uwsgi.ini":
        assert "propylon migrate uwsgi.ini > propylon.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("app", "said"),
    [
        ("ok.py", "for ok.py that is: ok:app"),
        ("ok.py:site", "for ok.py that is: ok:site"),
        ("src/pkg/main.py", "for src/pkg/main.py that is: --app-dir src pkg.main:application"),
        ("pkg/__init__.py", "for pkg/__init__.py that is: pkg:create_app --factory"),
        ("./ok.py", "for ./ok.py that is: ok:app"),
        ("main:create_app('x')", "a factory is called without arguments"),
    ],
)
def test_an_app_named_as_a_file(app: str, said: str) -> None:
    for name in ("src/pkg", "pkg"):
        Path(name).mkdir(parents=True)
    Path("ok.py").write_text("app = 1\n")
    Path("src/pkg/main.py").write_text("x = 1\napplication: int = 1\n")
    Path("pkg/__init__.py").write_text("def create_app(): ...\n")
    with pytest.raises(ConfigError) as caught:
        load("serve", {"app": app}, {})
    assert said in str(caught.value)


def test_hypercorns_file_as_the_configuration() -> None:
    Path("hypercorn.toml").write_text('bind = ["127.0.0.1:8001"]\nworkers = 2\naccesslog = "-"\n')
    result = load("serve", {"app": "main:app"}, {}, "hypercorn.toml")
    assert (result.options.workers, result.options.bind) == (2, ("127.0.0.1:8001",))
    assert result.notes[0].startswith("hypercorn.toml is read as hypercorn reads it; to keep")


def test_gunicorns_configuration_by_a_modules_name() -> None:
    with pytest.raises(ConfigError) as caught:
        load("serve", {"app": "main:app"}, {}, "python:settings.gunicorn")
    assert str(caught.value) == (
        "--config: found 'python:settings.gunicorn'; name the module's file, as in "
        "-c gunicorn.conf.py"
    )
