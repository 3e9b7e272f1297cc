"""On the real clocks of this thread."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from propylon.worker.wsgi.wait_meter import WaitMeter

SCHEDSTAT = Path("/proc/thread-self/schedstat")


def compute(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def delayed() -> float:
    """Seconds that this thread has wanted a processor, as far as the system counts it."""
    return int(SCHEDSTAT.read_text().split()[1]) * 1e-9 if SCHEDSTAT.exists() else 0.0


def measured(*calls: tuple[float, float], within: list[float] | None = None) -> WaitMeter:
    """Calls that compute and wait for so many seconds. `within`: gets what each was `delayed`."""
    meter = WaitMeter()
    for computes, waits in calls:
        began = time.monotonic()
        before = delayed()
        meter.begin()
        compute(computes)
        time.sleep(waits)
        if within is not None:
            within.append(delayed() - before)
        meter.end(time.monotonic() - began)
    return meter


def test_it_tells_waiting_from_computing() -> None:
    before, within = delayed(), list[float]()
    meter = measured((0.02, 0.03), (0.01, 0.02), within=within)
    waited, between = meter.waited, delayed() - before - sum(within)
    assert meter.calls == 2
    assert 0.03 <= meter.computed < 0.04
    # It asks the system once for all calls, so that what delays the thread between two of them is
    # taken off as well.
    assert waited + between >= 0.045
    meter.reset()
    assert (meter.calls, meter.took, meter.computed) == (0, 0.0, 0.0)
    assert abs(meter.waited) < 0.005


@pytest.mark.skipif(not SCHEDSTAT.exists(), reason="the system does not count it")
def test_who_lacks_a_processor_does_not_wait() -> None:
    """Other processes compute on the same one."""
    here = {min(os.sched_getaffinity(0))}
    results: list[tuple[float, float]] = []

    def run() -> None:
        os.sched_setaffinity(0, here)  # of this thread
        meter = measured((0.1, 0.0))
        results.append((meter.took - meter.computed, meter.waited))

    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        for other in others:
            os.sched_setaffinity(other.pid, here)
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        for other in others:
            other.kill()
            other.wait()
    ((lacked, waited),) = results
    assert lacked > 0.05
    assert waited < 0.3 * lacked
