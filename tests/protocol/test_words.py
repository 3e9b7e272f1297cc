"""Texts for people: whatever an app's exception says, it travels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.protocol.link import MAX_TEXT, LinkMachine, clip_text
from propylon.protocol.messages import BYE, DRAIN, NOT_READY, RESET

from .pair import opened, output

BAD = "no such user: \ud800" + "é" * MAX_TEXT


@pytest.mark.parametrize(
    ("text", "as_said"), [("plain", "plain"), ("café", "café"), ("a\ud800b", "a\\ud800b")]
)
def test_what_cannot_be_said_is_escaped(text: str, as_said: str) -> None:
    assert clip_text(text) == clip_text(text, end=True) == as_said


@given(st.text(st.characters(), max_size=30).map(lambda text: text * 2000), st.booleans())
def test_they_fit(text: str, end: bool) -> None:
    said = clip_text(text, end=end)
    assert len(said.encode()) <= MAX_TEXT
    plain = text.encode("utf-8", "backslashreplace").decode()
    assert plain.endswith(said) if end else plain.startswith(said)
    assert len(said) >= min(len(plain), MAX_TEXT // 4 - 1)


@pytest.mark.parametrize("side", ["gateway", "worker"])
def test_every_message_that_has_them(side: str) -> None:
    gateway, gateway_call, worker, worker_call = opened(more=True)
    link: LinkMachine = gateway if side == "gateway" else worker
    said = clip_text(BAD)
    link.drain(BAD)
    link.reset(gateway_call if side == "gateway" else worker_call, 3, BAD)
    if side == "worker":
        worker.not_ready("lifespan", BAD, BAD)
    link.bye(1, BAD)
    expected = [(DRAIN, said), (RESET, 1, 3, said), (BYE, 1, said)]
    if side == "worker":
        expected.insert(2, (NOT_READY, "lifespan", said, clip_text(BAD, end=True)))
    assert output(link) == expected
