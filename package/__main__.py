"""The command `propylon`, and `python -m propylon`."""

import sys

NEEDED = ("linux",)
"""Beginnings of sys.platform on which Propylon runs: it needs Linux's epoll, pidfds and prctl."""

EXIT_INTERRUPTED = 130
"""The exit code that shells give a command that SIGINT has ended."""

NAMES = {"darwin": "macOS", "win32": "Windows", "cygwin": "Windows"}


def refuse_other_systems() -> None:
    """Ends the program with a sentence on other systems, before an import fails there."""
    if sys.platform.startswith(NEEDED):
        return
    here = NAMES.get(sys.platform, sys.platform)
    where = "a Linux container, or WSL 2" if here == "Windows" else "a Linux container"
    print(f"propylon: Propylon runs on Linux, and this is {here}: use {where}", file=sys.stderr)
    sys.exit(1)


def main() -> None:
    """The entry point of the command. It ends with SystemExit."""
    refuse_other_systems()
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
