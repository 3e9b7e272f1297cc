"""What all tests share."""

import signal

import pytest


@pytest.fixture(autouse=True, scope="session")
def signals_are_heard() -> None:
    """Whoever runs the tests in the background may have had these ignored, as nohup does, and
    children inherit that; what has a handler begins with the default there, and stays ignored
    here."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, _heard)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _heard)


def _heard(number: int, frame: object) -> None:
    """And nothing done."""
