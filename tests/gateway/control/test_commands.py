"""The lines of the control socket."""

import json

import pytest
from propylon.gateway.control import commands
from propylon.gateway.control.commands import (
    CommandError,
    Result,
    decode_command,
    encode_command,
    encode_result,
)

EVERY = [
    (commands.Reload(), {"command": "reload", "wait": True}),
    (commands.Reload(wait=False), {"command": "reload", "wait": False}),
    (commands.Rollback(), {"command": "rollback", "wait": True}),
    (commands.Upgrade(), {"command": "upgrade"}),
    (commands.Reopen(), {"command": "reopen"}),
    (commands.Status(), {"command": "status"}),
    (commands.Drain(), {"command": "drain"}),
    (commands.Stop(now=True), {"command": "stop", "now": True}),
    (
        commands.Scale(workers=-1, relative=True, pool="api"),
        {"command": "scale", "workers": -1, "relative": True, "pool": "api"},
    ),
    # An older instance would not know `auto`, and gets it only where it is meant.
    (commands.Scale(workers=4), {"command": "scale", "workers": 4}),
    (
        commands.Scale(workers=0, auto=True),
        {"command": "scale", "workers": 0, "auto": True},
    ),
]


@pytest.mark.parametrize(("command", "said"), EVERY)
def test_there_and_back(command: commands.Command, said: dict[str, object]) -> None:
    line = encode_command(command)
    assert json.loads(line) == said
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_command(line) == command


def test_every_command_is_known_by_its_name() -> None:
    assert {said["command"] for _, said in EVERY} == set(commands.NAMES)
    assert all(commands.name_of(command) == said["command"] for command, said in EVERY)


def test_what_need_not_be_said() -> None:
    assert decode_command(b'{"command":"reload"}') == commands.Reload(wait=True)
    assert decode_command(b'{"command":"scale","workers":3}') == commands.Scale(workers=3)


REFUSED = [
    ("", "what was asked is not one JSON object in a line"),
    ("reload", "what was asked is not one JSON object in a line"),
    ('{"command":"reload"', "what was asked is not one JSON object in a line"),
    ("[" * 4_000, "what was asked is "),
    ('["reload"]', "what was asked is malformed: Expected `object`, got `array`"),
    ("{}", "what was asked is malformed: Object missing required field `command`"),
    ('{"command":null}', "there is no command None; there are reload, "),
    ('{"command":["reload"]}', "there is no command ['reload']; "),
    ('{"command":"relaod"}', "there is no command 'relaod'; there are reload, rollback, "),
    ('{"command":"Reload"}', "there is no command 'Reload'; "),
    ('{"command":"' + "x" * 500 + '"}', "there is no command 'xxxx"),
    ('{"command":"stop","now":1}', "what was asked is malformed: Expected `bool`, got `int`"),
    ('{"command":"stop","now":"yes"}', "what was asked is malformed: Expected `bool`, got `str`"),
    ('{"command":"stop","then":1}', "what was asked is malformed: Object contains unknown field"),
    ('{"command":"scale"}', "what was asked is malformed: Object missing required field `workers`"),
    ('{"command":"scale","workers":"3"}', "what was asked is malformed: Expected `int`"),
    ('{"command":"scale","workers":1.5}', "what was asked is malformed: Expected `int`"),
    ('{"command":"scale","workers":5000}', "what was asked is malformed: Expected `int` <= 4096"),
    ('{"command":"scale","workers":0}', "scale needs at least one worker"),
    ('{"command":"scale","workers":-1}', "scale needs at least one worker"),
    ('{"command":"scale","workers":0,"relative":true}', "scale by 0 changes nothing"),
]


@pytest.mark.parametrize(("line", "sentence"), REFUSED)
def test_what_makes_no_sense_is_refused_with_a_sentence(line: str, sentence: str) -> None:
    with pytest.raises(CommandError) as caught:
        decode_command(line.encode())
    assert str(caught.value).startswith(sentence)
    assert len(str(caught.value)) < 200


def test_what_is_not_utf8() -> None:
    with pytest.raises(CommandError):
        decode_command(b'{"command":"\xff"}')


def test_half_a_surrogate_pair_can_be_answered() -> None:
    """As in an error about a file whose name is not UTF-8."""
    line = encode_result(Result(False, "no file \udcff\nhere", {"detail": "\ud800"}))
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "done": True,
        "ok": False,
        "message": "no file \udcff\nhere",
        "data": {"detail": "\ud800"},
    }
