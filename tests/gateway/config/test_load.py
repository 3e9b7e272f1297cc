"""Where values come from and which wins; other tools' names; the Config that results."""

import os
from pathlib import Path
from typing import Any

import pytest
from propylon.gateway.config.config import PoolConfig, pool_options
from propylon.gateway.config.faults import ConfigError
from propylon.gateway.config.load import Loaded, load
from propylon.gateway.config.option import EVERYWHERE, Verb
from propylon.gateway.config.options import names, table
from propylon.gateway.listen.address import InheritedAddress, TcpAddress, UnixAddress
from propylon.gateway.settings import RouteSettings

USUAL = ("for", "proto")


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(
    flags: dict[str, Any] | None = None,
    env: dict[str, str] | None = None,
    toml: str = "",
    verb: Verb = "serve",
) -> Loaded:
    if toml:
        Path("propylon.toml").write_text(toml)
    return load(verb, {"app": "main:app"} | (flags or {}), env or {})


def test_defaults() -> None:
    config = loaded().config
    assert config.addresses == (TcpAddress("127.0.0.1", 8000),)
    assert config.pools == (PoolConfig(app="main:app"),)
    assert config.routes == (RouteSettings(pool="default"),)
    assert (config.gateways, config.backlog, config.startup_timeout) == (1, 2048, 60)
    assert config.serve.timeout_keep_alive == 75
    assert config.reload is None


@pytest.mark.parametrize(
    ("flags", "env", "toml", "value", "origin"),
    [
        ({"workers": "4"}, {"PROPYLON_WORKERS": "3"}, "workers = 2", 4, "--workers"),
        ({}, {"PROPYLON_WORKERS": "3"}, "workers = 2", 3, "PROPYLON_WORKERS"),
        ({}, {"WEB_CONCURRENCY": "3"}, "workers = 2", 3, "WEB_CONCURRENCY"),
        (
            {},
            {"PROPYLON_WORKERS": "3", "WEB_CONCURRENCY": "5"},
            "workers = 2",
            3,
            "PROPYLON_WORKERS",
        ),
        ({}, {}, "workers = 2", 2, "propylon.toml: workers"),
        ({}, {}, "processes = 2", 2, "propylon.toml: processes"),
        ({}, {"WEB_CONCURRENCY": ""}, "", 1, None),
    ],
)
def test_flags_before_environment_before_toml_before_default(
    flags: dict[str, Any], env: dict[str, str], toml: str, value: int, origin: str | None
) -> None:
    result = loaded(flags, env, toml)
    assert result.config.pools[0].workers == value
    found = result.origins.get("workers")
    assert (found.origin if found else None) == origin


@pytest.mark.parametrize("key", ["timeout-keep-alive", "timeout_keep_alive", "keep-alive"])
def test_a_toml_key_is_written_with_dashes_or_underscores(key: str) -> None:
    assert loaded(toml=f"{key} = 9").config.serve.timeout_keep_alive == 9.0


def test_the_file_in_the_current_directory_is_read_unless_another_is_named() -> None:
    Path("other.toml").write_text("workers = 5")
    Path("propylon.toml").write_text("workers = 2")
    flags = {"app": "main:app"}
    assert load("serve", flags, {}).file == "propylon.toml"
    assert load("serve", flags, {}, "other.toml").config.pools[0].workers == 5
    assert load("serve", flags, {"PROPYLON_CONFIG": "other.toml"}).config.pools[0].workers == 5


@pytest.mark.parametrize(
    ("flags", "env", "toml", "addresses"),
    [
        ({"host": "::1"}, {}, "", (TcpAddress("::1", 8000),)),
        ({"port": "0"}, {}, "", (TcpAddress("127.0.0.1", 0),)),
        ({"port": "9000"}, {"PROPYLON_HOST": "0.0.0.0"}, "", (TcpAddress("0.0.0.0", 9000),)),
        ({"port": "9000"}, {}, 'bind = ":80"', (TcpAddress("127.0.0.1", 9000),)),
        ({}, {}, 'bind = ":80"', (TcpAddress("0.0.0.0", 80),)),
        ({"uds": "/run/a.sock"}, {}, "", (UnixAddress("/run/a.sock"),)),
        ({"fd": "3"}, {}, "", (InheritedAddress(3),)),
        (
            {"bind": ("[::1]:1", "unix:/a", "fd://4")},
            {},
            "",
            (TcpAddress("::1", 1), UnixAddress("/a"), InheritedAddress(4)),
        ),
        (
            {},
            {"PROPYLON_BIND": "a:1, b:2"},
            "",
            (TcpAddress("a", 1), TcpAddress("b", 2)),
        ),
        # A Kubernetes Service called "propylon" puts this into every container's environment.
        ({}, {"PROPYLON_PORT": "tcp://10.3.240.1:80"}, "", (TcpAddress("127.0.0.1", 8000),)),
        ({}, {"PROPYLON_PORT": "udp://[fd00::1]:53"}, "", (TcpAddress("127.0.0.1", 8000),)),
        ({}, {"PROPYLON_BIND": "tcp://a:1"}, "", (TcpAddress("a", 1),)),
    ],
)
def test_addresses(
    flags: dict[str, Any], env: dict[str, str], toml: str, addresses: tuple[object, ...]
) -> None:
    assert loaded(flags, env, toml).config.addresses == addresses


@pytest.mark.parametrize("service", ["", "_METRICS", "_ADMIN_BIND", "_HEADLESS"])
def test_a_services_variables_are_not_ours(service: str) -> None:
    """Kubernetes sets them for a Service "propylon", "propylon-metrics" and so on, unless the pod
    says enableServiceLinks: false."""
    name = f"PROPYLON{service}"
    env = {
        f"{name}_SERVICE_HOST": "10.0.0.1",
        f"{name}_SERVICE_PORT": "80",
        f"{name}_SERVICE_PORT_HTTP": "80",
        f"{name}_PORT": "tcp://10.0.0.1:80",
    }
    for protocol in ("TCP", "UDP"):
        link = f"{name}_PORT_9180_{protocol}"
        env |= {link: f"{protocol.lower()}://10.0.0.1:9180", f"{link}_PROTO": protocol.lower()}
        env |= {f"{link}_PORT": "9180", f"{link}_ADDR": "10.0.0.1"}
    with_links, without = loaded({}, env), loaded({}, {})
    assert with_links.notes == without.notes
    assert with_links.origins == without.origins
    assert with_links.config == without.config


def handed_over(count: int, names: str = "", pid: int = 0) -> dict[str, str]:
    env = {"LISTEN_FDS": str(count), "LISTEN_PID": str(pid or os.getpid())}
    return env | ({"LISTEN_FDNAMES": names} if names else {})


@pytest.mark.parametrize(
    ("flags", "env", "addresses"),
    [
        ({}, handed_over(2), (InheritedAddress(3), InheritedAddress(4))),
        ({"port": "1"}, handed_over(1), (TcpAddress("127.0.0.1", 1),)),
        ({}, handed_over(1, pid=1), (TcpAddress("127.0.0.1", 8000),)),
        ({"bind": ("fd://b",)}, handed_over(2, "a:b"), (InheritedAddress(4),)),
        (
            {"bind": ("fd://a", ":1")},
            handed_over(3, "a:b:a"),
            (InheritedAddress(3), InheritedAddress(5), TcpAddress("0.0.0.0", 1)),
        ),
    ],
)
def test_systemds_sockets(
    flags: dict[str, Any], env: dict[str, str], addresses: tuple[object, ...]
) -> None:
    assert loaded(flags, env).config.addresses == addresses


def test_a_socket_of_systemd_s_that_is_left_out() -> None:
    notes = loaded({"bind": ("fd://a",)}, handed_over(2, "a:b")).notes
    assert notes == (
        "nobody is served on fd://4, which systemd has opened: whoever connects there waits for "
        "ever",
    )
    assert loaded({}, handed_over(2, "a:b")).notes == ()


@pytest.mark.parametrize(
    ("flags", "env", "toml", "believed", "fields"),
    [
        ({}, {}, "", ("127.0.0.1", "::1", "unix"), USUAL),
        ({"forwarded_allow_ips": ("10.0.0.0/8, unix:",)}, {}, "", ("10.0.0.0/8", "unix"), USUAL),
        ({"forwarded_allow_ips": ("10.0.0.1", "::1")}, {}, "", ("10.0.0.1", "::1"), USUAL),
        ({"forwarded_allow_ips": ("",)}, {}, "", (), USUAL),
        ({}, {"FORWARDED_ALLOW_IPS": "*"}, "", ("*",), USUAL),
        ({}, {"FORWARDED_ALLOW_IPS": ""}, "", ("127.0.0.1", "::1", "unix"), USUAL),
        ({}, {}, 'trusted-proxy = "10.0.0.1, 10.0.0.2"', ("10.0.0.1", "10.0.0.2"), USUAL),
        ({}, {}, "forwarded-allow-ips = []", (), USUAL),
        ({"forwarded_fields": ("for", "Forwarded", "X-Forwarded-Host")},
         {"FORWARDED_ALLOW_IPS": "*"}, "", ("*",), ("for", "forwarded", "host")),
        ({"forwarded_fields": ("host,X-Real-IP",)}, {}, "", ("127.0.0.1", "::1", "unix"),
         ("host", "real-ip")),
        ({"forwarded_fields": ("",)}, {}, "", ("127.0.0.1", "::1", "unix"), ()),
        ({"proxy_headers": False}, {"FORWARDED_ALLOW_IPS": "*"}, "", (), USUAL),
    ],
)  # fmt: skip
def test_who_is_believed_what(
    flags: dict[str, Any],
    env: dict[str, str],
    toml: str,
    believed: tuple[str, ...],
    fields: tuple[str, ...],
) -> None:
    trust = loaded(flags, env, toml).config.trust
    assert (trust.forwarded_allow_ips, trust.forwarded_fields) == (believed, fields)


def test_notes_on_trust() -> None:
    note = loaded({"forwarded_allow_ips": ("*",)}).notes[0]
    assert note.startswith("--forwarded-allow-ips=* believes whoever connects")
    flags = {"uds": "/a", "forwarded_allow_ips": ("10.0.0.1",)}
    assert loaded(flags).notes[0].startswith("a proxy on the Unix socket is not believed")
    assert loaded({"uds": "/a"}).notes == ()
    flags = {"proxy_allow_from": ("10.0.0.1",)}
    assert loaded(flags).notes == ("--proxy-allow-from does nothing without --proxy-protocol",)
    assert loaded({**flags, "proxy_protocol": True}).notes == ()


@pytest.mark.parametrize(
    ("word", "more", "interface", "loop", "threads"),
    [
        ("uvicorn.workers.UvicornWorker", {}, "asgi", "auto", 4),
        ("uvicorn.workers.UvicornH11Worker", {}, "asgi", "asyncio", 4),
        ("gthread", {}, "wsgi", "auto", 4),
        ("sync", {}, "wsgi", "auto", 1),
        ("sync", {"threads": "8"}, "wsgi", "auto", 8),
        ("trio", {}, "auto", "trio", 4),
        ("uvloop", {"loop": "asyncio"}, "auto", "asyncio", 4),
    ],
)
def test_worker_class(
    word: str, more: dict[str, str], interface: str, loop: str, threads: int
) -> None:
    pool = loaded({"worker_class": word} | more).config.pools[0]
    told = pool.for_workers
    assert (told["interface"], told["loop"], told["threads"]) == (interface, loop, threads)


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("interface", "ASGI3", "asgi"),
        ("log_level", "WARN", "warning"),
        ("log_level", "trace", "debug"),
        ("root_path", "/api/", "/api"),
        ("root_path", "/", ""),
        ("root_path", "/caf%C3%A9/a%20b/", "/caf\u00e9/a b"),
        ("root_path", "/caf\u00e9", "/caf\u00e9"),
        ("umask", "0o027", 0o027),
        ("umask", "27", 0o027),
        ("access_log", "off", False),
        ("access_log", "1", True),
        ("request_timeout", "1.5", 1.5),
    ],
)
def test_words_of_values(field: str, text: str, value: object) -> None:
    options = loaded(env={f"PROPYLON_{field.upper()}": text}).options
    assert getattr(options, field) == value


def test_workers_auto_is_a_number() -> None:
    assert loaded({"workers": "auto"}).config.pools[0].workers >= 1


@pytest.mark.parametrize(
    ("text", "least", "most", "words"),
    [
        ("3", 3, 3, "3 workers"),
        ("2..8", 2, 8, "2 to 8 workers"),
        ("1..1", 1, 1, "1 worker"),
        ("1..4096", 1, 4_096, "1 to 4096 workers"),
    ],
)
def test_workers_may_be_a_range(text: str, least: int, most: int, words: str) -> None:
    (pool,) = loaded({"workers": text}).config.pools
    assert (pool.workers, pool.most_workers, pool.workers_text) == (least, most, words)
    assert pool.scales == (most > least)


def test_a_range_that_only_serve_moves_within_is_noted_at_a_worker() -> None:
    at_worker = loaded({"workers": "2..8", "run_dir": "/tmp/x"}, verb="worker").notes
    assert any("it starts 2 and stays there" in note for note in at_worker)
    assert not any("stays there" in note for note in loaded({"workers": "2..8"}).notes)


def test_no_access_log_wins_over_its_file() -> None:
    assert loaded({"access_log": False, "access_logfile": "/x"}).config.log.access_log == ""


def test_gateways_count_unless_told_otherwise() -> None:
    assert loaded({}).config.metrics
    assert not loaded({"metrics": False}).config.metrics


def test_pools_and_routes() -> None:
    config = loaded(
        {"app": None, "threads": "9"},
        toml="""
        workers = 3
        [[pools]]
        name = "web"
        app = "site.asgi:application"
        [[pools]]
        name = "admin"
        app = "site.wsgi:application"
        workers = 1
        limit-concurrency = 7
        [[routes]]
        host = "Admin.Example.com"
        pool = "admin"
        [[routes]]
        path = "/admin/"
        pool = "admin"
        [[routes]]
        pool = "web"
        [[routes]]
        prefix = "/up/"
        root_path = "/"
        pool = "web"
        priority = "high"
        """,
    ).config
    assert config.pools == (
        PoolConfig(
            name="web",
            app="site.asgi:application",
            workers=3,
            for_workers=pool_options("workers", threads=9),
        ),
        PoolConfig(
            name="admin",
            app="site.wsgi:application",
            workers=1,
            for_workers=pool_options("workers", threads=9, limit_concurrency=7),
        ),
    )
    assert config.routes == (
        RouteSettings(pool="admin", host="admin.example.com"),
        RouteSettings(pool="admin", prefix="/admin"),
        RouteSettings(pool="web"),
        RouteSettings(pool="web", prefix="/up", root_path="", priority="high"),
    )


def test_worker_verb_can_pick_one_of_the_pools() -> None:
    toml = '[[pools]]\nname="a"\napp="a:app"\n[[pools]]\nname="b"\napp="b:app"\n'
    result = loaded({"app": None, "pool": "b", "run_dir": "/r"}, toml=toml, verb="worker")
    assert [pool.name for pool in result.config.pools] == ["b"]


def test_gateway_verb_needs_no_app() -> None:
    assert loaded({"app": None, "run_dir": "/r"}, verb="gateway").config.pools[0].app == ""


def test_notes_say_what_may_not_be_meant() -> None:
    result = loaded(
        {"app": None, "reload_dir": (".",)},
        {"PROPYLON_WORKER": "3", "PROPYLON_SERVICE_HOST": "10.0.0.1"},
        '[[pools]]\nname="a"\napp="a:a"\n[[pools]]\nname="b"\napp="b:b"\n[[routes]]\npool="a"\n',
    )
    assert result.notes == (
        "PROPYLON_WORKER is not a variable that is read; did you mean PROPYLON_WORKERS?",
        "pool b gets no requests: no route names it",
        "files are not watched: --reload is not given",
    )


def test_the_table_is_sound() -> None:
    spelled = [name for row in table().values() for name in row.names]
    assert len(spelled) == len(set(spelled))
    shorts = [row.short for row in table().values() if row.short]
    assert len(shorts) == len(set(shorts))
    assert set(names()) == set(spelled)
    for row in table().values():
        assert row.help.endswith("."), row.name
        assert row.section, row.name
        assert row.verbs <= EVERYWHERE


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512M", 512 * 2**20),
        ("1536k", 1536 * 2**10),
        ("2GiB", 2**31),
        ("2000000", 2000000),
    ],
)
def test_memory(text: str, size: int) -> None:
    for found in (loaded({"workers_max_rss": text}), loaded(toml=f'workers-max-rss = "{text}"')):
        assert found.config.pools[0].for_workers["workers_max_rss"] == size


def test_recycling_is_each_pools_own() -> None:
    toml = """
    limit-max-requests = 1000
    [[pools]]
    name = "a"
    app = "a:app"
    max-requests-jitter = 10
    workers-max-rss = 2000000
    [[pools]]
    name = "b"
    app = "b:app"
    max-requests = 0
    workers-lifetime = 60
    [[routes]]
    pool = "a"
    """
    Path("propylon.toml").write_text(toml)
    a, b = (pool.for_workers for pool in load("serve", {}, {}).config.pools)
    assert (a["max_requests"], a["max_requests_jitter"]) == (1000, 10)
    assert (b["max_requests"], b["workers_lifetime"]) == (0, 60)
    assert (a["workers_max_rss"], b["workers_max_rss"]) == (2000000, 0)


def test_the_admin_listener_is_off_unless_it_is_given_an_address() -> None:
    assert loaded().config.admin_addresses == ()
    for verb in ("serve", "gateway", "worker"):
        flags = {"admin_bind": ("127.0.0.1:9180", "unix:/a?mode=600"), "run_dir": "r"}
        config = loaded(flags, {"PROPYLON_ADMIN_MAX_QUEUE_TIME": "2.5"}, verb=verb).config
        assert config.admin_addresses == (TcpAddress("127.0.0.1", 9180), UnixAddress("/a", 0o600))
        assert config.admin.max_queue_time == 2.5


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        (
            {"admin_bind": ("fd://3",)},
            "--admin-bind: found 'fd://3'; the admin listener's address is HOST:PORT or unix:PATH",
        ),
        (
            {"admin_bind": ("127.0.0.1:8000",)},
            "--admin-bind: 127.0.0.1:8000 is where the app is served",
        ),
        ({"admin_bind": (":91", ":91")}, "--admin-bind: 0.0.0.0:91 is given twice"),
        (
            {"admin_bind": (":91",), "admin_token_file": "none"},
            "--admin-token-file: none cannot be read: No such file or directory",
        ),
        ({"admin_max_queue_time": "-1"}, "--admin-max-queue-time: "),
    ],
)
def test_faults_of_the_admin_listeners_options(flags: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError) as info:
        loaded(flags)
    assert str(info.value.faults[0]).startswith(fault)


def test_a_token_file_that_everybody_can_read_is_noted() -> None:
    path = Path("token")
    path.write_text("a-token-that-is-long-enough\n")
    path.chmod(0o644)
    result = loaded({"admin_bind": (":91",), "admin_token_file": "token"})
    assert result.config.admin.token_file == str(path.absolute())
    assert result.notes == (
        "--admin-token-file: every user here can read token; chmod o= keeps it secret",
    )
    path.chmod(0o600)
    assert loaded({"admin_bind": (":91",), "admin_token_file": "token"}).notes == ()
    (note,) = loaded({"admin_token_file": "token"}).notes
    assert note == "--admin-token-file has no effect: there is no --admin-bind"


def test_a_gateway_does_not_divide_its_memory_among_the_workers_of_others() -> None:
    toml = 'workers_max_rss = "1%"\nrun_dir = "r"\n[[pools]]\nname = "a"\nworkers = 4096\n'
    Path("propylon.toml").write_text(toml)
    config = load("gateway", {}, {}).config
    assert config.pools[0].for_workers["workers_max_rss"] == 0
