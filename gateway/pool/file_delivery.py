"""Hands a file that a worker has passed on to the exchange's sink (SPEC.md 6.7)."""

from typing import NamedTuple

from ...protocol.messages import RESPONSE_FILE, File, ResponseFile
from ..exchange import end_codes
from ..exchange.exchange import Exchange, log_app_fault
from ..files.app_file import AppFile, end_with_app_file, respond_with_app_file
from ..files.disk_file import DiskFile
from ..files.disk_threads import DiskThreads
from ..files.ranges import Part


class NamedPart(NamedTuple):
    """The part of a file that a FILE or RESPONSE_FILE names, in bytes."""

    number: int
    """That of the descriptor."""
    offset: int
    size: int


def named_part(message: File | ResponseFile) -> NamedPart:
    """What the message names; the two kinds have it at different places."""
    if message[0] == RESPONSE_FILE:
        _, _, _, _, number, offset, count, _ = message
    else:
        _, _, number, offset, count, _ = message
    return NamedPart(number, offset, count)


def deliver_file(
    exchange: Exchange,
    message: File | ResponseFile,
    fd: int | None,
    worker: str,
    disk: DiskThreads,
) -> int:
    """Answers, or ends the answer, with the file of the message. `fd` is its descriptor, which is
    taken over; None if it could not be had. `worker` is named in the log. Returns the status of the
    head that was sent, as a `Sink` does."""
    if fd is None:
        exchange.give_end(end_codes.GATEWAY_FILE_BROKE)
        why = "open files: RLIMIT_NOFILE, or too many of them were passed"
        log_app_fault(exchange, f"its file could not be taken from {worker} ({why})")
        return exchange.sink.fail(exchange, 503, "The server has no room for another open file.")
    _, offset, count = named_part(message)
    try:
        sent = AppFile(DiskFile(fd, f"of {worker}"), Part(offset, offset + count))
        fault = sent.fault
    except OSError as error:
        exchange.give_end(end_codes.GATEWAY_FILE_BROKE)
        log_app_fault(exchange, f"its file of {worker} can't be looked at: {error.strerror}")
        return exchange.sink.fail(exchange, 500, "The file could not be opened.")
    if fault:
        exchange.give_end(end_codes.APP_BAD_RESPONSE)
        log_app_fault(exchange, f"its file of {worker} {fault}")
        return exchange.sink.fail(exchange, 500, "The app's file cannot be sent.")
    if message[0] == RESPONSE_FILE:
        return respond_with_app_file(exchange, message[2], message[3], sent, disk)
    end_with_app_file(exchange, sent, disk)
    return 0
