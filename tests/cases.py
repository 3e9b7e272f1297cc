"""Parametrized tests whose cases take long, because each starts processes."""

from collections.abc import Iterable
from typing import Any

import pytest


def some_slow(everyday: int, cases: Iterable[Any]) -> list[Any]:
    """Cases for `pytest.mark.parametrize`. The first `everyday` ones run always, the rest with
    the slow tests. Each is a value, or a tuple of them."""
    return [
        case
        if number < everyday
        else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
        for number, case in enumerate(cases)
    ]
