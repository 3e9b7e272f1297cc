"""What is wrong around an instance: a line in the log, `status` and /readyz, and that it heals."""

import json
import os
import resource
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from propylon.protocol.supervision.problems import REMEDIES

from ..volumes import TmpfsVolume, needs_volumes, read_only
from .server import APPS, DEADLINE, command, descendants, environment, wait_for
from .test_drain import NO_PROXY
from .test_sidecar import Part


def status_of(run_dir: Path, *flags: str) -> str:
    """What `propylon status` says, of the only instance there."""
    asked = subprocess.run(
        command("status", "--run-dir", str(run_dir), *flags),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env=environment(),
        cwd=APPS,
    )
    return asked.stdout or asked.stderr


def uptime(admin: str) -> float:
    return httpx.get(f"{admin}/status", timeout=DEADLINE, **NO_PROXY).json()["uptime"]


def test_workers_that_came_first_say_so_once_and_go_on_when_the_gateway_comes(
    tmp_path: Path,
) -> None:
    shared = ["--run-dir", str(tmp_path / "run")]
    flags = ["-w", "2", "--admin-bind", "127.0.0.1:0", *shared]
    with Part("worker", "asgi_raw:app", *flags) as worker:
        admin = worker.stderr.find(r"(http://127\.0\.0\.1:\d+)", worker.process)[1]
        worker.stderr.find(r"waiting for a gateway at \S+/default; start the gateway's container")
        text = httpx.get(f"{admin}/readyz?verbose", timeout=DEADLINE, **NO_PROXY).text
        assert f"warn: waiting for a gateway at {tmp_path}/run/default; start" in text
        (one,) = json.loads(status_of(tmp_path / "run", "--json"))["problems"]
        assert one["kind"] == "no gateway"
        assert "PROBLEM for" in status_of(tmp_path / "run")
        with Part("gateway", *shared, "-b", "127.0.0.1:0") as gateway:
            worker.stderr.find("No longer: waiting for a gateway", worker.process)
            text = httpx.get(f"{admin}/readyz?verbose", timeout=DEADLINE, **NO_PROXY).text
            assert "warn:" not in text
            url = gateway.stderr.find(r"Serving on (http://[^\s,]+)", gateway.process)[1]
            assert httpx.get(url, timeout=DEADLINE, **NO_PROXY).text == "hello"
            gateway.terminate()
            worker.terminate()
            assert gateway.ended() == 0
            assert worker.ended() == 0
        assert worker.stderr.text.count("waiting for a gateway") == 2


@pytest.mark.slow
def test_a_pool_without_workers_says_so_until_one_is_there(tmp_path: Path) -> None:
    shared = ["--run-dir", str(tmp_path / "run")]
    with Part("gateway", *shared, "-b", "127.0.0.1:0", "--admin-bind", "127.0.0.1:0") as gateway:
        admin = gateway.stderr.find(r"(http://127\.0\.0\.1:\d+)", gateway.process)[1]
        sentence = rf"pool default has no worker that is ready: none is connected at {tmp_path}/run"
        with Part("worker", "asgi_raw:app", *shared) as worker:  # the first one may take a minute
            wait_for(lambda: httpx.get(f"{admin}/readyz", **NO_PROXY).status_code == 200, "ready")
            since = uptime(admin)
            wait_for(lambda: uptime(admin) > since + 2, "two looks, one a second")
            worker.terminate()
            assert worker.ended() == 0
        gateway.stderr.find(sentence, gateway.process)
        text = httpx.get(f"{admin}/readyz?verbose", timeout=DEADLINE, **NO_PROXY).text
        assert "[-]pool default: no worker is ready\n" in text
        assert "warn: pool default has no worker that is ready: none is connected" in text
        assert "PROBLEM for" in status_of(tmp_path / "run")
        with Part("worker", "asgi_raw:app", *shared) as worker:
            gateway.stderr.find("No longer: pool default has no worker", gateway.process)
            worker.terminate()
            assert worker.ended() == 0
        gateway.terminate()
        assert gateway.ended() == 0
        assert gateway.stderr.text.count(f"default; {REMEDIES['no worker']}\n") == 1


@pytest.mark.slow
@needs_volumes
def test_a_volume_that_fills_up_under_a_running_instance(tmp_path: Path) -> None:
    with TmpfsVolume(tmp_path / "volume") as volume:
        run_dir, lines = volume.path / "run", volume.path / "access.log"
        flags = ["--run-dir", str(run_dir), "-b", "127.0.0.1:0", "--access-logfile", str(lines)]
        with Part("serve", "asgi_raw:app", *flags) as one:
            url = one.stderr.find(r"Serving on (http://[^\s,]+)", one.process)[1]
            volume.fill()
            asked = 0
            while "access.log cannot be written" not in one.stderr.text:
                asked += 1  # a page of the file may have room for some more
                long = f"{url}/?{asked}={'x' * 2_000}"
                assert httpx.get(long, timeout=DEADLINE, **NO_PROXY).text == "hello"
                assert asked < 1_000
            one.stderr.find(f"{run_dir}: its volume has no space left; free space", one.process)
            said = json.loads(status_of(run_dir, "--json"))["problems"]
            assert [each["kind"] for each in said] == ["full volume"] * 2
            volume.make_room()
            one.stderr.find("No longer: access-logfile", one.process)
            one.stderr.find("No longer: the run directory", one.process)
            assert json.loads(status_of(run_dir, "--json"))["problems"] == []
            one.terminate()
            assert one.ended() == 0
        names = [line.split("/?")[1].split("=")[0] for line in lines.read_text().splitlines()]
        assert names == [str(number + 1) for number in range(asked)], "they have waited for room"
        assert one.stderr.text.count("cannot be written") == 2, "one that came and went"


@pytest.mark.slow
def test_a_collector_that_is_not_there_until_it_is(tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    from ..fakes.otlp_receiver import otlp_receiver

    with otlp_receiver() as collector:
        collector.refuses_with = 400  # it is not tried again, so this takes no time
        flags = ["--run-dir", str(tmp_path / "run"), "-b", "127.0.0.1:0", "--traces", "otlp"]
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        with Part("serve", "asgi_raw:app", *flags, variables=variables) as one:
            url = one.stderr.find(r"Serving on (http://[^\s,]+)", one.process)[1]
            assert httpx.get(url, timeout=DEADLINE, **NO_PROXY).text == "hello"
            one.stderr.find("the collector takes no spans: .*; start it, or mend", one.process)
            (said,) = json.loads(status_of(tmp_path / "run", "--json"))["problems"]
            assert said["kind"] == "collector"
            collector.refuses_with = 0
            one.stderr.find("No longer: traces: the collector takes no spans", one.process)
            one.terminate()
            assert one.ended() == 0


def kinds(run_dir: Path) -> list[str]:
    return [one["kind"] for one in json.loads(status_of(run_dir, "--json"))["problems"]]


@pytest.mark.slow
def test_a_second_gateway_in_one_directory_ends_or_leaves_it_to_the_first(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    shared = ["--run-dir", str(run_dir)]
    with Part("serve", "asgi_raw:app", "-b", "127.0.0.1:0", *shared) as first:
        url = first.stderr.find(r"Serving on (http://[^\s,]+)", first.process)[1]
        with Part("gateway", "-b", "127.0.0.1:0", *shared) as second:
            second.stderr.find(
                r"run directory \S+ is in use by another gateway \(pid \d+\); each needs its own "
                "--run-dir",
            )
            assert second.ended() == 1
        assert kinds(run_dir) == []
        # Whoever removes the lock lets another one in.
        (run_dir / "gateway.lock").unlink()
        with Part("gateway", "-b", "127.0.0.1:0", *shared) as second:
            first.stderr.find(
                f"{run_dir}/default/1.sock is another process's now; end the other gateway",
                first.process,
            )
            assert httpx.get(url, timeout=DEADLINE, **NO_PROXY).text == "hello"
            second.terminate()
            assert second.ended() == 0
        first.stderr.find("No longer: pool default: .* is another process's now", first.process)
        assert (run_dir / "default" / "1.sock").exists()
        first.terminate()
        assert first.ended() == 0


@pytest.mark.slow
def test_what_a_crash_has_left_hinders_nobody(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    shared = ["--run-dir", str(run_dir)]
    with Part("worker", "asgi_raw:app", *shared) as worker:
        with Part("gateway", "-b", "127.0.0.1:0", *shared) as crashed:
            crashed.stderr.find("Serving on", crashed.process)
            worker.stderr.find("Working for the gateways", worker.process)
            for pid in [crashed.process.pid, *descendants(crashed.process.pid)]:
                os.kill(pid, signal.SIGKILL)
            crashed.ended()
        assert (run_dir / "default" / "1.sock").exists()
        worker.stderr.find(
            f"nobody listens at {run_dir}/default/1.sock; start the gateway again", worker.process
        )
        with Part("gateway", "-b", "127.0.0.1:0", *shared) as gateway:
            worker.stderr.find("No longer: nobody listens at", worker.process)
            url = gateway.stderr.find(r"Serving on (http://[^\s,]+)", gateway.process)[1]
            assert httpx.get(url, timeout=DEADLINE, **NO_PROXY).text == "hello"
            worker.terminate()
            gateway.terminate()
            assert worker.ended() == gateway.ended() == 0


@pytest.mark.slow
@needs_volumes
@pytest.mark.parametrize("part", [("gateway", "-b", "127.0.0.1:0"), ("worker", "asgi_raw:app")])
def test_a_read_only_volume_ends_the_start_with_the_remedy(
    part: tuple[str, ...], tmp_path: Path
) -> None:
    there = tmp_path / "run"
    there.mkdir()
    with (
        read_only(there, tmp_path / "volume") as run_dir,
        Part(*part, "--run-dir", str(run_dir)) as one,
    ):
        assert one.ended() == 1
        one.stderr.find(
            f"run directory {run_dir} is on a read-only volume; mount it without readOnly"
        )
        assert one.stderr.finish().count("\n") == 1


@pytest.mark.slow
def test_a_gateway_out_of_descriptors_says_so_once_and_goes_on(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with Part("serve", "asgi_raw:app", "-b", "127.0.0.1:0", "--run-dir", str(run_dir)) as one:
        url = one.stderr.find(r"Serving on (http://[^\s,]+)", one.process)[1]
        pid = json.loads(status_of(run_dir, "--json"))["gateways"][0]["pid"]
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))  # less than it has open
        with httpx.Client(timeout=DEADLINE, **NO_PROXY) as client, ThreadPoolExecutor(1) as pool:
            answer = pool.submit(client.get, url)
            one.stderr.find("Too many open files: .*; raise the limit", one.process)
            assert kinds(run_dir) == ["open files"]
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
            assert answer.result(DEADLINE).text == "hello"
        one.stderr.find("No longer: .*Too many open files", one.process)
        assert one.stderr.text.count("Too many open files") == 2
        one.terminate()
        assert one.ended() == 0
