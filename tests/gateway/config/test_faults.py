"""Every fault is a sentence with its place, and all of them come at once."""

import sys
from pathlib import Path
from typing import Any

import pytest
from propylon.gateway.config.faults import ConfigError
from propylon.gateway.config.load import load
from propylon.gateway.config.option import Verb


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def faults(
    flags: dict[str, Any] | None = None,
    env: dict[str, str] | None = None,
    toml: str = "",
    verb: Verb = "serve",
) -> list[str]:
    if toml:
        Path("propylon.toml").write_text(toml)
    with pytest.raises(ConfigError) as caught:
        load(verb, {"app": "main:app"} | (flags or {}), env or {})
    return [str(fault) for fault in caught.value.faults]


NUMBER_OF_WORKERS = "expected auto or a whole number from 1 to 4096, or a range as in 2..8"


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"workers": "x"}, f"--workers: found 'x'; {NUMBER_OF_WORKERS}"),
        ({"workers": "0"}, f"--workers: found '0'; {NUMBER_OF_WORKERS}"),
        ({"workers": "٣"}, f"--workers: found '٣'; {NUMBER_OF_WORKERS}"),
        ({"workers": "2..5000"}, f"--workers: found '2..5000'; {NUMBER_OF_WORKERS}"),
        ({"workers": "2.."}, f"--workers: found '2..'; {NUMBER_OF_WORKERS}"),
        ({"workers": "8..2"}, "--workers: found '8..2'; the least comes first: 2..8"),
        ({"gateways": "1_0"}, "--gateways: found '1_0'; expected a whole number from 1 to 256"),
        (
            {"workers_max_rss": "512"},
            "--workers-max-rss: found '512'; that is 512 bytes, less than any worker has; "
            "megabytes have an M",
        ),
        (
            {"warm_up": ("/a", "b")},
            "--warm-up: found '/a', 'b'; a path begins with a slash: /b",
        ),
        (
            {"label": ("zone=a", "zone")},
            "--label: found 'zone=a', 'zone'; a label is written NAME=VALUE, as in zone=a; the "
            "name is up to 63 letters, digits, dots, dashes, slashes and underscores, the value 63 "
            "characters of ASCII",
        ),
        (
            {"label": tuple(f"a{n}=b" for n in range(9))},
            "--label: found 'a0=b', 'a1=b', 'a2=b', 'a3=b', 'a4=b', 'a5=b', 'a6=b', 'a7=b', "
            "'a8=b'; there are at most 8 labels",
        ),
        ({"weight": "0"}, "--weight: found '0'; expected a whole number from 1 to 100"),
        (
            {"workers_max_rss": "much"},
            "--workers-max-rss: found 'much'; memory is written in bytes or as in 512M; the units "
            "are K, M and G; auto and 80% are parts of the container's limit",
        ),
        (
            {"workers_max_rss": "120%"},
            "--workers-max-rss: found '120%'; memory is written in bytes or as in 512M; the units "
            "are K, M and G; auto and 80% are parts of the container's limit",
        ),
        (
            {"loop": "gevent"},
            "--loop: found 'gevent'; expected one of auto, asyncio, uvloop or trio",
        ),
        (
            {"queue_timeout": "0"},
            "--queue-timeout: found '0'; expected a number of seconds above 0 and up to 31536000",
        ),
        (
            {"request_timeout": "nan"},
            "--request-timeout: found 'nan'; expected a number of seconds from 0 to 31536000",
        ),
        (
            {"request_timeout": "inf"},
            "--request-timeout: found 'inf'; expected a number of seconds from 0 to 31536000",
        ),
        (
            {"worker_class": "tornado"},
            "--worker-class: found 'tornado'; a tornado app speaks neither ASGI nor WSGI, and runs "
            "by itself; to serve a WSGI app, leave it out",
        ),
        (
            {"timeout": "30s"},
            "--timeout: found '30s'; expected a number of seconds from 0 to 31536000",
        ),
        (
            {"drain_delay": "7", "timeout_graceful_shutdown": "6"},
            "--drain-delay: found 7, which leaves nothing of 6 s to finish: see "
            "timeout-graceful-shutdown",
        ),
        (
            {"bind": ("::1",)},
            "--bind: found '::1'; an IPv6 address is written in brackets: [::1]:8000",
        ),
        ({"bind": ("a:1", "a:1")}, "--bind: a:1 is given twice"),
        (
            {"bind": ("a:1",), "port": "2"},
            "--port: --bind is given too; use one or the other",
        ),
        ({"port": "65536"}, "--port: found '65536'; expected a whole number from 0 to 65535"),
        ({"umask": "9"}, "--umask: found '9'; a umask is written in octal, as in 027"),
        ({"root_path": "api"}, "--root-path: found 'api'; a prefix begins with a slash: /api"),
        (
            {"root_path": "/a b"},
            "--root-path: found '/a b'; a prefix is a path: no blanks, query or fragment",
        ),
        (
            {"root_path": "/caf\u00e9?x"},
            "--root-path: found '/caf\u00e9?x'; a prefix is a path: no blanks, query or fragment",
        ),
        (
            {"root_path": "/a%0a"},
            "--root-path: found '/a%0a'; a prefix is a path: what is percent-encoded is printable "
            "UTF-8",
        ),
        (
            {"root_path": "/a%ff"},
            "--root-path: found '/a%ff'; a prefix is a path: what is percent-encoded is printable "
            "UTF-8",
        ),
        (
            {"app": "main.py"},
            "argument: found 'main.py'; an app is written module:attribute; for main.py that is: "
            "main:app",
        ),
        (
            {"app": "propylon.toml"},
            "argument: found 'propylon.toml'; an app is written module:attribute; a configuration "
            "file: -c propylon.toml",
        ),
        (
            {"http2_max_frame_size": "16383"},
            "--http2-max-frame-size: found '16383'; expected a whole number from 16384 to 16777215",
        ),
        (
            {"interface": "rsgi"},
            "--interface: found 'rsgi'; RSGI is granian's own: name the app's ASGI or WSGI side",
        ),
        ({"app": None}, "no app is named; say which: propylon serve main:app"),
        ({"app_dir": "gone"}, "--app-dir: found 'gone', which is no directory"),
        (
            {"reload": True, "reload_dir": ("gone",)},
            "--reload-dir: found 'gone', which is no directory",
        ),
        (
            {"loop": "trio", "interface": "wsgi"},
            "--loop: found 'trio' with interface wsgi; a WSGI app runs in threads, not on a loop",
        ),
        (
            {"forwarded_allow_ips": ("10.0.0.1/8",)},
            "--forwarded-allow-ips: found '10.0.0.1/8'; 10.0.0.1/8 is an address in a network; "
            "the network is written 10.0.0.0/8",
        ),
        (
            {"proxy_allow_from": ("10.0.0.1", "nginx")},
            "--proxy-allow-from: found '10.0.0.1', 'nginx'; nginx is none of an address, a network "
            "as in 10.0.0.0/8, unix, and * for everybody",
        ),
        (
            {"forwarded_fields": ("for,by",)},
            "--forwarded-fields: found 'for,by'; the fields are for, proto, host, port, prefix, "
            "real-ip, forwarded",
        ),
        (
            {"limit_request_field_size": "2097152"},
            "--limit-request-field-size: found 2097152; request line and one field are 786432 "
            "bytes together at most, which is what can travel to a worker",
        ),
        (
            {"limit_request_line": "780000"},
            "--limit-request-line: found 780000; request line and one field are 786432 bytes "
            "together at most, which is what can travel to a worker",
        ),
        (
            {"bind": ("fd://web",)},
            "--bind: found 'fd://web'; no socket is called web (LISTEN_FDNAMES): none was handed "
            "over",
        ),
        (
            {"bind": ("unix:/a?mode=9",)},
            "--bind: found 'unix:/a?mode=9'; a socket's mode is written in octal, as in mode=660",
        ),
        (
            {"pool": "a/b"},
            "--pool: found 'a/b'; a pool's name is up to 40 letters, digits, dots, dashes and "
            "underscores",
        ),
    ],
)
def test_flags(flags: dict[str, Any], sentence: str) -> None:
    assert faults(flags) == [sentence]


@pytest.mark.parametrize(
    ("toml", "sentences"),
    [
        ("wrokers = 2", ["propylon.toml: wrokers: there is no such key; did you mean workers?"]),
        ("zzz = 2", ["propylon.toml: zzz: there is no such key"]),
        ("pool = 1\n", ["propylon.toml: pool: found 1; expected a text"]),
        (
            'threads = "2"',
            ["propylon.toml: threads: found '2'; expected a whole number from 1 to 4096"],
        ),
        ("access-log = 1", ["propylon.toml: access-log: found 1; expected true or false"]),
        (
            "gateways = true",
            ["propylon.toml: gateways: found true; expected a whole number from 1 to 256"],
        ),
        ("bind = [8000]", ["propylon.toml: bind: found [8000]; expected a list of texts"]),
        (
            "workers = 2\nprocesses = 3",
            ["propylon.toml: processes: given twice: also as workers"],
        ),
        (
            "timeout = true",
            ["propylon.toml: timeout: found true; expected a number of seconds from 0 to 31536000"],
        ),
        ("pools = 3", ["propylon.toml: pools: found 3; expected [[pools]] tables"]),
        (
            "workers = ",
            [
                "propylon.toml: not TOML: Invalid value (at end of document); a text stands in "
                'quotes, as in bind = "127.0.0.1:8000"'
            ],
        ),
        (f"workers = {'[' * 9_999}", ["propylon.toml: nested too deeply"]),
    ],
)
def test_toml(toml: str, sentences: list[str]) -> None:
    assert faults(toml=toml) == sentences


def test_environment() -> None:
    assert faults(env={"WEB_CONCURRENCY": "many", "PROPYLON_RELOAD": "perhaps"}) == [
        f"WEB_CONCURRENCY: found 'many'; {NUMBER_OF_WORKERS}",
        "PROPYLON_RELOAD: found 'perhaps'; expected true or false",
    ]


def test_a_file_that_is_not_there() -> None:
    assert faults(env={"PROPYLON_CONFIG": "gone.toml"}) == [
        "gone.toml: cannot be read: No such file or directory"
    ]


def test_pools_and_routes_all_at_once() -> None:
    toml = """
    [[pools]]
    name = "web"
    app = "a:app"
    worker = 2
    [[pools]]
    app = "b:app"
    loop = "trio"
    interface = "wsgi"
    [[pools]]
    name = "web"
    threads = 0
    [[routes]]
    prefix = "api"
    pool = "wed"
    [[routes]]
    pool = "web"
    host = "example.com:80"
    [[routes]]
    prefix = "/x"
    path = "/x"
    [[routes]]
    pool = "web"
    prefix = "/x/"
    [[routes]]
    pool = "web"
    prefix = "/x"
    [[routes]]
    pool = "web"
    prefix = "/apiary"
    root-path = "/api"
    priority = "urgent"
    """
    assert faults({"app": None}, toml=toml) == [
        "propylon.toml: pools[0].worker: there is no such key; did you mean workers?",
        "propylon.toml: pools[1].name: a pool needs a name",
        "propylon.toml: pools[2].threads: found 0; expected a whole number from 1 to 4096",
        "propylon.toml: pools[2].name: found 'web', "
        "which propylon.toml: pools[0] is called already",
        "propylon.toml: routes[0].pool: found 'wed', which is no pool; did you mean web?",
        "propylon.toml: routes[0].prefix: found 'api'; a prefix begins with a slash: /api",
        "propylon.toml: routes[1].host: found 'example.com:80'; a route's host has no port",
        "propylon.toml: routes[2].path: given twice: also as prefix",
        "propylon.toml: routes[4]: matches the same requests as propylon.toml: routes[3]",
        "propylon.toml: routes[5].root-path: found '/api'; it is the prefix, /apiary, or a "
        "beginning of it",
        "propylon.toml: routes[5].priority: found 'urgent'; expected one of default or high",
        "pool [1]: found 'trio' with interface wsgi; a WSGI app runs in threads, not on a loop",
        "pool web: it has no app",
    ]


def test_pools_without_routes_or_use_for_the_app() -> None:
    toml = '[[pools]]\nname="a"\napp="main:ap"\n[[pools]]\nname="b"\napp="b:app"\n'
    assert faults(toml=toml) == [
        "argument: found 'main:app', but every one of the [[pools]] of propylon.toml has an app of "
        "its own; leave it out, or name another file by -c",
        "2 pools, but no [[routes]] to say which requests go where",
    ]


@pytest.mark.parametrize("verb", ["worker", "gateway"])
def test_verbs_that_need_a_run_dir(verb: Verb) -> None:
    assert faults(verb=verb) == [
        f"--run-dir: propylon {verb} needs it: the directory that gateway and workers share"
    ]


def test_worker_names_a_pool_that_is_not_there() -> None:
    toml = '[[pools]]\nname="web"\napp="a:app"\n'
    assert faults({"app": None, "pool": "wed", "run_dir": "/r"}, toml=toml, verb="worker") == [
        "--pool: found 'wed', which is none of the [[pools]]; did you mean web?"
    ]


@pytest.mark.parametrize("missing", ["opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"])
def test_traces_need_an_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    assert faults({"traces": "otlp"}) == [
        "--traces: it needs OpenTelemetry's packages: pip install 'propylon[otel]'"
    ]
