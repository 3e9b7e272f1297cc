"""Options that other servers write in a way that click cannot tell from ours.

Some short options mean one thing to gunicorn and hypercorn and another to daphne, and some options
take a value in one server and none in the next. The value tells which is meant.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from .values import TRUTH, WEBSOCKETS

_DIGITS = re.compile(r"[0-9]{1,5}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
_LOG_FILE = re.compile(r"-|.*/.*|.*\.log")
_PROXY_PROTOCOL: Final = {"off": False, "v1": True, "v2": True, "auto": True}
_WEBSOCKETS: Final = (*WEBSOCKETS, "auto", "none")

Rule = Callable[[str], "list[str] | None"]
"""Takes an option's value and returns the arguments that replace option and value; None means
that both stay as they were typed."""


def read_arguments(words: Sequence[str]) -> list[str]:
    """Returns the same command line with our own options. It raises nothing: arguments that make
    no sense are left for click to refuse."""
    left = list(words)
    read: list[str] = []
    while left:
        word = left.pop(0)
        if word == "--":
            return [*read, word, *left]
        name, equals, value = word.partition("=")
        if len(word) > 2 and word[0] == "-" and word[1] != "-" and word[:2] in _RULES:
            name, equals, value = word[:2], "=", word[2:].removeprefix("=")  # -p8000
        name = name.replace("_", "-") if name.startswith("--") else name
        if name in _ALONE:
            read.append(_ALONE[name])
        elif name not in _RULES:
            read.append(word)
        elif equals:
            read += _RULES[name](value) or [word]
        elif left and (spelled := _RULES[name](left[0])) is not None:
            read += spelled
            left.pop(0)
        else:
            read.append(_WITHOUT_VALUE.get(name, word))
    return _with_daphnes_host(read)


def _port_or_pid(value: str) -> list[str] | None:
    return ["--port", value] if _DIGITS.fullmatch(value) else None


def _user_or_socket(value: str) -> list[str] | None:
    return ["--uds", value] if "/" in value or value.endswith(".sock") else None


def _variable_or_endpoint(value: str) -> list[str] | None:
    return None if _VARIABLE.fullmatch(value) else ["--endpoint", value]


def _version_or_verbosity(value: str) -> list[str] | None:
    return ["--verbosity", value] if value in ("0", "1", "2", "3") else None


def _access_log(value: str) -> list[str] | None:
    """The option is a switch for us, and names a file for hypercorn and daphne."""
    if value.lower() in (*TRUTH, "true", "false"):
        return _switch("access-log", value)
    return ["--access-logfile", value] if _LOG_FILE.fullmatch(value) else None


def _ws(value: str) -> list[str] | None:
    """The option takes a word for uvicorn, and is a switch for granian."""
    return [f"--ws={value}"] if value.lower() in _WEBSOCKETS else None


def _proxy_protocol(value: str) -> list[str] | None:
    wanted = _PROXY_PROTOCOL.get(value.lower())
    return None if wanted is None else [f"--{'' if wanted else 'no-'}proxy-protocol"]


def _switch(name: str, value: str) -> list[str] | None:
    word = TRUTH.get(value.lower(), value.lower())
    if word in ("true", "1", "t", "y"):
        return [f"--{name}"]
    return [f"--no-{name}"] if word in ("false", "0", "f", "n") else None


def _deflate(value: str) -> list[str] | None:
    """The option takes true or false for uvicorn, and is a switch for us."""
    return _switch("ws-per-message-deflate", value)


_RULES: Final[dict[str, Rule]] = {
    "-p": _port_or_pid,
    "-u": _user_or_socket,
    "-e": _variable_or_endpoint,
    "-v": _version_or_verbosity,
    "--access-log": _access_log,
    "--ws": _ws,
    "--proxy-protocol": _proxy_protocol,
    "--ws-per-message-deflate": _deflate,
}
_ALONE: Final = {"--no-ws": "--ws=none"}
_WITHOUT_VALUE: Final = {"--ws": "--ws=auto", "-v": "--version"}


def _with_daphnes_host(words: list[str]) -> list[str]:
    """Makes --host of a -b that is daphne's: a host alone, with a port in another option."""
    if not any(word == "--port" or word.startswith("--port=") for word in words):
        return words
    at = [index for index, word in enumerate(words[:-1]) if word == "-b"]
    if len(at) == 1 and re.fullmatch(r"[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\]", words[at[0] + 1]):
        words[at[0]] = "--host"
    return words
