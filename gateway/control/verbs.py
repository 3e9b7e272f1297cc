"""The verbs for a running instance: reload, status, healthcheck, top, drain, stop, scale, rollback,
upgrade, reopen.

Their exit code is 0 if it was done; 1 if it was refused, failed or aborted, or if no instance was
found; 2 if the command line makes no sense.
"""

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import click

from .client import Ended, EndOf, NoAnswer, ask, printable
from .commands import (
    Command,
    Drain,
    Reload,
    Reopen,
    Result,
    Rollback,
    Scale,
    Status,
    Stop,
    Upgrade,
    name_of,
)
from .healthcheck import DEFAULT_TIMEOUT, check
from .instances import Instance, NoInstance, SeveralInstances, find, wanted_run_dir
from .status import is_serving, read_report
from .status_text import headline, status_text
from .top_view import KEYS, Order

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
UPGRADE_TIMEOUT: Final = 120.0
"""Seconds that `upgrade` waits for the new gateways."""
POLL: Final = 0.1
LIST_TIMEOUT: Final = 2.0
"""Seconds that each of several instances has to answer what it serves."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The options that choose an instance, as they were typed."""

    run_dir: str | None
    pid: int | None
    config_file: str | None

    def instance(self) -> Instance:
        """Returns the instance. Ends the program if there is none, or more than one. Raises
        ConfigError."""
        run_dir = self.run_dir
        if run_dir is not None or self.pid is None:
            run_dir = wanted_run_dir(run_dir, self.config_file, os.environ)
        try:
            return find(run_dir, self.pid)
        except NoInstance as none:
            _fail(str(none))
        except SeveralInstances as several:
            lines = [_listed(instance) for instance in several.instances]
            choice = "several instances of Propylon run; choose one with --pid or --run-dir:"
            _fail("\n".join([choice, *lines]), EXIT_USAGE)


def _listed(instance: Instance) -> str:
    what = "(does not say what it serves)"
    if instance.answers:
        try:
            what = headline(read_report(ask(instance, Status(), timeout=LIST_TIMEOUT).data))
        except (NoAnswer, ValueError):
            pass
    pid = f"--pid {instance.pid}" if instance.pid else ""
    return f"  {pid:<14}  --run-dir {instance.run_dir}  {what}"


def _choosing(command: Callable[..., None]) -> Callable[..., None]:
    """A decorator that adds the options that choose an instance; the command gets a Chosen."""

    @click.option("--run-dir", metavar="DIR", help="The instance with this run directory.")
    @click.option("--pid", type=int, metavar="PID", help="The instance whose supervisor this is.")
    @click.option(
        "-c",
        "--config",
        "config_file",
        metavar="FILE",
        help="The instance whose run directory this file names.  [default: propylon.toml in the "
        "current directory, if there is one]",
    )
    def choose(
        run_dir: str | None, pid: int | None, config_file: str | None, **values: Any
    ) -> None:
        command(Chosen(run_dir, pid, config_file), **values)

    choose.__doc__ = command.__doc__
    choose.__name__ = command.__name__
    return choose


_no_wait = click.option(
    "--no-wait", is_flag=True, help="Return as soon as it has begun; `status` tells how it ends."
)


@click.command()
@_no_wait
@_choosing
def reload(chosen: Chosen, no_wait: bool) -> None:
    """Bring new code and configuration into use.

    Workers are replaced one by one. A new one has to start and prove itself before any old one
    goes; if it does not, the old ones serve on, and this ends with the reason and exit code 1.
    """
    _order(chosen.instance(), Reload(wait=not no_wait))


@click.command()
@_no_wait
@_choosing
def rollback(chosen: Chosen, no_wait: bool) -> None:
    """Go back to the configuration before."""
    _order(chosen.instance(), Rollback(wait=not no_wait))


@click.command()
@_no_wait
@_choosing
def upgrade(chosen: Chosen, no_wait: bool) -> None:
    """Replace gateway and supervisor by what is installed now.

    Workers stay as they are, and clients notice nothing.
    """
    instance = chosen.instance()
    end = EndOf(instance)
    answer = _ask(instance, Upgrade())
    click.echo(answer.message)
    match answer.data:
        case {"generation": int(generation)} if not no_wait:
            _wait_for_gateways(instance, generation, end)
        case _:
            pass


def _wait_for_gateways(instance: Instance, generation: int, end: EndOf) -> None:
    """Waits until the new supervisor, which answers at the same socket, has replaced the gateways.
    Ends the program if it could not."""
    until = time.monotonic() + UPGRADE_TIMEOUT
    while time.monotonic() < until:
        time.sleep(POLL)
        try:
            report = read_report(ask(instance, Status()).data)
        except NoAnswer as error:
            if end.has_come:
                _fail(str(error))
            continue
        done = report.reload
        if generation and (done is None or done.generation < generation):
            continue
        if done is not None and done.state == "aborted":
            _fail(f"the new supervisor serves, but the old gateways stay: {done.why}")
        if not generation or (done is not None and done.state == "committed"):
            click.echo("Upgraded")
            return
    _fail("the upgrade takes long; `propylon status` tells how it ends")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@_choosing
def status(chosen: Chosen, as_json: bool) -> None:
    """Show processes, and the last reload.

    Exit code 0: it serves. 1: it starts, stops or cannot answer requests, or none is there.
    """
    answer = _ask(chosen.instance(), Status())
    if as_json:
        click.echo(json.dumps(answer.data, indent=2))
    try:
        report = read_report(answer.data)
    except ValueError as error:
        _fail(f"its status is not understood, --json shows it as it is: {error}")
    if not as_json:
        click.echo(printable(status_text(report, shutil.get_terminal_size((100, 24)).columns)))
    if not is_serving(report):
        sys.exit(EXIT_FAILED)


@click.command()
@click.option(
    "--ready",
    "question",
    flag_value="readyz",
    default="readyz",
    help="Whether requests are answered well; this is the default.",
)
@click.option("--live", "question", flag_value="livez", help="Whether no new start is needed.")
@click.option("--started", "question", flag_value="startupz", help="Whether it has been ready.")
@click.option(
    "--admin-bind",
    "addresses",
    multiple=True,
    metavar="ADDRESS",
    help="Where the admin listener is.  [default: PROPYLON_ADMIN_BIND, or what the instance says]",
)
@click.option("--run-dir", metavar="DIR", help="The instance with this run directory.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 3_600),
    default=DEFAULT_TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="For the whole answer.",
)
def healthcheck(
    question: str, addresses: tuple[str, ...], run_dir: str | None, timeout: float
) -> None:
    """Ask whether it is healthy, as a container engine does.

    It asks the admin listener, and prints one line. Exit code 0: it is. 1: it is not, or does not
    answer.
    """
    sys.exit(check(question, addresses, run_dir, os.environ, timeout))


@click.command()
@click.option("--once", is_flag=True, help="Print one look and end; the same as -n 1.")
@click.option("-n", "count", type=click.IntRange(1), metavar="N", help="Print N looks and end.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3_600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two looks.",
)
@click.option(
    "--sort",
    "order",
    type=click.Choice(tuple(KEYS.values())),
    default="number",
    show_default=True,
    help="What the workers are sorted by.",
)
@_choosing
def top(chosen: Chosen, once: bool, count: int | None, interval: float, order: Order) -> None:
    """Show live what it does: rates, latencies, queues, workers, failures.

    \b
    Keys: n m l r c a g s  sort the workers by number, memory, lag, requests, calls,
                           age, generation, state; once more turns the order round
          p pause   ? help   q quit

    Into a pipe it prints a look after each interval. With `pip install propylon[top]` it has
    colours. Exit code 1: the instance has ended.
    """
    from .top import TopOptions, run_top  # imported here: no other verb needs a terminal

    instance = chosen.instance()
    try:
        run_top(instance, TopOptions(interval, 1 if once else count, order))
    except NoAnswer as error:
        _fail(str(error))
    except BrokenPipeError:  # whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.command()
@_choosing
def drain(chosen: Chosen) -> None:
    """Begin a graceful stop; return at once.

    The instance finishes what is under way and ends, as on SIGTERM. `stop` waits for that.
    """
    _order(chosen.instance(), Drain())


@click.command()
@click.option("--now", is_flag=True, help="Without finishing what is under way.")
@_choosing
def stop(chosen: Chosen, now: bool) -> None:
    """Stop, and wait until it is gone.

    What is under way is finished first, within --timeout-graceful-shutdown.
    """
    instance = chosen.instance()
    end = EndOf(instance)
    try:
        _order(instance, Stop(now=now), ended_well=True)
        end.wait()
    except KeyboardInterrupt:
        _interrupted("the instance goes on stopping")
    click.echo("Stopped")


class _Signed(click.Command):
    """A command with an argument that may be a negative number, which click would take for an
    option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" not in args:
            signed = [word for word in args if re.fullmatch(r"-\d+", word)]
            args = [*(word for word in args if word not in signed), "--", *signed]
        return super().parse_args(ctx, args)


@click.command(cls=_Signed)
@click.argument("workers", metavar="N|+N|-N|auto")
@click.option("--pool", metavar="NAME", default="", help="Which pool, if there are several.")
@_choosing
def scale(chosen: Chosen, workers: str, pool: str) -> None:
    """Run N workers, or N more or fewer.

    That lasts until the instance is started anew, or a reload brings another --workers; a range as
    2..8 does not move it. auto takes it back: as many as configured, or as a range finds right.
    """
    if workers == "auto":
        _order(chosen.instance(), Scale(workers=0, auto=True, pool=pool))
        return
    if not re.fullmatch(r"[+-]?[0-9]{1,4}", workers) or abs(int(workers)) > 4_096:
        raise click.UsageError(
            f"found {workers!r}; expected a number of workers, as 4, +1 or -1, or auto"
        )
    relative = workers[0] in "+-"
    if int(workers) == 0:
        raise click.UsageError("a pool has at least one worker; to end them all, use stop")
    _order(chosen.instance(), Scale(workers=int(workers), relative=relative, pool=pool))


@click.command()
@_choosing
def reopen(chosen: Chosen) -> None:
    """Open all log files again, after logrotate has moved them.

    It returns when every process writes to the new files and has written its last line to the old
    ones, which may be compressed then. If one does not, this names it, with exit code 1.
    """
    _order(chosen.instance(), Reopen())


VERBS: Final = (reload, status, healthcheck, top, drain, stop, scale, rollback, upgrade, reopen)


def _order(instance: Instance, command: Command, *, ended_well: bool = False) -> None:
    """Sends a command and prints its progress and its result. Ends the program if it failed."""
    try:
        answer = _ask(instance, command, ended_well=ended_well)
    except KeyboardInterrupt:
        _interrupted(f"the {name_of(command)} goes on; `propylon status` tells how it ends")
    if answer.message:
        click.echo(answer.message)


def _ask(instance: Instance, command: Command, *, ended_well: bool = False) -> Result:
    try:
        answer = ask(instance, command, click.echo)
    except Ended as ended:
        if ended_well:
            return Result(True, "")
        _fail(str(ended))
    except NoAnswer as error:
        _fail(str(error))
    if not answer.ok:
        _fail(answer.message or f"{name_of(command)} failed; the log says why")
    return answer


def _interrupted(what: str) -> NoReturn:
    click.echo(f"\npropylon: {what}", err=True)
    sys.exit(EXIT_INTERRUPTED)


def _fail(sentence: str, code: int = EXIT_FAILED) -> NoReturn:
    click.echo(f"propylon: {sentence}", err=True)
    sys.exit(code)
