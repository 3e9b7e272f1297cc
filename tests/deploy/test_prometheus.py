"""deploy/prometheus/: the rules pass promtool's checks and tests, every metric that rules and
dashboard ask for is one of ours, and a real Prometheus that scrapes a real Propylon answers every
query of theirs."""

import itertools
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from propylon.gateway.exchange.end_codes import END_CODES
from propylon.gateway.metrics.families import BY_NAME

from ..end_to_end.other_proxies import free_port
from ..end_to_end.server import Propylon, wait_for

FOLDER = Path(__file__).parents[2] / "deploy/prometheus"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "grafana-dashboard.json").read_text())
RULES = (FOLDER / "propylon.rules.yml").read_text()
SUFFIXES = re.compile(r"_(bucket|sum|count)$")
VARIABLES = {"$__rate_interval": "1m", "$job": ".*", "$instance": ".*", "$pool": ".*"}
MAY_BE_EMPTY = re.compile(r"certificate|retries|refused|restarts|recycles|handshakes|queue_seconds")
"""Families without a series until something happens, or with no number while nothing waits."""

needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="needs promtool: apt-get install prometheus"
)


def queries() -> list[str]:
    """Every query of the dashboard, its variables filled in."""
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    for name, value in VARIABLES.items():
        found = [query.replace(name, value) for query in found]
    return found


def unknown_metrics(text: str) -> set[str]:
    named = {SUFFIXES.sub("", name) for name in re.findall(r"\bpropylon_[a-z0-9_]+", text)}
    return named - BY_NAME.keys()


def test_rules_and_dashboard_ask_for_metrics_that_there_are() -> None:
    assert len(queries()) > 20
    assert not unknown_metrics(" ".join(queries()) + RULES)
    assert unknown_metrics("rate(propylon_request_total[5m])") == {"propylon_request_total"}


def test_what_counts_as_failed_is_every_cut_response() -> None:
    """The pattern of the rule names the ends that the table calls failures and whose status was not
    a 5xx, as far as the client did not cause them."""
    pattern = re.search(r'status!~"5\.\.",\s*end=~"([^"]+)"', RULES)
    assert pattern is not None
    named = {word for word in END_CODES if re.fullmatch(pattern[1], word)}
    cut = {
        code.word
        for code in END_CODES.values()
        if code.is_failure and code.who != "client" and "cut" in code.status
    }
    assert cut <= named
    assert all(END_CODES[word].is_failure for word in named)


@needs_promtool
def test_the_rules_are_right() -> None:
    for arguments in (
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "propylon.rules.test.yml"),
    ):
        ran = subprocess.run(
            ["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


@contextmanager
def prometheus(folder: Path, target: str, **labels: str) -> Iterator[str]:
    """A Prometheus that scrapes the target every second, with our rules; its address. `labels` are
    those of the target."""
    port = free_port()
    rules = re.sub(r"interval: \d+s", "interval: 1s", RULES)
    (folder / "propylon.rules.yml").write_text(rules)
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
        "rule_files: [propylon.rules.yml]\n"
        "scrape_configs: [{job_name: propylon, static_configs: "
        f"[{{targets: ['{target}'], labels: {json.dumps(labels)}}}]}}]\n"
    )
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [
                "prometheus", "--config.file=prometheus.yml", f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            cwd=folder, stdout=log, stderr=log,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(f"{url}/-/ready"), "Prometheus")
        yield url
    finally:
        process.terminate()
        process.wait(20)


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def ask(url: str, query: str) -> list[Any]:
    """The result of a query. An error of it fails the test."""
    reply = httpx.get(f"{url}/api/v1/query", params={"query": query})
    assert reply.status_code == 200, f"{query}: {reply.text}"
    return reply.json()["data"]["result"]


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("prometheus"), reason="needs Prometheus: apt-get install prometheus"
)
def test_a_prometheus_answers_every_query(tmp_path: Path) -> None:
    admin = f"127.0.0.1:{free_port()}"
    stop = threading.Event()
    with (
        Propylon("asgi_raw:app", "-w", "2", "--admin-bind", admin) as propylon,
        prometheus(tmp_path, admin) as url,
    ):

        def load() -> None:
            with propylon.client() as client:
                for number in itertools.count():
                    client.get("/" if number % 50 else "/crash")
                    if stop.wait(0.02):
                        break

        loading = threading.Thread(target=load)
        loading.start()
        try:
            wait_for(lambda: ask(url, "propylon:requests:rate5m"), "a rate", 60)
            wait_for(lambda: ask(url, "rate(propylon_requests_total[1m])"), "a rate", 60)
            up = ask(url, 'up{job="propylon"}')
            assert [sample["value"][1] for sample in up] == ["1"]
            empty = [query for query in queries() if not ask(url, query)]
            assert [query for query in empty if not MAY_BE_EMPTY.search(query)] == []
            rules = httpx.get(f"{url}/api/v1/rules").json()["data"]["groups"]
            health = {rule["name"]: rule["health"] for group in rules for rule in group["rules"]}
            assert set(health.values()) == {"ok"}, health
            firing = ask(url, 'ALERTS{alertstate="firing"}')
            assert firing == []
        finally:
            stop.set()
            loading.join()
