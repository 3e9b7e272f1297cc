"""The command line. Every fault is a sentence on stderr: exit code 2 for what was asked for, 1 for
what could not be started or done, 3 for an app that cannot be served."""

import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final

import click

from .config.faults import ConfigError
from .config.flags import flags
from .config.load import Loaded, load
from .config.option import Verb
from .operate.verbs import VERBS

EXIT_USAGE: Final = 2

CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Verbs(click.Group):
    """The verbs; `propylon main:app` is told of `propylon serve main:app`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if ":" in word and self.get_command(ctx, word) is None:
            ctx.fail(f"to serve an app, say: propylon serve {word}")
        return super().resolve_command(ctx, args)


@click.group(cls=Verbs, context_settings=CONTEXT)
@click.version_option(version("propylon"), prog_name="propylon", message="%(prog)s %(version)s")
def propylon() -> None:
    """An HTTP gateway in front of worker processes that host your ASGI or WSGI app."""


Read = Callable[[], Loaded]
"""Loads the configuration: flags as they were given, the rest as it is now. Raises ConfigError."""


def _verb(verb: Verb) -> Callable[[Callable[[Read], None]], click.Command]:
    """A command that has the verb's flags and is called with what loads them."""

    def make(run: Callable[[Read], None]) -> click.Command:
        @flags(verb)
        @click.option(
            "-c",
            "--config",
            "config_file",
            metavar="FILE",
            help="TOML file.  [default: propylon.toml in the current directory, if there is one]",
        )
        def command(config_file: str | None, **values: Any) -> None:
            def read() -> Loaded:
                return load(verb, values, os.environ, config_file)

            run(read)

        return propylon.command(verb, help=run.__doc__)(command)

    return make


@_verb("serve")
def serve(read: Read) -> None:
    """Serve APP: gateway and workers together."""
    _supervise("serve", read)


@_verb("gateway")
def gateway(read: Read) -> None:
    """Run the gateway alone; workers come by way of --run-dir."""
    _supervise("gateway", read)


@_verb("worker")
def worker(read: Read) -> None:
    """Run workers of APP alone, for the gateway at --run-dir."""
    _supervise("worker", read)


@_verb("check")
def check(read: Read) -> None:
    """Check the configuration; print every value and where it came from."""
    from .config.report import report

    loaded = read()

    if loaded.file:
        click.echo(f"Read {loaded.file}\n")
    click.echo(report(loaded))
    for note in loaded.notes:
        click.echo(f"note: {note}", err=True)


for _command in VERBS:
    propylon.add_command(_command)


def _supervise(verb: Verb, read: Read) -> None:
    from .supervisor.run import run  # trio is not needed to say --help or to check

    loaded = read()
    sys.exit(run(verb, loaded.config, lambda: read().config, loaded.notes))


def main(arguments: list[str] | None = None) -> None:
    """The entry point `propylon`. Ends by SystemExit."""
    try:
        code = propylon.main(arguments, prog_name="propylon", standalone_mode=False)
    except ConfigError as error:
        for fault in error.faults:
            click.echo(f"propylon: {fault}", err=True)
        sys.exit(EXIT_USAGE)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(EXIT_USAGE)
    except click.NoSuchOption as error:
        hint = f"; did you mean {error.possibilities[0]}?" if error.possibilities else ""
        click.echo(f"propylon: there is no option {error.option_name}{hint}", err=True)
        sys.exit(EXIT_USAGE)
    except click.ClickException as error:
        click.echo(f"propylon: {error.format_message()}", err=True)
        sys.exit(EXIT_USAGE)
    except click.Abort:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
