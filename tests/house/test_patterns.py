"""No pattern of ours repeats a group possessively: before Python 3.11.5 that reads wrongly.

A group whose last turn fails half-way leaves the position where it failed (cpython gh-106052), so
`(?:;a(?:=b)?+)*+` matches all of `;a=`. Distributions ship such Pythons, and these patterns decide
what a request may look like. A single class that is repeated possessively is right in all of them.
"""

import importlib
import re
import re._constants as constants  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Iterator
from typing import Any

import pytest

from .source import modules

SINGLE = {constants.IN, constants.LITERAL, constants.NOT_LITERAL, constants.ANY}


def possessive_groups(parsed: Any) -> Iterator[str]:
    for operation, argument in parsed:
        if operation is constants.POSSESSIVE_REPEAT:
            item = argument[2]
            if len(item) != 1 or item[0][0] not in SINGLE:
                yield f"{{{argument[0]},{argument[1]}}}+"
        for part in argument if isinstance(argument, tuple | list) else ():
            for inner in part if isinstance(part, list) else (part,):
                if isinstance(inner, parser.SubPattern):
                    yield from possessive_groups(inner)


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    for name in modules():
        if name.endswith("__main__"):
            continue
        module = importlib.import_module(f"propylon.{name}")
        for attribute, value in vars(module).items():
            if isinstance(value, re.Pattern):
                yield f"{name}.{attribute}", value


def test_no_group_is_repeated_possessively() -> None:
    found = list(patterns())
    assert len(found) > 20
    wrong = [name for name, one in found if list(possessive_groups(parser.parse(one.pattern)))]
    assert not wrong


@pytest.mark.parametrize(
    "text", [rb"(?:ab)*+", rb"x(?:a|bc)?+", rb"((?:[ab]c)++)", rb"(?:(?:ab)?+c)*"]
)
def test_one_that_is_is_caught(text: bytes) -> None:
    assert list(possessive_groups(parser.parse(text)))


@pytest.mark.parametrize("text", [rb"[ab]*+(?:a*+b)?", rb"x++", rb"(?:ab)*"])
def test_what_is_right_is_not_caught(text: bytes) -> None:
    assert not list(possessive_groups(parser.parse(text)))
