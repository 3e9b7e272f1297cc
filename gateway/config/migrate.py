"""`propylon migrate`: makes a propylon.toml of another server's configuration file.

Settings take the same way as options of a command line (`translate`), so that a file means what the
same options mean when they are typed. A setting that cannot be carried over becomes a comment with
the reason.
"""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from typing import Any, Final, cast

from .app_name import attribute_in, meant_by_path
from .faults import shown
from .migrate_names import (
    GUNICORN,
    GUNICORN_SAME,
    HOOKS,
    HYPERCORN,
    UWSGI,
    UWSGI_IDLE,
    UWSGI_REASONS,
)
from .options import names, table
from .peers_options import PEERS_OPTIONS
from .reading import Reading
from .sources import FILE, FLAG, Found, Sources
from .translate import translate
from .values import is_many

LONGEST_RUN: Final = 30.0
"""Seconds that a configuration file in Python may take to run."""

_RUN = """
import json, os, sys
path = sys.argv[1]
out, sys.stdout = sys.stdout, sys.stderr
sys.path.insert(0, os.getcwd())
scope = {"__builtins__": __builtins__, "__name__": "__config__", "__file__": path}
exec(compile(open(path, "rb").read(), path, "exec"), scope)
module = type(sys)
print(json.dumps({
    name: {"function": True} if callable(value) else {"value": value}
    for name, value in scope.items()
    if not name.startswith("_") and not isinstance(value, (module, type))
}, default=str), file=out)
"""
"""A program that runs the file as gunicorn does and prints its globals as JSON."""


_NAMES: Final = {name.replace("-", "_") for name in (*names(), *PEERS_OPTIONS)}


class MigrateError(Exception):
    """The file cannot be carried over; the message is a sentence."""


def migrate(path: str) -> str:
    """Returns the text of a propylon.toml. A file in Python is run, in a process of its own. Raises
    MigrateError."""
    if not os.path.isfile(path):
        raise MigrateError(f"{path}: there is no such file")
    file = _File(path)
    if path.endswith(".py"):
        hypercorns = "hypercorn" in os.path.basename(path)
        file.python(_run(path), HYPERCORN if hypercorns else GUNICORN)
    elif path.endswith(".toml"):
        file.settings(_toml(path), HYPERCORN)
    elif path.endswith((".ini", ".cfg")):
        file.uwsgi(_ini(path))
    else:
        raise MigrateError(
            f"{path}: its name tells whose it is: gunicorn.conf.py, hypercorn.toml or uwsgi.ini"
        )
    return file.text()


class _File:
    """One file that is being carried over: the values found so far, and comments for the rest."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._found: Sources = {}
        self._left: list[str] = []

    def python(self, content: Mapping[str, Mapping[str, Any]], called: Mapping[str, str]) -> None:
        known = set(called) | (GUNICORN_SAME if called is GUNICORN else _NAMES)
        for name, entry in content.items():
            if name in HOOKS and "function" in entry:
                self._leave(f"{name}()", f"hooks are not called: {HOOKS[name]}")
            elif "value" in entry and (name in known or name == "logconfig_dict"):
                self.setting(name, entry["value"], called.get(name, name.replace("_", "-")))
            elif name == "secure_scheme_headers":
                self._leave(name, "X-Forwarded-Proto of a trusted proxy is believed; no other name")

    def settings(self, content: Mapping[str, Any], called: Mapping[str, str]) -> None:
        for name, value in content.items():
            self.setting(name, value, called.get(name, name.replace("_", "-")))

    def setting(self, name: str, value: object, option: str) -> None:
        row = names().get(option)
        if value is None or value == [] or value == {}:
            return
        if name == "logconfig_dict":
            self._leave(name, "write it to a file of JSON, and name that as log-config")
        elif row is None and option not in PEERS_OPTIONS:
            self._leave(name, f"(it was {shown(value)}) there is no such option here")
        elif name == "logger_class" and not isinstance(value, str):
            self._leave(name, PEERS_OPTIONS["logger-class"].why)
        else:
            if row is not None and is_many(row.type) and isinstance(value, str):
                value = [value] if row.field != "bind" else value.split(",")
            self._found[row.field if row else option.replace("-", "_")] = Found(value, name, FILE)

    def uwsgi(self, lines: list[tuple[str, str]]) -> None:
        values: dict[str, Any] = {}
        for key, value in lines:
            if key in UWSGI_REASONS:
                self._leave(f"{key} = {value}", UWSGI_REASONS[key])
            elif key in UWSGI_IDLE:
                self._left.append(f"# left out: {key} = {value}: nothing has to be said for that")
            elif not UWSGI.get(key, "x"):
                values[key] = value
            elif key not in UWSGI:
                self._leave(f"{key} = {value}", "there is no such option here")
            elif UWSGI[key] in ("env", "bind", "pythonpath"):
                values.setdefault(UWSGI[key], []).append(value)
            else:
                values[UWSGI[key]] = _of_uwsgi(key, value)
        attribute = values.pop("callable", "")
        if ":" not in values.get("app", ":"):
            values["app"] += f":{attribute or 'application'}"
        if "reload" in values:
            values["reload"] = values["reload"] not in ("0", "false")
        for option, value in values.items():
            self.setting(option, value, option)

    def text(self) -> str:
        reading = Reading()
        translate(self._found, reading, {})
        lines: list[str] = []
        for field, row in table().items():
            given = self._found.get(field)
            if given is None:
                continue
            faults = len(reading.faults)
            text = isinstance(given.value, str)
            value = reading.value(row, Found(given.value, given.origin, FLAG if text else FILE))
            if len(reading.faults) == faults:
                shape = f"{value:03o}" if field == "umask" else value
                lines.append(f"{row.name} = {_toml_value(shape)}")
        lines += [f"# not carried over: {fault}" for fault in reading.faults]
        lines += [f"# note: {note}" for note in reading.notes if " has no effect: " not in note]
        lines += [f"# left out: {note}" for note in reading.notes if " has no effect: " in note]
        lines += self._left
        head = f"# What {os.path.basename(self._path)} says, for Propylon. Look through it, then\n"
        return "\n".join([f"{head}# `propylon check` says what it comes to.", "", *lines, ""])

    def _leave(self, what: str, why: str) -> None:
        line = f"# not carried over: {what}: {why}"
        self._left.append(" ".join(line.split()))


def _of_uwsgi(key: str, value: str) -> object:
    if key == "wsgi-file":
        path = value.rstrip()
        named = meant_by_path(path).rpartition(": ")[2].split()
        module = named[-1] if named[-1] != "--factory" else named[-2]
        return module if attribute_in(path) else module.partition(":")[0]
    return f"{value}M" if key == "reload-on-rss" and value.isdecimal() else value


def _run(path: str) -> dict[str, dict[str, Any]]:
    try:
        ended = subprocess.run(
            [sys.executable, "-c", _RUN, path],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST_RUN,
        )
    except subprocess.TimeoutExpired:
        raise MigrateError(f"{path} has run for {LONGEST_RUN:g} s without an end") from None
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise MigrateError(f"{path} cannot be run: {last}")
    return cast("dict[str, dict[str, Any]]", json.loads(ended.stdout))


def _toml(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise MigrateError(f"{path} is not TOML: {error}") from None


def _ini(path: str) -> list[tuple[str, str]]:
    """The keys and values of the section [uwsgi], in order. A key may come several times, which
    configparser does not allow."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise MigrateError(f"{path} cannot be read: {error}") from None
    lines: list[tuple[str, str]] = []
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line.strip("[]")
        elif line and line[0] not in "#;" and section == "uwsgi" and "=" in line:
            key, _, value = line.partition("=")
            lines.append((key.strip(), value.strip()))
    if not lines:
        raise MigrateError(f"{path} has no section [uwsgi]")
    return lines


def _toml_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, (list, tuple)):
        parts = cast("list[object]", list(cast("Any", value)))
        return f"[{', '.join(_toml_value(part) for part in parts)}]"
    text = json.dumps(str(value), ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")
