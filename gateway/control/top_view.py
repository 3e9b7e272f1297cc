"""What `propylon top` shows: a status report and its rates as lines that fit a terminal. Pure.

A line is a list of pieces, each a text with a tone: what the text is, not how it looks. Whoever
draws decides about colours. The lines are never wider than the terminal, and never more than it
has. If rows have to be left out, the table says how many; if columns have to, the least important
ones go first. Pools, workers and failed requests share the height: the pools come first, and the
failed requests get a few rows even if there are many workers.
"""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from .durations import duration
from .rates import PoolRates, Rates
from .status import (
    FailedStatus,
    LinkedStatus,
    PoolStatus,
    ProblemStatus,
    ReloadStatus,
    StatusReport,
    TrafficStatus,
    WorkerStatus,
    is_serving,
)
from .status_text import scaler_text, share_text, weight_and_labels

Tone = Literal["", "title", "strong", "quiet", "good", "warn", "bad"]
"""What a text is. A title stands above a column."""


class Words(NamedTuple):
    text: str
    tone: Tone = ""


Line = list[Words]

UNKNOWN_VALUE: Final = "-"
GAP: Final = 2
"""Columns of the terminal between two columns of a table."""
LEAST_WIDTH: Final = 40
LEAST_WORDS: Final = 12
"""Columns of the terminal to which words are cut before the whole column is left out."""
LEAST_FAILED: Final = 3
"""Rows that failed requests have at least, if there are so many."""
MOST_SHARES_SHOWN: Final = 3
"""Routes that are shown because requests wait for room in their share; `propylon status` has
more."""
MOST_PROBLEMS: Final = 2
"""Problems that are shown, of two lines each; `propylon status` has all."""
LATE_LOOP: Final = (0.1, 1.0)
"""Seconds of lag from which on a worker is worth a look, and from which on it is ill."""

Order = Literal["number", "memory", "lag", "requests", "calls", "age", "generation", "state"]
KEYS: Final[dict[str, Order]] = {
    "n": "number",
    "m": "memory",
    "l": "lag",
    "r": "requests",
    "c": "calls",
    "a": "age",
    "g": "generation",
    "s": "state",
}
"""Keys that sort the workers -> by what."""
HELP: Final = (
    ("n m l r", "sort the workers by number, memory, lag, requests"),
    ("c a g s", "by calls, age, generation, state"),
    ("", "the same key once more turns the order round"),
    ("p, space", "pause, and go on"),
    ("?, h", "this help"),
    ("q, Ctrl-C", "quit"),
)


@dataclass(frozen=True, slots=True)
class Look:
    """How the operator wants to see it."""

    order: Order = "number"
    turned: bool = False
    """Whether the order is the other way round than usual."""
    paused: bool = False
    helping: bool = False

    def by(self, order: Order) -> "Look":
        turned = order == self.order and not self.turned
        return Look(order, turned, self.paused, self.helping)


@dataclass(frozen=True, slots=True)
class Frame:
    """One look at an instance."""

    report: StatusReport
    rates: Rates | None
    """None until there are two reports."""
    clock: str
    notice: str = ""
    """What is wrong with the data, as a sentence; "" if they are fresh."""


def lines_of(frame: Frame, look: Look, width: int, height: int | None = None) -> list[Line]:
    """Returns the whole view; with a height, it is cut to fit."""
    width = max(width, LEAST_WIDTH)
    lines = _head(frame, width)
    if look.helping:
        lines += [[], *([Words(f"  {keys:<12}", "strong"), Words(what)] for keys, what in HELP)]
    else:
        lines += _tables(frame, look, width, None if height is None else height - len(lines) - 1)
    if height is not None:
        lines = lines[: height - 1]
        lines += [[] for _ in range(height - 1 - len(lines))]
        lines.append(_foot(look))
    return [_cut(line, width) for line in lines]


# -- above: what the instance is and whether it serves -------------------------------------------


def _head(frame: Frame, width: int) -> list[Line]:
    report = frame.report
    state, tone = _state(report)
    where = ", ".join(report.addresses) or f"for the gateways at {report.run_dir}"
    first = [Words(state, tone), Words(f" {where}", "strong")]
    room = width - _line_width(first) - len(frame.clock)
    if room > GAP:
        first += [Words(" " * room), Words(frame.clock, "quiet")]
    about = [f"Propylon {report.version}", f"pid {report.pid}", f"up {duration(report.uptime)}"]
    if report.pools:
        about += [f"generation {report.generation}", _workers(report)]
    lines = [first, [Words(", ".join(about), "quiet")]]
    if report.gateways:
        lines.append(_gateways(report))
    lines += _scalers(report)
    lines += _full_shares(report)
    if report.reload is not None:
        lines.append(_reload(report.reload))
    lines += _problems(report.problems)
    if frame.notice:
        lines.append([Words(frame.notice, "bad")])
    return lines


def _state(report: StatusReport) -> tuple[str, Tone]:
    if report.phase != "serving":
        return report.phase.capitalize() or "Unknown", "warn"
    return ("Serving", "good") if is_serving(report) else ("NOT serving", "bad")


def _gateways(report: StatusReport) -> Line:
    line = [Words("Gateways", "quiet")]
    for gateway in report.gateways:
        line.append(Words(f"  {gateway.number} "))
        line.append(Words(gateway.state, _tone_of(gateway.state)))
        line.append(Words(f" {duration(gateway.uptime)}", "quiet"))
    return line


def _scalers(report: StatusReport) -> list[Line]:
    """A line for each pool that grows and shrinks by itself: how it stands, and why."""
    lines: list[Line] = []
    for pool in report.pools:
        if pool.scaler is not None:
            tone: Tone = "quiet" if pool.scaler.state in ("steady", "scaled") else "warn"
            text = visible(scaler_text(pool.wanted, pool.scaler))
            lines.append([Words(f"Pool {visible(pool.name)}  ", "quiet"), Words(text, tone)])
    return lines


def _full_shares(report: StatusReport) -> list[Line]:
    """A line for each route that requests wait for, since it has its share of the pool."""
    full = [share for pool in report.traffic for share in pool.shares if share.queued]
    return [
        [Words(f"Route {visible(one.route or '/')}  ", "quiet"), Words(share_text(one), "warn")]
        for one in sorted(full, key=lambda one: -one.queued)[:MOST_SHARES_SHOWN]
    ]


def _workers(report: StatusReport) -> str:
    states = [worker.state for pool in report.pools for worker in pool.workers]
    return f"{states.count('ready')} of {len(states)} workers ready"


def _reload(reload: ReloadStatus) -> Line:
    what, ago = f"Reload to generation {reload.generation}", duration(reload.ago)
    why = f": {reload.why}" if reload.why else ""
    match reload.state:
        case "committed":
            return [Words(f"{what} was committed {ago} ago", "quiet")]
        case "aborted":
            return [Words(f"{what} was ABORTED {ago} ago{why}", "bad")]
        case "overtaken":
            return [Words(f"{what} was given up {ago} ago{why}", "warn")]
        case state:
            progress = f"{reload.done} of {reload.of} replaced"
            return [Words(f"{what} under way for {ago}: {state}, {progress}{why}", "warn")]


def _problems(problems: Sequence[ProblemStatus]) -> list[Line]:
    lines: list[Line] = []
    for one in problems[:MOST_PROBLEMS]:
        lines.append([Words(f"PROBLEM for {duration(one.ago)}: ", "warn"), Words(one.what)])
        if one.remedy:
            lines.append([Words(f"  {one.remedy}", "quiet")])
    if more := len(problems[MOST_PROBLEMS:]):
        noun = "problem" if more == 1 else "problems"
        lines.append([Words(f"and {more} more {noun}: propylon status", "warn")])
    return lines


def _foot(look: Look) -> Line:
    order = f"{look.order}{', turned round' if look.turned else ''}"
    paused = [Words("PAUSED  ", "warn")] if look.paused else []
    keys = f"q quit  p {'go on' if look.paused else 'pause'}  ? help  workers by {order}"
    return [*paused, Words(keys, "quiet")]


def _tone_of(state: str) -> Tone:
    match state:
        case "ready":
            return "good"
        case "hung":
            return "bad"
        case _:
            return "warn"


# -- tables --------------------------------------------------------------------------------------


class Column(NamedTuple):
    title: str
    drop: int = 0
    """0: it always stays. Else columns with higher numbers are left out first."""
    words: bool = False
    """Whether it is aligned to the left, and may be cut, as words may."""


Row = list[Words]


@dataclass(slots=True)
class _Table:
    columns: Sequence[Column]
    rows: list[Row]
    noun: str
    """What the rows are, in the plural; "" if nobody asks how many are left out."""

    def height(self, rows: int) -> int:
        """How many lines the table has with so many rows: a blank line and the titles come first;
        without rows, none."""
        return rows + 2 if self.rows else 0

    def lines(self, width: int, most: int | None = None) -> list[Line]:
        """The table's lines, with a number of rows at most."""
        rows = self.rows
        if not rows or (most is not None and most < 1):
            return []
        left = 0
        if most is not None and len(rows) > most:
            says_so = self.noun and most > 1
            rows = rows[: most - 1] if says_so else rows[:most]
            left = len(self.rows) - len(rows) if says_so else 0
        widths = self._widths(rows, width)
        titles = [Words(column.title, "title") for column in self.columns]
        head = self._line(titles, widths, "title")
        head.append(Words(" " * (width - _total(widths)), "title"))
        lines = [[], head, *(self._line(row, widths) for row in rows)]
        if left:
            lines.append([Words(f"and {left} more {self.noun}", "quiet")])
        return lines

    def _widths(self, rows: list[Row], width: int) -> dict[int, int]:
        """Index of each column that is shown -> how wide it is."""
        widths = {
            at: max(text_width(column.title), *(text_width(row[at].text) for row in rows), 0)
            for at, column in enumerate(self.columns)
        }
        for at in sorted(widths, key=lambda at: -self.columns[at].drop):
            excess = _total(widths) - width
            if excess <= 0 or not self.columns[at].drop:
                break
            if self.columns[at].words and widths[at] - excess >= LEAST_WORDS:
                widths[at] -= excess
            else:
                del widths[at]
        # What is still too wide is words. The widest of them are cut, until all fit.
        words = [at for at in widths if self.columns[at].words]
        while words and _total(widths) > width:
            widest = max(words, key=widths.__getitem__)
            if widths[widest] <= 4:
                break
            widths[widest] -= 1
        return widths

    def _line(self, row: Row, widths: dict[int, int], gap: Tone = "") -> Line:
        line: Line = []
        for at, width in widths.items():
            text = shortened(row[at].text, width)
            fill = " " * (width - text_width(text))
            text = text + fill if self.columns[at].words else fill + text
            line.append(Words(text, row[at].tone))
            line.append(Words(" " * GAP, gap))
        return line[:-1]


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def _tables(frame: Frame, look: Look, width: int, height: int | None) -> list[Line]:
    pools = _Table(POOL_COLUMNS, _pool_rows(frame), "pools")
    workers = _Table(WORKER_COLUMNS, _worker_rows(frame, look), "workers")
    failed = _Table(FAILED_COLUMNS, [_failed_row(one) for one in frame.report.failed], "")
    if height is None:
        most = (None, None, None)
    else:
        most = _shares((pools, workers, failed), height)
    tables = zip((pools, workers, failed), most, strict=True)
    return [line for table, rows in tables for line in table.lines(width, rows)]


def _shares(tables: tuple[_Table, _Table, _Table], height: int) -> tuple[int, int, int]:
    """How many rows pools, workers and failures get."""
    pools, workers, failed = tables
    room = height - sum(table.height(0) for table in tables)
    least = min(len(failed.rows), LEAST_FAILED)
    for_pools = min(len(pools.rows), max(1, room // 3))
    for_workers = min(len(workers.rows), max(1, room - for_pools - least))
    for_pools = min(len(pools.rows), max(for_pools, room - for_workers - least))
    return for_pools, for_workers, min(len(failed.rows), room - for_pools - for_workers)


# -- pools ---------------------------------------------------------------------------------------

POOL_COLUMNS: Final = (
    Column("POOL", words=True),
    Column("REQ/S"),
    Column("5XX/S"),
    Column("4XX/S", drop=5),
    Column("P50"),
    Column("P95", drop=1),
    Column("P99"),
    Column("APP", drop=4),
    Column("WAIT", drop=6),
    Column("QUEUE"),
    Column("OLDEST", drop=7),
    Column("SLOTS"),
    Column("IN/S", drop=3),
    Column("OUT/S", drop=2),
    Column("WS", drop=8),
)
"""APP: how long the app took until its responses began. WAIT: how long requests waited for a
worker. Both are averages."""


def _pool_rows(frame: Frame) -> list[Row]:
    rates = frame.rates.pools if frame.rates else {}
    rows = [_pool_row(one, rates.get(one.pool)) for one in frame.report.traffic]
    shown = {one.pool for one in frame.report.traffic}
    unknown = [Words(UNKNOWN_VALUE, "quiet")] * (len(POOL_COLUMNS) - 1)
    rows += [
        [Words(pool.name, "strong"), *unknown]
        for pool in frame.report.pools
        if pool.name not in shown and frame.report.addresses
    ]
    return rows


def _pool_row(traffic: TrafficStatus, rates: PoolRates | None) -> Row:
    full = bool(traffic.slots) and traffic.running >= traffic.slots
    none = Words(UNKNOWN_VALUE, "quiet")
    if rates is None:
        speed = [none] * 8
        volume = [none] * 2
    else:
        speed = [
            Words(per_second(rates.requests)),
            Words(per_second(rates.server_errors), "bad" if rates.server_errors else ""),
            Words(per_second(rates.client_errors)),
            *(Words(short_time(value)) for value in (rates.p50, rates.p95, rates.p99)),
            Words(short_time(rates.app_time)),
            Words(short_time(rates.queue_time)),
        ]
        volume = [Words(short_size(rates.received)), Words(short_size(rates.sent))]
    oldest = short_time(traffic.oldest_waiter) if traffic.queued else UNKNOWN_VALUE
    return [
        Words(visible(traffic.pool), "strong"),
        *speed,
        Words(str(traffic.queued), "warn" if traffic.queued else ""),
        Words(oldest),
        Words(f"{traffic.running}/{traffic.slots}", "warn" if full else ""),
        *volume,
        Words(str(traffic.websockets)),
    ]


# -- workers -------------------------------------------------------------------------------------

WORKER_COLUMNS: Final = (
    Column("POOL", words=True),
    Column("#"),
    Column("PID", drop=3),
    Column("GEN"),
    Column("STATE", words=True),
    Column("AGE"),
    Column("MEM"),
    Column("LAG"),
    Column("CALLS"),
    Column("REQ/S"),
    Column("REQUESTS", drop=2),
    Column("", words=True, drop=4),
)
"""The last one is why a worker is in its state, or its weight and labels."""


def _worker_rows(frame: Frame, look: Look) -> list[Row]:
    speed = frame.rates.workers if frame.rates else {}
    found = [
        (pool, worker)
        for pool in frame.report.pools
        for worker in sorted(pool.workers, key=lambda one: (one.number, one.generation, one.pid))
    ]
    places = {pool.name: at for at, pool in enumerate(frame.report.pools)}
    key = _sort_key(look.order, speed, places)
    # Numbers go upwards, sizes downwards, as the interesting ones shall stand above.
    falling = look.order not in ("number", "state") and not look.turned
    falling |= look.order in ("number", "state") and look.turned
    found.sort(key=key, reverse=falling)
    rows = [_worker_row(pool, one, speed.get(one.pid)) for pool, one in found]
    rows += [_linked_row(one) for one in frame.report.linked]
    return rows


def _sort_key(
    order: Order, speed: dict[int, float], places: dict[str, int]
) -> Callable[[tuple[PoolStatus, WorkerStatus]], tuple[object, ...]]:
    def key(one: tuple[PoolStatus, WorkerStatus]) -> tuple[object, ...]:
        pool, worker = one
        match order:
            case "number":
                return (places[pool.name], worker.number)
            case "memory":
                return (worker.rss,)
            case "lag":
                return (worker.lag,)
            case "requests":
                return (speed.get(worker.pid, 0.0), worker.requests)
            case "calls":
                return (worker.calls,)
            case "age":
                return (worker.uptime,)
            case "generation":
                return (worker.generation,)
            case "state":
                return (worker.state == "ready", worker.state)

    return key


def _worker_row(pool: PoolStatus, worker: WorkerStatus, speed: float | None) -> Row:
    begun = worker.state != "starting"
    lag: Tone = ""
    if worker.lag >= LATE_LOOP[0]:
        lag = "bad" if worker.lag >= LATE_LOOP[1] else "warn"
    return [
        Words(visible(pool.name), "quiet"),
        Words(str(worker.number), "strong"),
        Words(str(worker.pid or UNKNOWN_VALUE), "quiet"),
        Words(str(worker.generation)),
        Words(worker.state, _tone_of(worker.state)),
        Words(duration(worker.uptime)),
        Words(short_size(worker.rss) if worker.rss else UNKNOWN_VALUE),
        Words(short_time(worker.lag) if begun else UNKNOWN_VALUE, lag),
        Words(_calls(worker) if begun else UNKNOWN_VALUE),
        Words(UNKNOWN_VALUE if speed is None else per_second(speed)),
        Words(str(worker.requests) if begun else UNKNOWN_VALUE),
        Words(visible(worker.why or _told(pool)), "quiet"),
    ]


def _calls(worker: WorkerStatus) -> str:
    """Its calls, and the limit that it seeks."""
    return f"{worker.calls}/{worker.limit}" if worker.limit else str(worker.calls)


def _told(workers: PoolStatus | LinkedStatus) -> str:
    return ", ".join(weight_and_labels(workers.weight, workers.labels))


def _linked_row(linked: LinkedStatus) -> Row:
    none = Words(UNKNOWN_VALUE, "quiet")
    return [
        Words(visible(linked.pool), "quiet"),
        Words(visible(linked.worker), "strong"),
        Words(str(linked.pid or UNKNOWN_VALUE), "quiet"),
        Words(str(linked.generation or UNKNOWN_VALUE)),
        Words(linked.state, _tone_of(linked.state)),
        *[none] * 3,
        Words(str(linked.calls)),
        none,
        Words(str(linked.requests)),
        Words(visible(", ".join(filter(None, ("from elsewhere", _told(linked))))), "quiet"),
    ]


# -- failed requests -----------------------------------------------------------------------------

FAILED_COLUMNS: Final = (
    Column("FAILED"),
    Column("CODE"),
    Column("END", words=True),
    Column("REQUEST", words=True),
    Column("WORKER", words=True, drop=1),
    Column("REASON", words=True, drop=2),
)


def _failed_row(failed: FailedStatus) -> Row:
    return [
        Words(f"{duration(failed.ago)} ago", "quiet"),
        Words(str(failed.status or UNKNOWN_VALUE), "bad" if failed.status >= 500 else "warn"),
        Words(visible(failed.end)),
        Words(visible(f"{failed.method} {failed.path}")),
        Words(visible(f"{failed.pool} {failed.worker}".strip()), "quiet"),
        Words(visible(failed.reason), "quiet"),
    ]


# -- words and numbers ---------------------------------------------------------------------------


def per_second(rate: float) -> str:
    if not rate:
        return "0"
    if rate < 9.95:
        return f"{rate:.1f}"
    return f"{rate:.0f}" if rate < 99_950 else f"{rate / 1_000:.0f}k"


def short_time(seconds: float | None) -> str:
    """A duration in four characters and a unit: `0.8ms`, `120ms`, `1.25s`, `61s`."""
    if seconds is None:
        return UNKNOWN_VALUE
    ms = seconds * 1_000
    if ms < 9.95:
        return f"{ms:.1f}ms"
    if ms < 999.5:
        return f"{ms:.0f}ms"
    return f"{seconds:.2f}s" if seconds < 9.995 else f"{seconds:.0f}s"


def short_size(count: float) -> str:
    """Bytes as `512`, `1.2K`, `84M`, the way in which --workers-max-rss is written."""
    for unit, power in (("", 0), ("K", 10), ("M", 20)):
        value = count / 2**power
        if value < 999.5:
            return f"{value:.1f}{unit}" if unit and value < 9.95 else f"{value:.0f}{unit}"
    return f"{count / 2**30:.1f}G"


def visible(text: str) -> str:
    """The text without characters that would control the operator's terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


def text_width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(_char_width(char) for char in text)


def _char_width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def shortened(text: str, width: int) -> str:
    """The text, or if it is too wide its beginning and an ellipsis."""
    if text_width(text) <= width:
        return text
    used, kept = 1, ""
    for char in text:
        used += _char_width(char)
        if used > width:
            break
        kept += char
    return f"{kept}…"


def _line_width(line: Line) -> int:
    return sum(text_width(piece.text) for piece in line)


def _cut(line: Line, width: int) -> Line:
    """The line, cut where the terminal ends."""
    kept: Line = []
    for piece in line:
        room = width - _line_width(kept)
        if room <= 0:
            break
        text = visible(piece.text)
        kept.append(Words(shortened(text, room), piece.tone))
    return kept
