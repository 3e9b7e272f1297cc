"""The process that exports: `python -m propylon.gateway.trace.export_process GATEWAY`.

OpenTelemetry's packages take about a tenth of a millisecond of CPU for each request, which is what
five requests need of the gateway. In a thread of it they would hold the interpreter's lock for so
long, and each of the gateway's system calls would have to wait for it: one that records every
request would answer a quarter of them, each some thirty milliseconds late. So they run in a process
of their own, which has a CPU when nothing more urgent wants it, and a hostile collector can only
fill the memory of that.

A thread of the gateway hands it batches, and waits for what has become of each (`ExportProcess`).
On its standard input comes a batch: its size in four bytes, then a list of records as `marshal`
writes it; both ends are the same interpreter. On its standard output it answers with a line of
ASCII, which is empty or says why the batch is lost. The end of its input means that the gateway is
gone, and it ends too, also in the middle of an export. It ignores the signals that a terminal or an
init system sends to every process, since the last batch comes when the gateway has finished.
"""

import contextlib
import marshal
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from random import getrandbits
from time import monotonic, sleep, time
from typing import IO, Final, Literal

from .options import read_trace_options
from .otlp import OtlpExporter
from .recording import Attempt, ExchangeRecord, new_id
from .spans import Span, SpanMaker

_PATIENCE: Final = 60.0
"""Seconds that an export may take. The exporter's own limit is for each time that something comes,
so a collector that sends a byte now and then could hold it for ever."""
EXPORTER_ENDED: Final = "the process that exports has ended, or got no answer"
_NICE: Final = 10
"""How much more willing than the gateway it is to wait for a CPU."""
_LEAVES: Final = 0.2
"""Seconds that it has to end by itself."""
_OUTLIVES: Final = 2.0
"""Seconds that an export may go on when the gateway is gone."""
_MOST_SAID: Final = 300
"""Characters of a reason that are passed on."""


class ExportProcess:
    """The gateway's side. One thread uses it, and `stop` another."""

    def __init__(self, gateway: int, patience: float = _PATIENCE) -> None:
        """Starts the process of gateway process number `gateway`. An export may take `patience`
        seconds. Raises OSError."""
        self._gateway = gateway
        self._patience = patience
        self._state: Literal["running", "stopped"] = "running"
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(self._gateway)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def export(self, records: list[ExchangeRecord]) -> str:
        """Has a batch exported, and waits for it. Returns "", or why it is lost. A process that has
        ended is started again by the next batch. Raises OSError."""
        if self._state == "stopped":
            return EXPORTER_ENDED
        if self._process.poll() is not None:
            self._process = self._start()
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        batch = marshal.dumps([_plain(record) for record in records])
        try:
            stdin.write(len(batch).to_bytes(4, "big"))
            stdin.write(batch)
            stdin.flush()
            poll = select.poll()
            poll.register(stdout, select.POLLIN)
            answer = stdout.readline() if poll.poll(self._patience * 1_000) else b""
        except (OSError, ValueError):  # ValueError: `stop` has closed them
            answer = b""
        if not answer:
            self._end()
            return EXPORTER_ENDED
        return answer.decode("ascii").strip()

    def stop(self, *, at_once: bool) -> None:
        """Ends the process, at once if it may still be busy."""
        self._state = "stopped"
        if not at_once and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_LEAVES)
        self._end()

    def _end(self) -> None:
        process = self._process
        process.kill()  # first: a write that waits holds a lock, for which `close` would wait
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _plain(record: ExchangeRecord) -> tuple[object, ...]:
    """The record without classes of ours, which `marshal` does not know."""
    return (*record[:5], tuple([tuple(attempt) for attempt in record.attempts]), *record[6:])


# -- the process -----------------------------------------------------------------------------


class Batches:
    """Makes spans of batches and exports them."""

    def __init__(self, gateway: int) -> None:
        self._gateway = gateway
        self._spans = SpanMaker(read_trace_options(os.environ).known_methods)
        self._exporter: OtlpExporter | None = None
        """Made with the first batch; a fault of the environment is told as a batch's."""

    def export(self, batch: bytes) -> str:
        """Returns "", or why the batch is lost."""
        try:
            if self._exporter is None:
                self._exporter = OtlpExporter(self._gateway)
            return self._exporter.export(self._made_of(batch))
        except Exception as error:  # a library's, or a variable that it does not take
            return f"{type(error).__name__}: {error}"

    def _made_of(self, batch: bytes) -> Iterable[Span]:
        epoch = time() - monotonic()  # the wall clock may be set, so it is read again each time
        for plain in marshal.loads(batch):
            attempts = tuple([Attempt(*attempt) for attempt in plain[5]])
            record = ExchangeRecord._make((*plain[:5], attempts, *plain[6:]))
            yield from self._spans.spans_of(record, epoch, lambda: new_id(getrandbits, 64))


def serve(batches: Batches, source: IO[bytes], answers: IO[bytes]) -> None:
    """Exports what comes, until nothing more does."""
    while len(size := source.read(4)) == 4:
        why = batches.export(source.read(int.from_bytes(size, "big")))
        answers.write(ascii(why)[1:-1][:_MOST_SAID].encode() + b"\n")
        answers.flush()


def _end_behind_gateway() -> None:
    """Ends the process when the other end of its input is closed."""
    poll = select.poll()
    poll.register(0, 0)  # only POLLHUP, which comes unasked
    poll.poll()
    sleep(_OUTLIVES)
    os._exit(1)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICE)
    threading.Thread(target=_end_behind_gateway, daemon=True).start()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    with contextlib.suppress(BrokenPipeError):  # the gateway is gone
        serve(Batches(int(sys.argv[1])), sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
