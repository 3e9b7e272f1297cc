"""What is said on the control socket. Pure.

The client writes one JSON object in one line, `{"command": "reload", ...}`. The supervisor
answers with lines: `{"taken": "reload"}` at once, `{"say": TEXT}` as often as there is something
to say, and last `{"done": true, "ok": BOOL, "message": TEXT, "data": ANY}`; then it closes.
A command that is refused gets only the last line.
"""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

LONGEST_REQUEST: Final = 4_096
"""Bytes of the request's line."""

Workers = Annotated[int, Meta(ge=-4_096, le=4_096)]


class _Command(
    msgspec.Struct, frozen=True, tag_field="command", tag=str.lower, forbid_unknown_fields=True
):
    """Each is a JSON object whose "command" is the class's name in small letters."""


class Reload(_Command, frozen=True):
    """New workers, and the configuration read again."""

    wait: bool = True
    """False: answered when it has begun, not when it is committed or aborted."""


class Rollback(_Command, frozen=True):
    """Back to the last configuration that was committed before this one."""

    wait: bool = True


class Upgrade(_Command, frozen=True):
    """The supervisor and the gateway processes are replaced by what is installed now. Answered
    when the supervisor is about to be, with the generation of the gateways as data."""


class Status(_Command, frozen=True):
    """Answered with a StatusReport as data."""


class Drain(_Command, frozen=True):
    """Begins a graceful stop; answered when it has begun."""


class Stop(_Command, frozen=True):
    """The same; what it waits for is said, and the end of the process is the answer."""

    now: bool = False
    """True: without finishing what is under way."""


class Scale(_Command, frozen=True):
    """As many workers as that, or so many more or fewer."""

    workers: Workers
    relative: bool = False
    pool: str = ""
    """"": the only one."""


Command = Reload | Rollback | Upgrade | Status | Drain | Stop | Scale

NAMES: Final = ("reload", "rollback", "upgrade", "status", "drain", "stop", "scale")

_DECODER: Final = msgspec.json.Decoder(Command)


class CommandError(Exception):
    """What was asked for makes no sense, as a sentence."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a command."""

    ok: bool
    message: str
    """For people; its first line says all, more may follow (the end of a traceback)."""
    data: object = None
    """What msgspec can turn into JSON."""


def name_of(command: Command) -> str:
    return type(command).__name__.lower()


def decode_command(line: bytes) -> Command:
    """Raises CommandError."""
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
    """ "" for a command that is known."""
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
    """Raises TypeError or ValueError for data that is no JSON."""
    data = msgspec.to_builtins(result.data)
    return _line({"done": True, "ok": result.ok, "message": result.message, "data": data})


def _line(answer: dict[str, Any]) -> bytes:
    # Not msgspec: an app's error may have half a surrogate pair in it, which is no UTF-8.
    return json.dumps(answer, allow_nan=False).encode() + b"\n"
