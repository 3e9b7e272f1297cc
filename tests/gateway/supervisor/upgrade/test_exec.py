"""An exec(2) that cannot be made leaves the supervisor as it was: its children need it."""

import os
import signal
from collections.abc import Iterator

import msgspec
import pytest
from propylon.gateway import json_texts
from propylon.gateway.supervisor.signals import WANTED
from propylon.gateway.supervisor.upgrade.exec import exec_installed_code
from propylon.gateway.supervisor.upgrade.saved_state import VARIABLE, Handover

from .test_saved_state import SAVED


@pytest.fixture
def channel() -> Iterator[int]:
    read, write = os.pipe()
    yield read
    os.close(read)
    os.close(write)


def test_a_child_that_has_ended_has_no_channel_to_hand_over(channel: int) -> None:
    saved = json_texts.decode(SAVED, Handover)
    children = [
        msgspec.structs.replace(child, channel=number)
        for child, number in zip(saved.children, (channel, -1), strict=False)
    ]
    handover = msgspec.structs.replace(
        saved, children=children, listeners=[], lock=None, control=None
    )
    assert "Bad file descriptor" in exec_installed_code(handover, [])
    assert not os.get_inheritable(channel)
    assert VARIABLE not in os.environ
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & set(WANTED)
