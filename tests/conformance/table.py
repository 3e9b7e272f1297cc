"""The outcomes of all servers as JSON, and as the tables of docs/CONFORMANCE.md."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .check import Check, Word, all_checks
from .run import Outcome, Outcomes

SIGNS: dict[Word, str] = {
    "pass": "✓",
    "fail": "✗",
    "not offered": "○",
    "not applicable": "·",
}
HEAD = """# Conformance

Which sentences of the ASGI specifications and of PEP 3333 does a server keep? Here is what each
server did with each of them, by [`tests/conformance`](../tests/conformance/README.md). Every server
ran with its defaults and one worker process, but for what its command below says.

✓ kept · ✗ broken · ○ not offered (an extension, or what a sentence leaves open) · · not applicable
(it does no TLS, or the sentence needs something that the server does not do)

A sentence of level *must* says must, or states what a server does; *should* says should; *may*
leaves it to the server.

Propylon does otherwise on purpose in one place, of level *should*. A WSGI app that sets
`Connection: keep-alive`, as many that stream events do, is served without the field, and not
failed.

```
python -m tests.conformance --server all --write   # this page and tests/conformance/results.json
python -m tests.conformance --server propylon,uvicorn
```
"""


@dataclass(frozen=True)
class Column:
    """What was found of one server."""

    name: str
    interface: str
    package: str
    version: str
    command: str
    outcomes: Outcomes

    def count(self, word: Word, level: str = "") -> int:
        checks = all_checks()
        return sum(
            one.word == word and level in ("", checks[name].level)
            for name, one in self.outcomes.items()
        )


def to_json(columns: list[Column]) -> str:
    return json.dumps([asdict(column) for column in columns], indent=1, ensure_ascii=False) + "\n"


def from_json(text: str) -> list[Column]:
    known = all_checks()

    def column(entry: dict[str, Any]) -> Column:
        outcomes = {
            name: Outcome(**one) for name, one in entry.pop("outcomes").items() if name in known
        }
        return Column(outcomes=outcomes, **entry)

    return [column(entry) for entry in json.loads(text)]


def merged(old: list[Column], new: list[Column]) -> list[Column]:
    """The new columns in the places of old ones of the same name; others behind."""
    by_name = {column.name: column for column in new}
    kept = [by_name.pop(column.name, column) for column in old]
    return [*kept, *by_name.values()]


def summary(columns: list[Column]) -> list[str]:
    lines = [
        "| server | version | must: ✓ | must: ✗ | should: ✓ | should: ✗ | ○ | · |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in columns:
        counts = [
            one.count("pass", "must"), one.count("fail", "must"), one.count("pass", "should"),
            one.count("fail", "should"), one.count("not offered"), one.count("not applicable"),
        ]  # fmt: skip
        cells = " | ".join(map(str, counts))
        lines.append(f"| {one.name} | {one.package} {one.version} | {cells} |")
    return lines


def matrix(columns: list[Column], checks: list[Check]) -> list[str]:
    names = " | ".join(one.name for one in columns)
    lines = [f"| check | level | {names} |", "|---|---|" + ":-:|" * len(columns)]
    for check in checks:
        words = [one.outcomes.get(check.name) for one in columns]
        cells = " | ".join(SIGNS[one.word] if one else "" for one in words)
        lines.append(f"| {check.name} | {check.level} | {cells} |")
    return lines


def page(columns: list[Column]) -> str:
    parts = [HEAD]
    checks = all_checks().values()
    for interface, title in (("asgi", "ASGI"), ("wsgi", "WSGI")):
        some = [one for one in columns if one.interface == interface]
        about = [check for check in checks if (check.family == "wsgi") == (interface == "wsgi")]
        parts += [f"## {title}\n", *summary(some), "", *matrix(some, about), ""]
    parts += ["## What was broken\n", "What a server did instead, where a sentence is broken.\n"]
    for one in columns:
        broken = [f"- {name}: {cell(found)}" for name, found in failed(one)]
        parts += [f"### {one.name}\n", *(broken or ["Nothing."]), ""]
    parts += ["## Commands\n", "```"]
    parts += [f"{one.name}: {one.command}" for one in columns]
    return "\n".join([*parts, "```", ""])


def failed(column: Column) -> list[tuple[str, Outcome]]:
    return [(name, one) for name, one in column.outcomes.items() if one.word == "fail"]


def cell(found: Outcome) -> str:
    """As code, since it quotes bytes and Markdown."""
    return f"`{found.detail[:160].replace('`', '')}`" if found.detail else ""


def text(columns: list[Column]) -> str:
    """For a terminal."""
    width = max(map(len, all_checks()))
    lines = [" " * width + "  " + "  ".join(one.name for one in columns)]
    for check in all_checks().values():
        words = [one.outcomes.get(check.name) for one in columns]
        if any(words):
            cells = [
                (SIGNS[word.word] if word else " ").center(len(one.name))
                for one, word in zip(columns, words, strict=True)
            ]
            lines.append(f"{check.name:{width}}  {'  '.join(cells)}  {check.level}")
    for one in columns:
        lines.append(f"\n{one.name} ({one.package} {one.version})")
        lines += [f"  ✗ {name}: {found.detail}" for name, found in failed(one)]
        words: tuple[Word, ...] = ("pass", "fail", "not offered", "not applicable")
        lines.append("  " + ", ".join(f"{one.count(word)} {word}" for word in words))
    return "\n".join(lines)


def sentences() -> list[str]:
    """The README's table: sentence -> check."""
    lines: list[str] = []
    place = ("", "")
    for check in all_checks().values():
        if (check.text, check.section) != place:
            place = (check.text, check.section)
            title = check.section.replace("``", "")
            lines += ["", f"**{check.text}, {title}**", ""]
            lines += ["| check | level | sentence |", "|---|---|---|"]
        says = check.says.replace("``", "`").replace("|", "\\|").replace("[5]_ ", "")
        lines.append(f"| {check.name} | {check.level} | {says} |")
    return lines[1:]


def with_sentences(readme: str) -> str:
    """The README with its table made anew."""
    before, mark, _ = readme.partition("<!-- made by --write -->\n")
    assert mark
    return before + mark + "\n" + "\n".join(sentences()) + "\n"


HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
PAGE = HERE.parents[1] / "docs/CONFORMANCE.md"
README = HERE / "README.md"
