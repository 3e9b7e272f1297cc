"""A StatusReport as a text, for people who read it at three in the morning. Pure.

It says first whether the instance serves, and where; then what a reload does or why it failed; then
every process; then what each pool has done; and last how processes have ended.
"""

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from ..metrics.quantiles import quantile
from .durations import duration
from .status import (
    GatewayStatus,
    LinkedStatus,
    PoolStatus,
    ReloadStatus,
    RouteShareStatus,
    ScalerStatus,
    StatusReport,
    TrafficStatus,
    WorkerStatus,
    is_serving,
    tail,
)

WIDTHS: Final = (60, 100)
"""The least and the most columns of text, whatever the terminal has."""
UNKNOWN: Final = "-"
MUCH_BUFFERED: Final = 1_048_576
"""Bytes that a gateway holds for clients which are worth to be shown."""
OLD_CALL: Final = 1.0
"""Seconds. The column OLDEST is shown only if some worker's oldest call is older."""


def status_text(report: StatusReport, width: int = 80) -> str:
    """The whole text: several lines, without a newline at the end."""
    width = min(max(width, WIDTHS[0]), WIDTHS[1])
    blocks = [
        [
            *_wrapped(_headline(report), width),
            *_wrapped(_about(report), width),
            *_wrapped(_memory(report), width),
        ],
        _reload(report.reload, width) if report.reload else [],
        _missing(report),
        [*_scalers(report, width), *_weights(report, width)],
        _problems(report, width),
        _table(report, width),
        [*_traffic(report, width), *_shares(report, width)],
        _ended(report, width),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def headline(report: StatusReport) -> str:
    """One line for an instance in a list of several: its addresses and its apps."""
    apps = ", ".join(pool.app for pool in report.pools if pool.app) or "gateway only"
    return f"{', '.join(report.addresses) or 'workers only'}  {apps}"


# The first lines.


def _headline(report: StatusReport) -> str:
    if report.addresses:
        where = f"on {', '.join(report.addresses)}"
    else:
        where = f"for the gateways at {report.run_dir}"
    doing = report.phase.capitalize()
    if not report.pools and report.ready is None:
        return f"{doing} {where}; workers come from elsewhere"
    if not report.pools:
        return _headline_of_gateway(report, doing, where)
    wanted = sum(pool.wanted for pool in report.pools)
    ready = sum(_ready(pool) for pool in report.pools)
    unused = ""
    if report.phase == "serving" and not is_serving(report):
        in_part = len(report.pools) > 1 and 0 < ready < wanted
        doing = "Serving in part" if in_part else "NOT serving"
        unused = ", none linked" if ready == wanted else ""
    count = f"{wanted}" if ready == wanted else f"{ready} of {wanted}"
    return f"{doing} {where}; {count} {_plural('worker', wanted)} ready{unused}"


def _headline_of_gateway(report: StatusReport, doing: str, where: str) -> str:
    count = sum(one.state != "not ready" for one in report.linked) + report.more_linked
    if report.phase == "serving" and not report.ready:
        doing = "NOT serving"
    linked = (
        f"{count} {_plural('worker', count)} from elsewhere" if count else "no worker is linked"
    )
    return f"{doing} {where}; {linked}"


def _ready(pool: PoolStatus) -> int:
    """How many workers of a pool are ready, but not more than are wanted: during a reload there are
    old and new ones."""
    return min(sum(worker.state == "ready" for worker in pool.workers), pool.wanted)


def _about(report: StatusReport) -> str:
    parts = [f"Propylon {report.version}", f"pid {report.pid}", f"up {duration(report.uptime)}"]
    if report.pools:
        parts.append(f"generation {report.generation}")
    if report.addresses:
        parts.append(f"run directory {report.run_dir}")
    return ", ".join(parts)


def _memory(report: StatusReport) -> str:
    """What bounds the memory: the container's limit, and the sizes at which workers are replaced;
    "" if nothing does."""
    parts = [f"the container's limit is {size(report.memory_limit)}"] if report.memory_limit else []
    sizes = {pool.max_rss for pool in report.pools if pool.max_rss}
    for one in sorted(sizes):
        names = [pool.name for pool in report.pools if pool.max_rss == one]
        whose = "" if len(names) == len(report.pools) else f" of {', '.join(names)}"
        parts.append(f"workers{whose} are replaced above {size(one)}")
    return f"Memory: {'; '.join(parts)}" if parts else ""


def _reload(reload: ReloadStatus, width: int) -> list[str]:
    what, ago = f"Reload to generation {reload.generation}", duration(reload.ago)
    why = f": {reload.why}" if reload.why else ""
    match reload.state:
        case "committed":
            return [f"{what} was committed {ago} ago"]
        case "aborted":
            lines = _wrapped(f"{what} was ABORTED {ago} ago{why}", width)
            lines += [f"    {line}" for line in tail(reload.detail).splitlines()]
            return lines
        case "overtaken":
            return _wrapped(f"{what} was given up {ago} ago{why}", width)
        case state:
            progress = f"{reload.done} of {reload.of} replaced"
            return _wrapped(f"{what} under way for {ago}: {state}, {progress}{why}", width)


def _missing(report: StatusReport) -> list[str]:
    """A line for each pool that lacks workers, if there are several pools."""
    short = [pool for pool in report.pools if _ready(pool) < pool.wanted]
    if len(report.pools) < 2:
        return []
    return [f"Pool {pool.name}: {_ready(pool)} of {pool.wanted} workers ready" for pool in short]


def _scalers(report: StatusReport, width: int) -> list[str]:
    """A line for each pool that grows and shrinks by itself: where it stands, and why."""
    lines: list[str] = []
    for pool in report.pools:
        if pool.scaler is not None:
            text = f"Pool {pool.name}: {scaler_text(pool.wanted, pool.scaler)}"
            lines += _wrapped(text, width)
    return lines


def scaler_text(wanted: int, scaler: ScalerStatus) -> str:
    """ "4 of 2..8 workers; 2 until 12 s ago: requests have waited 0.8 s, for longer than 0.1 s"."""
    text = f"{wanted} of {scaler.least}..{scaler.most} workers"
    if scaler.state == "scaled":
        return f"{text}, set by an operator; `propylon scale auto` lets it move again"
    if move := scaler.move:
        text += f"; {move.before} until {duration(move.ago)} ago: {move.why}"
    if scaler.state == "held":
        text += f"; not more now: {scaler.why}"
    elif scaler.state == "starting":
        text += "; workers start"
    return text


def _weights(report: StatusReport, width: int) -> list[str]:
    """A line for each pool whose workers have told a weight or labels."""
    lines: list[str] = []
    for pool in report.pools:
        if told := weight_and_labels(pool.weight, pool.labels):
            lines += _wrapped(f"Pool {pool.name}: its workers have {', '.join(told)}", width)
    return lines


def weight_and_labels(weight: int, labels: Mapping[str, str]) -> list[str]:
    """Of workers that have told them: "weight 3" and "zone=a"."""
    told = [f"weight {weight}"] if weight != 1 else []
    return told + [f"{name}={value}" for name, value in labels.items()]


def _shares(report: StatusReport, width: int) -> list[str]:
    """A line for each route that has a share of its pool."""
    lines: list[str] = []
    for pool in report.traffic:
        of = f" of pool {pool.pool}" if len(report.traffic) > 1 else ""
        for share in pool.shares:
            lines += _wrapped(f"Route {share.route or '/'}{of}: {share_text(share)}", width)
    return lines


def share_text(share: RouteShareStatus) -> str:
    """ "2 of 4 requests under way, 17 wait"."""
    text = f"{share.running} of {share.limit} requests under way"
    return f"{text}, {share.queued} {'waits' if share.queued == 1 else 'wait'}"


def _problems(report: StatusReport, width: int) -> list[str]:
    lines: list[str] = []
    for one in report.problems:
        since = f"PROBLEM for {duration(one.ago)}: "
        lines += _wrapped(since + "; ".join(filter(None, (one.what, one.remedy))), width)
    return lines


# The processes.


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    cell: Callable[[WorkerStatus], str]
    words: bool = False
    """Whether cells are aligned to the left, as words are."""


def _columns(workers: Sequence[WorkerStatus]) -> list[_Column]:
    columns = [
        _Column("PID", lambda w: _count(w.pid)),
        _Column("GEN", lambda w: _count(w.generation)),
        _Column("STATE", lambda w: w.state, words=True),
        _Column("UP", lambda w: duration(w.uptime)),
        _Column("RSS", lambda w: size(w.rss)),
        _Column("CALLS", lambda w: _of_app(w, str(w.calls))),
    ]
    if any(worker.limit for worker in workers):
        columns.append(_Column("LIMIT", _limit))
    if any(worker.queued for worker in workers):
        columns.append(_Column("QUEUED", lambda w: _of_app(w, str(w.queued))))
    if any(worker.oldest_call >= OLD_CALL for worker in workers):
        columns.append(_Column("OLDEST", lambda w: duration(w.oldest_call) if w.calls else UNKNOWN))
    columns.append(_Column("LAG", lambda w: _of_app(w, _short(w.lag))))
    columns.append(_Column("REQUESTS", lambda w: _of_app(w, str(w.requests))))
    return columns


def _limit(worker: WorkerStatus) -> str:
    """The limit that is sought, and the sign that it has last seen."""
    sign = f" {worker.limit_verdict}" if worker.limit_verdict in ("lag", "latency") else ""
    return f"{worker.limit}{sign}" if worker.limit else UNKNOWN


def _of_app(worker: WorkerStatus, cell: str) -> str:
    return UNKNOWN if worker.state == "starting" else cell


def _table(report: StatusReport, width: int) -> list[str]:
    columns = _columns([worker for pool in report.pools for worker in pool.workers])
    rows = [["POOL", "PROCESS", *(column.title for column in columns)]]
    notes = [""]
    for gateway in report.gateways:
        cells = {"PID": _count(gateway.pid), "STATE": gateway.state, "UP": duration(gateway.uptime)}
        cells |= {"RSS": size(gateway.rss)} if gateway.rss else {}
        cells = [cells.get(column.title, UNKNOWN) for column in columns]
        rows.append([UNKNOWN, f"gateway {gateway.number}", *cells])
        notes.append(_buffered(gateway))
    for linked in report.linked:
        cells = {
            "PID": _count(linked.pid),
            "GEN": _count(linked.generation),
            "STATE": linked.state,
            "CALLS": str(linked.calls),
            "REQUESTS": str(linked.requests),
        }
        cells = [cells.get(column.title, UNKNOWN) for column in columns]
        rows.append([linked.pool, f"worker {linked.worker}", *cells])
        notes.append(_from_elsewhere(linked))
    if report.more_linked:
        rows.append(["", f"and {report.more_linked} more", *([""] * len(columns))])
        notes.append("")
    for pool in report.pools:
        for worker in sorted(pool.workers, key=lambda one: (one.number, one.generation, one.pid)):
            cells = [column.cell(worker) for column in columns]
            rows.append([pool.name, f"worker {worker.number}", *cells])
            notes.append(worker.why)
    if len(rows) == 1:
        return []
    words = [True, True, *(column.words for column in columns)]
    return list(_aligned(rows, notes, words, width))


def _buffered(gateway: GatewayStatus) -> str:
    """What a gateway holds for its clients; "" if that is little."""
    parts = [
        f"{size(count)} {where}"
        for count, where in ((gateway.buffered, "in memory"), (gateway.buffered_disk, "on disk"))
        if count >= MUCH_BUFFERED
    ]
    return f"holds {' and '.join(parts)} for clients" if parts else ""


def _from_elsewhere(linked: LinkedStatus) -> str:
    """What stands behind the row of another supervisor's worker."""
    return ", ".join(["from elsewhere", *weight_and_labels(linked.weight, linked.labels)])


def _aligned(
    rows: list[list[str]], notes: list[str], words: list[bool], width: int
) -> Iterator[str]:
    """Yields the rows as lines. A note stands behind its row, or below it if it does not fit."""
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    for row, note in zip(rows, notes, strict=True):
        line = "  ".join(
            cell.ljust(wide) if word else cell.rjust(wide)
            for cell, wide, word in zip(row, widths, words, strict=True)
        ).rstrip()
        if note and len(line) + 2 + len(note) > width:
            yield line
            yield from textwrap.wrap(note, width, initial_indent=" " * 4, subsequent_indent=" " * 4)
        else:
            yield f"{line}  {note}".rstrip()


def _traffic(report: StatusReport, width: int) -> list[str]:
    """A row for each pool: what it has done since the instance began, and what it does now. An
    older instance counts nothing."""
    if not report.traffic:
        return []
    columns: list[tuple[str, Callable[[TrafficStatus], str]]] = [
        ("POOL", lambda one: one.pool or UNKNOWN),
        ("REQUESTS", lambda one: str(one.requests)),
        ("4XX", lambda one: str(one.client_errors)),
        ("5XX", lambda one: str(one.server_errors)),
        ("RETRIES", lambda one: str(one.retries)),
        ("P50", lambda one: _quantile(0.5, report, one)),
        ("P99", lambda one: _quantile(0.99, report, one)),
        ("RUNNING", lambda one: f"{one.running}/{one.slots}" if one.slots else f"{one.running}"),
        ("QUEUED", lambda one: str(one.queued)),
        ("OLDEST", lambda one: _short(one.oldest_waiter) if one.queued else UNKNOWN),
    ]
    if not any(one.retries for one in report.traffic):
        columns = [column for column in columns if column[0] != "RETRIES"]
    if not any(one.queued for one in report.traffic):
        columns.pop()
    rows = [[title for title, _ in columns]]
    rows += [[cell(one) for _, cell in columns] for one in report.traffic]
    words = [title == "POOL" for title, _ in columns]
    notes = ["newest first" if one.order == "newest-first" else "" for one in report.traffic]
    return list(_aligned(rows, ["", *notes], words, width))


def _quantile(part: float, report: StatusReport, pool: TrafficStatus) -> str:
    """The time in which this part of a pool's requests has ended, about."""
    seconds = quantile(part, report.latency_bounds, pool.latency)
    if seconds is None:
        return UNKNOWN
    return f"{seconds * 1_000:.1f} ms" if seconds < 0.00995 else _short(seconds)


def _ended(report: StatusReport, width: int) -> list[str]:
    if not report.ended:
        return []
    times = [f"{duration(one.ago)} ago" for one in report.ended]
    column = max(map(len, times))
    lines = ["Ended lately:"]
    for time, one in zip(times, report.ended, strict=True):
        lines += textwrap.wrap(
            f"{one.what} {one.how}",
            width,
            initial_indent=f"  {time.rjust(column)}  ",
            subsequent_indent=" " * (column + 4),
        )
    return lines


# Words and numbers.


def size(count: int) -> str:
    """Bytes as `84M` or `1.2G`, the way in which --workers-max-rss is written."""
    for unit, power in (("K", 10), ("M", 20)):
        if count < 1_000 * 2**power:
            return f"{count / 2**power:.0f}{unit}" if count else UNKNOWN
    return f"{count / 2**30:.1f}G"


def _short(seconds: float) -> str:
    """A duration, in milliseconds if it is below a second."""
    return f"{seconds * 1_000:.0f} ms" if seconds < 0.9995 else duration(seconds)


def _count(number: int) -> str:
    return str(number) if number else UNKNOWN


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
