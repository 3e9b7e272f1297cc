"""Speed is measured without the guard of `tests/guarded`, which costs a call per event."""

import os

import pytest


@pytest.fixture(autouse=True, scope="session")
def contestants_are_not_guarded() -> None:
    os.environ.pop("PYTHONPATH", None)
