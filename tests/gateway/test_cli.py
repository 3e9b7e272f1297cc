"""The command as it is typed: what it prints and its exit code."""

import os
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
from propylon.gateway.config.options import table

from ..cases import some_slow
from .running import COMMAND


def run(*arguments: str, cwd: Path, **env: str) -> tuple[int, str, str]:
    clean = {name: value for name, value in os.environ.items() if "PROPYLON" not in name}
    ended = subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, env=clean | env, capture_output=True, text=True, timeout=20
    )
    return ended.returncode, ended.stdout, ended.stderr


def test_version(tmp_path: Path) -> None:
    assert run("--version", cwd=tmp_path) == (0, f"propylon {version('propylon')}\n", "")


@pytest.mark.parametrize("verb", ["serve", "worker", "gateway", "check"])
def test_help(tmp_path: Path, verb: str) -> None:
    code, out, err = run(verb, "-h", cwd=tmp_path)
    assert (code, err) == (0, "")
    assert "--workers" in out
    assert ("--bind" in out) == (verb != "worker")
    assert ("--loop" in out) == (verb != "gateway")
    assert "--timeout " not in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    some_slow(
        4,
        [
            (["mysite.wsgi"], "to serve an app, say: propylon serve mysite.wsgi"),
            (["serv"], "there is no command serv; did you mean serve?"),
            (
                ["--wrokers", "2", "main:app"],
                "there is no option --wrokers; did you mean --workers?",
            ),
            (
                ["serve", "main:app", "--worker", "2"],
                "there is no option --worker; did you mean --workers?",
            ),
            (["serve", "main:app", "other:app"], "Got unexpected extra argument (other:app)"),
            (["serve"], "no app is named; say which: propylon serve main:app"),
            (["serve", "a:b", "-w"], "Option '-w' requires an argument."),
            (["serve", "a:b", "-c", "x.toml"], "x.toml: cannot be read: No such file or directory"),
            (
                ["worker", "a:b"],
                "--run-dir: propylon worker needs it: the directory that gateway and workers share",
            ),
        ],
    ),
)
def test_faults_are_one_sentence_and_code_2(
    tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    code, out, err = run(*arguments, cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith(f"propylon: {sentence}")
    assert err.count("\n") == 1


def test_check_prints_every_option(tmp_path: Path) -> None:
    code, out, _ = run(
        "check", "--no-app", "main:app", "-k", "trio", "--ws-ping-interval=7", cwd=tmp_path
    )
    assert code == 0
    printed = {line.split()[0] for line in out.splitlines() if line.startswith("  ")}
    assert {row.name for row in table().values()} <= printed
    assert f"  {'ws-ping-interval':<26} {'7':<28} --ws-ping-interval\n" in out


def test_what_check_accepts_serve_starts_with(tmp_path: Path) -> None:
    code, out, err = run("check", "main:app", "--access-logformat=%(nonsense)s", cwd=tmp_path)
    assert (code, out) == (2, "")
    start = "propylon: --access-logformat: found '%(nonsense)s'; it has the unknown atom "
    assert err.startswith(start + "%(nonsense)s; known are h l u t r ")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'app = "a:b"\n[[pools]\n', "not TOML: "),
        (b"\xff\xfe", "not TOML: not UTF-8"),
    ],
)
def test_a_broken_file_is_one_fault(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "propylon.toml").write_bytes(content)
    code, _, err = run("serve", cwd=tmp_path)
    assert code == 2
    assert err.startswith(f"propylon: propylon.toml: {sentence}")
    assert err.count("\n") == 1
    code, _, err = run("serve", "--workers=x", cwd=tmp_path)
    assert [line.split(":")[1] for line in err.splitlines()] == [" propylon.toml", " --workers"]


def test_all_faults_at_once(tmp_path: Path) -> None:
    (tmp_path / "propylon.toml").write_text("wokers = 3\n")
    code, out, err = run(
        "serve", "main:app", "-t", "30s", "--port", "x", cwd=tmp_path, WEB_CONCURRENCY="y"
    )
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "propylon.toml",
        "--port",
        "WEB_CONCURRENCY",
        "--timeout",
    ]
    assert "found '30s'; expected a number of seconds" in lines[3]


def test_check(tmp_path: Path) -> None:
    (tmp_path / "propylon.toml").write_text('app = "main:app"\nwrite = 1\n')
    code, out, err = run("check", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err == "propylon: propylon.toml: write: there is no such key\n"

    (tmp_path / "propylon.toml").write_text('app = "main:app"\n')
    code, out, err = run(
        "check", "--no-app", "--processes", "2", cwd=tmp_path, PROPYLON_RELOAD_DIR="."
    )
    assert code == 0
    assert out.startswith("Read propylon.toml\n")
    assert "  workers                    2                            --processes\n" in out
    assert err == "note: files are not watched: --reload is not given\n"


def test_gunicorns_timeout_is_the_heartbeats(tmp_path: Path) -> None:
    code, out, err = run("check", "--no-app", "main:app", "-t", "120", cwd=tmp_path)
    assert code == 0
    assert f"  {'heartbeat-timeout':<26} {'120':<28} --timeout\n" in out
    assert err.startswith("note: --timeout: taken as gunicorn means it, for heartbeat-timeout:")
    assert "use request-timeout" in err
    _, out, _ = run(
        "check", "--no-app", "main:app", "-t", "120", "--heartbeat-timeout=5", cwd=tmp_path
    )
    assert f"  {'heartbeat-timeout':<26} {'5':<28} --heartbeat-timeout\n" in out


def test_every_alias_is_a_flag(tmp_path: Path) -> None:
    arguments = (
        "--processes=2 --chdir=. --blocking-threads=3 --keep-alive=4 --graceful-timeout=5 "
        "--worker-connections=6 --url-path-prefix=/x --access-log-fmt=json -k trio -b [::1]:9"
    )
    code, out, _ = run("check", "--no-app", "main:app", *arguments.split(), cwd=tmp_path)
    assert code == 0
    for name, value, typed in (
        ("workers", "2", "processes"),
        ("threads", "3", "blocking-threads"),
        ("timeout-keep-alive", "4", "keep-alive"),
        ("timeout-graceful-shutdown", "5", "graceful-timeout"),
        ("limit-concurrency", "6", "worker-connections"),
        ("root-path", "/x", "url-path-prefix"),
        ("access-logformat", "json", "access-log-fmt"),
        ("bind", "[::1]:9", "bind"),
    ):
        assert f"  {name:<26} {value:<28} --{typed}\n" in out
    assert "  default: main:app, 2 workers, interface auto, loop trio\n" in out


@pytest.mark.slow
def test_check_imports_every_app(tmp_path: Path) -> None:
    """As a worker would; nothing of it is run."""
    (tmp_path / "good.py").write_text(
        "async def app(scope, receive, send):\n    raise SystemExit\n"
    )
    code, out, err = run("check", "good:app", cwd=tmp_path)
    assert (code, err) == (0, "")
    assert out.endswith("\nImports\n  default: good:app, asgi\n")
    (tmp_path / "bad.py").write_text("def app(a, b):\n    return []\n\nimport striper\n")
    (tmp_path / "dies.py").write_text("import os\nos._exit(9)\n")
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(60)\n")
    (tmp_path / "propylon.toml").write_text(
        "startup-timeout = 1\n"
        + "".join(
            f"[[pools]]\nname = '{name}'\napp = '{name}:app'\n"
            f"[[routes]]\nprefix = '/{name}'\npool = '{name}'\n"
            for name in ("bad", "dies", "good", "slow")
        )
    )
    code, out, err = run("check", cwd=tmp_path)
    assert code == 3
    assert out.endswith("\nImports\n  good: good:app, asgi\n")
    assert re.search(r"(?m)^propylon: pool bad: bad:app cannot be imported: .*striper", err)
    assert f'File "{tmp_path}/bad.py", line 4' in err
    assert "pool dies: dies:app cannot be imported: the process that imports it exited with" in err
    assert "pool slow: slow:app cannot be imported: importing it takes longer than 1 s" in err
    assert run("check", "--no-app", cwd=tmp_path)[::2] == (0, "")


def test_the_command_is_light(tmp_path: Path) -> None:
    """Help and check load neither trio nor what serves."""
    code = (
        "import sys; import propylon.gateway.cli; "
        "print([name for name in ('trio', 'h11', 'asyncio', 'watchfiles') if name in sys.modules])"
    )
    ended = subprocess.run([COMMAND[0], "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert ended.stdout == "[]\n"
