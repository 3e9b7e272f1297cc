"""The machine that it was measured on, and the versions of what was measured."""

import os
import platform
import re
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .contestants import CONTESTANTS
from .processes import Absent, program

APPS_AND_LOOPS = ("fastapi", "django", "flask", "uvloop", "httptools", "h11")


def machine(contestants: set[str]) -> dict[str, str]:
    packages = sorted({one for name in contestants for one in CONTESTANTS[name].packages})
    return {
        "cores": str(os.cpu_count()),
        "processor": processor(),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: version_of(name) for name in (*packages, *APPS_AND_LOOPS, "wrk")},
    }


def processor() -> str:
    match = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.M)
    return match[1] if match else "unknown"


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
