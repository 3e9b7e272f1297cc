"""What Python would print on several lines is logged as one event."""

import json
import subprocess
import sys

CODE = """
import threading, warnings
from propylon.gateway.observe.process_log import begin_log
from propylon.gateway.settings import LogSettings

begin_log(LogSettings(format="json"), {"process": "gateway", "gateway": 3})

class Ends:
    def __del__(self):
        raise KeyError("at its end")

Ends()
warnings.warn("old", DeprecationWarning)
thread = threading.Thread(target=lambda: [].pop())
thread.start()
thread.join()
raise LookupError("at last")
"""


def test_warnings_and_exceptions_that_nobody_catches() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", CODE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    found = [(one["level"], one.get("exception", {}).get("type")) for one in lines]
    assert found == [
        ("error", "KeyError"), ("warning", None), ("critical", "IndexError"),
        ("critical", "LookupError"),
    ]  # fmt: skip
    assert "DeprecationWarning: old" in lines[1]["message"]
    assert {(one["process"], one["gateway"]) for one in lines} == {("gateway", 3)}
