"""Hands a file that a worker has passed on to the exchange's sink (SPEC.md 6.7)."""

from logging import getLogger

from ...protocol.messages import RESPONSE_FILE, File, ResponseFile
from ..exchange import end_codes
from ..exchange.exchange import Exchange, log_facts, log_tail
from ..files.app_file import AppFile, end_with_app_file, respond_with_app_file
from ..files.disk_file import DiskFile
from ..files.disk_threads import DiskThreads
from ..files.ranges import Part

log = getLogger("propylon.gateway")


def deliver_file(
    exchange: Exchange,
    message: File | ResponseFile,
    fd: int | None,
    worker: str,
    disk: DiskThreads,
) -> int:
    """Answers, or ends the answer, with the file of the message. `fd` is its descriptor, which is
    taken over; None if this process could not get it. `worker` is named in the log. Returns the
    status of the head that was sent, as a `Sink` does."""
    if fd is None:
        exchange.give_end(end_codes.GATEWAY_FILE_BROKE)
        say(exchange, f"could not be taken from {worker} (open files: RLIMIT_NOFILE)")
        return exchange.sink.fail(exchange, 503, "The server has no room for another open file.")
    offset, count = message[-3], message[-2]
    try:
        sent = AppFile(DiskFile(fd, f"of {worker}"), Part(offset, offset + count))
        fault = sent.fault
    except OSError as error:
        exchange.give_end(end_codes.GATEWAY_FILE_BROKE)
        say(exchange, f"of {worker} can't be looked at: {error.strerror}")
        return exchange.sink.fail(exchange, 500, "The file could not be opened.")
    if fault:
        exchange.give_end(end_codes.APP_BAD_RESPONSE)
        say(exchange, f"of {worker} {fault}")
        return exchange.sink.fail(exchange, 500, "The app's file cannot be sent.")
    if message[0] == RESPONSE_FILE:
        return respond_with_app_file(exchange, message[2], message[3], sent, disk)
    end_with_app_file(exchange, sent, disk)
    return 0


def say(exchange: Exchange, what: str) -> None:
    request = exchange.request
    log.error(
        "the file for %s %s %s%s",
        request.method,
        request.path.decode("ascii"),
        what,
        log_tail(exchange),
        extra=log_facts(exchange),
    )
