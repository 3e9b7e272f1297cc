"""What the children are told."""

from pathlib import Path

import msgspec
import pytest
from propylon.gateway import json_texts
from propylon.gateway.config.build import WorkerId, gateway_settings, worker_settings
from propylon.gateway.config.faults import ConfigError
from propylon.gateway.config.load import load
from propylon.gateway.config.report import report
from propylon.gateway.settings import GatewaySettings, ListenerSettings
from propylon.worker.settings import decode_settings


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("value", ['"many"', "-1", "1_000_001", "1.5", "true"])
def test_a_limit_is_a_number_or_auto(value: str) -> None:
    Path("propylon.toml").write_text(f'app = "main:app"\nlimit_concurrency = {value}\n')
    with pytest.raises(ConfigError, match="limit_concurrency"):
        load("serve", {}, {})


def test_a_pool_may_seek_its_limit() -> None:
    found = load("serve", {"app": "main:app"}, {"PROPYLON_LIMIT_CONCURRENCY": "auto"})
    assert found.config.pools[0].for_workers["limit_concurrency"] == "auto"
    Path("propylon.toml").write_text(
        'limit_concurrency = 7\n[[pools]]\nname = "a"\napp = "main:app"\n'
        'limit_concurrency = "auto"\n[[pools]]\nname = "b"\napp = "main:app"\n'
        '[[routes]]\npool = "a"\n'
    )
    pools = load("serve", {}, {}).config.pools
    assert [pool.for_workers["limit_concurrency"] for pool in pools] == ["auto", 7]


def test_the_worker_understands_its_settings(tmp_path: Path) -> None:
    flags = {
        "app": "main:make",
        "factory": True,
        "interface": "asgi",
        "loop": "trio",
        "threads": "9",
        "limit_concurrency": "5",
        "lifespan": "off",
        "timeout_graceful_shutdown": "7",
        "log_level": "debug",
        "max_requests": "1000",
        "max_requests_jitter": "50",
        "workers_max_rss": "512M",
        "workers_lifetime": "3600",
        "startup_timeout": "21",
        "warm_up": ("/a?b=c", "/d"),
        "heartbeat_timeout": "12",
    }
    config = load("serve", flags, {}).config
    who = WorkerId(number=3, child=77, generation=2)
    told = decode_settings(
        json_texts.encode(worker_settings(config, config.pools[0], who, "/run/p"))
    )
    assert (told.app, told.factory, told.app_dir) == ("main:make", True, str(tmp_path))
    assert (told.pool, told.worker_id, told.generation) == ("default", 3, 2)
    assert (told.run_dir, told.zygote) == ("/run/p", False)
    assert (told.interface, told.loop, told.lifespan) == ("asgi", "trio", "off")
    assert (told.threads, told.limit_concurrency, told.graceful_timeout) == (9, 5, 7)
    assert told.log_level == "debug"
    assert (told.child_id, told.heartbeat_timeout) == (77, 12)
    assert (told.startup_timeout, told.warm_up) == (21, ("/a?b=c", "/d"))
    assert (told.max_requests, told.max_requests_jitter) == (1000, 50)
    assert (told.workers_max_rss, told.workers_lifetime) == (512 * 2**20, 3600)


def test_gateway_settings_survive_json() -> None:
    flags = {
        "app": "main:app",
        "header_timeout": "3",
        "queue_size": "8",
        "gateways": "3",
        "limit_request_line": "100000",
        "http": "h11",
        "server_header": False,
        "access_logformat": "json",
    }
    config = load("serve", flags, {}).config
    listener = ListenerSettings(fd=5, address="127.0.0.1:8000")
    settings = gateway_settings(config, 2, "/run/p", [listener])
    assert msgspec.json.decode(msgspec.json.encode(settings), type=GatewaySettings) == settings
    assert (settings.gateway, settings.run_dir, settings.listeners) == (2, "/run/p", (listener,))
    assert (settings.pools[0].queue_size, settings.pools[0].gateways) == (8, 3)
    assert (settings.serve.header_timeout, settings.serve.server_header) == (3, False)
    assert settings.http.parser == "h11"
    assert settings.http.limit_request_head >= settings.http.limit_request_line
    assert settings.log.access_logformat == "json"


def test_report_names_every_value_and_its_origin() -> None:
    Path("propylon.toml").write_text("threads = 2\n")
    lines = report(
        load("check", {"app": "main:app", "port": "9"}, {"WEB_CONCURRENCY": "3"})
    ).splitlines()
    for line in (
        "  app                        main:app                     argument",
        "  port                       9                            --port",
        "  workers                    3                            WEB_CONCURRENCY",
        "  threads                    2                            propylon.toml: threads",
        "  loop                       auto                         default",
        "  access-log                 true                         default",
        "  http://127.0.0.1:9 (HTTP/1.1)",
        "  default: main:app, 3 workers, interface auto, loop auto",
        "  */ -> default",
    ):
        assert line in lines


def test_report_says_who_is_believed_what() -> None:
    lines = report(load("check", {"app": "main:app"}, {"FORWARDED_ALLOW_IPS": "10.0.0.1"}))
    assert "\nBelieves\n  10.0.0.1: for, proto\n" in lines
    lines = report(load("check", {"app": "main:app", "proxy_headers": False}, {}))
    assert "\nBelieves\n  nobody\n" in lines


def test_each_gateway_knows_its_part_of_a_route_s_share() -> None:
    text = """
app = "main:app"
gateways = 3
[[routes]]
prefix = "/a"
limit_concurrency = 8
[[routes]]
prefix = "/b"
limit_concurrency = "25%"
[[routes]]
"""
    Path("propylon.toml").write_text(text)
    routes = gateway_settings(load("serve", {}, {}).config, 2, "/run/p", []).routes
    found = {one.prefix: (one.most_calls, one.most_percent, one.share_of) for one in routes}
    assert found == {"/a": (8, 0, (2, 3)), "/b": (0, 25, (2, 3)), "": (0, 0, (1, 1))}


def test_a_route_s_prefix_is_written_as_a_path_or_as_in_a_url(tmp_path: Path) -> None:
    text = """
app = "main:app"
[[routes]]
prefix = "/caf%C3%A9/"
root-path = "/caf\u00e9"
[[routes]]
prefix = "/\u0446%D0%B5\u043d\u044b"
[[routes]]
prefix = "/a%20b"
"""
    Path("propylon.toml").write_text(text)
    (tmp_path / "files").mkdir()
    flags = {"static": (f"/gr%C3%BC\u00dfe={tmp_path / 'files'}",)}
    routes = gateway_settings(load("serve", flags, {}).config, 1, "/run/p", []).routes
    assert {(one.prefix, one.root_path) for one in routes} >= {
        ("/caf\u00e9", "/caf\u00e9"),
        ("/\u0446\u0435\u043d\u044b", None),
        ("/a b", None),
        ("/gr\u00fc\u00dfe", None),
    }


@pytest.mark.parametrize("value", ['"0%"', '"101%"', '"5.5%"', "-1", "1.5", '"half"', "true"])
def test_a_share_that_is_none_is_a_fault(value: str) -> None:
    Path("propylon.toml").write_text(f'app = "main:app"\n[[routes]]\nlimit_concurrency = {value}\n')
    with pytest.raises(ConfigError, match=r"routes\[0\]\.limit_concurrency"):
        load("serve", {}, {})


def test_a_route_has_a_body_size_of_its_own() -> None:
    text = """
app = "main:app"
[[routes]]
prefix = "/a"
max-request-body-size = 8
[[routes]]
prefix = "/b"
max_request_body_size = 0
[[routes]]
"""
    Path("propylon.toml").write_text(text)
    routes = gateway_settings(load("serve", {}, {}).config, 1, "/run/p", []).routes
    found = {route.prefix: route.max_request_body_size for route in routes}
    assert found == {"/a": 8, "/b": 0, "": None}


@pytest.mark.parametrize("value", ["-1", "1.5", '"much"', "true"])
def test_a_route_s_body_size_that_is_none_is_a_fault(value: str) -> None:
    text = f'app = "main:app"\n[[routes]]\nmax_request_body_size = {value}\n'
    Path("propylon.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"routes\[0\]\.max_request_body_size"):
        load("serve", {}, {})


def test_who_sends_a_line_is_named_if_there_are_several(tmp_path: Path) -> None:
    def senders(**flags: str) -> list[str]:
        config = load("serve", {"app": "main:app", **flags}, {}).config
        pool, who = config.pools[-1], WorkerId(number=3, child=77, generation=2)
        return [
            gateway_settings(config, 2, "/run/p", []).log.sender,
            worker_settings(config, pool, who, "/run/p")["log_sender"],
            worker_settings(config, pool, who, "/run/p", zygote=True)["log_sender"],
        ]

    assert senders(workers="1") == ["", "", ""]
    assert senders(workers="4", gateways="2") == ["gateway 2", "worker 3", "zygote"]
    pools = '[[pools]]\nname = "web"\napp = "main:app"\n[[pools]]\nname = "api"\napp = "main:api"\n'
    Path("propylon.toml").write_text(f'{pools}[[routes]]\npool = "web"\n')
    config = load("serve", {}, {}).config
    told = worker_settings(config, config.pools[1], WorkerId(number=3, child=7, generation=2), "/r")
    assert told["log_sender"] == "worker api/3"
