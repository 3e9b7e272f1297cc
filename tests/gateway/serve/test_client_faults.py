"""Once per kind, address and minute."""

import logging

import pytest
from propylon.gateway.exchange.exchange import Account, Exchange, Request
from propylon.gateway.serve.client_faults import ClientFaults

from ...fakes.exchange_sides import FakeClient, FakeSource


def test_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = 0.0
    log = ClientFaults(lambda: now)
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


def test_what_could_not_be_answered(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    log = ClientFaults(lambda: now)
    for moment in (5.0, 5.1, 65.0):
        now = moment
        for status in (503, 504):
            exchange = Exchange(Request("GET", b"/a\xff", "1.1"), FakeClient())
            exchange.give_reason("It was too slow.")
            log.failed(exchange, status)
            exchange.connect(FakeSource(has_done=Account("api", 2, 0.5, 1)), 0.0)
            exchange.begin_response(200, (), 0.0)
            log.failed(exchange, status)
    whole = r"GET /a\xff was answered with {}: It was too slow."
    cut = r"GET /a\xff was cut short: It was too slow."
    where = " (pool api, worker 2, 0.500 s in the queue, attempts: 1)"
    each = [whole.format(503), cut + where, whole.format(504), cut + where]
    assert caplog.messages == each * 2
    assert {record.levelname for record in caplog.records} == {"WARNING"}
