"""What an instance says of itself in metrics: right, and never going back, whatever its processes
go through.
"""

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser

from .operating import deploy, done, settled, status, traffic, watch
from .server import DEADLINE, Output, Propylon, wait_for
from .test_sidecar import Part

ADMIN = ("--admin-bind", "127.0.0.1:0")
FLAGS = ("changing:app", "--reload-observe", "0.1", "--no-access-log", *ADMIN)

Numbers = dict[str, float]
"""A series as it is written, `name{label="value",...}`, or as little of it -> its value."""


class Page:
    """The metrics of an instance; each look at them asserts that no counter has gone back."""

    def __init__(self, stderr: Output) -> None:
        url = stderr.find(r"Admin listener on .*?(http://[^\s,]+)")[1]
        self._client = httpx.Client(base_url=url, timeout=DEADLINE, trust_env=False)
        self._before: Numbers = {}
        self._lock = threading.Lock()
        """Held from a request to what is made of its answer: an older page would seem to fall."""

    def text(self, accept: str = "") -> str:
        """The page as it comes."""
        response = wait_for(lambda: self._ask(accept), "a page")
        assert response.status_code == 200
        return response.text

    def _ask(self, accept: str) -> httpx.Response | None:
        """None if the connection was closed meanwhile, as an upgrade does with idle ones."""
        try:
            return self._client.get("/metrics", headers={"accept": accept})
        except httpx.TransportError:
            return None

    def look(self) -> Numbers:
        with self._lock:
            return self._read(self.text())

    def _read(self, text: str) -> Numbers:
        counters: Numbers = {}
        found: Numbers = {}
        for family in parser.text_string_to_metric_families(text):
            for sample in family.samples:
                labels = ",".join(
                    f'{name}="{sample.labels[name]}"' for name in sorted(sample.labels)
                )
                series = f"{sample.name}{{{labels}}}"
                assert series not in found
                found[series] = sample.value
                if family.type in ("counter", "histogram"):
                    counters[series] = sample.value
        fallen = {
            series: (value, counters.get(series))
            for series, value in self._before.items()
            if counters.get(series, -1.0) < value
        }
        assert not fallen
        self._before = counters
        return found

    def sum(self, name: str, *labels: str) -> float:
        """The sum of all series of a name that have these labels, each as `name="value"`."""
        return sum(
            value
            for series, value in self.look().items()
            if series.partition("{")[0] == name and all(label in series for label in labels)
        )

    def comes_to(self, wanted: float, name: str, *labels: str) -> None:
        """Waits for a sum. One that is too large never comes down again."""

        def look() -> bool:
            now = self.sum(name, *labels)
            assert now <= wanted, f"{name} {labels}: {now}, wanted {wanted}"
            return now == wanted

        wait_for(look, f"{name} {labels}: {wanted}")

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Looks again and again meanwhile, as a scraper does."""
        ending, failures = threading.Event(), list[BaseException]()

        def look_on() -> None:
            try:
                while not ending.wait(0.02):
                    self.look()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=look_on)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()
        assert not failures, failures

    def close(self) -> None:
        self._client.close()


@contextmanager
def serving(folder: Path, *more: str) -> Iterator[tuple[Propylon, Page]]:
    with Propylon(*FLAGS, *more, cwd=folder) as server:
        page = Page(server.stderr)
        try:
            yield server, page
        finally:
            page.close()


def test_what_is_counted_is_shown_and_stays_when_processes_go(tmp_path: Path) -> None:
    fails = "if scope['path'] == '/fails': raise ValueError('as asked')"
    deploy(tmp_path, "old", in_call=fails)
    requests = "propylon_requests_total"
    with serving(tmp_path, "-w", "1") as (server, page):
        with server.client() as client:
            for path in ("/", "/", "/?a", "/fails"):
                client.get(path)
            client.request("BREW", "/")
        page.comes_to(5, requests)
        assert page.sum(requests, 'status="200"', 'end="ok"', 'pool="default"') == 4
        assert page.sum(requests, 'status="500"', 'end="app_failed"') == 1
        assert page.sum(requests, 'method="other"') == 1
        assert page.sum("propylon_request_duration_seconds_count") == 5
        assert page.sum("propylon_workers", 'state="ready"', 'generation="1"') == 1
        assert page.sum("propylon_gateways", 'state="ready"') == 1

        # The same in the status.
        (pool,) = status(server)["traffic"]
        assert (pool["pool"], pool["requests"], pool["server_errors"]) == ("default", 5, 1)
        assert sum(pool["latency"]) == 5
        assert [one["path"] for one in status(server)["failed"]] == ["/fails"]
        assert re.search(r"^default +5 +0 +1 ", done(server, "status"), re.MULTILINE)

        # Both formats, as their own readers and promtool read them.
        families = openmetrics_parser.text_string_to_metric_families(
            page.text("application/openmetrics-text")
        )
        assert {family.name for family in families} >= {"propylon_requests", "propylon_workers"}
        if shutil.which("promtool"):
            checked = subprocess.run(
                ["promtool", "check", "metrics"], input=page.text(), capture_output=True, text=True
            )
            assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")

        # Processes that are killed take nothing along but their gauges.
        wait_for(lambda: page.sum("propylon_worker_cpu_seconds_total") > 0, "the worker's vitals")
        os.kill(server.pids("worker")[0], signal.SIGKILL)
        page.comes_to(1, "propylon_worker_restarts_total", 'reason="killed"')
        wait_for(lambda: page.sum("propylon_workers", 'state="ready"') == 1, "another worker")
        page.look()
        os.kill(server.pids("gateway")[0], signal.SIGKILL)
        page.comes_to(1, "propylon_gateway_restarts_total", 'reason="killed"')
        assert page.sum(requests) == 5
        with server.client() as client:
            client.get("/")
        page.comes_to(6, requests)


@pytest.mark.slow
def test_a_gateway_that_is_stopped_holds_nobody_up(tmp_path: Path) -> None:
    deploy(tmp_path, "old")
    with serving(tmp_path, "-w", "1") as (server, page):
        with server.client() as client:
            client.get("/")
        page.comes_to(1, "propylon_requests_total")
        (gateway,) = server.pids("gateway")
        os.kill(gateway, signal.SIGSTOP)
        try:
            age = "propylon_gateway_snapshot_age_seconds"
            wait_for(lambda: page.sum(age) > 1, "its numbers are old")
            assert page.sum("propylon_requests_total") == 1
            assert status(server)["traffic"][0]["requests"] == 1
        finally:
            os.kill(gateway, signal.SIGCONT)
        wait_for(lambda: page.sum(age) < 0.5, "its numbers are new")


@pytest.mark.slow
def test_no_counter_goes_back_whatever_happens(tmp_path: Path) -> None:
    """Every request is counted once as long as no gateway process is killed; and then no counter
    goes back."""
    deploy(tmp_path, "old")
    requests = "propylon_requests_total"
    with serving(tmp_path, "-w", "2", "--gateways", "2") as (server, page):
        began = page.sum("propylon_start_time_seconds")
        with page.watched():
            with traffic(server) as clients:
                deploy(tmp_path, "new")
                done(server, "reload")
                clients.version("new")
                assert page.sum("propylon_worker_recycles_total", 'reason="reload"') == 2
                page.comes_to(1, "propylon_reloads_total", 'result="committed"')

                os.kill(next(iter(settled(server, 2))), signal.SIGKILL)
                page.comes_to(1, "propylon_worker_restarts_total", 'reason="killed"')
                settled(server, 2)

                for upgrades in (1, 2):
                    gateways = set(server.pids("gateway"))
                    done(server, "upgrade")
                    watch(server, lambda r, n=upgrades: r["generation"] == 2 + n, "new gateways")
                    wait_for(lambda g=gateways: not g & set(server.pids("gateway")), "old ones end")
                    clients.more()

                deploy(tmp_path, "broken", at_import="1 / 0")
                assert "ZeroDivisionError" in server_says(server, "reload")
                page.comes_to(1, "propylon_reloads_total", 'result="aborted"')
                assert page.sum("propylon_last_reload_successful") == 0
                deploy(tmp_path, "newest")
                done(server, "reload")
                clients.version("newest")
                done(server, "scale", "1")
                settled(server, 1)
            page.comes_to(clients.answers.total(), requests, 'status="200"', 'end="ok"')
            assert page.sum(requests) == clients.answers.total()
            assert page.sum("propylon_request_duration_seconds_count") == clients.answers.total()
            assert page.sum("propylon_worker_restarts_total") == 1
            assert page.sum("propylon_start_time_seconds") == began

            # What was asked for before is not lost by a kill.
            os.kill(server.pids("gateway")[0], signal.SIGKILL)
            page.comes_to(1, "propylon_gateway_restarts_total", 'reason="killed"')
            assert page.sum(requests) == clients.answers.total()

            # And under load, where a second's requests may be lost.
            with server.client() as client:
                for number in range(200):
                    if number == 100:
                        os.kill(server.pids("gateway")[0], signal.SIGKILL)
                    try:
                        client.get("/")
                    except httpx.TransportError:
                        pass  # it was under way there
            page.comes_to(2, "propylon_gateway_restarts_total", 'reason="killed"')
            wait_for(lambda: page.sum("propylon_gateways", 'state="ready"') == 2, "both again")
            done(server, "upgrade")
            watch(server, lambda r: len(r["gateways"]) == 2, "new gateways")


def server_says(server: Propylon, verb: str) -> str:
    from .operating import ask

    said = ask(server, verb)
    assert said.code == 1
    return said.error


@pytest.mark.slow
def test_each_half_of_a_sidecar_shows_its_own(tmp_path: Path) -> None:
    run_dir = str(tmp_path / "run")
    flags = ("--run-dir", run_dir, *ADMIN)
    with Part("gateway", "-b", "127.0.0.1:0", *flags) as gateway:
        url = gateway.stderr.find(r"Serving on (http://[^\s;,]+)", gateway.process)[1]
        clients = Page(gateway.stderr)
        with Part("worker", "asgi_raw:app", "--lifespan", "off", *flags) as worker:
            workers = Page(worker.stderr)
            with httpx.Client(base_url=url, timeout=DEADLINE, trust_env=False) as client:
                assert client.get("/hello").status_code == 200
            clients.comes_to(1, "propylon_requests_total")
            wait_for(lambda: workers.sum("propylon_worker_cpu_seconds_total") > 0, "its vitals")
            assert workers.sum("propylon_workers", 'state="ready"') == 1
            assert not any(name.startswith("propylon_request") for name in workers.look())
            assert not any(name.startswith("propylon_worker_") for name in clients.look())
            workers.close()
            worker.process.send_signal(signal.SIGTERM)
            assert worker.ended() == 0
        clients.close()
        gateway.terminate()
        gateway.ended()
