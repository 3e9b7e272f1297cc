"""What `propylon status` prints, as it is read."""

import json
import re
from dataclasses import replace

import msgspec
import pytest
from propylon.gateway.control.status import (
    LinkedStatus,
    MoveStatus,
    PoolStatus,
    ReloadStatus,
    RouteShareStatus,
    ScalerStatus,
    StatusReport,
    TrafficStatus,
    is_serving,
    read_report,
    tail,
)
from propylon.gateway.control.status_text import headline, size, status_text

from .reports import (
    ABORTED,
    CALM,
    GATEWAY_ALONE,
    ROLLING,
    STARTING,
    TRACEBACK,
    TROUBLE,
    WORKERS_ALONE,
)

MB = 2**20
LINKED = (
    LinkedStatus(
        pool="default", worker="1", pid=17, generation=3, state="ready", calls=2, requests=12
    ),
    LinkedStatus(pool="default", worker="3", pid=2, state="late"),
    LinkedStatus(pool="default", worker="x", pid=1, state="not ready"),
)

TABLE = """\
POOL     PROCESS     PID  GEN  STATE   UP  RSS  CALLS   LAG  REQUESTS
-        gateway 1  4712    -  ready  3 h    -      -     -         -
default  worker 1   4713    4  ready  3 h  84M      2  1 ms    120345
default  worker 2   4714    4  ready  3 h  84M      2  1 ms    120345"""

TEXTS = [
    (
        CALM,
        100,
        f"""\
Serving on http://127.0.0.1:8000; 2 workers ready
Propylon 0.1.0, pid 4711, up 3 h, generation 4, run directory /run/user/1000/propylon/4711

{TABLE}""",
    ),
    (
        ABORTED,
        80,
        f"""\
Serving on http://127.0.0.1:8000; 2 workers ready
Propylon 0.1.0, pid 4711, up 3 h, generation 4, run directory
  /run/user/1000/propylon/4711

Reload to generation 5 was ABORTED 2 min ago: worker 1 (pid 4733) of pool
  default could not start: ModuleNotFoundError: No module named 'striper'
    Traceback (most recent call last):
      File "/srv/app/.venv/lib/python3.11/site-packages/propylon/worker/load_app.py", line 90, in load
        module = importlib.import_module(name)
      File "/usr/lib/python3.11/importlib/__init__.py", line 126, in import_module
        return _bootstrap._gcd_import(name[level:], package, level)
      File "/srv/app/main.py", line 3, in <module>
        from shop import orders
      File "/srv/app/shop/operations.py", line 7, in <module>
        import striper
    ModuleNotFoundError: No module named 'striper'

{TABLE}""",  # noqa: E501  lines of the app's are not broken
    ),
    (
        ROLLING,
        80,
        """\
Serving on http://127.0.0.1:8000; 2 workers ready
Propylon 0.1.0, pid 4711, up 3 h, generation 4, run directory
  /run/user/1000/propylon/4711

Reload to generation 5 under way for 3.1 s: rolling, 1 of 2 replaced: asked by
  uid 1000

POOL     PROCESS     PID  GEN  STATE       UP  RSS  CALLS   LAG  REQUESTS
-        gateway 1  4712    -  ready      3 h    -      -     -         -
default  worker 1   4713    4  leaving    3 h  84M      2  1 ms    120345
    finishes 2 calls
default  worker 1   4740    5  ready    2.4 s  58M     14  1 ms       230
default  worker 2   4714    4  ready      3 h  84M      2  1 ms    120345""",
    ),
    (
        TROUBLE,
        100,
        """\
Serving on https://0.0.0.0:443, http://0.0.0.0:80, https://[::]:443, http://[::]:80; 2 of 4 workers
  ready
Propylon 0.1.0, pid 1, up 2 days, generation 12, run directory /run/propylon

Reload to generation 12 was committed 24 h ago

Pool api: 0 of 2 workers ready

POOL  PROCESS     PID  GEN  STATE         UP   RSS  CALLS  QUEUED  OLDEST   LAG  REQUESTS
-     gateway 1     7    -  ready     2 days     -      -       -       -     -         -
-     gateway 2     -    -  starting   0.2 s     -      -       -       -     -         -
api   worker 1   4713   12  hung         3 h  4.7G     31       0    35 s  34 s    120345
    no heartbeat for 34 s; its stacks are in the log
site  worker 1     19   12  ready        3 h   84M      8       9     0 s  1 ms    120345
site  worker 2     20   12  ready        3 h   84M      0       0       -  0 ms    120345

Ended lately:
  2.5 s ago  worker 2 (pid 812) of pool api was killed by SIGKILL (out of memory?)
  2 min ago  worker 2 (pid 19) of pool api exited with code 1 before it was ready: OSError: [Errno
             28] No space left on device: '/var/cache/api'""",
    ),
    (
        STARTING,
        80,
        """\
Starting on http://127.0.0.1:8000; 0 of 1 worker ready
Propylon 0.1.0, pid 9, up 0.4 s, generation 1, run directory /run/propylon

POOL     PROCESS    PID  GEN  STATE        UP  RSS  CALLS  LAG  REQUESTS
-        gateway 1   10    -  ready     0.3 s    -      -    -         -
default  worker 1    11    1  starting  0.3 s    -      -    -         -""",
    ),
]


@pytest.mark.parametrize(
    ("report", "width", "text"), TEXTS, ids=["calm", "aborted", "rolling", "trouble", "starting"]
)
def test_text(report: StatusReport, width: int, text: str) -> None:
    assert status_text(report, width) == text


def test_a_note_stands_behind_its_row_where_there_is_room() -> None:
    text = status_text(ROLLING, 100)
    assert "3 h  84M      2  1 ms    120345  finishes 2 calls\ndefault" in text


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (WORKERS_ALONE, "Serving for the gateways at /run/propylon; 2 workers ready"),
        (GATEWAY_ALONE, "Serving on http://127.0.0.1:8000; workers come from elsewhere"),
        (
            replace(GATEWAY_ALONE, ready=False),
            "NOT serving on http://127.0.0.1:8000; no worker is linked",
        ),
        (
            replace(GATEWAY_ALONE, ready=True, linked=LINKED),
            "Serving on http://127.0.0.1:8000; 2 workers from elsewhere",
        ),
        (
            replace(CALM, ready=False),
            "NOT serving on http://127.0.0.1:8000; 2 workers ready, none linked",
        ),
        (
            replace(STARTING, phase="serving"),
            "NOT serving on http://127.0.0.1:8000; 0 of 1 worker ready",
        ),
        (replace(CALM, phase="stopping"), "Stopping on http://127.0.0.1:8000; 2 workers ready"),
    ],
)
def test_the_first_line_says_whether_it_serves(report: StatusReport, line: str) -> None:
    assert status_text(report).splitlines()[0] == line


@pytest.mark.parametrize(
    ("reload", "lines"),
    [
        (
            ReloadStatus(state="canary", generation=2, of=1, ago=0.2),
            ["Reload to generation 2 under way for 0.2 s: canary, 0 of 1 replaced"],
        ),
        (
            ReloadStatus(state="overtaken", generation=2, why="Propylon stops", ago=7),
            ["Reload to generation 2 was given up 7 s ago: Propylon stops"],
        ),
        (
            ReloadStatus(state="aborted", generation=2, ago=7, why="stopped"),
            ["Reload to generation 2 was ABORTED 7 s ago: stopped"],
        ),
    ],
)
def test_what_became_of_a_reload(reload: ReloadStatus, lines: list[str]) -> None:
    text = status_text(replace(CALM, reload=reload))
    assert text.split("\n\n")[1].splitlines() == lines


def test_a_limit_that_is_sought_has_a_column_with_its_last_sign() -> None:
    (pool,) = CALM.pools
    first, second = pool.workers
    limited = (
        replace(first, limit=40, limit_verdict="latency"),
        replace(second, limit=9, limit_verdict="grows"),
    )
    text = status_text(replace(CALM, pools=(replace(pool, workers=limited),)), 100)
    assert re.search(r" CALLS +LIMIT +LAG ", text)
    assert re.search(r" 2 +40 latency +1 ms ", text)
    assert re.search(r" 2 +9 +1 ms ", text)


def test_workers_from_elsewhere_are_shown() -> None:
    report = replace(GATEWAY_ALONE, ready=True, linked=LINKED, more_linked=7)
    table = status_text(report, 100).split("\n\n")[1].splitlines()
    assert [line.split() for line in table[2:]] == [
        ["default", "worker", "1", "17", "3", "ready", *"--2-", "12", "from", "elsewhere"],
        ["default", "worker", "3", "2", "-", "late", *"--0-", "0", "from", "elsewhere"],
        ["default", "worker", "x", "1", "-", "not", "ready", *"--0-", "0", "from", "elsewhere"],
        ["and", "7", "more"],
    ]


@pytest.mark.parametrize(
    ("report", "serves"),
    [
        (CALM, True),  # of an older instance
        (STARTING, False),
        (replace(STARTING, phase="serving"), False),
        (GATEWAY_ALONE, True),
        (replace(CALM, ready=False), False),
        (replace(STARTING, ready=True), True),
        (replace(CALM, phase="stopping"), False),
    ],
)
def test_whether_it_serves(report: StatusReport, serves: bool) -> None:
    assert is_serving(report) is serves


def test_one_among_several() -> None:
    assert headline(CALM) == "http://127.0.0.1:8000  main:app"
    assert headline(GATEWAY_ALONE) == "http://127.0.0.1:8000  gateway only"
    assert headline(WORKERS_ALONE) == "workers only  main:app"


@pytest.mark.parametrize("report", [CALM, ABORTED, ROLLING, TROUBLE, STARTING, GATEWAY_ALONE])
def test_there_and_back(report: StatusReport) -> None:
    assert read_report(json.loads(msgspec.json.encode(report))) == report


def test_an_older_or_newer_instance_is_understood() -> None:
    report = read_report({"version": "9", "phase": "dreaming", "more": [1]})
    assert report == StatusReport(version="9", phase="dreaming")
    assert status_text(report).startswith("Dreaming ")
    with pytest.raises(ValueError, match="Expected `int`"):
        read_report({"pid": "x"})


def test_the_tail_of_a_traceback() -> None:
    assert tail("") == ""
    assert tail("ValueError: x\n") == "ValueError: x"
    assert tail(TRACEBACK, 3).splitlines() == [
        "...",
        '  File "/srv/app/shop/operations.py", line 7, in <module>',
        "    import striper",
        "ModuleNotFoundError: No module named 'striper'",
    ]
    assert len(tail("x\n" * 13).splitlines()) == 13  # `...` would be no shorter


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "-"),
        (1023, "1K"),
        (80_000, "78K"),
        (2**20, "1M"),
        (999 * 2**20, "999M"),
        (1000 * 2**20, "1.0G"),
        (5 * 2**30, "5.0G"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


BOUNDS = (0.001, 0.01, 0.1, 1.0)
BUSY = TrafficStatus(
    pool="web",
    requests=1_234_567_890,
    client_errors=12_345,
    server_errors=678,
    retries=9,
    latency=(700, 250, 0, 40, 10),
    running=16_000,
    slots=20_000,
    queued=999,
    oldest_waiter=12.3,
    order="newest-first",
)
QUIET = TrafficStatus(pool="default", requests=3, latency=(1, 2, 0, 0, 0), slots=8)
IDLE = TrafficStatus(pool="default")
NO_POOL = TrafficStatus(pool="", requests=4, client_errors=4, latency=(4, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("traffic", "table"),
    [
        ((), ""),
        (
            (IDLE,),
            """\
POOL     REQUESTS  4XX  5XX  P50  P99  RUNNING  QUEUED
default         0    0    0    -    -        0       0""",
        ),
        (
            (QUIET, NO_POOL),
            """\
POOL     REQUESTS  4XX  5XX     P50     P99  RUNNING  QUEUED
default         3    0    0  3.3 ms  9.9 ms      0/8       0
-               4    4    0  0.5 ms  1.0 ms        0       0""",
        ),
        (
            (BUSY,),
            """\
POOL    REQUESTS    4XX  5XX  RETRIES     P50  P99      RUNNING  QUEUED  OLDEST
web   1234567890  12345  678        9  0.7 ms  1 s  16000/20000     999    12 s
    newest first""",
        ),
    ],
)
def test_traffic_has_a_row_for_each_pool(traffic: tuple[TrafficStatus, ...], table: str) -> None:
    report = replace(CALM, traffic=traffic, latency_bounds=BOUNDS)
    assert status_text(report, 80) == "\n\n".join(filter(None, (status_text(CALM, 80), table)))


def test_a_route_with_a_share_has_a_line() -> None:
    shares = (
        RouteShareStatus(route="/slow", running=2, limit=2, queued=30),
        RouteShareStatus(route="", limit=6, queued=1),
    )
    one = status_text(replace(CALM, traffic=(replace(QUIET, shares=shares),)), 80)
    assert one.splitlines()[-2:] == [
        "Route /slow: 2 of 2 requests under way, 30 wait",
        "Route /: 0 of 6 requests under way, 1 waits",
    ]
    two = status_text(replace(CALM, traffic=(replace(QUIET, shares=shares), NO_POOL)), 80)
    assert "Route /slow of pool default: 2 of 2 requests under way, 30 wait" in two


def test_weights_and_labels_of_our_own_workers_have_a_line() -> None:
    labels = {"zone": "a", "size": "large"}
    pools = tuple(replace(pool, weight=3, labels=labels) for pool in CALM.pools)
    text = status_text(replace(CALM, pools=pools), 80)
    assert "Pool default: its workers have weight 3, zone=a, size=large" in text.splitlines()
    assert "its workers" not in status_text(CALM, 80)


@pytest.mark.parametrize(
    ("limit", "sizes", "line"),
    [
        (0, (0, 0), ""),
        (512 * MB, (0, 0), "Memory: the container's limit is 512M"),
        (0, (125 * MB, 125 * MB), "Memory: workers are replaced above 125M"),
        (
            2048 * MB,
            (300 * MB, 0),
            "Memory: the container's limit is 2.0G; workers of web are replaced above 300M",
        ),
    ],
)
def test_what_bounds_the_memory_is_a_line(limit: int, sizes: tuple[int, int], line: str) -> None:
    pools = tuple(
        PoolStatus(name=name, app="main:app", max_rss=size)
        for name, size in zip(("web", "jobs"), sizes, strict=True)
    )
    report = replace(CALM, memory_limit=limit, pools=pools)
    assert status_text(report, 100).splitlines()[2] == line


MOVE = MoveStatus(before=2, workers=4, why="requests have waited 0.8 s", ago=12)


@pytest.mark.parametrize(
    ("scaler", "line"),
    [
        (ScalerStatus(state="steady"), "Pool default: 4 of 2..8 workers"),
        (
            ScalerStatus(state="starting", move=MOVE),
            "Pool default: 4 of 2..8 workers; 2 until 12 s ago: requests have waited 0.8 s; "
            "workers start",
        ),
        (
            ScalerStatus(state="held", why="all CPUs are busy"),
            "Pool default: 4 of 2..8 workers; not more now: all CPUs are busy",
        ),
        (
            ScalerStatus(state="scaled", move=MOVE),
            "Pool default: 4 of 2..8 workers, set by an operator; `propylon scale auto` lets it "
            "move again",
        ),
    ],
)
def test_a_pool_with_a_range_has_a_line(scaler: ScalerStatus, line: str) -> None:
    pool = PoolStatus(
        name="default", app="main:app", wanted=4, scaler=replace(scaler, least=2, most=8)
    )
    text = " ".join(status_text(replace(CALM, pools=(pool,)), 100).split())
    assert line in text
