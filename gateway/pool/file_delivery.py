"""Hands a file that a worker has passed on to the exchange's sink (SPEC.md 6.7)."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from ...protocol.messages import RESPONSE_FILE, File, ResponseFile
from ..exchange import end_codes
from ..exchange.exchange import Exchange, log_app_fault
from ..files.app_file import AppFile, end_with_app_file, respond_with_app_file
from ..files.disk_file import Descriptor, DiskFile
from ..files.disk_threads import MAY_BE_OVER, DiskThreads, on_the_loop
from ..files.file_source import OpeningSource
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


class Receiver(NamedTuple):
    """Who takes files from a worker."""

    worker: str
    """The worker's name in the log."""
    disk: DiskThreads
    note_status: Callable[[int], None]
    """Is told the status of each head that was sent, as a `Sink` returns it."""


def deliver_file(
    exchange: Exchange, message: File | ResponseFile, fd: int | None, to: Receiver
) -> None:
    """Answers, or ends the answer, with the file of the message. `fd` is its descriptor, which is
    taken over; None if it could not be had.

    To ask what the file is may take as long as its server likes: a worker's file may lie on any
    file system. So that is done at once for one that is on this machine for certain, else by a
    thread."""
    if fd is not None and not to.disk.stores.is_here(fd):
        source = exchange.source
        exchange.go_on_from(OpeningSource(None if source is None else source.account()))
        job = partial(_look_in_a_thread, Descriptor(fd), message, to)
        then = partial(_deliver, exchange, message, to)
        to.disk.run(job, on_the_loop(exchange, then))
        return
    found: AppFile | OSError | None = None
    if fd is not None:
        try:
            found = _look_at(fd, message, to)
        except OSError as error:
            found = error
    _deliver(exchange, message, to, found)


def _look_at(fd: int, message: File | ResponseFile, to: Receiver) -> AppFile:
    """Takes the descriptor over. Raises OSError."""
    _, offset, count = named_part(message)
    return AppFile(DiskFile(fd, f"of {to.worker}"), Part(offset, offset + count))


def _look_in_a_thread(
    descriptor: Descriptor, message: File | ResponseFile, to: Receiver
) -> AppFile:
    found = _look_at(descriptor.take(), message, to)
    to.disk.stores.learn(found.file.fd)
    return found


def _deliver(
    exchange: Exchange,
    message: File | ResponseFile,
    to: Receiver,
    found: AppFile | OSError | None,
) -> None:
    status = _answer(exchange, message, to, found)
    if status:
        to.note_status(status)


def _answer(
    exchange: Exchange,
    message: File | ResponseFile,
    to: Receiver,
    found: AppFile | OSError | None,
) -> int:
    """Returns the status of the head that was sent, as a `Sink` does."""
    worker = to.worker
    if found is None:
        exchange.give_end(end_codes.GATEWAY_FILE_BROKE)
        why = "open files: RLIMIT_NOFILE, or too many of them were passed"
        log_app_fault(exchange, f"its file could not be taken from {worker} ({why})")
        return exchange.sink.fail(exchange, 503, "The server has no room for another open file.")
    if isinstance(found, OSError):
        exchange.give_end(end_codes.GATEWAY_FILE_BROKE)
        log_app_fault(exchange, f"its file of {worker} can't be looked at: {found.strerror}")
        status = 503 if found.errno in MAY_BE_OVER else 500
        return exchange.sink.fail(exchange, status, "The file could not be opened.")
    if fault := found.fault:
        exchange.give_end(end_codes.APP_BAD_RESPONSE)
        log_app_fault(exchange, f"its file of {worker} {fault}")
        return exchange.sink.fail(exchange, 500, "The app's file cannot be sent.")
    if message[0] == RESPONSE_FILE:
        return respond_with_app_file(exchange, message[2], message[3], found, to.disk)
    end_with_app_file(exchange, found, to.disk)
    return 0
