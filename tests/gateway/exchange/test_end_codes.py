"""The table of end codes: closed, worded by who, and the same as operators read it."""

import re
from pathlib import Path

import pytest
from propylon.gateway.exchange import end_codes
from propylon.gateway.exchange.end_codes import END_CODES, OK, code_of, has_failed
from propylon.gateway.exchange.exchange import Exchange, Request

from ...fakes.exchange_sides import FakeClient, FakeSource

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "END-CODES.md"
_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.M)


def exchange() -> Exchange:
    return Exchange(Request("POST", b"/", "1.1"), FakeClient())


@pytest.mark.parametrize("word", END_CODES)
def test_a_row_is_whole(word: str) -> None:
    row = END_CODES[word]
    assert row.word == word
    assert re.fullmatch(r"ok|(client|gateway|worker|app)(_[a-z]+)+", word)
    assert row.who in ("client", "gateway", "worker", "app")
    assert row.meaning[0].isupper()
    assert row.meaning.endswith(".")
    assert row.status


def test_the_page_for_operators_has_the_same_rows() -> None:
    listed = {match[1]: match.groups()[1:4] for match in _ROW.finditer(PAGE.read_text())}
    assert list(listed) == list(END_CODES)
    for word, row in END_CODES.items():
        assert listed[word] == (row.phase, row.status, row.meaning), word


def test_where_it_is_given() -> None:
    """Each word is said somewhere, by its name and not as a text that nobody would find."""
    told = [path.read_text() for path in (ROOT / "gateway").rglob("*.py")]
    names = {name: value for name, value in vars(end_codes).items()
             if name.isupper() and isinstance(value, str) and value in END_CODES}  # fmt: skip
    assert {*names.values()} == set(END_CODES)
    for name, word in names.items():
        if word != OK:
            assert any(re.search(rf"\b{name}\b(?!: Final)", text) for text in told), name
            assert not any(f'give_end("{word}"' in text for text in told), word


def test_the_first_word_stays() -> None:
    one = exchange()
    assert (code_of(one), has_failed(one)) == (OK, False)
    one.give_end(end_codes.GATEWAY_QUEUE_FULL)
    one.give_end(end_codes.CLIENT_LEFT_RESPONSE)
    assert (code_of(one), has_failed(one)) == ("gateway_queue_full", True)


@pytest.mark.parametrize(
    ("marks", "code"),
    [
        ("connected", "client_left_app"),
        ("connected body", "client_left_upload"),
        ("connected waiting", "client_left_queue"),
        ("connected body waiting", "client_left_queue"),
        ("connected body waiting started", "client_left_upload"),
        ("connected waiting started", "client_left_app"),
        ("connected body head", "client_left_response"),
    ],
)
def test_where_a_client_has_left(marks: str, code: str) -> None:
    one, said = exchange(), marks.split()
    one.connect(FakeSource(), 1.0)
    one.body_goes_on("body" in said)
    if "waiting" in said:
        one.wait()
    if "started" in said:
        one.start(2.0)
    if "head" in said:
        one.begin_response(200, (), 3.0)
    assert end_codes.where_client_left(one) == code


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "client_malformed"), (413, "client_too_large"), (431, "client_too_large"),
     (505, "client_unsupported"), (403, "client_foreign_origin")],
)  # fmt: skip
def test_the_code_of_a_refused_request(status: int, code: str) -> None:
    assert end_codes.refused_with(status) == code
