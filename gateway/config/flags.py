"""The table of options as click's flags. Values stay texts: all faults are reported together."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from .option import Option, Verb
from .options import table
from .sources import OTHER_NAMES
from .words import choices, is_many, is_switch

F = TypeVar("F", bound=Callable[..., Any])


def flags(verb: Verb) -> Callable[[F], F]:
    """Adds the verb's app argument and flags to a command, in the table's order."""

    def add(command: F) -> F:
        for name in OTHER_NAMES:
            short = ("-t",) if name == "timeout" else ()
            command = click.option(*short, f"--{name.replace('_', '-')}", name, hidden=True)(
                command
            )
        for row in reversed(list(table().values())):
            if verb in row.verbs:
                command = _flag(row)(command)
        return command

    return add


def _flag(row: Option) -> Callable[[F], F]:
    if row.name == "app":
        return click.argument("app", required=False)
    spelled = [*((row.short,) if row.short else ()), *(f"--{name}" for name in row.names)]
    if is_switch(row.type):
        return click.option(
            f"--{row.name}/--no-{row.name}", row.field, default=None, help=_help(row)
        )
    return click.option(
        *spelled,
        row.field,
        default=None,
        multiple=is_many(row.type),
        metavar=_metavar(row),
        help=_help(row),
    )


def _help(row: Option) -> str:
    if row.default is None or row.default == () or row.default == "":
        return row.help
    default = row.default
    if isinstance(default, bool):
        default = "on" if default else "off"
    elif isinstance(default, tuple):
        default = ",".join(row.default)
    elif isinstance(default, float):
        default = f"{default:g}"
    return f"{row.help}  [default: {default}]" if len(str(default)) < 30 else row.help


def _metavar(row: Option) -> str:
    words = choices(row.type)
    return "|".join(words) if words else row.name.rpartition("-")[2].upper()
