"""`propylon top`: what an instance does, live, in a terminal; or line by line into a pipe.

A thread asks the instance, because an answer may be late and keys must work meanwhile; the loop
here waits for whatever comes first: an answer, a key, a signal, the next time to ask.

The instance may be gone for a moment without having ended: an upgrade replaces its supervisor, and
a stopped one does not answer. The view says so and goes on asking. It ends when the process ends,
or, if its pid cannot be seen from here, when nobody has listened for GONE seconds.
"""

import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, replace
from typing import Final, Literal

from .client import Ended, EndOf, NoAnswer, ask
from .commands import Status
from .durations import duration
from .instances import Instance
from .rates import Rates, rates
from .status import StatusReport, read_report
from .terminal import Terminal
from .top_drawing import Drawing, PlainDrawing, RichDrawing
from .top_view import KEYS, Frame, Look, Order, lines_of

GONE: Final = 10.0
"""Seconds without anybody at the control socket after which an instance in another container is
taken to have ended."""
LATE: Final = 3.0
"""Seconds without an answer after which the view says so."""
PIPED_WIDTH: Final = 100
"""Columns, if there is no terminal and $COLUMNS is not set."""
QUIT: Final = frozenset("q\x03\x04")

_Running = Literal["running", "quit", "ended"]


@dataclass(frozen=True, slots=True)
class TopOptions:
    interval: float = 1.0
    """Seconds between two looks."""
    count: int | None = None
    """How many looks; None: until it is quit."""
    order: Order = "number"


class Reports:
    """The reports of one instance, and what two of them say of the time between them."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._end = EndOf(instance)
        self._answered = time.monotonic()
        self._trouble = ""
        self.report: StatusReport | None = None
        self.rates: Rates | None = None

    def ask(self) -> None:
        """Asks once. Raises Ended if the instance has; another fault is the notice, until it is
        over."""
        try:
            report = read_report(ask(self._instance, Status()).data)
        except Ended as ended:
            nobody_for = time.monotonic() - self._answered
            if self._end.has_come or (not self._instance.pid and nobody_for > GONE):
                raise Ended(f"{self._instance} has ended") from None
            self._trouble = str(ended) if not self._instance.pid else ""
        except NoAnswer as error:
            self._trouble = str(error)
        except ValueError as error:
            self._trouble = f"its status is not understood: {error}"
        else:
            self._take(report)

    def _take(self, report: StatusReport) -> None:
        self._answered, self._trouble = time.monotonic(), ""
        if self.report is None or report.uptime != self.report.uptime:
            self.rates = rates(self.report, report)
            self.report = report

    @property
    def notice(self) -> str:
        """What is wrong with the data, as a sentence; "" if they are fresh."""
        age = time.monotonic() - self._answered
        if not self._trouble and age < LATE:
            return ""
        return f"{self._trouble or 'No answer'}; the data are {duration(int(age))} old"

    def frame(self) -> Frame | None:
        if self.report is None:
            return None
        return Frame(self.report, self.rates, time.strftime("%H:%M:%S"), self.notice)


def run_top(instance: Instance, options: TopOptions) -> None:
    """Shows the instance until it is quit. Raises Ended, NoAnswer if there was never any, and
    KeyboardInterrupt where there is no terminal."""
    reports = Reports(instance)
    if options.count is None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        _Live(reports, options).run()
    else:
        _print(reports, options)


# -- without a terminal --------------------------------------------------------------------------


def _print(reports: Reports, options: TopOptions) -> None:
    """Prints a look after each interval, as plain text."""
    try:
        width = int(os.environ.get("COLUMNS", ""))
    except ValueError:
        width = os.get_terminal_size().columns if sys.stdout.isatty() else PIPED_WIDTH
    drawing, look = PlainDrawing(), Look(options.order)
    reports.ask()
    looks = 0
    while options.count is None or looks < options.count:
        time.sleep(options.interval)
        reports.ask()
        frame = reports.frame()
        if frame is None:
            raise NoAnswer(reports.notice)
        text = "\n".join(drawing.text(lines_of(frame, look, width)))
        print(f"\n{text}" if looks else text, flush=True)
        looks += 1


# -- in a terminal -------------------------------------------------------------------------------


def _drawing() -> Drawing:
    try:
        return RichDrawing()
    except ImportError:
        return PlainDrawing()


class _Live:
    def __init__(self, reports: Reports, options: TopOptions) -> None:
        self._reports = reports
        self._interval = options.interval
        self._look: Look = Look(options.order)
        self._drawing = _drawing()
        self._state: _Running = "running"
        self._asking: threading.Thread | None = None
        self._fault: BaseException | None = None
        """What has ended the thread that asked."""
        self._frame: Frame | None = None

    def run(self) -> None:
        with Terminal() as terminal:
            ask_at = time.monotonic()
            while self._state == "running":
                now = time.monotonic()
                if now >= ask_at and self._asking is None:
                    # The rate of the first second is worth a shorter wait.
                    pause = min(0.5, self._interval) if self._reports.rates is None else None
                    ask_at = now + (pause or self._interval)
                    self._begin_to_ask(terminal)
                self._draw(terminal)
                # While an answer is late, its age is shown, and grows.
                for key in terminal.wait(ask_at if self._asking is None else now + 1.0):
                    self._press(key)
                if self._fault is not None:
                    self._state = "ended"
                if terminal.ended_by is not None:
                    self._state = "quit"
        if self._fault is not None:
            raise self._fault
        if terminal.ended_by not in (None, signal.SIGINT):
            # Now that the terminal is given back, the signal does what it does, to this thread and
            # so before it goes on: the one that asks might hear of it after our exit.
            signal.raise_signal(terminal.ended_by)

    def _begin_to_ask(self, terminal: Terminal) -> None:
        def work() -> None:
            try:
                self._reports.ask()
            except BaseException as error:
                self._fault = error
            self._asking = None
            terminal.wake()

        self._asking = threading.Thread(target=work, name="asks", daemon=True)
        self._asking.start()

    def _draw(self, terminal: Terminal) -> None:
        width, height = terminal.size
        if self._frame is None or not self._look.paused:
            self._frame = self._reports.frame()
        if self._frame is None:
            notice = self._reports.notice or "Asking ..."
            terminal.draw([notice[:width]])
            return
        lines = lines_of(self._frame, self._look, width, height)
        terminal.draw(self._drawing.text(lines))

    def _press(self, key: str) -> None:
        look = self._look
        if key in QUIT:
            self._state = "quit"
        elif key in "?h":
            self._look = replace(look, helping=not look.helping)
        elif key == "\x1b":
            self._look = replace(look, helping=False)
        elif key in "p ":
            self._look = replace(look, paused=not look.paused)
        elif key.lower() in KEYS:
            self._look = look.by(KEYS[key.lower()])
