"""Once per kind, address and minute."""

import logging

import pytest
from propylon.gateway.serve.notices import Notices


def test_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = 0.0
    log = Notices(lambda: now)
    for moment in (5.0, 5.1, 64.9, 65.0):
        now = moment
        log.say("noise", ("10.0.0.1", 1))
        log.say("noise", ("10.0.0.2", 2))
        log.say("silence", ("10.0.0.1", 3))
        log.say("noise", None)
    each = [
        "noise, from 10.0.0.1",
        "noise, from 10.0.0.2",
        "silence, from 10.0.0.1",
        "noise, from a Unix socket",
    ]
    assert caplog.messages == each * 2
