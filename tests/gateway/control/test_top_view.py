from dataclasses import replace

import pytest
from propylon.gateway.control.rates import rates
from propylon.gateway.control.status import (
    FailedStatus,
    GatewayStatus,
    LinkedStatus,
    PoolStatus,
    ProblemStatus,
    RouteShareStatus,
    ScalerStatus,
    StatusReport,
    TrafficStatus,
)
from propylon.gateway.control.top_view import (
    KEYS,
    Frame,
    Look,
    Order,
    lines_of,
    per_second,
    short_size,
    short_time,
    shortened,
    text_width,
    visible,
)

from .reports import ABORTED, CALM, worker

WORKERS = (
    worker(1, pid=31, rss=3_000_000, lag=0.2, calls=1, requests=100, uptime=50),
    worker(2, pid=32, rss=9_000_000, lag=0.001, calls=7, requests=900, uptime=500),
    worker(3, pid=33, rss=5_000_000, lag=2.0, calls=3, state="hung", uptime=5, generation=5),
)
TRAFFIC = TrafficStatus(
    pool="default", requests=1_000, latency=(900, 100, 0), running=3, slots=8, queued=2
)
FAILED = FailedStatus(
    id="i", ago=4.0, method="GET", path="/a\x1b[2J", status=502, end="worker_died", reason="it died"
)
REPORT = replace(
    CALM,
    pools=(PoolStatus(name="default", app="main:app", wanted=3, workers=WORKERS),),
    latency_bounds=(0.1, 0.2),
    traffic=(TRAFFIC,),
    failed=(FAILED,),
)
BEFORE = replace(
    REPORT,
    uptime=REPORT.uptime - 2,
    traffic=(replace(TRAFFIC, requests=400, latency=(400, 0, 0)),),
)


def seen(
    report: StatusReport = REPORT,
    look: Look | None = None,
    width: int = 80,
    height: int | None = 24,
    notice: str = "",
) -> list[str]:
    frame = Frame(report, rates(BEFORE, report), "12:00:00", notice)
    lines = lines_of(frame, look or Look(), width, height)
    return ["".join(piece.text for piece in line).rstrip() for line in lines]


def test_the_head() -> None:
    lines = seen()
    assert lines[0].startswith("Serving http://127.0.0.1:8000 ")
    assert lines[0].endswith(" 12:00:00")
    assert lines[1] == ("Propylon 0.1.0, pid 4711, up 3 h, generation 4, 2 of 3 workers ready")
    assert lines[2] == "Gateways  1 ready 3 h"


def test_a_pool_that_scales_says_how_it_stands() -> None:
    scaler = ScalerStatus(least=1, most=8, state="held", why="all CPUs are \x1bbusy")
    pools = tuple(replace(pool, scaler=scaler) for pool in REPORT.pools)
    line = next(line for line in seen(replace(REPORT, pools=pools)) if line.startswith("Pool "))
    assert " of 1..8 workers; not more now: all CPUs are " in line
    assert "\x1b" not in line


def test_routes_that_are_waited_for_stand_above_the_tables() -> None:
    shares = tuple(
        RouteShareStatus(route=f"/r{queued}\x1b", running=2, limit=2, queued=queued)
        for queued in (0, 3, 1, 9, 5)
    )
    lines = seen(replace(REPORT, traffic=(replace(TRAFFIC, shares=shares),)))
    found = [line for line in lines if line.startswith("Route ")]
    assert [line.split(visible("\x1b"))[0] for line in found] == [
        "Route /r9", "Route /r5", "Route /r3",
    ]  # fmt: skip
    assert found[0].endswith("2 of 2 requests under way, 9 wait")
    assert not any(line.startswith("Route ") for line in seen())


def test_weights_and_labels_stand_behind_their_workers() -> None:
    pools = tuple(replace(pool, weight=2, labels={"zone": "a\x1b"}) for pool in REPORT.pools)
    elsewhere = LinkedStatus(pool="default", worker="9", weight=5, labels={"zone": "b"})
    text = "\n".join(seen(replace(REPORT, pools=pools, linked=(elsewhere,)), width=140))
    assert text.count(f"weight 2, zone=a{visible(chr(27))}") == 3
    assert "from elsewhere, weight 5, zone=b" in text


def test_a_limit_that_a_worker_seeks_stands_behind_its_calls() -> None:
    limited = replace(WORKERS[1], limit=40)
    pools = tuple(replace(pool, workers=(WORKERS[0], limited)) for pool in REPORT.pools)
    rows = [line.split() for line in seen(replace(REPORT, pools=pools))]
    assert any("7/40" in row for row in rows)
    assert not any("1/0" in row for row in rows)


def test_a_pool_and_its_rates() -> None:
    lines = seen()
    title = next(line for line in lines if "REQ/S  5XX/S" in line).split()
    numbers = next(line for line in lines if " 3/8 " in line).split()
    found = dict(zip(title, numbers, strict=True))
    assert found["REQ/S"] == "300"
    assert found["P50"] == "60ms"
    assert found["P99"] == "194ms"
    assert (found["QUEUE"], found["SLOTS"], found["5XX/S"]) == ("2", "3/8", "0")


def test_a_first_look_has_no_rates() -> None:
    frame = Frame(REPORT, None, "12:00:00")
    text = "\n".join("".join(p.text for p in line) for line in lines_of(frame, Look(), 80, 24))
    assert "300" not in text
    assert " 3/8 " in text


@pytest.mark.parametrize(
    ("order", "numbers"),
    [
        ("number", "123"),
        ("memory", "231"),
        ("lag", "312"),
        ("requests", "321"),
        ("calls", "231"),
        ("age", "213"),
        ("generation", "312"),
        ("state", "312"),
    ],
)
def test_sorting(order: Order, numbers: str) -> None:
    def shown(look: Look) -> str:
        rows = [line.split() for line in seen(look=look)]
        return "".join(one[1] for one in rows if one[:1] == ["default"] and "/" not in one[1])

    look = Look(order)
    found = "".join(n for n in shown(look) if n in "123")
    assert found[-3:] == numbers
    turned = "".join(n for n in shown(look.by(order)) if n in "123")
    if order not in ("generation", "state"):  # where two are equal, they stay as they are
        assert turned[-3:] == numbers[::-1]


def test_every_order_has_a_key() -> None:
    assert set(KEYS.values()) == set(Order.__args__)


@pytest.mark.parametrize("width", [40, 50, 60, 72, 80, 100, 200])
@pytest.mark.parametrize("height", [4, 8, 12, 24, 60])
def test_it_fits_any_terminal(width: int, height: int) -> None:
    many = replace(
        REPORT,
        reload=ABORTED.reload,
        gateways=tuple(GatewayStatus(number=n, pid=n, state="ready") for n in range(1, 9)),
        pools=(
            *REPORT.pools,
            PoolStatus(name="日本語" * 9, workers=tuple(worker(n, pid=n) for n in range(1, 41))),
        ),
        traffic=(TRAFFIC, replace(TRAFFIC, pool="日本語" * 9)),
        failed=(FAILED,) * 50,
        linked=(LinkedStatus(pool="default", worker="7", state="late"),),
    )
    for look in (Look(), Look(helping=True)):
        lines = seen(many, look, width, height, notice="No answer; the data are 9 s old")
        assert len(lines) == height
        assert max(map(text_width, lines)) <= width
        assert lines[-1].startswith("q quit")


def test_in_a_usual_terminal_everything_has_a_place() -> None:
    pools = (PoolStatus(name="default", workers=tuple(worker(n) for n in range(1, 41))),)
    lines = seen(replace(REPORT, pools=pools, failed=(FAILED,) * 50))
    assert len([line for line in lines if " ready " in line and line.startswith("default")]) >= 8
    assert any(line.startswith("and ") and line.endswith(" more workers") for line in lines)
    assert len([line for line in lines if "worker_died" in line]) == 3


def test_a_pipe_gets_all_rows() -> None:
    pools = (PoolStatus(name="default", workers=tuple(worker(n) for n in range(1, 41))),)
    lines = seen(replace(REPORT, pools=pools), height=None)
    assert len([line for line in lines if " ready " in line and line.startswith("default")]) == 40
    assert not any(line.startswith("q quit") for line in lines)


def test_less_important_columns_go_first() -> None:
    wide, usual, narrow = (
        next(line for line in seen(width=width) if line.startswith("POOL  ")).split()
        for width in (120, 72, 50)
    )
    assert {"4XX/S", "IN/S", "WS", "P95"} <= set(wide)
    assert {"REQ/S", "5XX/S", "P50", "P99", "QUEUE", "SLOTS", "OUT/S"} <= set(usual)
    assert "WS" not in usual
    assert narrow[:3] == ["POOL", "REQ/S", "5XX/S"]
    assert narrow[-1] == "SLOTS"


def test_words_are_cut_before_they_are_left_out() -> None:
    report = replace(REPORT, failed=(replace(FAILED, reason="x" * 60),))
    (usual,) = [line for line in seen(report) if "worker_died" in line]
    assert usual.endswith("xxxxx…")
    (narrow,) = [line for line in seen(report, width=50) if "worker_died" in line]
    assert "x" not in narrow


def test_a_long_name_does_not_push_the_numbers_out() -> None:
    name = "a-pool-with-a-name-" * 4
    report = replace(REPORT, pools=(), traffic=(replace(TRAFFIC, pool=name),))
    line = next(line for line in seen(report, width=60) if line.startswith("a-pool"))
    assert line.split()[-1] == "3/8"


def test_what_comes_from_apps_and_clients_does_not_control_the_terminal() -> None:
    text = "\n".join(seen(width=120))
    assert "\x1b" not in text
    assert "GET /a?[2J" in text
    assert visible("a\x1b\n\x00b") == "a???b"


def test_what_is_wrong_is_said_above() -> None:
    assert "No answer; the data are 9 s old" in seen(notice="No answer; the data are 9 s old")
    assert any("ABORTED" in line for line in seen(replace(REPORT, reload=ABORTED.reload)))


def test_an_older_instance_says_nothing_of_its_traffic() -> None:
    lines = seen(replace(REPORT, traffic=(), latency_bounds=(), failed=()))
    (pool,) = [line for line in lines if line.startswith("default") and "- " in line][:1]
    assert pool.split()[:3] == ["default", "-", "-"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (short_time(None), "-"),
        (short_time(0.00042), "0.4ms"),
        (short_time(0.012), "12ms"),
        (short_time(0.9999), "1.00s"),
        (short_time(61.2), "61s"),
        (short_size(0), "0"),
        (short_size(999), "999"),
        (short_size(1_300), "1.3K"),
        (short_size(88_500_000), "84M"),
        (short_size(3 * 2**30), "3.0G"),
        (per_second(0), "0"),
        (per_second(0.25), "0.2"),
        (per_second(1_234.5), "1234"),
        (per_second(123_456), "123k"),
        (shortened("abcdef", 6), "abcdef"),
        (shortened("abcdefg", 6), "abcde…"),
        (shortened("日本語", 4), "日…"),
    ],
)
def test_numbers_and_words(text: str, expected: str) -> None:
    assert text == expected


def test_problems_stand_above_the_tables_with_their_remedies() -> None:
    found = [
        ProblemStatus(kind="log", what=f"log {number}\x1b[2J is full", remedy="make room", ago=300)
        for number in range(5)
    ]
    lines = seen(replace(REPORT, problems=tuple(found)))
    at = next(number for number, line in enumerate(lines) if line.startswith("PROBLEM"))
    assert [line.rstrip() for line in lines[at : at + 5]] == [
        "PROBLEM for 5 min: log 0?[2J is full",
        "  make room",
        "PROBLEM for 5 min: log 1?[2J is full",
        "  make room",
        "and 3 more problems: propylon status",
    ]
    assert len(lines) == 24
    one = seen(replace(REPORT, problems=(found[0], found[1], replace(found[2], remedy=""))))
    assert any(line.startswith("and 1 more problem: ") for line in one)
