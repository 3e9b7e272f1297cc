"""The table of options as click's flags.

Values stay texts here. `load` checks them, so that all faults are reported together.
"""

from collections.abc import Callable
from typing import Any, Final, get_args

import click
from click.shell_completion import CompletionItem

from .arguments import read_arguments
from .option import Option, Verb
from .options import table
from .peers_options import PEERS_OPTIONS
from .values import choices, is_many, is_switch

SECTIONS: Final = {
    "app": "App",
    "address": "Addresses",
    "proxies": "Proxies in front",
    "processes": "Processes",
    "time": "Times",
    "limits": "Limits",
    "requests": "Request ids",
    "responses": "Responses",
    "http2": "HTTP/2",
    "websocket": "WebSocket",
    "tls": "TLS",
    "log": "Log",
    "admin": "Admin listener",
    "development": "Development",
}
"""Headings, in order, of help and of `propylon check`."""


class ServingCommand(click.Command):
    """A verb that takes the table's options. Its help has the table's sections, and options that
    other servers write differently are understood.

    Its hundreds of flags are made when they are asked for: every start of Propylon, and every
    `propylon status` of a probe, would wait for those of all verbs.
    """

    def __init__(self, *, verb: Verb, **more: Any) -> None:
        super().__init__(**more)
        self._flags_of: Verb | None = verb

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        if self._flags_of is not None:
            self.params = [*flags(self._flags_of), *self.params]
            self._flags_of = None
        return super().get_params(ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, read_arguments(args))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        shown = {option.name: option.get_help_record(ctx) for option in options}
        rows = table()
        for section in dict.fromkeys((*SECTIONS, *(row.section for row in rows.values()))):
            records = [
                record
                for name, row in rows.items()
                if row.section == section and (record := shown.pop(name, None))
            ]
            if records:
                with formatter.section(SECTIONS.get(section, section.capitalize())):
                    formatter.write_dl(records, col_max=24)
        rest = [record for record in shown.values() if record]
        with formatter.section("General"):
            formatter.write_dl(rest, col_max=24)


def flags(verb: Verb) -> list[click.Parameter]:
    """The verb's argument `app` and its flags, in the table's order."""
    found: list[click.Parameter] = []
    for row in table().values():
        if verb in row.verbs:
            found.append(_flag(row))
            found.extend(_flag(row, alias) for alias in row.aliases)
    found.extend(_peers_flag(name) for name in PEERS_OPTIONS)
    return found


def _flag(row: Option, alias: str = "") -> click.Parameter:
    """The flag of one option. `alias` is another name of it, which is hidden: help mentions it with
    the option itself."""
    if row.name == "app":
        return click.Argument(["app"], required=False, metavar=f"[{row.metavar}]")
    name = alias or row.name
    field = name.replace("-", "_")
    if is_switch(row.type):
        return click.Option(
            [f"--{name}/--no-{name}", field], default=None, help=_help(row), hidden=bool(alias)
        )
    return click.Option(
        [*([row.short] if row.short and not alias else ()), f"--{name}", field],
        default=None,
        multiple=is_many(row.type),
        metavar=metavar(row),
        help=_help(row),
        hidden=bool(alias),
        shell_complete=_complete(row),
    )


def _peers_flag(name: str) -> click.Option:
    row = PEERS_OPTIONS[name]
    field = name.replace("-", "_")
    short = (row.short,) if row.short else ()
    if row.takes == "nothing":
        spelled = f"--{name}" if name.startswith("no-") else f"--{name}/--no-{name}"
        return click.Option([*short, spelled, field], is_flag=True, default=None, hidden=True)
    return click.Option(
        [*short, f"--{name}", field], default=None, multiple=row.takes == "values", hidden=True
    )


def _complete(
    row: Option,
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]] | None:
    """What a shell offers for a value: the choices of the option, or files."""
    words = choices(row.type)
    if words:
        return lambda ctx, parameter, begun: click.Choice(words).shell_complete(
            ctx, parameter, begun
        )
    if metavar(row) in ("PATH", "DIR"):
        return click.Path(file_okay=metavar(row) == "PATH").shell_complete
    return None


def _help(row: Option) -> str:
    more: list[str] = []
    if row.example:
        more.append(f"example: {row.example}")
    if row.aliases:
        more.append(f"also: {', '.join(f'--{alias}' for alias in row.aliases)}")
    if default := _default(row):
        more.append(f"default: {default}")
    return f"{row.help}  [{'; '.join(more)}]" if more else row.help


def _default(row: Option) -> str:
    default = row.default
    if default is None or default == () or default == "":
        return ""
    if isinstance(default, bool):
        return "on" if default else "off"
    if isinstance(default, tuple):
        return ",".join(row.default)
    text = f"{default:g}" if isinstance(default, float) else str(default)
    return text if len(text) < 30 else ""


def metavar(row: Option) -> str:
    """The kind of value that an option takes, as help shows it: its choices, SECONDS, N, or what
    the table names."""
    words = choices(row.type)
    if words:
        return "|".join(words)
    if row.metavar:
        return row.metavar
    kinds = [row.type, *get_args(row.type)]
    if float in kinds:
        return "SECONDS"
    return "N" if int in kinds or any(int in get_args(k) for k in kinds) else "TEXT"
