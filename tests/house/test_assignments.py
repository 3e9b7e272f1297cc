"""An object's fields are written by that object. What others want done they ask for, and what they
want to know they are returned.

Counted is every assignment to an attribute whose base is not the bare name `self` or `cls`: `=`,
`+=`, an annotated one, the target of a loop or of a `with`, and `setattr`. `self.call.state = 1`
counts, since the call is another object. Two things do not: what a class's own method makes by
calling the class (`one = cls()` in a constructor, `copy = Call()` within `Call`) is that class's to
fill, and so is a function's own attribute (`f.__doc__`, set by a decorator on what it returns).
Fields of objects that are not ours count too: few libraries want them set.
"""

import ast
from collections.abc import Iterator

import pytest

from .source import ROOT, folder, modules, tree

CEILINGS = {
    # Folder -> assignments to other objects' fields. It may only fall; a folder that is not named
    # has none, and may have none: so it is in every folder that is pure.
    "gateway": 7,
    "gateway/config": 7,
    "gateway/observe": 5,
    "gateway/serve": 3,
    "gateway/supervisor/process": 1,
    "gateway/tls": 7,
    "worker/process": 5,
}


def foreign_assignments(source: ast.AST) -> Iterator[ast.Attribute]:
    """The attributes in the source that are assigned to an object that is not `self`."""
    yield from _foreign(source, "", frozenset({"self", "cls"}))


def _foreign(node: ast.AST, within: str, own: frozenset[str]) -> Iterator[ast.Attribute]:
    """`within`: the class whose body this is; `own`: names of objects that are the class's own."""
    if isinstance(node, ast.ClassDef):
        within = node.name
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        own = own | set(_made_here(node, within))
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        special = node.attr.startswith("__") and node.attr.endswith("__")
        if not special and not (isinstance(node.value, ast.Name) and node.value.id in own):
            yield node
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "setattr"
        and not (isinstance(node.args[0], ast.Name) and node.args[0].id in own)
    ):
        yield ast.Attribute(
            node.args[0], ast.unparse(node.args[1]), ast.Store(), lineno=node.lineno
        )
    for child in ast.iter_child_nodes(node):
        yield from _foreign(child, within, own)


def _made_here(function: ast.AST, within: str) -> Iterator[str]:
    """Names that a class's method gives to objects which it makes of the class."""
    for node in ast.walk(function):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and within
            and ast.unparse(node.value.func) in ("cls", "cls.__new__", within)
        ):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def found() -> dict[str, list[str]]:
    """By folder: where another object's field is assigned."""
    by_folder: dict[str, list[str]] = {}
    for module in sorted(modules()):
        path = modules()[module].relative_to(ROOT)
        for one in foreign_assignments(tree(module)):
            line = f"{path}:{one.lineno}: {ast.unparse(one)}"
            by_folder.setdefault(folder(module), []).append(line)
    return by_folder


def verdicts(where: dict[str, list[str]], ceilings: dict[str, int]) -> list[str]:
    """What is wrong with the folders' numbers, with the lines where there are too many."""
    wrong: list[str] = []
    for name in sorted(where.keys() | ceilings.keys()):
        lines, most = where.get(name, []), ceilings.get(name, 0)
        if len(lines) > most:
            wrong.append(
                f"{name}: {len(lines)} assignments to other objects' fields, and {most} are "
                "allowed: ask the object, or have it tell you"
            )
            wrong += lines
        elif len(lines) < most:
            wrong.append(f"{name}: fewer than CEILINGS allows: lower it to {len(lines)}")
    return wrong


def test_fields_are_written_by_their_object() -> None:
    wrong = verdicts(found(), CEILINGS)
    assert not wrong, "\n".join(wrong)


def test_ceilings_name_what_is_there() -> None:
    assert CEILINGS.keys() <= {folder(module) for module in modules()}
    assert 0 not in CEILINGS.values()


@pytest.mark.parametrize(
    "snippet",
    [
        "call.state = 'open'",
        "self.call.state = 'open'",
        "call.count += 1",
        "call.since: float = 1.0",
        "a, call.b = 1, 2",
        "for call.b in x: pass",
        "with x as call.b: pass",
        "def f(self, other):\n  other.x = 1",
        "class A:\n  def f(self):\n    b = B()\n    b.x = 1",
        "def f():\n  a = A()\n  a.x = 1",
        "setattr(call, 'b', 1)",
        "self.calls[0].b = 1",
    ],
)
def test_an_assignment_to_anothers_field_is_caught(snippet: str) -> None:
    assert len(list(foreign_assignments(ast.parse(snippet)))) == 1


@pytest.mark.parametrize(
    "snippet",
    [
        "self.x = 1",
        "x.y[1] = 2",
        "x = y.z",
        "class A:\n  @classmethod\n  def f(cls):\n    a = cls()\n    a.x = 1",
        "class A:\n  def f(self):\n    a = A(1)\n    a.x = 1",
        "f.__doc__ = 'text'",
    ],
)
def test_what_is_an_objects_own_is_not_caught(snippet: str) -> None:
    assert not list(foreign_assignments(ast.parse(snippet)))


def test_a_ceiling_holds_from_both_sides() -> None:
    where = {"above": ["a", "b"], "below": ["c"], "new": ["d"], "right": ["e"]}
    wrong = verdicts(where, {"above": 1, "below": 2, "right": 1, "gone": 1})
    assert [line.partition(":")[0] for line in wrong] == [
        "above",
        "a",
        "b",
        "below",
        "gone",
        "new",
        "d",
    ]
    assert "1 are allowed" in wrong[0]
    assert "lower it to 1" in wrong[3]
