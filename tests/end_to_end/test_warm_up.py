"""Warm-up requests with everything around them."""

import subprocess

from .server import APPS, DEADLINE, Propylon, command, environment


def test_workers_are_warm_when_the_server_is_ready() -> None:
    with Propylon("asgi_raw:app", "-w", "2", "--warm-up", "/", "--warm-up", "/json") as server:
        with server.client() as client:
            assert client.get("/").status_code == 200
        assert '"GET /json' not in server.stdout.text  # nobody's request, so in no access log


def test_an_app_that_fails_its_warm_up_is_not_served() -> None:
    result = subprocess.run(
        command("serve", "flask_app:app", "-b", "127.0.0.1:0", "--warm-up", "/boom"),
        capture_output=True, text=True, timeout=DEADLINE, check=False, cwd=APPS, env=environment(),
    )  # fmt: skip
    assert result.returncode != 0
    assert "the app answered GET /boom at the warm-up with 500" in result.stderr
