"""slowhttptest's four attacks at once: everybody else is answered, and who is slow is closed."""

import re
import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

import pytest

from .contestants import propylon
from .servers import running
from .slow_clients import ATTACKS, LARGE

CONNECTIONS, SECONDS = 200, 20
LIMITS = ("--header-timeout", "3", "--min-rate-grace", "2", "--send-timeout", "4")
PATHS = {"slow body": "/up", "slow read": LARGE}
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
FASTER = {"slow head": ("-i", "1"), "slow body": ("-i", "1")}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("slowhttptest") is None, reason="apt-get install slowhttptest")
def test_slow_clients_harm_nobody_and_are_closed(tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(running(propylon(*LIMITS), "hello:app"))
        attacks: dict[str, subprocess.Popen[str]] = {}
        for name, (_, flags) in ATTACKS.items():
            command = ["slowhttptest", *flags, *FASTER.get(name, ()), "-p", "5"]
            command += ["-c", str(CONNECTIONS), "-r", "100", "-l", str(SECONDS)]
            command += ["-u", server.url + PATHS.get(name, "/")]
            attacks[name] = stack.enter_context(
                subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
                )
            )
            stack.callback(attacks[name].kill)
        answered = 0
        while attacks["slow head"].poll() is None or attacks["slow body"].poll() is None:
            with urlopen(server.url, timeout=5) as response:
                answered += response.status == 200
            time.sleep(0.1)
        said = {name: one.communicate(timeout=2 * SECONDS)[0] for name, one in attacks.items()}
    assert answered > 10
    for name, text in said.items():
        assert "Exit status:" in text
        assert not re.search(r"service available:\s+NO", COLOURS.sub("", text)), name
    for name in ("slow head", "slow body"):
        # It ends before its time only when the server has closed all that it had.
        assert "No open connections left" in said[name], said[name][-500:]
