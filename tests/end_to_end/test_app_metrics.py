"""The apps' own metrics on /metrics: real prometheus_client apps in real workers."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from .operating import done, settled, workers
from .other_users import everybodys_folder, for_others, propylon, why_not
from .server import DEADLINE, Output, Propylon, start_time, wait_for

FASTAPI = """
import os, time
from fastapi import FastAPI
from prometheus_client import Counter, Gauge, Histogram

app = FastAPI()
CALLS = Counter("shop_calls", "Calls.", ["pool"])
SIZES = Histogram("shop_sizes", "Sizes.", buckets=(1, 10))
RUNNING = Gauge("shop_running", "Running.", multiprocess_mode="livesum")
PID = Gauge("shop_pid", "The process.")
PID.set(os.getpid())
RUNNING.set(1)

@app.get("/")
async def root():
    CALLS.labels("web").inc()
    SIZES.observe(5)
    return os.getpid()

@app.get("/block")
async def block():
    CALLS.labels("blocked").inc()
    while not os.path.exists("go_on"):
        time.sleep(0.01)
"""
FLASK = """
import os
from flask import Flask
from prometheus_client import Counter, Gauge

application = Flask(__name__)
CALLS = Counter("shop_calls", "Calls.", ["pool"])
SIZES = Counter("shop_sizes", "Of another type.")

@application.get("/")
def root():
    CALLS.labels("old").inc()
    return str(os.getpid())
"""
TWO_POOLS = """
[[pools]]
name = "web"
app = "shop:app"
workers = 2

[[pools]]
name = "old"
app = "older:application"
workers = 2

[[routes]]
prefix = "/old"
pool = "old"

[[routes]]
pool = "web"
"""
ADMIN = ("-b", "127.0.0.1:0", "--no-access-log", "--admin-bind", "127.0.0.1:0")


class Page:
    """What is shown on /metrics of the apps: "name{label=value,...}" -> value."""

    def __init__(self, server: Propylon) -> None:
        url = server.stderr.find(r"Admin listener on (\S+)")[1].rstrip(",")
        response = httpx.get(f"{url}/metrics", timeout=DEADLINE, trust_env=False)
        assert response.status_code == 200, response.text
        self.of_apps: dict[str, float] = {}
        self.ours: dict[str, float] = {}
        self.counters: dict[str, float] = {}
        for family in text_string_to_metric_families(response.text):
            ours = family.name.startswith("propylon_")
            for sample in family.samples:
                pairs = sorted(sample.labels.items())
                name = f"{sample.name}{{{','.join(f'{key}={text}' for key, text in pairs)}}}"
                (self.ours if ours else self.of_apps)[name] = sample.value
                if not ours and family.type in ("counter", "histogram"):
                    self.counters[name] = sample.value

    def shop(self) -> dict[str, float]:
        return {name: value for name, value in self.of_apps.items() if name.startswith("shop_")}


class Shop:
    """An instance, and that no counter goes back from one look to the next."""

    def __init__(self, server: Propylon) -> None:
        self.server = server
        self._before: dict[str, float] = {}

    def look(self) -> Page:
        page = Page(self.server)
        for name, value in self._before.items():
            assert page.counters.get(name, 0.0) >= value, name
        self._before = page.counters
        return page

    def shows(self, **wanted: float) -> Page:
        """Waits for a page with these values; `a` stands for shop_calls_total of pool a."""

        def is_so() -> Page | None:
            page = self.look()
            found = {name: page.of_apps.get(NAMES[name]) for name in wanted}
            return page if found == wanted else None

        return wait_for(is_so, f"{wanted}; {self._before}")

    def get(self, path: str = "/", times: int = 1) -> None:
        with self.server.client() as client:
            for _ in range(times):
                assert client.get(path).status_code == 200


NAMES = {
    "web": "shop_calls_total{exported_pool=web,pool=web}",
    "old": "shop_calls_total{exported_pool=old,pool=old}",
    "one": "shop_calls_total{exported_pool=web,pool=default}",
    "blocked": "shop_calls_total{exported_pool=blocked,pool=web}",
    "running": "shop_running{pool=web}",
    "sizes": "shop_sizes_bucket{le=10.0,pool=web}",
    "pid1": "shop_pid{pool=web,worker=1}",
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(FASTAPI)
    (tmp_path / "older.py").write_text(FLASK)
    (tmp_path / "pools.toml").write_text(TWO_POOLS)
    return tmp_path


POOLS = ("-c", "pools.toml", *ADMIN, "--reload-observe", "0", "--heartbeat-timeout", "0")


@pytest.mark.slow
def test_two_pools_and_workers_that_hang_and_crash(site: Path) -> None:
    with Propylon(*POOLS, cwd=site) as server:
        shop = Shop(server)
        shop.get("/", 7)
        shop.get("/old/", 5)
        page = shop.shows(web=7, old=5, running=2, sizes=7)
        pids = set(server.pids("worker"))
        named = {page.of_apps[f"shop_pid{{pool=web,worker={number}}}"] for number in (1, 2)}
        assert named < pids
        # Of two types the first is shown, and it is said.
        assert "shop_sizes_total{pool=old}" not in page.of_apps
        assert page.ours["propylon_app_metrics_dropped_total{pool=old,reason=other_type}"] > 0
        server.stderr.find(r"Pool old: metrics of the app are left out \(other_type\): shop_sizes")
        # A worker that hangs answers.
        with server.client() as client, pytest.raises(httpx.ReadTimeout):
            client.get("/block", timeout=0.1)
        page = shop.shows(web=7, blocked=1)
        # One that is stopped does not: its last answer counts, and its age is shown.
        (hung, *_) = named
        os.kill(int(hung), signal.SIGSTOP)
        assert shop.look().shop().items() >= {NAMES["running"]: 2.0, NAMES["web"]: 7.0}.items()
        ages = [age for name, age in shop.look().ours.items() if "app_metrics_age" in name]
        assert len(ages) == 4
        assert max(ages) > 0
        # A crash, and a new worker in its place.
        os.kill(int(hung), signal.SIGKILL)
        shop.shows(running=2, web=7, blocked=1)
        (site / "go_on").touch()


@pytest.mark.slow
def test_all_workers_crash_and_the_supervisor_s_code_is_replaced(site: Path) -> None:
    with Propylon(*POOLS, cwd=site) as server:
        shop = Shop(server)
        shop.get("/", 7)
        shop.get("/old/", 5)
        shop.shows(web=7, old=5, running=2, sizes=7)
        before = set(workers(server))
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: before.isdisjoint(workers(server)), "other workers")
        settled(server, 4)
        shop.get("/", 3)
        shop.shows(web=10, old=5, running=2)
        done(server, "upgrade")
        server.stderr.find("Took over from older code")
        shop.shows(web=10, old=5, running=2, sizes=10)
        shop.get("/", 1)
        shop.shows(web=11)


@pytest.mark.slow
def test_recycling_and_preload(site: Path) -> None:
    """Each worker ends after a few requests, and says what it has counted to the end."""
    limits = ("--max-requests", "10", "--preload", "-w", "2")
    with Propylon("shop:app", *ADMIN, *limits, cwd=site) as server:
        shop = Shop(server)
        first = set(server.pids("worker"))
        for number in range(12):
            shop.get("/", 10)
            shop.shows(one=10 * (number + 1))
        gone: Callable[[], bool] = lambda: sum(start_time(pid) is None for pid in first) >= 2  # noqa: E731
        wait_for(gone, "the first workers' end")
        shop.shows(one=120)


@pytest.mark.slow
def test_a_reload(site: Path) -> None:
    with Propylon("shop:app", *ADMIN, "-w", "2", "--reload-observe", "0", cwd=site) as server:
        shop = Shop(server)
        shop.get("/", 4)
        shop.shows(one=4)
        for generation in (2, 3):
            server.process.send_signal(signal.SIGHUP)
            server.stderr.find(rf"Reloaded: generation {generation} serves")
            shop.get("/", 1)
            page = shop.shows(one=4 + generation - 1)
            assert len([name for name in page.of_apps if name.startswith("shop_pid")]) == 2


@pytest.mark.slow
@pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")
def test_workers_that_run_as_another_user() -> None:
    """The supervisor stays root, and the pools' directories belong to the workers' user."""
    flags = ("-w", "1", "--user", "20001", "--group", "20100", *ADMIN)
    with everybodys_folder() as folder:
        (folder / "shop.py").write_text(FASTAPI)
        with subprocess.Popen(
            propylon(folder, "serve", "shop:app", *flags),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=for_others(folder),
        ) as process:
            try:
                stderr = Output(process.stderr)
                stderr.find("Serving on", process)
                url = stderr.find(r"Admin listener on (\S+)")[1]

                def shown() -> bool:
                    answer = httpx.get(f"{url}/metrics", timeout=DEADLINE, trust_env=False)
                    return 'shop_running{pool="default"} 1.0' in answer.text

                wait_for(shown, "the app's metrics")
            finally:
                process.terminate()
                process.wait(DEADLINE)
