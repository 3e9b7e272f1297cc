"""What all tests share."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from .bytecode import compile_package, compile_tests
from .guarded.write_guard import INHERITED, guard, may_write

# Exams and stages assert for many tests: what was wrong is to be seen there too.
pytest.register_assert_rewrite("tests.fakes", "tests.gateway.serve.stage")

# No example has a time of its own: the machine may be doing something else.
settings.register_profile("propylon", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("propylon")

GUARD = guard()
os.environ[INHERITED] = os.pathsep.join(may_write())
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(Path(__file__).parent / "guarded"), os.environ.get("PYTHONPATH")])
)


def pytest_configure(config: pytest.Config) -> None:
    """Whoever starts the workers compiles for all of them."""
    if not hasattr(config, "workerinput"):
        compile_package()
        compile_tests(config)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """A test and its fixtures write into temporary folders only."""
    GUARD.active = True
    try:
        return (yield)
    finally:
        GUARD.active = False


@pytest.fixture(autouse=True, scope="session")
def signals_are_heard() -> None:
    """Whoever runs the tests in the background may have had these ignored, as nohup and a shell's &
    do, and children inherit that; what has a handler begins with the default there, and stays
    ignored here."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _heard)


def _heard(number: int, frame: object) -> None:
    """And nothing done."""
