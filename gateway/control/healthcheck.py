"""Asks the admin listener of an instance whether it is healthy: `propylon healthcheck`.

A container engine runs this every few seconds for as long as the container lives, beside an app
that wants the CPU. So it imports no more than it needs: the interpreter's own start is most of what
it takes, and no HTTP library, command line or configuration is loaded. Only where the variable does
not say where the admin listener is, the instance is asked at its control socket, which costs more.

The address that an instance listens on is not always one that can be connected to: 0.0.0.0 and ::
stand for loopback then. A token is not needed, since health is told to everybody.
"""

import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

DEFAULT_TIMEOUT: Final = 2.5
"""Seconds; the images' HEALTHCHECK ends a command after 3 s without its sentence."""
LONGEST_ANSWER: Final = 65_536
LONGEST_SENTENCE: Final = 2_000
"""Characters. Docker keeps 4,096 bytes of what a health check prints."""

QUESTIONS: Final = {"--live": "livez", "--ready": "readyz", "--started": "startupz"}
ADMIN_BIND: Final = "PROPYLON_ADMIN_BIND"
NO_LISTENER: Final = "the instance has no admin listener to ask; give it --admin-bind ADDRESS"


class Unhealthy(Exception):
    """What is wrong, as a sentence."""


class Unreachable(Unhealthy):
    """Nobody listens at the address, or it does not say where."""


def quick(arguments: Sequence[str], environ: Mapping[str, str]) -> int | None:
    """Does `propylon healthcheck` with at most one of its questions as the argument, and returns
    the exit code. With other arguments it does nothing and returns None."""
    if len(arguments) > 1 or any(argument not in QUESTIONS for argument in arguments):
        return None
    return check(QUESTIONS[arguments[0]] if arguments else "readyz", (), None, environ)


def check(
    question: str,
    addresses: Sequence[str],
    run_dir: str | None,
    environ: Mapping[str, str],
    timeout: float = DEFAULT_TIMEOUT,
) -> int:
    """Prints one line, and returns 0 if the instance is healthy, else 1. `question` is the path's
    name; `addresses` and `run_dir` are as they were typed, and `timeout` is in seconds."""
    try:
        print(f"{question}: {_answer(question, addresses, run_dir, environ, timeout)}")
    except Unhealthy as why:
        print(f"{question}: {str(why)[:LONGEST_SENTENCE]}")
        return 1
    return 0


def _answer(
    question: str,
    addresses: Sequence[str],
    run_dir: str | None,
    environ: Mapping[str, str],
    timeout: float,
) -> str:
    """What the first address that can be reached answers. Raises Unhealthy."""
    last: Unreachable | None = None
    for address in _places(addresses, run_dir, environ, timeout):
        try:
            return _ask(address, question, timeout)
        except Unreachable as error:
            last = last or error
    raise last or Unhealthy(NO_LISTENER)


def _places(
    addresses: Sequence[str], run_dir: str | None, environ: Mapping[str, str], timeout: float
) -> Iterator[str]:
    """Yields addresses to try: those that were typed, else the variable's, unless another instance
    was asked for, and then those that the instance says it has. Raises Unhealthy."""
    if addresses:
        yield from addresses
        return
    named = [part.strip() for part in environ.get(ADMIN_BIND, "").split(",") if part.strip()]
    if run_dir is None:
        yield from named
    try:
        yield from _said_by_the_instance(run_dir, environ, timeout)
    except Unhealthy:
        if run_dir is not None or not named:
            raise


def _said_by_the_instance(
    run_dir: str | None, environ: Mapping[str, str], timeout: float
) -> list[str]:
    # Imported here: the variable is the usual way, and this takes longer than all the rest.
    from ..config.faults import ConfigError
    from .client import NoAnswer, ask
    from .commands import Status
    from .instances import NoInstance, SeveralInstances, find, wanted_run_dir
    from .status import read_report

    try:
        instance = find(wanted_run_dir(run_dir, None, environ))
        report = read_report(ask(instance, Status(), timeout=timeout).data)
    except SeveralInstances:
        raise Unhealthy("several instances run; choose one with --run-dir") from None
    except ConfigError as error:
        raise Unhealthy("; ".join(map(str, error.faults))) from None
    except (NoInstance, NoAnswer, ValueError) as error:
        raise Unhealthy(str(error)) from None
    return [address.removeprefix("http://") for address in report.admin]


def _ask(address: str, question: str, timeout: float) -> str:
    """Returns "ok". Raises Unhealthy with what the listener says, and Unreachable if there is
    none."""
    from time import monotonic

    until = monotonic() + timeout
    answer = b""
    request = f"GET /{question} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    try:
        with _connect(address, timeout) as sock:
            sock.sendall(request.encode())
            while len(answer) < LONGEST_ANSWER:
                sock.settimeout(max(until - monotonic(), 0.001))
                data = sock.recv(LONGEST_ANSWER)
                if not data:
                    break
                answer += data
    except TimeoutError:
        raise Unhealthy(f"{address} has not answered for {timeout:g} s") from None
    except ConnectionResetError:
        raise Unhealthy(f"{address} closed the connection without an answer") from None
    except OSError as error:
        raise Unreachable(f"{address}: {error.strerror or error}") from None
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.partition(b"\r\n")[0].split(b" ")[1:2]
    said = "; ".join(body.decode("utf-8", "replace").split("\n")).strip("; ")
    if status == [b"200"] and said == "ok":
        return said
    if status == [b"503"]:
        raise Unhealthy(said)
    found = head.partition(b"\r\n")[0][:80].decode("ascii", "backslashreplace")
    raise Unhealthy(f"{address} is no admin listener: it answers {found or 'nothing'}")


def _connect(address: str, timeout: float) -> socket.socket:
    """Raises OSError."""
    if address.startswith("unix:"):
        path = address.removeprefix("unix:").removeprefix("//")
        base, mark, settings = path.rpartition("?")
        path = base if mark and "=" in settings else path  # ?mode=660&user=U&group=G
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(timeout)
            sock.connect("\0" + path[1:] if path.startswith("@") else path)
        except BaseException:
            sock.close()
            raise
        return sock
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    if not (port.isascii() and port.isdecimal() and int(port) < 65_536):
        # A host alone, or a socket that was inherited (fd://3): the instance knows what it became.
        raise Unreachable(f"found {address!r}; expected HOST:PORT or unix:PATH")
    host = host.removeprefix("[").removesuffix("]")
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return socket.create_connection((host, int(port)), timeout)


def main(arguments: Sequence[str]) -> None:
    """Ends the program if `quick` can do what is asked; returns if it cannot."""
    code = quick(arguments, os.environ)
    if code is not None:
        sys.exit(code)
