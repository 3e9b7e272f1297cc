"""What all tests share."""

import signal

import pytest


@pytest.fixture(autouse=True, scope="session")
def signals_are_heard() -> None:
    """Whoever runs the tests in the background may have had these ignored, as nohup does, and
    children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
