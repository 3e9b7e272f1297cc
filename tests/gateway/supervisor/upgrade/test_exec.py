"""An exec(2) that cannot be made leaves the supervisor as it was: its children need it. One that is
made loses no signal."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest
from propylon.gateway import json_texts
from propylon.gateway.supervisor.signals import WANTED
from propylon.gateway.supervisor.upgrade.exec import exec_installed_code
from propylon.gateway.supervisor.upgrade.saved_state import VARIABLE, Handover

from .test_saved_state import SAVED


@pytest.fixture
def channel() -> Iterator[int]:
    read, write = os.pipe()
    yield read
    os.close(read)
    os.close(write)


def test_a_child_that_has_ended_has_no_channel_to_hand_over(channel: int) -> None:
    saved = json_texts.decode(SAVED, Handover)
    children = [
        msgspec.structs.replace(child, channel=number)
        for child, number in zip(saved.children, (channel, -1), strict=False)
    ]
    handover = msgspec.structs.replace(
        saved, children=children, listeners=[], lock=None, control=None
    )
    open_before = os.listdir("/proc/self/fd")
    wakeup = os.eventfd(0, os.EFD_NONBLOCK)
    before = signal.set_wakeup_fd(wakeup)
    try:
        assert "Bad file descriptor" in exec_installed_code(handover, [])
    finally:
        assert signal.set_wakeup_fd(before) == wakeup
        os.close(wakeup)
    assert os.listdir("/proc/self/fd") == open_before
    assert not os.get_inheritable(channel)
    assert VARIABLE not in os.environ
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & set(WANTED)


LATE = """
import fcntl, os, signal, sys, termios, threading, time
from propylon.gateway import json_texts
from propylon.gateway.supervisor.signals import WANTED, survive
from propylon.gateway.supervisor.upgrade import exec as upgrade
from propylon.gateway.supervisor.upgrade.saved_state import Handover

AFTER = '''
import signal
from propylon.gateway.supervisor.upgrade.exec import raise_last_signals
from propylon.gateway.supervisor.upgrade.saved_state import take
raise_last_signals(take()[0].signals)
print(*sorted(signal.Signals(number).name for number in signal.sigpending()))
'''

def execv_late(path, command):
    pipe = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(pipe)
    for count, number in enumerate((signal.SIGTTIN, signal.SIGUSR1), 1):
        os.kill(os.getpid(), number)
        while fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)) != count.to_bytes(4, sys.byteorder):
            time.sleep(0.001)  # until the other thread has noted it
    execv(path, [path, "-c", AFTER])

execv, os.execv = os.execv, execv_late
for number in WANTED:
    signal.signal(number, survive)
threading.Thread(target=time.sleep, args=[60], daemon=True).start()
handover = json_texts.decode(sys.stdin.buffer.read(), Handover)
print(upgrade.exec_installed_code(handover, [signal.SIGHUP]))
"""


def test_a_signal_that_another_thread_gets_in_the_last_moment_is_not_lost() -> None:
    """The exec ends that thread, and what its handler has noted for the interpreter."""
    handover = msgspec.structs.replace(
        json_texts.decode(SAVED, Handover), children=[], listeners=[], lock=None, control=None
    )
    done = subprocess.run(
        [sys.executable, "-c", LATE],
        input=json_texts.encode(handover),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == (b"SIGHUP SIGTTIN SIGUSR1\n", b"")
