"""The command `propylon`, and `python -m propylon`."""

import os
import signal
import sys

NEEDED = ("linux",)
"""Beginnings of sys.platform on which Propylon runs: it needs Linux's epoll, pidfds and prctl."""

EXIT_INTERRUPTED = 130
"""The exit code that shells give a command that SIGINT has ended."""

STOPS = (signal.SIGTERM, signal.SIGQUIT) if hasattr(signal, "SIGQUIT") else ()
"""What ends a process by default, and not the first process of a container."""

NAMES = {"darwin": "macOS", "win32": "Windows", "cygwin": "Windows"}


def refuse_other_systems() -> None:
    """Ends the program with a sentence on other systems, before an import fails there."""
    if sys.platform.startswith(NEEDED):
        return
    here = NAMES.get(sys.platform, sys.platform)
    where = "a Linux container, or WSL 2" if here == "Windows" else "a Linux container"
    print(f"propylon: Propylon runs on Linux, and this is {here}: use {where}", file=sys.stderr)
    sys.exit(1)


def stop_while_starting() -> None:
    """Has process 1 end on SIGTERM from now on. The kernel keeps signals without a handler from it
    (pid_namespaces(7)), so a container that is stopped while this imports would not notice, start,
    and be killed when its grace period ends. The supervisor puts its own handlers in this place.
    """
    if os.getpid() == 1:
        for number in STOPS:
            signal.signal(number, _end)


def _end(number: int, frame: object) -> None:
    # Nothing has begun. SystemExit would come out of the middle of somebody's import.
    os.write(2, f"propylon: {signal.Signals(number).name} before it had started\n".encode())
    os._exit(128 + number)


def main() -> None:
    """The entry point of the command. It ends with SystemExit."""
    refuse_other_systems()
    stop_while_starting()
    try:
        if sys.argv[1:2] == ["healthcheck"]:  # every few seconds, so the usual form is done at once
            from .gateway.control.healthcheck import main as healthcheck

            healthcheck(sys.argv[2:])
        from .gateway.cli import main

        main()
    except KeyboardInterrupt:  # Ctrl-C came before there were signal handlers
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
