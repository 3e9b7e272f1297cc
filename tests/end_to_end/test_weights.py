"""Workers of several containers behind one gateway: their weights and labels."""

import json
import subprocess
from collections import Counter
from pathlib import Path

import httpx
import pytest

from .server import DEADLINE, command, environment, wait_for
from .test_sidecar import Part
from .test_sticky import APP


@pytest.mark.slow
def test_a_heavier_worker_gets_more_and_status_says_who_they_are(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(APP)
    shared = ["--run-dir", str(tmp_path / "run")]
    app = ["main:app", "--app-dir", str(tmp_path), *shared]

    with (
        Part("gateway", *shared, "-b", "127.0.0.1:0") as gateway,
        Part("worker", *app, "--weight", "3", "--label", "zone=a", "--label", "size=large"),
        Part("worker", *app),
    ):
        url = gateway.stderr.find(r"Serving on (http://\S+)", gateway.process)[1].rstrip(",")

        def linked() -> list[dict]:
            said = subprocess.run(
                command("status", "--json", "--pid", str(gateway.process.pid), *shared),
                capture_output=True, check=True, env=environment(), timeout=DEADLINE,
            ).stdout  # fmt: skip
            return [one for one in json.loads(said)["linked"] if one["state"] == "ready"]

        found = {
            one["weight"]: one for one in wait_for(lambda: len(linked()) == 2 and linked(), "both")
        }
        assert found[3]["labels"] == {"zone": "a", "size": "large"}
        assert found[1]["labels"] == {}
        with httpx.Client(timeout=DEADLINE, trust_env=False) as client:
            counts = Counter(client.get(url).text for _ in range(40))
        assert counts == {str(found[3]["pid"]): 30, str(found[1]["pid"]): 10}
        text = subprocess.run(
            command("status", "--pid", str(gateway.process.pid), *shared),
            capture_output=True, text=True, check=True, env=environment(), timeout=DEADLINE,
        ).stdout  # fmt: skip
        assert "from elsewhere, weight 3, zone=a, size=large" in " ".join(text.split())
