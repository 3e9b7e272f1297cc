"""The machine that it was measured on, and the versions of what was measured."""

import os
import platform
import re
from pathlib import Path

from ..compare.versions import version_of
from .contestants import CONTESTANTS

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
