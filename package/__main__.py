"""The command `propylon`, and `python -m propylon`."""

import sys

NEEDED = ("linux",)
"""How sys.platform may begin: what we stand on is Linux's (epoll, pidfds, prctl)."""

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
    from .gateway.cli import main

    main()


if __name__ == "__main__":
    main()
