"""Our own conformance, on every event loop, with TLS and without: no check fails on Propylon, but
for what it does otherwise on purpose."""

from pathlib import Path

import pytest

from .check import all_checks
from .run import Outcomes, Starter, run, wanted
from .servers import SERVERS

OURS = [name for name, server in SERVERS.items() if server.package == "propylon"]
NOT_KEPT: dict[str, str] = {
    # Check -> why Propylon does otherwise. All of them are of level should.
    "wsgi-hop-by-hop-headers-are-an-error": "such a field is left out: many apps that stream say "
    "Connection: keep-alive, and would break where they have run so far",
}


def outcomes(name: str, folder: Path, *, starts: bool) -> Outcomes:
    server = SERVERS[name]
    starter = Starter(server.interface, server.command, server.tls, folder)
    checks = wanted(server.interface)
    if not starts:
        checks = [check for check in checks if not check.start and not check.tls]
    return run(starter, checks)


def failures(found: Outcomes) -> str:
    lines = [
        f"{name}: {outcome.detail}"
        for name, outcome in found.items()
        if outcome.word == "fail" and name not in NOT_KEPT
    ]
    return "\n".join(lines)


def test_what_needs_one_start_and_no_tls(tmp_path: Path) -> None:
    found = outcomes("propylon", tmp_path, starts=False)
    assert not failures(found)
    passed = sum(outcome.word == "pass" for outcome in found.values())
    assert passed > 0.9 * len(found)  # nothing has been left out by the way
    kept = [name for name in NOT_KEPT if name in found and found[name].word == "pass"]
    assert not kept, f"take off NOT_KEPT: {kept}"
    assert all(all_checks()[name].level == "should" for name in NOT_KEPT)


@pytest.mark.slow
@pytest.mark.parametrize("name", OURS)
def test_everything(name: str, tmp_path: Path) -> None:
    assert not failures(outcomes(name, tmp_path, starts=True))
