"""What autoscalers ask for is there: a real Prometheus, which scrapes a real Propylon as a pod,
answers the queries of KEDA and of prometheus-adapter with numbers that grow under load."""

import re
import shutil
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..end_to_end.other_proxies import free_port
from ..end_to_end.server import Propylon, wait_for
from .manifests import documents
from .render import NAMESPACE, RELEASE, one, render
from .test_prometheus import FOLDER, RULES, ask, prometheus

SCALING = {"targetLoad": 0.7, "targetQueueSeconds": 0.5}
WSGI = {"app": {"interface": "wsgi"}}
POD = {"namespace": NAMESPACE, "pod": f"{RELEASE}-propylon-5d9c8b7f4-x2x9k"}
"""The labels of a pod of the chart's release: Deployment, hash of the template, five letters."""
SLOTS = 2


def adapter_rules() -> dict[str, dict[str, Any]]:
    """The rules of adapter.yml by the metric that they make."""
    (config,) = documents((FOLDER / "adapter.yml").read_text())
    return {rule["name"]["as"]: rule for rule in config["rules"]}


def adapter_queries() -> list[str]:
    """What prometheus-adapter asks for the HPA: its templates filled in for our pod."""
    queries: list[str] = []
    hpa = one(
        render({"autoscaling": {"kind": "hpa", **SCALING}, **WSGI}), "HorizontalPodAutoscaler"
    )
    for metric in hpa["spec"]["metrics"]:
        rule = adapter_rules()[metric["pods"]["metric"]["name"]]
        series = re.sub(r"{.*", "", rule["seriesQuery"])
        matchers = ",".join(f'{name}="{value}"' for name, value in POD.items())
        query = rule["metricsQuery"].replace("<<.Series>>", series)
        query = query.replace("<<.LabelMatchers>>", matchers).replace("<<.GroupBy>>", "pod")
        queries.append(query)
    return queries


def keda_queries() -> list[str]:
    scaled = one(render({"autoscaling": {"kind": "keda", **SCALING}, **WSGI}), "ScaledObject")
    return [trigger["metadata"]["query"] for trigger in scaled["spec"]["triggers"]]


def test_what_they_ask_for_is_recorded() -> None:
    recorded = set(re.findall(r"record: (\S+)", RULES))
    queries = [*adapter_queries(), *keda_queries()]
    assert len(queries) == 4
    for query in queries:
        assert set(re.findall(r"propylon:[\w:]+", query)) <= recorded, query
        assert "<<" not in query


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("prometheus"), reason="needs Prometheus: apt-get install prometheus"
)
def test_the_numbers_grow_under_load(tmp_path: Path) -> None:
    admin = f"127.0.0.1:{free_port()}"
    limits = ("--limit-concurrency", str(SLOTS), "--admin-bind", admin)
    stop = threading.Event()
    with (
        Propylon("asgi_raw:app", *limits, "--no-access-log") as propylon,
        prometheus(tmp_path, admin, **POD) as url,
    ):

        def number(query: str) -> float:
            result = ask(url, query)
            return float(result[0]["value"][1]) if result else -1.0

        def work() -> None:
            while not stop.is_set():
                httpx.get(f"{propylon.url}/slow?s=3", timeout=60)

        keda, adapter = keda_queries(), adapter_queries()
        for query in (*keda, *adapter):
            wait_for(lambda query=query: number(query) == 0, f"no load: {query}", 60)
        busy = [threading.Thread(target=work) for _ in range(4 * SLOTS)]
        for thread in busy:
            thread.start()
        try:
            # Four requests for each slot: what waits is counted, so the load goes above 1.
            for load, queue in (keda, adapter):
                wait_for(lambda load=load: number(load) > 1.5, "more than the slots", 90)
                wait_for(lambda queue=queue: number(queue) > 0.5, "a queue", 90)
        finally:
            stop.set()
            for thread in busy:
                thread.join()
