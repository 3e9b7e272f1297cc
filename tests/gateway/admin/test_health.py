"""Which facts make which answer fail, and how an answer reads."""

from dataclasses import replace

import pytest
from propylon.gateway.admin.health import HealthFacts, PoolHealth, Question, checks, health_text

WELL = HealthFacts(phase="serving", accepting=2, pools=(PoolHealth(name="web", usable=True),))
BROKEN = (PoolHealth(name="web", usable=True), PoolHealth(name="api", usable=False))
LATE = (PoolHealth(name="web", usable=True, oldest_waiter=10.5),)
HUNG = ("gateway 1 (pid 17)",)


def failed(question: Question, facts: HealthFacts, limit: float = 10.0) -> list[str]:
    return [check.name for check in checks(question, facts, limit) if check.fault]


@pytest.mark.parametrize(
    ("facts", "livez", "readyz"),
    [
        (WELL, [], []),
        (replace(WELL, phase="starting"), [], ["accepting"]),
        (replace(WELL, phase="stopping"), [], ["accepting"]),
        (replace(WELL, phase="starting", pools=BROKEN), [], ["accepting", "pool api"]),
        (replace(WELL, phase="stopping", pools=BROKEN), [], ["accepting"]),
        (replace(WELL, phase="ended"), [], ["accepting"]),
        (replace(WELL, accepting=0), [], ["accepting"]),
        (replace(WELL, accepting=None), [], []),
        (replace(WELL, accepting=1, hung=HUNG), ["gateways"], []),
        (replace(WELL, pools=BROKEN), [], ["pool api"]),
        (replace(WELL, pools=LATE), [], ["queue of pool web"]),
        (replace(WELL, pools=LATE, accepting=None), [], []),
    ],
)
def test_which_facts_fail_which_question(
    facts: HealthFacts, livez: list[str], readyz: list[str]
) -> None:
    assert failed("livez", facts) == livez
    assert failed("readyz", facts) == readyz


def test_nothing_waits_for_too_long_if_there_is_no_limit() -> None:
    facts = replace(WELL, pools=LATE)
    assert failed("readyz", facts, 0) == []
    assert failed("readyz", facts, 10.6) == []
    (queue,) = [check for check in checks("readyz", facts, 10) if check.fault]
    assert queue.fault == (
        "overloaded, a request has waited 10.5 s for a worker (--admin-max-queue-time 10)"
    )


def test_it_has_started_for_good_once_it_was_ready() -> None:
    facts = replace(WELL, phase="starting", pools=BROKEN)
    (startup,) = checks("startupz", facts, 10)
    assert startup.fault == "not ready yet (accepting: starting; pool api: no worker is ready)"
    assert failed("startupz", replace(facts, has_started=True)) == []
    assert failed("startupz", replace(WELL, pools=LATE)) == ["startup"]


def test_a_gateway_whose_workers_others_start_has_started_when_it_accepts() -> None:
    """Else a native sidecar and the app's container would wait for each other for ever."""
    facts = replace(WELL, pools=BROKEN, waits_for_workers=False)
    assert failed("startupz", facts) == []
    assert failed("readyz", facts) == ["pool api"]
    for early in (replace(facts, phase="starting"), replace(facts, accepting=0)):
        assert failed("startupz", early) == ["startup"]
    assert failed("startupz", replace(facts, waits_for_workers=True)) == ["startup"]


def test_what_a_probe_reads() -> None:
    found = checks("readyz", replace(WELL, pools=BROKEN), 0)
    assert health_text("readyz", found, verbose=False) == (503, "[-]pool api: no worker is ready\n")
    assert health_text("readyz", found, verbose=True) == (
        503,
        "[+]ping ok\n[+]accepting ok\n[+]pool web ok\n[-]pool api: no worker is ready\n"
        "readyz check failed\n",
    )
    found = checks("livez", WELL, 0)
    assert health_text("livez", found, verbose=False) == (200, "ok\n")
    assert health_text("livez", found, verbose=True) == (
        200,
        "[+]ping ok\n[+]gateways ok\nlivez check passed\n",
    )
    found = checks("livez", replace(WELL, hung=HUNG), 0)
    assert health_text("livez", found, verbose=False)[1] == (
        "[-]gateways: gateway 1 (pid 17) hangs\n"
    )
