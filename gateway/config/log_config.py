"""--log-config: a file that configures the `logging` module.

A file of JSON, TOML or YAML holds what `logging.config.dictConfig` takes, and any other file what
`logging.config.fileConfig` takes. It is read once, here. Processes get its content as JSON text:
the dictionary, or `{"ini": TEXT}`.
"""

import ast
import configparser
import json
import os
import tomllib
from typing import Any, Final, cast

_PREFIXES: Final = ("json", "toml", "yaml", "ini")
"""Formats as hypercorn names them in front of the path: `json:PATH`."""
_KINDS: Final = {".json": "json", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml"}
_SECTIONS: Final = ("formatters", "filters", "handlers", "loggers")


def read_log_config(path: str) -> str:
    """Returns the file's configuration as JSON text. Raises ValueError with the rest of a sentence
    that begins with the path."""
    kind, _, rest = path.partition(":")
    if kind in _PREFIXES and rest:
        path = rest
    else:
        kind = _KINDS.get(os.path.splitext(path)[1].lower(), "ini")
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise ValueError(f"which cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("which is not UTF-8") from None
    if kind == "ini" and text.lstrip().startswith("{"):
        kind = "json"  # as granian takes it, whatever the name
    if kind == "ini":
        _check_ini(text)
        return json.dumps({"ini": text})
    config = _parse(kind, text)
    _check(config)
    try:
        return json.dumps(config)
    except (TypeError, ValueError) as error:
        raise ValueError(f"which holds what JSON cannot: {error}") from None


def files_of(config: str) -> set[str]:
    """The files that handlers write to, of a configuration that `read_log_config` has returned.
    Files that only an evaluated expression would name are left out."""
    known: dict[str, Any] = json.loads(config)
    if "ini" not in known:
        named = (handler.get("filename") for handler in known.get("handlers", {}).values())
        return {name for name in named if isinstance(name, str)}
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(known["ini"])
    found: set[str] = set()
    for section in parser.sections():
        if not parser.get(section, "class", fallback="").endswith("FileHandler"):
            continue
        try:
            arguments: object = ast.literal_eval(parser.get(section, "args", fallback="()"))
        except (ValueError, SyntaxError):
            continue  # an expression, which only logging evaluates
        first = cast("tuple[object, ...]", arguments)[:1] if isinstance(arguments, tuple) else ()
        found.update(name for name in first if isinstance(name, str))
    return found


def check_log_config(path: str) -> str:
    """Returns the path if its file can be used. Raises ValueError as `read_log_config` does."""
    read_log_config(path)
    return path


def _parse(kind: str, text: str) -> object:
    try:
        if kind == "json":
            return json.loads(text)
        if kind == "toml":
            return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"which is not {kind.upper()}: {error}") from None
    try:
        import yaml  # pyright: ignore[reportMissingModuleSource]
    except ImportError:
        raise ValueError(
            "and YAML needs the package PyYAML: pip install pyyaml, or write it as JSON"
        ) from None
    try:
        return cast("object", yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ValueError(f"which is not YAML: {' '.join(str(error).split())}") from None


def _check(config: object) -> None:
    """Raises ValueError unless the value has the shape that dictConfig wants. Nothing that it names
    is loaded."""
    if not isinstance(config, dict):
        raise ValueError("which is no table of logging's")
    known = cast("dict[str, Any]", config)
    if known.get("version") != 1:
        raise ValueError('which lacks "version": 1, as logging.config.dictConfig wants it')
    for section in _SECTIONS:
        if not isinstance(known.get(section, {}), dict):
            raise ValueError(f"where {section} is no table")
    named = {"handlers": "handler", "filters": "filter"}
    users = [("root", known.get("root", {})), *known.get("loggers", {}).items()]
    users += list(known.get("handlers", {}).items())
    for name, user in users:
        if not isinstance(user, dict):
            raise ValueError(f"where {name!r} is no table")
        each = cast("dict[str, Any]", user)
        for section, word in named.items():
            for one in each.get(section) or ():
                if isinstance(one, str) and one not in known.get(section, {}):
                    raise ValueError(f"where {name!r} names the {word} {one!r}, which is not there")
        formatter = each.get("formatter")
        if isinstance(formatter, str) and formatter not in known.get("formatters", {}):
            raise ValueError(
                f"where {name!r} names the formatter {formatter!r}, which is not there"
            )


def _check_ini(text: str) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ValueError(f"which is not INI: {' '.join(str(error).split())}") from None
    for section, word in (
        ("loggers", "logger"),
        ("handlers", "handler"),
        ("formatters", "formatter"),
    ):
        if not parser.has_option(section, "keys"):
            raise ValueError(f"which has no section [{section}] with keys, as fileConfig wants it")
        for key in parser.get(section, "keys").split(","):
            if key.strip() and not parser.has_section(f"{word}_{key.strip()}"):
                raise ValueError(f"where the section [{word}_{key.strip()}] is not there")
