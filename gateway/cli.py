"""The command line.

Every fault is a sentence on standard error. The exit code is 2 for a wrong command line or
configuration, 1 for what could not be started or done, and 3 for an app that cannot be served.
"""

import io
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn

import click

from .config.faults import ConfigError, nearest
from .config.flags import ServingCommand
from .config.load import Loaded, load
from .config.option import Verb
from .control.client import printable
from .control.verbs import EXIT_USAGE, VERBS

EXIT_APP: Final = 3

CONTEXT: Final = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
}


SAME: Final = {
    "run": ("serve",),
    "start": ("serve",),
    "dev": ("serve", "--reload"),
    "version": ("--version",),
}
"""Commands that people type although they do not exist -> what they mean."""


class Verbs(click.Group):
    """The group of all verbs. `propylon main:app` means `propylon serve main:app`, with options
    before or behind the app."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] in SAME:
            args = [*SAME[args[0]], *args[1:]]
        if args[:1] == ["help"]:
            args = [*(SAME.get(word, (word,))[0] for word in args[1:2]), "--help"]
        if (
            args
            and args[0] not in ("-h", "--help", "-V", "--version")
            and (args[0].startswith("-") or ":" in args[0])
            and any(":" in word and not word.startswith("-") for word in args)
        ):
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if self.get_command(ctx, word) is None:
            if "." in word or "/" in word or os.path.exists(f"{word}.py"):
                ctx.fail(f"to serve an app, say: propylon serve {word}")
            ctx.fail(f"there is no command {word}{nearest(word, self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


@click.group(cls=Verbs, context_settings=CONTEXT)
@click.version_option(
    None,
    "-V",
    "--version",
    package_name="propylon",
    prog_name="propylon",
    message="%(prog)s %(version)s",
)
def propylon() -> None:
    """An HTTP gateway in front of worker processes that host your ASGI or WSGI app."""


propylon.epilog = """\b
Examples:
  propylon main:app                          short for: propylon serve main:app
  propylon serve main:app --reload           while you write it
  propylon serve mysite.wsgi -b :8000 -w 4   Django, for everybody, on four CPUs
  propylon help serve                        all options
  propylon migrate gunicorn.conf.py          a propylon.toml out of it

\b
Completion of commands, options and values, in bash (zsh and fish likewise):
  eval "$(_PROPYLON_COMPLETE=bash_source propylon)"
"""


def _with_dashes(name: str) -> str:
    return name.replace("_", "-")


Read = Callable[[], Loaded]
"""Loads the configuration: flags as they were typed, variables and file as they are now. Raises
ConfigError."""


def _verb(verb: Verb, **more: Callable[..., Any]) -> Callable[[Callable[..., None]], click.Command]:
    """A decorator that makes a command with the verb's flags. The function gets a `Read` that loads
    them, and the values of `more`: further options by their names."""

    def make(run: Callable[..., None]) -> click.Command:
        @click.version_option(package_name="propylon", message="propylon %(version)s")
        @click.option(
            "-c",
            "--config",
            "config_file",
            metavar="FILE",
            help="TOML file.  [default: propylon.toml in the current directory, if there is one]",
        )
        def command(config_file: str | None, **values: Any) -> None:
            own = {name: values.pop(name) for name in more}

            def read() -> Loaded:
                return load(verb, values, os.environ, config_file)

            run(read, **own)

        for add in more.values():
            command = add(command)
        return propylon.command(
            verb,
            cls=ServingCommand,
            verb=verb,
            help=run.__doc__,
            # gunicorn has an option --limit-request-field_size.
            context_settings={"token_normalize_func": _with_dashes},
        )(command)

    return make


@_verb("serve")
def serve(read: Read) -> None:
    """Serve APP: gateway and workers together."""
    sys.exit(supervise("serve", read))


@_verb("gateway")
def gateway(read: Read) -> None:
    """Run the gateway alone; workers come by way of --run-dir."""
    sys.exit(supervise("gateway", read))


@_verb("worker")
def worker(read: Read) -> None:
    """Run workers of APP alone, for the gateway at --run-dir."""
    sys.exit(supervise("worker", read))


_no_app = click.option("--no-app", is_flag=True, help="Leave the import of the app out.")


@_verb("check", no_app=_no_app)
def check(read: Read, no_app: bool) -> None:
    """Check the configuration; print every value and where it came from. Import the app as a worker
    would, without running it.

    Exit code 2: the configuration is wrong. 3: an app cannot be imported.
    """
    from .config.report import report

    loaded = read()

    if loaded.file:
        click.echo(f"Read {loaded.file}\n")
    click.echo(report(loaded))
    for note in loaded.notes:
        click.echo(f"note: {note}", err=True)
    if not no_app:
        _import_apps(loaded)


def _import_apps(loaded: Loaded) -> None:
    from .control.status import tail
    from .supervisor.process.import_check import import_apps

    click.echo("\nImports")
    failed = False
    for one in import_apps(loaded.config):
        if not one.fault:
            click.echo(f"  {one.pool}: {one.app}, {one.interface}")
            continue
        failed = True
        detail = tail(one.detail)
        if detail:
            click.echo(printable(detail), err=True)
        sentence = f"pool {one.pool}: {one.app} cannot be imported: {one.fault}"
        click.echo(f"propylon: {printable(sentence)}", err=True)
    if failed:
        sys.exit(EXIT_APP)


@propylon.command()
@click.argument("file", metavar="FILE", type=click.Path())
def migrate(file: str) -> None:
    """Print a propylon.toml made of another server's FILE.

    FILE is a gunicorn.conf.py, a hypercorn.toml (or hypercorn's .py) or a uwsgi.ini. What cannot
    be carried over is there as a comment, with the reason. A file in Python is run, as its server
    would run it: look at it first if you don't know it.

    \b
    Example:
      propylon migrate gunicorn.conf.py > propylon.toml && propylon check
    """
    from .config.migrate import MigrateError
    from .config.migrate import migrate as carried_over

    try:
        click.echo(carried_over(file), nl=False)
    except MigrateError as error:
        click.echo(f"propylon: {error}", err=True)
        sys.exit(1)


for _command in VERBS:
    propylon.add_command(_command)


def supervise(verb: Verb, read: Read) -> int:
    """Runs a supervisor until it has stopped, and returns its exit code. Raises ConfigError."""
    from .supervisor.signals import FOR_THE_SUPERVISOR

    # Signals wait until there are handlers: by default they would end or stop this process.
    signal.pthread_sigmask(signal.SIG_BLOCK, FOR_THE_SUPERVISOR)
    from .supervisor.run import run  # imported here: --help and check do without trio

    loaded = read()
    return run(verb, loaded.config, lambda: read().config, loaded.notes)


def fail(error: ConfigError) -> NoReturn:
    """Prints every fault and ends the program."""
    for fault in error.faults:
        click.echo(f"propylon: {fault}", err=True)
    sys.exit(EXIT_USAGE)


def _open_standard_descriptors() -> None:
    """Opens the first three descriptors that the parent process has closed. Otherwise the next
    files or sockets would get their numbers and be written to as standard error."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest free number, which is this one
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a path that is printed need not be UTF-8
            stream.reconfigure(errors="backslashreplace")


def main(arguments: list[str] | None = None) -> None:
    """The entry point of the command `propylon`. It ends with SystemExit."""
    _open_standard_descriptors()
    try:
        code = propylon.main(arguments, prog_name="propylon", standalone_mode=False)
    except ConfigError as error:
        fail(error)
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
