"""One word, one meaning: the names that the source gives to things.

A class and a public constant of a module have a name that occurs once in their part, so that it can
be searched for. And words of our own making, or of two meanings, stay out of identifiers: the
field has a word for each (docs/GLOSSARY.md). What travels as text, in messages, in the status or
to a newer version, keeps its name and is no identifier.
"""

import ast
import re
from collections.abc import Iterable, Iterator

import pytest

from .source import PARTS, modules, top, tree, unknown_names, within

CONSTANT = re.compile(r"[A-Z][A-Z0-9_]+")
"""Public ones: what begins with an underscore is its file's own affair."""
STILL_TWICE: dict[str, set[str]] = {
    # Part -> names that still occur twice in it. The lists may only get shorter.
}

SAY = {
    # A word that no identifier may hold -> what the field says
    "attention": "awake clock",
    "believe": "apply trust",
    "bell": "schedule flush",
    "blame": "client faults",
    "chief": "operations",
    "condemn": "stop, or one of the glossary's words for the end of a process",
    "crew": "fleet",
    "cutter": "fragmenter",
    "dismiss": "stop, or one of the glossary's words for the end of a process",
    "door": "worker listener; adapter; closed",
    "doorbell": "schedule flush",
    "farewell": "pending close, flush before exit",
    "holder": "current",
    "leash": "supervisor channel, child channel",
    "notices": "client faults",
    "ring": "schedule flush",
    "seat": "replica",
    "seldom": "log throttle",
    "span": "duration (a span is a trace's)",
    "standing": "pool member",
    "succeeds": "replaces",
    "succession": "replacement",
    "successor": "replacement",
    "survey": "status builder",
    "unflushed": "pending sends",
}
_TRAVELS = "a field of the settings of a gateway, which a supervisor of another version may write"
ALLOWED = {
    # (module, identifier) -> why the word is right there
    ("gateway.assemble", "door"): _TRAVELS,
    ("gateway.config.build", "door"): _TRAVELS,
    ("gateway.settings", "door"): _TRAVELS,
    ("worker.app.load", "holder"): "the module that holds a name, in Python's import system",
}
RIGHT_IN = {
    # Word -> folders and files in which it is the field's own
    "span": {"gateway.exchange.trace_context", "gateway.trace"},
}
STILL_SAID: dict[str, set[str]] = {
    # Word -> folders and files in which it is still said. The lists may only get shorter.
}


# -- a name occurs once ------------------------------------------------------------------------


def names_of(source: ast.Module) -> Iterator[str]:
    """The classes and the public constants of a module, where they are made."""
    for node in source.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        yield from (
            target.id
            for target in targets
            if isinstance(target, ast.Name) and CONSTANT.fullmatch(target.id)
        )


def twice(named: Iterable[tuple[str, ast.Module]]) -> dict[str, list[str]]:
    """Names that more than one of the modules makes, with the modules."""
    makers: dict[str, list[str]] = {}
    for module, source in named:
        for name in set(names_of(source)):
            makers.setdefault(name, []).append(module)
    return {name: where for name, where in makers.items() if len(where) > 1}


@pytest.mark.parametrize("part", PARTS)
def test_a_name_occurs_once(part: str) -> None:
    found = twice((name, tree(name)) for name in sorted(modules()) if top(name) == part)
    still = STILL_TWICE.get(part, set())
    new = {name: where for name, where in found.items() if name not in still}
    assert not new, "\n".join(f"{name} is made by {' and '.join(new[name])}" for name in new)
    assert found.keys() >= still, f"take off STILL_TWICE: {sorted(still - found.keys())}"


def test_a_name_that_occurs_twice_is_caught() -> None:
    one = ("gateway.a", ast.parse("class Listener: ...\nPATIENCE = 1\n_OWN = 2\nx = 1"))
    two = ("gateway.b", ast.parse("class Listener: ...\nPATIENCE: Final = 2\n_OWN = 3\nx = 2"))
    assert twice([one, two]).keys() == {"Listener", "PATIENCE"}
    assert not twice([one])


# -- words -------------------------------------------------------------------------------------


def identifiers(source: ast.Module) -> set[str]:
    """Every name in the source: of classes, functions, parameters, variables, fields."""
    return {
        value
        for node in ast.walk(source)
        for field in ("id", "attr", "name", "arg", "asname")
        if isinstance(value := getattr(node, field, None), str)
    }


def words(identifier: str) -> set[str]:
    """The words of an identifier, in lower case, and singular too where it is a plural."""
    found = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)}
    return found | {word.removesuffix("s") for word in found}


def said(module: str, source: ast.Module) -> set[tuple[str, str]]:
    """Which words that are not to be said the module says, and in which identifier."""
    named = identifiers(source) | {module.split(".")[-1]}
    return {
        (word, name)
        for name in named
        if (module, name) not in ALLOWED
        for word in words(name) & SAY.keys()
        if not within(module, RIGHT_IN.get(word, ()))
    }


def test_words_of_the_field() -> None:
    where = {
        (word, module, name) for module in modules() for word, name in said(module, tree(module))
    }
    new = [
        f"{module}: {name}: not {word}, but {SAY[word]}"
        for word, module, name in sorted(where)
        if not within(module, STILL_SAID.get(word, ()))
    ]
    assert not new, "\n".join(new)


def test_words_that_are_said_no_more_are_taken_off_the_list() -> None:
    where = {(word, module) for module in modules() for word, _ in said(module, tree(module))}
    done = {
        (word, place)
        for word, places in STILL_SAID.items()
        for place in places
        if not any(word == other and within(module, {place}) for other, module in where)
    }
    assert not done, f"take off STILL_SAID: {sorted(done)}"


@pytest.mark.parametrize(
    "snippet",
    [
        "class WorkerSeat: ...",
        "def tell_successors(): ...",
        "def f(door): ...",
        "f(door=1)",
        "self._seats = 1",
        "DOOR_CLOSED = 1",
        "import x as leash",
        "for crew in y: ...",
    ],
)
def test_a_word_of_our_own_is_caught(snippet: str) -> None:
    assert said("gateway.pool.pool", ast.parse(snippet))


@pytest.mark.parametrize(
    "snippet", ["string = 1", "x = 'door'", "outdoor = 1", "def f(spanning): ...", "indoors()"]
)
def test_words_that_only_look_alike_are_not_caught(snippet: str) -> None:
    assert not said("gateway.pool.pool", ast.parse(snippet))


def test_rules_name_what_is_there() -> None:
    assert STILL_TWICE.keys() <= set(PARTS)
    unused = {
        (module, name)
        for module, name in ALLOWED
        if module not in modules() or name not in identifiers(tree(module))
    }
    assert not unused
    for words_of in (STILL_SAID, RIGHT_IN):
        assert words_of.keys() <= SAY.keys()
        assert not unknown_names(place for places in words_of.values() for place in places)
