"""Makes docs/status.schema.json, the JSON Schema of the status report:

python -m tests.gateway.admin.status_schema > docs/status.schema.json
"""

import ast
import inspect
import json
from collections.abc import Iterator
from typing import Any

import msgspec
from propylon.gateway.control import status


def status_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of what /status and `propylon status --json` show, with what the
    source says of each field."""
    schema = msgspec.json.schema(status.StatusReport)
    described = {(of, field): text for of, field, text in descriptions()}
    for name, definition in schema["$defs"].items():
        # Versions of Python and of msgspec differ about the spaces at the beginning of a line.
        if "description" in definition:
            definition["description"] = " ".join(definition["description"].split())
        for field, known in definition["properties"].items():
            if (name, field) in described:
                known["description"] = described[name, field]
    version = status.StatusReport().schema
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"The status of a Propylon instance, version {version}",
        **schema,
    }


def descriptions() -> Iterator[tuple[str, str, str]]:
    """Class, field and docstring, for each field of the report that has one."""
    for node in ast.parse(inspect.getsource(status)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for field, text in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            ):
                yield node.name, field.target.id, " ".join(text.value.value.split())


def as_file() -> str:
    return json.dumps(status_schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(as_file(), end="")
