"""Examples of what instances say of themselves."""

from dataclasses import replace

from propylon.gateway.control.status import (
    EndedStatus,
    GatewayStatus,
    PoolStatus,
    ReloadStatus,
    StatusReport,
    WorkerStatus,
)

TRACEBACK = """Traceback (most recent call last):
  File "/srv/app/.venv/lib/python3.11/site-packages/propylon/worker/load_app.py", line 90, in load
    module = importlib.import_module(name)
  File "/usr/lib/python3.11/importlib/__init__.py", line 126, in import_module
    return _bootstrap._gcd_import(name[level:], package, level)
  File "<frozen importlib._bootstrap>", line 1204, in _gcd_import
  File "<frozen importlib._bootstrap>", line 1176, in _find_and_load
  File "<frozen importlib._bootstrap>", line 1147, in _find_and_load_unlocked
  File "<frozen importlib._bootstrap>", line 690, in _load_unlocked
  File "<frozen importlib._bootstrap_external>", line 940, in exec_module
  File "<frozen importlib._bootstrap>", line 241, in _call_with_frames_removed
  File "/srv/app/main.py", line 3, in <module>
    from shop import orders
  File "/srv/app/shop/operations.py", line 7, in <module>
    import striper
ModuleNotFoundError: No module named 'striper'
"""


def worker(number: int, **more: object) -> WorkerStatus:
    one = WorkerStatus(
        number=number,
        pid=4712 + number,
        generation=4,
        state="ready",
        uptime=11_000,
        rss=88_500_000,
        calls=2,
        lag=0.0012,
        requests=120_345,
    )
    return replace(one, **more)  # type: ignore[arg-type]


CALM = StatusReport(
    version="0.1.0",
    pid=4711,
    uptime=11_003,
    phase="serving",
    run_dir="/run/user/1000/propylon/4711",
    addresses=("http://127.0.0.1:8000",),
    generation=4,
    gateways=(GatewayStatus(number=1, pid=4712, state="ready", uptime=11_003),),
    pools=(PoolStatus(name="default", app="main:app", wanted=2, workers=(worker(1), worker(2))),),
)

ABORTED = replace(
    CALM,
    reload=ReloadStatus(
        state="aborted",
        generation=5,
        why="worker 1 (pid 4733) of pool default could not start: ModuleNotFoundError: No module "
        "named 'striper'",
        detail=TRACEBACK,
        of=2,
        ago=131,
    ),
)

ROLLING = replace(
    CALM,
    reload=ReloadStatus(
        state="rolling", generation=5, why="asked by uid 1000", done=1, of=2, ago=3.1
    ),
    pools=(
        PoolStatus(
            name="default",
            app="main:app",
            wanted=2,
            workers=(
                worker(1, state="leaving", why="finishes 2 calls"),
                worker(
                    1, pid=4740, generation=5, uptime=2.4, calls=14, requests=230, rss=61_000_000
                ),
                worker(2),
            ),
        ),
    ),
)

TROUBLE = StatusReport(
    version="0.1.0",
    pid=1,
    uptime=190_000,
    phase="serving",
    run_dir="/run/propylon",
    addresses=("https://0.0.0.0:443", "http://0.0.0.0:80", "https://[::]:443", "http://[::]:80"),
    generation=12,
    reload=ReloadStatus(state="committed", generation=12, done=4, of=4, ago=86_000),
    gateways=(
        GatewayStatus(number=1, pid=7, state="ready", uptime=190_000),
        GatewayStatus(number=2, pid=0, state="starting", uptime=0.2),
    ),
    pools=(
        PoolStatus(
            name="api",
            app="api.main:app",
            wanted=2,
            workers=(
                worker(
                    1,
                    state="hung",
                    generation=12,
                    calls=31,
                    lag=34.2,
                    oldest_call=34.9,
                    rss=5_000_000_000,
                    why="no heartbeat for 34 s; its stacks are in the log",
                ),
            ),
        ),
        PoolStatus(
            name="site",
            app="site.wsgi:application",
            wanted=2,
            workers=(
                worker(1, pid=19, generation=12, queued=9, calls=8),
                worker(2, pid=20, generation=12, queued=0, calls=0, lag=0, oldest_call=0.2),
            ),
        ),
    ),
    ended=(
        EndedStatus(
            what="worker 2 (pid 812) of pool api",
            how="was killed by SIGKILL (out of memory?)",
            ago=2.5,
        ),
        EndedStatus(
            what="worker 2 (pid 19) of pool api",
            how="exited with code 1 before it was ready: OSError: [Errno 28] No space left on "
            "device: '/var/cache/api'",
            ago=140,
        ),
    ),
)

STARTING = StatusReport(
    version="0.1.0",
    pid=9,
    uptime=0.4,
    phase="starting",
    run_dir="/run/propylon",
    addresses=("http://127.0.0.1:8000",),
    generation=1,
    gateways=(GatewayStatus(number=1, pid=10, state="ready", uptime=0.3),),
    pools=(
        PoolStatus(
            name="default",
            app="main:app",
            wanted=1,
            workers=(WorkerStatus(number=1, pid=11, generation=1, state="starting", uptime=0.3),),
        ),
    ),
)

WORKERS_ALONE = replace(CALM, addresses=(), gateways=(), run_dir="/run/propylon")
GATEWAY_ALONE = replace(CALM, pools=(), generation=0)
