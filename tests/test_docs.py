"""What docs/ and the source say of each other is true: files, names, sections and arrows exist.

Each rule has a text that breaks it; the tests beside it prove that it is caught.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from .house.source import PARTS, ROOT, modules
from .house.test_packaging import source_files
from .house.test_rooms import MAY_IMPORT, WORKER_ROOMS

DOCS = sorted((ROOT / "docs").glob("*.md"))
RUNBOOKS = sorted((ROOT / "deploy").rglob("*.md"))
PAGES = [*DOCS, *RUNBOOKS, ROOT / "README.md", ROOT / "protocol" / "SPEC.md"]
CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"\.?(?:gateway|worker|protocol|package|tests|docs|deploy|ci)/[\w./-]*")
LINK = re.compile(r"\]\(([^)\s]*)\)")
HEADING = re.compile(r"^#+ (.+)$", re.M)
NOT_OURS = {
    # Files of others, or of an app, that a docstring names.
    "conf.py", "main.py", "msgpack.py", "queue.py", "ssl.py", "trio.py", "windows.py",
}  # fmt: skip


def read(path: Path) -> str:
    return path.read_text("utf-8")


@cache
def files() -> frozenset[str]:
    return frozenset(str(path.relative_to(ROOT)) for path in source_files(ROOT))


@cache
def file_names() -> frozenset[str]:
    return frozenset(Path(name).name for name in files())


# -- pages: paths, links ---------------------------------------------------------------------


def missing_paths(text: str) -> set[str]:
    """Files and folders of ours, marked as code, that are not there."""
    named = {one for one in CODE.findall(text) if PATH.fullmatch(one)}
    return {one for one in named if not (ROOT / one).exists()}


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    return {
        "#" + re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(text)
    }


def dead_links(text: str, folder: Path) -> set[str]:
    def leads(link: str) -> bool:
        place, _, anchor = link.partition("#")
        if place and not (folder / place).exists():
            return False
        return not anchor or f"#{anchor}" in anchors(read(folder / place) if place else text)

    return {link for link in LINK.findall(text) if "://" not in link and not leads(link)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_name_what_is_there(page: Path) -> None:
    assert not missing_paths(read(page))
    assert not dead_links(read(page), page.parent)


def test_a_path_or_link_to_nothing_is_caught() -> None:
    assert missing_paths("`gateway/serve/connexion.py`, `gateway/pool/`, `x.py`, `/a/b`") == {
        "gateway/serve/connexion.py"
    }
    text = "# A heading\n[x](#a-heading) [y](#none) [z](SPEC.md#1-words) [v](NONE.md)"
    assert dead_links(text, ROOT / "protocol") == {"#none", "NONE.md"}


# -- the glossary ----------------------------------------------------------------------------


def rows(text: str, columns: tuple[str, ...]) -> Iterator[list[str]]:
    """The cells of all tables with these heads."""
    inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif tuple(cells) == columns:
            inside = True
        elif inside and not set(line) <= set("|- "):
            yield cells


def names_in(source: str) -> set[str]:
    """Every name that the source gives to anything: what is defined, assigned or an attribute."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                found.add(node.name)
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                found.add(name)
            case _:
                pass
    return found


def unowned(text: str) -> list[str]:
    """Rows of the glossary whose owner is not there, or has no such name."""
    wrong: list[str] = []
    for word, _, owner in rows(text, ("word", "meaning", "where")):
        path, *names = CODE.findall(owner) or [""]
        if path not in files():
            wrong.append(f"{word}: there is no file {path}")
        elif missing := set(names) - names_in(read(ROOT / path)):
            wrong.append(f"{word}: {path} has no {', '.join(sorted(missing))}")
    return wrong


def test_the_glossary_names_owners_that_are_there() -> None:
    assert not unowned(read(ROOT / "docs" / "GLOSSARY.md"))


def test_a_word_has_one_entry() -> None:
    entries = re.findall(r"^\| \*\*(.+?)\*\* \|", read(ROOT / "docs" / "GLOSSARY.md"), re.M)
    words = [word for entry in entries for word in entry.split(", ")]
    assert words
    assert len(words) == len(set(words))


def test_an_owner_that_is_not_there_is_caught() -> None:
    text = (
        "| word | meaning | where |\n|---|---|---|\n"
        "| **a** | x | `protocol/codec.py`: `Decoder` |\n"
        "| **b** | x | `protocol/codec.py`: `Encoder` |\n"
        "| **c** | x | `protocol/nothing.py`: `X` |\n"
    )
    assert unowned(text) == [
        "**b**: protocol/codec.py has no Encoder",
        "**c**: there is no file protocol/nothing.py",
    ]


# -- the arrows ------------------------------------------------------------------------------


def arrows(text: str, head: str) -> dict[str, set[str]]:
    return {
        "".join(CODE.findall(room)): set(CODE.findall(there))
        for room, there in rows(text, (head, "may import"))
    }


def test_the_arrows_are_those_that_the_house_rules_hold() -> None:
    text = read(ROOT / "docs" / "ARCHITECTURE.md")
    assert arrows(text, "room") == MAY_IMPORT
    assert arrows(text, "worker room") == WORKER_ROOMS


def floors(text: str) -> list[list[str]]:
    """The rooms of the drawing, the topmost first."""
    drawing = text.partition("lower floors only:")[2].split("```")[1]
    return [re.findall(r"[a-z_0-9]+", line) for line in drawing.splitlines()]


def climbing(drawn: list[list[str]], may_import: dict[str, set[str]]) -> set[tuple[str, str]]:
    """Arrows that do not go down, in the drawing, at least one floor."""
    height = {room: -number for number, line in enumerate(drawn) for room in line}
    return {
        (room, below)
        for room, rooms in may_import.items()
        for below in rooms
        if height.get(room, 0) <= height.get(below, 0)
    }


def test_no_arrow_of_the_drawing_climbs() -> None:
    drawn = floors(read(ROOT / "docs" / "ARCHITECTURE.md"))
    assert MAY_IMPORT.keys() <= {room for line in drawn for room in line}
    assert not climbing(drawn, MAY_IMPORT)


def test_a_climbing_arrow_is_caught() -> None:
    drawn = floors("rooms of lower floors only:\n```\n a  b\n c\n```\n")
    assert drawn == [[], ["a", "b"], ["c"]]
    assert climbing(drawn, {"a": {"b", "c"}, "c": {"a"}}) == {("a", "b"), ("c", "a")}


def test_a_table_of_arrows_is_read() -> None:
    text = "| room | may import |\n|---|---|\n| `a` | |\n| `b` | `a`, `c` |\n\n| `d` | `e` |\n"
    assert arrows(text, "room") == {"a": set(), "b": {"a", "c"}}


# -- what the source cites -------------------------------------------------------------------

MD = re.compile(r"(?<![\w/.-])((?:[\w-]+/)*[A-Z][A-Za-z_-]*\.md)\b")
SECTION = re.compile(r"SPEC\.md[`)]* (?:section )?(\d+(?:\.\d+)?)")
QUOTED_HEADING = re.compile(r'docs/(\w+\.md), "([^"]+)"')
PY = re.compile(r"(?<![\w*<>%{}-])((?:[\w-]+/)*\w+\.py)\b")


@cache
def sections() -> frozenset[str]:
    return frozenset(re.findall(r"^#+ (\d+(?:\.\d+)?)\.? ", read(ROOT / "protocol/SPEC.md"), re.M))


def prose(source: str) -> str:
    """Docstrings and comments; a comment's lines are joined, so that a citation is found whole."""
    said = [
        node.value.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    said.append(" ".join(t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT))
    return "\n".join(" ".join(text.split()) for text in said)


def false_citations(text: str) -> set[str]:
    wrong = {name for name in MD.findall(text) if name not in files() and name not in file_names()}
    wrong |= {f"SPEC.md {number}" for number in SECTION.findall(text) if number not in sections()}
    for page, heading in QUOTED_HEADING.findall(text):
        path = ROOT / "docs" / page
        if not path.exists() or heading not in HEADING.findall(read(path)):
            wrong.add(f'{page}, "{heading}"')
    for name in PY.findall(text):
        known = files() if "/" in name else file_names()
        if name not in known and name.rpartition("/")[2] not in NOT_OURS:
            wrong.add(name)
    return wrong


def test_the_source_cites_what_is_there() -> None:
    wrong = {
        f"{module}: {citation}"
        for module, path in modules().items()
        for citation in false_citations(prose(read(path)))
    }
    assert not wrong


def test_a_false_citation_is_caught() -> None:
    source = '''
"""SPEC.md 6.4, SPEC.md 99.1; docs/ARCHITECTURE.md, "Lifecycle"; docs/ARCHITECTURE.md, "No"."""
x = 1
"""See `nowhere.py`, gateway/pool/pool.py, gateway/pool/nothing.py and docs/NOTHING.md."""
# SPEC.md
# 77 is a section of a comment in two lines; what pool.py does
y = "strings.py are not prose"
'''
    assert false_citations(prose(source)) == {
        "SPEC.md 99.1",
        "SPEC.md 77",
        'ARCHITECTURE.md, "No"',
        "nowhere.py",
        "gateway/pool/nothing.py",
        "docs/NOTHING.md",
    }


# -- rooms say how to read them --------------------------------------------------------------


def rooms() -> dict[str, Path]:
    return {
        name: path
        for name, path in modules().items()
        if path.name == "__init__.py" and name.partition(".")[0] in PARTS
    }


def strangers(text: str, folder: Path) -> set[str]:
    """Names marked as code in a room's reading order that are neither a file nor a room of it."""
    order = text.partition("Reading order:")[2].partition("\n\n")[0]
    named = {one.rstrip("/") for one in CODE.findall(order)}
    here = {path.stem for path in folder.iterdir()} | {path.name for path in folder.iterdir()}
    return {one for one in named if re.fullmatch(r"[a-z_0-9]+(?:\.md)?", one) and one not in here}


@pytest.mark.parametrize("room", sorted(rooms()))
def test_a_reading_order_names_what_is_there(room: str) -> None:
    path = rooms()[room]
    assert not strangers(ast.get_docstring(ast.parse(read(path))) or "", path.parent)


def unnamed(text: str, folder: Path) -> set[str]:
    """Files and rooms of a room that its docstring does not name."""
    named = {one.rstrip("/") for one in CODE.findall(text)}
    files = {path.stem for path in folder.glob("[!_]*.py")}
    return (files | {path.parent.name for path in folder.glob("*/__init__.py")}) - named


@pytest.mark.parametrize("room", sorted(rooms()))
def test_a_room_names_all_that_is_in_it(room: str) -> None:
    path = rooms()[room]
    assert not unnamed(ast.get_docstring(ast.parse(read(path))) or "", path.parent)


def test_a_file_that_its_room_does_not_name_is_caught() -> None:
    assert unnamed("`replica`, `events`", ROOT / "gateway/supervisor/fleet") >= {"rollout"}
    assert unnamed("`run` and no `fleet/`", ROOT / "gateway/supervisor") >= {"upgrade"}


def test_a_stranger_in_a_reading_order_is_caught() -> None:
    text = "`x`\n\nReading order: `outbox`, `unsent`, `SPEC.md` and `LinkMachine`\n\nNot `y`."
    assert strangers(text, ROOT / "protocol") == {"unsent"}
