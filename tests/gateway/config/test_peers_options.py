"""Every option of every peer is known here, and means what it is said to mean."""

import argparse
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import pytest
from propylon.gateway.cli import serve
from propylon.gateway.config.faults import ConfigError
from propylon.gateway.config.load import Loaded, load
from propylon.gateway.config.options import names, table
from propylon.gateway.config.peers_options import PEERS_OPTIONS
from propylon.gateway.listen.address import TcpAddress

from ..running import COMMAND

PEERS = ("gunicorn", "uvicorn", "granian", "hypercorn", "daphne")


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def frozen() -> dict[str, set[str]]:
    """The options of the peers' versions that were looked at last."""
    found: dict[str, set[str]] = {}
    peer = ""
    for line in Path(__file__).with_name("peers_options.txt").read_text().splitlines():
        if line.endswith(":"):
            peer = line[:-1]
            found[peer] = set()
        else:
            found[peer].update(line.split())
    return found


FROZEN = frozen()
READ_BY_VALUE = {"-v", "-u", "--no-ws"}
"""Options whose value says whose they are: `arguments` knows these."""


def known() -> set[str]:
    command: Any = serve
    spelled = READ_BY_VALUE | {"-h", "--help"}
    for parameter in command.get_params(click.Context(command)):
        if isinstance(parameter, click.Option):
            spelled.update((*parameter.opts, *parameter.secondary_opts))
    return spelled


class Caught(Exception):
    pass


def of_argparse(parser: argparse.ArgumentParser) -> set[str]:
    return {word for action in parser._actions for word in action.option_strings}


def installed(peer: str, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The options of the peer's real parser."""
    if peer == "gunicorn":
        config = pytest.importorskip("gunicorn.config")
        return {word for setting in config.KNOWN_SETTINGS for word in setting.cli or ()}
    if peer in ("uvicorn", "granian"):
        module = pytest.importorskip("uvicorn.main" if peer == "uvicorn" else "granian.cli")
        command: click.Command = module.main if peer == "uvicorn" else module.cli
        options = [one for one in command.params if one.param_type_name == "option"]
        return {word for one in options for word in (*one.opts, *one.secondary_opts)}
    if peer == "daphne":
        return of_argparse(pytest.importorskip("daphne.cli").CommandLineInterface().parser)
    main = pytest.importorskip("hypercorn.__main__").main

    def catch(parser: argparse.ArgumentParser, *_: Any) -> None:
        raise Caught(parser)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", catch)
    with pytest.raises(Caught) as caught:
        main([])
    return of_argparse(caught.value.args[0])


def unknown(words: Iterable[str]) -> set[str]:
    return {word.replace("_", "-") for word in words} - known()


@pytest.mark.parametrize("peer", PEERS)
def test_every_option_that_was_frozen_is_known(peer: str) -> None:
    assert len(FROZEN[peer]) > 20
    assert not unknown(FROZEN[peer])


@pytest.mark.filterwarnings("ignore")  # a peer's own
@pytest.mark.parametrize("peer", PEERS)
def test_every_option_of_an_installed_peer_is_known(
    peer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = installed(peer, monkeypatch)
    assert len(options) > 20
    assert not unknown(options)


def test_an_option_that_nobody_knows_is_missed() -> None:
    assert unknown(["--bind", "--no-such-thing"]) == {"--no-such-thing"}


def test_the_tables_agree() -> None:
    both = set(PEERS_OPTIONS) & set(names())
    assert not both
    fields = set(table())
    for name, row in PEERS_OPTIONS.items():
        assert (row.verdict == "accepted") == bool(row.means), name
        assert set(row.means.split()) <= fields, name
        assert row.why or row.verdict != "refused", name
    shorts = [row.short for row in (*table().values(), *PEERS_OPTIONS.values()) if row.short]
    assert len(shorts) == len(set(shorts))


def loaded(*words: str, toml: str = "", **env: str) -> Loaded:
    """As typed."""
    command: Any = serve
    context = command.make_context("serve", ["main:app", *words])
    values = {name: value for name, value in context.params.items() if name != "config_file"}
    if toml:
        Path("propylon.toml").write_text(toml)
    return load("serve", values, env)


def faults(*words: str, toml: str = "", **env: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(*words, toml=toml, **env)
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        ("--timeout 300", "heartbeat_timeout", 300.0),
        ("--timeout 300", "request_timeout", 300.0),
        ("-t 30", "heartbeat_timeout", 30.0),
        ("-t 30", "request_timeout", 60.0),
        ("-t 0", "request_timeout", 0.0),
        ("-t 300 --request-timeout 5", "request_timeout", 5.0),
        ("--timeout-worker-healthcheck 9", "heartbeat_timeout", 9.0),
        ("--http-timeout 9", "request_timeout", 9.0),
        ("--read-timeout 9", "body_timeout", 9.0),
        ("--http1-header-read-timeout 2500", "header_timeout", 2.5),
        ("--no-http1-keep-alive", "timeout_keep_alive", 0.0),
        ("--http1-keep-alive", "timeout_keep_alive", 75.0),
        ("--h11-max-incomplete-event-size 65536", "limit_request_line", 65536),
        ("--h11-max-incomplete-event-size 65536", "limit_request_field_size", 65536),
        ("--limit-request-line 0", "limit_request_line", 262_144),
        ("--limit-request-field_size 0", "limit_request_field_size", 262_144),
        ("--limit-request-fields 0", "limit_request_fields", 4000),
        ("--uds /a.sock --uds-permissions 0o660", "uds", "/a.sock?mode=660"),
        ("-u /a.sock", "uds", "/a.sock"),
        ("-p 9000", "port", 9000),
        ("-p9000", "port", 9000),
        ("-p app.pid", "pid", "app.pid"),
        ("-m 007", "umask", 7),
        ("--http 1", "http", "auto"),
        ("--http 1", "http2", False),
        ("--http 2", "http", "auto"),
        ("--http 2", "h2c", "prior-knowledge"),
        ("--http 2 --h2c off", "h2c", "off"),
        ("--http-protocols h1", "http2", False),
        ("--http-protocols h2,h1", "http2", True),
        ("--http2-cleartext both", "h2c", "prior-knowledge"),
        ("--http2-max-concurrent-streams 7", "http2_max_streams", 7),
        ("--http2-initial-window-size 65535", "http2_stream_window", 65_535),
        ("--http2-initial-stream-window-size 65535", "http2_stream_window", 65_535),
        ("--http-parser fast", "http", "httptools"),
        ("--http-parser auto", "http", "auto"),
        ("--ws websockets", "ws", "auto"),
        ("--ws none", "ws", "none"),
        ("--ws", "ws", "auto"),
        ("--no-ws", "ws", "none"),
        ("--ws-per-message-deflate false", "ws_per_message_deflate", False),
        ("--ws-per-message-deflate", "ws_per_message_deflate", True),
        ("--proxy-protocol", "proxy_protocol", True),
        ("--proxy-protocol v2", "proxy_protocol", True),
        ("--proxy-protocol off", "proxy_protocol", False),
        ("--access-log -", "access_logfile", "-"),
        ("--access-log ./a.log", "access_logfile", "./a.log"),
        ("--access-log=false", "access_log", False),
        ("--no-log", "log_level", "critical"),
        ("--log-level INFO", "log_level", "info"),
        ("--log-level notset", "log_level", "debug"),
        ("-v 2", "log_level", "debug"),
        ("--ssl-cert-reqs 0", "ssl_cert_reqs", "none"),
        ("--verify-mode CERT_NONE", "ssl_cert_reqs", "none"),
        ("--asgi-lifespan off", "lifespan", "off"),
        ("--asgi-loop none", "loop", "asyncio"),
        ("--loop rloop", "loop", "auto"),
        ("--interface asginl", "interface", "asgi"),
        ("--no-server-name", "server_header", False),
        ("--env-files .env --env-file more.env", "env_file", (".env", "more.env")),
        ("-e A=b=c", "env", ("A=b=c",)),
        ("--pythonpath a,b", "pythonpath", ("a", "b")),
        ("--reload-paths a --reload-dir b", "reload_dir", ("a", "b")),
        ("--reload-extra-file ./x/y.html", "reload_include", ("*/x/y.html",)),
        ("-k asgi", "interface", "asgi"),
        ("-k egg:gunicorn#gthread", "interface", "wsgi"),
        ("-k gunicorn.workers.sync.SyncWorker", "threads", 1),
        ("-k gevent", "threads", 32),
        ("-k eventlet --threads 5", "threads", 5),
    ],
)
def test_what_an_option_means(words: str, field: str, value: object) -> None:
    for name in (".env", "more.env"):
        Path(name).write_text("")
    for name in ("a", "b"):
        Path(name).mkdir()
    more = ["--reload"] if "reload" in words else []
    options = loaded(*words.split(), *more).options
    assert getattr(options, field) == value


@pytest.mark.parametrize(
    "words",
    [
        "--http-protocols h1",
        "--http2-cleartext off",
        "--protocol http",
        "--ssl-version 17",
        "--ssl-protocol-min tls1.2",
        "--no-http2",
        "--no-daemon",
        "--task-impl asyncio",
    ],
)
def test_what_asks_for_nothing_else_is_not_mentioned(words: str) -> None:
    assert loaded(*words.split()).notes == ()


@pytest.mark.parametrize(
    ("words", "note"),
    [
        ("--worker-tmp-dir /dev/shm", "--worker-tmp-dir has no effect: heartbeats need no files"),
        ("-n site", "--name has no effect: processes keep the names"),
        ("--statsd-host a:1", "--statsd-host has no effect: nothing is sent to statsd"),
        ("--ws-max-queue 32", "--ws-max-queue has no effect: "),
        ("--reload-delay 1", "--reload-delay has no effect: "),
        ("--http 2", "--http 2: taken as --h2c prior-knowledge; clients of HTTP/1.1 are"),
        ("--http2-max-headers-size 9", "--http2-max-headers-size has no effect: heads have"),
        ("--http2-keep-alive-timeout 9", "--http2-keep-alive-timeout has no effect: a connection"),
        ("-R", "--enable-stdio-inheritance has no effect: "),
        ("--limit-concurrency 5", "--limit-concurrency: each worker runs that many requests"),
        (
            "--limit-concurrency auto --interface wsgi",
            "pool default has limit-concurrency auto and",
        ),
        ("-k gevent", "-k gevent: there are no greenlets; each worker runs the app in 32 threads"),
        ("-t 9", "--timeout: taken as gunicorn means it"),
        ("--uds-permissions 660", "--uds-permissions has no effect: there is no --uds"),
    ],
)
def test_notes(words: str, note: str) -> None:
    (said,) = loaded(*words.split()).notes
    assert said.startswith(note)


@pytest.mark.parametrize(
    "words", ["--worker-connections 5", "--backpressure 5", "--limit-concurrency 5 --queue-size 0"]
)
def test_a_limit_that_means_the_same_needs_no_note(words: str) -> None:
    result = loaded(*words.split())
    assert result.notes == ()
    assert result.options.limit_concurrency == 5


def test_a_limit_that_is_sought_means_nothing_else_elsewhere() -> None:
    result = loaded("--limit-concurrency", "AUTO")
    assert result.notes == ()
    assert result.options.limit_concurrency == "auto"


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("--daemon", "--daemon: it stays in the foreground, where systemd"),
        ("-D", "--daemon: it stays in the foreground, where systemd"),
        ("--http-protocols h3", "--http-protocols: found 'h3'; the protocols that can be"),
        ("--http2-cleartext upgrade", "--http2-cleartext: found 'upgrade'; RFC 9113 has no"),
        ("--quic-bind :443", "--quic-bind: HTTP/3 is not spoken"),
        ("--static-path-mount a", "--static-path-mount: say it as --static /PREFIX=FOLDER"),
        ("--protocol uwsgi", "--protocol: the protocol is HTTP: have nginx use proxy_pass"),
        ("--strip-header-spaces", "--strip-header-spaces: requests are read as RFC 9112"),
        ("-e tcp:port=8000", "--endpoint: Twisted's endpoint descriptions are not read"),
        ("-s a.example", "--server-name: hypercorn's meaning, the hosts that are served"),
        ("-k tornado", "--worker-class: found 'tornado'; a tornado app speaks neither"),
        ("-k my.Worker", "--worker-class: found 'my.Worker'; worker classes are not loaded"),
        (
            "-k geventwebsocket.gunicorn.workers.GeventWebSocketWorker",
            "--worker-class: found 'geventwebsocket.gunicorn.workers.GeventWebSocketWorker'; Web",
        ),
        ("--ssl-protocol-min tls1.3", "--ssl-protocol-min: TLS 1.2 and 1.3 are spoken"),
        ("--chdir . --app-dir .", "--app-dir: given twice: also as --chdir"),
        ("--header nonsense", "--header: found 'nonsense'; a field is written NAME:VALUE"),
        ("--header X-A:a\x01", "--header: found 'X-A:a\\x01'; a field is written NAME:VALUE"),
        ("--header Content-Length:1", "--header: found 'Content-Length:1'; the field content-l"),
        ("--env FOO", "--env: found a value; a variable is written NAME=VALUE"),
        ("--env-file gone", "--env-file: gone cannot be read: No such file or directory"),
    ],
)
def test_refusals(words: str, fault: str) -> None:
    (said,) = faults(*words.split(" "))
    assert said.startswith(fault)


def test_toml_and_environment_know_the_same_options() -> None:
    result = loaded(toml="worker-tmp-dir = '/x'\ntimeout = 90\nworking-dir = '.'")
    assert [note.split(":")[0] for note in result.notes] == ["propylon.toml", "propylon.toml"]
    assert result.options.request_timeout == 90
    assert loaded(PROPYLON_TIMEOUT="90").options.request_timeout == 90
    assert loaded(PROPYLON_KEEP_ALIVE="9").options.timeout_keep_alive == 9
    (fault,) = faults(PROPYLON_DAEMON="true")
    assert fault.startswith("PROPYLON_DAEMON: it stays in the foreground")
    (fault,) = faults(toml="daemon = true")
    assert fault.startswith("propylon.toml: daemon: it stays in the foreground")
    Path("propylon.toml").unlink()


def test_a_flag_of_theirs_wins_over_a_variable_of_ours() -> None:
    options = loaded("--timeout", "300", PROPYLON_REQUEST_TIMEOUT="5").options
    assert options.request_timeout == 300


def test_variables_of_other_servers_are_noted() -> None:
    notes = loaded(UVICORN_PORT="1", UVICORN_HOST="::", GUNICORN_CMD_ARGS="-w 3").notes
    assert notes == (
        "GUNICORN_CMD_ARGS: read by gunicorn only; give its options to propylon itself",
        "UVICORN_HOST, UVICORN_PORT: read by uvicorn only; here say PROPYLON_HOST, PROPYLON_PORT",
    )


@pytest.mark.parametrize(
    ("words", "env", "address"),
    [
        ("", {"PORT": "5000"}, TcpAddress("0.0.0.0", 5000)),
        ("--bind a:1", {"PORT": "5000"}, TcpAddress("a", 1)),
        ("--port 1", {"PORT": "5000"}, TcpAddress("127.0.0.1", 1)),
        ("", {"PORT": "5000", "PROPYLON_PORT": "6"}, TcpAddress("127.0.0.1", 6)),
        ("", {"PORT": "tcp://10.0.0.1:80"}, TcpAddress("127.0.0.1", 8000)),
        ("-b 0.0.0.0 -p 8001", {}, TcpAddress("0.0.0.0", 8001)),
    ],
)
def test_the_platforms_port_and_daphnes(
    words: str, env: dict[str, str], address: TcpAddress
) -> None:
    assert loaded(*words.split(), **env).config.addresses == (address,)


def test_the_apps_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.env").write_text("# one\nexport A=1\nB='two words'\nC=${A}x\nHOME=/elsewhere\nBARE\n")
    Path("b.env").write_text("A=2\nD=4\n")
    result = loaded("--env-file", "a.env", "--env-file", "b.env", "--env", "D=5", HOME="/home/one")
    assert dict(result.config.environment) == {"A": "2", "B": "two words", "C": "1x", "D": "5"}
    assert result.notes == ("a.env: left out, because they have no value: BARE",)


def test_a_factory_written_as_a_call() -> None:
    command: Any = serve
    context = command.make_context("serve", ["main:create_app()"])
    values = {name: value for name, value in context.params.items() if name != "config_file"}
    result = load("serve", values, {})
    pool = result.config.pools[0]
    assert (pool.app, pool.for_workers["factory"]) == (
        "main:create_app",
        True,
    )
    assert result.notes == ("main:create_app() is taken as main:create_app --factory",)


def test_hypercorns_way_to_name_an_interface() -> None:
    result = load("serve", {"app": "wsgi:main:app"}, {})
    pool = result.config.pools[0]
    assert (pool.app, pool.for_workers["interface"]) == ("main:app", "wsgi")


def test_an_unknown_option_is_answered_with_the_nearest(tmp_path: Path) -> None:
    clean = {name: text for name, text in os.environ.items() if "PROPYLON" not in name}
    ended = subprocess.run(
        [*COMMAND, "serve", "a:b", "--keepalive", "3"],
        cwd=tmp_path,
        env=clean,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert ended.stderr == "propylon: there is no option --keepalive; did you mean --keep-alive?\n"


def test_an_interface_and_a_factory_in_one_name() -> None:
    """hypercorn's way to name the one, and gunicorn's the other."""
    (pool,) = load("serve", {"app": "asgi:main:create_app()"}, {}).config.pools
    told = pool.for_workers
    assert (pool.app, told["interface"], told["factory"]) == ("main:create_app", "asgi", True)
