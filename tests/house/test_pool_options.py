"""An option of a pool is written in two places: its row in the table, and the field of the settings
in the room that acts on it. What lies between passes it on without naming it.
"""

import ast
import dataclasses
from collections.abc import Iterator

import pytest
from propylon.gateway.config.config import PoolConfig
from propylon.gateway.config.options import table
from propylon.gateway.settings import PoolSettings
from propylon.worker.settings import WorkerSettings, settings_of

from .source import modules

BETWEEN = (
    "gateway.config.build",
    "gateway.config.config",
    "gateway.config.load",
    "gateway.config.sections",
    "gateway.config.sources",
    "gateway.supervisor.process.child",
    "gateway.supervisor.process.launcher",
    "gateway.supervisor.process.zygote",
    "worker.command_line",
    "worker.process.zygote",
)
"""Modules on the way from the table to who acts on an option."""
PASSED_ON = {name: row for name, row in table().items() if row.per_pool in ("workers", "gateways")}
ACTED_ON = {"supervisor": PoolConfig, "workers": WorkerSettings, "gateways": PoolSettings}
ANOTHER_THING = {
    ("gateway.config.sections", "limit_concurrency"): "the key of a route's share of its pool",
    ("gateway.config.sources", "limit_concurrency"): "the same",
    ("worker.process.zygote", "interface"): "of the app as it was found, in a report",
}


def names_in(source: str) -> Iterator[str]:
    """Every name, attribute, argument and text, whole."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.keyword(arg=str(name)) | ast.Constant(value=str(name)):
                yield name
            case _:
                pass


def named(module: str, source: str) -> set[str]:
    """Options that the module names although it only passes them on."""
    found = PASSED_ON.keys() & set(names_in(source))
    return {name for name in found if (module, name) not in ANOTHER_THING}


@pytest.mark.parametrize("module", BETWEEN)
def test_what_lies_between_names_no_option(module: str) -> None:
    assert not named(module, modules()[module].read_text("utf-8"))


@pytest.mark.parametrize(
    "snippet",
    [
        "x.max_requests",
        "f(max_requests=1)",
        "{'max_requests': 1}",
        "def f(max_requests): ...",
        "class PoolConfig:\n  max_requests: int = 0",
        "max_requests = 0",
    ],
)
def test_a_third_place_is_caught(snippet: str) -> None:
    assert named("gateway.config.build", snippet) == {"max_requests"}


@pytest.mark.parametrize("name", [name for name, row in table().items() if row.per_pool])
def test_who_acts_on_an_option_has_a_field_of_its_name(name: str) -> None:
    row = table()[name]
    fields = {each.name: each for each in dataclasses.fields(ACTED_ON[row.per_pool])}
    assert name in fields
    assert fields[name].default in (row.default, dataclasses.MISSING)


def test_the_workers_options_are_of_types_that_travel() -> None:
    of_workers = {n: row for n, row in PASSED_ON.items() if row.per_pool == "workers"}
    defaults = {
        name: list(row.default) if isinstance(row.default, tuple) else row.default
        for name, row in of_workers.items()
    }
    settings = settings_of({"app": "main:app", "run_dir": "/run/p"} | defaults)
    assert {name: getattr(settings, name) for name in defaults} == {
        name: row.default for name, row in of_workers.items()
    }
