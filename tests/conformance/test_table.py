"""The tables: the page and the README are what `--write` makes of the results and the checks."""

from .check import all_checks
from .run import Outcome
from .servers import SERVERS
from .table import PAGE, README, RESULTS, Column, from_json, matrix, merged, page, with_sentences


def test_the_page_is_made_of_the_results() -> None:
    columns = from_json(RESULTS.read_text())
    assert [column.name for column in columns] == list(SERVERS)
    assert page(columns) == PAGE.read_text()


def test_the_readme_has_every_sentence() -> None:
    text = README.read_text()
    assert with_sentences(text) == text


def test_a_new_column_takes_its_old_place() -> None:
    check = next(iter(all_checks().values()))

    def column(name: str, word: str) -> Column:
        return Column(name, "asgi", name, "1", "", {check.name: Outcome(word)})  # type: ignore[arg-type]

    both = merged([column("a", "pass"), column("b", "pass")], [column("a", "fail")])
    assert matrix(both, [check])[-1] == f"| {check.name} | {check.level} | ✗ | ✓ |"
