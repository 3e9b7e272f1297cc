"""Lines on their way to a pipe or a file that takes them, takes them slowly or not at all."""

import errno
import fcntl
import os
import re
import select
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from propylon.gateway.observe.line_writer import MOST_WAITING, LineWriter, chunks

PATIENCE = 20.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe of one page, so that it is soon full."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, select.PIPE_BUF)
    yield read, write
    for fd in (read, write):
        try:
            os.close(fd)
        except OSError:
            pass


def read_lines(fd: int, count: int) -> list[bytes]:
    """In small bites, as a slow reader would."""
    data = b""
    while data.count(b"\n") < count:
        assert select.select([fd], [], [], PATIENCE)[0], data
        data += os.read(fd, 1000)
    return data.splitlines(keepends=True)


def wait_for(condition) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_lines_of_several_writers_stay_whole(pipe: tuple[int, int]) -> None:
    read, write = pipe
    writers = [LineWriter(write, f"writer {letter}") for letter in "abc"]
    for _ in range(20):
        for letter, writer in zip(b"abc", writers, strict=True):
            writer.write([bytes([letter]) * 700 + b"\n"] * 20)
    lines = read_lines(read, 3 * 20 * 20)
    assert all(re.fullmatch(rb"a{700}\n|b{700}\n|c{700}\n", line) for line in lines)
    for writer in writers:
        writer.close(PATIENCE)


@pytest.mark.slow
def test_what_nobody_reads_is_bounded_and_counted(
    pipe: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    read, write = pipe
    writer = LineWriter(write, "the access log")
    line = b"x" * 9_999 + b"\n"
    sent = 2 * MOST_WAITING // len(line)
    for _ in range(sent):
        writer.write([line])
    assert writer._size <= MOST_WAITING
    dropped = writer._dropped
    assert dropped > sent // 3
    assert caplog.messages == [], "the error log may be blocked as well"
    assert read_lines(read, sent - dropped) == [line] * (sent - dropped)
    wait_for(lambda: caplog.messages)
    assert caplog.messages == [f"the access log is too slow: {dropped} lines were dropped"]
    assert writer._size <= len(line)
    writer.close(PATIENCE)


def test_the_end_does_not_wait_for_a_blocked_pipe(
    pipe: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    _, write = pipe
    writer = LineWriter(write, "the access log")
    writer.write([b"x" * 3_000 + b"\n"] * 2)
    wait_for(lambda: not writer._lines)  # the thread has them in hand
    writer.write([b"x\n"] * 3)
    writer.close(0.05)
    assert caplog.messages == ["the access log takes nothing: at least 3 lines were lost"]


def test_what_is_left_is_written_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("ab") as file:
        writer = LineWriter(file.fileno(), "the access log")
        writer.write([b"a\n", b"b\n"])
        writer.close(PATIENCE)
    assert path.read_bytes() == b"a\nb\n"


def test_an_error_is_said_once_and_its_end_too(
    pipe: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    def said() -> list[str]:
        """Threads of other tests' writers may still have a last word."""
        return [message for message in caplog.messages if message.startswith("this log")]

    read, write = pipe
    os.close(read)
    writer = LineWriter(write, "this log")
    for _ in range(3):
        writer.write([b"lost\n"])
        wait_for(lambda: not writer._size)
    assert said() == ["this log cannot be written: [Errno 32] Broken pipe"]
    again, other = os.pipe()
    os.dup2(other, write)
    writer.write([b"there\n"])
    assert read_lines(again, 1) == [b"there\n"]
    wait_for(lambda: len(said()) == 2)
    assert said()[1] == "this log is written again; 3 lines were lost"
    writer.close(PATIENCE)
    os.close(again)
    os.close(other)


def full() -> int:
    """A descriptor on a volume that has no room."""
    return os.open("/dev/full", os.O_WRONLY)


def test_lines_wait_for_room_on_a_full_volume(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fd = full()
    writer = LineWriter(fd, "a full log")
    writer.write([b"a\n"])
    wait_for(lambda: writer.fault)
    assert writer.fault is not None
    assert writer.fault.errno == errno.ENOSPC
    writer.write([b"b\n"])
    room = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(room, fd)  # somebody has deleted something
    assert writer.flush(PATIENCE)
    wait_for(lambda: writer.fault is None)
    assert (tmp_path / "log").read_bytes() == b"a\nb\n"
    writer.close(PATIENCE)
    assert not [message for message in caplog.messages if "a full log" in message]
    os.close(fd)
    os.close(room)


def test_neither_the_end_nor_another_file_waits_for_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = LineWriter(full(), "a full log")
    writer.write([b"lost\n", b"lost too\n"])
    wait_for(lambda: writer.fault)
    writer.use(os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT))
    wait_for(lambda: writer.settled)
    writer.write([b"there\n"])
    assert writer.flush(PATIENCE)
    assert (tmp_path / "log").read_bytes() == b"there\n"
    fd = full()
    writer.use(fd)
    writer.write([b"lost\n"])
    wait_for(lambda: writer.fault)
    writer.close(PATIENCE)
    assert not writer._thread.is_alive()
    assert [message for message in caplog.messages if "a full log" in message] == [
        "a full log cannot be written: [Errno 28] No space left on device",
        "a full log is written again; 2 lines were lost",
        "a full log cannot be written: [Errno 28] No space left on device",
    ]
    os.close(fd)


def test_a_pipe_that_others_made_non_blocking(pipe: tuple[int, int]) -> None:
    read, write = pipe
    os.set_blocking(write, False)
    writer = LineWriter(write, "the access log")
    writer.write([b"%d" % number * 900 + b"\n" for number in range(10)])
    lines = read_lines(read, 10)
    assert [line[:1] for line in lines] == [b"%d" % number for number in range(10)]
    writer.close(PATIENCE)


@pytest.mark.parametrize(
    ("sizes", "most", "together"),
    [
        ([], 10, []),
        ([4, 5], 10, [9]),
        ([5, 5, 1], 10, [10, 1]),
        ([11, 1, 12], 10, [11, 1, 12]),
    ],
)
def test_chunks(sizes: list[int], most: int, together: list[int]) -> None:
    made = list(chunks([b"x" * size for size in sizes], most))
    assert [len(data) for data, _ in made] == together
    assert sum(count for _, count in made) == len(sizes)


def test_lines_before_another_file_belong_to_the_one_before(tmp_path: Path) -> None:
    for number in range(50):  # whether or not the thread has woken between the two
        old, new = tmp_path / f"{number}.old", tmp_path / f"{number}.new"
        writer = LineWriter(os.open(old, os.O_WRONLY | os.O_CREAT), "a log")
        writer.write([b"before\n"])
        writer.use(os.open(new, os.O_WRONLY | os.O_CREAT))
        writer.write([b"after\n"])
        writer.close(PATIENCE)
        assert (old.read_text(), new.read_text()) == ("before\n", "after\n")


def test_a_file_is_settled_when_the_one_before_is_complete(pipe: tuple[int, int]) -> None:
    read, write = pipe
    writer = LineWriter(write, "a log")
    lines = [b"%d %s\n" % (number, 500 * b"x") for number in range(20)]
    writer.write(lines)
    writer.use(os.open(os.devnull, os.O_WRONLY))
    assert not writer.settled
    assert read_lines(read, 20) == lines
    wait_for(lambda: writer.settled)
    writer.close(PATIENCE)
