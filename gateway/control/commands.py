"""The protocol of the control socket. Pure.

The client writes one JSON object in one line, `{"command": "reload", ...}`. The supervisor
answers with lines: `{"taken": "reload"}` at once, `{"say": TEXT}` for each line of progress, and
last `{"done": true, "ok": BOOL, "message": TEXT, "data": ANY}`; then it closes. A command that is
refused gets only the last line.
"""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

LONGEST_REQUEST: Final = 4_096
"""Bytes of a request's line at most."""

Workers = Annotated[int, Meta(ge=-4_096, le=4_096)]


class _Command(
    msgspec.Struct, frozen=True, tag_field="command", tag=str.lower, forbid_unknown_fields=True
):
    """The base of all commands. Each travels as a JSON object with a key "command", which holds the
    class's name in lower case."""


class Reload(_Command, frozen=True):
    """Reads the configuration again and replaces the workers."""

    wait: bool = True
    """Whether the answer comes when the reload is committed or aborted, and not when it begins."""


class Rollback(_Command, frozen=True):
    """Reloads with the configuration that was committed before the current one."""

    wait: bool = True


class Upgrade(_Command, frozen=True):
    """Replaces the supervisor and the gateway processes by the code that is installed now. The
    answer comes just before the supervisor replaces itself; its data has the generation of the new
    gateways."""


class Reopen(_Command, frozen=True):
    """Opens the files of all logs again. The answer comes when every process has done it."""


class Status(_Command, frozen=True):
    """Asks for a StatusReport, which is the data of the answer."""


class Drain(_Command, frozen=True):
    """Begins a graceful stop. The answer comes when it has begun."""


class Stop(_Command, frozen=True):
    """Stops the instance. Progress says what the stop waits for, and the end of the process is the
    answer."""

    now: bool = False
    """Whether requests that are running are cut instead of finished."""


class Scale(_Command, frozen=True, omit_defaults=True):
    """Changes the number of a pool's workers. What has its default is not sent, so that an older
    instance understands what it can do."""

    workers: Workers
    relative: bool = False
    """Whether `workers` is added to the present number."""
    pool: str = ""
    """The pool's name; "" means the only pool."""
    auto: bool = False
    """Whether an earlier number is taken back and the configuration's counts; `workers` is not
    looked at."""


Command = Reload | Rollback | Upgrade | Reopen | Status | Drain | Stop | Scale

NAMES: Final = (
    "reload", "rollback", "upgrade", "reopen", "status", "drain", "stop", "scale",
)  # fmt: skip

_DECODER: Final = msgspec.json.Decoder(Command)


class CommandError(Exception):
    """The request makes no sense. The message is a sentence."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a command."""

    ok: bool
    message: str
    """A sentence for people. Further lines may follow it, such as the end of a traceback."""
    data: object = None
    """A value that msgspec can turn into JSON."""


def name_of(command: Command) -> str:
    return type(command).__name__.lower()


def decode_command(line: bytes) -> Command:
    """Reads a request's line. Raises CommandError."""
    try:
        command = _DECODER.decode(line)
    except msgspec.ValidationError as error:
        raise CommandError(_unknown(line) or f"what was asked is malformed: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise CommandError("what was asked is not one JSON object in a line") from None
    if isinstance(command, Scale):
        _check_scale(command)
    return command


def _unknown(line: bytes) -> str:
    """A sentence for a command that does not exist; "" for one that does."""
    try:
        asked: Any = json.loads(line)
        name: Any = asked["command"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    if name in NAMES:
        return ""
    shown = repr(name)[:40]
    return f"there is no command {shown}; there are {', '.join(NAMES)}"


def _check_scale(command: Scale) -> None:
    if command.auto:
        return
    if command.relative and command.workers == 0:
        raise CommandError("scale by 0 changes nothing")
    if not command.relative and command.workers < 1:
        raise CommandError("scale needs at least one worker")


def encode_command(command: Command) -> bytes:
    return msgspec.json.encode(command) + b"\n"


def encode_taken(command: Command) -> bytes:
    return _line({"taken": name_of(command)})


def encode_say(text: str) -> bytes:
    return _line({"say": text})


def encode_result(result: Result) -> bytes:
    """The last line of an answer. Raises TypeError or ValueError if JSON cannot hold the data."""
    data = msgspec.to_builtins(result.data)
    return _line({"done": True, "ok": result.ok, "message": result.message, "data": data})


def _line(answer: dict[str, Any]) -> bytes:
    # Not msgspec: an app's error may hold half a surrogate pair, which UTF-8 cannot encode.
    return json.dumps(answer, allow_nan=False).encode() + b"\n"
