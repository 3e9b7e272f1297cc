import re

import pytest
from propylon.gateway.metrics.families import (
    BY_GATEWAYS,
    BY_NAME,
    BY_SUPERVISOR,
    FAMILIES,
    Family,
)


def faults(family: Family) -> list[str]:
    """What Prometheus' linter would say of it, and what a stranger would."""
    found: list[str] = []
    words = family.name.split("_")
    if not re.fullmatch(r"propylon(_[a-z][a-z0-9]*)+", family.name):
        found.append("the name")
    if (words[-1] == "total") != (family.kind == "counter"):
        found.append("a counter ends in _total, and nothing else does")
    if {"counter", "gauge", "histogram", "count", "sum", "bucket", "ms"} & set(words):
        found.append("a word that the exposition adds, or a type, or an abbreviated unit")
    if family.kind == "histogram" and (not family.buckets or words[-1] != "seconds"):
        found.append("a histogram without buckets or unit")
    if list(family.buckets) != sorted(set(family.buckets)):
        found.append("buckets that do not ascend")
    if (family.kind == "gauge") < (family.merge == "max"):
        found.append("only a gauge may be the greatest one")
    if not all(re.fullmatch(r"[a-z]+", label) and label != "le" for label in family.labels):
        found.append("a label")
    if not re.match(r"[A-Z1].*[.01]$", family.help) or "\n" in family.help:
        found.append("a help that is no sentence")
    return found


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_names_follow_the_conventions(family: Family) -> None:
    assert not faults(family)


def test_a_name_stands_once() -> None:
    assert len(BY_NAME) == len(FAMILIES) == len(BY_GATEWAYS) + len(BY_SUPERVISOR)


@pytest.mark.parametrize(
    "family",
    [
        Family("propylon_requests", "counter", "Requests."),
        Family("propylon_lag_total", "gauge", "Lag."),
        Family("propylon_wait_ms", "gauge", "Wait."),
        Family("propylon_wait_seconds", "histogram", "Wait."),
        Family("propylon_wait_seconds", "histogram", "Wait.", (), (2.0, 1.0)),
        Family("propylon_waits_total", "counter", "Waits.", merge="max"),
        Family("propylon_waits_total", "counter", "waits"),
        Family("propylon_waits_total", "counter", "Waits.", ("byPool",)),
    ],
)
def test_what_breaks_them_is_caught(family: Family) -> None:
    assert faults(family)
