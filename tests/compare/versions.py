"""Versions of what was compared: packages, and programs that say theirs."""

import re
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from .processes import Absent, program


@cache
def version_of(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        pass
    try:
        command = [program(name), "version" if name == "caddy" else "-v"]
        done = subprocess.run(command, capture_output=True, text=True)
    except Absent:
        return "not installed"
    match = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return match[0] if match else "unknown"
