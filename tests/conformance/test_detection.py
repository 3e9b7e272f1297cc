"""The suite's own test: behind a fault, each check is seen failing.

A fault stands between server and app, or between server and client, and does what a server that
breaks the sentence would do (`faults.py`). A check without one, or one that passes all the same,
would prove nothing of a server that passes it.
"""

from pathlib import Path

import pytest

from .check import all_checks
from .run import Starter, run, wanted
from .servers import SERVERS

ELSEWHERE: dict[str, str] = {
    # Check -> why Propylon cannot show it failing
    "http-error-of-a-left-client-is-not-logged": "its send raises no error then, as no peer's does",
}


def test_every_check_has_a_fault() -> None:
    assert not [name for name, check in all_checks().items() if check.fault is None]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["propylon", "propylon-wsgi"])
def test_every_check_fails_behind_its_fault(name: str, tmp_path: Path) -> None:
    """But for checks of what Propylon does not offer, which show nothing either way."""
    server = SERVERS[name]
    starter = Starter(server.interface, server.command, server.tls, tmp_path, faulty=True)
    found = run(starter, wanted(server.interface))
    passed = {name: one for name, one in found.items() if one.word == "pass"}
    assert not passed
    silent = {
        name
        for name, one in found.items()
        if one.word in ("not applicable", "not offered") and all_checks()[name].level != "may"
    }
    assert silent <= ELSEWHERE.keys(), {name: found[name] for name in silent - ELSEWHERE.keys()}
