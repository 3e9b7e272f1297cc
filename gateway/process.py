"""A gateway process: `python -m propylon.gateway.process --settings-fd N --leash-fd M`.

The supervisor starts it with the listening sockets inherited, its GatewaySettings as JSON in a
pipe, and a leash: one end of a socket pair. What happens is reported on the leash as JSON lines;
its end means that the supervisor is gone, and then the gateway drains as it does on SIGTERM.
"""

import argparse
import json
import logging
import os
import signal
import sys

import msgspec
import trio

from .assemble import run_gateway
from .listen.tls import CertificateError
from .settings import GatewaySettings
from .supervisor.console import log_to_stderr

log = logging.getLogger("propylon.gateway")


class Leash:
    """Our end of the socket pair with the supervisor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.started = False
        """Whether the supervisor has heard that the gateway accepts."""
        self._unsent = b""
        """The rest of a line that the socket took only a part of."""

    def report(self, event: dict[str, object]) -> None:
        """One line. A supervisor that does not read misses lines, and none of them is torn."""
        if event["event"] == "listening":
            self.started = True
        try:
            if self._unsent:
                self._unsent = self._unsent[os.write(self.fd, self._unsent) :]
            if not self._unsent:
                line = json.dumps(event).encode() + b"\n"
                self._unsent = line[os.write(self.fd, line) :]
        except OSError as error:
            log.debug("the supervisor did not hear %s: %s", event, error)


class Stop:
    """The wish to stop: SIGTERM or the leash's end; a second SIGTERM means now."""

    def __init__(self, leash: int) -> None:
        self._leash = leash
        self._wished = trio.Event()
        self._at_once = trio.CancelScope()

    @property
    def at_once(self) -> trio.CancelScope:
        return self._at_once

    async def wait(self) -> None:
        await self._wished.wait()

    async def watch_signals(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for number in signals:
                if number == signal.SIGINT:
                    continue  # Ctrl-C reaches the whole group; the supervisor is in charge
                if self._wished.is_set():
                    self._at_once.cancel()
                self._wished.set()

    async def watch_leash(self) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._leash)
            try:
                if os.read(self._leash, 4096):
                    continue
            except BlockingIOError:
                continue
            except OSError:
                pass  # reset: the supervisor was killed with reports unread
            log.error("the supervisor is gone: finishing what is here")
            self._wished.set()
            return


async def serve(settings: GatewaySettings, leash: Leash) -> None:
    """Runs the gateway for as long as nobody wishes it to stop."""
    os.set_blocking(leash.fd, False)
    stop = Stop(leash.fd)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop.watch_signals)
        nursery.start_soon(stop.watch_leash)
        with stop.at_once:
            await run_gateway(settings, leash.report, stop.wait)
        nursery.cancel_scope.cancel()


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """Of the failures themselves; groups may lie in groups."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def main() -> int:
    # A terminal that hangs up tells all its processes; what it means is the supervisor's to say.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    parser = argparse.ArgumentParser(prog="propylon.gateway.process", description=__doc__)
    parser.add_argument("--settings-fd", type=int, required=True)
    parser.add_argument("--leash-fd", type=int, required=True)
    arguments = parser.parse_args()
    with open(arguments.settings_fd, "rb") as pipe:
        settings = msgspec.json.decode(pipe.read(), type=GatewaySettings)
    log_to_stderr(settings.log.level)
    leash = Leash(arguments.leash_fd)
    failed = 0
    try:
        trio.run(serve, settings, leash)
    except* (OSError, ValueError, CertificateError) as group:
        failed = 1
        if leash.started:
            log.error("the gateway failed", exc_info=group)
        else:  # the operator's to mend, as a rule: a sentence is enough
            log.debug("the gateway could not start", exc_info=group)
            leash.report({"event": "failed", "error": str(_first(group))})
    return failed


if __name__ == "__main__":
    sys.exit(main())
