"""The text of metrics, by `prometheus_client`: Prometheus' format 0.0.4 or OpenMetrics 1.0.

A page has families of ours and of the app. The app's may be anything, so each family is rendered by
itself: one that cannot be rendered is left out, and the others are served.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Final, cast

import trio
from prometheus_client import Metric, exposition
from prometheus_client.openmetrics import exposition as openmetrics

from .exposed import ExposedFamily

log = logging.getLogger("propylon.gateway")

TEXT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_END: Final = b"# EOF\n"
ASIDE_FROM: Final = 2_000
"""Samples from which a page is made in a thread: about 10 milliseconds of work."""
_NOT_IN_NAMES: Final = re.compile("[^a-zA-Z0-9_:]")
"""Characters that `prometheus_client` replaces in a name."""
_SURROGATES: Final = re.compile("[\ud800-\udfff]")


async def render_aside(families: Iterable[ExposedFamily], accept: str) -> tuple[str, bytes]:
    """As `render`, and a large page does not hold up the event loop. The families must not be
    changed meanwhile."""
    families = list(families)
    if sum(len(family.samples) for family in families) < ASIDE_FROM:
        return render(families, accept)
    return await trio.to_thread.run_sync(partial(render, families, accept))


def render(families: Iterable[ExposedFamily], accept: str) -> tuple[str, bytes]:
    """Returns the content type and the page, in the format that an Accept field prefers. Of several
    families with one name the first is served."""
    if wants_openmetrics(accept):
        return OPENMETRICS_TYPE, b"".join(_pages(families, _openmetrics)) + _END
    return TEXT_TYPE, b"".join(_pages(families, _text))


def _pages(families: Iterable[ExposedFamily], made: Any) -> Iterator[bytes]:
    names: set[str] = set()
    for family in families:
        name = _NOT_IN_NAMES.sub("_", family.name)
        if name in names:
            continue
        names.add(name)
        try:
            yield made(_OneFamily(family))
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            log.debug("the family %r is not shown: %r", family.name, error)


def _text(of: "_OneFamily") -> bytes:
    return cast("Any", exposition).generate_latest(of)


def _openmetrics(of: "_OneFamily") -> bytes:
    return cast("Any", openmetrics).generate_latest(of).removesuffix(_END)


class _OneFamily:
    """A family in the form in which `prometheus_client` asks for it."""

    def __init__(self, family: ExposedFamily) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        family = self._family
        metric = Metric(family.name, _valid(family.help), family.kind)
        for name, labels, value in family.samples:
            metric.add_sample(name, {key: _valid(text) for key, text in labels.items()}, value)
        yield metric


def _valid(text: str) -> str:
    """A text that UTF-8 can hold. A name of a file may have bytes that are no UTF-8, which Python
    keeps as lone surrogates (PEP 383)."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def wants_openmetrics(accept: str) -> bool:
    """Whether an Accept field prefers OpenMetrics to plain text (RFC 9110 section 12.5.1)."""
    best = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for item in accept.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        if name in best:
            best[name] = max(best[name], _weight(parameters))
    return 0 < best["application/openmetrics-text"] >= best["text/plain"]


def _weight(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
