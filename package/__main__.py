"""The command `propylon`, and `python -m propylon`."""

import sys

NEEDED = ("linux",)
"""How sys.platform may begin: what we stand on is Linux's (epoll, pidfds, prctl)."""

EXIT_INTERRUPTED = 130
"""As shells have it of a command that SIGINT has ended."""

NAMES = {"darwin": "macOS", "win32": "Windows", "cygwin": "Windows"}


def refuse_other_systems() -> None:
    """Ends the program with a sentence where we cannot run, before an import fails there."""
    if sys.platform.startswith(NEEDED):
        return
    here = NAMES.get(sys.platform, sys.platform)
    where = "a Linux container, or WSL 2" if here == "Windows" else "a Linux container"
    print(f"propylon: Propylon runs on Linux, and this is {here}: use {where}", file=sys.stderr)
    sys.exit(1)


def main() -> None:
    """The entry point of the command. Ends by SystemExit."""
    refuse_other_systems()
    try:
        from .gateway.cli import main

        main()
    except KeyboardInterrupt:  # of an impatient user, before anybody hears signals
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
